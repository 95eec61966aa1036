//! What a caller wants to do with a volume; pure.

use crate::CsiError;
use crate::proto::csi::VolumeCapability;
use crate::proto::csi::volume_capability::AccessType;
use crate::proto::csi::volume_capability::access_mode::Mode;

/// What a caller wants to do with a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Nobody writes.
    pub read_only: bool,
    /// One pod only: ReadWriteOncePod.
    pub one_pod: bool,
    /// `mountOptions` of a StorageClass or a PersistentVolume.
    pub mount_flags: Vec<String>,
}

/// Reads a capability. All modes can be had: a namespace is shared by nature.
///
/// **Errors**: `Missing`, `Invalid` for devices and modes that nobody knows.
pub fn access(capability: Option<&VolumeCapability>) -> Result<Access, CsiError> {
    let capability = capability.ok_or(CsiError::Missing { field: "volume_capability" })?;
    let mount_flags = match &capability.access_type {
        Some(AccessType::Mount(mount)) => mount.mount_flags.clone(),
        Some(AccessType::Block(_)) => {
            return Err(CsiError::invalid(
                "volume_capability",
                "a volume is a file system, not a device (volumeMode: Filesystem)",
            ));
        }
        None => return Err(CsiError::Missing { field: "volume_capability.access_type" }),
    };
    let mode = capability.access_mode.as_ref().map(|mode| mode.mode);
    let mode = mode.ok_or(CsiError::Missing { field: "volume_capability.access_mode" })?;
    let (read_only, one_pod) = match Mode::try_from(mode) {
        Ok(Mode::SingleNodeReaderOnly | Mode::MultiNodeReaderOnly) => (true, false),
        Ok(Mode::SingleNodeSingleWriter) => (false, true),
        Ok(
            Mode::SingleNodeWriter
            | Mode::SingleNodeMultiWriter
            | Mode::MultiNodeSingleWriter
            | Mode::MultiNodeMultiWriter,
        ) => (false, false),
        Ok(Mode::Unknown) | Err(_) => {
            let why = format!("{mode} is no mode that is known");
            return Err(CsiError::invalid("volume_capability.access_mode", why));
        }
    };
    Ok(Access { read_only, one_pod, mount_flags })
}

/// Reads several, as the controller is told them.
///
/// **Errors**: as [`access`]; `Missing` for none at all.
pub fn accesses(capabilities: &[VolumeCapability]) -> Result<Vec<Access>, CsiError> {
    if capabilities.is_empty() {
        return Err(CsiError::Missing { field: "volume_capabilities" });
    }
    capabilities.iter().map(|capability| access(Some(capability))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::csi::volume_capability::{AccessMode, BlockVolume, MountVolume};

    fn capability(mode: Mode) -> VolumeCapability {
        VolumeCapability {
            access_type: Some(AccessType::Mount(MountVolume::default())),
            access_mode: Some(AccessMode { mode: mode.into() }),
        }
    }

    #[test]
    fn modes_become_what_they_mean() {
        let read = |mode| access(Some(&capability(mode))).map(|a| (a.read_only, a.one_pod));
        assert_eq!(read(Mode::MultiNodeReaderOnly).unwrap(), (true, false));
        assert_eq!(read(Mode::SingleNodeSingleWriter).unwrap(), (false, true));
        assert_eq!(read(Mode::MultiNodeMultiWriter).unwrap(), (false, false));
        assert!(read(Mode::Unknown).is_err());
        let block = VolumeCapability {
            access_type: Some(AccessType::Block(BlockVolume {})),
            ..capability(Mode::SingleNodeWriter)
        };
        assert!(access(Some(&block)).unwrap_err().to_string().contains("not a device"));
        assert!(access(None).is_err() && accesses(&[]).is_err());
    }
}
