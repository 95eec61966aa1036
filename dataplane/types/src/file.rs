//! Facts about files and directories, and the words for how they are read and written.

use crate::{BlockInfo, InodeId, Mode, MountId, UnixMillis, Xattrs};
use std::fmt;

/// What an inode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// Holds bytes.
    File,
    /// Holds names.
    Directory,
    /// Holds a path, for whoever asks for it: nothing here follows it.
    Symlink,
}

/// Where the bytes of a file are safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PersistenceState {
    /// Only in Alluxio.
    #[default]
    NotPersisted,
    /// Only in Alluxio, and on the list of what must reach the UFS.
    ToBePersisted,
    /// In the UFS.
    Persisted,
    /// All copies are gone and the UFS never had one.
    Lost,
}

impl PersistenceState {
    /// All states.
    pub const ALL: [PersistenceState; 4] = [
        PersistenceState::NotPersisted,
        PersistenceState::ToBePersisted,
        PersistenceState::Persisted,
        PersistenceState::Lost,
    ];

    /// Alluxio's name, as `ls` prints it.
    pub const fn name(self) -> &'static str {
        match self {
            PersistenceState::NotPersisted => "NOT_PERSISTED",
            PersistenceState::ToBePersisted => "TO_BE_PERSISTED",
            PersistenceState::Persisted => "PERSISTED",
            PersistenceState::Lost => "LOST",
        }
    }
}

/// What happens to a file when its time to live is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TtlAction {
    /// Cached copies go, the name stays.
    #[default]
    Free,
    /// Name, copies and the UFS file go.
    Delete,
    /// Name and copies go, the UFS file stays.
    DeleteAlluxio,
}

impl TtlAction {
    /// Alluxio's name.
    pub const fn name(self) -> &'static str {
        match self {
            TtlAction::Free => "FREE",
            TtlAction::Delete => "DELETE",
            TtlAction::DeleteAlluxio => "DELETE_ALLUXIO",
        }
    }
}

macro_rules! named_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The name users write in configuration and on the command line.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }

            /// The value with that name, in any case.
            pub fn from_name(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|v| v.name().eq_ignore_ascii_case(text))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

named_enum!(
    /// Where a write goes before it is acknowledged (`alluxio.user.file.writetype.default`).
    WriteType {
        /// Workers only.
        MustCache = "MUST_CACHE",
        /// Workers if there is room, and the UFS.
        CacheThrough = "CACHE_THROUGH",
        /// The UFS only.
        Through = "THROUGH",
        /// Workers now, the UFS by a job later.
        AsyncThrough = "ASYNC_THROUGH",
    }
);

named_enum!(
    /// What a read leaves behind (`alluxio.user.file.readtype.default`).
    ReadType {
        /// Nothing.
        NoCache = "NO_CACHE",
        /// The block, where the allocator puts it.
        Cache = "CACHE",
        /// The block, in the top tier.
        CachePromote = "CACHE_PROMOTE",
    }
);

impl WriteType {
    /// Whether the bytes are in the UFS when the write is acknowledged.
    pub const fn is_through(self) -> bool {
        matches!(self, WriteType::CacheThrough | WriteType::Through)
    }

    /// Whether workers keep the bytes.
    pub const fn is_cached(self) -> bool {
        !matches!(self, WriteType::Through)
    }
}

/// What tells two versions of a UFS file apart without reading it: length, modification time and,
/// where the store has one, its entity tag. Empty means that the UFS never held the file.
///
/// **Shape**: opaque text made by `ufs`; equal text means the same version.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Fingerprint(pub String);

impl Fingerprint {
    /// Whether there is no UFS version.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// All that a client may know about a file or directory (`reference` §10).
#[derive(Debug, Clone, PartialEq)]
pub struct FileStatus {
    /// Inode id.
    pub id: InodeId,
    /// Last component; empty for the root.
    pub name: String,
    /// Full path in the namespace.
    pub path: String,
    /// Where it is, or would be, in the UFS.
    pub ufs_path: String,
    /// What it is.
    pub kind: FileKind,
    /// Bytes of a file, and of a symbolic link's target; number of children of a directory.
    pub length: u64,
    /// Bytes of every block but the last.
    pub block_size_bytes: u64,
    /// When the inode was made.
    pub created: UnixMillis,
    /// When its bytes, or a directory's names, last changed.
    pub modified: UnixMillis,
    /// When it was last opened, to the precision the master keeps.
    pub accessed: UnixMillis,
    /// Whether a file is complete; all else always is.
    pub completed: bool,
    /// Whether its blocks must stay cached.
    pub pinned: bool,
    /// Where its bytes are safe.
    pub persistence: PersistenceState,
    /// Whether a UFS is mounted exactly here.
    pub mount_point: bool,
    /// Mount it belongs to.
    pub mount_id: MountId,
    /// Owner's name.
    pub owner: String,
    /// Group's name.
    pub group: String,
    /// Permission bits.
    pub mode: Mode,
    /// Milliseconds after creation; `None` for ever.
    pub ttl_ms: Option<u64>,
    /// What happens then.
    pub ttl_action: TtlAction,
    /// Fewest cached copies wanted.
    pub replication_min: u32,
    /// Most cached copies wanted; `None` for no limit.
    pub replication_max: Option<u32>,
    /// UFS version that this inode stands for.
    pub fingerprint: Fingerprint,
    /// Extended attributes; those that only the superuser may see are in his statuses only.
    pub xattr: Xattrs,
    /// Where a symbolic link leads; empty for all else.
    pub target: String,
    /// Blocks in file order, with their locations; empty when the caller asked for none.
    pub blocks: Vec<BlockInfo>,
    /// Share of the bytes that are cached, 0..=100.
    pub in_alluxio_percent: u32,
    /// Share of the bytes that are cached in the top tier, 0..=100.
    pub in_memory_percent: u32,
}

impl FileStatus {
    /// Whether this is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind == FileKind::Directory
    }

    /// Whether this is a file, which has bytes.
    pub fn is_file(&self) -> bool {
        self.kind == FileKind::File
    }

    /// Whether this is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.kind == FileKind::Symlink
    }

    /// Number of blocks.
    pub fn block_count(&self) -> u64 {
        if self.is_file() { block_count(self.length, self.block_size_bytes) } else { 0 }
    }

    /// Length of block `index`.
    pub fn block_length(&self, index: u64) -> u64 {
        block_length(self.length, self.block_size_bytes, index)
    }
}

/// Number of blocks of a file. `block_size` must not be 0.
pub const fn block_count(length: u64, block_size: u64) -> u64 {
    length.div_ceil(block_size)
}

/// Length of block `index` of a file; 0 beyond the end.
pub const fn block_length(length: u64, block_size: u64, index: u64) -> u64 {
    let start = index.saturating_mul(block_size);
    if start >= length {
        0
    } else if length - start < block_size {
        length - start
    } else {
        block_size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_tile_the_file() {
        for (length, size) in [(0, 4), (1, 4), (4, 4), (5, 4), (12, 4)] {
            let total: u64 =
                (0..block_count(length, size)).map(|i| block_length(length, size, i)).sum();
            assert_eq!(total, length);
            assert_eq!(block_length(length, size, block_count(length, size)), 0);
        }
    }

    #[test]
    fn names_are_read_in_any_case() {
        assert_eq!(WriteType::from_name("cache_through"), Some(WriteType::CacheThrough));
        assert_eq!(ReadType::from_name("CACHED"), None);
    }
}
