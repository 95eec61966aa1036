//! Why the namespace refuses something.

use alluxio_types::{
    Access, AlluxioPath, Code, Coded, InodeId, JournalSeq, MountId, PathError, QuotaKind, Retry,
};

/// A refusal's reason. Facts are fields; texts name the object and the limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the objects that the message names")]
pub enum Error {
    /// No `Format` entry was applied yet.
    #[error("the namespace is not formatted")]
    NotFormatted,
    /// A second `Format`.
    #[error("the namespace is formatted already, as cluster {cluster_id}")]
    AlreadyFormatted { cluster_id: String },
    /// Nothing has that path.
    #[error("path {path} does not exist")]
    PathNotFound { path: AlluxioPath },
    /// Nothing has that id (any more).
    #[error("inode {id} does not exist")]
    InodeNotFound { id: InodeId },
    /// No mount has that id, or nothing is mounted exactly there.
    #[error("{path} is not a mount point")]
    NotAMountPoint { path: AlluxioPath },
    /// No mount has that id.
    #[error("mount {id} does not exist")]
    MountNotFound { id: MountId },
    /// The name is taken.
    #[error("path {path} already exists")]
    AlreadyExists { path: AlluxioPath },
    /// A file on the way, or where a directory is needed.
    #[error("path {path} is not a directory")]
    NotADirectory { path: AlluxioPath },
    /// A directory where a file is needed.
    #[error("path {path} is a directory")]
    IsADirectory { path: AlluxioPath },
    /// A directory with children, and the caller did not say "recursive".
    #[error("directory {path} is not empty ({children} children); use the recursive option")]
    NotEmpty { path: AlluxioPath, children: u64 },
    /// The root cannot be deleted, renamed, created or unmounted.
    #[error("the root directory cannot be {what}")]
    Root { what: &'static str },
    /// The caller lacks a right.
    #[error("permission denied: user {user} needs {access} on {path}")]
    PermissionDenied { user: String, access: Access, path: AlluxioPath },
    /// Only the superuser may do it.
    #[error("permission denied: user {user} is not the superuser and cannot {what} {path}")]
    NotSuperuser { user: String, what: &'static str, path: AlluxioPath },
    /// Only the owner or the superuser may do it.
    #[error("permission denied: user {user} does not own {path} and cannot {what}")]
    NotOwner { user: String, what: &'static str, path: AlluxioPath },
    /// The mount is read-only.
    #[error("path {path} is under the read-only mount point {mount}")]
    ReadOnlyMount { path: AlluxioPath, mount: AlluxioPath },
    /// A mount point cannot be renamed.
    #[error("path {path} is a mount point and cannot be {what}")]
    IsAMountPoint { path: AlluxioPath, what: &'static str },
    /// There are mount points below.
    #[error("path {path} has the mount point {mount} below it")]
    MountPointBelow { path: AlluxioPath, mount: AlluxioPath },
    /// Source and target are in different mounts.
    #[error("cannot rename {source_path} to {target}: they are in different mounts")]
    AcrossMounts { source_path: AlluxioPath, target: AlluxioPath },
    /// A directory cannot move into itself.
    #[error("cannot rename {source_path} to {target}: the target is inside the source")]
    IntoItself { source_path: AlluxioPath, target: AlluxioPath },
    /// The URI lies in, or contains, what another mount shows.
    #[error("{uri} overlaps {other_uri}, which is mounted at {other}")]
    UfsOverlap { uri: String, other_uri: String, other: AlluxioPath },
    /// The file is being written.
    #[error("file {path} is not complete")]
    Incomplete { path: AlluxioPath },
    /// The file is complete and cannot be written.
    #[error("file {path} is already complete")]
    AlreadyCompleted { path: AlluxioPath },
    /// A pinned file is not freed unless forced.
    #[error("file {path} is pinned; unpin it or use the forced option")]
    Pinned { path: AlluxioPath },
    /// A file that only the cache has is not freed.
    #[error("file {path} is not in the UFS; freeing it would lose it")]
    NotPersisted { path: AlluxioPath },
    /// Block size 0 or above the limit.
    #[error("block size {bytes} is not between 1 and {max} bytes")]
    BadBlockSize { bytes: u64, max: u64 },
    /// More blocks than ids.
    #[error("file of {length} bytes has more than {max} blocks of {block_size} bytes")]
    TooManyBlocks { length: u64, block_size: u64, max: u64 },
    /// `min` above `max`.
    #[error("replication minimum {min} is above its maximum {max}")]
    BadReplication { min: u32, max: u32 },
    /// A request without its path.
    #[error("the request names no path")]
    NoPath,
    /// Mode bits beyond `0o7777`.
    #[error("mode {mode:o} is above 7777")]
    BadMode { mode: u16 },
    /// An empty owner or group, or one that is too long.
    #[error("name {name:?} of a user or group is empty or longer than {max} bytes")]
    BadPrincipal { name: String, max: usize },
    /// The name of an extended attribute.
    #[error(
        "name {name:.40?} of an extended attribute is empty, has a NUL, or is longer than {max} bytes"
    )]
    BadXattrName { name: String, max: usize },
    /// It should not be there.
    #[error("path {path} has the extended attribute {name} already")]
    XattrExists { path: AlluxioPath, name: String },
    /// It should be there.
    #[error("path {path} has no extended attribute {name}")]
    XattrNotFound { path: AlluxioPath, name: String },
    /// All names and values together.
    #[error("path {path} would have {bytes} bytes of extended attributes, the limit is {max}")]
    XattrsFull { path: AlluxioPath, bytes: usize, max: usize },
    /// Where a symbolic link leads.
    #[error("the target of a symbolic link has {bytes} bytes, or a NUL; it must have 1 to {max}")]
    BadTarget { bytes: usize, max: usize },
    /// A store has no exchange.
    #[error("path {path} is in the under store, which cannot exchange two names in one change")]
    InUfs { path: AlluxioPath },
    /// A time or duration that the table cannot hold.
    #[error("{what} {value} is above {max}")]
    TooLarge { what: &'static str, value: u64, max: u64 },
    /// A name from the UFS that cannot be a component of a path.
    #[error("name from the UFS: {0}")]
    BadName(#[from] PathError),
    /// No id, or no room in a directory, is left.
    #[error("no {what} is left: {limit} are in use")]
    Full { what: &'static str, limit: u64 },
    /// A directory above it has a quota.
    #[error(
        "the quota of directory {directory} is exceeded: {limit} {kind} may be there, {used} are, \
         and {more} more were to come; delete some, or raise the quota"
    )]
    QuotaExceeded { directory: AlluxioPath, kind: QuotaKind, limit: u64, used: u64, more: u64 },
    /// What the caller looked at has changed since.
    #[error("path {path} changed since it was looked at; try again")]
    Moved { path: AlluxioPath },
    /// A reader met renames on every attempt.
    #[error("path changed on every attempt to read it; try again")]
    Contended,
    /// A checkpoint is being taken already.
    #[error("another checkpoint is being taken")]
    CheckpointRunning,
}

impl Coded for Error {
    fn code(&self) -> Code {
        match self {
            Error::PathNotFound { .. } | Error::InodeNotFound { .. } => Code::NotFound,
            Error::NotAMountPoint { .. } => Code::InvalidArgument,
            Error::MountNotFound { .. } => Code::NotFound,
            Error::AlreadyExists { .. } | Error::XattrExists { .. } => Code::AlreadyExists,
            Error::XattrNotFound { .. } => Code::NotFound,
            Error::NotADirectory { .. } => Code::NotADirectory,
            Error::IsADirectory { .. } => Code::IsADirectory,
            Error::NotEmpty { .. } => Code::NotEmpty,
            Error::Root { .. } => Code::InvalidArgument,
            Error::PermissionDenied { .. }
            | Error::NotSuperuser { .. }
            | Error::NotOwner { .. } => Code::PermissionDenied,
            Error::ReadOnlyMount { .. } => Code::ReadOnly,
            Error::IsAMountPoint { .. }
            | Error::AcrossMounts { .. }
            | Error::IntoItself { .. }
            | Error::UfsOverlap { .. }
            | Error::BadBlockSize { .. }
            | Error::TooManyBlocks { .. }
            | Error::BadReplication { .. }
            | Error::NoPath
            | Error::BadMode { .. }
            | Error::BadPrincipal { .. }
            | Error::TooLarge { .. }
            | Error::BadXattrName { .. }
            | Error::BadTarget { .. }
            | Error::InUfs { .. }
            | Error::BadName(_) => Code::InvalidArgument,
            Error::NotFormatted
            | Error::AlreadyFormatted { .. }
            | Error::MountPointBelow { .. }
            | Error::Pinned { .. }
            | Error::NotPersisted { .. }
            | Error::CheckpointRunning => Code::FailedPrecondition,
            Error::Incomplete { .. } => Code::Incomplete,
            Error::AlreadyCompleted { .. } => Code::AlreadyCompleted,
            Error::Full { .. } | Error::XattrsFull { .. } => Code::ResourceExhausted,
            Error::QuotaExceeded { .. } => Code::QuotaExceeded,
            Error::Moved { .. } | Error::Contended => Code::Aborted,
        }
    }
}

/// A refusal and the journal position that it depends on: an answer "does not exist" that rests
/// on an uncommitted delete must wait for that delete to be committed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Refusal {
    /// Why.
    pub error: Error,
    /// Highest position that the decision saw.
    pub seen: JournalSeq,
}

impl Refusal {
    /// `error`, decided on what position `seen` left.
    pub fn new(error: Error, seen: JournalSeq) -> Self {
        Refusal { error, seen }
    }
}

impl Coded for Refusal {
    fn code(&self) -> Code {
        self.error.code()
    }

    fn retry(&self) -> Retry {
        self.error.retry()
    }
}
