//! Where bytes of a file lie in its blocks. Pure.

use alluxio_types::{BlockId, BlockRange, FileStatus};

/// One block of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockPart {
    /// 0-based position of the block in the file.
    pub(crate) index: u64,
    /// Its id.
    pub(crate) block: BlockId,
    /// Its whole length in bytes.
    pub(crate) block_length: u64,
    /// Position of its first byte in the file.
    pub(crate) block_offset: u64,
    /// Bytes of the block that are meant.
    pub(crate) range: BlockRange,
}

/// The block that `position` lies in, with the bytes from there to the block's end but no more than
/// `wanted`; `None` at and beyond the end of the file.
pub(crate) fn part_at(status: &FileStatus, position: u64, wanted: u64) -> Option<BlockPart> {
    if position >= status.length || status.block_size_bytes == 0 {
        return None;
    }
    let index = position / status.block_size_bytes;
    let block_length = status.block_length(index);
    let block_offset = index * status.block_size_bytes;
    let start = position - block_offset;
    let end = block_length.min(start.saturating_add(wanted));
    let range = BlockRange { start, end };
    Some(BlockPart { index, block: status.id.block(index), block_length, block_offset, range })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use alluxio_types::{
        FileKind, Fingerprint, InodeId, Mode, MountId, PersistenceState, TtlAction, UnixMillis,
    };
    use proptest::prelude::*;

    /// A complete file of container 9, at `/f`.
    pub(crate) fn file(length: u64, block_size_bytes: u64) -> FileStatus {
        FileStatus {
            id: InodeId::from_container(9),
            name: "f".into(),
            path: "/f".into(),
            ufs_path: "/ufs/f".into(),
            kind: FileKind::File,
            length,
            block_size_bytes,
            created: UnixMillis(1),
            modified: UnixMillis(1),
            accessed: UnixMillis(1),
            completed: true,
            pinned: false,
            persistence: PersistenceState::Persisted,
            mount_point: false,
            mount_id: MountId(1),
            owner: "ann".into(),
            group: "staff".into(),
            mode: Mode::FILE,
            ttl_ms: None,
            ttl_action: TtlAction::Free,
            replication_min: 0,
            replication_max: None,
            fingerprint: Fingerprint("v1".into()),
            blocks: Vec::new(),
            in_alluxio_percent: 0,
            in_memory_percent: 0,
            xattr: Default::default(),
            target: String::new(),
        }
    }

    proptest! {
        #[test]
        fn parts_tile_what_is_wanted(
            length in 0u64..1000, block in 1u64..300, from in 0u64..1100, wanted in 1u64..1200,
        ) {
            let status = file(length, block);
            let end = length.min(from + wanted);
            let mut at = from;
            while let Some(part) = part_at(&status, at, (from + wanted).saturating_sub(at)) {
                if part.range.is_empty() { break; }
                prop_assert_eq!(part.block_offset + part.range.start, at);
                prop_assert!(part.range.end <= part.block_length);
                prop_assert_eq!(part.block, status.id.block(part.index));
                at = part.block_offset + part.range.end;
            }
            prop_assert_eq!(at, end.max(from));
        }
    }
}
