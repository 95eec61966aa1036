//! How full a volume is, and whether it works. Never waits for a file system: a child process does.

use super::{Node, required};
use crate::CsiError;
use crate::paths::{PathError, Usage};
use crate::places::Shows;
use crate::proto::csi::volume_usage::Unit;
use crate::proto::csi::{
    NodeGetVolumeStatsRequest, NodeGetVolumeStatsResponse, VolumeCondition, VolumeUsage,
};
use std::path::PathBuf;

impl Node {
    /// Usage and condition of what is mounted at a path.
    ///
    /// **Errors**: `NotMounted`. A server that is dead or hangs is no error but a condition.
    pub(super) async fn stats(
        &self,
        request: NodeGetVolumeStatsRequest,
    ) -> Result<NodeGetVolumeStatsResponse, CsiError> {
        let id = required("volume_id", request.volume_id)?;
        let path = PathBuf::from(required("volume_path", request.volume_path)?);
        let mounted = self.places.table().await?.top(&path).is_some();
        let place = self.places.at(&path).filter(|place| mounted && place.volume == id);
        let Some(place) = place else { return Err(CsiError::NotMounted { id, path }) };
        let looked = match place.shows {
            Shows::Folder { .. } => Ok(Usage::default()),
            Shows::Session { .. } => self.parts.paths.usage(&path).await,
        };
        Ok(answer(looked))
    }
}

fn answer(looked: Result<Usage, PathError>) -> NodeGetVolumeStatsResponse {
    let (abnormal, message) = match &looked {
        Ok(_) => (false, "the volume can be used".to_owned()),
        Err(error) if error.is_dead() => {
            (true, "its FUSE session is dead; it is bound anew within seconds".to_owned())
        }
        Err(error) => (true, error.to_string()),
    };
    // The kubelet drops an answer without usage, and the condition with it.
    let usage = looked.unwrap_or_default();
    let mut told = vec![told(Unit::Bytes, usage.bytes, usage.bytes_left)];
    if usage.inodes > 0 {
        told.push(self::told(Unit::Inodes, usage.inodes, usage.inodes_left));
    }
    let volume_condition = Some(VolumeCondition { abnormal, message });
    NodeGetVolumeStatsResponse { usage: told, volume_condition }
}

fn told(unit: Unit, total: u64, left: u64) -> VolumeUsage {
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    VolumeUsage {
        available: number(left),
        total: number(total),
        used: number(total.saturating_sub(left)),
        unit: unit.into(),
    }
}
