//! Start: adopt the blocks that are whole, remove what is not.
//!
//! A block is adopted when its file is as long as its sidecar says and the sidecar is intact. That
//! costs one small read per block; its bytes are checked on the first use. Bytes are never
//! trusted before that, because nothing was synced when they were written.

use crate::checksum::ChunkCrcs;
use crate::identity::{IDENTITY_FILE, read_small};
use crate::lease::Stored;
use crate::space::Dir;
use crate::state::Slot;
use crate::store::Inner;
use alluxio_types::BlockId;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

/// What was found at start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecoveryReport {
    /// Blocks adopted.
    pub adopted_blocks: u64,
    /// Their bytes.
    pub adopted_bytes: u64,
    /// Temporary files removed.
    pub temp_files: u64,
    /// Blocks removed because they or their sidecar are damaged or incomplete.
    pub damaged_blocks: u64,
    /// Blocks removed because another directory has them too, or the quota is smaller now.
    pub surplus_blocks: u64,
    /// Files that are not ours; left where they are.
    pub foreign_files: u64,
}

/// Scans all directories of a store that holds nothing yet.
pub(crate) fn adopt(inner: &Arc<Inner>) -> RecoveryReport {
    let mut report = RecoveryReport::default();
    for dir in inner.dirs() {
        if let Err(error) = adopt_dir(inner, dir, &mut report) {
            let path = dir.path.display();
            tracing::error!(%path, %error, "storage directory is lost");
            dir.mark_lost(error.to_string());
        }
    }
    report
}

fn adopt_dir(inner: &Arc<Inner>, dir: &Arc<Dir>, report: &mut RecoveryReport) -> io::Result<()> {
    let temp_root = &dir.temp_root;
    for name in inner.disk.list(temp_root)? {
        inner.disk.remove_file(&temp_root.join(name))?;
        report.temp_files += 1;
    }
    let mut blocks = Vec::new();
    let mut sidecars = BTreeSet::new();
    for name in inner.disk.list(&dir.root)? {
        match name.strip_suffix(".crc") {
            Some(id) if parse_id(id).is_some() => {
                sidecars.extend(parse_id(id));
            }
            None if parse_id(&name).is_some() => blocks.extend(parse_id(&name)),
            _ if name.starts_with('.') => {}
            _ => report.foreign_files += 1,
        }
    }
    debug_assert!(IDENTITY_FILE.starts_with('.'));
    for block in blocks {
        let has_sidecar = sidecars.remove(&block);
        let length = if has_sidecar { whole_length(inner, dir, block)? } else { None };
        let Some(length) = length else {
            report.damaged_blocks += 1;
            inner.unlink(dir, block);
            continue;
        };
        if adopt_block(inner, dir, block, length) {
            report.adopted_blocks += 1;
            report.adopted_bytes += length;
        } else {
            report.surplus_blocks += 1;
            inner.unlink(dir, block);
        }
    }
    for block in sidecars {
        inner.disk.remove_file(&dir.sidecar_path(block))?;
    }
    Ok(())
}

/// A block id as this store writes it: decimal, no sign, no leading zeros.
fn parse_id(text: &str) -> Option<BlockId> {
    let id: u64 = text.parse().ok()?;
    (id.to_string() == text).then_some(BlockId(id))
}

/// Length of a block whose file and sidecar agree.
fn whole_length(inner: &Inner, dir: &Dir, block: BlockId) -> io::Result<Option<u64>> {
    let facts = inner.disk.facts(&dir.block_path(block))?;
    let sidecar = match read_small(&*inner.disk, &dir.sidecar_path(block)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(match ChunkCrcs::decode(block, &sidecar) {
        Ok(crcs) if !facts.is_directory && crcs.length() == facts.length => Some(facts.length),
        _ => None,
    })
}

/// False when the block is in a higher tier too (a move was cut short), or does not fit any more.
fn adopt_block(inner: &Arc<Inner>, dir: &Arc<Dir>, block: BlockId, length: u64) -> bool {
    let mut map = inner.shards.of(block).lock();
    if map.contains_key(&block) {
        return false;
    }
    let Some(space) = dir.try_reserve(length) else { return false };
    map.insert(block, Slot::Committed(Stored::new(block, length, false, Arc::new(space))));
    drop(map);
    inner.tiers[dir.tier].order_insert(block);
    true
}
