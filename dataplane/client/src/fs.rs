//! The file system: metadata operations, and the way to readers and writers.

use crate::cluster::{MasterAnswer, MetricValue};
use crate::control::Control;
use crate::error::ClientError;
use crate::locality::{Fallback, Locality};
use crate::master::{Listing, Master, NewFile};
use crate::meta_cache::MetaCache;
use crate::options::*;
use crate::reader::FileReader;
use crate::tokens::Tokens;
use crate::workers::WorkerList;
use crate::writer::FileWriter;
use alluxio_config::{ClientConfig, EtcdConfig};
use alluxio_datapath::client::{ClientOptions, DataClient};
use alluxio_host::Host;
use alluxio_rpc::etcd::EtcdDirectory;
use alluxio_rpc::{Caller, Directory, HostPort, Primary, RetryPolicy, RpcError};
use alluxio_types::{
    Access, AlluxioPath, BlockId, BlockInfo, Code, Coded, FileStatus, InodeId, Mode, WorkerInfo,
    WriteType,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A client of one cluster. Cheap to clone; clones share connections and caches.
///
/// Dropping any of its futures abandons the call; the master may still carry it out.
#[derive(Clone)]
pub struct FileSystem {
    pub(crate) inner: Arc<Inner>,
    early: bool,
}

/// What all clones, readers and writers share.
pub(crate) struct Inner {
    pub(crate) config: ClientConfig,
    pub(crate) host: Host,
    pub(crate) master: Master,
    pub(crate) data: DataClient,
    pub(crate) control: Control,
    pub(crate) workers: WorkerList,
    pub(crate) meta_cache: Option<MetaCache>,
    pub(crate) locality: Locality,
    pub(crate) tokens: Tokens,
    /// Position of the round-robin policy.
    turn: AtomicU64,
}

impl Inner {
    /// The next position of the round-robin policy.
    pub(crate) fn next_turn(&self) -> u64 {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// The configured freshness where options have none.
    pub(crate) fn freshness(&self, asked: Freshness) -> Freshness {
        let configured = match self.config.sync_interval {
            Some(age) => SyncInterval::After(age),
            None => SyncInterval::Never,
        };
        Freshness {
            sync: asked.sync.or(Some(configured)),
            load: asked.load.or(Some(self.config.metadata_load)),
        }
    }

    pub(crate) fn forget(&self, path: &AlluxioPath) {
        if let Some(cache) = &self.meta_cache {
            cache.forget(path);
        }
    }
}

impl FileSystem {
    /// A client for the cluster of `config`. Connections are made when they are needed.
    ///
    /// **Errors**: `BadConfig` for a user name that cannot be sent, or no master address.
    pub fn connect(config: ClientConfig, host: Host) -> Result<FileSystem, ClientError> {
        Self::connect_over(config, host, false)
    }

    /// The same for who waits for each call before he makes the next one: single calls to the master are about
    /// three times as fast, and take a few more connections.
    ///
    /// **Errors**: as [`FileSystem::connect`].
    pub fn connect_with_lines(config: ClientConfig, host: Host) -> Result<FileSystem, ClientError> {
        Self::connect_over(config, host, true)
    }

    fn connect_over(
        config: ClientConfig,
        host: Host,
        lines: bool,
    ) -> Result<FileSystem, ClientError> {
        let user = &config.security.login_user;
        let caller = Caller::new(user).ok_or_else(|| ClientError::BadConfig {
            key: "alluxio.security.login.username",
            value: user.clone(),
        })?;
        let caller = caller.in_groups(&config.security.login_groups);
        let addresses = config.masters.iter();
        let addresses = addresses
            .map(|master| HostPort { host: master.host.clone(), port: master.port })
            .collect();
        let retry = config.rpc_retry;
        let policy = RetryPolicy { base: retry.base, max: retry.max, total: retry.total };
        let control = Control::new(host.net.clone(), caller.clone());
        let directory = match &config.etcd {
            Some(etcd) => Some(directory(etcd)?),
            None => None,
        };
        let host_of_calls = host.clone();
        let primary = match directory {
            None => Primary::new(addresses, caller, policy, host_of_calls)?,
            some => Primary::with_directory(addresses, some, caller, policy, host_of_calls),
        };
        let primary = if lines { primary.with_lines() } else { primary };
        let data = DataClient::new(ClientOptions {
            user: user.clone(),
            connect: config.connect_timeout,
            patience: config.streams.read_timeout,
            write_patience: config.streams.write_timeout,
            close_patience: config.streams.close_timeout,
            frame_bytes: config.streams.writer_chunk_bytes,
            ..ClientOptions::default()
        });
        let meta_cache =
            config.metadata_cache.map(|cache| MetaCache::new(cache.entries_max, cache.expiration));
        let inner = Inner {
            workers: WorkerList::new(config.worker_list_refresh),
            turn: AtomicU64::new(host.entropy.next_u64()),
            master: Master::new(primary),
            locality: Locality::new(&config),
            tokens: Tokens::default(),
            config,
            host,
            data,
            control,
            meta_cache,
        };
        Ok(FileSystem { inner: Arc::new(inner), early: false })
    }

    /// The same client, who is told of new files, new directories and single paths before the journal has
    /// them. What was told is taken back if the primary dies at that moment, which the next call about it
    /// finds out.
    #[must_use]
    pub fn early(&self) -> FileSystem {
        FileSystem { early: true, ..self.clone() }
    }

    /// What it was made with.
    pub fn config(&self) -> &ClientConfig {
        &self.inner.config
    }

    /// The user in whose name it acts.
    pub fn user(&self) -> &str {
        self.inner.master.primary().user()
    }

    /// How often workers of this host were reached by TCP, because their socket could not be used, by
    /// reason: for `alluxio_client_short_circuit_fallbacks_total` of who has metrics.
    pub fn short_circuit_fallbacks(&self) -> [(Fallback, u64); Fallback::ALL.len()] {
        self.inner.locality.counted()
    }

    /// Makes a directory. **Errors**: `AlreadyExists`, `NotFound` (parent), `PermissionDenied`,
    /// `ReadOnly`.
    pub async fn create_directory(
        &self,
        path: &AlluxioPath,
        options: &CreateDirectoryOptions,
    ) -> Result<FileStatus, ClientError> {
        let config = &self.inner.config;
        let mode = options.mode.unwrap_or(Mode(0o777).masked(config.security.umask));
        let kind = options.write_type.unwrap_or(config.write_type);
        let master = &self.inner.master;
        let made = master.create_directory(path, options, mode, kind, self.early).await;
        self.inner.forget(path);
        made
    }

    /// Makes a file and opens it for writing. Nobody can read it before it is closed.
    ///
    /// **Errors**: `AlreadyExists`, `NotFound` (parent), `PermissionDenied`, `ReadOnly`;
    /// `Unimplemented` for ASYNC_THROUGH.
    pub async fn create_file(
        &self,
        path: &AlluxioPath,
        options: &CreateFileOptions,
    ) -> Result<FileWriter, ClientError> {
        let config = &self.inner.config;
        let write_type = options.write_type.unwrap_or(config.write_type);
        if write_type == WriteType::AsyncThrough {
            return Err(ClientError::NotBuilt {
                what: "write type ASYNC_THROUGH",
                instead: "it needs the job service; use CACHE_THROUGH, or MUST_CACHE and persist",
            });
        }
        let file = NewFile {
            recursive: options.recursive,
            overwrite: options.overwrite,
            replaces: options.replaces,
            mode: options.mode.unwrap_or(Mode(0o666).masked(config.security.umask)),
            block_size_bytes: options.block_size_bytes.unwrap_or(config.block_size_bytes),
            write_type,
            ttl: options.ttl.unwrap_or(config.create_ttl),
            ttl_action: options.ttl_action.unwrap_or(config.create_ttl_action),
            replication_min: options.replication_min.unwrap_or(config.replication.min),
            replication_max: options.replication_max.unwrap_or(config.replication.max),
            operation: options.operation,
            xattr: options.xattr.clone(),
            early: self.early,
        };
        let made = self.inner.master.create_file(path, &file).await;
        self.inner.forget(path);
        let (status, room) = made?;
        let room = Some(room.unwrap_or(u64::MAX));
        Ok(FileWriter::new(self.inner.clone(), status, write_type, options, room))
    }

    /// Goes on with a file that was created and has no bytes yet: see [`FileWriter::detach`]. `status` is what
    /// the master says of it; of the options, only those count that say how bytes are written.
    pub fn attach(&self, status: FileStatus, options: &CreateFileOptions) -> FileWriter {
        let write_type = options.write_type.unwrap_or(self.inner.config.write_type);
        FileWriter::new(self.inner.clone(), status, write_type, options, None)
    }

    /// Makes a symbolic link. It is Alluxio's alone: the UFS never has it, and no call of this client follows
    /// it; a mount (FUSE) shows it to the kernel, which does.
    ///
    /// **Errors**: `AlreadyExists`, `NotFound` (parent), `InvalidArgument` (target), `PermissionDenied`,
    /// `ReadOnly`.
    pub async fn create_symlink(
        &self,
        path: &AlluxioPath,
        target: &str,
    ) -> Result<FileStatus, ClientError> {
        let made = self.inner.master.create_symlink(path, target).await;
        self.inner.forget(path);
        made
    }

    /// Opens a file for reading.
    ///
    /// **Errors**: `NotFound`, `IsADirectory`, `Incomplete`, `PermissionDenied`.
    pub async fn open_file(
        &self,
        path: &AlluxioPath,
        options: &OpenFileOptions,
    ) -> Result<FileReader, ClientError> {
        let status = self.status_for_read(path, options.freshness).await?;
        FileReader::open(self.inner.clone(), status, options)
    }

    /// Opens a file whose status is known, from a listing for example: no call to the master. If
    /// the status has no blocks, their locations are asked for when they are needed.
    pub fn open_status(
        &self,
        status: FileStatus,
        options: &OpenFileOptions,
    ) -> Result<FileReader, ClientError> {
        FileReader::open(self.inner.clone(), Arc::new(status), options)
    }

    async fn status_for_read(
        &self,
        path: &AlluxioPath,
        freshness: Freshness,
    ) -> Result<Arc<FileStatus>, ClientError> {
        let now = self.inner.host.clock.monotonic();
        if let Some(known) = self.inner.meta_cache.as_ref().and_then(|cache| cache.get(path, now)) {
            return Ok(known);
        }
        let freshness = self.inner.freshness(freshness);
        let status = Arc::new(self.inner.master.get_status(path, freshness, false, true).await?);
        if let Some(cache) = &self.inner.meta_cache {
            cache.put(path, &status, now);
        }
        Ok(status)
    }

    /// Removes a file or directory; returns how many inodes went.
    ///
    /// **Errors**: `NotFound`, `NotEmpty`, `PermissionDenied`, `ReadOnly`.
    pub async fn delete(
        &self,
        path: &AlluxioPath,
        options: &DeleteOptions,
    ) -> Result<u64, ClientError> {
        let unchecked = options.unchecked.unwrap_or(self.inner.config.delete_unchecked);
        let deleted = self.inner.master.delete(path, options, unchecked, None).await;
        self.inner.forget(path);
        deleted
    }

    /// Whether there is something at `path`.
    pub async fn exists(
        &self,
        path: &AlluxioPath,
        freshness: Freshness,
    ) -> Result<bool, ClientError> {
        let options = GetStatusOptions { freshness, without_blocks: true };
        match self.get_status(path, &options).await {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.code(), Code::NotFound | Code::NotADirectory) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Drops cached copies; the files stay. Workers carry it out with their next heartbeats.
    ///
    /// **Errors**: `FailedPrecondition` for what is in no UFS, or pinned and not forced.
    pub async fn free(
        &self,
        path: &AlluxioPath,
        options: FreeOptions,
    ) -> Result<Freed, ClientError> {
        let freed = self.inner.master.free(path, options).await;
        self.inner.forget(path);
        freed
    }

    /// What is known of a path. **Errors**: `NotFound`, `PermissionDenied`.
    pub async fn get_status(
        &self,
        path: &AlluxioPath,
        options: &GetStatusOptions,
    ) -> Result<FileStatus, ClientError> {
        let now = self.inner.host.clock.monotonic();
        let cache = self.inner.meta_cache.as_ref().filter(|_| !options.without_blocks);
        if let Some(known) = cache.and_then(|cache| cache.get(path, now)) {
            return Ok((*known).clone());
        }
        let freshness = self.inner.freshness(options.freshness);
        let without_blocks = options.without_blocks;
        let master = &self.inner.master;
        let status = match self.early {
            true => master.get_status_early(path, freshness, without_blocks).await?,
            false => master.get_status(path, freshness, without_blocks, false).await?,
        };
        if let Some(cache) = cache {
            cache.put(path, &Arc::new(status.clone()), now);
        }
        Ok(status)
    }

    /// The same for many paths, in their order, by few calls.
    pub async fn get_statuses(
        &self,
        paths: &[AlluxioPath],
        options: &GetStatusOptions,
    ) -> Result<Vec<Result<FileStatus, ClientError>>, ClientError> {
        let freshness = self.inner.freshness(options.freshness);
        self.inner.master.get_statuses(paths, freshness, options.without_blocks).await
    }

    /// What is in a directory, or the file itself; all at once.
    pub async fn list_status(
        &self,
        path: &AlluxioPath,
        options: &ListStatusOptions,
    ) -> Result<Vec<FileStatus>, ClientError> {
        let freshness = self.inner.freshness(options.freshness);
        self.inner.master.list_all(path, freshness, options).await
    }

    /// What is in a directory, or the file itself; as it arrives.
    pub async fn iterate_status(
        &self,
        path: &AlluxioPath,
        options: &ListStatusOptions,
    ) -> Result<Listing, ClientError> {
        let freshness = self.inner.freshness(options.freshness);
        Listing::begin(self.inner.clone(), path, freshness, options).await
    }

    /// Gives a file or directory another name. The destination must not exist.
    ///
    /// **Errors**: `NotFound`, `AlreadyExists`, `FailedPrecondition` (across mounts, below itself),
    /// `PermissionDenied`, `ReadOnly`.
    pub async fn rename(
        &self,
        source: &AlluxioPath,
        destination: &AlluxioPath,
    ) -> Result<(), ClientError> {
        self.rename_as(source, destination, false).await
    }

    /// The same, and a file or an empty directory at the destination goes in the same change: nobody ever
    /// sees neither of both, or what was there under another name.
    ///
    /// **Errors**: as [`FileSystem::rename`], but `AlreadyExists` only where the UFS has one of both, and
    /// cannot take part in one change; `NotEmpty`, `IsADirectory`, `NotADirectory`.
    pub async fn rename_over(
        &self,
        source: &AlluxioPath,
        destination: &AlluxioPath,
    ) -> Result<(), ClientError> {
        self.rename_as(source, destination, true).await
    }

    /// Gives two files or directories each other's name, in one change.
    ///
    /// **Errors**: `NotFound`; `InvalidArgument` where the UFS has something of one of both, and cannot take
    /// part in one change, or when one is below the other; `PermissionDenied`, `ReadOnly`.
    pub async fn exchange(
        &self,
        one: &AlluxioPath,
        other: &AlluxioPath,
    ) -> Result<(), ClientError> {
        let exchanged = self.inner.master.exchange(one, other).await;
        self.inner.forget(one);
        self.inner.forget(other);
        exchanged
    }

    async fn rename_as(
        &self,
        source: &AlluxioPath,
        destination: &AlluxioPath,
        replace: bool,
    ) -> Result<(), ClientError> {
        let renamed = self.inner.master.rename(source, destination, replace).await;
        self.inner.forget(source);
        self.inner.forget(destination);
        renamed?;
        if self.inner.config.persist_on_rename {
            self.persist(destination).await?;
        }
        Ok(())
    }

    /// Changes attributes; returns how many inodes changed.
    pub async fn set_attribute(
        &self,
        path: &AlluxioPath,
        changes: &SetAttributeOptions,
    ) -> Result<u64, ClientError> {
        let changed = self.inner.master.set_attributes(path, changes).await;
        self.inner.forget(path);
        changed
    }

    /// Compares a path with the UFS and takes over what changed; returns how many inodes did.
    pub async fn load_metadata(
        &self,
        path: &AlluxioPath,
        options: LoadMetadataOptions,
    ) -> Result<u64, ClientError> {
        let changed = self.inner.master.load_metadata(path, options).await;
        self.inner.forget(path);
        changed
    }

    /// Paths at and below `path` that the UFS does not have, or has in another version; the first 10,000
    /// of them, in order. Nothing is changed: [`FileSystem::load_metadata`] takes over what the UFS has.
    pub async fn check_consistency(&self, path: &AlluxioPath) -> Result<Vec<String>, ClientError> {
        self.inner.master.check_consistency(path).await
    }

    /// Fine when the user has all of `access` to `path`. **Errors**: `PermissionDenied`.
    pub async fn check_access(
        &self,
        path: &AlluxioPath,
        access: Access,
    ) -> Result<(), ClientError> {
        self.inner.master.check_access(path, access).await
    }

    /// Where the bytes of a file are.
    pub async fn get_block_locations(
        &self,
        path: &AlluxioPath,
    ) -> Result<Vec<FileBlockLocation>, ClientError> {
        let status = self.get_status(path, &GetStatusOptions::default()).await?;
        let blocks = status.blocks.into_iter();
        Ok(blocks
            .map(|BlockInfo { offset, length, locations, .. }| FileBlockLocation {
                offset,
                length,
                locations,
            })
            .collect())
    }

    /// Where a block is, and the path of its file.
    pub async fn get_block_info(&self, block: BlockId) -> Result<(BlockInfo, String), ClientError> {
        self.inner.master.block_info(block).await
    }

    /// Mounts a UFS. **Errors**: `AlreadyExists`, `InvalidArgument` (URI, options, a prefix of
    /// another mount), `NotFound` (parent, bucket), `PermissionDenied`.
    pub async fn mount(
        &self,
        path: &AlluxioPath,
        ufs_uri: &str,
        options: &MountOptions,
    ) -> Result<(), ClientError> {
        let mounted = self.inner.master.mount(path, ufs_uri, options).await;
        self.inner.forget(path);
        mounted
    }

    /// Changes the options of a mount.
    pub async fn update_mount(
        &self,
        path: &AlluxioPath,
        options: &UpdateMountOptions,
    ) -> Result<(), ClientError> {
        self.inner.master.update_mount(path, options).await
    }

    /// Takes a mount away, with its metadata and cached copies; the UFS keeps everything.
    pub async fn unmount(&self, path: &AlluxioPath) -> Result<(), ClientError> {
        let unmounted = self.inner.master.unmount(path).await;
        self.inner.forget(path);
        unmounted
    }

    /// The mount table; `with_usage` also asks each store for its capacity, which may take time.
    pub async fn get_mount_table(&self, with_usage: bool) -> Result<Vec<MountPoint>, ClientError> {
        self.inner.master.mount_table(with_usage).await
    }

    /// Workers that the master knows.
    pub async fn workers(&self, include_lost: bool) -> Result<Vec<WorkerInfo>, ClientError> {
        self.inner.master.workers(include_lost).await
    }

    /// Room on all live workers together.
    pub async fn capacity(&self) -> Result<Capacity, ClientError> {
        let mut sum = Capacity::default();
        for worker in self.workers(false).await? {
            sum.capacity_bytes += worker.capacity_bytes();
            sum.used_bytes += worker.used_bytes();
            for tier in worker.tiers {
                match sum.tiers.iter_mut().find(|known| known.alias == tier.alias) {
                    Some(known) => {
                        known.capacity_bytes += tier.capacity_bytes;
                        known.used_bytes += tier.used_bytes;
                    }
                    None => sum.tiers.push(tier),
                }
            }
        }
        Ok(sum)
    }

    /// Where the file or directory with that id is now. **Errors**: `NotFound`.
    pub async fn path_of(&self, id: InodeId) -> Result<AlluxioPath, ClientError> {
        self.inner.master.path_of(id).await
    }

    /// What the primary master says of itself.
    pub async fn master_info(&self) -> Result<MasterInfo, ClientError> {
        self.inner.master.master_info().await
    }

    /// Begins a backup of the namespace and returns at once; [`FileSystem::backup_status`] tells how it
    /// goes on.
    pub async fn backup(&self, place: &BackupPlace) -> Result<BackupStatus, ClientError> {
        self.inner.master.backup(place).await
    }

    /// How far a backup is; without an id (empty), the newest one that the master knows of.
    pub async fn backup_status(&self, id: &str) -> Result<BackupStatus, ClientError> {
        self.inner.master.backup_status(id).await
    }

    /// Makes the primary master write a checkpoint; returns its last entry and the master's host.
    pub async fn checkpoint(&self) -> Result<(u64, String), ClientError> {
        self.inner.master.checkpoint().await
    }

    /// What every master says of itself, of the others and of etcd: asked one by one, whether there is a
    /// primary or not. In the order of the configuration, then those that were only heard of.
    pub async fn quorum(&self) -> Vec<MasterAnswer> {
        let master = &self.inner.master;
        let mut asked: Vec<HostPort> = master.primary().addresses().to_vec();
        let mut answers = ask_all(master, &asked).await;
        let heard_of = |answer: &MasterAnswer| -> Vec<String> {
            let Ok(view) = &answer.view else { return Vec::new() };
            let masters = view.states.iter().map(|state| state.address.to_string());
            std::iter::once(view.leader.clone()).chain(masters).collect()
        };
        let more: Vec<String> = answers.iter().flat_map(heard_of).collect();
        // A master may be configured under another name than its own.
        let known: Vec<String> = answers
            .iter()
            .filter_map(|answer| answer.view.as_ref().ok()?.itself.as_ref())
            .map(|itself| itself.address.to_string())
            .collect();
        let mut unknown = Vec::new();
        for address in more.iter().filter_map(|text| HostPort::parse(text).ok()) {
            if !asked.contains(&address) && !known.contains(&address.to_string()) {
                asked.push(address.clone());
                unknown.push(address);
            }
        }
        answers.extend(ask_all(master, &unknown).await);
        answers
    }

    /// Lets the primary hand its office to a standby, named by `host:port` or by its id.
    ///
    /// **Errors**: `NotFound` with the standbys that there are.
    pub async fn transfer(&self, master: &str) -> Result<(), ClientError> {
        self.inner.master.transfer(master).await
    }

    /// What the primary master counts.
    pub async fn metrics(&self) -> Result<Vec<MetricValue>, ClientError> {
        self.inner.master.metrics().await
    }

    /// The configuration of the primary master.
    pub async fn configuration(&self) -> Result<Vec<ConfigProperty>, ClientError> {
        self.inner.master.configuration().await
    }
}

/// etcd, which tells where the primary is.
fn directory(config: &EtcdConfig) -> Result<Arc<dyn Directory>, ClientError> {
    let etcd = alluxio_rpc::etcd::connect(config)
        .map_err(|error| RpcError::BadDirectory { code: error.code(), why: error.to_string() })?;
    Ok(Arc::new(EtcdDirectory::new(etcd)))
}

/// How long one master may take to say how the quorum is: it asks etcd meanwhile.
const QUORUM_LIMIT: Duration = Duration::from_secs(4);

async fn ask_all(master: &Master, addresses: &[HostPort]) -> Vec<MasterAnswer> {
    let ask = |address: &HostPort| {
        let address = address.clone();
        async move {
            let view = master.quorum(&address, QUORUM_LIMIT).await;
            MasterAnswer { address: address.to_string(), view }
        }
    };
    futures::future::join_all(addresses.iter().map(ask)).await
}
