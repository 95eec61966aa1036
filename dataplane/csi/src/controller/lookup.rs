//! What is known of volumes.

use super::{Controller, volume};
use crate::CsiError;
use crate::capability::accesses;
use crate::node::required;
use crate::proto::csi::validate_volume_capabilities_response::Confirmed;
use crate::proto::csi::{
    ControllerGetVolumeRequest, ControllerGetVolumeResponse, ListVolumesRequest,
    ListVolumesResponse, ValidateVolumeCapabilitiesRequest, ValidateVolumeCapabilitiesResponse,
    controller_get_volume_response, list_volumes_response,
};
use crate::volume_id::VolumeId;

impl Controller {
    /// Whether a volume can be used so. All volumes can be used in all modes, as file systems.
    pub(super) async fn validate(
        &self,
        request: ValidateVolumeCapabilitiesRequest,
    ) -> Result<ValidateVolumeCapabilitiesResponse, CsiError> {
        let text = required("volume_id", request.volume_id)?;
        if request.volume_capabilities.is_empty() {
            return Err(CsiError::Missing { field: "volume_capabilities" });
        }
        let (id, record) = self.known(&text).await?;
        let refused =
            |message: String| ValidateVolumeCapabilitiesResponse { confirmed: None, message };
        if let Err(error) = accesses(&request.volume_capabilities) {
            return Ok(refused(error.to_string()));
        }
        let context = volume(&id, &record).volume_context;
        if !request.volume_context.is_empty() && request.volume_context != context {
            return Ok(refused("the context is not this volume's".into()));
        }
        let confirmed = Confirmed {
            volume_context: request.volume_context,
            volume_capabilities: request.volume_capabilities,
            parameters: request.parameters,
            mutable_parameters: request.mutable_parameters,
        };
        Ok(ValidateVolumeCapabilitiesResponse {
            confirmed: Some(confirmed),
            message: String::new(),
        })
    }

    /// Volumes in order of their ids. A token is the last id that was told: it stays good whatever comes and goes.
    pub(super) async fn list(
        &self,
        request: ListVolumesRequest,
    ) -> Result<ListVolumesResponse, CsiError> {
        let most = usize::try_from(request.max_entries)
            .map_err(|_| CsiError::invalid("max_entries", "it is not negative"))?;
        let most = if most == 0 { usize::MAX } else { most };
        let token = request.starting_token;
        let after = match VolumeId::parse(&token) {
            Some(id) => Some(id),
            None if token.is_empty() => None,
            None => return Err(CsiError::BadToken { token }),
        };
        let mut volumes = self.parts.registry.list().await?;
        volumes.retain(|(id, _)| after.as_ref().is_none_or(|after| id > after));
        let more = volumes.len() > most;
        volumes.truncate(most);
        let last = volumes.last().filter(|_| more);
        let next_token = last.map(|(id, _)| id.to_string()).unwrap_or_default();
        let entry = |(id, record): &(VolumeId, _)| list_volumes_response::Entry {
            volume: Some(volume(id, record)),
            status: None,
        };
        Ok(ListVolumesResponse { entries: volumes.iter().map(entry).collect(), next_token })
    }

    /// One volume.
    pub(super) async fn get(
        &self,
        request: ControllerGetVolumeRequest,
    ) -> Result<ControllerGetVolumeResponse, CsiError> {
        let text = required("volume_id", request.volume_id)?;
        let (id, record) = self.known(&text).await?;
        Ok(ControllerGetVolumeResponse {
            volume: Some(volume(&id, &record)),
            // Nothing is attached, so nobody here knows which nodes have it.
            status: Some(controller_get_volume_response::VolumeStatus::default()),
        })
    }
}
