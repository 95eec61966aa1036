//! `format`, `formatMaster`, `formatWorker`: what a cluster starts from.

use crate::master::{journal_folder, new_cluster_id};
use crate::{NodeError, Process};
use alluxio_config::JournalKind;
use alluxio_journal::JournalError;
use alluxio_journal::{etcd, folder};
use std::io;
use std::path::PathBuf;

/// Makes the journal empty. Returns its folder; `None` for a journal that keeps nothing. Blocking.
///
/// **Errors**: `Config`, `RemoteJournal`, `Journal` (a master uses it, foreign files in it).
pub fn format_master(process: &Process) -> Result<Option<PathBuf>, NodeError> {
    let config = process.config.master()?;
    if config.journal.kind == JournalKind::Memory {
        return Ok(None);
    }
    let path = journal_folder(&config.journal)?;
    let cluster_id = new_cluster_id(&process.host);
    match (config.journal.kind, &config.etcd) {
        (JournalKind::Etcd, Some(settings)) => {
            let etcd = alluxio_rpc::etcd::connect(settings)?;
            wait(etcd::format(&etcd, &process.host, path.clone(), &cluster_id))?;
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

/// Makes the journal empty if it was never formatted; returns whether it did. Blocking.
///
/// **Errors**: as [`format_master`]; a damaged or newer journal is left alone and named.
pub(crate) fn format_master_if_new(process: &Process) -> Result<bool, NodeError> {
    let config = process.config.master()?;
    if config.journal.kind == JournalKind::Memory {
        return Ok(false);
    }
    let found = match (config.journal.kind, &config.etcd) {
        (JournalKind::Etcd, Some(settings)) => {
            wait(etcd::inspect(&*alluxio_rpc::etcd::connect(settings)?))
        }
        _ => folder::inspect(&process.host, &journal_folder(&config.journal)?),
    };
    match found {
        Ok(_) => Ok(false),
        Err(JournalError::NotFormatted { .. }) => format_master(process).map(|_| true),
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
