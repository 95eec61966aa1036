//! Why the agent does not do what it is asked.

use crate::fs::{LedgerError, StartError};
use crate::keeper::{BadKey, Key};
use crate::lockfile::LockError;
use crate::mount::MountError;
use crate::options::OptionError;
use crate::session::SessionError;
use alluxio_client::ClientError;
use alluxio_config::ConfigError;
use alluxio_telemetry::{AdminError, TraceError};
use alluxio_types::{Code, Coded, PathError};
use std::io;
use std::path::PathBuf;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A name that is none.
    #[error(transparent)]
    Key(#[from] BadKey),
    /// A path that is none.
    #[error(transparent)]
    Path(#[from] PathError),
    /// An option that is none.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// Options that are too long to be kept.
    #[error("the options of session {key} are too long")]
    TooLong {
        /// Its name.
        key: Key,
    },
    /// Settings that make no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No socket to listen at.
    #[error("an agent needs alluxio.fuse.agent.socket")]
    NoSocket,
    /// The key has another session.
    #[error("session {key} is there already and shows {path}, or shows it with other options")]
    OtherSpec {
        /// Its name.
        key: Key,
        /// What it shows. How is not told: options may be secrets.
        path: String,
    },
    /// A session that was closed lazily lives on.
    #[error("session {key} is closed and programs still use it")]
    Closing {
        /// Its name.
        key: Key,
    },
    /// Somebody uses it.
    #[error("session {key} is in use")]
    InUse {
        /// Its name.
        key: Key,
    },
    /// The agent is about to end.
    #[error("the agent ends; ask the next one")]
    Leaving,
    /// What shall be mounted is not there.
    #[error("{path} cannot be mounted: {source}")]
    Root {
        /// What.
        path: String,
        /// Why.
        #[source]
        source: Box<ClientError>,
    },
    /// What shall be mounted is a file.
    #[error("{path} is not a directory")]
    NotADirectory {
        /// What.
        path: String,
    },
    /// The kernel does not mount.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// The connection does not come up.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// What was kept for us cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// No client.
    #[error(transparent)]
    Client(Box<ClientError>),
    /// No file system.
    #[error(transparent)]
    Start(Box<StartError>),
    /// A process that unmounts does not end.
    #[error("{} is not unmounted in time", path.display())]
    Timeout {
        /// Where.
        path: PathBuf,
    },
    /// A file of ours.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another agent does not give way.
    #[error("another agent does not give way: {0}")]
    Locked(#[from] LockError),
    /// No log.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// No web server.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// A broken invariant of ours.
    #[error("{0}")]
    Internal(String),
}

impl From<ClientError> for AgentError {
    fn from(error: ClientError) -> Self {
        AgentError::Client(Box::new(error))
    }
}

impl From<StartError> for AgentError {
    fn from(error: StartError) -> Self {
        AgentError::Start(Box::new(error))
    }
}

impl Coded for AgentError {
    fn code(&self) -> Code {
        match self {
            AgentError::Key(_)
            | AgentError::Path(_)
            | AgentError::Option(_)
            | AgentError::TooLong { .. }
            | AgentError::Config(_)
            | AgentError::NoSocket => Code::InvalidArgument,
            AgentError::OtherSpec { .. } => Code::AlreadyExists,
            AgentError::Closing { .. } | AgentError::InUse { .. } => Code::FailedPrecondition,
            AgentError::Leaving => Code::Unavailable,
            AgentError::Root { source, .. } | AgentError::Client(source) => source.code(),
            AgentError::NotADirectory { .. } => Code::NotADirectory,
            AgentError::Mount(MountError::NotPermitted) => Code::PermissionDenied,
            AgentError::Mount(MountError::InUse { .. }) => Code::FailedPrecondition,
            AgentError::Timeout { .. } => Code::DeadlineExceeded,
            AgentError::Locked(_) | AgentError::Admin(_) => Code::Unavailable,
            AgentError::Mount(_)
            | AgentError::Session(_)
            | AgentError::Ledger(_)
            | AgentError::Start(_)
            | AgentError::Io { .. }
            | AgentError::Trace(_)
            | AgentError::Internal(_) => Code::Internal,
        }
    }
}
