//! The newest checkpoint of this master, for reports.

use crate::role::Station;
use alluxio_journal::JournalStore;
use std::sync::{Arc, Mutex, PoisonError};

/// What reports say of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct NewestCheckpoint {
    /// Last entry that it covers.
    pub(crate) seq: u64,
    /// When it was written.
    pub(crate) created_ms: u64,
    /// Size of its file.
    pub(crate) length_bytes: u64,
}

/// Remembers it: a standby reports several times a second, and a checkpoint lasts for minutes.
#[derive(Default)]
pub(crate) struct NewestMemory(Mutex<NewestCheckpoint>);

impl Station {
    /// The checkpoint at position `at`, which `journal` keeps; zeros when there is none.
    pub(crate) async fn newest_checkpoint(
        &self,
        journal: &Arc<dyn JournalStore>,
        at: u64,
    ) -> NewestCheckpoint {
        let known = *self.newest.0.lock().unwrap_or_else(PoisonError::into_inner);
        if at == 0 || known.seq == at {
            return if at == 0 { NewestCheckpoint::default() } else { known };
        }
        let journal = journal.clone();
        let looked = self.host.threads.blocking(move || journal.open_checkpoint()).await;
        let Ok(Ok(Some(source))) = looked else {
            // A report is no place to fail: the position is known all the same.
            return NewestCheckpoint { seq: at, ..NewestCheckpoint::default() };
        };
        let info = source.info();
        let found = NewestCheckpoint {
            seq: info.at.0,
            created_ms: info.created.0,
            length_bytes: info.length_bytes,
        };
        *self.newest.0.lock().unwrap_or_else(PoisonError::into_inner) = found;
        found
    }
}
