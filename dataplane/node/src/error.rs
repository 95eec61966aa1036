//! Why a process does not run, or ended.

use alluxio_config::ConfigError;
use alluxio_journal::JournalError;
use alluxio_telemetry::TraceError;
use alluxio_types::{Code, Coded};
use std::io;
use std::path::PathBuf;

/// Why a process does not run, or ended.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Wrong arguments; the message is complete and may have several lines.
    #[error("{message}")]
    Usage {
        /// What to print.
        message: String,
    },
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Logging cannot be set up.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The store of the journal cannot be opened.
    #[error("alluxio.master.journal.folder: {0}")]
    JournalStore(#[from] alluxio_ufs::Error),
    /// etcd cannot be used as it is configured.
    #[error("etcd: {0}")]
    Etcd(#[from] alluxio_etcd::EtcdError),
    /// There is nothing for a secondary master to do.
    #[error(
        "a secondary master writes checkpoints for one master whose journal is a folder of its machine \
         (alluxio.master.journal.type=UFS); where several masters share a journal the standby masters do \
         that, and NOOP keeps nothing"
    )]
    NoSecondary,
    /// The master did not start.
    #[error("the master did not start: {0}")]
    Master(#[from] alluxio_master::StartError),
    /// The worker did not start.
    #[error("the worker did not start: {0}")]
    Worker(#[from] alluxio_worker::StartError),
    /// The CSI driver did not start.
    #[error("the CSI driver did not start: {0}")]
    Csi(#[from] alluxio_csi::start::StartError),
    /// The driver cannot hold mounts.
    #[error("alluxio.csi.keeper.socket: {0}")]
    Keeper(#[from] alluxio_fuse::keeper::server::ServerError),
    /// There is no way to the namespace.
    #[error(transparent)]
    Client(#[from] alluxio_client::ClientError),
    /// The journal failed while the master served.
    #[error("the master ends, its journal failed: {reason}")]
    JournalFailed {
        /// What the journal said.
        reason: String,
    },
    /// The worker cannot go on.
    #[error("the worker ends: {reason}")]
    WorkerStopped {
        /// What happened to it.
        reason: alluxio_worker::Stopped,
    },
    /// A metric was registered twice.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// A worker's directory cannot be formatted.
    #[error("cannot format {}: {source}", path.display())]
    FormatWorker {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A worker uses the directory that was to be formatted.
    #[error("cannot format {}: a worker uses it, stop it first", path.display())]
    WorkerRuns {
        /// The directory.
        path: PathBuf,
    },
    /// A file or directory of ours cannot be used.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A task that does blocking work was lost with its thread.
    #[error("a task ended without a result: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl Coded for NodeError {
    fn code(&self) -> Code {
        match self {
            NodeError::Usage { .. } | NodeError::Config(_) | NodeError::Trace(_) => {
                Code::InvalidArgument
            }
            NodeError::Journal(error) => error.code(),
            NodeError::Etcd(error) => error.code(),
            NodeError::JournalStore(error) => error.code(),
            NodeError::Csi(error) => error.code(),
            NodeError::Client(error) => error.code(),
            NodeError::NoSecondary | NodeError::WorkerRuns { .. } | NodeError::Keeper(_) => {
                Code::FailedPrecondition
            }
            NodeError::Master(_)
            | NodeError::Worker(_)
            | NodeError::JournalFailed { .. }
            | NodeError::WorkerStopped { .. } => Code::Unavailable,
            NodeError::FormatWorker { .. } | NodeError::Io { .. } => Code::FailedPrecondition,
            NodeError::Metrics(_) | NodeError::Task(_) => Code::Internal,
        }
    }
}

/// Names what was tried when the machine says no.
pub(crate) fn at(
    action: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(io::Error) -> NodeError {
    let path = path.into();
    move |source| NodeError::Io { action, path, source }
}
