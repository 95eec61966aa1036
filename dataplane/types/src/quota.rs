//! Quotas of directories: how much may be at and below one, and how much is.

use crate::AlluxioPath;

/// Bounds of a directory with all below it; `None` for no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quota {
    /// Most bytes: the sum of the lengths of complete files, however many copies are cached. (HDFS: the
    /// space quota; there each replica counts.)
    pub bytes: Option<u64>,
    /// Most inodes: files, links and directories, the directory itself included. (HDFS: the name quota.)
    pub inodes: Option<u64>,
}

impl Quota {
    /// Whether it bounds nothing.
    pub fn is_none(&self) -> bool {
        *self == Quota::default()
    }
}

/// What counts against a [`Quota`], in its units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QuotaUsage {
    /// Bytes of complete files.
    pub bytes: u64,
    /// Files, links and directories.
    pub inodes: u64,
}

/// A directory with a quota, and how much of it is used. Usage may be above the quota: what comes from an
/// under store counts and is never refused, and a quota may be set below what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaStatus {
    /// The directory.
    pub path: AlluxioPath,
    /// Its bounds.
    pub quota: Quota,
    /// What is there.
    pub usage: QuotaUsage,
}

impl QuotaStatus {
    /// Bytes that may still come; `None` without a bound.
    pub fn bytes_left(&self) -> Option<u64> {
        Some(self.quota.bytes?.saturating_sub(self.usage.bytes))
    }

    /// Inodes that may still come; `None` without a bound.
    pub fn inodes_left(&self) -> Option<u64> {
        Some(self.quota.inodes?.saturating_sub(self.usage.inodes))
    }
}

/// Which bound it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaKind {
    /// [`Quota::bytes`].
    Bytes,
    /// [`Quota::inodes`].
    Inodes,
}

impl std::fmt::Display for QuotaKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            QuotaKind::Bytes => "bytes",
            QuotaKind::Inodes => "files and directories",
        })
    }
}
