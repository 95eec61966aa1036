//! What can go wrong for a caller of the file system.

use alluxio_proto::convert::ConvertError;
use alluxio_rpc::RpcError;
use alluxio_types::{BlockId, Code, Coded, PathError, Retry};
use std::time::Duration;

/// A failure of an operation of the file system.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The master refused, or could not be reached.
    #[error(transparent)]
    Master(#[from] RpcError),
    /// The master refused one path of many.
    #[error("{message}")]
    Refused {
        /// What it said.
        code: Code,
        /// In its words.
        message: String,
    },
    /// A path that is none.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A reply of the master makes no sense.
    #[error("reply of the master makes no sense: {0}")]
    BadReply(#[from] ConvertError),
    /// A configured name that cannot be used.
    #[error("{key} is {value:?}, which is not usable")]
    BadConfig {
        /// Configuration key.
        key: &'static str,
        /// Its value.
        value: String,
    },
    /// Something that is known and not built.
    #[error("{what} is not available yet: {instead}")]
    NotBuilt {
        /// What was asked for.
        what: &'static str,
        /// What to do in its place.
        instead: &'static str,
    },
    /// A directory where a file is needed.
    #[error("{path} is a directory")]
    IsADirectory {
        /// Which.
        path: String,
    },
    /// A symbolic link where a file is needed.
    #[error("{path} is a symbolic link, which only a mount follows")]
    IsASymlink {
        /// Which.
        path: String,
    },
    /// The file is still being written.
    #[error("{path} is still being written")]
    Incomplete {
        /// Which.
        path: String,
    },
    /// A position beyond the end of a file.
    #[error("position {position} is beyond the end of {path} at {length}")]
    OutOfRange {
        /// Which file.
        path: String,
        /// Asked for.
        position: u64,
        /// Its length in bytes.
        length: u64,
    },
    /// The file changed while it was read.
    #[error("{path} changed in the under store while it was read; open it again")]
    Stale {
        /// Which file.
        path: String,
    },
    /// A block that nobody has, of a file that is in no UFS.
    #[error("block {block} of {path} is unavailable in both Alluxio and UFS")]
    BlockUnavailable {
        /// Which file.
        path: String,
        /// Which block.
        block: BlockId,
    },
    /// All that could be tried for a block failed.
    #[error("cannot read block {block} of {path} after {tries} tries over {spent:?}: {last}")]
    ReadFailed {
        /// Which file.
        path: String,
        /// Which block.
        block: BlockId,
        /// Requests that failed.
        tries: u32,
        /// Time since the first one.
        spent: Duration,
        /// The last failure.
        #[source]
        last: alluxio_datapath::Error,
    },
    /// Writing to a worker failed and cannot go on elsewhere.
    #[error("cannot write {path}: {source}")]
    WriteFailed {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: alluxio_datapath::Error,
    },
    /// The file must be cached and no worker can take its block.
    #[error("failed to cache {path}: {reason}")]
    CacheFailed {
        /// Which file.
        path: String,
        /// Why, of the last worker that was asked.
        reason: String,
    },
    /// There is no worker for what is asked.
    #[error("no available Alluxio worker found for {purpose}")]
    NoWorker {
        /// What it is needed for.
        purpose: &'static str,
    },
    /// A writer that was closed, cancelled, or has failed.
    #[error("the writer of {path} is closed")]
    WriterClosed {
        /// Which file.
        path: String,
    },
    /// A call from a place where it cannot wait.
    #[error("a blocking call was made from an asynchronous task")]
    BlockingInAsync,
}

impl Coded for ClientError {
    fn code(&self) -> Code {
        match self {
            ClientError::Master(error) => error.code(),
            ClientError::Refused { code, .. } => *code,
            ClientError::Path(error) => error.code(),
            ClientError::BadReply(_) => Code::Internal,
            ClientError::BadConfig { .. } | ClientError::IsASymlink { .. } => Code::InvalidArgument,
            ClientError::NotBuilt { .. } => Code::Unimplemented,
            ClientError::IsADirectory { .. } => Code::IsADirectory,
            ClientError::Incomplete { .. } => Code::Incomplete,
            ClientError::OutOfRange { .. } => Code::OutOfRange,
            ClientError::Stale { .. } => Code::Stale,
            ClientError::BlockUnavailable { .. } => Code::Unavailable,
            ClientError::ReadFailed { last, .. } => last.code(),
            ClientError::WriteFailed { source, .. } => source.code(),
            ClientError::CacheFailed { .. } => Code::ResourceExhausted,
            ClientError::NoWorker { .. } => Code::Unavailable,
            ClientError::WriterClosed { .. } | ClientError::BlockingInAsync => {
                Code::FailedPrecondition
            }
        }
    }

    /// Everything that helps was tried already.
    fn retry(&self) -> Retry {
        match self {
            ClientError::Master(error) => error.retry(),
            _ => Retry::Never,
        }
    }
}
