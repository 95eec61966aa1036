//! A volume comes to this node, and leaves it.

use super::{Node, absolute, required};
use crate::CsiError;
use crate::attributes::Mode;
use crate::places::{Kind, Place, Shows};
use crate::proto::csi::{
    NodeStageVolumeRequest, NodeStageVolumeResponse, NodeUnstageVolumeRequest,
    NodeUnstageVolumeResponse,
};

impl Node {
    /// Opens the volume's session and binds it to the staging path.
    pub(super) async fn stage(
        &self,
        request: NodeStageVolumeRequest,
    ) -> Result<NodeStageVolumeResponse, CsiError> {
        let volume = required("volume_id", request.volume_id)?;
        let path = absolute("staging_target_path", request.staging_target_path)?;
        let asked = self.asked(&request.volume_context, request.volume_capability.as_ref())?;
        if asked.attributes.mode == Mode::ShortCircuit {
            // Nothing to prepare: the folder is there, or the publish says that it is not.
            return Ok(NodeStageVolumeResponse {});
        }
        let spec = asked.attributes.session(&asked.access.mount_flags, asked.access.read_only);
        let key = self.key(&asked.attributes.owner, &spec);
        let place = Place {
            path: path.clone(),
            volume: volume.clone(),
            kind: Kind::Staged,
            shows: Shows::Session { key, spec },
            sub_path: String::new(),
            read_only: false,
            one_pod: asked.access.one_pod,
        };
        let _held = self.lock(&volume)?;
        self.put_in_place(place).await?;
        Ok(NodeStageVolumeResponse {})
    }

    /// Shows `place`, whatever was there before.
    ///
    /// **Errors**: `Exists` when another volume is there, or the same one shown otherwise.
    pub(super) async fn put_in_place(&self, place: Place) -> Result<(), CsiError> {
        if self.places.table().await?.top(&place.path).is_none() {
            return self.show(place).await;
        }
        match self.places.at(&place.path) {
            Some(there) if there == place => self.refresh(&place).await,
            Some(there) => Err(CsiError::Exists {
                what: there.path.display().to_string(),
                why: format!("for volume {}, or with other options", there.volume),
            }),
            // The folder of places was lost. What the path shows cannot be told, so it is made anew.
            None => {
                self.parts.paths.unmount(&place.path, 0, false).await?;
                self.show(place).await
            }
        }
    }

    /// Takes the volume from the staging path; the folder is the kubelet's.
    pub(super) async fn unstage(
        &self,
        request: NodeUnstageVolumeRequest,
    ) -> Result<NodeUnstageVolumeResponse, CsiError> {
        let volume = required("volume_id", request.volume_id)?;
        let path = absolute("staging_target_path", request.staging_target_path)?;
        let _held = self.lock(&volume)?;
        self.hide(&path, false).await?;
        Ok(NodeUnstageVolumeResponse {})
    }
}
