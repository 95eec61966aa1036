//! The one table from codes to Python's exceptions.
//!
//! The classes are in `alluxio.errors`, so that Python's users find them; each is also the exception that
//! Python has for it, where it has one.

use alluxio_client::ClientError;
use alluxio_types::{Code, Coded};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

/// What a configuration can be wrong in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    /// The properties, the site file or the environment.
    #[error(transparent)]
    Config(#[from] alluxio_config::ConfigError),
    /// The masters of a URL.
    #[error("{text:?} is not host:port, or several of them with commas between")]
    Masters {
        /// What was given.
        text: String,
    },
    /// A word that is none of those that there are.
    #[error("{option} is {text:?}; it must be one of {allowed}")]
    Word {
        /// Of which option.
        option: &'static str,
        /// What was given.
        text: String,
        /// What may be given.
        allowed: String,
    },
}

impl From<SetupError> for PyErr {
    fn from(error: SetupError) -> PyErr {
        PyValueError::new_err(error.to_string())
    }
}

/// Class in `alluxio.errors` and errno of a code. **Source**: errno(3); numbers of Linux.
const fn class(code: Code) -> (&'static str, i32) {
    match code {
        Code::NotFound => ("NotFoundError", 2),
        Code::AlreadyExists => ("AlreadyExistsError", 17),
        Code::NotADirectory => ("NotDirectoryError", 20),
        Code::IsADirectory => ("IsDirectoryError", 21),
        Code::NotEmpty => ("NotEmptyError", 39),
        Code::InvalidArgument => ("InvalidArgumentError", 22),
        Code::PermissionDenied => ("PermissionDeniedError", 13),
        Code::Unauthenticated => ("PermissionDeniedError", 13),
        Code::FailedPrecondition => ("FailedPreconditionError", 1),
        Code::Incomplete => ("IncompleteError", 16),
        Code::AlreadyCompleted => ("AlreadyExistsError", 17),
        Code::ReadOnly => ("ReadOnlyError", 30),
        Code::Stale => ("StaleError", 116),
        Code::ResourceExhausted => ("NoSpaceError", 28),
        Code::QuotaExceeded => ("QuotaExceededError", 122),
        Code::Busy => ("UnavailableError", 11),
        Code::Unavailable => ("UnavailableError", 11),
        Code::NotPrimary => ("UnavailableError", 11),
        Code::DeadlineExceeded => ("TimedOutError", 110),
        Code::Cancelled => ("CancelledError", 125),
        Code::Aborted => ("AbortedError", 125),
        Code::DataLoss => ("DataLossError", 74),
        Code::OutOfRange => ("InvalidArgumentError", 22),
        Code::Unimplemented => ("UnsupportedError", 95),
        Code::Internal => ("AlluxioError", 5),
    }
}

/// The table, for tests: name of the code, class, errno.
pub(crate) fn table() -> Vec<(&'static str, &'static str, i32)> {
    Code::ALL.into_iter().map(|code| (code.name(), class(code).0, class(code).1)).collect()
}

/// The exception for a failure.
pub(crate) fn raise(py: Python<'_>, failure: &ClientError) -> PyErr {
    let code = failure.code();
    let (name, errno) = class(code);
    let made = py
        .import("alluxio.errors")
        .and_then(|module| module.getattr(name))
        .and_then(|class| class.call1((errno, failure.to_string())))
        .and_then(|error| error.setattr("code", code.name()).map(|()| error));
    match made {
        Ok(error) => PyErr::from_value(error),
        Err(broken) => broken,
    }
}

/// Something of the parent process, or something that was closed.
pub(crate) fn gone() -> PyErr {
    PyRuntimeError::new_err("this belongs to another process, or was closed")
}
