//! Words of a worker's control service.

use super::ConvertError;
use super::common::mode;
use crate::v1::worker as pb;
use alluxio_types::{BlockId, Code, Fingerprint, Mode, MountId, WorkerAddress};

/// Where a block is in the UFS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UfsSource {
    /// Mount that the file belongs to.
    pub mount: MountId,
    /// Full URI of the file.
    pub ufs_path: String,
    /// Position of the block's first byte in the file.
    pub offset_in_file: u64,
    /// Length of the file in bytes.
    pub file_length: u64,
    /// Version that must be found there.
    pub fingerprint: Fingerprint,
}

/// A block to bring into the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheBlock {
    /// Which.
    pub block: BlockId,
    /// Its length in bytes.
    pub length: u64,
    /// Where it is in the UFS.
    pub source: Option<UfsSource>,
    /// A worker that has it.
    pub peer: Option<WorkerAddress>,
}

/// A block that could not be cached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockFailure {
    /// Which.
    pub block: BlockId,
    /// What happened.
    pub code: Code,
    /// In words.
    pub message: String,
}

/// A file to write to the UFS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Persist {
    /// Mount that it belongs to.
    pub mount: MountId,
    /// Full URI it shall have.
    pub ufs_path: String,
    /// Its blocks in order.
    pub blocks: Vec<PersistBlock>,
    /// Whether a file that is there is replaced.
    pub overwrite: bool,
    /// Owner; empty to leave it alone.
    pub owner: String,
    /// Group; empty to leave it alone.
    pub group: String,
    /// Permission bits.
    pub mode: Mode,
}

/// One block of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersistBlock {
    /// Which.
    pub block: BlockId,
    /// Its length in bytes.
    pub length: u64,
    /// Workers that have it.
    pub locations: Vec<WorkerAddress>,
}

impl From<&UfsSource> for pb::UfsSource {
    fn from(s: &UfsSource) -> Self {
        pb::UfsSource {
            mount_id: s.mount.0,
            ufs_path: s.ufs_path.clone(),
            offset_in_file: s.offset_in_file,
            file_length: s.file_length,
            fingerprint: s.fingerprint.0.clone(),
        }
    }
}

impl From<pb::UfsSource> for UfsSource {
    fn from(s: pb::UfsSource) -> Self {
        UfsSource {
            mount: MountId(s.mount_id),
            ufs_path: s.ufs_path,
            offset_in_file: s.offset_in_file,
            file_length: s.file_length,
            fingerprint: Fingerprint(s.fingerprint),
        }
    }
}

impl From<&CacheBlock> for pb::CacheBlock {
    fn from(b: &CacheBlock) -> Self {
        pb::CacheBlock {
            block_id: b.block.0,
            length: b.length,
            source: b.source.as_ref().map(Into::into),
            peer: b.peer.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<pb::CacheBlock> for CacheBlock {
    type Error = ConvertError;

    fn try_from(b: pb::CacheBlock) -> Result<Self, ConvertError> {
        Ok(CacheBlock {
            block: BlockId(b.block_id),
            length: b.length,
            source: b.source.map(Into::into),
            peer: b.peer.map(TryInto::try_into).transpose()?,
        })
    }
}

impl From<&BlockFailure> for pb::BlockFailure {
    fn from(f: &BlockFailure) -> Self {
        pb::BlockFailure {
            block_id: f.block.0,
            code: f.code.name().to_owned(),
            message: f.message.clone(),
        }
    }
}

impl From<pb::BlockFailure> for BlockFailure {
    fn from(f: pb::BlockFailure) -> Self {
        BlockFailure {
            block: BlockId(f.block_id),
            // A newer worker may know more codes; whatever it is, the block is not there.
            code: Code::from_name(&f.code).unwrap_or(Code::Internal),
            message: f.message,
        }
    }
}

impl From<&Persist> for pb::PersistRequest {
    fn from(p: &Persist) -> Self {
        pb::PersistRequest {
            mount_id: p.mount.0,
            ufs_path: p.ufs_path.clone(),
            blocks: p.blocks.iter().map(Into::into).collect(),
            overwrite: p.overwrite,
            owner: p.owner.clone(),
            group: p.group.clone(),
            mode: p.mode.0.into(),
        }
    }
}

impl TryFrom<pb::PersistRequest> for Persist {
    type Error = ConvertError;

    fn try_from(p: pb::PersistRequest) -> Result<Self, ConvertError> {
        Ok(Persist {
            mount: MountId(p.mount_id),
            ufs_path: p.ufs_path,
            blocks: p.blocks.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            overwrite: p.overwrite,
            owner: p.owner,
            group: p.group,
            mode: mode(p.mode)?,
        })
    }
}

impl From<&PersistBlock> for pb::PersistBlock {
    fn from(b: &PersistBlock) -> Self {
        pb::PersistBlock {
            block_id: b.block.0,
            length: b.length,
            locations: b.locations.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::PersistBlock> for PersistBlock {
    type Error = ConvertError;

    fn try_from(b: pb::PersistBlock) -> Result<Self, ConvertError> {
        Ok(PersistBlock {
            block: BlockId(b.block_id),
            length: b.length,
            locations: b.locations.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_survive_the_wire() {
        let address = WorkerAddress { host: "w1".into(), data_port: 29998, ..Default::default() };
        let block = CacheBlock {
            block: BlockId(7),
            length: 9,
            source: Some(UfsSource {
                mount: MountId(1),
                ufs_path: "s3://b/a".into(),
                offset_in_file: 64,
                file_length: 73,
                fingerprint: Fingerprint("v1".into()),
            }),
            peer: Some(address.clone()),
        };
        assert_eq!(CacheBlock::try_from(pb::CacheBlock::from(&block)), Ok(block));
        let persist = Persist {
            mount: MountId(1),
            ufs_path: "s3://b/a".into(),
            blocks: vec![PersistBlock { block: BlockId(7), length: 9, locations: vec![address] }],
            overwrite: true,
            owner: "ann".into(),
            group: "staff".into(),
            mode: Mode::FILE,
        };
        assert_eq!(Persist::try_from(pb::PersistRequest::from(&persist)), Ok(persist.clone()));
        let mut bad = pb::PersistRequest::from(&persist);
        bad.mode = 0o10000;
        assert!(Persist::try_from(bad).is_err());
        let failure =
            BlockFailure { block: BlockId(7), code: Code::Stale, message: "it changed".into() };
        assert_eq!(BlockFailure::from(pb::BlockFailure::from(&failure)), failure);
    }
}
