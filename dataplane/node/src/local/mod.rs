//! A whole cluster in this process: real roles, real protocols, on addresses of this machine only.
//!
//! ```text
//! DIR/conf/alluxio-site.properties   how to reach the cluster; kept and updated by every start
//! DIR/journal                        the master's
//! DIR/underFSStorage                 the root under store, unless another one is given
//! DIR/worker-N                       the tier of worker N
//! DIR/logs
//! ```

mod layout;

pub use layout::Layout;

use crate::error::at;
use crate::format::format_master_if_new;
use crate::process::Invocation;
use crate::{NodeError, Process, signals, start_master, start_worker};
use alluxio_config::{Config, Roles};
use alluxio_telemetry::LogTarget;
use alluxio_types::WorkerAddress;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Which ports a local cluster takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ports {
    /// The configured ones: 19998 and so on; workers after the first take free ones.
    #[default]
    Configured,
    /// Those of the last start in the same folder where they are free, and free ones otherwise.
    Auto,
}

/// What a local cluster is.
#[derive(Debug, Clone)]
pub struct LocalOptions {
    /// Its folder; made when missing.
    pub dir: PathBuf,
    /// Its ports.
    pub ports: Ports,
    /// Number of workers.
    pub workers: u16,
    /// Root under store, counts for a new folder; `None` is a folder in `dir`.
    pub ufs: Option<String>,
}

/// A running local cluster.
pub struct LocalCluster {
    layout: Layout,
    process: Process,
    master: alluxio_master::Handle,
    workers: Vec<alluxio_worker::Handle>,
}

/// The configuration of a local cluster before its ports are known.
///
/// **Errors**: `Config`, `Io`.
pub fn configure(invocation: &Invocation, options: &LocalOptions) -> Result<Config, NodeError> {
    let layout = Layout::create(&options.dir)?;
    let sources = invocation.sources(Roles::ALL).with_site_file(layout.site_file_or_none());
    let config = Config::load(sources)?;
    let runtime = layout.settings(&config, options);
    Ok(config.with(runtime)?)
}

/// Starts a cluster; it serves when this returns. The journal is formatted if it never was.
///
/// **Errors**: as [`start_master`] and [`start_worker`]; `Io`.
pub async fn start(process: &Process, options: &LocalOptions) -> Result<LocalCluster, NodeError> {
    let layout = Layout::create(&options.dir)?;
    let formatter = process.clone();
    tokio::task::spawn_blocking(move || format_master_if_new(&formatter)).await??;
    let master = start_master(process).await?;
    let process = process.with(layout::master_ports(&master))?;
    let mut workers = Vec::new();
    for number in 1..=options.workers {
        let settings = layout.worker_settings(&process.config, number, options)?;
        workers.push(start_worker(&process.with(settings)?).await?);
    }
    let shown = match &workers[..] {
        // With one worker, the file describes it too: `alluxio formatWorker` finds its tier.
        [worker] => {
            let settings = layout.worker_settings(&process.config, 1, options)?;
            process.with(settings)?.with(layout::worker_ports(worker.address()))?
        }
        _ => process.clone(),
    };
    for worker in &workers {
        worker.ready().await.map_err(|reason| NodeError::WorkerStopped { reason })?;
    }
    layout.write_site_file(&shown.config)?;
    Ok(LocalCluster { layout, process, master, workers })
}

impl LocalCluster {
    /// The configuration that reaches it.
    pub fn config(&self) -> &Config {
        &self.process.config
    }

    /// What `ALLUXIO_CONF_DIR` has to be.
    pub fn conf_dir(&self) -> PathBuf {
        self.layout.conf_dir()
    }

    /// The master's gRPC and web addresses.
    pub fn master_addresses(&self) -> (SocketAddr, SocketAddr) {
        (self.master.rpc_address(), self.master.web_address())
    }

    /// Where the workers are.
    pub fn workers(&self) -> impl Iterator<Item = &WorkerAddress> {
        self.workers.iter().map(alluxio_worker::Handle::address)
    }

    /// Ends when the cluster cannot go on, with the reason.
    ///
    /// **Cancel safety**: yes.
    pub async fn failed(&self) -> NodeError {
        let workers = self.workers.iter().map(|worker| Box::pin(worker.wait()));
        // Without a worker there is none to wait for.
        let worker = async {
            match self.workers.is_empty() {
                true => std::future::pending().await,
                false => futures::future::select_all(workers).await.0,
            }
        };
        tokio::select! {
            biased;
            reason = self.master.failed() => NodeError::JournalFailed { reason },
            reason = worker => NodeError::WorkerStopped { reason },
        }
    }

    /// Stops all roles, workers first: what they tell the master last is still heard.
    pub async fn stop(self, patience: Duration) {
        for worker in self.workers {
            worker.stop(patience).await;
        }
        self.master.stop(patience).await;
    }

    /// What a person needs to know, several lines; the first one is `ready`.
    pub fn announcement(&self) -> String {
        use std::fmt::Write;
        let (rpc, web) = self.master_addresses();
        let mut text = format!("ready\n  master    {rpc}, web http://{web}\n");
        for (index, worker) in self.workers().enumerate() {
            let WorkerAddress { host, rpc_port, data_port, web_port, .. } = worker;
            let number = index + 1;
            // Writing into a String cannot fail.
            let _ = writeln!(
                text,
                "  worker {number}  {host}:{rpc_port}, data {host}:{data_port}, web http://{host}:{web_port}"
            );
        }
        let conf = self.conf_dir();
        let _ = writeln!(text, "  try       ALLUXIO_CONF_DIR={} alluxio fs ls /", conf.display());
        text
    }
}

/// `alluxio local start`: runs a cluster until it is told to stop. `announce` gets
/// [`LocalCluster::announcement`].
///
/// **Errors**: as [`start`]; `JournalFailed`.
pub async fn run(
    invocation: &Invocation,
    options: &LocalOptions,
    announce: impl FnOnce(&str) + Send,
) -> Result<(), NodeError> {
    let config = configure(invocation, options)?;
    let process = Process::set_up(invocation, config, LogTarget::Terminal)?;
    let patience = process.general()?.shutdown_timeout;
    let stop = signals::stop_requested()?;
    let cluster = start(&process, options).await?;
    announce(&cluster.announcement());
    let outcome = tokio::select! {
        biased;
        error = cluster.failed() => Err(error),
        signal = stop => {
            tracing::info!(signal, "cluster stops");
            Ok(())
        }
    };
    cluster.stop(patience).await;
    outcome
}

/// The folder of a local cluster when none is given: `~/.alluxio/local`.
///
/// **Errors**: `Io` when there is no home folder.
pub fn default_dir(invocation: &Invocation) -> Result<PathBuf, NodeError> {
    match invocation.environment.get("HOME") {
        Some(home) if !home.is_empty() => Ok(PathBuf::from(home).join(".alluxio/local")),
        _ => Err(at("find", "$HOME")(std::io::ErrorKind::NotFound.into())),
    }
}
