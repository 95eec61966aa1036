//! What a master's operation can end with.

use alluxio_journal::JournalError;
use alluxio_namespace::Refusal;
use alluxio_proto::convert::ConvertError;
use alluxio_proto::status::status_of;
use alluxio_types::{BlockId, Code, Coded, JournalSeq, PathError, Retry};
use std::sync::Arc;

/// Why a call was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum MasterError {
    /// The namespace refused.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The under store failed or refused.
    #[error(transparent)]
    Ufs(#[from] alluxio_ufs::Error),
    /// The journal failed: nothing can be acknowledged any more.
    #[error("the journal failed, the master stops: {0}")]
    Journal(Arc<JournalError>),
    /// A message that makes no sense.
    #[error(transparent)]
    Message(#[from] ConvertError),
    /// A path that is not one.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A number out of its bounds.
    #[error("{what} {value} is not between {min} and {max}")]
    OutOfBounds {
        /// What is counted.
        what: &'static str,
        /// What was given.
        value: i64,
        /// Least allowed.
        min: i64,
        /// Most allowed.
        max: i64,
    },
    /// Known, and not built.
    #[error("{what} is not available in this version; {instead}")]
    Unimplemented {
        /// What was asked for.
        what: &'static str,
        /// What can be done instead.
        instead: &'static str,
    },
    /// A complete file is not written any more, and one that is being written not read.
    #[error("{path} is {}", if *completed { "complete" } else { "still being written" })]
    TokenOutOfPlace {
        /// Which.
        path: String,
        /// Whether it is complete.
        completed: bool,
    },
    /// Storage of another cluster.
    #[error(
        "the worker's storage belongs to cluster {theirs}, this is cluster {ours}; run \
         `alluxio formatWorker` on the worker if its cached data can go"
    )]
    ForeignWorker {
        /// The id on the worker's disks.
        theirs: String,
        /// This cluster's id.
        ours: String,
    },
    /// No standby of that name stays with the primary.
    #[error("no standby {master} is with the primary; there are: {}", known.join(", "))]
    NoSuchStandby {
        /// What was asked for.
        master: String,
        /// Those that are.
        known: Vec<String>,
    },
    /// No standby finished a checkpoint in time.
    #[error("no standby has finished a checkpoint at {at} yet; its log says why")]
    CheckpointLate {
        /// The position that it was to cover.
        at: JournalSeq,
    },
    /// One operation id for two changes of different kinds.
    #[error("the operation id was used for a change of another kind")]
    ForeignOperation,
    /// One backup at a time.
    #[error("backup {uri} is being written: `alluxio fsadmin backup --status` tells how far it is")]
    BackupRunning {
        /// The file.
        uri: String,
    },
    /// A directory that no backup can be written to.
    #[error("cannot back up to {directory}: {why}")]
    BackupDirectory {
        /// What was asked for.
        directory: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// No backup of that id.
    #[error("this master knows no backup {id}")]
    NoSuchBackup {
        /// What was asked for.
        id: String,
    },
    /// Nobody has told of a block since this master began, and workers may still be on their way.
    #[error(
        "no worker has told of block {block} yet, and this master has just begun \
         (alluxio.master.worker.connect.wait.time)"
    )]
    WorkersMissing {
        /// What was asked for.
        block: BlockId,
    },
    /// This master is not the primary, or not any more.
    #[error("this master is not the primary")]
    NotPrimary,
    /// This master was the primary, and the election does not answer the question whether it still is.
    #[error("this master cannot reach etcd, and another one may be the primary by now")]
    Unconfirmed,
    /// The master is stopping.
    #[error("the master is stopping")]
    Stopping,
}

impl Coded for MasterError {
    fn code(&self) -> Code {
        match self {
            MasterError::Refused(refusal) => refusal.code(),
            MasterError::Ufs(error) => error.code(),
            MasterError::Journal(_)
            | MasterError::Unconfirmed
            | MasterError::Stopping
            | MasterError::WorkersMissing { .. } => Code::Unavailable,
            MasterError::Message(error) => error.code(),
            MasterError::Path(error) => error.code(),
            MasterError::OutOfBounds { .. } | MasterError::ForeignOperation => {
                Code::InvalidArgument
            }
            MasterError::TokenOutOfPlace { completed: true, .. } => Code::AlreadyCompleted,
            MasterError::TokenOutOfPlace { completed: false, .. } => Code::Incomplete,
            MasterError::Unimplemented { .. } => Code::Unimplemented,
            MasterError::BackupDirectory { .. } => Code::InvalidArgument,
            MasterError::NoSuchBackup { .. } => Code::NotFound,
            MasterError::ForeignWorker { .. } | MasterError::BackupRunning { .. } => {
                Code::FailedPrecondition
            }
            MasterError::NoSuchStandby { .. } => Code::NotFound,
            MasterError::CheckpointLate { .. } => Code::DeadlineExceeded,
            MasterError::NotPrimary => Code::NotPrimary,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            MasterError::Refused(refusal) => refusal.retry(),
            MasterError::Ufs(error) => error.retry(),
            MasterError::NotPrimary | MasterError::Unconfirmed => Retry::OnNewPrimary,
            _ => Retry::Never,
        }
    }
}

impl From<Arc<JournalError>> for MasterError {
    fn from(error: Arc<JournalError>) -> Self {
        MasterError::Journal(error)
    }
}

impl From<JournalError> for MasterError {
    fn from(error: JournalError) -> Self {
        MasterError::Journal(Arc::new(error))
    }
}

impl From<MasterError> for tonic::Status {
    fn from(error: MasterError) -> Self {
        status_of(&error)
    }
}

/// Why a master did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The backup that should fill the journal cannot be restored.
    #[error(transparent)]
    Restore(#[from] crate::backup::restore::RestoreError),
    /// The file of the tree cannot be made.
    #[error("the tree cannot lie in a file in {}, see alluxio.master.metastore.dir: {source}", dir.display())]
    Metastore {
        /// Its directory.
        dir: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A port cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// A metric is registered twice: two masters share one registry.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The web server did not start.
    #[error(transparent)]
    Web(#[from] alluxio_telemetry::AdminError),
    /// The first entries of a new journal were refused.
    #[error("the new namespace cannot be set up: {0}")]
    Setup(MasterError),
    /// The journal failed after the start.
    #[error("the journal failed: {0}")]
    JournalFailed(Arc<JournalError>),
    /// Another master, which this one cannot know of, writes to the same journal.
    #[error(
        "another master has taken over the journal of this one: stop one of them, or let them elect the \
         primary in etcd (alluxio.etcd.endpoints)"
    )]
    Deposed,
    /// One of the others, met by the master's own task.
    #[error(transparent)]
    Later(Arc<StartError>),
    /// The election refused this master.
    #[error(transparent)]
    Election(#[from] alluxio_election::ElectionError),
}
