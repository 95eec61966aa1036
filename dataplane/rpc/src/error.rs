//! What a call can end with.

use alluxio_proto::status::{CODE_KEY, code_of};
use alluxio_types::{Code, Coded};

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RpcError {
    /// The server answered with a refusal.
    #[error("{message}")]
    Refused {
        /// What it said.
        code: Code,
        /// In its words.
        message: String,
    },
    /// Nobody answered within the time for retries.
    #[error("no answer from {target} within {seconds} s: {last}")]
    Unreachable {
        /// Whom we called.
        target: String,
        /// For how long.
        seconds: u64,
        /// The last thing that went wrong.
        last: String,
    },
    /// The connection broke after the request was sent: it may or may not have been carried out.
    #[error("connection to {target} broke during the call, its outcome is unknown: {last}")]
    OutcomeUnknown {
        /// Whom we called.
        target: String,
        /// What went wrong.
        last: String,
    },
    /// An address that cannot be used.
    #[error("address {address:?} is not HOST:PORT")]
    BadAddress {
        /// What was given.
        address: String,
    },
    /// What would tell where the primary is cannot be used.
    #[error("{why}")]
    BadDirectory {
        /// Kind of refusal.
        code: Code,
        /// What is wrong.
        why: String,
    },
    /// A reply that makes no sense.
    #[error("reply of {target} makes no sense: {why}")]
    BadReply {
        /// Who sent it.
        target: String,
        /// What is wrong with it.
        why: String,
    },
}

impl RpcError {
    /// Why a stream of answers broke off: the refusal of `target`, or its end.
    pub fn from_stream(target: String, status: &tonic::Status) -> Self {
        if status.metadata().contains_key(CODE_KEY) {
            return Self::from_status(status);
        }
        RpcError::OutcomeUnknown { target, last: status.message().to_owned() }
    }

    /// The refusal in a gRPC status.
    pub fn from_status(status: &tonic::Status) -> Self {
        RpcError::Refused { code: code_of(status), message: status.message().to_owned() }
    }
}

impl Coded for RpcError {
    fn code(&self) -> Code {
        match self {
            RpcError::Refused { code, .. } | RpcError::BadDirectory { code, .. } => *code,
            RpcError::Unreachable { .. } | RpcError::OutcomeUnknown { .. } => Code::Unavailable,
            RpcError::BadAddress { .. } => Code::InvalidArgument,
            RpcError::BadReply { .. } => Code::Internal,
        }
    }
}
