//! From parts to a serving driver, and back to nothing.

use crate::controller::{Controller, ControllerParts, ControllerService};
use crate::identity::IdentityService;
use crate::metrics::CsiMetrics;
use crate::node::{Node, NodeParts, NodeService};
use crate::places::Places;
use crate::proto::csi::controller_server::ControllerServer;
use crate::proto::csi::identity_server::IdentityServer;
use crate::proto::csi::node_server::NodeServer;
use crate::proto::registration::registration_server::RegistrationServer;
use crate::registration::{REGISTERED, RegistrationService};
use crate::{CsiError, DRIVER, socket, watch};
use alluxio_config::CsiConfig;
use alluxio_host::Host;
use alluxio_telemetry::{AdminError, AdminHandle, AdminServer, LogControl, Metrics, Readiness};
use alluxio_types::{Code, Coded};
use axum::Router;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tonic::service::Routes;

/// Readiness: calls are answered.
const SERVES: &str = "serves";

/// Which services run in this process, and what they are made of.
#[derive(Default)]
pub struct Services {
    /// The node service.
    pub node: Option<NodeParts>,
    /// The controller service.
    pub controller: Option<ControllerParts>,
}

/// What the driver is made of.
pub struct Deps {
    /// The machine.
    pub host: Host,
    /// Its section of the configuration.
    pub config: CsiConfig,
    /// Where metrics are registered; of role `csi`.
    pub metrics: Metrics,
    /// The log that `/log-level` controls.
    pub log: LogControl,
    /// Version of the binary, told to Kubernetes.
    pub version: String,
    /// What runs.
    pub services: Services,
}

/// Why the driver does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A socket, a folder or a setting.
    #[error(transparent)]
    Csi(#[from] CsiError),
    /// Metrics and health cannot be shown.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// A metric was registered twice.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

impl Coded for StartError {
    fn code(&self) -> Code {
        match self {
            StartError::Csi(error) => error.code(),
            StartError::Admin(error) => error.code(),
            StartError::Metrics(_) => Code::Internal,
        }
    }
}

/// A running driver. Dropping it ends its tasks without waiting for anybody; use [`Handle::stop`].
pub struct Handle {
    endpoint: PathBuf,
    web: AdminHandle,
    sockets: Vec<PathBuf>,
    stopping: CancellationToken,
    tasks: TaskTracker,
    /// Ends the tasks when the handle is dropped.
    _ending: DropGuard,
}

/// Listens and serves. Nobody else is asked: neither Kubernetes nor a master nor the agent.
///
/// **Errors**: see [`StartError`]; nothing is left running.
pub async fn start(deps: Deps) -> Result<Handle, StartError> {
    let Deps { host, config, metrics, log, version, services } = deps;
    let csi_metrics = CsiMetrics::register(&metrics)?;
    let registers = config.registration_dir.filter(|_| services.node.is_some());
    let readiness = match registers {
        Some(_) => Readiness::waiting_for(&[SERVES, REGISTERED]),
        None => Readiness::waiting_for(&[SERVES]),
    };
    let endpoint = socket::path_of(&config.endpoint)?;
    let identity = IdentityService {
        version,
        metrics: csi_metrics.clone(),
        controller: services.controller.is_some(),
        mounter: services.node.as_ref().map(|parts| parts.mounter.clone()),
    };
    let mut routes = Routes::new(IdentityServer::new(identity));
    let (stopping, tasks) = (CancellationToken::new(), TaskTracker::new());
    if let Some(parts) = services.controller {
        let controller = Arc::new(Controller::new(parts, csi_metrics.clone()));
        routes = routes.add_service(ControllerServer::new(ControllerService { controller }));
    }
    let mut watched = None;
    if let Some(parts) = services.node {
        let places = Places::open(host.clone(), config.state_dir).await?;
        let node = Arc::new(Node::new(parts, places, csi_metrics));
        routes = routes.add_service(NodeServer::new(NodeService { node: node.clone() }));
        watched = Some(node);
    }
    let listener = socket::listen(&endpoint).await?;
    let mut sockets = vec![endpoint.clone()];
    let admin = AdminServer { metrics, readiness: readiness.clone(), log };
    let (web_host, web_port) = (&config.web_bind_host, config.web_port);
    let web = admin.start(&host.net, web_host, web_port, Router::new()).await?;
    serve("the CSI", &tasks, &stopping, listener, routes);
    if let Some(node) = watched {
        let stop = stopping.clone();
        tasks.spawn(async move { stop.run_until_cancelled(watch::watch(node)).await });
    }
    // Last: as soon as the socket is there, the kubelet asks.
    if let Some(dir) = registers {
        let service =
            RegistrationService { endpoint: config.kubelet_endpoint, readiness: readiness.clone() };
        let path = register_at(&dir);
        let listener = socket::listen(&path).await?;
        sockets.push(path);
        let routes = Routes::new(RegistrationServer::new(service));
        serve("the registration", &tasks, &stopping, listener, routes);
    }
    readiness.ready(SERVES);
    tracing::info!(endpoint = %endpoint.display(), "the CSI driver serves");
    let _ending = stopping.clone().drop_guard();
    Ok(Handle { endpoint, web, sockets, stopping, tasks, _ending })
}

fn register_at(dir: &Path) -> PathBuf {
    dir.join(format!("{DRIVER}-reg.sock"))
}

fn serve(
    what: &'static str,
    tasks: &TaskTracker,
    stopping: &CancellationToken,
    listener: tokio::net::UnixListener,
    routes: Routes,
) {
    let stop = stopping.clone().cancelled_owned();
    tasks.spawn(async move {
        if let Err(error) = socket::serve(listener, routes, stop).await {
            tracing::error!(%error, what, "a server ended");
        }
    });
}

impl Handle {
    /// The socket of the CSI.
    pub fn endpoint(&self) -> &Path {
        &self.endpoint
    }

    /// Where metrics and health are shown.
    pub fn web_address(&self) -> SocketAddr {
        self.web.address()
    }

    /// Takes no new call, lets those that are under way end, but not longer than `patience`. Mounts stay.
    pub async fn stop(self, patience: Duration) {
        // First: a kubelet that finds no socket knows that the driver is away.
        for path in &self.sockets {
            // Somebody else may have removed it.
            let _ = std::fs::remove_file(path);
        }
        self.stopping.cancel();
        self.tasks.close();
        if tokio::time::timeout(patience, self.tasks.wait()).await.is_err() {
            tracing::warn!("calls that did not end in time are left behind");
        }
        self.web.stop().await;
    }
}
