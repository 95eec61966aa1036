//! The controller service: volumes are directories of the namespace. It holds no state, and needs no Kubernetes.

mod change;
mod lookup;
mod service;

#[cfg(test)]
mod tests;

use crate::CsiError;
use crate::keyed::{Held, KeyedLocks};
use crate::metrics::CsiMetrics;
use crate::node::CheckOptions;
use crate::proto::csi::{CapacityRange, Volume};
use crate::registry::{Record, Registry};
use crate::volume_id::VolumeId;
use std::sync::Arc;

pub use service::ControllerService;

/// Longest name of a volume, and longest text of any field of the CSI that is a name, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// What the controller service is made of.
#[derive(Clone)]
pub struct ControllerParts {
    /// Name of the cluster, which keeps ids of volumes apart.
    pub cluster: String,
    /// Where volumes are.
    pub registry: Arc<dyn Registry>,
    /// Checks options of mounts before a volume has them.
    pub check_options: CheckOptions,
}

/// The controller service's state: which volumes it works on at the moment.
pub(crate) struct Controller {
    parts: ControllerParts,
    pub(crate) metrics: CsiMetrics,
    volumes: KeyedLocks,
}

impl Controller {
    pub(crate) fn new(parts: ControllerParts, metrics: CsiMetrics) -> Self {
        Controller { parts, metrics, volumes: KeyedLocks::default() }
    }

    /// The lock of a volume. **Errors**: `Busy`.
    fn lock(&self, id: &VolumeId) -> Result<Held, CsiError> {
        self.volumes.try_lock(id.as_str()).ok_or_else(|| CsiError::Busy { id: id.to_string() })
    }

    /// A volume that has to be there. **Errors**: `NoVolume`, and those of the registry.
    async fn known(&self, text: &str) -> Result<(VolumeId, Record), CsiError> {
        let nobody = || CsiError::NoVolume { id: text.to_owned() };
        let id = VolumeId::parse(text).ok_or_else(nobody)?;
        let record = self.parts.registry.get(&id).await?.ok_or_else(nobody)?;
        Ok((id, record))
    }
}

/// A volume as the CSI shows it.
fn volume(id: &VolumeId, record: &Record) -> Volume {
    let mut volume_context = record.context.clone();
    volume_context.insert("path".to_owned(), record.path.clone());
    Volume {
        capacity_bytes: i64::try_from(record.capacity_bytes).unwrap_or(i64::MAX),
        volume_id: id.as_str().to_owned(),
        volume_context,
        content_source: None,
    }
}

/// From how many bytes to how many a volume may have; 0 for no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sizes {
    least: u64,
    most: u64,
}

impl Sizes {
    /// **Errors**: `Capacity`.
    fn read(range: Option<&CapacityRange>) -> Result<Sizes, CsiError> {
        let number = |value: i64| {
            let why = || "a number of bytes is not negative".to_owned();
            u64::try_from(value).map_err(|_| CsiError::Capacity { why: why() })
        };
        let range = range.copied().unwrap_or_default();
        let sizes =
            Sizes { least: number(range.required_bytes)?, most: number(range.limit_bytes)? };
        if sizes.most > 0 && sizes.least > sizes.most {
            let why = format!("at least {} and at most {} bytes", sizes.least, sizes.most);
            return Err(CsiError::Capacity { why });
        }
        Ok(sizes)
    }

    /// What a volume gets that may be as large as this.
    fn chosen(self) -> u64 {
        if self.least > 0 { self.least } else { self.most }
    }

    /// Whether a volume of `bytes` (0: without limit) is what is asked for.
    fn allow(self, bytes: u64) -> bool {
        let bytes = if bytes == 0 { u64::MAX } else { bytes };
        bytes >= self.least && (self.most == 0 || bytes <= self.most)
    }
}
