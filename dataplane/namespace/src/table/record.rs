//! The fixed-size record of an inode.

use super::compact::{U48, U64};
use super::slab::Vacant;
use alluxio_types::path::NAME_BYTES_MAX;
use alluxio_types::{InodeId, Mode, PersistenceState, Quota, TtlAction, UnixMillis, Xattrs};
use std::sync::Arc;

/// Longest fingerprint, in bytes.
pub(crate) const FINGERPRINT_BYTES_MAX: usize = 4096;

/// An inode as it lies in a shard. Owner, group, mode and the shape of the fingerprint are numbers
/// of interned values; name and fingerprint are in the shard's pool; what few inodes have ([`Rare`]) is in
/// the shard's side table.
#[derive(Clone, Copy)]
pub(crate) struct Record {
    pub(crate) container: U48,
    /// The journal position that last touched it. For a directory, its names have their own.
    pub(crate) seq: U48,
    pub(crate) created: U48,
    pub(crate) modified: U48,
    pub(crate) accessed: U48,
    pub(crate) block_size: U48,
    /// Bytes of a file; position of a directory's node in the shard of its own id.
    length: U64,
    pub(crate) perm: u32,
    /// Shape of the fingerprint, see [`super::fingerprint`].
    pub(crate) shape: u32,
    /// Position of the node of the directory that holds it, in this shard.
    pub(crate) parent: u32,
    pub(crate) bytes: u32,
    /// Flags, and the lengths of the name and, after it, of the packed fingerprint.
    bits: u32,
}

/// The table of `mod.rs` and the budget of 120 bytes per file rest on this.
const _: () = assert!(size_of::<Record>() == 64);

impl Vacant for Record {
    fn vacant() -> Self {
        Record {
            container: U48::saturating(U48::MAX),
            seq: U48::default(),
            created: U48::default(),
            modified: U48::default(),
            accessed: U48::default(),
            block_size: U48::default(),
            length: U64::default(),
            perm: 0,
            shape: 0,
            parent: 0,
            bytes: 0,
            bits: VACANT,
        }
    }

    fn is_vacant(&self) -> bool {
        self.bits & VACANT != 0
    }
}

const DIRECTORY: u32 = 1;
const COMPLETED: u32 = 1 << 1;
const PINNED: u32 = 1 << 2;
const LOADED: u32 = 1 << 3;
/// Has an entry in the side table.
const RARE: u32 = 1 << 4;
const VACANT: u32 = 1 << 5;
const PERSISTENCE: Field = Field { shift: 6, bits: 2 };
/// Names have at most `NAME_BYTES_MAX` bytes.
const NAME_LEN: Field = Field { shift: 8, bits: 11 };
/// Fingerprints have at most `FINGERPRINT_BYTES_MAX` bytes.
const PRINT_LEN: Field = Field { shift: 19, bits: 13 };

const _: () = assert!(NAME_BYTES_MAX < 1 << NAME_LEN.bits);
const _: () = assert!(FINGERPRINT_BYTES_MAX < 1 << PRINT_LEN.bits);

/// A small number among the bits.
struct Field {
    shift: u32,
    bits: u32,
}

impl Field {
    const fn get(&self, from: u32) -> u32 {
        (from >> self.shift) & ((1 << self.bits) - 1)
    }

    fn set(&self, to: &mut u32, value: u32) {
        assert!(value < 1 << self.bits, "a name or a fingerprint is longer than plan allows");
        *to = *to & !(((1 << self.bits) - 1) << self.shift) | value << self.shift;
    }
}

macro_rules! flag {
    ($get:ident, $set:ident, $bit:ident) => {
        pub(crate) fn $get(&self) -> bool {
            self.bits & $bit != 0
        }

        pub(crate) fn $set(&mut self, on: bool) {
            self.bits = if on { self.bits | $bit } else { self.bits & !$bit };
        }
    };
}

impl Record {
    /// A record with everything zero but its id and flags of a live inode.
    pub(crate) fn new(id: InodeId, directory: bool) -> Self {
        let mut record = Record { bits: 0, ..Record::vacant() };
        record.container = U48::saturating(id.container());
        record.bits = if directory { DIRECTORY } else { 0 };
        record
    }

    flag!(completed, set_completed, COMPLETED);
    flag!(pinned, set_pinned, PINNED);
    flag!(children_loaded, set_children_loaded, LOADED);
    flag!(has_rare, set_has_rare, RARE);

    pub(crate) fn id(&self) -> InodeId {
        InodeId::from_container(self.container.get())
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.bits & DIRECTORY != 0
    }

    /// Bytes of a file, 0 for a directory.
    pub(crate) fn length(&self) -> u64 {
        if self.is_directory() { 0 } else { self.length.get() }
    }

    pub(crate) fn set_length(&mut self, bytes: u64) {
        debug_assert!(!self.is_directory());
        self.length = U64::new(bytes);
    }

    /// Position of a directory's node in the shard of its own id; `None` for a file.
    pub(crate) fn node(&self) -> Option<u32> {
        self.is_directory()
            .then(|| u32::try_from(self.length.get()).expect("a directory's length is a position"))
    }

    pub(crate) fn set_node(&mut self, node: u32) {
        debug_assert!(self.is_directory());
        self.length = U64::new(u64::from(node));
    }

    pub(crate) fn persistence(&self) -> PersistenceState {
        match PERSISTENCE.get(self.bits) {
            0 => PersistenceState::NotPersisted,
            1 => PersistenceState::ToBePersisted,
            2 => PersistenceState::Persisted,
            _ => PersistenceState::Lost,
        }
    }

    pub(crate) fn set_persistence(&mut self, state: PersistenceState) {
        let value = match state {
            PersistenceState::NotPersisted => 0,
            PersistenceState::ToBePersisted => 1,
            PersistenceState::Persisted => 2,
            PersistenceState::Lost => 3,
        };
        PERSISTENCE.set(&mut self.bits, value);
    }

    /// Bytes of the name.
    pub(crate) fn name_len(&self) -> usize {
        NAME_LEN.get(self.bits) as usize
    }

    /// Bytes of the packed fingerprint.
    pub(crate) fn print_len(&self) -> usize {
        PRINT_LEN.get(self.bits) as usize
    }

    /// **Panics** when one is longer than `plan` allows.
    pub(crate) fn set_lens(&mut self, name: usize, print: usize) {
        NAME_LEN.set(&mut self.bits, u32::try_from(name).unwrap_or(u32::MAX));
        PRINT_LEN.set(&mut self.bits, u32::try_from(print).unwrap_or(u32::MAX));
    }
}

/// What few inodes have. In the heap, wherever the tables are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Rare {
    pub(crate) ttl_ms: Option<u64>,
    pub(crate) ttl_action: TtlAction,
    pub(crate) replication_min: u32,
    pub(crate) replication_max: Option<u32>,
    pub(crate) xattr: Xattrs,
    /// Of a symbolic link, and of nothing else.
    pub(crate) target: Option<Arc<str>>,
    /// Of a directory, and of nothing else.
    pub(crate) quota: Quota,
}

impl Rare {
    pub(crate) fn is_default(&self) -> bool {
        *self == Rare::default()
    }

    /// Bytes in the heap, by their lengths.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.xattr.bytes() + self.target.as_ref().map_or(0, |target| target.len())
    }
}

/// Owner, group and mode: what a permission check needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Perm {
    pub(crate) owner: String,
    pub(crate) group: String,
    pub(crate) mode: Mode,
}

/// A time as the record holds it: years beyond 10889 are cut.
pub(crate) fn time(at: UnixMillis) -> U48 {
    U48::saturating(at.0)
}
