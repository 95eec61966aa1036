//! Making ourselves known to the kubelet, which no sidecar does for us.
//!
//! **Source**: pluginregistration v1 of the kubelet, and its rule that the socket's folder is watched.

use crate::DRIVER;
use crate::proto::registration::registration_server::Registration;
use crate::proto::registration::{
    InfoRequest, PluginInfo, RegistrationStatus, RegistrationStatusResponse,
};
use alluxio_telemetry::Readiness;
use tonic::{Request, Response, Status};

/// Readiness: the kubelet has taken the driver in.
pub const REGISTERED: &str = "registered";

/// The registration service.
pub struct RegistrationService {
    /// The driver's socket, as the kubelet sees it.
    pub endpoint: String,
    /// Told what the kubelet says.
    pub readiness: Readiness,
}

#[tonic::async_trait]
impl Registration for RegistrationService {
    async fn get_info(&self, _: Request<InfoRequest>) -> Result<Response<PluginInfo>, Status> {
        Ok(Response::new(PluginInfo {
            r#type: "CSIPlugin".to_owned(),
            name: DRIVER.to_owned(),
            endpoint: self.endpoint.clone(),
            // The kubelet's own version numbers of the interface: 1.x is taken as 1.0.0.
            supported_versions: vec!["1.0.0".to_owned()],
        }))
    }

    async fn notify_registration_status(
        &self,
        request: Request<RegistrationStatus>,
    ) -> Result<Response<RegistrationStatusResponse>, Status> {
        let status = request.into_inner();
        if status.plugin_registered {
            tracing::info!("the kubelet has registered the driver");
            self.readiness.ready(REGISTERED);
        } else {
            tracing::error!(error = %status.error, "the kubelet does not register the driver");
            self.readiness.not_ready(REGISTERED, status.error);
        }
        Ok(Response::new(RegistrationStatusResponse {}))
    }
}
