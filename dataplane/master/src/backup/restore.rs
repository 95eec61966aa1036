//! Filling an empty journal from a backup.

use crate::recover::{digest, recover};
use alluxio_journal::backup::{BackupError, read_backup};
use alluxio_journal::{CheckpointSink, JournalError, JournalStore, Recovered};
use alluxio_namespace::{Foundation, Namespace, StateHash};
use alluxio_types::{CheckpointRecord, Fingerprint, JournalSeq, MountOptions};
use alluxio_ufs::{UnderFs, UnderFsRegistry};
use bytes::Bytes;
use futures::StreamExt;
use std::io::{self, Read};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Containers that are skipped behind those of the backup. Files that were made after it are forgotten,
/// and workers may still hold their blocks, some for a long time: their ids must not name blocks of
/// other files. 2^34 containers last for two days of 100,000 new files a second; 64 restores fit
/// into the 2^40 that there are.
const CONTAINERS_SKIPPED: u64 = 1 << 34;
/// Containers that there are.
const CONTAINERS_MAX: u64 = 1 << 40;
/// Pieces between the task that reads and the thread that restores.
const PIECES_AHEAD: usize = 4;

/// Why a backup was not restored. The journal is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The journal is not empty.
    #[error(
        "the journal has entries up to {last}, and a backup is restored into an empty one only: run \
         `alluxio formatMaster` first if they can go, or leave alluxio.master.journal.init.from.backup \
         (-i) out to start from them"
    )]
    NotEmpty {
        /// Its last entry.
        last: JournalSeq,
    },
    /// The backup cannot be used.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The items are those that were written, and do not make the state that was backed up.
    #[error(
        "backup {uri} gives another state than it was taken of (hash {found:016x}, not \
             {expected:016x}); restore another one"
    )]
    StateHash {
        /// The file.
        uri: String,
        /// What it gives.
        found: u64,
        /// What it says.
        expected: u64,
    },
    /// No more ids for files.
    #[error("backup {uri} was restored so often that no ids for new files are left")]
    NoIdsLeft {
        /// The file.
        uri: String,
    },
    /// The under store of the backup failed or refused.
    #[error("cannot read backup {uri}: {source}")]
    Ufs {
        /// The file.
        uri: String,
        /// Why.
        #[source]
        source: alluxio_ufs::Error,
    },
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The process is stopping.
    #[error("the process is stopping")]
    Stopping,
}

/// Fills `journal`, which was loaded and found to be `recovered`, from the backup at `uri`, and loads it
/// again, into a tree on `foundation`.
///
/// The restored state is the backup's, and one change more: the ids that were given away after the
/// backup are skipped. It stands at the position after the backup's.
///
/// **Errors**: see [`RestoreError`].
pub(crate) async fn fill(
    journal: Arc<dyn JournalStore>,
    stores: &UnderFsRegistry,
    uri: &str,
    recovered: &Recovered,
    foundation: &Foundation,
) -> Result<(Arc<Namespace>, Recovered), RestoreError> {
    if recovered.last > JournalSeq(0) {
        return Err(RestoreError::NotEmpty { last: recovered.last });
    }
    let ufs_error = |source| RestoreError::Ufs { uri: uri.to_owned(), source };
    let directory = match uri.rsplit_once('/') {
        Some(("", _)) => "/",
        Some((directory, _)) => directory,
        None => uri,
    };
    let ufs = stores.open(directory, &MountOptions::default()).map_err(ufs_error)?;
    let input = open(&*ufs, uri).await.map_err(ufs_error)?;
    let (store, name, foundation) = (journal.clone(), uri.to_owned(), foundation.clone());
    let restored = tokio::task::spawn_blocking(move || {
        let items = restore(&*store, &name, input)?;
        Ok::<_, RestoreError>((items, recover(&*store, &foundation)?))
    });
    let (items, (namespace, recovered)) = restored.await.map_err(|_| RestoreError::Stopping)??;
    let last = recovered.last.0;
    tracing::info!(uri, items, last, "Restored {items} entries from backup {uri}");
    Ok((namespace, recovered))
}

/// The bytes of a file, for a thread that reads them.
async fn open(ufs: &dyn UnderFs, uri: &str) -> alluxio_ufs::Result<Input> {
    let facts = ufs.status(uri).await?;
    let version: Fingerprint = facts.fingerprint.clone();
    let mut stream = ufs.read_range(uri, 0, facts.length, &version).await?;
    let (pieces, ready) = mpsc::channel(PIECES_AHEAD);
    tokio::spawn(async move {
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(io::Error::other);
            // Nobody listens any more: the restoring ended.
            if pieces.send(piece).await.is_err() {
                return;
            }
        }
    });
    Ok(Input { piece: Bytes::new(), ready })
}

/// Restores all items; returns how many.
fn restore(journal: &dyn JournalStore, uri: &str, input: impl Read) -> Result<u64, RestoreError> {
    let mut sink: Option<Box<dyn CheckpointSink>> = None;
    let (mut taken, mut restored) = (StateHash::new(), StateHash::new());
    let (_, trailer) = read_backup::<RestoreError>(uri, input, &mut |header, mut record| {
        let sink = match &mut sink {
            Some(sink) => sink,
            none => none.insert(journal.begin_restore(header.sequence.next())?),
        };
        taken.add(&record);
        // What was about to be done in the under store then is nothing to take up now.
        if matches!(record, CheckpointRecord::Intent(_)) {
            return Ok(());
        }
        if let CheckpointRecord::NextContainer(next) = &mut record {
            *next += CONTAINERS_SKIPPED;
            if *next >= CONTAINERS_MAX {
                return Err(RestoreError::NoIdsLeft { uri: uri.to_owned() });
            }
        }
        restored.add(&record);
        Ok(sink.put(&record)?)
    })?;
    let (found, expected) = (taken.finish(), trailer.state_hash);
    if trailer.state_hash_kind == StateHash::KIND && found != expected {
        return Err(RestoreError::StateHash { uri: uri.to_owned(), found, expected });
    }
    let Some(sink) = sink else {
        let what = "there is nothing in it".to_owned();
        return Err(BackupError::Corrupt { file: uri.to_owned(), offset: 0, what }.into());
    };
    sink.finish(digest(restored.finish()))?;
    Ok(trailer.items)
}

/// Bytes that arrive in pieces.
struct Input {
    piece: Bytes,
    ready: mpsc::Receiver<io::Result<Bytes>>,
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.ready.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.piece.len());
        buffer[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}
