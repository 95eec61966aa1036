//! What the parts of a worker share.

use crate::error::WorkerError;
use crate::fetch::Fetcher;
use crate::kept::KeptFiles;
use crate::metrics::WorkerMetrics;
use crate::mounts::Mounts;
use crate::pins::Pins;
use crate::tokens::Tokens;
use alluxio_blockstore::BlockStore;
use alluxio_config::WorkerConfig;
use alluxio_datapath::ClusterName;
use alluxio_datapath::client::DataClient;
use alluxio_host::Host;
use alluxio_types::{UnixMillis, WorkerAddress};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// One worker.
pub(crate) struct Core {
    pub(crate) host: Host,
    pub(crate) config: WorkerConfig,
    pub(crate) version: String,
    pub(crate) started: UnixMillis,
    pub(crate) address: WorkerAddress,
    pub(crate) store: BlockStore,
    pub(crate) mounts: Mounts,
    pub(crate) pins: Pins,
    pub(crate) kept: KeptFiles,
    pub(crate) fetcher: Fetcher,
    /// Checks block tokens; `None` when everybody is served.
    pub(crate) tokens: Option<Tokens>,
    /// Connections to other workers' data ports.
    pub(crate) peers: DataClient,
    /// Checked between both ends of every data connection: blocks of two clusters have ids of the
    /// same kind.
    pub(crate) cluster: ClusterName,
    pub(crate) metrics: WorkerMetrics,
    /// Something changed that the master should hear of soon.
    pub(crate) news: Notify,
    pub(crate) registered: AtomicBool,
    /// Blocks that clients are writing now.
    pub(crate) writers: AtomicUsize,
    pub(crate) tasks: TaskTracker,
    pub(crate) stopping: CancellationToken,
}

impl Core {
    /// Starts a task that ends with the worker: it is dropped at its next await when the worker
    /// stops, and waited for.
    pub(crate) fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.stopping.clone();
        self.tasks.spawn(async move {
            stopping.run_until_cancelled_owned(task).await;
        });
    }
}

/// Runs `work` on a thread that may block.
///
/// **Cancel safety**: the work goes on when the future is dropped; what it returns is dropped then.
///
/// **Errors**: `Stopping` when the runtime is shutting down.
pub(crate) async fn blocking<T, F>(work: F) -> Result<T, WorkerError>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => Ok(value),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(WorkerError::Stopping),
    }
}
