//! Taking a backup.

use super::{BackupRequest, BackupState, BackupStatus, delegate};
use crate::core::Core;
use crate::error::MasterError;
use crate::recover::copy_records;
use crate::ufs_table::UfsTable;
use alluxio_journal::backup::{BackupWriter, file_name};
use alluxio_namespace::{Checkpoint, Error, Namespace};
use alluxio_proto::v1::meta as pb;
use alluxio_types::mount::join_uri;
use alluxio_types::{AlluxioPath, JournalSeq, Mode, MountOptions, UnixMillis};
use alluxio_ufs::{CreateOptions, MkdirOptions, UfsAttributes, UnderFs};
use bytes::Bytes;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// Bytes handed to the under store at once.
const PIECE_BYTES: usize = 1 << 20;
/// Pieces between the thread that copies and the task that writes.
const PIECES_AHEAD: usize = 2;
/// Time between two attempts while a checkpoint holds the tree.
const CHECKPOINT_PAUSE: Duration = Duration::from_millis(100);

/// A finished backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) sequence: JournalSeq,
    pub(crate) items: u64,
    pub(crate) state_hash: u64,
}

/// A directory that backups are written to.
pub(crate) struct Place {
    pub(crate) ufs: Arc<dyn UnderFs>,
    /// Without a trailing slash, unless it is the root of the store.
    pub(crate) directory: String,
}

/// Opens the directory of a request: a path of this machine, a URI, or a path in the root under store of
/// `namespace`.
///
/// **Errors**: `BackupDirectory` and `Ufs` for a place that cannot be opened.
pub(crate) fn place(
    namespace: &Namespace,
    ufs: &UfsTable,
    directory: &str,
    local: bool,
) -> Result<Place, MasterError> {
    let is_uri = directory.contains("://");
    let refused = |why| MasterError::BackupDirectory { directory: directory.to_owned(), why };
    if !is_uri && !directory.starts_with('/') {
        return Err(refused("it must be an absolute path, or a URI"));
    }
    if is_uri && local {
        return Err(refused("--local takes a path of the master's machine"));
    }
    if is_uri || local {
        let ufs = ufs.try_open(directory, &MountOptions::default())?;
        return Ok(Place { directory: ufs.root().to_owned(), ufs });
    }
    let root = namespace.mount_of(&AlluxioPath::root());
    let root = root.ok_or_else(|| refused("there is no root mount"))?;
    if root.read_only {
        return Err(refused("the root mount is read-only: name another URI, or use --local"));
    }
    let directory = join_uri(&root.ufs_uri, directory.trim_matches('/'));
    Ok(Place { ufs: ufs.of(&root)?, directory })
}

/// What became of a standby's part.
enum Delegated {
    Written(Written),
    /// There is none, or it shall not.
    NotAsked,
    Failed,
}

/// A backup that has its turn.
struct Begun {
    request: BackupRequest,
    place: Place,
    file: String,
    entries: Arc<AtomicU64>,
    status: BackupStatus,
}

impl Core {
    /// Begins a backup in the background and says which. It outlives the call.
    ///
    /// **Errors**: `BackupRunning`; `BackupDirectory` and `Ufs` for a place that cannot be opened.
    pub(crate) async fn start_backup(
        self: &Arc<Self>,
        request: &BackupRequest,
    ) -> Result<BackupStatus, MasterError> {
        let begun = self.begin_backup(request)?;
        let status = begun.status.clone();
        let core = self.clone();
        tokio::spawn(async move {
            // The outcome is in the status, and in the log.
            let _ = core.write_backup(&begun).await;
        });
        Ok(status)
    }

    /// Takes a backup and returns when it is there.
    ///
    /// **Errors**: as [`Core::start_backup`], and what the under store says.
    pub(crate) async fn backup(
        self: &Arc<Self>,
        request: &BackupRequest,
    ) -> Result<Place, MasterError> {
        let begun = self.begin_backup(request)?;
        self.write_backup(&begun).await?;
        Ok(begun.place)
    }

    fn begin_backup(&self, request: &BackupRequest) -> Result<Begun, MasterError> {
        let directory = match request.directory.trim_end_matches('/') {
            "" if request.directory.is_empty() => self.config.backup.directory.clone(),
            "" => "/".to_owned(),
            given => given.to_owned(),
        };
        let place = place(&self.namespace, &self.ufs, &directory, request.local)?;
        let (started, began) = (self.host.clock.now(), self.host.clock.monotonic());
        let file = file_name(started);
        let status = BackupStatus {
            id: format!("{:016x}", self.host.entropy.next_u64()),
            state: BackupState::Initiating,
            host: self.config.hostname.clone(),
            uri: join_uri(&place.directory, &file),
            entries: 0,
            started,
            duration: Duration::ZERO,
            error: None,
            sequence: JournalSeq(0),
            state_hash: 0,
        };
        match self.backups.begin(status.clone(), began) {
            Ok(entries) => {
                let request = BackupRequest { directory, ..request.clone() };
                Ok(Begun { request, place, file, entries, status })
            }
            Err(running) => Err(MasterError::BackupRunning { uri: running }),
        }
    }

    async fn write_backup(&self, begun: &Begun) -> Result<Written, MasterError> {
        let began = self.host.clock.monotonic();
        let result = match self.delegate_backup(begun).await {
            Delegated::Written(written) => Ok(written),
            Delegated::NotAsked => self.copy_tree(begun, &begun.status.uri).await,
            Delegated::Failed => {
                // Another name: a standby that is cut off may still finish the first one.
                let file = file_name(self.host.clock.now());
                let uri = join_uri(&begun.place.directory, &file);
                begun.entries.store(0, Ordering::Relaxed);
                let host = self.config.hostname.clone();
                self.backups.update(|status| (status.host, status.uri) = (host, uri.clone()));
                self.copy_tree(begun, &uri).await
            }
        };
        let duration = self.host.clock.monotonic().saturating_sub(began);
        self.backups.update(|status| {
            status.duration = duration;
            match &result {
                Ok(written) => {
                    status.state = BackupState::Completed;
                    (status.sequence, status.state_hash) = (written.sequence, written.state_hash);
                }
                Err(error) => {
                    status.state = BackupState::Failed;
                    status.error = Some(error.to_string());
                }
            }
        });
        let ms = duration.as_millis() as u64;
        match &result {
            Ok(Written { sequence, items, .. }) => {
                tracing::info!(
                    id = begun.status.id,
                    items,
                    seq = sequence.0,
                    ms,
                    "backup is written"
                );
            }
            Err(error) => tracing::error!(uri = begun.status.uri, %error, ms, "the backup failed"),
        }
        result
    }

    /// Lets the standby write it that is the furthest.
    async fn delegate_backup(&self, begun: &Begun) -> Delegated {
        let standby = self.standbys.list().into_iter().max_by_key(|standby| standby.applied);
        let Some(standby) = standby.filter(|_| !begun.request.bypass_delegation) else {
            return Delegated::NotAsked;
        };
        let order = pb::WriteBackupRequest {
            directory: begun.request.directory.clone(),
            local: begun.request.local,
            file: begun.file.clone(),
            at_least_seq: self.gate.committed().0,
        };
        self.backups.update(|status| status.host = standby.host.clone());
        let told = |progress: &pb::BackupProgress| {
            begun.entries.store(progress.entries, Ordering::Relaxed);
            self.backups.update(|status| {
                status.state = BackupState::Running;
                status.uri = progress.uri.clone();
                status.sequence = JournalSeq(progress.sequence);
            });
        };
        let address = format!("{}:{}", standby.host, standby.rpc_port);
        match delegate::order(&self.host, &self.itself.user, &address, order, told).await {
            Ok(written) => Delegated::Written(written),
            Err(why) => {
                tracing::warn!(standby = address, %why, "the standby wrote no backup, I do");
                Delegated::Failed
            }
        }
    }

    async fn copy_tree(&self, begun: &Begun, uri: &str) -> Result<Written, MasterError> {
        let place = &begun.place;
        place.ufs.mkdir(&place.directory, MkdirOptions::recursive()).await?;
        let checkpoint = loop {
            let held = self.writer.begin_checkpoint().await;
            if !is_busy(&held).await {
                break held?;
            }
        };
        // What the backup says must not be taken back by a crash.
        self.gate.pass(checkpoint.seq()).await?;
        self.backups.update(|status| {
            status.state = BackupState::Running;
            status.sequence = checkpoint.seq();
        });
        let facts = Facts {
            cluster_id: self.namespace.cluster_id().unwrap_or_default(),
            created: self.host.clock.now(),
        };
        write(checkpoint, facts, &*place.ufs, uri, begun.entries.clone()).await
    }
}

/// Whether the tree is held by somebody else; then it is worth another attempt when this returns.
pub(crate) async fn is_busy(held: &Result<Checkpoint, MasterError>) -> bool {
    let busy = matches!(held, Err(MasterError::Refused(r)) if r.error == Error::CheckpointRunning);
    if busy {
        tokio::time::sleep(CHECKPOINT_PAUSE).await;
    }
    busy
}

/// What the head of a backup says besides the position.
pub(crate) struct Facts {
    pub(crate) cluster_id: String,
    pub(crate) created: UnixMillis,
}

/// Writes a held tree to `uri`. Needs no more of a master than the tree: a standby can do it as well.
///
/// **Cancel safety**: dropped before its end, nothing is visible at `uri`.
pub(crate) async fn write(
    checkpoint: Checkpoint,
    facts: Facts,
    ufs: &dyn UnderFs,
    uri: &str,
    entries: Arc<AtomicU64>,
) -> Result<Written, MasterError> {
    // The file holds the credentials of all mounts.
    let attributes = UfsAttributes { mode: Some(Mode(0o600)), ..UfsAttributes::default() };
    let mut file = ufs.create(uri, CreateOptions { attributes, length_hint: None }).await?;
    let (pieces, mut ready) = mpsc::channel::<Bytes>(PIECES_AHEAD);
    let copying = tokio::task::spawn_blocking(move || {
        let out = Pieces { buffer: Vec::with_capacity(PIECE_BYTES), pieces };
        copy(checkpoint, &facts, out, &entries)
    });
    while let Some(piece) = ready.recv().await {
        if let Err(error) = file.write(piece).await {
            // Nobody takes pieces any more, so the copying ends.
            drop(ready);
            let _ = copying.await;
            // What is left of the file is the store's to clean up.
            let _ = file.abort().await;
            return Err(error.into());
        }
    }
    // The copying ended, perhaps early: only its word makes the file whole.
    match copying.await {
        Ok(Ok(written)) => {
            file.finish().await?;
            Ok(written)
        }
        Ok(Err(_)) | Err(_) => {
            let _ = file.abort().await;
            Err(MasterError::Stopping)
        }
    }
}

fn copy(
    checkpoint: Checkpoint,
    facts: &Facts,
    out: Pieces,
    entries: &AtomicU64,
) -> io::Result<Written> {
    let sequence = checkpoint.seq();
    let version = env!("CARGO_PKG_VERSION");
    let mut writer = BackupWriter::new(out, &facts.cluster_id, sequence, facts.created, version)?;
    let state = copy_records(checkpoint, |record| {
        entries.fetch_add(1, Ordering::Relaxed);
        writer.put(record)
    })?;
    let (_, items) = writer.finish(state.hash, state.kind)?;
    Ok(Written { sequence, items, state_hash: state.hash })
}

/// Gathers bytes into pieces for the task that writes them.
struct Pieces {
    buffer: Vec<u8>,
    pieces: mpsc::Sender<Bytes>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE_BYTES));
        self.pieces.blocking_send(piece.into()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
