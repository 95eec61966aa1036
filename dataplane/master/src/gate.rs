//! The commit gate: no reply leaves before what it saw is durable, nor after the tenure is over.
//!
//! A primary that cannot confirm its tenure holds its replies back, for it may soon be able to. It does
//! not hold them for ever: another master may be the primary by then, and only a caller who is let go
//! can find it.

use crate::error::MasterError;
use alluxio_election::Tenure;
use alluxio_host::planted::{self, Bug};
use alluxio_journal::Commits;
use alluxio_types::JournalSeq;
use std::time::Duration;

/// A reply is given up when the tenure could not be confirmed for so long: longer than etcd takes to
/// elect a leader of its own on a good day, shorter than anybody wants to wait.
const SUSPENSION_MAX: Duration = Duration::from_secs(1);
/// How often a reply that waits looks at the tenure.
const LOOK: Duration = Duration::from_millis(100);

/// Holds replies back. Cloning is cheap.
#[derive(Clone)]
pub struct Gate {
    commits: Commits,
    tenure: Tenure,
}

impl Gate {
    /// A gate that opens as `commits` moves, while `tenure` lasts.
    pub fn new(commits: Commits, tenure: Tenure) -> Self {
        Gate { commits, tenure }
    }

    /// Waits until `seen` is durable. Old data pays one atomic load and one look at the clock.
    ///
    /// **Cancel safety**: may be dropped at any time.
    ///
    /// **Errors**: the journal's failure; `NotPrimary` when the tenure is over, `Unconfirmed` when
    /// nobody can tell. What was waited for may become durable all the same: the next primary knows.
    pub async fn pass(&self, seen: JournalSeq) -> Result<(), MasterError> {
        if self.commits.current() < seen && !planted::is(Bug::AckBeforeCommit) {
            tokio::select! {
                biased;
                durable = self.commits.wait_for(seen) => durable?,
                () = self.tenure.lost() => return Err(MasterError::NotPrimary),
                () = self.unconfirmed() => return Err(MasterError::Unconfirmed),
            }
        }
        // Checked after the wait: the tenure must be valid when the reply leaves. While it is
        // suspended, replies wait: it is either revived, and then nobody else was primary, or lost.
        if self.tenure.is_valid() {
            return Ok(());
        }
        tokio::select! {
            biased;
            valid = self.tenure.valid() => match valid {
                true => Ok(()),
                false => Err(MasterError::NotPrimary),
            },
            () = self.unconfirmed() => Err(MasterError::Unconfirmed),
        }
    }

    /// Ends when the tenure has been suspended for too long.
    async fn unconfirmed(&self) {
        while self.tenure.suspended_for() < SUSPENSION_MAX {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The last durable position.
    pub fn committed(&self) -> JournalSeq {
        self.commits.current()
    }

    /// The hold on the term.
    pub fn tenure(&self) -> &Tenure {
        &self.tenure
    }

    /// How far the journal is durable.
    pub fn commits(&self) -> &Commits {
        &self.commits
    }
}
