//! Backups: the whole tree at one journal position as a file elsewhere, written while the master serves;
//! and filling an empty journal from one.
//!
//! The bytes go to an under store, a directory of this machine included: its writer shows nothing under
//! the final name before all is there. The master holds one part of the file in memory, and records that
//! change before they were copied.
//!
//! Reading order: this file (what the master knows of its backups), [`run`], [`delegate`], [`daily`],
//! [`restore`].

pub(crate) mod daily;
pub(crate) mod delegate;
pub mod restore;
pub(crate) mod run;

use alluxio_types::{JournalSeq, UnixMillis};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Where a backup goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BackupRequest {
    /// Empty: the configured one.
    pub(crate) directory: String,
    /// Whether the directory is one of the machine of the master that writes it.
    pub(crate) local: bool,
    /// Whether the primary writes it although there is a standby.
    pub(crate) bypass_delegation: bool,
}

/// How far a backup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BackupState {
    /// The place is being looked at, the tree not yet held.
    Initiating,
    /// Items are being written.
    Running,
    /// It is there.
    Completed,
    /// It is not there.
    Failed,
}

/// One backup, finished or not.
#[derive(Debug, Clone)]
pub(crate) struct BackupStatus {
    /// Its name among the backups of this master.
    pub(crate) id: String,
    pub(crate) state: BackupState,
    /// The master that writes it.
    pub(crate) host: String,
    /// The file.
    pub(crate) uri: String,
    /// Items written so far.
    pub(crate) entries: u64,
    pub(crate) started: UnixMillis,
    /// How long it took, or takes already.
    pub(crate) duration: Duration,
    /// Why it failed.
    pub(crate) error: Option<String>,
    /// The last journal entry in it, once known.
    pub(crate) sequence: JournalSeq,
    /// The hash of the state after that entry, once known.
    pub(crate) state_hash: u64,
}

/// The backup that runs, or ran last.
#[derive(Default)]
pub(crate) struct Backups {
    newest: Mutex<Option<Tracked>>,
}

struct Tracked {
    status: BackupStatus,
    entries: Arc<AtomicU64>,
    /// Monotonic time of its start.
    began: Duration,
}

impl Tracked {
    fn runs(&self) -> bool {
        matches!(self.status.state, BackupState::Initiating | BackupState::Running)
    }
}

impl Backups {
    fn newest(&self) -> MutexGuard<'_, Option<Tracked>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the place of the running backup; the counter is where its items are counted. The one that
    /// runs already is the error.
    fn begin(&self, status: BackupStatus, began: Duration) -> Result<Arc<AtomicU64>, String> {
        let mut newest = self.newest();
        if let Some(running) = newest.as_ref().filter(|tracked| tracked.runs()) {
            return Err(running.status.uri.clone());
        }
        let entries = Arc::new(AtomicU64::new(0));
        *newest = Some(Tracked { status, entries: entries.clone(), began });
        Ok(entries)
    }

    fn update(&self, change: impl FnOnce(&mut BackupStatus)) {
        if let Some(tracked) = self.newest().as_mut() {
            change(&mut tracked.status);
        }
    }

    /// The newest backup, if it has this id or none is asked for.
    pub(crate) fn status(&self, id: &str, now: Duration) -> Option<BackupStatus> {
        let newest = self.newest();
        let tracked = newest.as_ref().filter(|t| id.is_empty() || t.status.id == id)?;
        let mut status = tracked.status.clone();
        status.entries = tracked.entries.load(Ordering::Relaxed);
        if tracked.runs() {
            status.duration = now.saturating_sub(tracked.began);
        }
        Some(status)
    }
}
