//! The commit gate: no reply leaves before what it saw is durable, nor after the tenure is over.

use crate::error::MasterError;
use alluxio_election::Tenure;
use alluxio_journal::Commits;
use alluxio_types::JournalSeq;

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
    /// **Errors**: the journal's failure; `NotPrimary` when the tenure is over.
    pub async fn pass(&self, seen: JournalSeq) -> Result<(), MasterError> {
        if self.commits.current() < seen {
            tokio::select! {
                biased;
                durable = self.commits.wait_for(seen) => durable?,
                // What it waits for may become durable all the same; the next primary knows.
                () = self.tenure.lost() => return Err(MasterError::NotPrimary),
            }
        }
        // Checked after the wait: the tenure must be valid when the reply leaves. While it is
        // suspended, replies wait: it is either revived, and then nobody else was primary, or lost.
        if self.tenure.is_valid() || self.tenure.valid().await {
            Ok(())
        } else {
            Err(MasterError::NotPrimary)
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
