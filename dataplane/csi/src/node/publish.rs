//! A volume comes into a pod, and leaves it.

use super::{Asked, Node, absolute, required};
use crate::CsiError;
use crate::attributes::Mode;
use crate::places::{Kind, Place, Shows};
use crate::proto::csi::{
    NodePublishVolumeRequest, NodePublishVolumeResponse, NodeUnpublishVolumeRequest,
    NodeUnpublishVolumeResponse,
};
use std::path::{Path, PathBuf};

impl Node {
    /// Binds the volume's session, or the folder of sockets, to the target path.
    pub(super) async fn publish(
        &self,
        request: NodePublishVolumeRequest,
    ) -> Result<NodePublishVolumeResponse, CsiError> {
        let volume = required("volume_id", request.volume_id)?;
        let path = absolute("target_path", request.target_path)?;
        let asked = self.asked(&request.volume_context, request.volume_capability.as_ref())?;
        let staging = request.staging_target_path;
        let read_only = request.readonly || asked.access.read_only || asked.attributes.read_only;
        let _held = self.lock(&volume)?;
        let shows = match asked.attributes.mode {
            Mode::ShortCircuit => self.sockets()?,
            Mode::Fuse if asked.attributes.ephemeral => self.of_its_own(&asked, read_only),
            Mode::Fuse => self.staged(&volume, staging)?,
        };
        let place = Place {
            path,
            volume: volume.clone(),
            kind: Kind::Published,
            shows,
            sub_path: asked.attributes.sub_path,
            // A folder of sockets is connected to, never changed.
            read_only: read_only || asked.attributes.mode == Mode::ShortCircuit,
            one_pod: asked.access.one_pod,
        };
        self.check_one_pod(&place).await?;
        self.put_in_place(place).await?;
        Ok(NodePublishVolumeResponse {})
    }

    /// Shows `place`, whatever was there before.
    ///
    /// **Errors**: `Exists` when another volume is there, or the same one shown otherwise.
    async fn put_in_place(&self, place: Place) -> Result<(), CsiError> {
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

    /// **Errors**: `Directory` where workers have no folder of sockets.
    fn sockets(&self) -> Result<Shows, CsiError> {
        let path = self.parts.sockets.clone().ok_or_else(|| CsiError::Directory {
            path: "of the worker's socket".into(),
            why: "is not configured: set alluxio.worker.data.server.domain.socket.address".into(),
        })?;
        Ok(Shows::Folder { path })
    }

    /// The session of a volume that nobody stages.
    fn of_its_own(&self, asked: &Asked, read_only: bool) -> Shows {
        let spec = asked.attributes.session(&asked.access.mount_flags, read_only);
        Shows::Session { key: self.key(&asked.attributes.owner, &spec), spec }
    }

    /// The session that was staged. **Errors**: `NotStaged`, `Missing`, `Invalid`.
    fn staged(&self, volume: &str, staging: String) -> Result<Shows, CsiError> {
        let path = absolute("staging_target_path", staging)?;
        match self.places.at(&path) {
            Some(place) if place.volume == volume => Ok(place.shows),
            _ => Err(CsiError::NotStaged { id: volume.to_owned(), path }),
        }
    }

    /// **Errors**: `Taken` when the volume is, or is to be, for one pod, and another has it.
    async fn check_one_pod(&self, wanted: &Place) -> Result<(), CsiError> {
        let others = self.places.all().into_iter().filter(|place| {
            place.kind == Kind::Published
                && place.volume == wanted.volume
                && place.path != wanted.path
                && (place.one_pod || wanted.one_pod)
        });
        let others: Vec<PathBuf> = others.map(|place| place.path).collect();
        if others.is_empty() {
            return Ok(());
        }
        let table = self.places.table().await?;
        match others.into_iter().find(|path| table.top(path).is_some()) {
            Some(path) => Err(CsiError::Taken { id: wanted.volume.clone(), path }),
            None => Ok(()),
        }
    }

    /// Takes the volume from the target path, and the path with it.
    pub(super) async fn unpublish(
        &self,
        request: NodeUnpublishVolumeRequest,
    ) -> Result<NodeUnpublishVolumeResponse, CsiError> {
        let volume = required("volume_id", request.volume_id)?;
        let path = absolute("target_path", request.target_path)?;
        let _held = self.lock(&volume)?;
        self.check_owner(&volume, &path)?;
        self.hide(&path, true).await?;
        Ok(NodeUnpublishVolumeResponse {})
    }

    /// A path that another volume has is not taken from it. **Errors**: `NotMounted`.
    fn check_owner(&self, volume: &str, path: &Path) -> Result<(), CsiError> {
        match self.places.at(path) {
            Some(place) if place.volume != volume => {
                Err(CsiError::NotMounted { id: volume.to_owned(), path: path.to_owned() })
            }
            _ => Ok(()),
        }
    }
}
