//! A driver in this process, on its socket.

use crate::PATH_WORK;
use crate::sessions::Sessions;
use alluxio_config::CsiConfig;
use alluxio_csi::node::NodeParts;
use alluxio_csi::paths::PathRunner;
use alluxio_csi::{Deps, Handle, Services, start};
use alluxio_host::Host;
use alluxio_telemetry::{LogControl, Metrics};
use alluxio_types::AlluxioPath;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A driver, its sessions, and folders as a kubelet has them.
pub(crate) struct Driver {
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) runtime: Runtime,
    pub(crate) metrics: Metrics,
    handle: Option<Handle>,
    dir: TempDir,
}

impl Driver {
    pub(crate) fn start() -> Driver {
        let dir = TempDir::with_prefix("alluxio-test-").unwrap();
        for folder in ["pods", "staging", "registry", "sockets"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let sessions = Sessions::new(&dir.path().join("sessions"));
        let metrics = Metrics::new("csi");
        let mut driver = Driver { sessions, runtime, metrics, handle: None, dir };
        driver.begin();
        driver
    }

    /// Stops it, and starts it again on what it left.
    pub(crate) fn restart(&mut self) {
        let handle = self.handle.take().unwrap();
        self.runtime.block_on(handle.stop(Duration::from_secs(10)));
        assert!(!self.dir().join("csi.sock").exists());
        self.metrics = Metrics::new("csi");
        self.begin();
    }

    fn begin(&mut self) {
        let dir = self.dir().to_owned();
        let config = CsiConfig {
            endpoint: format!("unix://{}", dir.join("csi.sock").display()),
            kubelet_endpoint: "/plugins/csi.sock".into(),
            registration_dir: Some(dir.join("registry")),
            node_id: "node-1".into(),
            state_dir: dir.join("places"),
            keeper_socket: None,
            keeper_alone_timeout: std::time::Duration::from_secs(300),
            ephemeral_path: Some("/folder".into()),
            web_bind_host: "127.0.0.1".into(),
            web_port: 0,
            cluster_name: "test".into(),
            worker_sockets: Some(dir.join("sockets")),
        };
        let node = NodeParts {
            node_id: config.node_id.clone(),
            cluster: config.cluster_name.clone(),
            mounter: self.sessions.clone(),
            paths: PathRunner::new(std::env::current_exe().unwrap(), vec![PATH_WORK.into()]),
            check_options: Arc::new(|words| match words.iter().find(|word| word.contains("bad")) {
                Some(word) => Err(format!("{word} is no option")),
                None => Ok(()),
            }),
            sockets: config.worker_sockets.clone(),
            ephemeral: Some(AlluxioPath::parse("/folder").unwrap()),
        };
        let deps = Deps {
            host: Host::real(),
            config,
            metrics: self.metrics.clone(),
            log: LogControl::none(),
            version: "1".into(),
            services: Services { node: Some(node), controller: None },
        };
        self.handle = Some(self.runtime.block_on(start(deps)).unwrap());
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where a pod has the volume.
    pub(crate) fn target(&self, pod: &str) -> PathBuf {
        self.dir().join("pods").join(pod)
    }

    /// Where the node has it; made, as the kubelet does.
    pub(crate) fn staging(&self, volume: &str) -> PathBuf {
        let path = self.dir().join("staging").join(volume);
        std::fs::create_dir_all(&path).unwrap();
        path
    }
}
