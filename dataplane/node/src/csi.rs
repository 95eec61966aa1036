//! The CSI driver wired to this machine: the FUSE agent behind its socket, the namespace through a client.

use crate::process::Invocation;
use crate::{NodeError, Process, VERSION, signals};
use alluxio_client::FileSystem;
use alluxio_config::CsiConfig;
use alluxio_csi::controller::ControllerParts;
use alluxio_csi::mounter::AgentMounter;
use alluxio_csi::node::{CheckOptions, NodeParts};
use alluxio_csi::paths::PathRunner;
use alluxio_csi::registry::NamespaceRegistry;
use alluxio_csi::{Deps, Services};
use alluxio_fuse::keeper;
use alluxio_fuse::options::MountOptions;
use alluxio_telemetry::Metrics;
use alluxio_types::AlluxioPath;
use std::sync::Arc;

/// Which services of the driver run in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CsiServices {
    /// Those of a node.
    Node,
    /// That of the cluster.
    Controller,
    /// Both, for a cluster of one node.
    All,
}

/// Variable with the socket, as Kubernetes' own drivers have it.
const ENDPOINT_VARIABLE: &str = "CSI_ENDPOINT";

/// Runs the driver until it is told to stop. Its mounts stay.
///
/// **Errors**: `Config`, `Csi`.
pub async fn run(
    process: &Process,
    invocation: &Invocation,
    which: CsiServices,
    endpoint: Option<String>,
) -> Result<(), NodeError> {
    let mut config = process.config.csi()?;
    let told = endpoint.or_else(|| invocation.environment.get(ENDPOINT_VARIABLE).cloned());
    if let Some(endpoint) = told.filter(|text| !text.is_empty()) {
        config.endpoint = endpoint;
    }
    let patience = process.general()?.shutdown_timeout;
    let stop = signals::stop_requested()?;
    let services = services(process, which, &config)?;
    if which != CsiServices::Controller {
        keep(&config)?;
    }
    let deps = Deps {
        host: process.host.clone(),
        config,
        metrics: Metrics::new("csi"),
        log: process.log.clone(),
        version: VERSION.to_owned(),
        services,
    };
    let driver = alluxio_csi::start(deps).await?;
    let endpoint = driver.endpoint().display();
    tracing::info!(%endpoint, web = %driver.web_address(), "csi is ready");
    let signal = stop.await;
    tracing::info!(signal, "the CSI driver stops");
    driver.stop(patience).await;
    Ok(())
}

/// This process holds the agent's mounts, too, in its memory: one holder more that has to die before a mount does.
fn keep(config: &CsiConfig) -> Result<(), NodeError> {
    let Some(socket) = &config.keeper_socket else { return Ok(()) };
    let running =
        keeper::Server::bind(socket)?.with_alone_limit(config.keeper_alone_timeout).spawn();
    // It ends with the process.
    running.map(drop).map_err(crate::error::at("keep mounts at", socket))
}

fn services(
    process: &Process,
    which: CsiServices,
    config: &CsiConfig,
) -> Result<Services, NodeError> {
    let mut services = Services::default();
    if which != CsiServices::Controller {
        services.node = Some(node(process, config)?);
    }
    if which != CsiServices::Node {
        let client = FileSystem::connect(process.config.client()?, process.host.clone())?;
        services.controller = Some(ControllerParts {
            cluster: config.cluster_name.clone(),
            registry: Arc::new(NamespaceRegistry::new(client)),
            check_options: check_options(),
        });
    }
    Ok(services)
}

fn node(process: &Process, config: &CsiConfig) -> Result<NodeParts, NodeError> {
    let socket = process.config.fuse()?.agent_socket.ok_or_else(|| NodeError::Usage {
        message: "alluxio csi needs the agent that mounts: set alluxio.fuse.agent.socket".into(),
    })?;
    let program = std::env::current_exe().map_err(crate::error::at("find", "this program"))?;
    let ephemeral = match &config.ephemeral_path {
        Some(path) => Some(AlluxioPath::parse(path).map_err(|why| NodeError::Usage {
            message: format!("alluxio.csi.ephemeral.path={path}: {why}"),
        })?),
        None => None,
    };
    Ok(NodeParts {
        node_id: config.node_id.clone(),
        cluster: config.cluster_name.clone(),
        mounter: Arc::new(AgentMounter::new(&socket)),
        paths: PathRunner::new(program, vec!["csi".into(), crate::command::PATH_WORK.into()]),
        check_options: check_options(),
        sockets: config.worker_sockets.clone(),
        ephemeral,
    })
}

/// The options that the agent takes, read by what the agent reads them with.
fn check_options() -> CheckOptions {
    Arc::new(|words| MountOptions::default().take(words).map_err(|error| error.to_string()))
}
