//! Options of the operations. `None` always means "as configured"; [`Default`] is all of that.

use crate::cluster::MasterState;
use alluxio_types::{
    BlockLocation, InodeId, Mode, OperationId, ReadType, TtlAction, UnixMillis, WriteType,
    XattrUpdate, Xattrs,
};
use std::collections::BTreeMap;
use std::time::Duration;

pub use alluxio_config::{LocationPolicy, MetadataLoad};

/// Of [`crate::FileSystem::set_quota`]. `None` keeps a bound, `Some(None)` takes it away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SetQuotaOptions {
    /// Most bytes of complete files.
    pub bytes: Option<Option<u64>>,
    /// Most files, links and directories, the directory itself included.
    pub inodes: Option<Option<u64>>,
}

/// How fresh metadata must be with respect to the UFS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Freshness {
    /// What is older is compared with the UFS first.
    pub sync: Option<SyncInterval>,
    /// Whether unknown paths are looked up there.
    pub load: Option<MetadataLoad>,
}

/// Age at which metadata is compared with the UFS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncInterval {
    /// Known metadata is believed for ever.
    Never,
    /// When it is older than this; zero is every time.
    After(Duration),
}

/// Of [`crate::FileSystem::get_status`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GetStatusOptions {
    /// How fresh.
    pub freshness: Freshness,
    /// Leave out the blocks and where they are.
    pub without_blocks: bool,
}

/// Of [`crate::FileSystem::list_status`] and `iterate_status`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListStatusOptions {
    /// How fresh.
    pub freshness: Freshness,
    /// All that is below, not only the children.
    pub recursive: bool,
    /// Leave out the blocks and where they are.
    pub without_blocks: bool,
    /// Only names after this one (children only).
    pub start_after: String,
    /// Most results; 0 for all.
    pub limit: u64,
}

/// Of [`crate::FileSystem::create_file`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateFileOptions {
    /// Make parents that are missing.
    pub recursive: bool,
    /// Replace a file that is there.
    pub overwrite: bool,
    /// A file of the same directory that it is written to replace, by a rename once it is complete: quotas count
    /// its room as free.
    pub replaces: Option<InodeId>,
    /// Permission bits, taken as they are; `None` is 0666 without the bits of the umask.
    pub mode: Option<Mode>,
    /// Bytes of every block but the last.
    pub block_size_bytes: Option<u64>,
    /// Where the bytes go.
    pub write_type: Option<WriteType>,
    /// Time to live from creation; `Some(None)` for ever.
    pub ttl: Option<Option<Duration>>,
    /// What happens then.
    pub ttl_action: Option<TtlAction>,
    /// Fewest cached copies.
    pub replication_min: Option<u32>,
    /// Most cached copies; `Some(None)` for no limit.
    pub replication_max: Option<Option<u32>>,
    /// Extended attributes that it begins with.
    pub xattr: Xattrs,
    /// Tier that blocks go to first: 0 is the top one, -1 the bottom one.
    pub tier: Option<i32>,
    /// Which worker gets a block.
    pub policy: Option<LocationPolicy>,
    /// How long the file will be, when that is known: then exactly as much room is set aside.
    pub length_hint: Option<u64>,
    /// The name of this change, if it shall be repeatable by another process: who creates with the same one
    /// gets the file that was made the first time.
    pub operation: Option<OperationId>,
}

/// Attributes that a file gets as it is completed; `None` keeps what it has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WrittenAttributes {
    /// Owner: superuser only.
    pub owner: Option<String>,
    /// Group.
    pub group: Option<String>,
    /// Permission bits.
    pub mode: Option<Mode>,
    /// Time of last access.
    pub accessed: Option<UnixMillis>,
    /// Time of last change.
    pub modified: Option<UnixMillis>,
}

/// Of [`crate::FileSystem::open_file`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenFileOptions {
    /// How fresh the status must be.
    pub freshness: Freshness,
    /// What the read leaves behind.
    pub read_type: Option<ReadType>,
    /// Which worker fetches blocks that nobody has.
    pub ufs_read_policy: Option<LocationPolicy>,
}

/// Of [`crate::FileSystem::create_directory`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CreateDirectoryOptions {
    /// Make parents that are missing.
    pub recursive: bool,
    /// A directory that is there is fine.
    pub allow_exists: bool,
    /// Permission bits, taken as they are; `None` is 0777 without the bits of the umask.
    pub mode: Option<Mode>,
    /// Whether it is made in the UFS too (through types).
    pub write_type: Option<WriteType>,
}

/// Of [`crate::FileSystem::delete`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// With all that is below.
    pub recursive: bool,
    /// The UFS keeps its files.
    pub alluxio_only: bool,
    /// Do not compare with the UFS first.
    pub unchecked: Option<bool>,
    /// Mount points below are unmounted.
    pub delete_mount_points: bool,
}

/// Of [`crate::FileSystem::free`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FreeOptions {
    /// With all that is below.
    pub recursive: bool,
    /// Pinned files too; they are unpinned.
    pub forced: bool,
}

/// What [`crate::FileSystem::free`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freed {
    /// Files whose blocks were freed.
    pub files: u64,
    /// Copies of blocks that workers were told to drop.
    pub blocks: u64,
}

/// Of [`crate::FileSystem::mount`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// Changes below it are refused.
    pub read_only: bool,
    /// Everybody may use it.
    pub shared: bool,
    /// Options of the store, by the names of the configuration reference. May hold credentials.
    pub properties: BTreeMap<String, String>,
}

/// Of [`crate::FileSystem::update_mount`]; `None` leaves a flag as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpdateMountOptions {
    /// New flag.
    pub read_only: Option<bool>,
    /// New flag.
    pub shared: Option<bool>,
    /// Replaces all options of the store.
    pub properties: BTreeMap<String, String>,
}

/// A row of the mount table, with what the store says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPoint {
    /// The row; values of options are masked.
    pub info: alluxio_types::MountInfo,
    /// Kind of store: `local`, `s3`, ….
    pub ufs_type: String,
    /// Bytes that fit; `None` when the store does not say.
    pub capacity_bytes: Option<u64>,
    /// Bytes in use; `None` when the store does not say.
    pub used_bytes: Option<u64>,
}

/// Changes of [`crate::FileSystem::set_attribute`]; `None` leaves an attribute as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetAttributeOptions {
    /// All that is below, too.
    pub recursive: bool,
    /// Owner.
    pub owner: Option<String>,
    /// Group.
    pub group: Option<String>,
    /// Permission bits.
    pub mode: Option<Mode>,
    /// Whether blocks must stay cached.
    pub pinned: Option<bool>,
    /// Time to live from creation; `Some(None)` for ever.
    pub ttl: Option<Option<Duration>>,
    /// What happens then.
    pub ttl_action: Option<TtlAction>,
    /// Fewest cached copies.
    pub replication_min: Option<u32>,
    /// Most cached copies; `Some(None)` for no limit.
    pub replication_max: Option<Option<u32>>,
    /// Extended attributes, of what is named only.
    pub xattr: Option<XattrUpdate>,
    /// Time of the last access.
    pub accessed: Option<alluxio_types::UnixMillis>,
    /// Time of the last change. The UFS keeps its own.
    pub modified: Option<alluxio_types::UnixMillis>,
}

/// Of [`crate::FileSystem::load_metadata`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoadMetadataOptions {
    /// With all that is below.
    pub recursive: bool,
    /// Compare what is known already, too.
    pub force: bool,
}

/// What [`crate::FileSystem::load`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Files looked at.
    pub files: u64,
    /// Blocks that were not cached before.
    pub blocks: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// Where bytes of a file are (`get_block_locations`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileBlockLocation {
    /// Position of the block's first byte in the file.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Its cached copies.
    pub locations: Vec<BlockLocation>,
}

/// Room on all workers together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Bytes that fit.
    pub capacity_bytes: u64,
    /// Bytes in use.
    pub used_bytes: u64,
    /// Both by tier, in order of first appearance: alias, bytes that fit, bytes in use.
    pub tiers: Vec<alluxio_types::TierUsage>,
}

/// Where a master listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterAddress {
    /// Host name.
    pub host: String,
    /// gRPC port.
    pub rpc_port: u16,
    /// Port of metrics and health.
    pub web_port: u16,
}

/// `host:port` of its RPC.
impl std::fmt::Display for MasterAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.rpc_port),
            false => write!(f, "{}:{}", self.host, self.rpc_port),
        }
    }
}

/// What the primary master says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterInfo {
    /// The primary.
    pub leader: MasterAddress,
    /// All masters that it knows.
    pub masters: Vec<MasterAddress>,
    /// When it started.
    pub started: UnixMillis,
    /// Its clock when it answered.
    pub now: UnixMillis,
    /// Version of its binary.
    pub version: String,
    /// Whether it still waits for workers.
    pub safe_mode: bool,
    /// Id of the cluster.
    pub cluster_id: String,
    /// Kind of journal.
    pub journal_type: String,
    /// Last entry of the journal.
    pub journal_seq: u64,
    /// Last entry in the newest checkpoint.
    pub checkpoint_seq: u64,
    /// Files and directories.
    pub inode_count: u64,
    /// Memory that they take, in bytes.
    pub inode_bytes: u64,
    /// The primary's term.
    pub term: u64,
    /// Every master that the primary knows, itself first.
    pub states: Vec<MasterState>,
}

/// A configuration value of the master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProperty {
    /// Key.
    pub key: String,
    /// Value, masked when it is a credential.
    pub value: String,
    /// Where it comes from.
    pub source: String,
}

/// Where a backup goes, and who writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackupPlace {
    /// A path in the root under store, or a URI; empty for the configured one.
    pub directory: String,
    /// Whether the directory is one of the master's machine.
    pub local: bool,
    /// Whether the primary may write it when there is no standby.
    pub allow_leader: bool,
    /// Whether the primary writes it although there is a standby.
    pub bypass_delegation: bool,
}

/// How far a backup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupState {
    /// There was none since the master started.
    None,
    /// The place is being looked at.
    Initiating,
    /// It is handed to a standby.
    Transitioning,
    /// It is being written.
    Running,
    /// It is there.
    Completed,
    /// It is not there.
    Failed,
}

/// What is known of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupStatus {
    /// Its name, for asking again.
    pub id: String,
    /// How far it is.
    pub state: BackupState,
    /// The master that writes it.
    pub host: String,
    /// The file.
    pub uri: String,
    /// Items written.
    pub entries: u64,
    /// When it was begun.
    pub started: UnixMillis,
    /// How long it took, or takes already.
    pub duration: Duration,
    /// Why it failed.
    pub error: Option<String>,
    /// The last journal entry in it; 0 until known.
    pub sequence: u64,
    /// Hash of the state after that entry; 0 until known.
    pub state_hash: u64,
}
