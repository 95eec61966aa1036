//! What is said on a connection, as plain values. [`crate::codec`] puts them into bytes;
//! `WIRE.md` is the specification of both.

use alluxio_types::{
    BlockId, BlockRange, Fingerprint, Mode, MountId, ReadType, WorkerAddress, WorkerId,
};
use std::sync::{Arc, OnceLock};

/// Bytes that share one checksum: blocks are cut into chunks of this size from their start. The
/// same size is used beside stored block files, so that stored checksums travel unchanged.
pub const CHUNK_BYTES: u64 = 64 * 1024;

/// Most payload bytes of one `Data` frame. 16 chunks: large enough that the cost of a frame
/// (about 3 system calls) is below 1 % of moving its bytes, small enough that a cancel is noticed
/// within a millisecond.
pub const DATA_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of a frame when `wanted` are wished for: whole chunks, at least one, at most
/// [`DATA_BYTES_MAX`].
pub(crate) fn frame_bytes(wanted: usize) -> usize {
    let chunk = CHUNK_BYTES as usize;
    (wanted - wanted % chunk).clamp(chunk, DATA_BYTES_MAX)
}

/// Longest text of any field: paths, names, messages.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Version of the protocol spoken here. 2 has block tokens; everything else is as in 1.
pub const VERSION: u16 = 2;
/// First version in which a client may present a token.
pub const VERSION_OF_TOKENS: u16 = 2;

/// The cluster that a process belongs to, as soon as it knows. Clones share what one of them learns.
#[derive(Debug, Clone, Default)]
pub struct ClusterName(Arc<OnceLock<String>>);

impl ClusterName {
    /// Keeps the name. Only the first one counts: nobody changes clusters while running.
    pub fn learn(&self, name: &str) {
        if !name.is_empty() {
            // A second name is another cluster's; whoever found it reports that.
            let _ = self.0.set(name.to_owned());
        }
    }

    /// The name; empty while it is not known.
    pub fn get(&self) -> &str {
        self.0.get().map_or("", String::as_str)
    }
}

impl<T: AsRef<str>> From<T> for ClusterName {
    fn from(name: T) -> Self {
        let cluster = ClusterName::default();
        cluster.learn(name.as_ref());
        cluster
    }
}

/// First frame of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Highest version that the client speaks.
    pub version: u16,
    /// Cluster that the client means; empty when it does not know.
    pub cluster_id: String,
    /// Who the client says it is (SIMPLE authentication).
    pub user: String,
}

/// The server's answer to [`Hello`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// Version that both will speak.
    pub version: u16,
    /// Cluster of the server; empty when it does not know yet.
    pub cluster_id: String,
    /// Which worker this is.
    pub worker: WorkerId,
}

/// Where a worker that does not have a block can get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UfsSource {
    /// Mount that the file belongs to; the worker knows its options.
    pub mount: MountId,
    /// Full URI of the file.
    pub ufs_path: String,
    /// Position of the block's first byte in the file.
    pub offset_in_file: u64,
    /// Length of the file in bytes.
    pub file_length: u64,
    /// Version that must be found there; another one is refused with `Code::Stale`.
    pub fingerprint: Fingerprint,
}

/// Asks for bytes of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRequest {
    /// Which block.
    pub block: BlockId,
    /// Its whole length in bytes.
    pub block_length: u64,
    /// Bytes wanted, within the block. An **empty** range asks for no bytes: the worker starts to
    /// cache the block in the background, as `read_type`, `passive_source` and `source` say, and
    /// answers at once with the end of an empty stream.
    pub range: BlockRange,
    /// Whether the client can use a descriptor. It is lent when the connection is local and the
    /// block is committed; otherwise the bytes are streamed.
    pub want_fd: bool,
    /// What the read leaves behind.
    pub read_type: ReadType,
    /// Whether a part that is read brings the whole block into the cache, in the background.
    pub cache_whole_block: bool,
    /// A worker that has the block: the cheaper place to copy it from, when `source` is there too.
    pub passive_source: Option<WorkerAddress>,
    /// Where the block is in the UFS; `None` when it is not there.
    pub source: Option<UfsSource>,
}

/// Starts the UFS file of a write session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenUfs {
    /// Mount that the file belongs to.
    pub mount: MountId,
    /// Full URI of the file.
    pub ufs_path: String,
    /// Whether a file that is there is replaced; otherwise it is an error.
    pub overwrite: bool,
    /// Owner for stores that have owners; empty to leave it alone.
    pub owner: String,
    /// Group for stores that have groups; empty to leave it alone.
    pub group: String,
    /// Permission bits for stores that have them.
    pub mode: Mode,
}

/// Starts a block of a write session. One block is open at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenBlock {
    /// Which block.
    pub block: BlockId,
    /// Bytes to set aside at once.
    pub reserve_bytes: u64,
    /// Tier to start looking for room: 0 is the top, 1 the next; -1 is the lowest.
    pub tier: i32,
    /// Whether the client can write into a descriptor of the temporary block.
    pub want_fd: bool,
    /// Whether the block may not be evicted once it is committed.
    pub pinned: bool,
}

/// What a finished UFS file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UfsDone {
    /// Version that was written.
    pub fingerprint: Fingerprint,
    /// Its length in bytes.
    pub length: u64,
}

/// Where the bytes of a `Data` frame of a write session go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Targets {
    /// Into the open block.
    pub block: bool,
    /// To the open UFS file.
    pub ufs: bool,
}

/// Which part of a write session a failure belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailedPart {
    /// The request with the frame's id.
    Request,
    /// The open block; the UFS file goes on.
    Block,
    /// The open UFS file; the block goes on.
    Ufs,
}
