//! Work on paths that may lie on a mount whose server hangs. Each piece of it is done by a child process, which is
//! killed after its time; so nothing of the plugin itself ever waits for a file system.

mod child;
mod runner;

pub use child::run as run_child;
pub use runner::{PathError, PathRunner};

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One piece of work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum PathWork {
    /// Shows a directory at another place. On top of what is mounted there, if anything is.
    Bind(Bind),
    /// Unmounts all that is mounted at `target` but the lowest `keep` layers, and then removes the directory,
    /// if wanted. Nothing being there is fine.
    Unmount {
        /// Where.
        target: PathBuf,
        /// Layers that stay.
        keep: usize,
        /// Whether the directory goes too.
        remove: bool,
    },
    /// How full the file system at `path` is; proves that its server answers.
    Usage {
        /// Where.
        path: PathBuf,
    },
}

/// A directory that is shown at another place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// A mount point, or a plain directory.
    pub source: PathBuf,
    /// The directory below it that is shown; empty for all. Links on the way are refused, so that what somebody
    /// wrote into a volume can never lead out of it.
    pub sub_path: String,
    /// Where; made when it is missing.
    pub target: PathBuf,
    /// Whether changes are refused there.
    pub read_only: bool,
}

/// How full a file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Bytes in all.
    pub bytes: u64,
    /// Bytes that are left.
    pub bytes_left: u64,
    /// Inodes in all; 0 when the file system does not say.
    pub inodes: u64,
    /// Inodes that are left.
    pub inodes_left: u64,
}

/// What came of it, as the child says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "came")]
pub(crate) enum Came {
    /// It is done.
    Done,
    /// What was asked.
    Usage(Usage),
    /// The system refused.
    Failed {
        /// What was tried.
        action: String,
        /// The system's number.
        errno: i32,
    },
}
