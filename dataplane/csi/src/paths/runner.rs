//! The parent's side: starts the child, waits so long and no longer.

use super::{Bind, Came, PathWork, Usage};
use alluxio_types::{Code, Coded};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// Longest time that a bind or an unmount may take.
const MOUNT_LIMIT: Duration = Duration::from_secs(10);
/// Longest time for a question: the kubelet asks many volumes one after another.
const USAGE_LIMIT: Duration = Duration::from_millis(1500);

/// Why work on a path is not done.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// It was not done in time; the child was killed.
    #[error("{} does not answer within {limit:?}", path.display())]
    Hangs {
        /// Which path.
        path: PathBuf,
        /// How long it had.
        limit: Duration,
    },
    /// The system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Refused {
        /// What was tried.
        action: String,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is no child, or it says nothing that can be understood.
    #[error("the process for work on {} failed: {why}", path.display())]
    NoChild {
        /// On what it should have worked.
        path: PathBuf,
        /// What happened.
        why: String,
    },
}

impl PathError {
    /// Whether the file system there has lost its server.
    pub fn is_dead(&self) -> bool {
        matches!(self, PathError::Refused { source, .. }
            if source.raw_os_error() == Some(libc::ENOTCONN))
    }
}

impl Coded for PathError {
    fn code(&self) -> Code {
        match self {
            PathError::Hangs { .. } => Code::DeadlineExceeded,
            PathError::Refused { source, .. } => match source.raw_os_error() {
                Some(libc::ENOENT) => Code::NotFound,
                // A link, or a step out of the volume, in a subPath.
                Some(libc::ELOOP | libc::EXDEV) => Code::InvalidArgument,
                Some(libc::ENOTDIR) => Code::FailedPrecondition,
                Some(libc::ENOTCONN) => Code::Unavailable,
                Some(libc::EPERM | libc::EACCES) => Code::PermissionDenied,
                _ => Code::Internal,
            },
            PathError::NoChild { .. } => Code::Internal,
        }
    }
}

/// Starts a process for each piece of work.
#[derive(Debug, Clone)]
pub struct PathRunner {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl PathRunner {
    /// With the program, and the arguments before the work, that lead to [`super::run_child`].
    pub fn new(program: PathBuf, arguments: Vec<OsString>) -> Self {
        PathRunner { program, arguments }
    }

    /// See [`PathWork::Bind`].
    ///
    /// **Errors**: every variant of [`PathError`]. **Cancel safety**: may have been done.
    pub async fn bind(&self, bind: Bind) -> Result<(), PathError> {
        let path = bind.target.clone();
        self.run(&PathWork::Bind(bind), &path, MOUNT_LIMIT).await.map(|_| ())
    }

    /// Unmounts all layers but the lowest `keep`; removes the directory, if wanted.
    ///
    /// **Errors**: every variant of [`PathError`]. **Cancel safety**: may have been done.
    pub async fn unmount(&self, target: &Path, keep: usize, remove: bool) -> Result<(), PathError> {
        let work = PathWork::Unmount { target: target.to_owned(), keep, remove };
        self.run(&work, target, MOUNT_LIMIT).await.map(|_| ())
    }

    /// How full the file system at `path` is.
    ///
    /// **Errors**: every variant of [`PathError`].
    pub async fn usage(&self, path: &Path) -> Result<Usage, PathError> {
        let work = PathWork::Usage { path: path.to_owned() };
        match self.run(&work, path, USAGE_LIMIT).await? {
            Came::Usage(usage) => Ok(usage),
            other => Err(no_child(path, format!("it said {other:?}"))),
        }
    }

    async fn run(&self, work: &PathWork, path: &Path, limit: Duration) -> Result<Came, PathError> {
        let words = serde_json::to_string(work).map_err(|error| no_child(path, error))?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        // The future's end kills it; who cannot die at once is waited for in the background.
        command.kill_on_drop(true).env_clear();
        let output = match tokio::time::timeout(limit, command.output()).await {
            Ok(output) => output.map_err(|error| no_child(path, error))?,
            Err(_) => return Err(PathError::Hangs { path: path.to_owned(), limit }),
        };
        match serde_json::from_slice(&output.stdout) {
            Ok(Came::Failed { action, errno }) => Err(PathError::Refused {
                action,
                path: path.to_owned(),
                source: io::Error::from_raw_os_error(errno),
            }),
            Ok(came) => Ok(came),
            Err(error) => Err(no_child(path, format!("{error} ({})", output.status))),
        }
    }
}

fn no_child(path: &Path, why: impl std::fmt::Display) -> PathError {
    PathError::NoChild { path: path.to_owned(), why: why.to_string() }
}
