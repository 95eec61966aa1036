//! What a failed try means for the next one, and how a master says that it is not the primary.

use crate::primary::HostPort;
use alluxio_proto::status::{code_of, status};
use alluxio_types::Code;
use tonic::Status;
use tonic::metadata::MetadataValue;

/// Metadata key in which a master that is not the primary names it, as `HOST:PORT`, or `-`.
pub const PRIMARY_KEY: &str = "alluxio-primary";
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// An answer.
    Final,
    /// Not now; the same master may take it later.
    Same,
    /// Not carried out; another master may take it.
    Next,
    /// Perhaps carried out; another master may know.
    CutOff,
}

/// What a failed try means for the next one.
pub(crate) fn verdict(status: &Status) -> Verdict {
    let from_server = status.metadata().contains_key(alluxio_proto::status::CODE_KEY);
    match code_of(status) {
        // A standby, which carried nothing out.
        Code::NotPrimary if status.metadata().contains_key(PRIMARY_KEY) => Verdict::Next,
        // A primary that lost its term: what it had begun may have come through.
        Code::NotPrimary => Verdict::CutOff,
        // The server shed the call before it looked at it.
        Code::Busy if from_server => Verdict::Same,
        Code::Aborted if from_server => Verdict::Same,
        // It stops, or its journal failed.
        Code::Unavailable if from_server => Verdict::CutOff,
        _ if from_server => Verdict::Final,
        _ if never_sent(status) => Verdict::Next,
        Code::Unavailable | Code::Internal | Code::Cancelled => Verdict::CutOff,
        _ => Verdict::Final,
    }
}

/// Whether the request cannot have reached a server: there was no connection.
fn never_sent(status: &Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// The refusal of a master that is not the primary and did not look at the call, naming who is the
/// primary, if it knows.
pub fn not_primary(message: impl Into<String>, primary: Option<&str>) -> Status {
    let mut refusal = status(Code::NotPrimary, message);
    let nobody = || MetadataValue::from_static("-");
    let primary = primary.and_then(|address| address.parse().ok()).unwrap_or_else(nobody);
    refusal.metadata_mut().insert(PRIMARY_KEY, primary);
    refusal
}

/// Whom a [`not_primary`] names.
pub fn primary_of(status: &Status) -> Option<HostPort> {
    let address = status.metadata().get(PRIMARY_KEY)?.to_str().ok()?;
    HostPort::parse(address).ok()
}
