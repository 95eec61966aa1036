//! Translation between messages and [`alluxio_types`], one file per package.

pub mod backup;
pub mod common;
mod inode;
pub mod journal;
pub mod listing;
pub mod quota;
pub mod worker;

use alluxio_types::{Code, Coded, PathError};

/// A message of a peer that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// A field that must be there is not.
    #[error("message lacks field {field}")]
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// A field holds a value that nothing stands for.
    #[error("field {field} holds {value}, which nothing stands for")]
    BadValue {
        /// Its name.
        field: &'static str,
        /// What it holds.
        value: i64,
    },
    /// Bytes that are no message.
    #[error("malformed message: {what}")]
    Malformed {
        /// What is wrong with them.
        what: String,
    },
    /// A path in the message is not one.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl Coded for ConvertError {
    fn code(&self) -> Code {
        Code::InvalidArgument
    }
}
