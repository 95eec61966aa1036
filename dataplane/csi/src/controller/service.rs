//! The service as provisioner and resizer call it.

use super::Controller;
use crate::proto::csi::controller_server::Controller as ControllerRpc;
use crate::proto::csi::controller_service_capability::rpc::Type as Capability;
use crate::proto::csi::controller_service_capability::{Rpc, Type};
use crate::proto::csi::*;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// What the controller can do.
const CAPABILITIES: [Capability; 5] = [
    Capability::CreateDeleteVolume,
    Capability::ListVolumes,
    Capability::ExpandVolume,
    Capability::GetVolume,
    Capability::SingleNodeMultiWriter,
];

/// The controller service.
pub struct ControllerService {
    pub(crate) controller: Arc<Controller>,
}

/// One call: counted, logged when it fails, carried out to its end.
macro_rules! call {
    ($service:expr, $name:literal, $work:ident, $request:expr) => {{
        let controller = $service.controller.clone();
        let request = $request.into_inner();
        let work = async move { controller.$work(request).await };
        $service.controller.metrics.call($name, work).await
    }};
}

#[tonic::async_trait]
impl ControllerRpc for ControllerService {
    async fn create_volume(
        &self,
        request: Request<CreateVolumeRequest>,
    ) -> Result<Response<CreateVolumeResponse>, Status> {
        call!(self, "CreateVolume", create, request)
    }

    async fn delete_volume(
        &self,
        request: Request<DeleteVolumeRequest>,
    ) -> Result<Response<DeleteVolumeResponse>, Status> {
        call!(self, "DeleteVolume", delete, request)
    }

    async fn validate_volume_capabilities(
        &self,
        request: Request<ValidateVolumeCapabilitiesRequest>,
    ) -> Result<Response<ValidateVolumeCapabilitiesResponse>, Status> {
        call!(self, "ValidateVolumeCapabilities", validate, request)
    }

    async fn list_volumes(
        &self,
        request: Request<ListVolumesRequest>,
    ) -> Result<Response<ListVolumesResponse>, Status> {
        call!(self, "ListVolumes", list, request)
    }

    async fn controller_get_capabilities(
        &self,
        _: Request<ControllerGetCapabilitiesRequest>,
    ) -> Result<Response<ControllerGetCapabilitiesResponse>, Status> {
        let capability = |kind: Capability| ControllerServiceCapability {
            r#type: Some(Type::Rpc(Rpc { r#type: kind.into() })),
        };
        let capabilities = CAPABILITIES.map(capability).to_vec();
        let answer = ControllerGetCapabilitiesResponse { capabilities };
        self.controller.metrics.call("ControllerGetCapabilities", async { Ok(answer) }).await
    }

    async fn controller_expand_volume(
        &self,
        request: Request<ControllerExpandVolumeRequest>,
    ) -> Result<Response<ControllerExpandVolumeResponse>, Status> {
        call!(self, "ControllerExpandVolume", expand, request)
    }

    async fn controller_get_volume(
        &self,
        request: Request<ControllerGetVolumeRequest>,
    ) -> Result<Response<ControllerGetVolumeResponse>, Status> {
        call!(self, "ControllerGetVolume", get, request)
    }
}
