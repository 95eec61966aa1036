//! Keys of where the master's tree lies.

use crate::reader::Reader;
use crate::spec::{Kind, Roles, keys};
use std::path::PathBuf;

const MASTER: Roles = Roles::MASTER;

/// Memory of an inode with everything around it, rounded up.
const INODE_BYTES: u64 = 128;

keys! {
    /// Where the tree lies: HEAP = in memory, about 110 bytes for each file; ROCKS = in a file that the
    /// kernel pages in and out, for trees larger than the memory.
    METASTORE = "alluxio.master.metastore", Kind::Enum(&["HEAP", "ROCKS"]), default: Some("HEAP"),
        roles: MASTER;
    /// Local directory of that file. What is in it is scratch: the journal has everything.
    DIR = "alluxio.master.metastore.dir", Kind::Text,
        default: Some("${alluxio.work.dir}/metastore"), roles: MASTER;
    /// Inodes that a tree in a file keeps in memory; 0 leaves that to the kernel, which takes what
    /// nobody else needs.
    CACHE_INODES = "alluxio.master.metastore.inode.cache.max.size", Kind::int(0, i64::MAX >> 8),
        default: Some("0"), roles: MASTER;
}

/// Where the master's tree lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetastoreConfig {
    /// In memory.
    Heap,
    /// In a file.
    File {
        /// Directory of the file.
        dir: PathBuf,
        /// Bytes of it that may be in memory; `None` = the kernel decides.
        resident_bytes: Option<u64>,
    },
}

pub(crate) fn section(r: &mut Reader<'_>) -> MetastoreConfig {
    if r.text(&METASTORE) == "HEAP" {
        return MetastoreConfig::Heap;
    }
    let inodes = r.int(&CACHE_INODES).unsigned_abs();
    MetastoreConfig::File {
        dir: r.path(&DIR),
        resident_bytes: (inodes > 0).then(|| inodes.saturating_mul(INODE_BYTES)),
    }
}
