//! The closed list of outcomes, and whether trying again can help.

use std::time::Duration;

/// What happened, in words every edge can translate (gRPC status, errno, HTTP, exit code).
/// Aligned with the gRPC names, plus the few that a file system must tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// A path, block, worker or mount that does not exist.
    NotFound,
    /// Something with that name exists already.
    AlreadyExists,
    /// A directory was needed and something else was found on the way.
    NotADirectory,
    /// A file was needed and a directory was found.
    IsADirectory,
    /// A directory that must be empty is not.
    NotEmpty,
    /// The caller's words make no sense whatever the state is.
    InvalidArgument,
    /// The caller is known and may not do this.
    PermissionDenied,
    /// The caller is not known.
    Unauthenticated,
    /// The state does not allow it now, and only a change of the state helps.
    FailedPrecondition,
    /// The file is still being written.
    Incomplete,
    /// The file is complete and cannot be written any more.
    AlreadyCompleted,
    /// The mount or the UFS is read-only.
    ReadOnly,
    /// The file changed in the UFS since the caller looked.
    Stale,
    /// No room or slot is left.
    ResourceExhausted,
    /// A directory's quota does not allow it.
    QuotaExceeded,
    /// A server is overloaded and shed the call.
    Busy,
    /// The server cannot serve now; another one, or the same one later, can.
    Unavailable,
    /// The server is not the primary master.
    NotPrimary,
    /// The time given to the call is over.
    DeadlineExceeded,
    /// The caller gave up.
    Cancelled,
    /// A concurrent change won; the whole operation may be tried again.
    Aborted,
    /// Bytes are lost or fail their checksum.
    DataLoss,
    /// A position beyond the end.
    OutOfRange,
    /// Known, and not built.
    Unimplemented,
    /// A broken invariant of ours.
    Internal,
}

impl Code {
    /// All codes, for tests that walk an edge's table.
    pub const ALL: [Code; 25] = [
        Code::NotFound,
        Code::AlreadyExists,
        Code::NotADirectory,
        Code::IsADirectory,
        Code::NotEmpty,
        Code::InvalidArgument,
        Code::PermissionDenied,
        Code::Unauthenticated,
        Code::FailedPrecondition,
        Code::Incomplete,
        Code::AlreadyCompleted,
        Code::ReadOnly,
        Code::Stale,
        Code::ResourceExhausted,
        Code::QuotaExceeded,
        Code::Busy,
        Code::Unavailable,
        Code::NotPrimary,
        Code::DeadlineExceeded,
        Code::Cancelled,
        Code::Aborted,
        Code::DataLoss,
        Code::OutOfRange,
        Code::Unimplemented,
        Code::Internal,
    ];

    /// Stable name, as sent in gRPC details and printed in `--json` output.
    pub const fn name(self) -> &'static str {
        match self {
            Code::NotFound => "NOT_FOUND",
            Code::AlreadyExists => "ALREADY_EXISTS",
            Code::NotADirectory => "NOT_A_DIRECTORY",
            Code::IsADirectory => "IS_A_DIRECTORY",
            Code::NotEmpty => "NOT_EMPTY",
            Code::InvalidArgument => "INVALID_ARGUMENT",
            Code::PermissionDenied => "PERMISSION_DENIED",
            Code::Unauthenticated => "UNAUTHENTICATED",
            Code::FailedPrecondition => "FAILED_PRECONDITION",
            Code::Incomplete => "INCOMPLETE",
            Code::AlreadyCompleted => "ALREADY_COMPLETED",
            Code::ReadOnly => "READ_ONLY",
            Code::Stale => "STALE",
            Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Code::QuotaExceeded => "QUOTA_EXCEEDED",
            Code::Busy => "BUSY",
            Code::Unavailable => "UNAVAILABLE",
            Code::NotPrimary => "NOT_PRIMARY",
            Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Code::Cancelled => "CANCELLED",
            Code::Aborted => "ABORTED",
            Code::DataLoss => "DATA_LOSS",
            Code::OutOfRange => "OUT_OF_RANGE",
            Code::Unimplemented => "UNIMPLEMENTED",
            Code::Internal => "INTERNAL",
        }
    }

    /// The code with that [`Code::name`].
    pub fn from_name(name: &str) -> Option<Code> {
        Code::ALL.into_iter().find(|code| code.name() == name)
    }
}

/// Whether, and how, the same call may be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same call would end the same way.
    Never,
    /// At once is fine.
    Now,
    /// Not before this long.
    After(Duration),
    /// Against the primary, once it is known.
    OnNewPrimary,
}

/// What every error of ours can say about itself.
pub trait Coded: std::error::Error {
    /// The outcome in the shared list.
    fn code(&self) -> Code;

    /// Whether trying again can help. The default follows from the code.
    fn retry(&self) -> Retry {
        match self.code() {
            Code::Unavailable | Code::Busy => Retry::After(Duration::from_millis(50)),
            Code::NotPrimary => Retry::OnNewPrimary,
            Code::Aborted => Retry::Now,
            _ => Retry::Never,
        }
    }
}

impl Coded for crate::PathError {
    fn code(&self) -> Code {
        Code::InvalidArgument
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_lead_back() {
        for code in Code::ALL {
            assert_eq!(Code::from_name(code.name()), Some(code));
        }
    }
}
