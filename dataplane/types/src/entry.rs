//! What the journal records: every change of the namespace, complete in itself.
//!
//! Ids and times are inside the entry, so that replay needs no clock and no counter: applying the
//! same entries in the same order gives the same tree.

use crate::{
    AlluxioPath, FileKind, Fingerprint, InodeId, Mode, MountId, MountInfo, OperationId,
    PersistenceState, Quota, TtlAction, UnixMillis, Xattrs,
};
use std::collections::BTreeMap;

/// An inode as it is created, and as a checkpoint stores it.
#[derive(Debug, Clone, PartialEq)]
pub struct InodeRecord {
    /// Its id.
    pub id: InodeId,
    /// The directory that holds it; the root holds itself.
    pub parent: InodeId,
    /// Its name there; empty for the root.
    pub name: String,
    /// What it is.
    pub kind: FileKind,
    /// Owner's name.
    pub owner: String,
    /// Group's name.
    pub group: String,
    /// Permission bits.
    pub mode: Mode,
    /// When it was created.
    pub created: UnixMillis,
    /// When its bytes or names last changed.
    pub modified: UnixMillis,
    /// When it was last opened.
    pub accessed: UnixMillis,
    /// Bytes of a file, and of a symbolic link's target; 0 for a directory.
    pub length: u64,
    /// Bytes of every block but the last; 0 for what is no file.
    pub block_size_bytes: u64,
    /// Whether a file is complete; true for all else.
    pub completed: bool,
    /// Whether its blocks must stay cached.
    pub pinned: bool,
    /// Where its bytes are safe.
    pub persistence: PersistenceState,
    /// UFS version it stands for.
    pub fingerprint: Fingerprint,
    /// Milliseconds after creation; `None` for ever.
    pub ttl_ms: Option<u64>,
    /// What happens then.
    pub ttl_action: TtlAction,
    /// Fewest cached copies wanted.
    pub replication_min: u32,
    /// Most cached copies wanted; `None` for no limit.
    pub replication_max: Option<u32>,
    /// Whether all names that the UFS has in this directory were loaded once.
    pub children_loaded: bool,
    /// Extended attributes.
    pub xattr: Xattrs,
    /// Where a symbolic link leads; empty for all else.
    pub target: String,
    /// Bounds of a directory with all below it.
    pub quota: Quota,
}

impl InodeRecord {
    /// A record of a file without a name or anything else, for somebody to fill in.
    pub fn blank() -> Self {
        InodeRecord {
            id: InodeId(0),
            parent: InodeId(0),
            name: String::new(),
            kind: FileKind::File,
            owner: String::new(),
            group: String::new(),
            mode: Mode(0),
            created: UnixMillis(0),
            modified: UnixMillis(0),
            accessed: UnixMillis(0),
            length: 0,
            block_size_bytes: 0,
            completed: false,
            pinned: false,
            persistence: PersistenceState::NotPersisted,
            fingerprint: Fingerprint(String::new()),
            ttl_ms: None,
            ttl_action: TtlAction::Free,
            replication_min: 0,
            replication_max: None,
            children_loaded: false,
            xattr: Xattrs::default(),
            target: String::new(),
            quota: Quota::default(),
        }
    }
}

/// Attributes to change; `None` keeps what is there.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AttributeChanges {
    /// New owner.
    pub owner: Option<String>,
    /// New group.
    pub group: Option<String>,
    /// New permission bits.
    pub mode: Option<Mode>,
    /// New pin.
    pub pinned: Option<bool>,
    /// New time to live: `Some(None)` takes it away.
    pub ttl_ms: Option<Option<u64>>,
    /// New action at its end.
    pub ttl_action: Option<TtlAction>,
    /// New lower bound of copies.
    pub replication_min: Option<u32>,
    /// New upper bound of copies: `Some(None)` takes it away.
    pub replication_max: Option<Option<u32>>,
    /// New access time.
    pub accessed: Option<UnixMillis>,
    /// New modification time.
    pub modified: Option<UnixMillis>,
    /// New "children loaded" flag of a directory.
    pub children_loaded: Option<bool>,
    /// New extended attributes, by name; `None` takes one away.
    pub xattr: BTreeMap<String, Option<Vec<u8>>>,
    /// New bounds of a directory: all of them.
    pub quota: Option<Quota>,
}

/// What a change with an operation id was answered, as far as it cannot be derived from the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// It is done.
    Done {
        /// Number of files, links and directories that it removed.
        removed: u64,
    },
    /// A file or directory that was made, or was there.
    Inode {
        /// Which.
        id: InodeId,
        /// False when it was there already.
        created: bool,
    },
    /// The new mount.
    Mounted(MountId),
}

/// A change that is made in the UFS first and in the namespace after it. It is journaled before the
/// UFS is touched and ends with the change itself, so that a master that finds it open knows what may
/// be half done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// Random; names it when it ends.
    pub id: u64,
    /// The client's id of the change, when it has one.
    pub operation: Option<OperationId>,
    /// The inode that it is about.
    pub inode: InodeId,
    /// Where that inode is.
    pub path: AlluxioPath,
    /// What is to be done.
    pub change: IntendedChange,
}

/// What an [`Intent`] is about to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntendedChange {
    /// The inode goes, here and there.
    Delete {
        /// With all that is below it.
        recursive: bool,
        /// Mount points below it are unmounted.
        delete_mount_points: bool,
    },
    /// The inode gets another path.
    Rename {
        /// The new one, in the same mount.
        target: AlluxioPath,
    },
}

/// One change of the namespace.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// The first entry of every journal: whose it is.
    Format {
        /// Random id of the cluster.
        cluster_id: String,
        /// When it was formatted.
        at: UnixMillis,
    },
    /// A new inode. Its parent's modification time becomes the inode's, when that is later.
    Create(Box<InodeRecord>),
    /// A file is complete.
    Complete {
        /// Which.
        id: InodeId,
        /// Its length in bytes.
        length: u64,
        /// New modification time.
        modified: UnixMillis,
        /// `Persisted` when the write went through to the UFS.
        persistence: PersistenceState,
        /// UFS version, when persisted.
        fingerprint: Fingerprint,
    },
    /// An inode and all below it are gone.
    Delete {
        /// Root of the subtree.
        id: InodeId,
        /// New modification time of its parent, when that is later.
        modified: UnixMillis,
    },
    /// An inode has a new name, a new parent, or both.
    Rename {
        /// Which.
        id: InodeId,
        /// New parent.
        parent: InodeId,
        /// New name.
        name: String,
        /// New modification time of both parents, when that is later.
        modified: UnixMillis,
    },
    /// Attributes of one inode.
    SetAttributes {
        /// Which.
        id: InodeId,
        /// What changes.
        changes: AttributeChanges,
    },
    /// Where a file's bytes are safe has changed (persisted later, lost, or found again).
    SetPersistence {
        /// Which.
        id: InodeId,
        /// New state.
        state: PersistenceState,
        /// UFS version, when persisted.
        fingerprint: Fingerprint,
    },
    /// A new row of the mount table.
    Mount(MountInfo),
    /// A row with other options; path and URI stay.
    UpdateMount(MountInfo),
    /// A row is gone. The inodes below it are deleted by an entry of their own, before this one.
    Unmount {
        /// Which.
        id: MountId,
    },
    /// Containers below this are taken. Written ahead, so that an id handed out and never
    /// journaled is not handed out again after a restart.
    ReserveContainers {
        /// First container that is still free.
        next: u64,
    },
    /// The changes beside it in its group were asked for under this operation id, and answered so.
    Answered {
        /// The client's id of the change.
        operation: OperationId,
        /// The answer that every repetition gets.
        answer: Answer,
    },
    /// Something is about to be done in the UFS.
    Intent(Box<Intent>),
    /// It is done, or given up.
    IntentEnd {
        /// Which.
        id: u64,
    },
    /// Changes that belong together, in order: after a crash all of them are there, or none. Holds
    /// no other group.
    Group(Vec<Entry>),
}

/// One item of a checkpoint: the whole namespace as of one journal position, in the order cluster,
/// next container, mounts, answers (oldest first), inodes. Inodes come in no order: a child may stand before its parent.
#[derive(Debug, Clone, PartialEq)]
pub enum CheckpointRecord {
    /// Whose journal it is; first in every checkpoint.
    Cluster {
        /// Random id of the cluster.
        cluster_id: String,
        /// When it was formatted.
        formatted: UnixMillis,
    },
    /// Containers below this are taken.
    NextContainer(u64),
    /// One row of the mount table.
    Mount(MountInfo),
    /// One remembered answer.
    Answered {
        /// The client's id of the change.
        operation: OperationId,
        /// What it was answered.
        answer: Answer,
    },
    /// An intent that is open.
    Intent(Box<Intent>),
    /// One inode, exactly as it is: applying it changes nothing else, its parent's times included.
    Inode(Box<InodeRecord>),
}
