//! What a client did, and what it was told.

use std::fmt;

/// One call of one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Who called; only shown.
    pub client: u32,
    /// When the call was made.
    pub invoked: u64,
    /// When the answer came; not read when there is none.
    pub returned: u64,
    /// What was asked.
    pub call: Call,
    /// What was answered. `None`: nothing came back, so the call took effect at any time after it was
    /// made, or never.
    pub answer: Option<Answer>,
}

/// What a client asks for. Paths are absolute and normalized (`/a/b`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// A new file in a directory that exists.
    Create {
        /// Its path.
        path: String,
    },
    /// A new directory in a directory that exists.
    Mkdir {
        /// Its path.
        path: String,
    },
    /// Removes a name, with all below it when `recursive`.
    Delete {
        /// Its path.
        path: String,
        /// Whether a directory may have children.
        recursive: bool,
    },
    /// Gives a file or directory another name, which must be free or the same.
    Rename {
        /// Old path.
        from: String,
        /// New path.
        to: String,
    },
    /// Asks what a name is.
    Status {
        /// The path.
        path: String,
    },
    /// Asks for the names in a directory.
    List {
        /// Its path.
        path: String,
    },
}

/// What a client hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The change is made.
    Done,
    /// The change is made, or the name is there, and this is its inode.
    Inode {
        /// File or directory.
        kind: Kind,
        /// Its id.
        id: u64,
    },
    /// The names in the directory, without their parents' path; in any order.
    Names(Vec<String>),
    /// Nothing was changed.
    Refused(Refusal),
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A file.
    File,
    /// A directory.
    Directory,
}

/// Why nothing was changed. Where several reasons hold, any of them is a true answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// The name, or one on the way to it, does not exist.
    NotFound,
    /// The name is taken.
    AlreadyExists,
    /// The directory has children.
    NotEmpty,
    /// A name on the way, or the one to list, is a file.
    NotADirectory,
    /// The root cannot be changed; a directory cannot move below itself.
    Invalid,
}

impl Call {
    /// The paths it touches.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        let (one, two) = match self {
            Call::Create { path }
            | Call::Mkdir { path }
            | Call::Delete { path, .. }
            | Call::Status { path }
            | Call::List { path } => (path, None),
            Call::Rename { from, to } => (from, Some(to)),
        };
        std::iter::once(one).chain(two).map(String::as_str)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Call::Create { path } => write!(f, "create {path}"),
            Call::Mkdir { path } => write!(f, "mkdir {path}"),
            Call::Delete { path, recursive: false } => write!(f, "delete {path}"),
            Call::Delete { path, recursive: true } => write!(f, "delete -r {path}"),
            Call::Rename { from, to } => write!(f, "rename {from} {to}"),
            Call::Status { path } => write!(f, "status {path}"),
            Call::List { path } => write!(f, "list {path}"),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {} at {}: {}", self.client, self.invoked, self.call)?;
        match &self.answer {
            Some(answer) => write!(f, " -> {answer:?} at {}", self.returned),
            None => write!(f, " -> no answer"),
        }
    }
}
