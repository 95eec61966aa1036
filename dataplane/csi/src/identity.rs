//! Who the driver is, and whether it can work.

use crate::DRIVER;
use crate::metrics::CsiMetrics;
use crate::mounter::Mounter;
use crate::proto::csi::identity_server::Identity;
use crate::proto::csi::plugin_capability::{
    Service, Type, VolumeExpansion, service, volume_expansion,
};
use crate::proto::csi::{
    GetPluginCapabilitiesRequest, GetPluginCapabilitiesResponse, GetPluginInfoRequest,
    GetPluginInfoResponse, PluginCapability, ProbeRequest, ProbeResponse,
};
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// The identity service.
pub struct IdentityService {
    /// Version of the binary.
    pub version: String,
    /// What calls are counted in.
    pub metrics: CsiMetrics,
    /// Whether this process has the controller service.
    pub controller: bool,
    /// Who mounts, where this process has the node service.
    pub mounter: Option<Arc<dyn Mounter>>,
}

#[tonic::async_trait]
impl Identity for IdentityService {
    async fn get_plugin_info(
        &self,
        _: Request<GetPluginInfoRequest>,
    ) -> Result<Response<GetPluginInfoResponse>, Status> {
        let (name, vendor_version) = (DRIVER.to_owned(), self.version.clone());
        let info = GetPluginInfoResponse { name, vendor_version, ..Default::default() };
        self.metrics.call("GetPluginInfo", async { Ok(info) }).await
    }

    async fn get_plugin_capabilities(
        &self,
        _: Request<GetPluginCapabilitiesRequest>,
    ) -> Result<Response<GetPluginCapabilitiesResponse>, Status> {
        let service = Service { r#type: service::Type::ControllerService.into() };
        let online = VolumeExpansion { r#type: volume_expansion::Type::Online.into() };
        let has = [Type::Service(service), Type::VolumeExpansion(online)];
        let has = if self.controller { Vec::from(has) } else { Vec::new() };
        let capabilities =
            has.into_iter().map(|kind| PluginCapability { r#type: Some(kind) }).collect();
        let answer = GetPluginCapabilitiesResponse { capabilities };
        self.metrics.call("GetPluginCapabilities", async { Ok(answer) }).await
    }

    /// Ready when the agent answers. Takes less than a second, whatever hangs.
    async fn probe(&self, _: Request<ProbeRequest>) -> Result<Response<ProbeResponse>, Status> {
        let mounter = self.mounter.clone();
        let ready = async move {
            let ready = match mounter {
                Some(mounter) => mounter.list().await.is_ok(),
                None => true,
            };
            Ok(ProbeResponse { ready: Some(ready) })
        };
        self.metrics.call("Probe", ready).await
    }
}
