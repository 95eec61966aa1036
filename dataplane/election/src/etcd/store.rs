//! What the election asks of etcd.

use crate::{Candidate, ElectionError, Leader};
use alluxio_etcd::api::{
    self, Compare, CompareOp, GetOptions, KeyValue, PutOptions, Txn, TxnOp, TxnOpResponse,
};
use alluxio_etcd::{Etcd, EtcdError, Keys, WRITE_LIMIT};
use alluxio_types::Term;
use std::sync::Arc;
use std::time::Duration;

/// How long a question may take when nothing depends on it.
pub(super) const READ_LIMIT: Duration = Duration::from_secs(2);

/// Cloning is cheap.
#[derive(Clone)]
pub(super) struct Store {
    pub(super) etcd: Arc<Etcd>,
}

/// The leader key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) leader: Leader,
    pub(super) lease: i64,
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ballot {
    Won {
        term: Term,
        /// Whether an earlier primary may still answer.
        needs_quiet: bool,
    },
    Lost,
}

impl Store {
    pub(super) fn new(etcd: Arc<Etcd>) -> Self {
        Store { etcd }
    }

    fn keys(&self) -> &Keys {
        self.etcd.keys()
    }

    /// Who holds the leader key: a linearizable read.
    pub(super) async fn owner(&self) -> Result<Option<Owner>, EtcdError> {
        self.owner_within(READ_LIMIT).await
    }

    pub(super) async fn owner_within(&self, limit: Duration) -> Result<Option<Owner>, EtcdError> {
        Ok(self.owner_at(limit).await?.0)
    }

    /// The same, and the revision at which it was so.
    pub(super) async fn owner_at(
        &self,
        limit: Duration,
    ) -> Result<(Option<Owner>, i64), EtcdError> {
        let key = self.keys().leader();
        let key = &key;
        let found = self
            .etcd
            .read(limit, |mut client| async move { client.get(key.as_str(), None).await })
            .await?;
        let revision = found.header().map_or(0, |header| header.revision());
        Ok((found.kvs().first().map(owner), revision))
    }

    /// Moves the revision on by one; returns it. An election after that has a larger term.
    pub(super) async fn raise(&self) -> Result<Term, EtcdError> {
        let key = self.keys().raised();
        let key = &key;
        let put = self
            .etcd
            .read(READ_LIMIT, |mut client| async move { client.put(key.as_str(), "", None).await })
            .await?;
        let revision = put.header().map_or(0, |header| header.revision());
        Ok(Term(u64::try_from(revision).unwrap_or_default()))
    }

    pub(super) async fn grant(&self, lease: Duration) -> Result<i64, EtcdError> {
        let seconds = i64::try_from(lease.as_secs().max(1)).unwrap_or(i64::MAX);
        let granted = self
            .etcd
            .write(WRITE_LIMIT, |mut client| async move { client.lease_grant(seconds, None).await })
            .await?;
        Ok(granted.id())
    }

    /// Ends a lease, with all keys on it. One that is over is fine.
    pub(super) async fn revoke(&self, lease: i64) -> Result<(), EtcdError> {
        let revoked = self
            .etcd
            .read(READ_LIMIT, |mut client| async move { client.lease_revoke(lease).await })
            .await;
        match revoked {
            Ok(_) | Err(EtcdError::LeaseGone) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Prolongs a lease; `false` when it is over.
    pub(super) async fn keep_alive(&self, lease: i64) -> Result<bool, EtcdError> {
        self.etcd
            .read(READ_LIMIT, |mut client| async move {
                // Returns with the first answer; the stream ends with its handles. No second answer
                // comes without a second question.
                match client.lease_keep_alive(lease).await {
                    Ok(_) => Ok(true),
                    // The client's word for an answer without time left.
                    Err(api::Error::LeaseKeepAliveError(_)) => Ok(false),
                    Err(error) => Err(error),
                }
            })
            .await
    }

    /// Makes `candidate` the primary if there is none: one transaction.
    pub(super) async fn stand(
        &self,
        candidate: &Candidate,
        lease: i64,
    ) -> Result<Ballot, EtcdError> {
        let keys = self.keys();
        let value = format!("{}\n{}", candidate.id, candidate.rpc_address);
        let txn = Txn::new()
            .when([Compare::create_revision(keys.leader(), CompareOp::Equal, 0)])
            .and_then([
                TxnOp::get(keys.last_elected(), None),
                TxnOp::get(keys.resigned(), None),
                TxnOp::put(keys.leader(), value, Some(PutOptions::new().with_lease(lease))),
                TxnOp::put(keys.last_elected(), candidate.id.as_str(), None),
            ]);
        let txn = &txn;
        let done = self
            .etcd
            .write(WRITE_LIMIT, |mut client| async move { client.txn(txn.clone()).await })
            .await?;
        if !done.succeeded() {
            return Ok(Ballot::Lost);
        }
        let revision = done.header().map_or(0, |header| header.revision());
        let found: Vec<Option<KeyValue>> = done
            .op_responses()
            .into_iter()
            .filter_map(|response| match response {
                TxnOpResponse::Get(found) => Some(found.kvs().first().cloned()),
                _ => None,
            })
            .collect();
        let (last, resigned) = match found.as_slice() {
            [last, resigned] => (last, resigned),
            _ => (&None, &None),
        };
        let last_term = last.as_ref().map(KeyValue::mod_revision);
        let resigned_term = resigned.as_ref().and_then(|kv| kv.value_str().ok()?.parse().ok());
        // Nobody was elected before, or the last one gave up in order and answers nothing any more.
        let needs_quiet = last_term.is_some() && last_term != resigned_term;
        Ok(Ballot::Won { term: term(revision), needs_quiet })
    }

    /// Removes the leader key if it is still that of `term`, says that this was in order, and ends
    /// the lease. May be repeated.
    pub(super) async fn release(&self, released: Term, lease: i64) -> Result<(), EtcdError> {
        let keys = self.keys();
        let revision = i64::try_from(released.0).unwrap_or(i64::MAX);
        let txn = Txn::new()
            .when([Compare::create_revision(keys.leader(), CompareOp::Equal, revision)])
            .and_then([
                TxnOp::delete(keys.leader(), None),
                TxnOp::put(keys.resigned(), revision.to_string(), None),
            ]);
        let txn = &txn;
        self.etcd
            .write(WRITE_LIMIT, |mut client| async move { client.txn(txn.clone()).await })
            .await?;
        self.revoke(lease).await
    }

    /// Shows `candidate` among the masters; returns the lease that this lasts for.
    pub(super) async fn join(
        &self,
        candidate: &Candidate,
        lease: Duration,
    ) -> Result<i64, EtcdError> {
        let lease = self.grant(lease).await?;
        let key = self.keys().master(&candidate.id);
        let (key, address) = (&key, &candidate.rpc_address);
        self.etcd
            .write(WRITE_LIMIT, |mut client| async move {
                let options = PutOptions::new().with_lease(lease);
                client.put(key.as_str(), address.as_str(), Some(options)).await
            })
            .await?;
        Ok(lease)
    }

    /// All masters that are up.
    pub(super) async fn masters(&self) -> Result<Vec<Candidate>, EtcdError> {
        let prefix = self.keys().masters();
        let key = &prefix;
        let found = self
            .etcd
            .read(READ_LIMIT, |mut client| async move {
                client.get(key.as_str(), Some(GetOptions::new().with_prefix())).await
            })
            .await?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let masters = found.kvs().iter().map(|kv| Candidate {
            id: text(kv.key().get(prefix.len()..).unwrap_or_default()),
            rpc_address: text(kv.value()),
        });
        Ok(masters.collect())
    }
}

pub(super) fn owner(kv: &KeyValue) -> Owner {
    let value = String::from_utf8_lossy(kv.value());
    let (id, rpc_address) = value.split_once('\n').unwrap_or((&value, ""));
    let leader = Leader {
        id: id.to_owned(),
        rpc_address: rpc_address.to_owned(),
        term: term(kv.create_revision()),
    };
    Owner { leader, lease: kv.lease() }
}

fn term(revision: i64) -> Term {
    Term(u64::try_from(revision).unwrap_or_default())
}

impl From<EtcdError> for ElectionError {
    fn from(error: EtcdError) -> Self {
        let reason = error.to_string();
        if error.outcome_is_unknown() || matches!(error, EtcdError::Full { .. }) {
            ElectionError::Unreachable { reason }
        } else {
            ElectionError::Refused { reason }
        }
    }
}
