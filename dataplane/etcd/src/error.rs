//! What etcd may answer.

use alluxio_types::{Code, Coded};
use std::path::PathBuf;
use std::time::Duration;

/// Why a call to etcd failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EtcdError {
    /// A setting that makes no sense.
    #[error("etcd: {what}")]
    Settings {
        /// What is wrong.
        what: String,
    },
    /// A file that the settings name cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// No member answered. What was asked for may have happened, or may happen yet.
    #[error("etcd cannot be reached: {reason}")]
    Unreachable {
        /// What went wrong last.
        reason: String,
    },
    /// No member answered in time. What was asked for may have happened, or may happen yet.
    #[error("etcd did not answer within {} ms", limit.as_millis())]
    Late {
        /// The time it was given.
        limit: Duration,
    },
    /// Asking again will not help: user, password, permission, certificate.
    #[error("etcd refused: {reason}")]
    Refused {
        /// What it said.
        reason: String,
    },
    /// etcd takes no more data until it is compacted and its alarm is disarmed.
    #[error("etcd is full: {reason}")]
    Full {
        /// What it said.
        reason: String,
    },
    /// The revision asked for was compacted away.
    #[error("etcd has compacted the revision asked for")]
    Compacted,
    /// The lease is over.
    #[error("the lease is over")]
    LeaseGone,
}

impl EtcdError {
    /// Whether what was asked for may have happened all the same.
    pub fn outcome_is_unknown(&self) -> bool {
        matches!(self, EtcdError::Unreachable { .. } | EtcdError::Late { .. })
    }
}

impl From<etcd_client::Error> for EtcdError {
    fn from(error: etcd_client::Error) -> Self {
        let etcd_client::Error::GRpcStatus(status) = &error else {
            return EtcdError::Unreachable { reason: chain(&error) };
        };
        let reason = status.message().to_owned();
        match status.code() {
            tonic::Code::Unauthenticated | tonic::Code::PermissionDenied => {
                EtcdError::Refused { reason }
            }
            // What etcd says to a wrong password, and to a user when authentication is off.
            tonic::Code::InvalidArgument | tonic::Code::FailedPrecondition
                if !reason.contains("lost leader") =>
            {
                EtcdError::Refused { reason }
            }
            tonic::Code::OutOfRange if reason.contains("compacted") => EtcdError::Compacted,
            tonic::Code::NotFound if reason.contains("lease") => EtcdError::LeaseGone,
            tonic::Code::ResourceExhausted if reason.contains("space") => {
                EtcdError::Full { reason }
            }
            _ => EtcdError::Unreachable { reason: reason_of(status) },
        }
    }
}

fn reason_of(status: &tonic::Status) -> String {
    match std::error::Error::source(status) {
        Some(source) => format!("{}: {}", status.message(), chain(source)),
        None => status.message().to_owned(),
    }
}

/// A transport's message says little without its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Layers repeat each other.
        let layer = error.to_string();
        if !text.ends_with(&layer) {
            text = format!("{text}: {layer}");
        }
        source = error.source();
    }
    text
}

impl Coded for EtcdError {
    fn code(&self) -> Code {
        match self {
            EtcdError::Settings { .. } | EtcdError::File { .. } | EtcdError::Refused { .. } => {
                Code::FailedPrecondition
            }
            EtcdError::Unreachable { .. } | EtcdError::Late { .. } => Code::Unavailable,
            EtcdError::Full { .. } => Code::ResourceExhausted,
            EtcdError::Compacted | EtcdError::LeaseGone => Code::Internal,
        }
    }
}
