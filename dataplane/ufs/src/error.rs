//! What can go wrong with a store. Every variant names the URI; none ever holds a credential
//! (`crate::redact` cleans foreign text before it gets here).

use alluxio_types::{Code, Coded, Retry};
use std::time::Duration;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No file or directory there.
    #[error("{uri} does not exist in the under store")]
    NotFound {
        /// What was looked for.
        uri: String,
    },
    /// The bucket or container itself is missing.
    #[error("{uri}: there is no such bucket; create it, or correct the URI")]
    NoSuchBucket {
        /// The mount's URI.
        uri: String,
    },
    /// The name is taken.
    #[error("{uri} exists already in the under store")]
    AlreadyExists {
        /// The name.
        uri: String,
    },
    /// A directory was needed.
    #[error("{uri} is not a directory in the under store")]
    NotADirectory {
        /// What was found.
        uri: String,
    },
    /// A file was needed.
    #[error("{uri} is a directory in the under store")]
    IsADirectory {
        /// What was found.
        uri: String,
    },
    /// The directory holds something.
    #[error("{uri} is not empty in the under store")]
    NotEmpty {
        /// The directory.
        uri: String,
    },
    /// The store knows us and refuses.
    #[error(
        "the under store refuses access to {uri} ({detail}); check that the credentials of this mount allow the operation"
    )]
    PermissionDenied {
        /// What was asked for.
        uri: String,
        /// The store's words.
        detail: String,
    },
    /// The store does not know us.
    #[error(
        "the under store does not accept the credentials for {uri} ({detail}); set them as options of the mount ({options})"
    )]
    Unauthenticated {
        /// What was asked for.
        uri: String,
        /// The store's words.
        detail: String,
        /// Options that carry credentials for this scheme.
        options: &'static str,
    },
    /// The store takes no writes.
    #[error("{uri} is in a read-only under store")]
    ReadOnly {
        /// What was to be written.
        uri: String,
    },
    /// Another version is there than the expected one, or it changed while it was read.
    #[error("{uri} changed in the under store")]
    Changed {
        /// The file.
        uri: String,
    },
    /// The file is shorter.
    #[error("{uri} is {file_length} bytes long; bytes {offset}..{end} were asked for")]
    OutOfRange {
        /// The file.
        uri: String,
        /// First byte asked for.
        offset: u64,
        /// End of what was asked for, exclusive.
        end: u64,
        /// Its length.
        file_length: u64,
    },
    /// The store sent fewer bytes than it announced, again and again.
    #[error("the under store sent {got} of {want} bytes of {uri}")]
    Truncated {
        /// The file.
        uri: String,
        /// Bytes asked for.
        want: u64,
        /// Bytes that came.
        got: u64,
    },
    /// No room, or a quota is used up.
    #[error("no room in the under store for {uri} ({detail})")]
    NoSpace {
        /// What was to be written.
        uri: String,
        /// The store's words.
        detail: String,
    },
    /// The store asks to slow down, and did so until the retries were used up.
    #[error("the under store is overloaded: {uri} ({detail})")]
    Busy {
        /// What was asked for.
        uri: String,
        /// The store's words.
        detail: String,
    },
    /// The store cannot be reached, or fails for a while, and did so until the retries were used
    /// up.
    #[error("the under store of {uri} does not answer ({detail})")]
    Unavailable {
        /// What was asked for.
        uri: String,
        /// The system's or the store's words.
        detail: String,
    },
    /// The deadline of the operation passed.
    #[error("{operation} of {uri} took longer than {limit:?} in the under store")]
    DeadlineExceeded {
        /// What was asked for.
        uri: String,
        /// Which call.
        operation: &'static str,
        /// The deadline.
        limit: Duration,
    },
    /// The store cannot do this.
    #[error("the under store of {uri} cannot {operation}")]
    Unsupported {
        /// What was asked for.
        uri: String,
        /// Which call, as a verb.
        operation: &'static str,
    },
    /// Not a URI of a store, or not one for this operation.
    #[error("{uri:?} is not usable as an under store path: {why}")]
    InvalidUri {
        /// What was given.
        uri: String,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// The store keeps owners by number, and the machine that asks knows none for this name.
    #[error(
        "cannot give {uri} to the {kind} {name:?}, whom this machine does not know; \
         alluxio.underfs.allow.set.owner.failure=true leaves the owner as it is"
    )]
    UnknownPrincipal {
        /// The path.
        uri: String,
        /// `user` or `group`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A scheme that no store here has.
    #[error("no under store knows the scheme of {uri:?}; known are {known}")]
    UnsupportedScheme {
        /// What was given.
        uri: String,
        /// All schemes.
        known: String,
    },
    /// A path that is not below the mount's root, by its text or by a symbolic link.
    #[error("{uri} is outside of the mounted {root}")]
    OutsideMount {
        /// The path.
        uri: String,
        /// The mount's root.
        root: String,
    },
    /// A mount option that the store does not have.
    #[error("unknown option {name:?} for {uri}; {}", hint(.nearest))]
    UnknownOption {
        /// The mount's URI.
        uri: String,
        /// The option.
        name: String,
        /// A known option whose name is as good as this one.
        nearest: Option<String>,
    },
    /// A mount option whose value makes no sense. The value is not shown: it may be a credential.
    #[error("option {name:?} for {uri}: {want}")]
    InvalidOption {
        /// The mount's URI.
        uri: String,
        /// The option.
        name: String,
        /// What a value looks like.
        want: String,
    },
    /// The store needs an option that is not set.
    #[error("{uri} needs the option {name:?}: {why}")]
    MissingOption {
        /// The mount's URI.
        uri: String,
        /// The option.
        name: &'static str,
        /// What it is for.
        why: &'static str,
    },
    /// The store failed in a way that none of the others describes, and that trying again will not
    /// mend.
    #[error("{operation} of {uri} failed in the under store ({detail})")]
    Failed {
        /// What was asked for.
        uri: String,
        /// Which call.
        operation: &'static str,
        /// The system's or the store's words.
        detail: String,
    },
}

fn hint(nearest: &Option<String>) -> String {
    match nearest {
        Some(name) => format!("did you mean {name:?}?"),
        None => "dataplane/docs/UNDER_STORES.md lists those there are".to_owned(),
    }
}

impl Error {
    /// Whether nothing is there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::NotFound { .. })
    }

    /// Whether the version is another one.
    pub fn is_changed(&self) -> bool {
        matches!(self, Error::Changed { .. })
    }

    /// Whether the same call may succeed a little later.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Error::Busy { .. }
                | Error::Unavailable { .. }
                | Error::Truncated { .. }
                | Error::DeadlineExceeded { .. }
        )
    }
}

impl Coded for Error {
    fn code(&self) -> Code {
        match self {
            Error::NotFound { .. } | Error::NoSuchBucket { .. } => Code::NotFound,
            Error::AlreadyExists { .. } => Code::AlreadyExists,
            Error::NotADirectory { .. } => Code::NotADirectory,
            Error::IsADirectory { .. } => Code::IsADirectory,
            Error::NotEmpty { .. } => Code::NotEmpty,
            Error::PermissionDenied { .. } => Code::PermissionDenied,
            // Not `Unauthenticated`: that word tells a client that the master does not know it,
            // and here it is the store that does not know the master.
            Error::Unauthenticated { .. } => Code::PermissionDenied,
            Error::ReadOnly { .. } => Code::ReadOnly,
            Error::Changed { .. } => Code::Stale,
            Error::OutOfRange { .. } => Code::OutOfRange,
            Error::Truncated { .. } | Error::Unavailable { .. } => Code::Unavailable,
            Error::NoSpace { .. } => Code::ResourceExhausted,
            Error::Busy { .. } => Code::Busy,
            Error::DeadlineExceeded { .. } => Code::DeadlineExceeded,
            Error::Unsupported { .. } => Code::Unimplemented,
            Error::InvalidUri { .. }
            | Error::UnsupportedScheme { .. }
            | Error::OutsideMount { .. }
            | Error::UnknownOption { .. }
            | Error::InvalidOption { .. }
            | Error::MissingOption { .. } => Code::InvalidArgument,
            Error::UnknownPrincipal { .. } | Error::Failed { .. } => Code::FailedPrecondition,
        }
    }

    /// This crate has retried already: whoever tries again waits longer.
    fn retry(&self) -> Retry {
        if self.is_temporary() { Retry::After(Duration::from_secs(1)) } else { Retry::Never }
    }
}
