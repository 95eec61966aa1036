//! Keys and section of the worker.

use crate::client;
use crate::etcd::{self, EtcdConfig};
use crate::general::{self, GeneralConfig, HostPort};
use crate::reader::Reader;
use crate::security::{self, SecurityConfig};
use crate::spec::{Kind, Roles, keys};
use crate::ufs;
use alluxio_types::{ByteSize, MediumType, MountOptions, TierAlias};
use std::path::{Path, PathBuf};
use std::time::Duration;

const WORKER: Roles = Roles::WORKER;

keys! {
    /// Host name under which clients and the master reach the worker; without one, the machine's.
    HOSTNAME = "alluxio.worker.hostname", Kind::Text;
    /// Host name of the worker inside its container, when it differs.
    CONTAINER_HOSTNAME = "alluxio.worker.container.hostname", Kind::Text, roles: WORKER;
    /// Address that the worker listens on.
    BIND_HOST = "alluxio.worker.bind.host", Kind::Text, default: Some("0.0.0.0"), roles: WORKER;
    /// Port of the worker's RPC.
    RPC_PORT = "alluxio.worker.rpc.port", Kind::Port, default: Some("29999"),
        aliases: &["alluxio.worker.port"], roles: WORKER;
    /// Port of the worker's data protocol.
    DATA_PORT = "alluxio.worker.data.port", Kind::Port, default: Some("29998"), roles: WORKER;
    /// Address that the worker's web server listens on.
    WEB_BIND_HOST = "alluxio.worker.web.bind.host", Kind::Text,
        default: Some("${alluxio.worker.bind.host}"), roles: WORKER;
    /// Port of the worker's web server: metrics, health, UI.
    WEB_PORT = "alluxio.worker.web.port", Kind::Port, default: Some("30000"), roles: WORKER;
    /// Quota of the memory tier; without one, two thirds of the machine's memory.
    RAMDISK_SIZE = "alluxio.worker.ramdisk.size", Kind::size(1 << 20),
        aliases: &["alluxio.worker.memory.size"], roles: WORKER;
    /// Number of storage tiers.
    TIER_LEVELS = "alluxio.worker.tieredstore.levels", Kind::int(1, 16), default: Some("1"),
        roles: WORKER;
    /// Name of tier `<N>`: MEM, SSD, HDD or your own.
    TIER_ALIAS = "alluxio.worker.tieredstore.level<N>.alias", Kind::Text, roles: WORKER;
    /// Directories of tier `<N>`.
    TIER_PATHS = "alluxio.worker.tieredstore.level<N>.dirs.path", Kind::List, roles: WORKER;
    /// Quotas of these directories; the last one counts for all that follow.
    TIER_QUOTAS = "alluxio.worker.tieredstore.level<N>.dirs.quota", Kind::List, roles: WORKER;
    /// Kinds of device of these directories; the last one counts for all that follow.
    TIER_MEDIA = "alluxio.worker.tieredstore.level<N>.dirs.mediumtype", Kind::List, roles: WORKER;
    /// Share of tier `<N>` above which space is freed in the background.
    TIER_HIGH = "alluxio.worker.tieredstore.level<N>.watermark.high.ratio", Kind::RATIO,
        roles: WORKER;
    /// Share of tier `<N>` at which that stops.
    TIER_LOW = "alluxio.worker.tieredstore.level<N>.watermark.low.ratio", Kind::RATIO,
        roles: WORKER;
    /// Bytes that each tier tries to keep free ahead of demand.
    FREE_AHEAD = "alluxio.worker.tieredstore.free.ahead.bytes", Kind::size(0), default: Some("0"),
        roles: WORKER;
    /// Folder below each directory of a tier in which blocks lie.
    DATA_FOLDER = "alluxio.worker.data.folder", Kind::Text, default: Some("/alluxioworker/"),
        roles: WORKER;
    /// Folder, below the one of the blocks, of blocks that are being written.
    DATA_FOLDER_TMP = "alluxio.worker.data.folder.tmp", Kind::Text, default: Some(".tmp_blocks"),
        roles: WORKER;
    /// Path of the Unix domain socket of the data protocol; a directory when it gets a UUID. Not set, the
    /// worker puts it beside its blocks; a path must not be longer than 107 bytes. Of a client, the same
    /// directory as it sees it, mounted into its container perhaps.
    DOMAIN_SOCKET = "alluxio.worker.data.server.domain.socket.address", Kind::Text;
    /// Whether the socket is a file named by the worker's id in the directory above. Then clients take who
    /// is in it, and no host names, for the workers of their host.
    DOMAIN_SOCKET_AS_UUID = "alluxio.worker.data.server.domain.socket.as.uuid", Kind::Bool,
        default: Some("false");
    /// How a directory is chosen for a new block.
    ALLOCATOR = "alluxio.worker.allocator.class",
        Kind::Class { names: &["MaxFree", "RoundRobin", "Greedy"], ending: "Allocator" },
        default: Some("MaxFree"), roles: WORKER;
    /// Which blocks leave first.
    ANNOTATOR = "alluxio.worker.block.annotator.class",
        Kind::Class { names: &["LRU", "LRFU"], ending: "Annotator" },
        default: Some("LRU"), roles: WORKER;
    /// Older name of the annotator: LRU, PartialLRU and Greedy order by last use, LRFU by use count
    /// and age.
    EVICTOR = "alluxio.worker.evictor.class",
        Kind::Class { names: &["LRU", "LRFU", "PartialLRU", "Greedy"], ending: "Evictor" },
        roles: WORKER;
    /// LRFU: how fast old uses lose weight; smaller is slower.
    LRFU_STEP = "alluxio.worker.block.annotator.lrfu.step.factor", Kind::RATIO,
        aliases: &["alluxio.worker.evictor.lrfu.step.factor"], default: Some("0.25"), roles: WORKER;
    /// LRFU: base of the weight of a use.
    LRFU_ATTENUATION = "alluxio.worker.block.annotator.lrfu.attenuation.factor",
        Kind::Float { min: 2.0, max: 1e9 },
        aliases: &["alluxio.worker.evictor.lrfu.attenuation.factor"], default: Some("2.0"),
        roles: WORKER;
    /// Time between two heartbeats to the master.
    HEARTBEAT_INTERVAL = "alluxio.worker.block.heartbeat.interval", Kind::time(1),
        aliases: &["alluxio.worker.block.heartbeat.interval.ms"], default: Some("1s"),
        roles: WORKER;
    /// How long one heartbeat may take.
    HEARTBEAT_TIMEOUT = "alluxio.worker.block.heartbeat.timeout", Kind::time(1),
        aliases: &["alluxio.worker.block.heartbeat.timeout.ms"],
        default: Some("30s"), roles: WORKER;
    /// How long the worker tries to reach a master before it gives up and ends.
    CONNECT_RETRY_TIMEOUT = "alluxio.worker.master.connect.retry.timeout", Kind::time(1),
        default: Some("1h"), roles: WORKER;
    /// Blocks of one message of a registration.
    REGISTER_BATCH = "alluxio.worker.register.stream.batch.size", Kind::int(1, 10_000_000),
        default: Some("100000"), roles: WORKER;
    /// A client that takes so long to accept or send the next byte of what it has begun is given up.
    SESSION_TIMEOUT = "alluxio.worker.session.timeout", Kind::time(1),
        aliases: &["alluxio.worker.session.timeout.ms"], default: Some("1min"), roles: WORKER;
    /// How long a write waits for space to be freed.
    FREE_SPACE_TIMEOUT = "alluxio.worker.free.space.timeout", Kind::time(0), default: Some("10s"),
        roles: WORKER;
    /// Whether blocks of files that are in no under store may be evicted, which loses them. When not,
    /// a full worker refuses to write, and caches nothing, until they are persisted or deleted.
    EVICT_UNPERSISTED = "alluxio.worker.evict.unpersisted.blocks", Kind::Bool,
        default: Some("false"), roles: WORKER;
    /// Bytes of idle blocks that are read and checked in a second, on average; 0 for never.
    SCRUB_RATE = "alluxio.worker.scrub.bytes.per.second", Kind::size(0), default: Some("8MB"),
        roles: WORKER;
    /// Whether blocks are moved in the background so that the most used are in the top tiers.
    TIER_ALIGN = "alluxio.worker.management.tier.align.enabled", Kind::Bool, default: Some("true"),
        roles: WORKER;
    /// Whether blocks move up in the background while an upper tier has room.
    TIER_PROMOTE = "alluxio.worker.management.tier.promote.enabled", Kind::Bool,
        default: Some("true"), roles: WORKER;
    /// Share of a tier that such moves fill at most, in percent.
    TIER_PROMOTE_QUOTA = "alluxio.worker.management.tier.promote.quota.percent", Kind::int(0, 100),
        default: Some("90"), roles: WORKER;
    /// Background moves wait for so long after the last read or write.
    LOAD_COOL_DOWN = "alluxio.worker.management.load.detection.cool.down.time", Kind::time(0),
        default: Some("10s"), roles: WORKER;
    /// Blocks that are cached from under stores at once.
    ASYNC_CACHE_THREADS = "alluxio.worker.network.async.cache.manager.threads.max",
        Kind::int(1, 4096), default: Some("16"), roles: WORKER;
    /// Blocks that wait for that; more are not cached.
    ASYNC_CACHE_QUEUE = "alluxio.worker.network.async.cache.manager.queue.max",
        Kind::int(1, 1_000_000), default: Some("512"), roles: WORKER;
    /// Whether the worker looks for directories that vanished.
    STORAGE_CHECKER = "alluxio.worker.storage.checker.enabled", Kind::Bool, default: Some("true"),
        roles: WORKER;
    /// Bytes of one frame that the worker sends when it cannot pass a file descriptor: whole chunks
    /// of 64 KB, at most 1 MB.
    CHUNK_BYTES = "alluxio.worker.network.reader.max.chunk.size.bytes",
        Kind::Size { min: 64 << 10, max: 64 << 20 }, default: Some("2MB"), roles: WORKER;
}

/// What a worker is started with.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Folders, logs.
    pub general: GeneralConfig,
    /// Identity.
    pub security: SecurityConfig,
    /// Masters to register with. Empty only where `etcd` tells which one is the primary.
    pub masters: Vec<HostPort>,
    /// The etcd that knows the primary.
    pub etcd: Option<EtcdConfig>,
    /// Name under which others reach this worker.
    pub hostname: String,
    /// Address to listen on.
    pub bind_host: String,
    /// Port of RPC; 0 = any free one.
    pub rpc_port: u16,
    /// Port of the data protocol; 0 = any free one.
    pub data_port: u16,
    /// Address of the web server.
    pub web_bind_host: String,
    /// Port of the web server; 0 = any free one.
    pub web_port: u16,
    /// Unix domain socket of the data protocol; a directory when `domain_socket_as_uuid`.
    pub domain_socket_path: Option<PathBuf>,
    /// Whether the path is a directory and the socket in it is named by a UUID.
    pub domain_socket_as_uuid: bool,
    /// Storage tiers from the top down; never empty.
    pub tiers: Vec<TierConfig>,
    /// Folder of blocks below each tier directory, without leading slash.
    pub data_folder: String,
    /// Folder of unfinished blocks below that.
    pub data_folder_tmp: String,
    /// Bytes each tier keeps free ahead.
    pub free_ahead_bytes: u64,
    /// How a directory is chosen.
    pub allocator: Allocator,
    /// Which blocks leave first.
    pub annotator: Annotator,
    /// Time between heartbeats.
    pub heartbeat_interval: Duration,
    /// Deadline of one heartbeat.
    pub heartbeat_timeout: Duration,
    /// How long to try to reach a master.
    pub connect_retry_timeout: Duration,
    /// Blocks of one registration message.
    pub register_batch_blocks: usize,
    /// Patience with a client in the middle of a transfer.
    pub session_timeout: Duration,
    /// How long a write waits for space.
    pub free_space_timeout: Duration,
    /// Whether blocks of files that are in no UFS may be evicted.
    pub evict_unpersisted: bool,
    /// Bytes of idle blocks checked in a second; 0 for none.
    pub scrub_bytes_per_second: u64,
    /// Whether tiers are kept in order.
    pub tier_align: bool,
    /// Whether blocks move up; `None` = no, else the share of a tier to fill, 0..=100.
    pub tier_promote_quota_percent: Option<u32>,
    /// Quiet time before background moves.
    pub load_cool_down: Duration,
    /// Blocks cached from under stores at once.
    pub async_cache_concurrency: usize,
    /// Blocks that wait for that.
    pub async_cache_queue: usize,
    /// Whether vanished directories are looked for.
    pub storage_checker: bool,
    /// Bytes of one data frame.
    pub chunk_bytes: usize,
    /// Pauses and patience of calls to the master.
    pub rpc_retry: client::RetryConfig,
    /// Options of under stores from the site file: defaults of every mount. Credentials; never
    /// printed.
    pub ufs_options: MountOptions,
}

/// One storage tier.
#[derive(Debug, Clone, PartialEq)]
pub struct TierConfig {
    /// Its name.
    pub alias: TierAlias,
    /// Its directories; never empty.
    pub dirs: Vec<DirConfig>,
    /// Share of use above which space is freed, 0..=1.
    pub high_watermark: f64,
    /// Share of use at which that stops, 0..=`high_watermark`.
    pub low_watermark: f64,
}

/// One directory of a tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirConfig {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes it may hold.
    pub quota_bytes: u64,
    /// Kind of device.
    pub medium: MediumType,
}

/// How a directory is chosen for a new block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocator {
    /// The one with the most free space.
    MaxFree,
    /// In turn.
    RoundRobin,
    /// The first with room.
    Greedy,
}

/// Which blocks leave first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Annotator {
    /// Least recently used.
    Lru,
    /// Least recently and frequently used.
    Lrfu {
        /// How fast old uses lose weight.
        step: f64,
        /// Base of the weight.
        attenuation: f64,
    },
}

pub(crate) fn section(r: &mut Reader<'_>) -> WorkerConfig {
    let allocator = match r.text(&ALLOCATOR).as_str() {
        "RoundRobin" => Allocator::RoundRobin,
        "Greedy" => Allocator::Greedy,
        _ => Allocator::MaxFree,
    };
    let promote = r.bool(&TIER_PROMOTE);
    let quota = u32::try_from(r.int(&TIER_PROMOTE_QUOTA)).unwrap_or(100);
    WorkerConfig {
        general: general::section(r),
        security: security::section(r),
        masters: client::masters(r),
        etcd: etcd::section(r),
        hostname: r.text_or(&HOSTNAME, |machine| machine.hostname.clone()),
        bind_host: r.text(&BIND_HOST),
        rpc_port: r.port(&RPC_PORT),
        data_port: r.port(&DATA_PORT),
        web_bind_host: r.text(&WEB_BIND_HOST),
        web_port: r.port(&WEB_PORT),
        domain_socket_path: domain_socket(r),
        domain_socket_as_uuid: r.bool(&DOMAIN_SOCKET_AS_UUID),
        tiers: tiers(r),
        data_folder: r.text(&DATA_FOLDER).trim_matches('/').to_owned(),
        data_folder_tmp: r.text(&DATA_FOLDER_TMP).trim_matches('/').to_owned(),
        free_ahead_bytes: r.size(&FREE_AHEAD),
        allocator,
        annotator: annotator(r),
        heartbeat_interval: r.duration(&HEARTBEAT_INTERVAL),
        heartbeat_timeout: r.duration(&HEARTBEAT_TIMEOUT),
        connect_retry_timeout: r.duration(&CONNECT_RETRY_TIMEOUT),
        register_batch_blocks: r.count(&REGISTER_BATCH),
        session_timeout: r.duration(&SESSION_TIMEOUT),
        free_space_timeout: r.duration(&FREE_SPACE_TIMEOUT),
        evict_unpersisted: r.bool(&EVICT_UNPERSISTED),
        scrub_bytes_per_second: r.size(&SCRUB_RATE),
        tier_align: r.bool(&TIER_ALIGN),
        tier_promote_quota_percent: promote.then_some(quota),
        load_cool_down: r.duration(&LOAD_COOL_DOWN),
        async_cache_concurrency: r.count(&ASYNC_CACHE_THREADS),
        async_cache_queue: r.count(&ASYNC_CACHE_QUEUE),
        storage_checker: r.bool(&STORAGE_CHECKER),
        chunk_bytes: usize::try_from(r.size(&CHUNK_BYTES)).unwrap_or(2 << 20),
        rpc_retry: client::rpc_retry(r),
        ufs_options: ufs::site_options(r),
    }
}

fn annotator(r: &mut Reader<'_>) -> Annotator {
    // The older key counts when it is set and the newer one is not.
    let name = match r.set_text(&EVICTOR) {
        Some(old) if !r.is_set(&ANNOTATOR) => old,
        _ => r.text(&ANNOTATOR),
    };
    let step = r.float(&LRFU_STEP);
    let attenuation = r.float(&LRFU_ATTENUATION);
    if name == "LRFU" { Annotator::Lrfu { step, attenuation } } else { Annotator::Lru }
}

/// `sun_path` holds 108 bytes with the final NUL.
const SOCKET_PATH_BYTES_MAX: usize = 107;

fn domain_socket(r: &mut Reader<'_>) -> Option<PathBuf> {
    let text = r.set_text(&DOMAIN_SOCKET).filter(|text| !text.is_empty())?;
    if text.len() > SOCKET_PATH_BYTES_MAX || !Path::new(&text).is_absolute() {
        r.bad_value(
            &DOMAIN_SOCKET,
            &text,
            "an absolute path of at most 107 bytes, the limit of the operating system",
        );
        return None;
    }
    Some(PathBuf::from(text))
}

/// Alias, directory and watermarks of the first levels when nothing is said.
const LEVEL_DEFAULTS: [(&str, Option<&str>); 3] =
    [("MEM", Some("/mnt/ramdisk")), ("SSD", None), ("HDD", None)];
/// Watermarks of every tier when nothing is said.
const HIGH_LOW: (f64, f64) = (0.95, 0.7);

fn tiers(r: &mut Reader<'_>) -> Vec<TierConfig> {
    let levels = r.count(&TIER_LEVELS);
    (0..levels).filter_map(|level| tier(r, level)).collect()
}

fn tier(r: &mut Reader<'_>, level: usize) -> Option<TierConfig> {
    let key = |rest: &str| format!("alluxio.worker.tieredstore.level{level}.{rest}");
    let (default_alias, default_path) = LEVEL_DEFAULTS.get(level).copied().unwrap_or(("", None));
    let alias = r.named(&key("alias")).unwrap_or_else(|| default_alias.to_owned());
    if alias.is_empty() {
        r.missing(&key("alias"), "name the tier");
        return None;
    }
    let paths = list(r.named(&key("dirs.path")).or(default_path.map(str::to_owned)));
    if paths.is_empty() {
        r.missing(
            &key("dirs.path"),
            &format!("{} is {level} or more, so say where the tier lies", TIER_LEVELS.name),
        );
        return None;
    }
    let quotas = quotas(r, &key("dirs.quota"), level)?;
    let media = list(r.named(&key("dirs.mediumtype")).or_else(|| Some(alias.clone())));
    for (what, count) in [("dirs.quota", quotas.len()), ("dirs.mediumtype", media.len())] {
        if count > paths.len() {
            r.conflict(format!(
                "{} has {count} values for {} directories in {}",
                key(what),
                paths.len(),
                key("dirs.path")
            ));
        }
    }
    let dirs = paths
        .iter()
        .enumerate()
        .map(|(i, path)| DirConfig {
            path: PathBuf::from(path),
            quota_bytes: quotas[i.min(quotas.len() - 1)],
            medium: MediumType(media[i.min(media.len() - 1)].clone()),
        })
        .collect();
    let ratio = |text: Option<String>, default: f64| {
        text.and_then(|text| text.parse::<f64>().ok()).unwrap_or(default)
    };
    let high_watermark = ratio(r.named(&key("watermark.high.ratio")), HIGH_LOW.0);
    let low_watermark = ratio(r.named(&key("watermark.low.ratio")), HIGH_LOW.1.min(high_watermark));
    if low_watermark > high_watermark {
        r.conflict(format!(
            "{}={low_watermark} must not be above {}={high_watermark}",
            key("watermark.low.ratio"),
            key("watermark.high.ratio")
        ));
    }
    Some(TierConfig { alias: TierAlias(alias), dirs, high_watermark, low_watermark })
}

fn quotas(r: &mut Reader<'_>, key: &str, level: usize) -> Option<Vec<u64>> {
    let texts = list(r.named(key));
    if texts.is_empty() && level == 0 {
        let size = r.set_text(&RAMDISK_SIZE).and_then(|text| ByteSize::parse(&text));
        return Some(vec![size.map_or(r.machine().memory_bytes / 3 * 2, |size| size.0)]);
    }
    if texts.is_empty() {
        r.missing(key, "say how many bytes each directory may hold, like 100GB");
        return None;
    }
    let mut quotas = Vec::with_capacity(texts.len());
    for text in &texts {
        match ByteSize::parse(text) {
            Some(size) if size.0 > 0 => quotas.push(size.0),
            _ => {
                r.bad_named(key, text, "a size above 0 for each directory, like 100GB");
                return None;
            }
        }
    }
    Some(quotas)
}

fn list(text: Option<String>) -> Vec<String> {
    text.map(|text| crate::value::split_list(&text)).unwrap_or_default()
}
