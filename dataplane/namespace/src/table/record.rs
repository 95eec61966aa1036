//! The fixed-size record of an inode.

use super::compact::{U48, U64};
use super::slab::Vacant;
use alluxio_types::{InodeId, Mode, PersistenceState, TtlAction, UnixMillis};

/// An inode as it lies in a shard. Owner, group, mode and the shape of the fingerprint are numbers
/// of interned values; name and fingerprint are in the shard's pool; time to live and replication,
/// when set, are in the shard's side table.
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
    pub(crate) name_len: u16,
    /// Bytes of the packed fingerprint, after the name.
    pub(crate) print_len: u16,
    flags: u16,
}

/// The table of `mod.rs` and the budget of 120 bytes per file rest on this.
const _: () = assert!(size_of::<Record>() == 68);

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
            name_len: 0,
            print_len: 0,
            flags: VACANT,
        }
    }

    fn is_vacant(&self) -> bool {
        self.flags & VACANT != 0
    }
}

const DIRECTORY: u16 = 1;
const COMPLETED: u16 = 1 << 1;
const PINNED: u16 = 1 << 2;
const LOADED: u16 = 1 << 3;
/// Has an entry in the side table.
const RARE: u16 = 1 << 4;
const PERSISTENCE_SHIFT: u16 = 5;
const TTL_ACTION_SHIFT: u16 = 7;
const VACANT: u16 = 1 << 15;

macro_rules! flag {
    ($get:ident, $set:ident, $bit:ident) => {
        pub(crate) fn $get(&self) -> bool {
            self.flags & $bit != 0
        }

        pub(crate) fn $set(&mut self, on: bool) {
            self.flags = if on { self.flags | $bit } else { self.flags & !$bit };
        }
    };
}

impl Record {
    /// A record with everything zero but its id and flags of a live inode.
    pub(crate) fn new(id: InodeId, directory: bool) -> Self {
        let mut record = Record { flags: 0, ..Record::vacant() };
        record.container = U48::saturating(id.container());
        record.flags = if directory { DIRECTORY } else { 0 };
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
        self.flags & DIRECTORY != 0
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
        match (self.flags >> PERSISTENCE_SHIFT) & 3 {
            0 => PersistenceState::NotPersisted,
            1 => PersistenceState::ToBePersisted,
            2 => PersistenceState::Persisted,
            _ => PersistenceState::Lost,
        }
    }

    pub(crate) fn set_persistence(&mut self, state: PersistenceState) {
        let bits = match state {
            PersistenceState::NotPersisted => 0,
            PersistenceState::ToBePersisted => 1,
            PersistenceState::Persisted => 2,
            PersistenceState::Lost => 3,
        };
        self.flags = self.flags & !(3 << PERSISTENCE_SHIFT) | bits << PERSISTENCE_SHIFT;
    }

    pub(crate) fn ttl_action(&self) -> TtlAction {
        match (self.flags >> TTL_ACTION_SHIFT) & 3 {
            0 => TtlAction::Free,
            1 => TtlAction::Delete,
            _ => TtlAction::DeleteAlluxio,
        }
    }

    pub(crate) fn set_ttl_action(&mut self, action: TtlAction) {
        let bits = match action {
            TtlAction::Free => 0,
            TtlAction::Delete => 1,
            TtlAction::DeleteAlluxio => 2,
        };
        self.flags = self.flags & !(3 << TTL_ACTION_SHIFT) | bits << TTL_ACTION_SHIFT;
    }
}

/// Attributes that few inodes have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rare {
    pub(crate) ttl_ms: Option<u64>,
    pub(crate) replication_min: u32,
    pub(crate) replication_max: Option<u32>,
}

impl Rare {
    pub(crate) fn is_default(&self) -> bool {
        *self == Rare::default()
    }
}

/// Owner, group and mode: what a permission check needs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Perm {
    pub(crate) owner: String,
    pub(crate) group: String,
    pub(crate) mode: Mode,
}

/// A time as the record holds it: years beyond 10889 are cut.
pub(crate) fn time(at: UnixMillis) -> U48 {
    U48::saturating(at.0)
}
