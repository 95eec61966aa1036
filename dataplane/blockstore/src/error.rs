//! What can go wrong in the block store, as facts.

use alluxio_types::{BlockId, Code, Coded, Retry, TierAlias, WorkerId};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// An operation on a block did not happen. Nothing is left behind by a failed operation: its
/// temporary file and its space are returned before the error is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store does not hold the block.
    #[error("block {block} is not on this worker")]
    NoBlock {
        /// Which.
        block: BlockId,
    },
    /// The block is here already, complete.
    #[error("block {block} is already stored")]
    AlreadyStored {
        /// Which.
        block: BlockId,
    },
    /// Somebody else is filling the block.
    #[error("block {block} is being written by somebody else")]
    AlreadyFilling {
        /// Which.
        block: BlockId,
    },
    /// The block was removed while it was being filled or moved.
    #[error("block {block} was removed while it was being written")]
    Removed {
        /// Which.
        block: BlockId,
    },
    /// The block is being moved to another tier by somebody else.
    #[error("block {block} is being moved")]
    Moving {
        /// Which.
        block: BlockId,
    },
    /// No directory can make that much room: what is there is pinned, in use, or the quota is
    /// smaller than the request.
    #[error(
        "no room for {wanted_bytes} bytes of block {block}: tiers hold {used_bytes} of \
         {capacity_bytes} bytes and nothing more can be evicted (pinned, or being read)"
    )]
    NoSpace {
        /// For which block.
        block: BlockId,
        /// How much was asked for.
        wanted_bytes: u64,
        /// Accounted bytes of all live directories.
        used_bytes: u64,
        /// Quota of all live directories.
        capacity_bytes: u64,
    },
    /// The file system below a directory is full although its quota is not used up.
    #[error("disk of {} is full before its quota of {quota_bytes} bytes is used", dir.display())]
    DiskFull {
        /// The directory.
        dir: PathBuf,
        /// Its quota.
        quota_bytes: u64,
    },
    /// A directory is gone, read-only or broken; it takes no part any more.
    #[error("storage directory {} is lost: {source}", dir.display())]
    DirLost {
        /// The directory.
        dir: PathBuf,
        /// What the machine said.
        source: io::Error,
    },
    /// Bytes of a block do not match their checksum. The block was dropped.
    #[error("block {block} fails its checksum in bytes {start}..{end}")]
    Corrupt {
        /// Which.
        block: BlockId,
        /// First byte of the chunk that fails.
        start: u64,
        /// One past its last byte.
        end: u64,
    },
    /// The length given at commit does not agree with the file or the checksums.
    #[error("block {block}: {wanted_bytes} bytes were promised, {found_bytes} are there")]
    LengthMismatch {
        /// Which.
        block: BlockId,
        /// What the writer said.
        wanted_bytes: u64,
        /// What the store found.
        found_bytes: u64,
    },
    /// A write or read lies outside of the block or of the reserved room.
    #[error("block {block}: bytes {start}..{end} lie beyond its {limit_bytes} bytes")]
    OutOfRange {
        /// Which.
        block: BlockId,
        /// First byte asked for.
        start: u64,
        /// One past the last byte asked for.
        end: u64,
        /// Length or reservation of the block.
        limit_bytes: u64,
    },
    /// A tier number or alias that does not exist.
    #[error("there is no tier {tier}; this worker has {tiers} tiers")]
    NoTier {
        /// What was asked for.
        tier: usize,
        /// How many there are.
        tiers: usize,
    },
    /// Any other refusal of the machine.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the machine said.
        #[source]
        source: io::Error,
    },
}

impl Coded for Error {
    fn code(&self) -> Code {
        match self {
            Error::NoBlock { .. } | Error::NoTier { .. } => Code::NotFound,
            Error::AlreadyStored { .. } => Code::AlreadyExists,
            Error::AlreadyFilling { .. } | Error::Moving { .. } => Code::Busy,
            Error::Removed { .. } => Code::Aborted,
            Error::NoSpace { .. } | Error::DiskFull { .. } => Code::ResourceExhausted,
            Error::DirLost { .. } | Error::Io { .. } => Code::Unavailable,
            Error::Corrupt { .. } => Code::DataLoss,
            Error::LengthMismatch { .. } => Code::InvalidArgument,
            Error::OutOfRange { .. } => Code::OutOfRange,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Error::AlreadyFilling { .. } | Error::Moving { .. } => {
                Retry::After(Duration::from_millis(20))
            }
            // The broken directory takes no part any more, so the next try lands elsewhere.
            Error::DirLost { .. } | Error::Removed { .. } => Retry::Now,
            _ => Retry::Never,
        }
    }
}

/// The store could not be opened. Each message says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A tier without a directory, a quota of 0, watermarks out of order, or a path given twice.
    #[error("tier {tier}: {what}")]
    BadLayout {
        /// Number of the tier, 0 is the top.
        tier: usize,
        /// What is wrong with it.
        what: String,
    },
    /// The directory belongs to another worker.
    #[error(
        "{} belongs to worker {found}, the other directories to worker {expected}; \
         give each worker its own directories or run `alluxio formatWorker`", dir.display()
    )]
    ForeignWorker {
        /// The directory.
        dir: PathBuf,
        /// Whose it is.
        found: WorkerId,
        /// Whose it should be.
        expected: WorkerId,
    },
    /// The directory holds blocks of another cluster. Their ids mean other files there.
    #[error(
        "{} holds blocks of cluster {found}, this is cluster {expected}; \
         run `alluxio formatWorker` to drop them", dir.display()
    )]
    ForeignCluster {
        /// The directory.
        dir: PathBuf,
        /// The cluster it was used by.
        found: String,
        /// The cluster it is asked to join.
        expected: String,
    },
    /// The identity file is there and cannot be read as one.
    #[error(
        "{} is not a worker identity file: {what}; run `alluxio formatWorker`", path.display()
    )]
    BadIdentity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Another process uses the directory.
    #[error("{} is in use by another worker process", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// No directory could be used at all.
    #[error("none of the {dirs} storage directories can be used; the last one: {} : {source}", dir.display())]
    NoUsableDir {
        /// How many were tried.
        dirs: usize,
        /// The last one.
        dir: PathBuf,
        /// What the machine said about it.
        #[source]
        source: io::Error,
    },
}

impl Coded for OpenError {
    fn code(&self) -> Code {
        match self {
            OpenError::BadLayout { .. } => Code::InvalidArgument,
            OpenError::ForeignWorker { .. }
            | OpenError::ForeignCluster { .. }
            | OpenError::BadIdentity { .. }
            | OpenError::InUse { .. } => Code::FailedPrecondition,
            OpenError::NoUsableDir { .. } => Code::Unavailable,
        }
    }
}

/// Why a directory stopped being used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostDir {
    /// Tier it belonged to.
    pub tier: TierAlias,
    /// Its path as configured.
    pub path: PathBuf,
    /// What was seen.
    pub reason: String,
}
