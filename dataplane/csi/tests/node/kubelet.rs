//! Calls as the kubelet makes them.

use crate::driver::Driver;
use alluxio_csi::mountinfo::{Row, Table};
use alluxio_csi::proto::csi::node_client::NodeClient;
use alluxio_csi::proto::csi::volume_capability::access_mode::Mode;
use alluxio_csi::proto::csi::volume_capability::{AccessMode, AccessType, MountVolume};
use alluxio_csi::proto::csi::*;
use hyper_util::rt::TokioIo;
use std::path::Path;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

/// A volume, as a PersistentVolume describes it.
#[derive(Clone)]
pub(crate) struct Volume {
    pub(crate) id: String,
    pub(crate) context: Vec<(&'static str, &'static str)>,
    pub(crate) mode: Mode,
    pub(crate) read_only: bool,
}

impl Volume {
    pub(crate) fn new(id: &str, context: &[(&'static str, &'static str)]) -> Volume {
        let (mode, read_only) = (Mode::MultiNodeMultiWriter, false);
        Volume { id: id.into(), context: context.to_vec(), mode, read_only }
    }

    fn context(&self) -> std::collections::BTreeMap<String, String> {
        let pairs = self.context.iter();
        pairs.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn capability(&self) -> Option<VolumeCapability> {
        Some(VolumeCapability {
            access_type: Some(AccessType::Mount(MountVolume::default())),
            access_mode: Some(AccessMode { mode: self.mode.into() }),
        })
    }
}

pub(crate) async fn channel(socket: &Path) -> Channel {
    let socket = socket.to_owned();
    let connect = move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    };
    let endpoint = Endpoint::from_static("http://localhost");
    endpoint.connect_with_connector(tower::service_fn(connect)).await.unwrap()
}

/// What a call ended with.
pub(crate) type Outcome = Result<(), Code>;

fn code(status: Status) -> Code {
    eprintln!("{}: {}", status.code(), status.message());
    status.code()
}

impl Driver {
    pub(crate) async fn node(&self) -> NodeClient<Channel> {
        NodeClient::new(channel(&self.dir().join("csi.sock")).await)
    }

    pub(crate) fn stage(&self, volume: &Volume) -> Outcome {
        let request = NodeStageVolumeRequest {
            volume_id: volume.id.clone(),
            staging_target_path: self.staging(&volume.id).display().to_string(),
            volume_capability: volume.capability(),
            volume_context: volume.context(),
            ..Default::default()
        };
        self.runtime.block_on(async {
            self.node().await.node_stage_volume(request).await.map(|_| ()).map_err(code)
        })
    }

    pub(crate) fn unstage(&self, volume: &Volume) -> Outcome {
        let request = NodeUnstageVolumeRequest {
            volume_id: volume.id.clone(),
            staging_target_path: self.staging(&volume.id).display().to_string(),
        };
        self.runtime.block_on(async {
            self.node().await.node_unstage_volume(request).await.map(|_| ()).map_err(code)
        })
    }

    pub(crate) fn publish(&self, volume: &Volume, pod: &str) -> Outcome {
        let request = NodePublishVolumeRequest {
            volume_id: volume.id.clone(),
            staging_target_path: self.staging(&volume.id).display().to_string(),
            target_path: self.target(pod).display().to_string(),
            volume_capability: volume.capability(),
            readonly: volume.read_only,
            volume_context: volume.context(),
            ..Default::default()
        };
        self.runtime.block_on(async {
            self.node().await.node_publish_volume(request).await.map(|_| ()).map_err(code)
        })
    }

    pub(crate) fn unpublish(&self, volume: &Volume, pod: &str) -> Outcome {
        let request = NodeUnpublishVolumeRequest {
            volume_id: volume.id.clone(),
            target_path: self.target(pod).display().to_string(),
        };
        self.runtime.block_on(async {
            self.node().await.node_unpublish_volume(request).await.map(|_| ()).map_err(code)
        })
    }

    pub(crate) fn stats(
        &self,
        volume: &Volume,
        path: &Path,
    ) -> Result<NodeGetVolumeStatsResponse, Code> {
        let request = NodeGetVolumeStatsRequest {
            volume_id: volume.id.clone(),
            volume_path: path.display().to_string(),
            ..Default::default()
        };
        self.runtime.block_on(async {
            let answer = self.node().await.node_get_volume_stats(request).await;
            answer.map(tonic::Response::into_inner).map_err(code)
        })
    }

    /// What is mounted at a pod's path, the lowest first.
    pub(crate) fn layers(&self, pod: &str) -> Vec<Row> {
        Table::read().unwrap().at(&self.target(pod)).cloned().collect()
    }
}
