//! What a store says about a file or directory.
//!
//! **Fingerprints** are opaque outside this crate; equal text means the same version of the bytes.
//!
//! | store | text | noticed |
//! |---|---|---|
//! | local, NFS | `posix;len=;mtime=;ctime=;ino=` (times in ns) | rewrite in place, replacement by rename, a time set back |
//! | object stores | `object;len=;etag=`, or `mtime=` (ms) where a store has no entity tag | every upload of other bytes |
//! | HDFS, WebHDFS | `hdfs;len=;mtime=` (ms), and `id=` where the store tells the file id | append, overwrite |
//! | HTTP | `http;len=;etag=` or `mtime=` | whatever the server marks |
//! | memory | `memory;len=;version=` | every write |
//! | any directory | `dir` | nothing: a directory has no versions, compare its listing |
//!
//! Owner, group and mode are no part of it. On a local path, rename, link, chmod and chown move the
//! change time and thereby the fingerprint of a file whose bytes stayed: [`UnderFs::rename_file`]
//! and [`UnderFs::set_attributes`] therefore return the new facts. On kernels before 6.13, two
//! rewrites of the same length within one timer tick (1 to 10 ms), with a look in between, are
//! taken for one version.
//!
//! [`UnderFs::rename_file`]: crate::UnderFs::rename_file
//! [`UnderFs::set_attributes`]: crate::UnderFs::set_attributes

use alluxio_types::{FileKind, Fingerprint, Mode, UnixMillis};

/// What kind of store a mount is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UfsKind {
    /// A directory of this machine, NFS and other mounted file systems included.
    Local,
    /// HDFS by its native protocol.
    Hdfs,
    /// HDFS by its REST protocol.
    WebHdfs,
    /// A bucket: S3, GCS, Azure, OSS, COS, OBS, Swift.
    Object,
    /// A web server, read-only.
    Http,
    /// Memory of this process; tests only.
    Memory,
}

/// What a store can do. Ask here instead of trying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether it keeps owner, group and mode.
    pub attributes: bool,
    /// Whether renaming a directory is one step; otherwise it is a copy and a delete of every
    /// object below, and a crash in the middle leaves some of them under both names.
    pub atomic_rename: bool,
    /// Whether anything can be written.
    pub writable: bool,
    /// Whether [`UnderFs::list`](crate::UnderFs::list) works.
    pub list: bool,
    /// Whether a recursive listing costs less than a walk.
    pub native_recursive_list: bool,
    /// Whether the store itself refuses to read another version than the expected one. Where it
    /// does not, the version is compared before the first and after the last byte.
    pub conditional_read: bool,
    /// Whether [`UnderFs::create_new`](crate::UnderFs::create_new) works. Servers that only speak a
    /// bucket's protocol may say so and not do it: whoever relies on it tries it first.
    pub exclusive_create: bool,
}

/// What is known of one file or directory. `None` where the store does not keep it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UfsFacts {
    /// File or directory.
    pub kind: FileKind,
    /// Length of a file in bytes; 0 for a directory.
    pub length: u64,
    /// When its bytes last changed.
    pub modified: Option<UnixMillis>,
    /// Owner's name; the number as text when the name is not known.
    pub owner: Option<String>,
    /// Group's name; the number as text when the name is not known.
    pub group: Option<String>,
    /// Permission bits.
    pub mode: Option<Mode>,
    /// Which version these facts describe.
    pub fingerprint: Fingerprint,
}

impl UfsFacts {
    /// Facts of a directory of which nothing else is known.
    pub fn directory() -> Self {
        UfsFacts {
            kind: FileKind::Directory,
            length: 0,
            modified: None,
            owner: None,
            group: None,
            mode: None,
            fingerprint: Fingerprint(DIRECTORY_FINGERPRINT.into()),
        }
    }

    /// Facts of a file of which no attributes are known.
    pub fn file(length: u64, modified: Option<UnixMillis>, fingerprint: Fingerprint) -> Self {
        UfsFacts {
            kind: FileKind::File,
            length,
            modified,
            owner: None,
            group: None,
            mode: None,
            fingerprint,
        }
    }

    /// Whether these are the facts of a directory.
    pub fn is_directory(&self) -> bool {
        self.kind == FileKind::Directory
    }
}

/// The fingerprint of every directory.
pub const DIRECTORY_FINGERPRINT: &str = "dir";

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UfsEntry {
    /// Name relative to the listed directory: one component, or several joined by `/` in a
    /// recursive listing. No leading and no trailing slash.
    pub name: String,
    /// What is known of it.
    pub facts: UfsFacts,
}

/// Attributes to set; `None` leaves one as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UfsAttributes {
    /// Owner's name, or a number as text.
    pub owner: Option<String>,
    /// Group's name, or a number as text.
    pub group: Option<String>,
    /// Permission bits.
    pub mode: Option<Mode>,
}

impl UfsAttributes {
    /// Whether there is nothing to set.
    pub fn is_empty(&self) -> bool {
        self.owner.is_none() && self.group.is_none() && self.mode.is_none()
    }
}

/// Room in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// All of it, in bytes.
    pub total_bytes: u64,
    /// Taken, in bytes.
    pub used_bytes: u64,
}
