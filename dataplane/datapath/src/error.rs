//! What can go wrong on the data path, and what a service says when it refuses.

use alluxio_types::{BlockId, Code, Coded, Retry, WorkerId};
use std::fmt;
use std::io;
use std::time::Duration;

/// What a service says when it cannot do what was asked: a code that the other side acts upon, and
/// a sentence for people. Made from any [`Coded`] error by `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What the caller acts upon.
    pub code: Code,
    /// What people read; cut at [`crate::message::TEXT_BYTES_MAX`] bytes on the wire.
    pub message: String,
}

impl Refusal {
    /// A refusal in these words.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Refusal { code, message: message.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

// `Refusal` itself is not `Coded` nor an `Error`, so that every coded error becomes one by `?`.
impl<E: Coded> From<E> for Refusal {
    fn from(error: E) -> Self {
        Refusal { code: error.code(), message: error.to_string() }
    }
}

/// A failure on the data path, seen from either end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection could not be made.
    #[error("cannot connect to {target}: {source}")]
    Connect {
        /// Address or socket path.
        target: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The connection broke.
    #[error("connection to {peer} broke while {doing}: {source}")]
    Broken {
        /// Address or socket path.
        peer: String,
        /// What was going on.
        doing: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The other side ended the connection in the middle of something.
    #[error("{peer} closed the connection while {doing}")]
    Closed {
        /// Address or socket path.
        peer: String,
        /// What was going on.
        doing: &'static str,
    },
    /// The other side neither took nor gave a byte for too long.
    #[error("{peer} made no progress for {waited:?} while {doing}")]
    Stalled {
        /// Address or socket path.
        peer: String,
        /// What was going on.
        doing: &'static str,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The other side refused, in its own words.
    #[error("{0}")]
    Refused(Refusal),
    /// Somebody else answers at that address now.
    #[error("worker {found} answers at {peer}, not worker {expected}")]
    WrongWorker {
        /// Address or socket path.
        peer: String,
        /// Who was meant.
        expected: WorkerId,
        /// Who answered.
        found: WorkerId,
    },
    /// What arrived is not the data protocol.
    #[error("protocol violation: {0}")]
    Protocol(#[from] ProtocolError),
    /// Bytes do not match their checksum.
    #[error("bytes of block {block} at {offset} fail their checksum")]
    Checksum {
        /// Which block.
        block: BlockId,
        /// Where in the block the bad piece starts.
        offset: u64,
    },
    /// A descriptor that was passed could not be used.
    #[error("cannot use the file of block {block}: {source}")]
    LocalFile {
        /// Which block.
        block: BlockId,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// How a frame breaks the rules of `WIRE.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// No frame has that kind.
    #[error("unknown frame kind {0}")]
    UnknownKind(u8),
    /// A frame that is known, at a time when it makes no sense.
    #[error("{got} frame while {doing}")]
    Unexpected {
        /// What arrived.
        got: &'static str,
        /// What was going on.
        doing: &'static str,
    },
    /// A frame for a request that is not the current one.
    #[error("frame for request {got}, request {want} is current")]
    WrongRequest {
        /// Id in the frame.
        got: u32,
        /// Id that was expected.
        want: u32,
    },
    /// A part of a frame is longer than its kind allows.
    #[error("{part} of {length} bytes, at most {max} are allowed")]
    TooLong {
        /// `meta`, `payload` or the name of a field.
        part: &'static str,
        /// Announced length in bytes.
        length: u64,
        /// Limit in bytes.
        max: u64,
    },
    /// The meta part ends before its last field, or goes on after it.
    #[error("{0} frame has the wrong size")]
    WrongSize(&'static str),
    /// A field has a value that means nothing.
    #[error("field {field} of a {frame} frame has no valid value")]
    BadField {
        /// Which frame.
        frame: &'static str,
        /// Which field.
        field: &'static str,
    },
    /// Header and meta part do not match their checksum.
    #[error("frame header fails its checksum")]
    HeaderChecksum,
    /// The first frame does not start with the magic word.
    #[error("not a peer of the data protocol")]
    BadMagic,
    /// A descriptor was announced and did not arrive.
    #[error("no descriptor came with the frame")]
    MissingDescriptor,
    /// Data that does not follow on what came before.
    #[error("data for offset {got}, {want} is next")]
    OutOfOrder {
        /// Offset in the frame.
        got: u64,
        /// Offset that was expected.
        want: u64,
    },
}

impl Coded for Error {
    fn code(&self) -> Code {
        match self {
            Error::Connect { .. }
            | Error::Broken { .. }
            | Error::Closed { .. }
            | Error::WrongWorker { .. } => Code::Unavailable,
            Error::Stalled { .. } => Code::DeadlineExceeded,
            Error::Refused(refusal) => refusal.code,
            Error::Protocol(_) => Code::Internal,
            Error::Checksum { .. } => Code::DataLoss,
            Error::LocalFile { .. } => Code::Unavailable,
        }
    }

    fn retry(&self) -> Retry {
        match self.code() {
            // The same worker later, or another one now: the caller chooses.
            Code::Unavailable | Code::DeadlineExceeded | Code::DataLoss => Retry::Now,
            Code::Busy => Retry::After(Duration::from_millis(50)),
            _ => Retry::Never,
        }
    }
}

impl Error {
    /// Whether the worker itself, as opposed to the request, is the trouble: another worker may
    /// well do what this one could not.
    pub fn is_worker_fault(&self) -> bool {
        match self {
            Error::Refused(refusal) => !matches!(
                refusal.code,
                Code::Stale | Code::PermissionDenied | Code::InvalidArgument
            ),
            _ => true,
        }
    }
}
