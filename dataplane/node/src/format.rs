//! `format`, `formatMaster`, `formatWorker`: what a cluster starts from.

use crate::error::at;
use crate::master::{JournalPlace, local_folder, new_cluster_id};
use crate::shared_folder::UfsFolder;
use crate::{NodeError, Process};
use alluxio_journal::JournalError;
use alluxio_journal::{etcd, folder, shared};
use alluxio_types::{Code, Coded};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Makes the journal empty. Returns its folder; `None` for a journal that keeps nothing. Blocking.
///
/// **Errors**: `Config`, `JournalStore`, `Journal` (a master uses it, foreign files in it).
pub fn format_master(process: &Process) -> Result<Option<PathBuf>, NodeError> {
    let config = process.config.master()?;
    let cluster_id = new_cluster_id(&process.host);
    let path = local_folder(&config.journal);
    match (JournalPlace::of(&config), &config.etcd) {
        (JournalPlace::Memory, _) => return Ok(None),
        (JournalPlace::Etcd, Some(settings)) => {
            let etcd = alluxio_rpc::etcd::connect(settings)?;
            wait(etcd::format(&etcd, &process.host, path.clone(), &cluster_id))?;
        }
        (JournalPlace::Shared, _) => {
            let work = async {
                let folder = UfsFolder::open(&config, &process.host)?;
                shared::format(&folder, &process.host, &cluster_id).await?;
                Ok::<_, NodeError>(PathBuf::from(folder.uri()))
            };
            return wait(work).map(Some);
        }
        _ => {
            folder::format(&process.host, &path, &cluster_id)?;
        }
    }
    Ok(Some(path))
}

/// Waits in a call that blocks, within the runtime.
fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(work))
}

/// How long the store of a journal is waited for that does not answer yet: where etcd starts along with its masters,
/// its members need some seconds to find each other.
const STORE_WITHIN: Duration = Duration::from_secs(60);
/// Pause before it is asked again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Makes the journal empty if it was never formatted; returns whether it did. Waits a minute for a store that does not
/// answer. Blocking.
///
/// **Errors**: as [`format_master`]; a damaged or newer journal is left alone and named.
pub fn format_master_if_new(process: &Process) -> Result<bool, NodeError> {
    let clock = &process.host.clock;
    let until = clock.monotonic().saturating_add(STORE_WITHIN);
    loop {
        match format_once(process) {
            Err(error) if error.code() == Code::Unavailable && clock.monotonic() < until => {
                tracing::info!(%error, "the store of the journal is asked again");
                wait(tokio::time::sleep(AGAIN_AFTER));
            }
            outcome => return outcome,
        }
    }
}

fn format_once(process: &Process) -> Result<bool, NodeError> {
    let config = process.config.master()?;
    if let (JournalPlace::Etcd, Some(settings)) = (JournalPlace::of(&config), &config.etcd) {
        let etcd = alluxio_rpc::etcd::connect(settings)?;
        let cluster_id = new_cluster_id(&process.host);
        let folder = local_folder(&config.journal);
        let made = wait(etcd::format_if_new(&etcd, &process.host, folder, &cluster_id))?;
        return Ok(made.cluster_id == cluster_id);
    }
    match is_formatted(process) {
        Ok(true) => Ok(false),
        Ok(false) => match format_master(process) {
            // Of several masters that were told so at once, another one was faster.
            Err(_) if is_formatted(process)? => Ok(false),
            formatted => formatted.map(|_| true),
        },
        Err(error) => Err(error),
    }
}

/// Whether there is a journal already; one that keeps nothing always is.
fn is_formatted(process: &Process) -> Result<bool, NodeError> {
    let config = process.config.master()?;
    let found = match JournalPlace::of(&config) {
        JournalPlace::Memory => return Ok(true),
        JournalPlace::Shared => wait(async {
            let folder = UfsFolder::open(&config, &process.host)?;
            Ok::<_, NodeError>(shared::inspect(&*folder).await)
        })?,
        _ => folder::inspect(&process.host, &local_folder(&config.journal)),
    };
    match found {
        Ok(_) => Ok(true),
        Err(JournalError::NotFormatted { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Removes what workers stored in the directories of this configuration. Returns them. Blocking.
///
/// **Errors**: `Config`, `WorkerRuns`, `FormatWorker`.
pub fn format_worker(process: &Process) -> Result<Vec<PathBuf>, NodeError> {
    let config = process.config.worker()?;
    let folder = config.data_folder;
    let dirs = config.tiers.into_iter().flat_map(|tier| tier.dirs);
    dirs.map(|dir| {
        let path = dir.path;
        match alluxio_blockstore::identity::format(&*process.host.disk, &path, &folder) {
            Ok(()) => Ok(path),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(NodeError::WorkerRuns { path })
            }
            Err(source) => Err(NodeError::FormatWorker { path, source }),
        }
    })
    .collect()
}

/// Removes the directories of this worker's configuration that are empty, and the files of its sockets with their
/// directory. Returns what it removed. What others keep there stays. Blocking.
///
/// **Errors**: `Config`; a directory that cannot be read or removed.
pub fn leave_worker(process: &Process) -> Result<Vec<PathBuf>, NodeError> {
    let config = process.config.worker()?;
    let mut removed = Vec::new();
    let mut dirs: Vec<PathBuf> =
        config.tiers.into_iter().flat_map(|tier| tier.dirs).map(|dir| dir.path).collect();
    if let Some(sockets) = config.domain_socket_path.filter(|_| config.domain_socket_as_uuid) {
        remove_sockets(&sockets).map_err(at("remove sockets in", sockets.clone()))?;
        dirs.push(sockets);
    }
    for dir in dirs {
        match std::fs::remove_dir(&dir) {
            Ok(()) => removed.push(dir),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // Somebody else's files are in it, or it is where something is mounted, maybe into what is read-only.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty
                        | io::ErrorKind::ResourceBusy
                        | io::ErrorKind::ReadOnlyFilesystem
                ) => {}
            Err(error) => return Err(at("remove", dir)(error)),
        }
    }
    Ok(removed)
}

fn remove_sockets(dir: &Path) -> io::Result<()> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_socket() {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
