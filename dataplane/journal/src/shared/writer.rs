//! The task that appends: one segment in flight, and what waits meanwhile is the next one.

use super::index::Index;
use super::log::{Log, Outcome, Position, RETRY_PAUSE, Try};
use super::segment;
use crate::group::{Group, groups};
use crate::queue::{Queue, Taken};
use crate::{CommitPublisher, Flush, JournalError, Observer};
use alluxio_host::Clock;
use alluxio_types::JournalSeq;
use std::sync::Arc;
use std::time::Duration;

/// How often a writer that has nothing to write looks whether it is the primary still. Where a lease ends
/// its term it is told earlier; a single master has nobody else who would tell.
const LOOK_EVERY: Duration = Duration::from_secs(2);

pub(super) struct Writer {
    pub(super) log: Log,
    pub(super) queue: Arc<Queue>,
    pub(super) publisher: Arc<CommitPublisher>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) index: Arc<Index>,
    pub(super) at: Position,
}

impl Writer {
    pub(super) async fn run(mut self) {
        loop {
            let taken = match tokio::time::timeout(LOOK_EVERY, self.queue.taken()).await {
                Ok(Taken::Group(batches)) => batches,
                Ok(Taken::Closed) => return,
                Err(_) => {
                    if let Err(error) = self.look().await {
                        self.fail(error);
                    }
                    continue;
                }
            };
            self.observer.queue_depth(0);
            for group in groups(&taken) {
                if let Err(error) = self.write(&group).await {
                    self.fail(error);
                    break;
                }
            }
        }
    }

    fn fail(&self, error: JournalError) {
        self.observer.failed(&error);
        let error = Arc::new(error);
        self.queue.fail(error.clone());
        self.publisher.fail(error);
    }

    /// Looks whether another writer has taken the next number.
    async fn look(&self) -> Result<(), JournalError> {
        match self.log.get(self.at.number).await {
            Ok(Some(found)) => Err(JournalError::Fenced { term: self.at.term, newest: found.term }),
            Ok(None) | Err(JournalError::Store { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Makes a group durable, however long that takes, or fails for ever.
    async fn write(&mut self, group: &Group) -> Result<(), JournalError> {
        let began = self.clock.monotonic();
        let mut told = false;
        let bytes = segment::of_group(&self.log.facts(&self.at), group);
        loop {
            match self.log.try_create(self.at.number, &bytes).await? {
                Try::Settled(Outcome::Ours) => break,
                Try::Settled(Outcome::Other(found)) => {
                    let (term, newest) = (group.term, found.term);
                    return Err(JournalError::Fenced { term, newest });
                }
                // Taken, and gone at the second look.
                Try::Open(None) => tokio::time::sleep(RETRY_PAUSE).await,
                Try::Open(Some(error)) => {
                    if !told {
                        tracing::error!(%error, "the journal's store does not answer, changes wait");
                    }
                    told = true;
                    self.observer.stalled(&error);
                    if !self.queue.paused(RETRY_PAUSE).await {
                        return Err(error);
                    }
                }
            }
        }
        if told {
            tracing::info!("the journal's store answers again, changes go on");
        }
        let first = (self.at.number, group.first, self.at.offset);
        self.at.number += 1;
        self.at.next = Some(group.last.next());
        self.at.term = group.term;
        self.at.offset += group.records.len() as u64;
        self.index.passed(first, &self.at);
        let took = self.clock.monotonic().saturating_sub(began);
        // First the metrics, so that whoever sees the commit finds it counted.
        self.observer.flushed(&Flush { entries: group.entries(), bytes: bytes.len() as u64, took });
        self.publisher.commit(JournalSeq(group.last.0));
        Ok(())
    }
}
