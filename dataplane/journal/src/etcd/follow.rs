//! Reading along: a standby behind the primary.

use super::group;
use super::remote::{Page, Remote};
use crate::follow::FOLLOW_BYTES;
use crate::{CommitPublisher, Followed, Follower, JournalError, Record, Records};
use alluxio_etcd::api::{EventType, KeyValue, WatchOptions, WatchResponse, WatchStream};
use alluxio_etcd::{EtcdError, MESSAGE_BYTES_MAX};
use alluxio_types::JournalSeq;
use async_trait::async_trait;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// A watch that is silent for so long is compared with a read: the member behind it may hang, which
/// nothing else would tell.
const SILENCE: Duration = Duration::from_secs(1);
/// How long opening a watch may take.
const WATCH_LIMIT: Duration = Duration::from_secs(2);

pub(super) struct EtcdFollower {
    pub(super) remote: Remote,
    pub(super) publisher: Arc<CommitPublisher>,
    /// Position that comes next.
    pub(super) next: JournalSeq,
    /// A watch that will show the group that begins at `next`.
    pub(super) stream: Option<WatchStream>,
}

impl EtcdFollower {
    /// What is there already.
    async fn read(&self) -> Result<(Records, Page), JournalError> {
        let page = self.remote.page(self.next).await?;
        let mut records = Records::default();
        let next = collect(&self.remote, &page, self.next, &mut |record| {
            records.push(record);
            Ok(if records.encoded_bytes() < FOLLOW_BYTES {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        })
        .await?;
        debug_assert_eq!(records.last().map_or(self.next, JournalSeq::next), next);
        Ok((records, page))
    }

    async fn watch(&self, revision: i64) -> Result<WatchStream, EtcdError> {
        let open = async {
            let client = self.remote.etcd.stream_client().await?;
            let options = WatchOptions::new().with_prefix().with_start_revision(revision);
            let mut watch = client.watch_client().max_decoding_message_size(MESSAGE_BYTES_MAX);
            Ok(watch.watch(self.remote.keys().entries(), Some(options)).await?)
        };
        match timeout(WATCH_LIMIT, open).await {
            Ok(stream) => stream,
            Err(_) => {
                self.remote.etcd.prefer_another();
                Err(EtcdError::Late { limit: WATCH_LIMIT })
            }
        }
    }

    /// Waits for a message of the watch. `None` = look for yourself.
    async fn hear(&mut self) -> Option<WatchResponse> {
        let stream = self.stream.as_mut()?;
        match timeout(SILENCE, stream.message()).await {
            Ok(Ok(Some(message))) if !message.canceled() => Some(message),
            // Ended, refused, or fell behind what etcd keeps.
            Ok(_) => {
                self.stream = None;
                None
            }
            Err(_) => {
                // Should the read find something, this watch hangs.
                None
            }
        }
    }

    /// Takes the groups that a message brings, as far as they go on at `next`.
    async fn take(&self, message: &WatchResponse) -> Result<Records, JournalError> {
        let mut records = Records::default();
        let mut next = self.next;
        for event in message.events() {
            let put = event.kv().filter(|_| event.event_type() == EventType::Put);
            let Some(kv) = put else { continue };
            if self.remote.keys().position(kv.key()) != Some(next.0) {
                // One that was read already, or a gap that a read will explain.
                continue;
            }
            let bytes = self.remote.records(kv).await?;
            let key = kv.key_str().unwrap_or_default();
            let (end, _) = group::visit(key, &bytes, next, next, &mut |record| {
                records.push(record);
                Ok(ControlFlow::Continue(()))
            })?;
            next = end;
        }
        Ok(records)
    }

    fn publish(&mut self, records: Records) -> Followed {
        if let Some(last) = records.last() {
            self.next = last.next();
            self.publisher.commit(last);
        }
        Followed::Entries(records)
    }
}

#[async_trait]
impl Follower for EtcdFollower {
    async fn next(&mut self) -> Result<Followed, JournalError> {
        loop {
            if let Some(message) = self.hear().await {
                // Taken out for the time of the wait: dropped meanwhile, a read finds the message's
                // entries again.
                let stream = self.stream.take();
                let records = self.take(&message).await?;
                if !records.is_empty() {
                    self.stream = stream;
                    return Ok(self.publish(records));
                }
                let missed = message.events().iter().any(|event| {
                    let position = event.kv().and_then(|kv| self.remote.keys().position(kv.key()));
                    event.event_type() == EventType::Put
                        && position.is_some_and(|position| position > self.next.0)
                });
                if !missed {
                    self.stream = stream;
                    continue;
                }
            }
            let (records, page) = match self.read().await {
                Ok(found) => found,
                Err(JournalError::CheckpointNeeded { from, .. }) => {
                    self.stream = None;
                    return Ok(Followed::Compacted { from });
                }
                Err(error) => return Err(error),
            };
            if !records.is_empty() {
                if self.stream.take().is_some() {
                    self.remote.etcd.prefer_another();
                }
                return Ok(self.publish(records));
            }
            if self.stream.is_none() {
                self.stream = Some(self.watch(page.revision + 1).await?);
            }
        }
    }
}

/// Visits the entries of a page from `from` on; returns the position after the last one.
///
/// **Errors**: `CheckpointNeeded` when `from` was removed; `Corrupt`, `Gap`.
pub(super) async fn collect(
    remote: &Remote,
    page: &Page,
    from: JournalSeq,
    visit: &mut (dyn FnMut(Record<'_>) -> Result<ControlFlow<()>, JournalError> + Send),
) -> Result<JournalSeq, JournalError> {
    let mut next = from;
    let mut before: Option<JournalSeq> = None;
    for kv in &page.groups {
        let first = first_of(remote, kv)?;
        if first > before.unwrap_or(next) {
            return Err(missing(remote, next, first, before.is_some()).await?);
        }
        let records = remote.records(kv).await?;
        let key = kv.key_str().unwrap_or_default();
        let (end, stopped) = group::visit(key, &records, first, next, visit)?;
        next = next.max(end);
        if stopped {
            return Ok(next);
        }
        before = Some(end);
    }
    if page.groups.is_empty() && from <= page.head.last {
        return Err(missing(remote, from, page.head.last.next(), false).await?);
    }
    if let Some(end) = before
        && end < from
        && from <= page.head.last
    {
        return Err(missing(remote, end, from, true).await?);
    }
    Ok(next)
}

fn first_of(remote: &Remote, kv: &KeyValue) -> Result<JournalSeq, JournalError> {
    let position = remote.keys().position(kv.key()).map(JournalSeq);
    let key = kv.key_str().unwrap_or_default();
    position.ok_or_else(|| group::corrupt(key, 0, crate::Damage::Header))
}

/// Why the entries before `found` are not there: dropped at the start of what is kept, or lost from
/// its middle.
async fn missing(
    remote: &Remote,
    from: JournalSeq,
    found: JournalSeq,
    in_the_middle: bool,
) -> Result<JournalError, JournalError> {
    if in_the_middle {
        let to = JournalSeq(found.0.saturating_sub(1));
        return Ok(JournalError::Gap { folder: remote.name(), from, to });
    }
    let (_, holders) = remote.holders().await?;
    let holders: Vec<String> =
        holders.iter().map(|(master, at)| format!("{master} at {at}")).collect();
    Ok(JournalError::CheckpointNeeded { from, holders: holders.join(", ") })
}
