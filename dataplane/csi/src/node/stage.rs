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
    /// Opens the volume's session.
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
        self.put_on_node(place).await?;
        Ok(NodeStageVolumeResponse {})
    }

    /// Opens the session of a volume, and notes that the node has it. Nothing is bound to the staging path: the kubelet
    /// does not take a volume from a node whose device is mounted anywhere but in the kubelet's own folders, and the
    /// session lies in one of the agent's.
    ///
    /// **Errors**: `Exists` when the path has another volume, or the same one with other options.
    async fn put_on_node(&self, place: Place) -> Result<(), CsiError> {
        if let Some(there) = self.places.at(&place.path).filter(|there| *there != place) {
            return Err(CsiError::Exists {
                what: there.path.display().to_string(),
                why: format!("for volume {}, or with other options", there.volume),
            });
        }
        let Some((key, spec)) = place.session().map(|(key, spec)| (key.clone(), spec.clone()))
        else {
            return Ok(());
        };
        let held = self.sessions.lock(key.as_str()).await;
        self.parts.mounter.open(&key, &spec).await?;
        let noted = self.places.put(place).await;
        drop(held);
        if noted.is_err() {
            self.release(&key).await?;
        }
        noted
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
