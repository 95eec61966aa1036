//! Errors on order.

use super::tree::errno;
use std::io;
use std::path::Path;

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// `Disk::open`.
    Open,
    /// `Disk::create_dir_all`.
    CreateDir,
    /// `Disk::list`.
    List,
    /// `Disk::rename`; the path is the old name.
    Rename,
    /// `Disk::remove_file` and `Disk::remove_dir_all`.
    Remove,
    /// `Disk::facts`.
    Facts,
    /// `Disk::sync_dir`.
    SyncDir,
    /// `Disk::lock`.
    Lock,
    /// `DiskFile::read_at`.
    Read,
    /// `DiskFile::write_all_at`.
    Write,
    /// `DiskFile::sync_data`.
    Sync,
    /// `DiskFile::length`.
    Length,
    /// `DiskFile::set_length`.
    SetLength,
    /// `DiskFile::allocate`.
    Allocate,
}

/// What the caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The medium failed (`EIO`).
    Io,
    /// No space left (`ENOSPC`).
    Full,
    /// The file system is mounted read-only (`EROFS`).
    ReadOnly,
    /// Permission denied (`EACCES`).
    Denied,
}

impl FaultKind {
    pub(super) fn error(self) -> io::Error {
        errno(match self {
            FaultKind::Io => libc::EIO,
            FaultKind::Full => libc::ENOSPC,
            FaultKind::ReadOnly => libc::EROFS,
            FaultKind::Denied => libc::EACCES,
        })
    }
}

/// An error to come: which calls, how many of them first go well, how many then fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub(super) kind: FaultKind,
    pub(super) operation: Option<Operation>,
    pub(super) path_contains: String,
    pub(super) skip: u64,
    pub(super) times: u64,
}

impl Fault {
    /// The next call of any kind fails once.
    pub fn new(kind: FaultKind) -> Self {
        Fault { kind, operation: None, path_contains: String::new(), skip: 0, times: 1 }
    }

    /// Only calls of this kind count.
    pub fn on(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Only calls on paths with this text in them count.
    pub fn at(mut self, path_contains: impl Into<String>) -> Self {
        self.path_contains = path_contains.into();
        self
    }

    /// The first `calls` that count go well.
    pub fn after(mut self, calls: u64) -> Self {
        self.skip = calls;
        self
    }

    /// As many as `times` calls fail.
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// Counts one call; `true` when it has to fail.
    pub(super) fn strikes(&mut self, operation: Operation, path: &Path) -> bool {
        let counts = self.operation.is_none_or(|wanted| wanted == operation)
            && path.to_string_lossy().contains(&self.path_contains);
        if !counts || self.times == 0 {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.times -= 1;
        true
    }
}
