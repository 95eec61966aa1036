//! The mount as a pod has it: a volume that the node plugin of CSI has published. The plugin is the second keeper.

use crate::load::Kind;
use crate::stand::{Stand, say, until};
use crate::{kills, pause, programs, some_kills};
use alluxio_csi::proto::csi::node_client::NodeClient;
use alluxio_csi::proto::csi::volume_capability::access_mode::Mode;
use alluxio_csi::proto::csi::volume_capability::{AccessMode, AccessType, MountVolume};
use alluxio_csi::proto::csi::{
    NodePublishVolumeRequest, NodeStageVolumeRequest, NodeUnpublishVolumeRequest,
    NodeUnstageVolumeRequest, VolumeCapability,
};
use hyper_util::rt::TokioIo;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};

const ID: &str = "the-volume";

/// A volume in a pod.
pub(crate) struct Volume {
    runtime: Runtime,
    socket: PathBuf,
    staging: PathBuf,
    pub(crate) target: PathBuf,
}

impl Volume {
    /// Publishes the root of the namespace, as the kubelet does.
    pub(crate) fn publish(socket: &Path, dir: &Path) -> Volume {
        let (staging, target) = (dir.join("globalmount"), dir.join("pod"));
        std::fs::create_dir(&staging).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let volume = Volume { runtime, socket: socket.to_owned(), staging, target };
        let context = [("path", "/"), ("fuse.attr_timeout", "0.2"), ("fuse.entry_timeout", "0.2")];
        let context = context.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let capability = VolumeCapability {
            access_type: Some(AccessType::Mount(MountVolume::default())),
            access_mode: Some(AccessMode { mode: Mode::MultiNodeMultiWriter.into() }),
        };
        let stage = NodeStageVolumeRequest {
            volume_id: ID.into(),
            staging_target_path: volume.staging.display().to_string(),
            volume_capability: Some(capability.clone()),
            volume_context: context.clone().into(),
            ..Default::default()
        };
        let publish = NodePublishVolumeRequest {
            volume_id: ID.into(),
            staging_target_path: volume.staging.display().to_string(),
            target_path: volume.target.display().to_string(),
            volume_capability: Some(capability),
            volume_context: context.into(),
            ..Default::default()
        };
        volume.runtime.block_on(async {
            let mut node = NodeClient::new(volume.channel().await);
            node.node_stage_volume(stage).await.unwrap();
            node.node_publish_volume(publish).await.unwrap();
        });
        volume
    }

    async fn channel(&self) -> Channel {
        let socket = self.socket.clone();
        let connect = move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        };
        let endpoint = Endpoint::from_static("http://localhost");
        endpoint.connect_with_connector(tower::service_fn(connect)).await.unwrap()
    }

    /// Takes it out of the pod; again while the plugin is mending it, as the kubelet does.
    fn unpublish(&self) {
        let unpublish = NodeUnpublishVolumeRequest {
            volume_id: ID.into(),
            target_path: self.target.display().to_string(),
        };
        let unstage = NodeUnstageVolumeRequest {
            volume_id: ID.into(),
            staging_target_path: self.staging.display().to_string(),
        };
        let node = || async { NodeClient::new(self.channel().await) };
        until("the end of the volume in the pod", || {
            let call = async { node().await.node_unpublish_volume(unpublish.clone()).await };
            self.runtime.block_on(call).is_ok()
        });
        until("the end of the volume on the node", || {
            let call = async { node().await.node_unstage_volume(unstage.clone()).await };
            self.runtime.block_on(call).is_ok()
        });
    }
}

#[test]
fn pods_see_no_error_while_the_node_plugin_and_pairs_of_holders_are_killed() {
    let Some(mut stand) = Stand::start_with_plugin() else { return };
    let volume = stand.publish();
    programs(&mut stand, &[Kind::Read, Kind::Map, Kind::Write, Kind::List]);
    for _ in 0..kills() {
        stand.after(pause(), "the node plugin", |stand| stand.restart_keeper(1));
    }
    for _ in 0..some_kills() {
        stand.after(pause(), "the agent and the node plugin", |stand| {
            stand.kill_keeper(1);
            stand.restart_agent();
            stand.start_keeper(1);
        });
        stand.after(pause(), "the agent and the keeper", |stand| {
            stand.kill_keeper(0);
            stand.restart_agent();
            stand.start_keeper(0);
        });
        stand.after(pause(), "the keeper and the node plugin", |stand| {
            stand.kill_keeper(0);
            stand.kill_keeper(1);
            stand.start_keeper(0);
            stand.start_keeper(1);
        });
    }
    stand.after(pause(), "nobody", |_| ());
    stand.finish_programs();
    // All three at once: what was open is lost, what is opened afterwards is not.
    stand.await_keepers(2);
    stand.kill_keeper(0);
    stand.kill_keeper(1);
    stand.kill_agent();
    let died = Instant::now();
    stand.start_keeper(0);
    stand.start_keeper(1);
    stand.start_agent();
    let outcome = loop {
        let outcome = stand.probe(&volume.target);
        if outcome.is_ok() || died.elapsed() > Duration::from_secs(10) {
            break outcome;
        }
    };
    assert!(outcome.is_ok(), "{outcome:?} after {:?}: {}", died.elapsed(), stand.stat());
    say(&format!("all three gone: a pod opens again after {} ms", died.elapsed().as_millis()));
    volume.unpublish();
    assert!(!volume.target.exists());
}
