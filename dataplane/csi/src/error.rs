//! Why a call of the CSI fails, and the one table from our codes to gRPC's as the CSI means them.

use crate::paths::PathError;
use alluxio_client::ClientError;
use alluxio_types::{Code, Coded, PathError as BadPath};
use std::path::PathBuf;
use tonic::{Code as Grpc, Status};

/// Why a call fails. No message contains a secret: none is looked at.
#[derive(Debug, thiserror::Error)]
pub enum CsiError {
    /// A field that has to be there is not.
    #[error("{field} is missing")]
    Missing {
        /// Its name in the interface.
        field: &'static str,
    },
    /// A field, an attribute or a parameter that cannot be.
    #[error("{field}: {why}")]
    Invalid {
        /// Its name.
        field: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody knows this volume.
    #[error("there is no volume {id}")]
    NoVolume {
        /// Its id.
        id: String,
    },
    /// The volume is not at this path.
    #[error("volume {id} is not mounted at {}", path.display())]
    NotMounted {
        /// Its id.
        id: String,
        /// Where it should be.
        path: PathBuf,
    },
    /// Something is there already, and not what is asked for.
    #[error("{what} exists already {why}")]
    Exists {
        /// A volume or a path.
        what: String,
        /// What is different.
        why: String,
    },
    /// Another call for the same volume is under way.
    #[error("an operation on volume {id} is under way")]
    Busy {
        /// Its id.
        id: String,
    },
    /// It has to be staged first.
    #[error("volume {id} is not staged at {}", path.display())]
    NotStaged {
        /// Its id.
        id: String,
        /// Where it should be.
        path: PathBuf,
    },
    /// One pod has it, and nobody else may.
    #[error("volume {id} is for one pod only, and published at {}", path.display())]
    Taken {
        /// Its id.
        id: String,
        /// Where it is.
        path: PathBuf,
    },
    /// A place in a list that was never given out.
    #[error("starting_token {token:?} is none of ours; list from the beginning")]
    BadToken {
        /// What came.
        token: String,
    },
    /// A size that a volume cannot have.
    #[error("capacity: {why}")]
    Capacity {
        /// Why not.
        why: String,
    },
    /// A directory that is not this volume's.
    #[error("directory {path} {why}")]
    Directory {
        /// Which.
        path: String,
        /// What is the matter.
        why: String,
    },
    /// The agent of this node refuses, or cannot be reached.
    #[error("FUSE agent of this node: {message}")]
    Agent {
        /// What it said.
        code: Code,
        /// In its words.
        message: String,
    },
    /// The namespace refuses, or cannot be reached.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A path operation failed or hangs.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A path of the namespace that is none.
    #[error(transparent)]
    BadPath(#[from] BadPath),
    /// A file of ours cannot be used.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A record of a volume that cannot be read.
    #[error("the record of volume {id} cannot be read: {why}")]
    BadRecord {
        /// Its id.
        id: String,
        /// What is wrong with it.
        why: String,
    },
    /// A task of ours ended without a result.
    #[error("the operation was lost: {why}")]
    Lost {
        /// What happened to it.
        why: String,
    },
}

impl CsiError {
    /// A field that cannot be.
    pub(crate) fn invalid(field: impl Into<String>, why: impl Into<String>) -> Self {
        CsiError::Invalid { field: field.into(), why: why.into() }
    }

    /// Names what was tried when the machine says no.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> CsiError {
        let path = path.into();
        move |source| CsiError::Io { action, path, source }
    }
}

impl Coded for CsiError {
    fn code(&self) -> Code {
        match self {
            CsiError::Missing { .. } | CsiError::Invalid { .. } | CsiError::BadPath(_) => {
                Code::InvalidArgument
            }
            CsiError::NoVolume { .. } | CsiError::NotMounted { .. } => Code::NotFound,
            CsiError::Exists { .. } => Code::AlreadyExists,
            CsiError::Busy { .. } | CsiError::BadToken { .. } => Code::Aborted,
            CsiError::NotStaged { .. } | CsiError::Taken { .. } | CsiError::Directory { .. } => {
                Code::FailedPrecondition
            }
            CsiError::Capacity { .. } => Code::OutOfRange,
            CsiError::Agent { code, .. } => *code,
            CsiError::Client(error) => error.code(),
            CsiError::Path(error) => error.code(),
            CsiError::BadRecord { .. } => Code::DataLoss,
            CsiError::Io { .. } | CsiError::Lost { .. } => Code::Internal,
        }
    }
}

/// What the CSI calls a code of ours. Callers of the CSI try again after all of them but the refusals; what they
/// need is the right refusal.
///
/// **Source**: the tables of errors in the CSI's specification.
pub const fn grpc_code(code: Code) -> Grpc {
    match code {
        Code::NotFound => Grpc::NotFound,
        Code::AlreadyExists => Grpc::AlreadyExists,
        Code::InvalidArgument => Grpc::InvalidArgument,
        Code::NotADirectory
        | Code::IsADirectory
        | Code::NotEmpty
        | Code::FailedPrecondition
        | Code::Incomplete
        | Code::AlreadyCompleted
        | Code::ReadOnly => Grpc::FailedPrecondition,
        Code::PermissionDenied => Grpc::PermissionDenied,
        Code::Unauthenticated => Grpc::Unauthenticated,
        // Of a volume this is its quota; a provisioner tries elsewhere.
        Code::ResourceExhausted | Code::QuotaExceeded => Grpc::ResourceExhausted,
        // An operation is under way, or the state moved: the caller tries again as it is.
        Code::Busy | Code::Aborted | Code::Stale => Grpc::Aborted,
        Code::Unavailable | Code::NotPrimary => Grpc::Unavailable,
        Code::DeadlineExceeded => Grpc::DeadlineExceeded,
        Code::Cancelled => Grpc::Cancelled,
        Code::OutOfRange => Grpc::OutOfRange,
        Code::Unimplemented => Grpc::Unimplemented,
        Code::DataLoss | Code::Internal => Grpc::Internal,
    }
}

/// The status of an error.
pub fn status(error: &CsiError) -> Status {
    Status::new(grpc_code(error.code()), error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_told_and_none_as_success() {
        for code in Code::ALL {
            assert_ne!(grpc_code(code), Grpc::Ok, "{code:?}");
        }
        let busy = CsiError::Busy { id: "v".into() };
        assert_eq!(status(&busy).code(), Grpc::Aborted);
        let missing = status(&CsiError::Missing { field: "volume_id" });
        assert_eq!(
            (missing.code(), missing.message()),
            (Grpc::InvalidArgument, "volume_id is missing")
        );
    }
}
