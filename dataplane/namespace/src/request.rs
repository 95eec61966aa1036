//! What can be asked of the writer, and what it answers.

use alluxio_types::{
    AlluxioPath, Answer, Entry, FileKind, Fingerprint, Identity, InodeId, Intent, JournalSeq, Mode,
    MountId, MountOptions, OperationId, PersistenceState, TtlAction, UnixMillis, WriteType,
    XattrUpdate, Xattrs,
};

/// Largest block size: what the inode table can hold. 256 TiB − 1.
pub const BLOCK_SIZE_BYTES_MAX: u64 = (1 << 48) - 1;
/// Longest name of a user or group, in bytes (Linux: `LOGIN_NAME_MAX` is 256).
pub const PRINCIPAL_BYTES_MAX: usize = 256;

/// The rules that hold for every caller, from the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Whether modes are checked (`alluxio.security.authorization.permission.enabled`).
    pub permission_enabled: bool,
    /// Members of this group are superusers, beside the owner of the root directory
    /// (`alluxio.security.authorization.permission.supergroup`).
    pub supergroup: String,
    /// Bits taken from the mode of a new inode whose creator named none
    /// (`alluxio.security.authorization.permission.umask`).
    pub umask: Mode,
}

impl Default for Policy {
    fn default() -> Self {
        Policy { permission_enabled: true, supergroup: "supergroup".into(), umask: Mode(0o022) }
    }
}

/// Who asks, when, under which rules.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The time that goes into the entries.
    pub now: UnixMillis,
    /// The caller.
    pub who: &'a Identity,
    /// The rules.
    pub policy: &'a Policy,
}

/// A change to decide on.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each variant is documented by its type")]
pub enum Request {
    Format(Format),
    CreateFile(CreateFile),
    CreateDirectory(CreateDirectory),
    CreateSymlink(CreateSymlink),
    CompleteFile(CompleteFile),
    Delete(Delete),
    Rename(Rename),
    Exchange(Exchange),
    SetAttributes(SetAttributes),
    SetQuota(SetQuota),
    Mount(Mount),
    UpdateMount(UpdateMount),
    Unmount(Unmount),
    LoadMetadata(LoadMetadata),
    SetPersistence(SetPersistence),
    Intend(Intend),
    Finish(Finish),
    /// Files were opened at `Context::now`: sets their access time. Ids that are gone are skipped.
    RecordAccess(Vec<InodeId>),
}

/// Says what is about to be done in the UFS. Checks nothing: the change that follows was checked by
/// then, and is checked again when it is made.
#[derive(Debug, Clone, PartialEq)]
pub struct Intend(pub Intent);

/// Ends an intent, together with the change that it was about.
#[derive(Debug, Clone, PartialEq)]
pub struct Finish {
    /// The intent's id.
    pub intent: u64,
    /// The change; `None` when it was given up.
    pub change: Option<Box<Request>>,
}

/// The first change of all: the cluster's identity, its root directory and its root mount.
/// The caller's user and primary group own the root directory, so the user is the superuser.
#[derive(Debug, Clone, PartialEq)]
pub struct Format {
    /// Random id of the cluster.
    pub cluster_id: String,
    /// What is mounted at `/`.
    pub ufs_uri: String,
    /// Whether changes below the root mount are refused.
    pub read_only: bool,
    /// Whether everybody may use the root mount.
    pub shared: bool,
    /// Options for the store.
    pub options: MountOptions,
    /// Permission bits of the root directory; `None` for 0755.
    pub root_mode: Option<Mode>,
}

/// A new, incomplete file. Needs `w` on the nearest directory that exists, and a writable mount.
/// `Outcome::Inode` is the new file.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateFile {
    /// Where.
    pub path: AlluxioPath,
    /// Makes missing directories on the way.
    pub recursive: bool,
    /// A file of the same directory that it is written to replace, by a rename once it is complete: its room counts
    /// as free, so that what fits can be written anew. Both count until then, so this works for one at a time.
    pub replaces: Option<InodeId>,
    /// Replaces a file of that name by a new inode; the old one is in `Plan::removed`. A writer that
    /// still has the old one open finds it gone when it completes.
    pub overwrite: bool,
    /// Permission bits as they are; `None` for 0666 without the umask.
    pub mode: Option<Mode>,
    /// Bytes of every block but the last, `1..=`[`BLOCK_SIZE_BYTES_MAX`].
    pub block_size_bytes: u64,
    /// Milliseconds to live from now; `None` for ever.
    pub ttl_ms: Option<u64>,
    /// What happens then.
    pub ttl_action: TtlAction,
    /// Fewest cached copies wanted.
    pub replication_min: u32,
    /// Most cached copies wanted; `None` for no limit.
    pub replication_max: Option<u32>,
    /// Extended attributes that it begins with.
    pub xattr: Xattrs,
    /// How it will be written. Missing directories on the way are recorded as persisted for a
    /// through-type: the caller has made them in the UFS.
    pub write_type: WriteType,
}

impl CreateFile {
    /// A file with the defaults of Alluxio: blocks of 64 MB, no time to live, no bounds of
    /// copies, `MUST_CACHE`.
    pub fn new(path: AlluxioPath) -> Self {
        CreateFile {
            path,
            recursive: false,
            replaces: None,
            overwrite: false,
            mode: None,
            block_size_bytes: 64 << 20,
            ttl_ms: None,
            ttl_action: TtlAction::Free,
            replication_min: 0,
            replication_max: None,
            xattr: Xattrs::default(),
            write_type: WriteType::MustCache,
        }
    }
}

/// A new directory. Needs what [`CreateFile`] needs. `Outcome::Inode` is the directory, also when
/// it was there already.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateDirectory {
    /// Where.
    pub path: AlluxioPath,
    /// Makes missing directories on the way.
    pub recursive: bool,
    /// Is content with a directory that exists.
    pub allow_exists: bool,
    /// Permission bits as they are; `None` for 0777 without the umask.
    pub mode: Option<Mode>,
    /// Milliseconds to live from now; `None` for ever.
    pub ttl_ms: Option<u64>,
    /// What happens then.
    pub ttl_action: TtlAction,
    /// As in [`CreateFile`]: a through-type records the new directories as persisted.
    pub write_type: WriteType,
}

impl CreateDirectory {
    /// A directory without time to live, `MUST_CACHE`.
    pub fn new(path: AlluxioPath) -> Self {
        CreateDirectory {
            path,
            recursive: false,
            allow_exists: false,
            mode: None,
            ttl_ms: None,
            ttl_action: TtlAction::Free,
            write_type: WriteType::MustCache,
        }
    }
}

/// A new symbolic link: only here, never in an under store. Needs `w` on its directory, which must exist, and
/// a writable mount. `Outcome::Inode` is the link.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateSymlink {
    /// Where.
    pub path: AlluxioPath,
    /// Where it leads, 1 to [`alluxio_types::path::TARGET_BYTES_MAX`] bytes. Nobody here looks at it.
    pub target: String,
}

/// The bytes of a file are all written. Needs the file's owner or `w` on it.
#[derive(Debug, Clone, PartialEq)]
pub struct CompleteFile {
    /// Which.
    pub id: InodeId,
    /// Its length in bytes.
    pub length: u64,
    /// `Persisted` after a through-type, `ToBePersisted` after `ASYNC_THROUGH`.
    pub persistence: PersistenceState,
    /// UFS version, when persisted.
    pub fingerprint: Fingerprint,
    /// As in [`CreateFile`].
    pub replaces: Option<InodeId>,
    /// What else changes with it.
    pub attributes: WrittenAttributes,
}

/// Attributes that a file gets as it is completed; `None` keeps what is there. Owner: superuser only. Group
/// and mode: owner or superuser.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WrittenAttributes {
    /// New owner.
    pub owner: Option<String>,
    /// New group.
    pub group: Option<String>,
    /// New permission bits.
    pub mode: Option<Mode>,
    /// Time of last access.
    pub accessed: Option<UnixMillis>,
    /// Time of last change; `None` for `Context::now`.
    pub modified: Option<UnixMillis>,
}

/// A file or directory goes away. Needs `w` on the parent, and on every directory below that has
/// children. `Plan::removed` lists the files whose blocks can go.
#[derive(Debug, Clone, PartialEq)]
pub struct Delete {
    /// Which.
    pub path: AlluxioPath,
    /// Takes all below it along.
    pub recursive: bool,
    /// Leaves the UFS alone, so a read-only mount is no obstacle.
    pub alluxio_only: bool,
    /// Unmounts the mount points below it. Without it they are a reason to refuse.
    pub delete_mount_points: bool,
    /// The inode that the caller looked at; another one there is `Moved`.
    pub expected: Option<InodeId>,
}

/// A new name. Needs `w` on both parents, both in one writable mount. The target must not exist, or may be
/// replaced; its parent must be a directory. Mount points neither move nor lie below what moves.
#[derive(Debug, Clone, PartialEq)]
pub struct Rename {
    /// What moves.
    pub source: AlluxioPath,
    /// Its new path.
    pub target: AlluxioPath,
    /// Whether a file, or an empty directory if a directory moves, may be there: it goes. Only when neither
    /// is in an under store, which could not take part in the same change.
    pub replace: bool,
    /// The inode that the caller looked at; another one there is `Moved`.
    pub expected: Option<InodeId>,
}

/// Two inodes get each other's name, in one change. Needs what two renames would need. Neither may lie below
/// the other, be a mount point or have one below it, or have anything in an under store, which could not take
/// part in the same change.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    /// One.
    pub source: AlluxioPath,
    /// The other.
    pub target: AlluxioPath,
}

/// New attributes; `None` keeps what is there. Owner: superuser only. Group and mode: owner or
/// superuser. All others: `w` on the inode. Owner, group and mode need a writable mount.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SetAttributes {
    /// Which; must be given (it is optional only for the sake of `..Default::default()`).
    pub path: Option<AlluxioPath>,
    /// All below it too. A pin always is recursive, a time to live never.
    pub recursive: bool,
    /// New owner.
    pub owner: Option<String>,
    /// New group.
    pub group: Option<String>,
    /// New permission bits.
    pub mode: Option<Mode>,
    /// New pin. Pinning raises `replication_min` to 1, unpinning sets it to 0.
    pub pinned: Option<bool>,
    /// New time to live: `Some(None)` takes it away.
    pub ttl_ms: Option<Option<u64>>,
    /// New action at its end.
    pub ttl_action: Option<TtlAction>,
    /// New lower bound of copies (of files).
    pub replication_min: Option<u32>,
    /// New upper bound of copies (of files): `Some(None)` takes it away.
    pub replication_max: Option<Option<u32>>,
    /// New extended attributes, of what was named only. Those of the system are the superuser's.
    pub xattr: Option<XattrUpdate>,
    /// New time of last access, of what was named only.
    pub accessed: Option<UnixMillis>,
    /// New time of last change, of what was named only.
    pub modified: Option<UnixMillis>,
    /// The inode that the caller looked at; another one there is `Moved`.
    pub expected: Option<InodeId>,
}

/// New bounds of a directory with all below it; `None` keeps what is there. Superuser only. They may be below
/// what is used: then nothing more comes in until enough is gone.
#[derive(Debug, Clone, PartialEq)]
pub struct SetQuota {
    /// Which directory.
    pub path: AlluxioPath,
    /// New bound of bytes: `Some(None)` takes it away.
    pub bytes: Option<Option<u64>>,
    /// New bound of inodes, the directory included: `Some(None)` takes it away.
    pub inodes: Option<Option<u64>>,
}

/// A store appears in the namespace. Needs `w` on the parent, which must exist; the path must not.
/// `Outcome::Mounted` is the new mount.
#[derive(Debug, Clone, PartialEq)]
pub struct Mount {
    /// Where.
    pub path: AlluxioPath,
    /// What: a URI or an absolute local path.
    pub ufs_uri: String,
    /// Whether changes below it are refused.
    pub read_only: bool,
    /// Whether everybody may use it, whatever the store says of owners.
    pub shared: bool,
    /// Options for the store.
    pub options: MountOptions,
    /// What the store says of the mounted directory, for owner and mode. The name is ignored.
    pub facts: Option<UfsFacts>,
}

/// Other options for a mount; path and URI stay. Needs `w` on the parent (the superuser for the
/// root mount).
#[derive(Debug, Clone, PartialEq)]
pub struct UpdateMount {
    /// Mount point.
    pub path: AlluxioPath,
    /// Whether changes below it are refused.
    pub read_only: bool,
    /// Whether everybody may use it.
    pub shared: bool,
    /// Options for the store.
    pub options: MountOptions,
}

/// A store leaves the namespace; its files stay. Needs `w` on the parent. Mount points below are
/// a reason to refuse.
#[derive(Debug, Clone, PartialEq)]
pub struct Unmount {
    /// Mount point.
    pub path: AlluxioPath,
}

/// What the UFS says of one file or directory.
#[derive(Debug, Clone, PartialEq)]
pub struct UfsFacts {
    /// Last component of its name.
    pub name: String,
    /// File or directory.
    pub kind: FileKind,
    /// Bytes of a file.
    pub length: u64,
    /// When it last changed; `None` when the store does not say (then `Context::now`).
    pub modified: Option<UnixMillis>,
    /// Owner; `None` when the store has none (then the directory's).
    pub owner: Option<String>,
    /// Group; `None` when the store has none (then the directory's).
    pub group: Option<String>,
    /// Permission bits; `None` when the store has none (then the directory's, without `x` for a
    /// file).
    pub mode: Option<Mode>,
    /// Version.
    pub fingerprint: Fingerprint,
}

/// What was found in the UFS becomes true here. No permission check: the master asks for itself.
///
/// The caller notes `looked_at = namespace.applied()` *before* it asks the UFS. Names that changed
/// here since then are left alone; when a name left the directory since then, nothing is created
/// and the answer is `Moved`, because the listing may be older than that.
///
/// Files that are incomplete, or that only Alluxio has, stay as they are. A file whose fingerprint
/// differs is replaced by a new inode that keeps pin, time to live and replication. Names that
/// vanished are removed with all below them, except what only Alluxio has and mount points.
/// `Outcome::Loaded` counts; `Plan::removed` lists files whose blocks can go.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadMetadata {
    /// The directory that `children` are names in.
    pub directory: AlluxioPath,
    /// Facts of the directories at the end of `directory` that did not exist here, from the top
    /// down. Too few of them is `PathNotFound`.
    pub missing_directories: Vec<UfsFacts>,
    /// What the directory (or, with missing ones, the lowest that existed) was when the caller
    /// looked; another inode there is `Moved`.
    pub expected: Option<InodeId>,
    /// [`crate::Namespace::applied`] when the caller began to look.
    pub looked_at: JournalSeq,
    /// What the UFS has.
    pub children: Vec<UfsFacts>,
    /// Names that the UFS certainly does not have.
    pub vanished: Vec<String>,
    /// Whether `children` is all that the directory has: other names vanished, and
    /// `children_loaded` is set.
    pub complete: bool,
    /// Block size of new files.
    pub block_size_bytes: u64,
}

/// Where a file's bytes are safe has changed. No permission check: the master asks for itself.
#[derive(Debug, Clone, PartialEq)]
pub struct SetPersistence {
    /// Which.
    pub id: InodeId,
    /// New state.
    pub state: PersistenceState,
    /// UFS version, when persisted.
    pub fingerprint: Fingerprint,
}

/// Counts of a [`LoadMetadata`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoadSummary {
    /// The directory, after missing ones were made.
    pub directory: InodeId,
    /// New names.
    pub created: u64,
    /// Files that had another version.
    pub replaced: u64,
    /// Names whose owner, group or mode changed.
    pub updated: u64,
    /// Names that are gone.
    pub removed: u64,
}

/// What the writer answers once the entries of a plan are applied and committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing to say but that it is done.
    Done,
    /// A file or directory that was made, or was there.
    Inode {
        /// Which.
        id: InodeId,
        /// False when it was there already.
        created: bool,
    },
    /// The new mount.
    Mounted(MountId),
    /// What a load did.
    Loaded(LoadSummary),
}

/// A decision: entries to apply, in order, before anything else is planned. All of them or none
/// must survive a crash. It may have no entries (nothing to change).
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Changes in order.
    pub entries: Vec<Entry>,
    /// The answer.
    pub outcome: Outcome,
    /// Files that the entries remove: once they are committed, their blocks can go.
    pub removed: Vec<InodeId>,
    /// Files, links and directories that a deletion removes.
    pub deleted: u64,
    /// Highest position that the decision saw; the reply of a plan without entries waits for it.
    pub seen: JournalSeq,
}

impl Plan {
    /// What a caller is answered.
    pub fn answer(&self) -> Answer {
        match self.outcome {
            // Loads are the master's own, and nobody asks for one twice.
            Outcome::Done | Outcome::Loaded(_) => Answer::Done { removed: self.deleted },
            Outcome::Inode { id, created } => Answer::Inode { id, created },
            Outcome::Mounted(id) => Answer::Mounted(id),
        }
    }

    /// Adds the answer, so that it is remembered for `operation` with the change itself. A plan that
    /// changes nothing is not remembered: asked again, it is decided again.
    pub fn remember(&mut self, operation: OperationId) {
        if !self.entries.is_empty() {
            self.entries.push(Entry::Answered { operation, answer: self.answer() });
        }
    }
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Done { .. } => Outcome::Done,
            Answer::Inode { id, created } => Outcome::Inode { id, created },
            Answer::Mounted(id) => Outcome::Mounted(id),
        }
    }
}

macro_rules! into_request {
    ($($name:ident),+ $(,)?) => {
        $(impl From<$name> for Request {
            fn from(request: $name) -> Request {
                Request::$name(request)
            }
        })+
    };
}

into_request!(
    Intend,
    Finish,
    Format,
    CreateFile,
    CreateDirectory,
    CreateSymlink,
    CompleteFile,
    Delete,
    Rename,
    Exchange,
    SetAttributes,
    SetQuota,
    Mount,
    UpdateMount,
    Unmount,
    LoadMetadata,
    SetPersistence,
);
