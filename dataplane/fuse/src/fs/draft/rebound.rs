//! Nodes whose bytes this mount has replaced: their numbers do not lead to their inodes any more, and the
//! kernel goes on using the numbers after a process is gone.

use alluxio_datapath::checksum::crc32c;
use alluxio_types::InodeId;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Node, inode, checksum of both.
const ENTRY_BYTES: usize = 20;
/// Entries that a process takes over from the one before it, the newest ones: 1.3 MB. A node that is older
/// is found again by its name, but not by a program that has had it open all the time.
const ENTRIES_MAX: usize = 1 << 16;

/// The file that says so; it grows until the next process begins.
pub(super) struct Rebound {
    file: File,
}

impl Rebound {
    /// Opens the file, and says what is in it.
    pub(super) fn open(path: &Path) -> io::Result<(Self, HashMap<u64, InodeId>)> {
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let all: Vec<_> = bytes.chunks_exact(ENTRY_BYTES).filter_map(entry).collect();
        let newest = &all[all.len().saturating_sub(ENTRIES_MAX)..];
        if newest.len() * ENTRY_BYTES < bytes.len() {
            // Old ones, or one that was cut off.
            let kept = newest.iter().flat_map(|(node, inode)| encode(*node, *inode));
            let beside = path.with_extension("new");
            std::fs::write(&beside, kept.collect::<Vec<u8>>())?;
            std::fs::rename(&beside, path)?;
            file = OpenOptions::new().append(true).open(path)?;
        }
        Ok((Rebound { file }, newest.iter().copied().collect()))
    }

    /// From now on a node leads to an inode.
    pub(super) fn note(&self, node: u64, inode: InodeId) -> io::Result<()> {
        (&self.file).write_all(&encode(node, inode))
    }
}

fn encode(node: u64, inode: InodeId) -> [u8; ENTRY_BYTES] {
    let mut bytes = [0; ENTRY_BYTES];
    bytes[..8].copy_from_slice(&node.to_le_bytes());
    bytes[8..16].copy_from_slice(&inode.0.to_le_bytes());
    let sum = crc32c(&bytes[..16]);
    bytes[16..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn entry(bytes: &[u8]) -> Option<(u64, InodeId)> {
    let node = u64::from_le_bytes(*bytes.first_chunk()?);
    let inode = u64::from_le_bytes(*bytes.get(8..)?.first_chunk()?);
    let inode = InodeId(inode);
    (encode(node, inode) == bytes).then_some((node, inode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_on_a_node_counts_and_one_that_is_cut_off_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rebound");
        let (rebound, none) = Rebound::open(&path).unwrap();
        assert!(none.is_empty());
        for (node, inode) in [(7, 1), (8, 2), (7, 3)] {
            rebound.note(node, InodeId(inode)).unwrap();
        }
        (&rebound.file).write_all(&encode(8, InodeId(9))[..13]).unwrap();
        for _ in 0..2 {
            let (again, found) = Rebound::open(&path).unwrap();
            assert_eq!(found, [(7, InodeId(3)), (8, InodeId(2))].into());
            again.note(7, InodeId(3)).unwrap();
        }
    }
}
