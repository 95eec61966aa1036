//! The task that appends: one transaction in flight, and what waits meanwhile is the next one.

use super::group::{Group, groups};
use super::remote::{Head, Remote};
use crate::queue::{Queue, Taken};
use crate::{Backlog, CommitPublisher, Flush, JournalError, Observer};
use alluxio_etcd::EtcdError;
use alluxio_host::Clock;
use alluxio_types::JournalSeq;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Pause before etcd is asked again after it did not answer.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// Pause before a group of which twice the limit waits for a checkpoint is tried again.
const BACKLOG_PAUSE: Duration = Duration::from_millis(100);
/// The longest that a group is delayed before the backlog is twice its limit.
const DELAY_MAX: Duration = Duration::from_millis(200);

/// How much of the log etcd keeps; the writer adds, truncation removes.
#[derive(Default)]
pub(super) struct Kept {
    /// Bytes of all groups up to the end, and up to the oldest one that is kept.
    end: AtomicU64,
    start: AtomicU64,
    pub(super) limit: u64,
}

impl Kept {
    pub(super) fn new(limit: u64) -> Self {
        Kept { limit, ..Kept::default() }
    }

    pub(super) fn set_end(&self, offset: u64) {
        self.end.fetch_max(offset, Ordering::AcqRel);
    }

    pub(super) fn set_start(&self, offset: u64) {
        self.start.fetch_max(offset, Ordering::AcqRel);
    }

    pub(super) fn backlog(&self) -> Backlog {
        let (start, end) = (self.start.load(Ordering::Acquire), self.end.load(Ordering::Acquire));
        Backlog { bytes: end.saturating_sub(start), limit_bytes: self.limit }
    }
}

/// How long a group waits when so much is kept; `None` = until there is less.
fn delay(backlog: Backlog) -> Option<Duration> {
    let Backlog { bytes, limit_bytes: limit } = backlog;
    if limit == 0 || bytes <= limit {
        return Some(Duration::ZERO);
    }
    let over = bytes - limit;
    (over < limit).then(|| DELAY_MAX.mul_f64(over as f64 / limit as f64))
}

pub(super) struct Writer {
    pub(super) remote: Remote,
    pub(super) queue: Arc<Queue>,
    pub(super) publisher: Arc<CommitPublisher>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) kept: Arc<Kept>,
    pub(super) head: Head,
}

impl Writer {
    pub(super) async fn run(mut self) {
        while let Taken::Group(batches) = self.queue.taken().await {
            self.observer.queue_depth(0);
            for group in groups(&batches) {
                if let Err(error) = self.write(&group).await {
                    self.observer.failed(&error);
                    let error = Arc::new(error);
                    self.queue.fail(error.clone());
                    self.publisher.fail(error);
                    break;
                }
            }
        }
    }

    /// Makes a group durable, however long that takes, or fails for ever.
    async fn write(&mut self, group: &Group) -> Result<(), JournalError> {
        self.wait_for_room().await?;
        let began = self.clock.monotonic();
        let mut told = false;
        loop {
            match self.remote.append(self.head, group).await {
                Ok(true) => break,
                // Either an earlier attempt of ours was late, or we are not the primary any more.
                Ok(false) => {}
                Err(error) if error.outcome_is_unknown() => {
                    if !told {
                        tracing::warn!(%error, "an append is without an answer, reading back");
                    }
                    told = true;
                }
                Err(error @ EtcdError::Full { .. }) => {
                    let error = JournalError::Etcd(error);
                    if !told {
                        tracing::error!(%error, "changes wait");
                    }
                    told = true;
                    self.observer.stalled(&error);
                    if !self.queue.paused(RETRY_PAUSE).await {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error.into()),
            }
            if self.is_stored(group).await? {
                break;
            }
        }
        if told {
            tracing::info!("etcd answers again, changes go on");
        }
        self.head = self.head.after(group);
        self.kept.set_end(self.head.offset);
        let took = self.clock.monotonic().saturating_sub(began);
        let (entries, bytes) = (group.entries(), group.records.len() as u64);
        // First the metrics, so that whoever sees the commit finds it counted.
        self.observer.flushed(&Flush { entries, bytes, took });
        self.publisher.commit(JournalSeq(self.head.last.0));
        Ok(())
    }

    /// Reads back what became of an attempt to append `group`: `false` when it may be tried again.
    /// The same group may be on its way twice, but only one of the two can find the journal's end
    /// where it expects it.
    async fn is_stored(&self, group: &Group) -> Result<bool, JournalError> {
        loop {
            let standing = match self.remote.standing().await {
                Ok(standing) => standing,
                Err(JournalError::Etcd(error)) if error.outcome_is_unknown() => {
                    if !self.queue.paused(RETRY_PAUSE).await {
                        return Err(error.into());
                    }
                    continue;
                }
                Err(error) => return Err(error),
            };
            let (term, head) = (group.term, standing.head);
            if standing.leader != Some(term) {
                // Whether the group is stored is for the next primary to find out.
                let newest = standing.leader.unwrap_or(term);
                return Err(JournalError::Fenced { term, newest });
            }
            return match head {
                _ if head == self.head.after(group) => Ok(true),
                _ if head == self.head => Ok(false),
                _ => {
                    let (found, expected) = (head.last, self.head.last);
                    Err(JournalError::Conflict { term, found, expected })
                }
            };
        }
    }

    /// Slows down while too much waits for a checkpoint.
    async fn wait_for_room(&self) -> Result<(), JournalError> {
        loop {
            let backlog = self.kept.backlog();
            match delay(backlog) {
                Some(Duration::ZERO) => return Ok(()),
                Some(pause) => {
                    // Closed meanwhile: what is queued still goes.
                    self.queue.paused(pause).await;
                    return Ok(());
                }
                None => {
                    let (bytes, limit) = (backlog.bytes, backlog.limit_bytes);
                    let error = JournalError::BacklogFull { bytes, limit };
                    self.observer.stalled(&error);
                    if !self.queue.paused(BACKLOG_PAUSE).await {
                        return Err(error);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appends_get_slower_beyond_the_limit_and_wait_at_twice_as_much() {
        let at = |bytes| delay(Backlog { bytes, limit_bytes: 1000 });
        assert_eq!(at(1000), Some(Duration::ZERO));
        assert_eq!(at(1500), Some(Duration::from_millis(100)));
        assert!(at(1900) > at(1100));
        assert_eq!(at(2000), None);
        assert_eq!(delay(Backlog { bytes: 9000, limit_bytes: 0 }), Some(Duration::ZERO));
    }
}
