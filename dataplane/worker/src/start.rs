//! From configuration to a serving worker, and back to nothing.

use crate::core::Core;
use crate::error::{StartError, Stopped};
use crate::fetch::Fetcher;
use crate::kept::KeptFiles;
use crate::metrics::WorkerMetrics;
use crate::mounts::Mounts;
use crate::pins::Pins;
use crate::serve::Service;
use crate::serve::admin::WorkerService;
use crate::tokens::Tokens;
use crate::{master_link, memory_tier, scrub, settings, upkeep};
use alluxio_blockstore::BlockStore;
use alluxio_config::WorkerConfig;
use alluxio_datapath::ClusterName;
use alluxio_datapath::client::{ClientOptions, DataClient};
use alluxio_datapath::server::{DataServer, Listeners, ServerIdentity, bind_unix};
use alluxio_host::Host;
use alluxio_proto::v1::worker::worker_server::WorkerServer;
use alluxio_rpc::{Caller, MESSAGE_BYTES_MAX, Primary, RpcServer, ServerMetrics, auth, serve};
use alluxio_telemetry::{AdminHandle, AdminServer, LogControl, Metrics, Readiness};
use alluxio_types::{WorkerAddress, WorkerId};
use alluxio_ufs::UnderFsRegistry;
use axum::Router;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Notify, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tonic::service::{Routes, interceptor::InterceptedService};

/// Readiness: the storage is open and requests are answered.
const SERVES: &str = "serves";
/// Readiness: a master has taken this worker in.
pub(crate) const REGISTERED: &str = "registered";
/// The longest path of a Unix socket: `sun_path` holds 108 bytes with the final NUL.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// What a worker is made of.
pub struct Deps {
    /// The machine.
    pub host: Host,
    /// Its section of the configuration.
    pub config: WorkerConfig,
    /// Where metrics are registered; of role `worker`.
    pub metrics: Metrics,
    /// The log that `/log-level` controls.
    pub log: LogControl,
    /// Opens under stores.
    pub ufs: UnderFsRegistry,
    /// Version of the binary, told to the master.
    pub version: String,
}

/// A running worker. Dropping it ends its tasks without waiting for anybody; use
/// [`Handle::stop`].
pub struct Handle {
    core: Arc<Core>,
    readiness: Readiness,
    data: DataServer,
    rpc: RpcServer,
    web: AdminHandle,
    socket: PathBuf,
    stopped: watch::Receiver<Option<Stopped>>,
    /// Ends the tasks when the handle is dropped.
    _ending: DropGuard,
}

/// Opens the storage, listens, and begins to look for a master. Returns as soon as requests are
/// answered; [`Handle::ready`] tells when a master knows the worker.
///
/// **Errors**: see [`StartError`]; nothing is left running.
pub async fn start(deps: Deps) -> Result<Handle, StartError> {
    let (host, config) = (deps.host.clone(), deps.config.clone());
    let server_metrics = ServerMetrics::register("worker", deps.metrics.registry())?;
    let store = open_store(&host, &config).await?;
    let worker = store.identity().worker;

    let readiness = Readiness::waiting_for(&[SERVES, REGISTERED]);
    let rpc = host.net.listen(&config.bind_host, config.rpc_port).await;
    let rpc = rpc.map_err(cannot_listen("RPC", &config.bind_host, config.rpc_port))?;
    let tcp = listen("the data protocol", &config.bind_host, config.data_port).await?;
    let (unix, socket) = listen_unix(&config, worker)?;
    let metrics = deps.metrics.clone();
    let admin = AdminServer { metrics, readiness: readiness.clone(), log: deps.log.clone() };
    let (web_host, web_port) = (&config.web_bind_host, config.web_port);
    let web = admin.start(&host.net, web_host, web_port, Router::new()).await?;
    let address = WorkerAddress {
        host: config.hostname.clone(),
        rpc_port: rpc.address().port(),
        data_port: port(&tcp)?,
        web_port: web.address().port(),
        domain_socket_path: socket.display().to_string(),
    };

    let (core, master) = assemble(deps, store, address)?;
    let data = DataServer::start(
        Arc::new(Service { core: core.clone() }),
        ServerIdentity { cluster: core.cluster.clone(), worker },
        Listeners { tcp: Some(tcp), unix: Some(unix) },
        settings::server_options(&core.config),
    );
    core.metrics.watch_server(data.counters());
    let service = WorkerServer::new(WorkerService { core: core.clone() })
        .max_decoding_message_size(MESSAGE_BYTES_MAX);
    let routes = Routes::new(InterceptedService::new(service, auth::identify));
    let rpc = serve(rpc, routes, server_metrics);
    readiness.ready(SERVES);
    let stopped = start_tasks(&core, master, &readiness);
    tracing::info!(worker = worker.0, address = ?core.address, "worker serves");
    let _ending = core.stopping.clone().drop_guard();
    Ok(Handle { core, readiness, data, rpc, web, socket, stopped, _ending })
}

/// What the worker's parts share, and the way to the master.
pub(crate) fn assemble(
    deps: Deps,
    store: BlockStore,
    address: WorkerAddress,
) -> Result<(Arc<Core>, Arc<Primary>), StartError> {
    let Deps { host, config, metrics, log: _, ufs, version } = deps;
    let worker_metrics = WorkerMetrics::register(&metrics)?;
    let (caller, master) = master(&config, &host)?;
    let cluster = ClusterName::from(store.identity().cluster.unwrap_or_default());
    let core = Arc::new(Core {
        started: host.clock.now(),
        mounts: Mounts::new(ufs, master.clone()),
        pins: Pins::default(),
        kept: KeptFiles::default(),
        tokens: config.security.block_tokens.map(|_| Tokens::new(master.clone())),
        fetcher: Fetcher::new(config.async_cache_concurrency, config.async_cache_queue),
        peers: DataClient::new(ClientOptions {
            cluster: cluster.clone(),
            user: caller.name().to_owned(),
            ..ClientOptions::default()
        }),
        cluster,
        metrics: worker_metrics,
        news: Notify::new(),
        registered: AtomicBool::new(false),
        writers: AtomicUsize::new(0),
        tasks: TaskTracker::new(),
        stopping: CancellationToken::new(),
        host,
        config,
        version,
        address,
        store,
    });
    Ok((core, master))
}

/// The way to the master, and as whom it is gone.
fn master(config: &WorkerConfig, host: &Host) -> Result<(Caller, Arc<Primary>), StartError> {
    let user = config.security.login_user.clone();
    let caller = Caller::new(&user).ok_or(StartError::BadUser { user })?;
    let (masters, retry) = (settings::masters(config), settings::retry_policy(config));
    let directory = match &config.etcd {
        Some(etcd) => Some(settings::directory(etcd)?),
        None => None,
    };
    let master = match directory {
        None => Primary::new(masters, caller.clone(), retry, host.clone())?,
        some => Primary::with_directory(masters, some, caller.clone(), retry, host.clone()),
    };
    Ok((caller, Arc::new(master)))
}

pub(crate) async fn open_store(
    host: &Host,
    config: &WorkerConfig,
) -> Result<BlockStore, StartError> {
    memory_tier::look(&*host.disk, config);
    let (disk, entropy) = (host.disk.clone(), host.entropy.clone());
    let layout = settings::store_config(config);
    let started = host.clock.monotonic();
    let opened = host.blocking(move || BlockStore::open(layout, disk, &*entropy));
    let (store, found) = opened.await.map_err(|_| StartError::Ending)??;
    let took = host.clock.monotonic().saturating_sub(started);
    tracing::info!(
        worker = store.identity().worker.0,
        blocks = found.adopted_blocks,
        bytes = found.adopted_bytes,
        damaged = found.damaged_blocks,
        surplus = found.surplus_blocks,
        temp = found.temp_files,
        foreign = found.foreign_files,
        ms = took.as_millis() as u64,
        "storage is open"
    );
    if !config.evict_unpersisted {
        // Until the master says which of them are in the UFS.
        let blocks = store.blocks().flatten();
        store.keep(blocks.map(|(block, _)| block.inode()).collect::<Vec<_>>());
    }
    Ok(store)
}

/// Starts the tasks that run as long as the worker. The first of them that cannot go on says why.
pub(crate) fn start_tasks(
    core: &Arc<Core>,
    master: Arc<Primary>,
    readiness: &Readiness,
) -> watch::Receiver<Option<Stopped>> {
    let (ended, stopped) = watch::channel(None);
    let ended = Arc::new(ended);
    let end = |ended: Arc<watch::Sender<Option<Stopped>>>, readiness: Readiness| {
        move |why: Stopped| {
            tracing::error!(%why, "the worker cannot go on");
            readiness.broken(why.to_string());
            ended.send_if_modified(|first| {
                let is_first = first.is_none();
                first.get_or_insert(why);
                is_first
            });
        }
    };
    let link_ended = end(ended.clone(), readiness.clone());
    let upkeep_ended = end(ended, readiness.clone());
    let (link, keep) = (core.clone(), core.clone());
    // Once held, it stays: a worker serves what it has while no master answers.
    let joined = readiness.clone();
    let registered = move || joined.ready(REGISTERED);
    core.spawn(async move { link_ended(master_link::run(link, master, registered).await) });
    core.spawn(async move { upkeep_ended(upkeep::run(keep).await) });
    if core.config.scrub_bytes_per_second > 0 {
        core.spawn(scrub::run(core.clone(), core.config.scrub_bytes_per_second));
    }
    stopped
}

async fn listen(what: &'static str, host: &str, port: u16) -> Result<TcpListener, StartError> {
    TcpListener::bind((host, port)).await.map_err(cannot_listen(what, host, port))
}

fn cannot_listen(
    what: &'static str,
    host: &str,
    port: u16,
) -> impl FnOnce(std::io::Error) -> StartError {
    let address = format!("{host}:{port}");
    move |source| StartError::Listen { what, address, source }
}

fn port(listener: &TcpListener) -> Result<u16, StartError> {
    let address = listener.local_addr().map_err(|source| StartError::Listen {
        what: "RPC",
        address: String::new(),
        source,
    })?;
    Ok(address.port())
}

fn listen_unix(
    config: &WorkerConfig,
    worker: WorkerId,
) -> Result<(UnixListener, PathBuf), StartError> {
    let mut last = None;
    for path in settings::socket_paths(config, worker) {
        match bind_at(&path) {
            Ok(listener) => return Ok((listener, path)),
            Err(error) => {
                tracing::debug!(path = %path.display(), %error, "no socket here");
                last = Some(error);
            }
        }
    }
    Err(last.expect("there is always a path to try"))
}

fn bind_at(path: &Path) -> Result<UnixListener, StartError> {
    if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        return Err(StartError::SocketPathTooLong { path: path.to_owned() });
    }
    let failed = |source| StartError::Listen {
        what: "the local data protocol",
        address: path.display().to_string(),
        source,
    };
    if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
        std::fs::create_dir_all(parent).map_err(failed)?;
        // Clients run as other users, and in other containers; whatever our umask is, they may come in.
        std::fs::set_permissions(parent, std::fs::Permissions::from_mode(0o755)).map_err(failed)?;
    }
    bind_unix(path).map_err(failed)
}

impl Handle {
    /// How others reach it, with the ports it really has.
    pub fn address(&self) -> &WorkerAddress {
        &self.core.address
    }

    /// Where metrics and health are.
    pub fn web_address(&self) -> SocketAddr {
        self.web.address()
    }

    /// Its id.
    pub fn worker_id(&self) -> WorkerId {
        self.core.store.identity().worker
    }

    /// Returns when a master has taken the worker in.
    ///
    /// **Errors**: why it ended before that.
    ///
    /// **Cancel safety**: yes.
    pub async fn ready(&self) -> Result<(), Stopped> {
        let mut stopped = self.stopped.clone();
        tokio::select! {
            biased;
            why = ended(&mut stopped) => Err(why),
            () = self.readiness.wait() => Ok(()),
        }
    }

    /// Returns when the worker cannot go on by itself, and why. [`Handle::stop`] is still due.
    ///
    /// **Cancel safety**: yes.
    pub async fn wait(&self) -> Stopped {
        ended(&mut self.stopped.clone()).await
    }

    /// Takes no new requests, lets those under way finish until `deadline` has passed, and ends.
    pub async fn stop(self, deadline: Duration) {
        let Handle { core, data, rpc, web, socket, .. } = self;
        tokio::join!(data.stop(deadline), rpc.stop(tokio::time::sleep(deadline)));
        core.stopping.cancel();
        core.tasks.close();
        // Moves between tiers run to their end, the rest was dropped at its next await.
        if tokio::time::timeout(deadline, core.tasks.wait()).await.is_err() {
            tracing::warn!("tasks of the worker outlived the time for an orderly stop");
        }
        web.stop().await;
        remove_socket(&socket);
    }
}

pub(crate) async fn ended(stopped: &mut watch::Receiver<Option<Stopped>>) -> Stopped {
    let why = match stopped.wait_for(Option::is_some).await {
        Ok(why) => (*why).clone(),
        Err(_) => None,
    };
    match why {
        Some(why) => why,
        // The tasks were dropped by `stop`: there is nothing left to wait for.
        None => std::future::pending().await,
    }
}

fn remove_socket(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::debug!(path = %path.display(), %error, "the socket was gone already");
    }
}
