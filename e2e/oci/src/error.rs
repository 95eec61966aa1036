//! What can go wrong while an image is written.

use std::path::PathBuf;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an image could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that should go into the image can't be read.
    #[error("{} can't be put into the image: {source}", path.display())]
    Source {
        /// The file on this machine.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A path within the image that isn't absolute, or leads out of it.
    #[error("{path:?} is no path within an image: it must begin with / and have no . or .. in it")]
    Path {
        /// The path.
        path: String,
    },
    /// Two things in one place.
    #[error("{path} is in the image already, as something else")]
    Twice {
        /// The path.
        path: String,
    },
    /// A program's library isn't on this machine.
    #[error("a library is missing on this machine: {line}")]
    Library {
        /// What `ldd` says of it.
        line: String,
    },
    /// The archive can't be written.
    #[error("the archive can't be written: {0}")]
    Write(#[from] std::io::Error),
}
