//! What a command can end with, and the exit code it gives.

use alluxio_config::ConfigError;
use alluxio_types::{Code, Coded, PathError};
use std::io;
use std::path::PathBuf;

/// Exit code of every error: Alluxio's −1.
pub const EXIT_ERROR: u8 = 255;
/// Exit code when the reader of our output went away: what a shell shows for SIGPIPE.
pub const EXIT_PIPE: u8 = 141;

/// Why a command failed. Messages are one line: the thing, what is wrong, the way out.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Words that are not a command line of ours; the text is finished.
    #[error("{message}")]
    Usage {
        /// One line, and the usage in the next.
        message: String,
    },
    /// A path that is not one.
    #[error("{text:?} is not an Alluxio path: {source}")]
    BadPath {
        /// As given.
        text: String,
        /// What is wrong with it.
        #[source]
        source: PathError,
    },
    /// A URI of another kind.
    #[error("{uri:?} is not an Alluxio URI: expected /path or alluxio://host:port/path")]
    BadUri {
        /// As given.
        uri: String,
    },
    /// An argument with a value that makes no sense.
    #[error("{what} {value:?}: expected {expected}")]
    BadArgument {
        /// Its name.
        what: &'static str,
        /// As given.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// A combination of arguments that makes no sense.
    #[error("{message}")]
    Refused {
        /// What, and the way out.
        message: String,
    },
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The cluster said no.
    #[error("{message}")]
    Cluster {
        /// Kind of refusal.
        code: Code,
        /// One line that names the path.
        message: String,
    },
    /// A file of this machine.
    #[error("{}: {source}", .path.display())]
    Local {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[source] io::Error),
    /// Several things failed, and each was reported already.
    #[error("{failed} of {all} failed")]
    Several {
        /// How many failed.
        failed: usize,
        /// Of how many.
        all: usize,
    },
    /// A command that ends with a code of its own after it said everything.
    #[error("exit code {0}")]
    Code(u8),
    /// A command of Alluxio that is not there.
    #[error("{message}")]
    Unimplemented {
        /// Which, and what to do instead.
        message: String,
    },
    /// Something of this binary is missing, such as an embedded cluster.
    #[error("{0}")]
    Unavailable(String),
}

impl CliError {
    /// A refusal by `error`, with what was attempted in front.
    pub fn cluster(attempt: impl std::fmt::Display, error: &(impl Coded + ?Sized)) -> Self {
        CliError::Cluster { code: error.code(), message: one_line(&format!("{attempt}: {error}")) }
    }

    /// A failure with that local file.
    pub fn local(path: impl Into<PathBuf>, source: io::Error) -> Self {
        CliError::Local { path: path.into(), source }
    }

    /// What the shell sees.
    pub fn exit_code(&self) -> u8 {
        match self {
            CliError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => EXIT_PIPE,
            CliError::Code(code) => *code,
            _ => EXIT_ERROR,
        }
    }

    /// Whether there is something left to say on standard error.
    pub fn is_silent(&self) -> bool {
        matches!(self, CliError::Code(_)) || self.exit_code() == EXIT_PIPE
    }
}

impl Coded for CliError {
    fn code(&self) -> Code {
        match self {
            CliError::Cluster { code, .. } => *code,
            CliError::Local { .. } | CliError::Output(_) => Code::FailedPrecondition,
            CliError::Several { .. } | CliError::Code(_) => Code::Aborted,
            CliError::Unavailable(_) => Code::Unavailable,
            CliError::Unimplemented { .. } => Code::Unimplemented,
            _ => Code::InvalidArgument,
        }
    }
}

/// Text of others may have several lines; ours has one.
fn one_line(text: &str) -> String {
    text.split('\n').map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_silent_and_has_the_code_of_a_signal() {
        let closed = CliError::Output(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((closed.exit_code(), closed.is_silent()), (EXIT_PIPE, true));
        let full = CliError::Output(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!((full.exit_code(), full.is_silent()), (EXIT_ERROR, false));
    }

    #[test]
    fn messages_have_one_line() {
        let error = PathError::NotAbsolute { path: "a\nb".into() };
        let text = CliError::cluster("ls\n x", &error).to_string();
        assert!(!text.contains('\n'), "{text}");
    }
}
