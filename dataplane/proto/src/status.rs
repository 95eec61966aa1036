//! The one table between our [`Code`]s and gRPC status codes. The exact code travels in the
//! metadata key [`CODE_KEY`], so that it survives the round trip.

use alluxio_types::{Code, Coded};
use tonic::metadata::MetadataValue;
use tonic::{Code as Grpc, Status};

/// Metadata key that carries [`Code::name`].
pub const CODE_KEY: &str = "alluxio-code";

/// The gRPC code for one of ours.
pub const fn grpc_code(code: Code) -> Grpc {
    match code {
        Code::NotFound => Grpc::NotFound,
        Code::AlreadyExists => Grpc::AlreadyExists,
        Code::NotADirectory
        | Code::IsADirectory
        | Code::NotEmpty
        | Code::FailedPrecondition
        | Code::Incomplete
        | Code::AlreadyCompleted
        | Code::ReadOnly
        | Code::Stale => Grpc::FailedPrecondition,
        Code::InvalidArgument => Grpc::InvalidArgument,
        Code::PermissionDenied => Grpc::PermissionDenied,
        Code::Unauthenticated => Grpc::Unauthenticated,
        Code::ResourceExhausted | Code::QuotaExceeded | Code::Busy => Grpc::ResourceExhausted,
        Code::Unavailable | Code::NotPrimary => Grpc::Unavailable,
        Code::DeadlineExceeded => Grpc::DeadlineExceeded,
        Code::Cancelled => Grpc::Cancelled,
        Code::Aborted => Grpc::Aborted,
        Code::DataLoss => Grpc::DataLoss,
        Code::OutOfRange => Grpc::OutOfRange,
        Code::Unimplemented => Grpc::Unimplemented,
        Code::Internal => Grpc::Internal,
    }
}

/// Our code for a gRPC status: the exact one when the peer is ours, else the nearest.
pub fn code_of(status: &Status) -> Code {
    let exact = status
        .metadata()
        .get(CODE_KEY)
        .and_then(|value| value.to_str().ok())
        .and_then(Code::from_name);
    exact.unwrap_or(match status.code() {
        Grpc::NotFound => Code::NotFound,
        Grpc::AlreadyExists => Code::AlreadyExists,
        Grpc::FailedPrecondition => Code::FailedPrecondition,
        Grpc::InvalidArgument => Code::InvalidArgument,
        Grpc::PermissionDenied => Code::PermissionDenied,
        Grpc::Unauthenticated => Code::Unauthenticated,
        Grpc::ResourceExhausted => Code::ResourceExhausted,
        Grpc::Unavailable => Code::Unavailable,
        Grpc::DeadlineExceeded => Code::DeadlineExceeded,
        Grpc::Cancelled => Code::Cancelled,
        Grpc::Aborted => Code::Aborted,
        Grpc::DataLoss => Code::DataLoss,
        Grpc::OutOfRange => Code::OutOfRange,
        Grpc::Unimplemented => Code::Unimplemented,
        Grpc::Ok | Grpc::Unknown | Grpc::Internal => Code::Internal,
    })
}

/// A status that carries `code` exactly.
pub fn status(code: Code, message: impl Into<String>) -> Status {
    let mut status = Status::new(grpc_code(code), message);
    status.metadata_mut().insert(CODE_KEY, MetadataValue::from_static(code.name()));
    status
}

/// The status of an error of ours.
pub fn status_of(error: &impl Coded) -> Status {
    status(error.code(), error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_round_trip() {
        for code in Code::ALL {
            let status = status(code, "why");
            assert_eq!(code_of(&status), code);
            // A peer that drops our metadata still leads to a code of the same gRPC class.
            let bare = Status::new(status.code(), "why");
            assert_eq!(grpc_code(code_of(&bare)), status.code());
        }
    }
}
