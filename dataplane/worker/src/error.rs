//! What can go wrong in a worker, and why it ends.

use alluxio_datapath::token::TokenError;
use alluxio_types::{BlockId, Code, Coded, MountId, Retry};
use std::path::PathBuf;
use std::time::Duration;

/// A request could not be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The block store refused.
    #[error(transparent)]
    Store(#[from] alluxio_blockstore::Error),
    /// The under store refused.
    #[error(transparent)]
    Ufs(#[from] alluxio_ufs::Error),
    /// The master refused, or cannot be reached.
    #[error(transparent)]
    Master(#[from] alluxio_rpc::RpcError),
    /// Another worker refused, or cannot be reached.
    #[error(transparent)]
    Peer(#[from] alluxio_datapath::Error),
    /// Whoever fetched the block for us failed, in these words.
    #[error("{message}")]
    Fetch {
        /// How.
        code: Code,
        /// In words.
        message: String,
    },
    /// The block is not here and the request names no place to get it from.
    #[error("block {block} is not on this worker, and no other copy was named")]
    NoSource {
        /// Which.
        block: BlockId,
    },
    /// The block here has another length than the caller believes.
    #[error("block {block} has {here_bytes} bytes here, the request says {asked_bytes}")]
    OtherLength {
        /// Which.
        block: BlockId,
        /// Length of the block here.
        here_bytes: u64,
        /// Length in the request.
        asked_bytes: u64,
    },
    /// The UFS has another version of the file.
    #[error("{ufs_path} changed in the under store")]
    Stale {
        /// The file.
        ufs_path: String,
    },
    /// A file exists that may not be replaced.
    #[error("{ufs_path} exists in the under store already")]
    Exists {
        /// The file.
        ufs_path: String,
    },
    /// The mount may not be written to.
    #[error("mount {mount} is read-only")]
    ReadOnlyMount {
        /// Which.
        mount: MountId,
    },
    /// A block would begin or end outside of its file.
    #[error(
        "block {block} of {length} bytes at {offset} does not fit a file of {file_length} bytes"
    )]
    BadSource {
        /// Which.
        block: BlockId,
        /// Its length.
        length: u64,
        /// Its position in the file.
        offset: u64,
        /// Length of the file.
        file_length: u64,
    },
    /// The bytes that came are not as many as were announced.
    #[error("{what} has {found_bytes} bytes, {wanted_bytes} were announced")]
    WrongLength {
        /// What was read or written.
        what: String,
        /// Bytes found.
        found_bytes: u64,
        /// Bytes announced.
        wanted_bytes: u64,
    },
    /// The block token does not open what is asked for.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A call that only workers' own user may make.
    #[error("with block tokens, user {user} cannot call workers; ask the user that they run as")]
    NotForUser {
        /// Who called.
        user: String,
    },
    /// A message makes no sense.
    #[error(transparent)]
    Message(#[from] alluxio_proto::convert::ConvertError),
    /// No block, or no UFS file, is open in this session.
    #[error("no {what} is open in this session")]
    NotOpen {
        /// `block` or `UFS file`.
        what: &'static str,
    },
    /// Too much is going on.
    #[error("too many {what} at once, the limit is {limit}")]
    Busy {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The worker is shutting down.
    #[error("the worker is stopping")]
    Stopping,
}

impl Coded for WorkerError {
    fn code(&self) -> Code {
        match self {
            WorkerError::Store(error) => error.code(),
            WorkerError::Ufs(error) => error.code(),
            WorkerError::Master(error) => error.code(),
            WorkerError::Peer(error) => error.code(),
            WorkerError::Message(error) => error.code(),
            WorkerError::Token(error) => error.code(),
            WorkerError::NotForUser { .. } => Code::PermissionDenied,
            WorkerError::Fetch { code, .. } => *code,
            WorkerError::NoSource { .. } => Code::NotFound,
            WorkerError::OtherLength { .. } | WorkerError::BadSource { .. } => {
                Code::InvalidArgument
            }
            WorkerError::Stale { .. } => Code::Stale,
            WorkerError::Exists { .. } => Code::AlreadyExists,
            WorkerError::ReadOnlyMount { .. } => Code::ReadOnly,
            WorkerError::WrongLength { .. } => Code::DataLoss,
            WorkerError::NotOpen { .. } => Code::FailedPrecondition,
            WorkerError::Busy { .. } => Code::Busy,
            WorkerError::Stopping => Code::Unavailable,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            WorkerError::Store(error) => error.retry(),
            WorkerError::Ufs(error) => error.retry(),
            WorkerError::Peer(error) => error.retry(),
            WorkerError::Busy { .. } => Retry::After(Duration::from_millis(50)),
            _ => Retry::Never,
        }
    }
}

/// The worker could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Its storage cannot be used.
    #[error(transparent)]
    Store(#[from] alluxio_blockstore::OpenError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address} for {what}: {source}")]
    Listen {
        /// For what.
        what: &'static str,
        /// The address or path.
        address: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The web server cannot listen.
    #[error(transparent)]
    Admin(#[from] alluxio_telemetry::AdminError),
    /// A metric is registered twice.
    #[error("cannot register metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The configured masters or the user's name cannot be used.
    #[error("alluxio.security.login.username {user:?} cannot be sent to the master")]
    BadUser {
        /// The name.
        user: String,
    },
    /// An address of a master cannot be used.
    #[error(transparent)]
    BadMaster(#[from] alluxio_rpc::RpcError),
    /// The path of the Unix socket is longer than the system allows.
    #[error("socket path {} is longer than 107 bytes; set alluxio.worker.data.server.domain.socket.address", path.display())]
    SocketPathTooLong {
        /// The path.
        path: PathBuf,
    },
    /// The task that opens the storage was cut off.
    #[error("the process is ending")]
    Ending,
}

impl Coded for StartError {
    fn code(&self) -> Code {
        match self {
            StartError::Store(error) => error.code(),
            StartError::Listen { .. } | StartError::Admin(_) | StartError::Ending => {
                Code::Unavailable
            }
            StartError::Metrics(_) => Code::Internal,
            StartError::BadUser { .. } | StartError::SocketPathTooLong { .. } => {
                Code::InvalidArgument
            }
            StartError::BadMaster(error) => error.code(),
        }
    }
}

/// Why a running worker ended by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// The master does not take this worker: its storage belongs to another cluster.
    #[error("{0}")]
    Refused(String),
    /// No master answered for `alluxio.worker.master.connect.retry.timeout`.
    #[error("no master answered for {} s: {last}", after.as_secs())]
    MasterLost {
        /// For how long.
        after: Duration,
        /// The last thing that went wrong.
        last: String,
    },
    /// Every storage directory is lost.
    #[error("every storage directory is lost; the last one: {0}")]
    NoStorage(String),
}

impl Coded for Stopped {
    fn code(&self) -> Code {
        match self {
            Stopped::Refused(_) => Code::FailedPrecondition,
            Stopped::MasterLost { .. } | Stopped::NoStorage(_) => Code::Unavailable,
        }
    }
}
