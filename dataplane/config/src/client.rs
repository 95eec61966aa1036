//! Keys and section of clients: the library, the command line, gateways.

use crate::etcd::{self, EtcdConfig};
use crate::general::{self, GeneralConfig, HostPort};
use crate::reader::Reader;
use crate::security::{self, SecurityConfig};
use crate::spec::{Kind, Roles, keys};
use crate::{master, worker};
use alluxio_types::{ReadType, TtlAction, WriteType};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

const CLIENT: Roles = Roles::CLIENT;

/// Short names of the location policies; `Policy` may follow.
const POLICIES: Kind = Kind::Class {
    names: &[
        "LocalFirst",
        "LocalFirstAvoidEviction",
        "MostAvailableFirst",
        "RoundRobin",
        "SpecificHost",
        "DeterministicHash",
        "CapacityBaseRandom",
        "CapacityBasedDeterministicHash",
    ],
    ending: "Policy",
};

keys! {
    /// Bytes of a block of a new file; on the master, of a file that is found in an under store.
    BLOCK_SIZE = "alluxio.user.block.size.bytes.default",
        Kind::Size { min: 1 << 10, max: 64 << 30 }, default: Some("64MB"), roles: Roles(CLIENT.0 | Roles::MASTER.0);
    /// Where a write goes before it is acknowledged.
    WRITE_TYPE = "alluxio.user.file.writetype.default",
        Kind::Enum(&["MUST_CACHE", "TRY_CACHE", "CACHE_THROUGH", "THROUGH", "ASYNC_THROUGH"]),
        default: Some("MUST_CACHE"), roles: CLIENT;
    /// What a read leaves behind.
    READ_TYPE = "alluxio.user.file.readtype.default",
        Kind::Enum(&["NO_CACHE", "CACHE", "CACHE_PROMOTE"]), default: Some("CACHE_PROMOTE"),
        roles: CLIENT;
    /// Metadata that is older than this is compared with the under store; 0 = always, -1 = never.
    SYNC_INTERVAL = "alluxio.user.file.metadata.sync.interval", Kind::TIME_OR_OFF,
        default: Some("-1"), roles: CLIENT;
    /// Whether unknown paths are looked up in the under store: ONCE remembers that they are absent.
    LOAD_TYPE = "alluxio.user.file.metadata.load.type", Kind::Enum(&["NEVER", "ONCE", "ALWAYS"]),
        default: Some("ONCE"), roles: CLIENT;
    /// Whether reading part of a block caches the whole block in the background.
    CACHE_PARTIAL = "alluxio.user.file.cache.partially.read.block", Kind::Bool,
        default: Some("true"), roles: CLIENT;
    /// Whether the local worker keeps a copy of what is read from another one.
    PASSIVE_CACHE = "alluxio.user.file.passive.cache.enabled", Kind::Bool, default: Some("true"),
        roles: CLIENT;
    /// Fewest cached copies of a new file.
    REPLICATION_MIN = "alluxio.user.file.replication.min", Kind::int(0, 10_000),
        default: Some("0"), roles: CLIENT;
    /// Most cached copies of a new file; -1 = no limit.
    REPLICATION_MAX = "alluxio.user.file.replication.max", Kind::int(-1, 10_000),
        default: Some("-1"), roles: CLIENT;
    /// Copies that an ASYNC_THROUGH write makes before it is acknowledged.
    REPLICATION_DURABLE = "alluxio.user.file.replication.durable", Kind::int(1, 10_000),
        default: Some("1"), roles: CLIENT;
    /// Time to live of new files, from their creation; -1 = for ever.
    CREATE_TTL = "alluxio.user.file.create.ttl", Kind::TIME_OR_OFF, default: Some("-1"),
        roles: CLIENT;
    /// What happens then.
    CREATE_TTL_ACTION = "alluxio.user.file.create.ttl.action",
        Kind::Enum(&["FREE", "DELETE", "DELETE_ALLUXIO"]), default: Some("FREE"), roles: CLIENT;
    /// Tier that writes go to: 0 is the top one, -1 the bottom one.
    WRITE_TIER = "alluxio.user.file.write.tier.default", Kind::int(-16, 15), default: Some("0"),
        roles: CLIENT;
    /// Whether renaming a file that is only cached persists it.
    PERSIST_ON_RENAME = "alluxio.user.file.persist.on.rename", Kind::Bool, default: Some("false"),
        roles: CLIENT;
    /// Whether a recursive delete skips the comparison with the under store.
    DELETE_UNCHECKED = "alluxio.user.file.delete.unchecked", Kind::Bool, default: Some("false"),
        roles: CLIENT;
    /// Bytes that streams buffer.
    BUFFER_BYTES = "alluxio.user.file.buffer.bytes", Kind::size(4 << 10), default: Some("8MB"),
        roles: CLIENT;
    /// Which worker a new block goes to.
    WRITE_POLICY = "alluxio.user.block.write.location.policy.class", POLICIES,
        aliases: &["alluxio.user.file.write.location.policy.class"], default: Some("LocalFirst"),
        roles: CLIENT;
    /// Which worker `copyFromLocal` writes a block to.
    COPY_POLICY = "alluxio.user.file.copyfromlocal.block.location.policy.class", POLICIES,
        aliases: &["alluxio.user.file.copyfromlocal.write.location.policy.class"],
        default: Some("RoundRobin"), roles: CLIENT;
    /// Which worker fetches a block from the under store.
    UFS_READ_POLICY = "alluxio.user.ufs.block.read.location.policy", POLICIES,
        aliases: &["alluxio.user.ufs.block.read.location.policy.class"],
        default: Some("LocalFirst"), roles: CLIENT;
    /// Workers that DeterministicHash chooses among for one block.
    HASH_SHARDS = "alluxio.user.ufs.block.read.location.policy.deterministic.hash.shards",
        Kind::int(1, 1000), default: Some("1"), roles: CLIENT;
    /// Bytes that LocalFirstAvoidEviction leaves free.
    AVOID_EVICTION_RESERVE =
        "alluxio.user.block.avoid.eviction.policy.reserved.size.bytes", Kind::size(0),
        aliases: &["alluxio.user.file.write.avoid.eviction.policy.reserved.size.bytes"],
        default: Some("0"), roles: CLIENT;
    /// First pause between two tries of a call.
    RPC_RETRY_BASE = "alluxio.user.rpc.retry.base.sleep", Kind::time(1),
        aliases: &["alluxio.user.rpc.retry.base.sleep.ms"], default: Some("50ms"),
        roles: Roles::ALL;
    /// Longest pause between two tries of a call.
    RPC_RETRY_MAX = "alluxio.user.rpc.retry.max.sleep", Kind::time(1),
        aliases: &["alluxio.user.rpc.retry.max.sleep.ms"], default: Some("3s"), roles: Roles::ALL;
    /// How long a call is tried.
    RPC_RETRY_DURATION = "alluxio.user.rpc.retry.max.duration", Kind::time(0),
        default: Some("2min"), roles: Roles::ALL;
    /// First pause between two tries to read a block.
    READ_RETRY_BASE = "alluxio.user.block.read.retry.sleep.base", Kind::time(1),
        default: Some("250ms"), roles: CLIENT;
    /// Longest pause between two tries to read a block.
    READ_RETRY_MAX = "alluxio.user.block.read.retry.sleep.max", Kind::time(1), default: Some("2s"),
        roles: CLIENT;
    /// How long reading a block is tried.
    READ_RETRY_DURATION = "alluxio.user.block.read.retry.max.duration", Kind::time(0),
        default: Some("5min"), roles: CLIENT;
    /// Whether a client takes the file descriptors of a worker on its own machine.
    SHORT_CIRCUIT = "alluxio.user.short.circuit.enabled", Kind::Bool, default: Some("true"),
        roles: CLIENT;
    /// Whether the client remembers metadata.
    META_CACHE = "alluxio.user.metadata.cache.enabled", Kind::Bool, default: Some("false"),
        roles: CLIENT;
    /// Paths that it remembers at most.
    META_CACHE_SIZE = "alluxio.user.metadata.cache.max.size", Kind::int(1, 100_000_000),
        default: Some("100000"), roles: CLIENT;
    /// How long it believes them.
    META_CACHE_EXPIRATION = "alluxio.user.metadata.cache.expiration.time", Kind::time(1),
        default: Some("10min"), roles: CLIENT;
    /// How long the list of workers is believed.
    WORKER_LIST_REFRESH = "alluxio.user.worker.list.refresh.interval", Kind::time(1),
        default: Some("2min"), roles: CLIENT;
    /// How long one master is asked whether it is the primary.
    POLLING_TIMEOUT = "alluxio.user.master.polling.timeout", Kind::time(1), default: Some("30s"),
        roles: Roles::ALL;
    /// Bytes of one data frame of a remote write: whole chunks of 64 KB, at most 1 MB.
    WRITER_CHUNK = "alluxio.user.streaming.writer.chunk.size.bytes",
        Kind::Size { min: 4 << 10, max: 64 << 20 }, default: Some("1MB"), roles: CLIENT;
    /// How long a read waits for data.
    READ_TIMEOUT = "alluxio.user.streaming.data.read.timeout", Kind::time(1),
        aliases: &["alluxio.user.streaming.data.timeout"], default: Some("3min"), roles: CLIENT;
    /// How long a worker may take to accept bytes of a write, or a command between them.
    WRITE_TIMEOUT = "alluxio.user.streaming.data.write.timeout", Kind::time(1),
        default: Some("3min"), roles: CLIENT;
    /// How long closing a writer waits for the under store.
    CLOSE_TIMEOUT = "alluxio.user.streaming.writer.close.timeout", Kind::time(1),
        default: Some("30min"), roles: CLIENT;
    /// Host name of this client, compared with those of workers; without one, the machine's.
    USER_HOSTNAME = "alluxio.user.hostname", Kind::Text, roles: CLIENT;
    /// Name of the application, for logs of the master.
    APP_ID = "alluxio.user.app.id", Kind::Text, roles: CLIENT;
    /// How the command line prints dates, as a Java date pattern.
    DATE_PATTERN = "alluxio.user.date.format.pattern", Kind::Text,
        default: Some("MM-dd-yyyy HH:mm:ss:SSS"), roles: CLIENT;
}

/// What a client is made with.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Folders, logs.
    pub general: GeneralConfig,
    /// Identity; `login_user` is the caller's name, `umask` that of new files.
    pub security: SecurityConfig,
    /// Masters; more than one means: find the primary. Empty only where `etcd` tells it.
    pub masters: Vec<HostPort>,
    /// The etcd that knows the primary.
    pub etcd: Option<EtcdConfig>,
    /// Name of this machine, compared with those of workers.
    pub hostname: String,
    /// User to act for, if not the login user.
    pub impersonation_user: Option<String>,
    /// Name of the application, if any.
    pub app_id: Option<String>,
    /// Bytes of a block of a new file.
    pub block_size_bytes: u64,
    /// Where writes go.
    pub write_type: WriteType,
    /// What reads leave behind.
    pub read_type: ReadType,
    /// Age at which metadata is checked again; zero = always, `None` = never.
    pub sync_interval: Option<Duration>,
    /// Whether unknown paths are looked up in the UFS.
    pub metadata_load: MetadataLoad,
    /// Whether partial reads cache whole blocks.
    pub cache_partially_read_block: bool,
    /// Whether the local worker copies what is read remotely.
    pub passive_cache: bool,
    /// Copies of new files.
    pub replication: ReplicationConfig,
    /// Time to live of new files; `None` = for ever.
    pub create_ttl: Option<Duration>,
    /// What happens then.
    pub create_ttl_action: TtlAction,
    /// Tier of writes; 0 = top, negative = counted from the bottom.
    pub write_tier: i32,
    /// Whether renaming persists.
    pub persist_on_rename: bool,
    /// Whether recursive deletes skip the comparison with the UFS.
    pub delete_unchecked: bool,
    /// Bytes that streams buffer.
    pub buffer_bytes: usize,
    /// Which workers get blocks.
    pub policies: PolicyConfig,
    /// Pauses and patience of calls.
    pub rpc_retry: RetryConfig,
    /// Pauses and patience of block reads.
    pub read_retry: RetryConfig,
    /// Time to make a connection.
    pub connect_timeout: Duration,
    /// How long one master is asked whether it is primary.
    pub master_polling_timeout: Duration,
    /// Whether file descriptors of a local worker are used.
    pub short_circuit: bool,
    /// Where sockets of workers of this host are, as this process sees it; a directory when
    /// `domain_socket_as_uuid`.
    pub domain_socket_path: Option<PathBuf>,
    /// Whether that is a directory with a socket for each worker, under its id: then it says which workers
    /// are on this host.
    pub domain_socket_as_uuid: bool,
    /// Metadata cache; `None` = off.
    pub metadata_cache: Option<MetadataCacheConfig>,
    /// How long the worker list is believed.
    pub worker_list_refresh: Duration,
    /// Sizes and deadlines of data streams.
    pub streams: StreamConfig,
    /// Places of this process by locality tier.
    pub locality: BTreeMap<String, String>,
    /// Java date pattern of the command line.
    pub date_pattern: String,
}

/// How many copies of a new file there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicationConfig {
    /// Fewest cached copies.
    pub min: u32,
    /// Most cached copies; `None` = no limit.
    pub max: Option<u32>,
    /// Copies before an asynchronous write is acknowledged.
    pub durable: u32,
}

/// Which worker gets a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyConfig {
    /// For a new block.
    pub write: LocationPolicy,
    /// For a new block that `copyFromLocal` writes.
    pub copy_from_local: LocationPolicy,
    /// For fetching a block from the UFS.
    pub ufs_read: LocationPolicy,
    /// Workers that the hash policy chooses among.
    pub hash_shards: usize,
    /// Bytes that the policy which avoids eviction leaves free.
    pub avoid_eviction_reserve_bytes: u64,
    /// Worker of [`LocationPolicy::SpecificHost`] (`alluxio.worker.hostname`).
    pub specific_host: Option<String>,
}

/// Sizes and deadlines of data streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamConfig {
    /// Bytes of a frame of a remote write.
    pub writer_chunk_bytes: usize,
    /// How long a read waits for data.
    pub read_timeout: Duration,
    /// How long a write waits for room.
    pub write_timeout: Duration,
    /// How long a close waits for the UFS.
    pub close_timeout: Duration,
}

/// Exponential pauses, and when to give up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryConfig {
    /// First pause.
    pub base: Duration,
    /// Longest pause.
    pub max: Duration,
    /// Whole time from the first try on.
    pub total: Duration,
}

/// Limits of the metadata cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetadataCacheConfig {
    /// Paths at most.
    pub entries_max: usize,
    /// How long each is believed.
    pub expiration: Duration,
}

/// Whether unknown paths are looked up in the UFS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetadataLoad {
    /// Never.
    Never,
    /// Unless they are remembered as absent, or the directory was listed.
    Once,
    /// Every time.
    Always,
}

/// Which worker gets a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LocationPolicy {
    /// The one of this machine, else a random one with capacity.
    LocalFirst,
    /// Likewise, by free space instead of capacity.
    LocalFirstAvoidEviction,
    /// The one with the most free space.
    MostAvailableFirst,
    /// In turn.
    RoundRobin,
    /// The one on [`ClientConfig::specific_host`].
    SpecificHost,
    /// By a hash of the block id.
    DeterministicHash,
    /// Random, weighted by capacity.
    CapacityBaseRandom,
    /// By a hash of the block id, weighted by capacity.
    CapacityBasedDeterministicHash,
}

pub(crate) fn section(r: &mut Reader<'_>) -> ClientConfig {
    let cache = MetadataCacheConfig {
        entries_max: r.count(&META_CACHE_SIZE),
        expiration: r.duration(&META_CACHE_EXPIRATION),
    };
    let hostname = own_hostname(r);
    ClientConfig {
        general: general::section(r),
        security: security::section(r),
        masters: masters(r),
        etcd: etcd::section(r),
        impersonation_user: r
            .set_text(&security::IMPERSONATION_USERNAME)
            .filter(|name| !matches!(name.as_str(), "_HDFS_USER_" | "_NONE_" | "")),
        app_id: r.set_text(&APP_ID),
        block_size_bytes: r.size(&BLOCK_SIZE),
        write_type: write_type(r),
        read_type: ReadType::from_name(&r.text(&READ_TYPE)).unwrap_or(ReadType::CachePromote),
        sync_interval: r.duration_or_off(&SYNC_INTERVAL),
        metadata_load: match r.text(&LOAD_TYPE).as_str() {
            "NEVER" => MetadataLoad::Never,
            "ALWAYS" => MetadataLoad::Always,
            _ => MetadataLoad::Once,
        },
        cache_partially_read_block: r.bool(&CACHE_PARTIAL),
        passive_cache: r.bool(&PASSIVE_CACHE),
        replication: replication(r),
        create_ttl: r.duration_or_off(&CREATE_TTL),
        create_ttl_action: match r.text(&CREATE_TTL_ACTION).as_str() {
            "DELETE" => TtlAction::Delete,
            "DELETE_ALLUXIO" => TtlAction::DeleteAlluxio,
            _ => TtlAction::Free,
        },
        write_tier: i32::try_from(r.int(&WRITE_TIER)).unwrap_or(0),
        persist_on_rename: r.bool(&PERSIST_ON_RENAME),
        delete_unchecked: r.bool(&DELETE_UNCHECKED),
        buffer_bytes: r.size_usize(&BUFFER_BYTES),
        policies: policies(r),
        rpc_retry: rpc_retry(r),
        read_retry: retry(r, &READ_RETRY_BASE, &READ_RETRY_MAX, &READ_RETRY_DURATION),
        connect_timeout: r.duration(&general::CONNECT_TIMEOUT),
        master_polling_timeout: r.duration(&POLLING_TIMEOUT),
        short_circuit: r.bool(&SHORT_CIRCUIT),
        domain_socket_path: r
            .set_text(&worker::DOMAIN_SOCKET)
            .filter(|path| !path.is_empty())
            .map(PathBuf::from),
        domain_socket_as_uuid: r.bool(&worker::DOMAIN_SOCKET_AS_UUID),
        metadata_cache: r.bool(&META_CACHE).then_some(cache),
        worker_list_refresh: r.duration(&WORKER_LIST_REFRESH),
        streams: streams(r),
        locality: locality(r, &hostname),
        hostname,
        date_pattern: r.text(&DATE_PATTERN),
    }
}

/// The name that is compared with those of workers: the configured one; a loopback name of the
/// worker, since that is this machine whoever reads it; the machine's.
fn own_hostname(r: &Reader<'_>) -> String {
    let worker = r.set_text(&worker::HOSTNAME);
    let loopback = worker.filter(|w| w == "localhost" || w.starts_with("127.") || w == "::1");
    r.text_or(&USER_HOSTNAME, |machine| loopback.clone().unwrap_or(machine.hostname.clone()))
}

/// Where the masters are: `rpc.addresses`, else `hostname:rpc.port`, else what etcd says.
pub(crate) fn masters(r: &mut Reader<'_>) -> Vec<HostPort> {
    let addresses = r.addresses(&master::RPC_ADDRESSES);
    if !addresses.is_empty() {
        return addresses;
    }
    let port = r.port(&master::RPC_PORT);
    match r.set_text(&master::HOSTNAME).filter(|host| !host.is_empty()) {
        Some(host) => vec![HostPort { host, port }],
        None if !r.list(&etcd::ENDPOINTS).is_empty() => Vec::new(),
        None => {
            let way_out = format!(
                "say where the master is in {}, the environment (ALLUXIO_MASTER_HOSTNAME) or with \
                 -D{}=HOST; several masters are found by alluxio.master.rpc.addresses or \
                 alluxio.etcd.endpoints; `alluxio local start` makes a cluster and a configuration for it",
                r.site_hint(),
                master::HOSTNAME.name
            );
            r.missing(master::HOSTNAME.name, &way_out);
            Vec::new()
        }
    }
}

/// Bytes of a block of a new file.
pub(crate) fn block_size(r: &mut Reader<'_>) -> u64 {
    r.size(&BLOCK_SIZE)
}

/// Pauses and patience of calls.
pub(crate) fn rpc_retry(r: &mut Reader<'_>) -> RetryConfig {
    retry(r, &RPC_RETRY_BASE, &RPC_RETRY_MAX, &RPC_RETRY_DURATION)
}

fn retry(
    r: &mut Reader<'_>,
    base: &crate::KeySpec,
    max: &crate::KeySpec,
    total: &crate::KeySpec,
) -> RetryConfig {
    let config =
        RetryConfig { base: r.duration(base), max: r.duration(max), total: r.duration(total) };
    if config.base > config.max {
        r.conflict(format!("{} must not be longer than {}", base.name, max.name));
    }
    config
}

fn replication(r: &mut Reader<'_>) -> ReplicationConfig {
    let min = u32::try_from(r.int(&REPLICATION_MIN)).unwrap_or(0);
    let max = u32::try_from(r.int(&REPLICATION_MAX)).ok();
    if let Some(max) = max.filter(|max| *max < min) {
        r.conflict(format!(
            "{}={min} must not be above {}={max}",
            REPLICATION_MIN.name, REPLICATION_MAX.name
        ));
    }
    let durable = u32::try_from(r.int(&REPLICATION_DURABLE)).unwrap_or(1);
    ReplicationConfig { min, max, durable }
}

fn policies(r: &mut Reader<'_>) -> PolicyConfig {
    let specific_host = r.set_text(&worker::HOSTNAME);
    PolicyConfig {
        write: policy(r, &WRITE_POLICY, &specific_host),
        copy_from_local: policy(r, &COPY_POLICY, &specific_host),
        ufs_read: policy(r, &UFS_READ_POLICY, &specific_host),
        hash_shards: r.count(&HASH_SHARDS),
        avoid_eviction_reserve_bytes: r.size(&AVOID_EVICTION_RESERVE),
        specific_host,
    }
}

fn streams(r: &mut Reader<'_>) -> StreamConfig {
    StreamConfig {
        writer_chunk_bytes: r.size_usize(&WRITER_CHUNK),
        read_timeout: r.duration(&READ_TIMEOUT),
        write_timeout: r.duration(&WRITE_TIMEOUT),
        close_timeout: r.duration(&CLOSE_TIMEOUT),
    }
}

/// Places by tier; `node` is the host name unless somebody says otherwise.
fn locality(r: &Reader<'_>, hostname: &str) -> BTreeMap<String, String> {
    let mut places = r.below("alluxio.locality.");
    places.remove("order");
    places.entry("node".to_owned()).or_insert_with(|| hostname.to_owned());
    places
}

fn write_type(r: &mut Reader<'_>) -> WriteType {
    // TRY_CACHE is an old name of MUST_CACHE.
    WriteType::from_name(&r.text(&WRITE_TYPE)).unwrap_or(WriteType::MustCache)
}

fn policy(r: &mut Reader<'_>, key: &crate::KeySpec, host: &Option<String>) -> LocationPolicy {
    match r.text(key).as_str() {
        "LocalFirstAvoidEviction" => LocationPolicy::LocalFirstAvoidEviction,
        "MostAvailableFirst" => LocationPolicy::MostAvailableFirst,
        "RoundRobin" => LocationPolicy::RoundRobin,
        "DeterministicHash" => LocationPolicy::DeterministicHash,
        "CapacityBaseRandom" => LocationPolicy::CapacityBaseRandom,
        "CapacityBasedDeterministicHash" => LocationPolicy::CapacityBasedDeterministicHash,
        "SpecificHost" => {
            if host.is_none() {
                r.missing(worker::HOSTNAME.name, &format!("{}=SpecificHost needs it", key.name));
            }
            LocationPolicy::SpecificHost
        }
        _ => LocationPolicy::LocalFirst,
    }
}
