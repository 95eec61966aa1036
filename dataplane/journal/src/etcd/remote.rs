//! What the journal asks of etcd.

use super::group::{self, Group, HEADER_BYTES};
use crate::folder::FormatFacts;
use crate::{CheckpointInfo, JournalError};
use alluxio_etcd::api::{
    CompactionOptions, Compare, CompareOp, DeleteOptions, GetOptions, GetResponse, KeyValue,
    SortOrder, SortTarget, Txn, TxnOp, TxnOpResponse, TxnResponse,
};
use alluxio_etcd::{Etcd, EtcdError, Keys, MESSAGE_BYTES_MAX, WRITE_LIMIT};
use alluxio_host::planted::{self, Bug};
use alluxio_types::{JournalSeq, Term};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long a question may take. A page is some 20 MiB.
const READ_LIMIT: Duration = Duration::from_secs(10);
/// Groups that one page holds at most: 16 MiB.
const PAGE_GROUPS: i64 = 16;

/// Cloning is cheap.
#[derive(Clone)]
pub(super) struct Remote {
    pub(super) etcd: Arc<Etcd>,
    /// Of the cluster that this journal is formatted for.
    pub(super) tag: u64,
}

/// Where the journal ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Head {
    pub(super) last: JournalSeq,
    /// Bytes of all groups since the journal was formatted.
    pub(super) offset: u64,
}

impl Head {
    fn to_text(self) -> String {
        format!("{} {}", self.last.0, self.offset)
    }

    fn parse(bytes: &[u8]) -> Option<Head> {
        let (last, offset) = std::str::from_utf8(bytes).ok()?.split_once(' ')?;
        Some(Head { last: JournalSeq(last.parse().ok()?), offset: offset.parse().ok()? })
    }

    pub(super) fn after(self, group: &Group) -> Head {
        Head { last: group.last, offset: self.offset + group.records.len() as u64 }
    }
}

/// How the journal stands: one linearizable look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// Term of the primary, if there is one.
    pub(super) leader: Option<Term>,
    pub(super) head: Head,
    /// `offset` of the oldest group that is kept; that of the head when there is none.
    pub(super) kept_from: u64,
}

/// Some groups in order, and where the journal ended when they were read.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) groups: Vec<KeyValue>,
    pub(super) head: Head,
    pub(super) revision: i64,
}

/// A revision as etcd counts.
pub(super) fn revision(term: Term) -> i64 {
    i64::try_from(term.0).unwrap_or(i64::MAX)
}

fn term_of(kv: &KeyValue) -> Term {
    Term(u64::try_from(kv.create_revision()).unwrap_or_default())
}

impl Remote {
    pub(super) fn keys(&self) -> &Keys {
        self.etcd.keys()
    }

    /// The journal as errors name it.
    pub(super) fn name(&self) -> PathBuf {
        PathBuf::from(format!("etcd:{}", self.keys().journal()))
    }

    async fn ask(&self, txn: &Txn) -> Result<TxnResponse, EtcdError> {
        self.etcd
            .read(READ_LIMIT, |client| async move {
                let mut kv = client.kv_client().max_decoding_message_size(MESSAGE_BYTES_MAX);
                kv.txn(txn.clone()).await
            })
            .await
    }

    async fn change(&self, txn: &Txn) -> Result<TxnResponse, EtcdError> {
        self.etcd
            .write(WRITE_LIMIT, |mut client| async move { client.txn(txn.clone()).await })
            .await
    }

    fn owned_by(&self, term: Term) -> Compare {
        if planted::is(Bug::MissingFence) {
            return Compare::create_revision(self.keys().leader(), CompareOp::NotEqual, -1);
        }
        Compare::create_revision(self.keys().leader(), CompareOp::Equal, revision(term))
    }

    /// Adds a group behind `head`, if `term` still reigns and the journal still ends there. `true` when
    /// this was done. Small groups are one transaction; the pieces of a large one go before it.
    pub(super) async fn append(&self, head: Head, group: &Group) -> Result<bool, EtcdError> {
        let (pieces, value) = group.values(self.tag, head.offset);
        let (keys, first) = (self.keys(), group.first.0);
        for (index, piece) in (0..).zip(pieces) {
            let put = TxnOp::put(keys.overflow_piece(first, index), piece, None);
            let txn = Txn::new().when([self.owned_by(group.term)]).and_then([put]);
            if !self.change(&txn).await?.succeeded() {
                return Ok(false);
            }
        }
        let expected = head.to_text();
        let txn = Txn::new()
            .when([
                self.owned_by(group.term),
                Compare::value(keys.journal_head(), CompareOp::Equal, expected),
            ])
            .and_then([
                TxnOp::put(keys.entry_group(first), value, None),
                TxnOp::put(keys.journal_head(), head.after(group).to_text(), None),
            ]);
        Ok(self.change(&txn).await?.succeeded())
    }

    /// Makes an empty journal continue after `at`; `false` when it is not empty.
    pub(super) async fn begin_after(&self, at: JournalSeq) -> Result<bool, JournalError> {
        let (key, head) = (self.keys().journal_head(), Head { last: at, offset: 0 });
        let empty = Head::default().to_text();
        let txn = Txn::new()
            .when([Compare::value(key.as_str(), CompareOp::Equal, empty)])
            .and_then([TxnOp::put(key.as_str(), head.to_text(), None)]);
        match self.change(&txn).await {
            Ok(done) => Ok(done.succeeded()),
            // Had another master restored the same, nothing were lost by believing it was us.
            Err(error) if error.outcome_is_unknown() => Ok(self.standing().await?.head == head),
            Err(error) => Err(error.into()),
        }
    }

    /// Who reigns and where the journal begins and ends.
    pub(super) async fn standing(&self) -> Result<Standing, JournalError> {
        let keys = self.keys();
        let oldest = GetOptions::new().with_prefix().with_limit(1);
        let oldest = oldest.with_sort(SortTarget::Key, SortOrder::Ascend);
        let txn = Txn::new().and_then([
            TxnOp::get(keys.leader(), None),
            TxnOp::get(keys.journal_head(), None),
            TxnOp::get(keys.entries(), Some(oldest)),
        ]);
        let found = gets(&self.ask(&txn).await?);
        let [leader, head, oldest] = found.as_slice() else {
            return Err(self.not_formatted());
        };
        let head = self.head_of(head.kvs().first())?;
        let kept_from = match oldest.kvs().first() {
            Some(kv) => group::header(kv.key_str().unwrap_or_default(), kv.value())?.offset,
            None => head.offset,
        };
        Ok(Standing { leader: leader.kvs().first().map(term_of), head, kept_from })
    }

    /// Groups that hold the entries from `from` on: first the one that holds `from` itself or ends
    /// before it, if it is kept, then those that begin after it.
    pub(super) async fn page(&self, from: JournalSeq) -> Result<Page, JournalError> {
        let keys = self.keys();
        let behind = keys.entry_group(from.0 + 1);
        let before = GetOptions::new()
            .with_range(behind.as_str())
            .with_sort(SortTarget::Key, SortOrder::Descend)
            .with_limit(1);
        let end = format!("{}:", keys.entry_group(u64::MAX));
        let after = GetOptions::new()
            .with_range(end)
            .with_sort(SortTarget::Key, SortOrder::Ascend)
            .with_limit(PAGE_GROUPS);
        let txn = Txn::new().and_then([
            TxnOp::get(keys.entry_group(0), Some(before)),
            TxnOp::get(behind, Some(after)),
            TxnOp::get(keys.journal_head(), None),
        ]);
        let response = self.ask(&txn).await?;
        let revision = response.header().map_or(0, |header| header.revision());
        let mut found = gets(&response);
        let [before, after, head] = found.as_mut_slice() else {
            return Err(self.not_formatted());
        };
        let head = self.head_of(head.kvs().first())?;
        let mut groups = before.take_kvs();
        groups.extend(after.take_kvs());
        Ok(Page { groups, head, revision })
    }

    /// The records of a value, with the pieces that lie elsewhere before them.
    pub(super) async fn records(&self, kv: &KeyValue) -> Result<Vec<u8>, JournalError> {
        let key = kv.key_str().unwrap_or_default();
        let header = group::header(key, kv.value())?;
        if header.tag != self.tag {
            let found = format!("tag {:016x}", header.tag);
            let expected = format!("tag {:016x}", self.tag);
            return Err(JournalError::Foreign { path: PathBuf::from(key), found, expected });
        }
        let tail = &kv.value()[HEADER_BYTES..];
        let mut records = Vec::with_capacity(tail.len());
        if header.pieces > 0 {
            let first = self.keys().position(kv.key()).unwrap_or_default();
            let prefix = self.keys().overflow_group(first);
            let get = TxnOp::get(prefix, Some(GetOptions::new().with_prefix()));
            let found = gets(&self.ask(&Txn::new().and_then([get])).await?);
            let pieces = found.first().map(GetResponse::kvs).unwrap_or_default();
            // More than that are left over from a primary that died before it came to the value.
            for piece in pieces.iter().take(header.pieces as usize) {
                records.extend_from_slice(piece.value());
            }
        }
        records.extend_from_slice(tail);
        if records.len() as u64 != header.bytes {
            return Err(group::corrupt(key, records.len(), crate::Damage::Record));
        }
        Ok(records)
    }

    /// Removes all groups before the one that holds the entry after `covered`, if `term` still
    /// reigns, and compacts what they leave in etcd's history. Returns how many.
    pub(super) async fn remove_covered(
        &self,
        term: Term,
        covered: JournalSeq,
    ) -> Result<u64, JournalError> {
        let keys = self.keys();
        let page = self.page(covered.next()).await?;
        // The group that holds the next entry, or nothing after `covered` is there yet and the last
        // group stays, so that positions go on.
        let Some(end) = page.groups.first().and_then(|kv| keys.position(kv.key())) else {
            return Ok(0);
        };
        let (groups, pieces) = (keys.entry_group(0), keys.overflow_group(0));
        let txn = Txn::new().when([self.owned_by(term)]).and_then([
            TxnOp::delete(groups, Some(DeleteOptions::new().with_range(keys.entry_group(end)))),
            TxnOp::delete(pieces, Some(DeleteOptions::new().with_range(keys.overflow_group(end)))),
        ]);
        let done = self.change(&txn).await?;
        if !done.succeeded() {
            let newest = self.standing().await?.leader.unwrap_or_default();
            return Err(JournalError::Fenced { term, newest });
        }
        let removed = done.op_responses().into_iter().find_map(|response| match response {
            TxnOpResponse::Delete(deleted) => u64::try_from(deleted.deleted()).ok(),
            _ => None,
        });
        let revision = done.header().map_or(0, |header| header.revision());
        let compacted = self
            .etcd
            .write(WRITE_LIMIT, |mut client| async move {
                client.compact(revision, Some(CompactionOptions::new())).await
            })
            .await;
        match compacted {
            // Somebody else compacted further.
            Ok(_) | Err(EtcdError::Compacted) => {}
            // It takes room, no more; the next one removes this history too.
            Err(error) => tracing::warn!(%error, "etcd did not compact"),
        }
        Ok(removed.unwrap_or_default())
    }

    /// Says which checkpoint this master holds.
    pub(super) async fn announce(
        &self,
        master: &str,
        checkpoint: &CheckpointInfo,
    ) -> Result<(), EtcdError> {
        let value = format!(
            "{} {:016x} {} {}",
            checkpoint.at.0,
            checkpoint.state_hash.hash,
            checkpoint.length_bytes,
            checkpoint.created
        );
        let (key, value) = (self.keys().checkpoint(master), value);
        let (key, value) = (&key, &value);
        self.etcd
            .read(READ_LIMIT, |mut client| async move {
                client.put(key.as_str(), value.as_str(), None).await
            })
            .await
            .map(|_| ())
    }

    /// Forgets the checkpoint of this master: it holds none.
    pub(super) async fn withdraw(&self, master: &str) -> Result<(), EtcdError> {
        let key = self.keys().checkpoint(master);
        let key = &key;
        self.etcd
            .read(READ_LIMIT, |mut client| async move { client.delete(key.as_str(), None).await })
            .await
            .map(|_| ())
    }

    /// The masters that are up, and the newest checkpoint of every master.
    pub(super) async fn holders(
        &self,
    ) -> Result<(Vec<String>, BTreeMap<String, JournalSeq>), EtcdError> {
        let keys = self.keys();
        let (masters, checkpoints) = (keys.masters(), keys.checkpoints());
        let all = || Some(GetOptions::new().with_prefix());
        let txn = Txn::new().and_then([
            TxnOp::get(masters.as_str(), all()),
            TxnOp::get(checkpoints.as_str(), all()),
        ]);
        let found = gets(&self.ask(&txn).await?);
        let kvs = |index: usize| found.get(index).map(GetResponse::kvs).unwrap_or_default();
        let name = |kv: &KeyValue, prefix: &str| {
            kv.key_str().ok().and_then(|key| key.strip_prefix(prefix)).map(str::to_owned)
        };
        let up = kvs(0).iter().filter_map(|kv| name(kv, &masters)).collect();
        let held = kvs(1).iter().filter_map(|kv| {
            let at = kv.value_str().ok()?.split(' ').next()?.parse().ok()?;
            Some((name(kv, &checkpoints)?, JournalSeq(at)))
        });
        Ok((up, held.collect()))
    }

    fn head_of(&self, kv: Option<&KeyValue>) -> Result<Head, JournalError> {
        let kv = kv.ok_or_else(|| self.not_formatted())?;
        Head::parse(kv.value())
            .ok_or_else(|| group::corrupt(&self.keys().journal_head(), 0, crate::Damage::Header))
    }

    fn not_formatted(&self) -> JournalError {
        JournalError::NotFormatted { folder: self.name() }
    }
}

/// Whose journal lies in etcd.
///
/// **Errors**: `NotFormatted`, `FormatVersion`, `Corrupt`, `Etcd`.
pub(super) async fn facts(etcd: &Etcd) -> Result<FormatFacts, JournalError> {
    let key = etcd.keys().journal_meta();
    let name = PathBuf::from(format!("etcd:{}", etcd.keys().journal()));
    let found = {
        let key = &key;
        etcd.read(READ_LIMIT, |mut client| async move { client.get(key.as_str(), None).await })
            .await?
    };
    let Some(kv) = found.kvs().first() else {
        return Err(JournalError::NotFormatted { folder: name });
    };
    let damaged = || Err(group::corrupt(&key, 0, crate::Damage::Header));
    FormatFacts::parse(kv.value(), &name).unwrap_or_else(damaged)
}

/// Makes the journal in etcd that of a new cluster, unless it is an empty one already: then that one
/// is returned, so that all masters of a cluster can be told to format.
///
/// **Errors**: `Locked` while a primary reigns, `Etcd`.
pub(super) async fn format(
    etcd: &Arc<Etcd>,
    new: FormatFacts,
) -> Result<FormatFacts, JournalError> {
    let keys = etcd.keys();
    let name = PathBuf::from(format!("etcd:{}", keys.journal()));
    if let Ok(facts) = facts(etcd).await {
        let remote = Remote { etcd: etcd.clone(), tag: facts.tag() };
        if remote.standing().await?.head == Head::default() {
            return Ok(facts);
        }
    }
    let nobody = Compare::create_revision(keys.leader(), CompareOp::Equal, 0);
    // One key may be changed only once in a transaction.
    let wipe = TxnOp::delete(keys.journal(), Some(DeleteOptions::new().with_prefix()));
    for txn in &[Txn::new().when([nobody]).and_then([wipe]), begin(etcd, &new)] {
        let done = etcd
            .write(WRITE_LIMIT, |mut client| async move { client.txn(txn.clone()).await })
            .await;
        match done {
            Ok(done) if !done.succeeded() => break,
            Ok(_) => {}
            // What became of it is read back below.
            Err(error) if error.outcome_is_unknown() => {}
            Err(error) => return Err(error.into()),
        }
    }
    match facts(etcd).await? {
        found if found == new => Ok(found),
        // Another master formatted at the same time, or a primary reigns.
        _ => Err(JournalError::Locked { folder: name }),
    }
}

/// An empty journal where there is none, and nobody reigns.
fn begin(etcd: &Etcd, new: &FormatFacts) -> Txn {
    let keys = etcd.keys();
    let absent = |key: String| Compare::create_revision(key, CompareOp::Equal, 0);
    Txn::new().when([absent(keys.leader()), absent(keys.journal_meta())]).and_then([
        TxnOp::put(keys.journal_meta(), new.to_text(), None),
        TxnOp::put(keys.journal_head(), Head::default().to_text(), None),
    ])
}

/// Makes the journal in etcd that of a new cluster unless there is one: of several masters that begin at the same time
/// one makes it, and none takes it from another.
///
/// **Errors**: `NotFormatted` while a primary without a journal reigns, `Etcd`.
pub(super) async fn format_if_new(
    etcd: &Arc<Etcd>,
    new: FormatFacts,
) -> Result<FormatFacts, JournalError> {
    let txn = &begin(etcd, &new);
    let done =
        etcd.write(WRITE_LIMIT, |mut client| async move { client.txn(txn.clone()).await }).await;
    match done {
        Err(error) if !error.outcome_is_unknown() => Err(error.into()),
        // Made, or there already, or not known: what is there now is what counts.
        _ => facts(etcd).await,
    }
}

fn gets(response: &TxnResponse) -> Vec<GetResponse> {
    let get = |response| match response {
        TxnOpResponse::Get(found) => Some(found),
        _ => None,
    };
    response.op_responses().into_iter().filter_map(get).collect()
}
