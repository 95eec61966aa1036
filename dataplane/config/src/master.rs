//! Keys and section of the master.

use crate::etcd::{self, EtcdConfig};
use crate::general::{self, GeneralConfig, HostPort};
use crate::metastore::{self, MetastoreConfig};
use crate::reader::Reader;
use crate::security::{self, SecurityConfig};
use crate::spec::{Kind, Roles, keys};
use crate::ufs;
use alluxio_types::{AlluxioPath, MountOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const MASTER: Roles = Roles::MASTER;

keys! {
    /// Host name under which clients and workers reach the master.
    HOSTNAME = "alluxio.master.hostname", Kind::Text;
    /// Address that the master listens on.
    BIND_HOST = "alluxio.master.bind.host", Kind::Text, default: Some("0.0.0.0"), roles: MASTER;
    /// Port of the master's RPC.
    RPC_PORT = "alluxio.master.rpc.port", Kind::Port, default: Some("19998"),
        aliases: &["alluxio.master.port"];
    /// Address that the master's web server listens on.
    WEB_BIND_HOST = "alluxio.master.web.bind.host", Kind::Text,
        default: Some("${alluxio.master.bind.host}"), roles: MASTER;
    /// Port of the master's web server: metrics, health, UI.
    WEB_PORT = "alluxio.master.web.port", Kind::Port, default: Some("19999");
    /// All masters of a highly available cluster, `host:port`.
    RPC_ADDRESSES = "alluxio.master.rpc.addresses", Kind::Addresses;
    /// Where metadata changes are kept: UFS = segments in a folder (one master, or several that share
    /// it and are elected in etcd), NOOP = nowhere (tests), ETCD = in etcd (several masters).
    JOURNAL_TYPE = "alluxio.master.journal.type",
        Kind::Enum(&["UFS", "NOOP", "ETCD", "EMBEDDED"]), default: Some("UFS"), roles: MASTER;
    /// Folder of the journal: a local path for one master; a URI of an under store (`s3://`, `hdfs://`, …),
    /// which several masters may share when `alluxio.etcd.endpoints` is set. With ETCD a local folder of each
    /// master for its checkpoints.
    JOURNAL_FOLDER = "alluxio.master.journal.folder", Kind::Text,
        default: Some("${alluxio.work.dir}/journal"), roles: MASTER;
    /// Option of the under store that holds the journal, named as a mount option.
    JOURNAL_UFS_OPTION = "alluxio.master.journal.ufs.option.<rest>", Kind::Text, roles: MASTER,
        credential: true;
    /// A segment of the journal is sealed when it grows beyond this.
    JOURNAL_LOG_SIZE = "alluxio.master.journal.log.size.bytes.max", Kind::size(64 << 10),
        default: Some("10MB"), roles: MASTER;
    /// Entries after which a checkpoint is written.
    JOURNAL_CHECKPOINT_PERIOD = "alluxio.master.journal.checkpoint.period.entries",
        Kind::int(1, i64::MAX), default: Some("2000000"), roles: MASTER;
    /// A backup that fills the journal when it is empty: a URI, or a path of the master's machine.
    JOURNAL_INIT_FROM_BACKUP = "alluxio.master.journal.init.from.backup", Kind::Text, roles: MASTER;
    /// Where backups are written: a path in the root under store, or a URI. With `fsadmin backup
    /// --local`, a path of the master's machine.
    BACKUP_DIRECTORY = "alluxio.master.backup.directory", Kind::Text,
        default: Some("/alluxio_backups"), roles: MASTER;
    /// Whether a backup is taken every day.
    DAILY_BACKUP_ENABLED = "alluxio.master.daily.backup.enabled", Kind::Bool,
        default: Some("false"), roles: MASTER;
    /// When the daily backup is taken: hours and minutes in UTC.
    DAILY_BACKUP_TIME = "alluxio.master.daily.backup.time", Kind::Text, default: Some("05:00"),
        roles: MASTER;
    /// Backups in the backup directory that the daily backup leaves, the newest ones.
    DAILY_BACKUP_RETAINED = "alluxio.master.daily.backup.files.retained", Kind::int(1, 1_000_000),
        default: Some("3"), roles: MASTER;
    /// Storage of the mount `<name>`: its path in the namespace.
    MOUNT_PATH = "alluxio.master.mount.table.<name>.alluxio", Kind::Text, roles: MASTER;
    /// Storage of the mount `<name>`: its URI, or a local path.
    MOUNT_UFS = "alluxio.master.mount.table.<name>.ufs", Kind::Text, roles: MASTER;
    /// Whether the mount `<name>` refuses changes.
    MOUNT_READONLY = "alluxio.master.mount.table.<name>.readonly", Kind::Bool, roles: MASTER;
    /// Whether everybody may use the mount `<name>`, whatever the store says of owners.
    MOUNT_SHARED = "alluxio.master.mount.table.<name>.shared", Kind::Bool, roles: MASTER;
    /// Option for the store of the mount `<name>`.
    MOUNT_OPTION = "alluxio.master.mount.table.<name>.option.<rest>", Kind::Text, roles: MASTER,
        credential: true;
    /// What is mounted at `/`: a URI, or a local path.
    ROOT_UFS = "alluxio.master.mount.table.root.ufs", Kind::Text,
        aliases: &["alluxio.underfs.address"],
        default: Some("${alluxio.work.dir}/underFSStorage"), roles: MASTER;
    /// Path of the root mount; only `/` makes sense.
    ROOT_PATH = "alluxio.master.mount.table.root.alluxio", Kind::Enum(&["/"]), default: Some("/"),
        roles: MASTER;
    /// Whether the root mount refuses changes.
    ROOT_READONLY = "alluxio.master.mount.table.root.readonly", Kind::Bool, default: Some("false"),
        roles: MASTER;
    /// Whether everybody may use the root mount, whatever the store says of owners.
    ROOT_SHARED = "alluxio.master.mount.table.root.shared", Kind::Bool, default: Some("true"),
        roles: MASTER;
    /// A worker that is silent for so long is lost.
    WORKER_TIMEOUT = "alluxio.master.worker.timeout", Kind::time(1),
        aliases: &["alluxio.master.worker.timeout.ms"], default: Some("5min"), roles: MASTER;
    /// How often the master looks for lost workers.
    LOST_WORKER_INTERVAL = "alluxio.master.lost.worker.detection.interval", Kind::time(1),
        default: Some("10s"), roles: MASTER;
    /// A lost worker is forgotten after this.
    LOST_WORKER_DELETION = "alluxio.master.lost.worker.deletion.timeout", Kind::time(0),
        default: Some("30min"), roles: MASTER;
    /// How often the master looks for files whose last copy is gone.
    LOST_FILE_INTERVAL = "alluxio.master.lost.worker.file.detection.interval", Kind::time(1),
        default: Some("5min"), roles: MASTER;
    /// How long a new primary waits for workers before it answers questions about them.
    SAFE_MODE_WAIT = "alluxio.master.worker.connect.wait.time", Kind::time(0), default: Some("5s"),
        roles: MASTER;
    /// How often the master looks for files whose time to live is over.
    TTL_INTERVAL = "alluxio.master.ttl.checker.interval", Kind::time(1),
        aliases: &["alluxio.master.ttl.checker.interval.ms"], default: Some("1h"), roles: MASTER;
    /// How often the master looks for blocks that no file owns.
    BLOCK_INTEGRITY_INTERVAL = "alluxio.master.periodic.block.integrity.check.interval",
        Kind::TIME_OR_OFF, default: Some("1h"), roles: MASTER;
    /// Whether reading a file moves its access time.
    ACCESS_TIME_ENABLED = "alluxio.master.file.access.time.updater.enabled", Kind::Bool,
        default: Some("true"), roles: MASTER;
    /// Access times are only moved when they are older than this.
    ACCESS_TIME_PRECISION = "alluxio.master.file.access.time.update.precision", Kind::time(0),
        default: Some("1d"), roles: MASTER;
    /// Entries of one message of a listing.
    LIST_MESSAGE_ENTRIES = "alluxio.master.filesystem.liststatus.result.message.length",
        Kind::int(1, 1_000_000), aliases: &["alluxio.master.filesystem.liststatus.result.size"],
        default: Some("10000"), roles: MASTER;
    /// Directories that one metadata sync works on at once.
    SYNC_CONCURRENCY = "alluxio.master.metadata.sync.concurrency.level", Kind::int(1, 1024),
        default: Some("6"), roles: MASTER;
    /// Calls to under stores that all metadata syncs together have in flight.
    SYNC_UFS_LOADS = "alluxio.master.metadata.sync.ufs.concurrent.loads", Kind::int(1, 100_000),
        default: Some("100"), roles: MASTER;
    /// Paths that are remembered as absent from their under store.
    UFS_PATH_CACHE = "alluxio.master.ufs.path.cache.capacity", Kind::int(0, 1_000_000_000),
        default: Some("100000"), roles: MASTER;
    /// Largest message that the master takes.
    MAX_MESSAGE = "alluxio.master.network.max.inbound.message.size", Kind::size(64 << 10),
        default: Some("100MB"), roles: MASTER;
    /// Files whose path contains one of these texts are never persisted on their own.
    PERSISTENCE_BLACKLIST = "alluxio.master.persistence.blacklist", Kind::List, roles: MASTER;
}

/// What a master is started with.
#[derive(Debug, Clone)]
pub struct MasterConfig {
    /// Folders, logs.
    pub general: GeneralConfig,
    /// Identity and permission.
    pub security: SecurityConfig,
    /// Name under which others reach this master.
    pub hostname: String,
    /// Address to listen on for RPC.
    pub bind_host: String,
    /// Port to listen on for RPC; 0 = any free one.
    pub rpc_port: u16,
    /// Address to listen on for the web server.
    pub web_bind_host: String,
    /// Port of the web server; 0 = any free one.
    pub web_port: u16,
    /// All masters when there are several; empty for a single one.
    pub rpc_addresses: Vec<HostPort>,
    /// Where changes are kept.
    pub journal: JournalConfig,
    /// Where election and journal of several masters are; there whenever `journal` is in etcd.
    pub etcd: Option<EtcdConfig>,
    /// Where backups go, and when.
    pub backup: BackupConfig,
    /// What is mounted at `/` when the journal is new.
    pub root_mount: MountConfig,
    /// Other mounts of a new journal, by path.
    pub mounts: Vec<MountConfig>,
    /// Options that every mount has unless it says otherwise (`s3a.accessKeyId`, …).
    pub ufs_options: MountOptions,
    /// Silence after which a worker is lost.
    pub worker_timeout: Duration,
    /// Time between two searches for lost workers.
    pub lost_worker_detection_interval: Duration,
    /// Time after which a lost worker is forgotten.
    pub lost_worker_deletion_timeout: Duration,
    /// Time between two searches for lost files.
    pub lost_file_detection_interval: Duration,
    /// Time that a new primary waits for workers.
    pub safe_mode_wait: Duration,
    /// Time between two searches for expired files.
    pub ttl_checker_interval: Duration,
    /// Time between two searches for orphaned blocks; `None` = never.
    pub block_integrity_interval: Option<Duration>,
    /// How precise access times are; `None` = they never move.
    pub access_time_precision: Option<Duration>,
    /// Entries of one message of a listing.
    pub list_message_entries: usize,
    /// Where the tree lies.
    pub metastore: MetastoreConfig,
    /// Metadata sync.
    pub metadata_sync: MetadataSyncConfig,
    /// Largest message taken, in bytes.
    pub max_message_bytes: usize,
    /// Texts that keep a path from being persisted on its own.
    pub persistence_blacklist: Vec<String>,
}

/// Where metadata changes are kept.
#[derive(Debug, Clone)]
pub struct JournalConfig {
    /// Kind of store.
    pub kind: JournalKind,
    /// Local path, or URI of an under store.
    pub folder: String,
    /// Options of that under store.
    pub ufs_options: MountOptions,
    /// Size at which a segment is sealed.
    pub segment_bytes: u64,
    /// Entries between two checkpoints.
    pub checkpoint_period_entries: u64,
    /// The backup that fills an empty journal.
    pub init_from_backup: Option<String>,
}

/// Where backups go, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupConfig {
    /// A path, or a URI.
    pub directory: String,
    /// `None` when no daily backup is taken.
    pub daily: Option<DailyBackup>,
}

/// The daily backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DailyBackup {
    /// Time after midnight, UTC.
    pub at: Duration,
    /// Backups that stay.
    pub files_retained: usize,
}

/// Kind of journal store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalKind {
    /// Segments in a folder (`UFS`).
    Folder,
    /// In etcd, shared by several masters (`ETCD`).
    Etcd,
    /// Nowhere: all is gone when the process ends (`NOOP`).
    Memory,
}

impl JournalKind {
    /// The value of `alluxio.master.journal.type` that means it.
    pub const fn name(self) -> &'static str {
        match self {
            JournalKind::Folder => "UFS",
            JournalKind::Etcd => "ETCD",
            JournalKind::Memory => "NOOP",
        }
    }
}

/// One mount of a new journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountConfig {
    /// Where in the namespace.
    pub path: AlluxioPath,
    /// URI, or a local path.
    pub ufs_uri: String,
    /// Whether changes are refused.
    pub read_only: bool,
    /// Whether everybody may use it.
    pub shared: bool,
    /// Options of its own.
    pub options: MountOptions,
}

/// How the master looks at under stores.
#[derive(Debug, Clone)]
pub struct MetadataSyncConfig {
    /// Directories that one sync works on at once.
    pub concurrency: usize,
    /// Calls in flight of all syncs.
    pub ufs_concurrent_loads: usize,
    /// Paths remembered as absent.
    pub absent_cache_entries: usize,
    /// Bytes of a block of a file that is found in a store.
    pub block_size_bytes: u64,
}

/// What to write instead of the Raft journal.
const NO_EMBEDDED: &str = "there is no Raft journal here. For one master write UFS, and its folder in \
    alluxio.master.journal.folder (the default); several masters share a journal in etcd \
    (ETCD with alluxio.etcd.endpoints), or a folder in an under store (UFS, with alluxio.etcd.endpoints \
    for the election)";

pub(crate) fn section(r: &mut Reader<'_>) -> MasterConfig {
    let hostname = r.text_or(&HOSTNAME, |machine| machine.hostname.clone());
    let access = r.duration(&ACCESS_TIME_PRECISION);
    let worker_timeout = r.duration(&WORKER_TIMEOUT);
    let rpc_port = r.port(&RPC_PORT);
    let web_port = r.port(&WEB_PORT);
    if rpc_port != 0 && rpc_port == web_port {
        r.conflict(format!(
            "{} and {} are both {rpc_port}; they must differ",
            RPC_PORT.name, WEB_PORT.name
        ));
    }
    let journal = journal(r);
    let etcd = etcd::section(r);
    if journal.kind == JournalKind::Etcd && etcd.is_none() {
        r.missing(etcd::ENDPOINTS.name, "alluxio.master.journal.type is ETCD, which needs it");
    }
    MasterConfig {
        general: general::section(r),
        security: security::section(r),
        hostname,
        bind_host: r.text(&BIND_HOST),
        rpc_port,
        web_bind_host: r.text(&WEB_BIND_HOST),
        web_port,
        rpc_addresses: r.addresses(&RPC_ADDRESSES),
        journal,
        etcd,
        backup: backup(r),
        root_mount: root_mount(r),
        mounts: other_mounts(r),
        ufs_options: ufs::site_options(r),
        worker_timeout,
        lost_worker_detection_interval: r.duration(&LOST_WORKER_INTERVAL),
        lost_worker_deletion_timeout: r.duration(&LOST_WORKER_DELETION),
        lost_file_detection_interval: r.duration(&LOST_FILE_INTERVAL),
        safe_mode_wait: r.duration(&SAFE_MODE_WAIT),
        ttl_checker_interval: r.duration(&TTL_INTERVAL),
        block_integrity_interval: r.duration_or_off(&BLOCK_INTEGRITY_INTERVAL),
        access_time_precision: r.bool(&ACCESS_TIME_ENABLED).then_some(access),
        list_message_entries: r.count(&LIST_MESSAGE_ENTRIES),
        metastore: metastore::section(r),
        metadata_sync: MetadataSyncConfig {
            concurrency: r.count(&SYNC_CONCURRENCY),
            ufs_concurrent_loads: r.count(&SYNC_UFS_LOADS),
            absent_cache_entries: r.count(&UFS_PATH_CACHE),
            block_size_bytes: crate::client::block_size(r),
        },
        max_message_bytes: usize::try_from(r.size(&MAX_MESSAGE)).unwrap_or(usize::MAX),
        persistence_blacklist: r.list(&PERSISTENCE_BLACKLIST),
    }
}

fn journal(r: &mut Reader<'_>) -> JournalConfig {
    let kind = match r.text(&JOURNAL_TYPE).as_str() {
        "UFS" => JournalKind::Folder,
        "NOOP" => JournalKind::Memory,
        "EMBEDDED" => {
            r.refuse(&JOURNAL_TYPE, NO_EMBEDDED);
            JournalKind::Folder
        }
        _ => JournalKind::Etcd,
    };
    JournalConfig {
        kind,
        folder: r.text(&JOURNAL_FOLDER),
        ufs_options: MountOptions(ufs::canonical_options(
            r.below("alluxio.master.journal.ufs.option."),
        )),
        segment_bytes: r.size(&JOURNAL_LOG_SIZE),
        checkpoint_period_entries: r.int(&JOURNAL_CHECKPOINT_PERIOD).unsigned_abs(),
        init_from_backup: r.set_text(&JOURNAL_INIT_FROM_BACKUP),
    }
}

fn backup(r: &mut Reader<'_>) -> BackupConfig {
    let time = r.text(&DAILY_BACKUP_TIME);
    let at = time_of_day(&time);
    if at.is_none() {
        r.bad_value(&DAILY_BACKUP_TIME, &time, "hours and minutes in UTC, as 05:00");
    }
    let files_retained = r.count(&DAILY_BACKUP_RETAINED);
    let daily = DailyBackup { at: at.unwrap_or_default(), files_retained };
    BackupConfig {
        directory: r.text(&BACKUP_DIRECTORY),
        daily: r.bool(&DAILY_BACKUP_ENABLED).then_some(daily),
    }
}

/// `HH:MM` as time after midnight.
fn time_of_day(text: &str) -> Option<Duration> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let (hours, minutes): (u64, u64) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then(|| Duration::from_secs((hours * 60 + minutes) * 60))
}

fn root_mount(r: &mut Reader<'_>) -> MountConfig {
    MountConfig {
        path: AlluxioPath::root(),
        ufs_uri: r.text(&ROOT_UFS),
        read_only: r.bool(&ROOT_READONLY),
        shared: r.bool(&ROOT_SHARED),
        options: MountOptions(ufs::canonical_options(
            r.below("alluxio.master.mount.table.root.option."),
        )),
    }
}

fn other_mounts(r: &mut Reader<'_>) -> Vec<MountConfig> {
    const PREFIX: &str = "alluxio.master.mount.table.";
    let all = r.below(PREFIX);
    let names: BTreeSet<&str> =
        all.keys().filter_map(|key| key.split('.').next()).filter(|name| *name != "root").collect();
    let mut mounts: BTreeMap<AlluxioPath, MountConfig> = BTreeMap::new();
    for name in names {
        let field = |field: &str| all.get(&format!("{name}.{field}"));
        let (Some(path), Some(ufs)) = (field("alluxio"), field("ufs")) else {
            r.conflict(format!(
                "{PREFIX}{name}.* needs both {PREFIX}{name}.alluxio and {PREFIX}{name}.ufs"
            ));
            continue;
        };
        let path = match AlluxioPath::parse(path) {
            Ok(path) if !path.is_root() => path,
            Ok(_) => {
                r.conflict(format!("{PREFIX}{name}.alluxio=/: use {PREFIX}root.* for the root"));
                continue;
            }
            Err(error) => {
                r.conflict(format!("{PREFIX}{name}.alluxio={path}: {error}"));
                continue;
            }
        };
        let mount = MountConfig {
            path: path.clone(),
            ufs_uri: ufs.clone(),
            read_only: field("readonly").is_some_and(|v| v == "true"),
            shared: field("shared").is_some_and(|v| v == "true"),
            options: MountOptions(ufs::canonical_options(
                r.below(&format!("{PREFIX}{name}.option.")),
            )),
        };
        if mounts.insert(path, mount).is_some() {
            r.conflict(format!("{PREFIX}{name}.alluxio names a path that is mounted twice"));
        }
    }
    mounts.into_values().collect()
}
