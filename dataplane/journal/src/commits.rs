//! How far the journal is durable, and the news of it.

use crate::JournalError;
use alluxio_types::JournalSeq;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

#[derive(Clone, Default)]
struct Published {
    committed: JournalSeq,
    failure: Option<Arc<JournalError>>,
}

/// The side that writes: one per journal.
pub struct CommitPublisher {
    committed: Arc<AtomicU64>,
    sender: watch::Sender<Published>,
}

/// The side that waits. Cloning is cheap; [`Commits::current`] is one atomic load.
#[derive(Clone)]
pub struct Commits {
    committed: Arc<AtomicU64>,
    receiver: watch::Receiver<Published>,
}

impl CommitPublisher {
    /// A pair that starts at `committed`.
    pub fn new(committed: JournalSeq) -> (CommitPublisher, Commits) {
        let (sender, receiver) = watch::channel(Published { committed, failure: None });
        let shared = Arc::new(AtomicU64::new(committed.0));
        (
            CommitPublisher { committed: shared.clone(), sender },
            Commits { committed: shared, receiver },
        )
    }

    /// Everything up to and including `seq` is durable. Never moves back, and never moves again
    /// after [`CommitPublisher::fail`].
    pub fn commit(&self, seq: JournalSeq) {
        self.sender.send_if_modified(|published| {
            if published.failure.is_some() || seq <= published.committed {
                return false;
            }
            published.committed = seq;
            self.committed.store(seq.0, Ordering::Release);
            true
        });
    }

    /// Nothing will be committed any more. The first failure is the one that is kept.
    pub fn fail(&self, error: Arc<JournalError>) {
        self.sender.send_if_modified(|published| {
            if published.failure.is_some() {
                return false;
            }
            published.failure = Some(error);
            true
        });
    }
}

impl Commits {
    /// The last durable position.
    pub fn current(&self) -> JournalSeq {
        JournalSeq(self.committed.load(Ordering::Acquire))
    }

    /// Why nothing is committed any more, if so.
    pub fn failure(&self) -> Option<Arc<JournalError>> {
        self.receiver.borrow().failure.clone()
    }

    /// Waits until `seq` is durable.
    ///
    /// **Errors**: the journal's failure, or `Closed`, when `seq` can never become durable.
    /// **Cancel safety**: may be dropped at any time.
    pub async fn wait_for(&self, seq: JournalSeq) -> Result<(), Arc<JournalError>> {
        if self.current() >= seq {
            return Ok(());
        }
        let mut receiver = self.receiver.clone();
        let published = receiver
            .wait_for(|published| published.committed >= seq || published.failure.is_some())
            .await
            .map_err(|_| Arc::new(JournalError::Closed))?;
        match &published.failure {
            Some(failure) if published.committed < seq => Err(failure.clone()),
            _ => Ok(()),
        }
    }

    /// Waits for the next change after `seen`: a later position, or a failure.
    ///
    /// **Errors**: the journal's failure, once nothing later than `seen` was committed before it;
    /// `Closed` when the journal is gone.
    /// **Cancel safety**: may be dropped at any time.
    pub async fn next_after(&self, seen: JournalSeq) -> Result<JournalSeq, Arc<JournalError>> {
        self.wait_for(seen.next()).await?;
        Ok(self.current())
    }
}
