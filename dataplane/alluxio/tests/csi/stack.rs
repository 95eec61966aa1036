//! All processes of a node of Kubernetes, and of the cluster behind it.

use alluxio_csi::proto::csi::controller_client::ControllerClient;
use alluxio_csi::proto::csi::node_client::NodeClient;
use alluxio_csi::proto::csi::volume_capability::access_mode::Mode;
use alluxio_csi::proto::csi::volume_capability::{AccessMode, AccessType, MountVolume};
use alluxio_csi::proto::csi::*;
use alluxio_testkit::{ProcessCluster, Server};
use alluxio_testservers::mounts;
use hyper_util::rt::TokioIo;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(90);

/// A cluster, and the processes of one node.
pub(crate) struct Stack {
    pub(crate) runtime: Runtime,
    driver: Option<Server>,
    agent: Option<Server>,
    keeper: Option<Child>,
    pub(crate) cluster: ProcessCluster,
}

impl Stack {
    pub(crate) fn start() -> Stack {
        let at = |name: &str| format!("${{alluxio.work.dir}}/{name}");
        let keepers = format!("{},{}", at("keeper.sock"), at("csi-keeper.sock"));
        let endpoint = format!("unix://{}", at("csi.sock"));
        let (agent, csi_keeper) = (at("agent.sock"), at("csi-keeper.sock"));
        let properties = [
            ("alluxio.worker.ramdisk.size", "256MB"),
            ("alluxio.fuse.agent.socket", agent.as_str()),
            ("alluxio.fuse.keeper.sockets", keepers.as_str()),
            ("alluxio.fuse.mount.options", "attr_timeout=0.2,entry_timeout=0.2"),
            ("alluxio.fuse.web.bind.host", "127.0.0.1"),
            ("alluxio.fuse.web.port", "0"),
            ("alluxio.csi.endpoint", endpoint.as_str()),
            ("alluxio.csi.keeper.socket", csi_keeper.as_str()),
            ("alluxio.csi.registration.dir", ""),
            ("alluxio.csi.web.bind.host", "127.0.0.1"),
            ("alluxio.csi.web.port", "0"),
        ];
        let mut cluster = ProcessCluster::start(binary(), &properties).unwrap();
        cluster.start_worker(1).unwrap();
        std::fs::create_dir(cluster.dir().join("staging")).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let mut stack = Stack { runtime, driver: None, agent: None, keeper: None, cluster };
        stack.start_keeper();
        stack.start_driver();
        stack.start_agent();
        stack
    }

    pub(crate) fn dir(&self) -> &Path {
        self.cluster.dir()
    }

    fn server(&self, role: &str) -> Server {
        let log = self.dir().join(format!("logs/{}.log", role.replace(' ', "-")));
        Server::start(binary(), role, &self.cluster.conf_dir(), &log).unwrap()
    }

    pub(crate) fn start_driver(&mut self) {
        self.driver = Some(self.server("csi all"));
    }

    pub(crate) fn stop_driver(&mut self) {
        let status = self.driver.take().unwrap().terminate().unwrap();
        assert!(status.success(), "{status}");
    }

    pub(crate) fn kill_driver(&mut self) {
        self.driver.take().unwrap().kill().unwrap();
    }

    pub(crate) fn start_agent(&mut self) {
        self.agent = Some(self.server("fuse agent"));
    }

    pub(crate) fn kill_agent(&mut self) {
        self.agent.take().unwrap().kill().unwrap();
    }

    pub(crate) fn start_keeper(&mut self) {
        let socket = self.dir().join("keeper.sock");
        let mut command = self.cluster.command(&["fuse-keeper", "--socket"]);
        self.keeper = Some(command.arg(&socket).spawn().unwrap());
        until("the keeper listens", || socket.exists());
    }

    pub(crate) fn kill_keeper(&mut self) {
        let mut keeper = self.keeper.take().unwrap();
        keeper.kill().unwrap();
        keeper.wait().unwrap();
    }

    pub(crate) fn endpoint(&self) -> PathBuf {
        self.dir().join("csi.sock")
    }

    async fn channel(&self) -> Channel {
        let socket = self.endpoint();
        let connect = move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        };
        let endpoint = Endpoint::from_static("http://localhost");
        endpoint.connect_with_connector(tower::service_fn(connect)).await.unwrap()
    }

    /// Makes a volume, as a provisioner does.
    pub(crate) fn create(&self, name: &str, parameters: &[(&str, &str)]) -> Volume {
        self.try_create(name, parameters).unwrap()
    }

    pub(crate) fn try_create(
        &self,
        name: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Volume, Status> {
        self.try_create_of(name, parameters, None)
    }

    /// Makes a volume of that many bytes.
    pub(crate) fn create_of(&self, name: &str, parameters: &[(&str, &str)], bytes: i64) -> Volume {
        let range = CapacityRange { required_bytes: bytes, limit_bytes: 0 };
        self.try_create_of(name, parameters, Some(range)).unwrap()
    }

    /// Makes a volume larger, as a resizer does.
    pub(crate) fn expand(&self, volume: &Volume, bytes: i64) {
        let request = ControllerExpandVolumeRequest {
            volume_id: volume.volume_id.clone(),
            capacity_range: Some(CapacityRange { required_bytes: bytes, limit_bytes: 0 }),
            ..Default::default()
        };
        let expanded = self.runtime.block_on(async {
            ControllerClient::new(self.channel().await).controller_expand_volume(request).await
        });
        let expanded = expanded.unwrap().into_inner();
        assert_eq!((expanded.capacity_bytes, expanded.node_expansion_required), (bytes, false));
    }

    /// Bytes in all and used, and then the same of inodes, as the kubelet is told.
    pub(crate) fn usage(&self, volume: &Volume, target: &Path) -> Vec<(i64, i64)> {
        let request = NodeGetVolumeStatsRequest {
            volume_id: volume.volume_id.clone(),
            volume_path: target.display().to_string(),
            ..Default::default()
        };
        let told = self.runtime.block_on(async {
            NodeClient::new(self.channel().await).node_get_volume_stats(request).await
        });
        told.unwrap().into_inner().usage.iter().map(|usage| (usage.total, usage.used)).collect()
    }

    fn try_create_of(
        &self,
        name: &str,
        parameters: &[(&str, &str)],
        capacity_range: Option<CapacityRange>,
    ) -> Result<Volume, Status> {
        let parameters = parameters.iter().map(|(key, value)| ((*key).into(), (*value).into()));
        let request = CreateVolumeRequest {
            name: name.into(),
            volume_capabilities: vec![capability()],
            parameters: parameters.collect(),
            capacity_range,
            ..Default::default()
        };
        let created = self.runtime.block_on(async {
            ControllerClient::new(self.channel().await).create_volume(request).await
        });
        Ok(created?.into_inner().volume.unwrap())
    }

    pub(crate) fn delete(&self, volume: &Volume) {
        let volume_id = volume.volume_id.clone();
        let request = DeleteVolumeRequest { volume_id, ..Default::default() };
        self.runtime.block_on(async {
            ControllerClient::new(self.channel().await).delete_volume(request).await.unwrap()
        });
    }

    fn staging(&self) -> String {
        self.dir().join("staging").display().to_string()
    }

    /// Brings a volume into a pod, as the kubelet does.
    pub(crate) fn publish(&self, volume: &Volume, target: &Path) {
        let stage = NodeStageVolumeRequest {
            volume_id: volume.volume_id.clone(),
            staging_target_path: self.staging(),
            volume_capability: Some(capability()),
            volume_context: volume.volume_context.clone(),
            ..Default::default()
        };
        let publish = NodePublishVolumeRequest {
            volume_id: volume.volume_id.clone(),
            staging_target_path: self.staging(),
            target_path: target.display().to_string(),
            volume_capability: Some(capability()),
            volume_context: volume.volume_context.clone(),
            ..Default::default()
        };
        self.runtime.block_on(async {
            let mut node = NodeClient::new(self.channel().await);
            node.node_stage_volume(stage).await.unwrap();
            node.node_publish_volume(publish).await.unwrap();
        });
    }

    pub(crate) fn unpublish(&self, volume: &Volume, target: &Path) {
        let unpublish = NodeUnpublishVolumeRequest {
            volume_id: volume.volume_id.clone(),
            target_path: target.display().to_string(),
        };
        let unstage = NodeUnstageVolumeRequest {
            volume_id: volume.volume_id.clone(),
            staging_target_path: self.staging(),
        };
        // The driver may be about to mend the volume; the kubelet tries again, too.
        let busy = |status: &Status| status.code() == Code::Aborted;
        let call = |done: &mut dyn FnMut() -> Result<(), Status>| {
            until("an operation", || match done() {
                Err(status) if busy(&status) => false,
                outcome => outcome.map(|()| true).unwrap(),
            });
        };
        let node = || async { NodeClient::new(self.channel().await) };
        call(&mut || {
            let request = unpublish.clone();
            self.runtime
                .block_on(async { node().await.node_unpublish_volume(request).await.map(|_| ()) })
        });
        call(&mut || {
            let request = unstage.clone();
            self.runtime
                .block_on(async { node().await.node_unstage_volume(request).await.map(|_| ()) })
        });
    }

    /// What a command of the binary prints.
    pub(crate) fn alluxio(&self, arguments: &[&str]) -> String {
        let output = self.cluster.alluxio(arguments).unwrap();
        let (out, err) = (&output.stdout, &output.stderr);
        format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // First the mounts: nothing can wait for a server then.
        mounts::give_up_all();
        if let Some(mut keeper) = self.keeper.take() {
            let _ = keeper.kill();
            let _ = keeper.wait();
        }
    }
}

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_alluxio"))
}

fn capability() -> VolumeCapability {
    VolumeCapability {
        access_type: Some(AccessType::Mount(MountVolume::default())),
        access_mode: Some(AccessMode { mode: Mode::MultiNodeMultiWriter.into() }),
    }
}

/// Waits for something to be so.
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "{what} takes too long");
        std::thread::sleep(Duration::from_millis(20));
    }
}
