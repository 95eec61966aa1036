//! The service as the kubelet calls it.

use super::Node;
use crate::proto::csi::node_server::Node as NodeRpc;
use crate::proto::csi::node_service_capability::rpc::Type as Capability;
use crate::proto::csi::node_service_capability::{Rpc, Type};
use crate::proto::csi::*;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// What this node can do beyond publishing.
const CAPABILITIES: [Capability; 4] = [
    Capability::StageUnstageVolume,
    Capability::GetVolumeStats,
    Capability::VolumeCondition,
    Capability::SingleNodeMultiWriter,
];

/// The node service.
pub struct NodeService {
    pub(crate) node: Arc<Node>,
}

/// One call: counted, logged when it fails, carried out to its end.
macro_rules! call {
    ($service:expr, $name:literal, $work:ident, $request:expr) => {{
        let node = $service.node.clone();
        let request = $request.into_inner();
        $service.node.metrics.call($name, async move { node.$work(request).await }).await
    }};
}

#[tonic::async_trait]
impl NodeRpc for NodeService {
    async fn node_stage_volume(
        &self,
        request: Request<NodeStageVolumeRequest>,
    ) -> Result<Response<NodeStageVolumeResponse>, Status> {
        call!(self, "NodeStageVolume", stage, request)
    }

    async fn node_unstage_volume(
        &self,
        request: Request<NodeUnstageVolumeRequest>,
    ) -> Result<Response<NodeUnstageVolumeResponse>, Status> {
        call!(self, "NodeUnstageVolume", unstage, request)
    }

    async fn node_publish_volume(
        &self,
        request: Request<NodePublishVolumeRequest>,
    ) -> Result<Response<NodePublishVolumeResponse>, Status> {
        call!(self, "NodePublishVolume", publish, request)
    }

    async fn node_unpublish_volume(
        &self,
        request: Request<NodeUnpublishVolumeRequest>,
    ) -> Result<Response<NodeUnpublishVolumeResponse>, Status> {
        call!(self, "NodeUnpublishVolume", unpublish, request)
    }

    async fn node_get_volume_stats(
        &self,
        request: Request<NodeGetVolumeStatsRequest>,
    ) -> Result<Response<NodeGetVolumeStatsResponse>, Status> {
        call!(self, "NodeGetVolumeStats", stats, request)
    }

    async fn node_get_capabilities(
        &self,
        _: Request<NodeGetCapabilitiesRequest>,
    ) -> Result<Response<NodeGetCapabilitiesResponse>, Status> {
        let capability = |kind: Capability| NodeServiceCapability {
            r#type: Some(Type::Rpc(Rpc { r#type: kind.into() })),
        };
        let capabilities = CAPABILITIES.map(capability).to_vec();
        let answer = NodeGetCapabilitiesResponse { capabilities };
        self.node.metrics.call("NodeGetCapabilities", async { Ok(answer) }).await
    }

    async fn node_get_info(
        &self,
        _: Request<NodeGetInfoRequest>,
    ) -> Result<Response<NodeGetInfoResponse>, Status> {
        // No limit: a session costs the agent little, a bind nothing.
        let answer = NodeGetInfoResponse {
            node_id: self.node.parts.node_id.clone(),
            max_volumes_per_node: 0,
        };
        self.node.metrics.call("NodeGetInfo", async { Ok(answer) }).await
    }
}
