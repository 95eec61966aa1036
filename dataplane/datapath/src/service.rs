//! What a worker implements to be served by [`crate::server`].

use crate::error::Refusal;
use crate::message::{OpenBlock, OpenUfs, ReadRequest, UfsDone};
use alluxio_host::DiskFile;
use alluxio_types::{BlockId, BlockRange};
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;

/// How a client is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Unix domain socket: same machine, descriptors can be passed.
    Unix,
    /// TCP.
    Tcp,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// User name from the handshake.
    pub user: String,
    /// How it is connected.
    pub transport: Transport,
    /// Its address, for logs.
    pub address: String,
    /// The block token that it presented last; not checked.
    pub token: Option<Arc<[u8]>>,
}

/// The requests of the data protocol. Implemented by the worker.
///
/// Each future is driven by the task of one connection and is dropped when that connection ends;
/// what must go on (a fetch that others wait for) belongs in a task of the service.
#[async_trait]
pub trait DataService: Send + Sync + 'static {
    /// Answers a read. `request.range` lies within `request.block_length` (checked before).
    ///
    /// An empty range MUST be answered at once, with [`ReadAnswer::Accepted`], after the background
    /// caching that it asks for was started (or shed: it is only a wish).
    async fn read(&self, peer: &Peer, request: ReadRequest) -> Result<ReadAnswer, Refusal>;

    /// Starts a write session: one file, one client. Refuse here when there are too many.
    async fn open_session(&self, peer: &Peer) -> Result<Box<dyn WriteSession>, Refusal>;

    /// A client found that bytes of a committed block at `offset` fail their checksum. The service
    /// SHOULD verify the block and drop it when it is bad; it must not trust the report alone.
    async fn report_corrupt(&self, peer: &Peer, block: BlockId, offset: u64);
}

/// How a read is answered.
pub enum ReadAnswer {
    /// The block is committed here. The server lends its descriptor, or sends the range with the
    /// stored checksums; dropping the value ends the lease.
    Block(Arc<dyn HeldBlock>),
    /// The bytes of the range come in order, as they become available.
    Stream(Box<dyn ReadStream>),
    /// There is nothing to send (the range was empty).
    Accepted,
}

/// A committed block under lease: it MUST stay readable, unchanged, until this value is dropped.
#[async_trait]
pub trait HeldBlock: Send + Sync + 'static {
    /// Its length in bytes.
    fn length(&self) -> u64;

    /// Its file, opened for reading only: the descriptor may be lent to another process.
    fn file(&self) -> &dyn DiskFile;

    /// Whether reading it never waits for a device (a tier in memory). The server then reads it
    /// on its own thread.
    fn in_memory(&self) -> bool;

    /// CRC-32C of each chunk of [`crate::CHUNK_BYTES`], the last one shorter. Asked for only when
    /// bytes are sent.
    async fn chunk_crcs(&self) -> Result<Arc<[u32]>, Refusal>;
}

/// Bytes that arrive over time (a block that is being filled, a read that is not cached).
#[async_trait]
pub trait ReadStream: Send {
    /// The next bytes of the range, never empty; `None` exactly at its end. The server cuts large
    /// pieces and computes the checksums.
    ///
    /// **Cancel safety**: it may be dropped at any await, and is not called again then.
    async fn next(&mut self) -> Result<Option<Bytes>, Refusal>;
}

/// An opened temporary block.
pub struct OpenedBlock {
    /// Bytes set aside so far.
    pub granted_bytes: u64,
    /// Its file, opened for writing: lent when the client asked for it and is local. `None` makes
    /// the client send the bytes.
    pub file: Option<Arc<dyn DiskFile>>,
}

/// One write session. Calls come one at a time, in the order in which the client made them.
/// **Dropping** a session aborts all that is not finished: the open block and the UFS file.
#[async_trait]
pub trait WriteSession: Send {
    /// Starts the UFS file.
    async fn open_ufs(&mut self, request: OpenUfs) -> Result<(), Refusal>;

    /// Starts a block. `FailedPrecondition` when one is open.
    async fn open_block(&mut self, request: OpenBlock) -> Result<OpenedBlock, Refusal>;

    /// Sets aside more bytes for the open block; returns all that is set aside now.
    /// `ResourceExhausted` when there is no room; the block stays open.
    async fn grow(&mut self, additional_bytes: u64) -> Result<u64, Refusal>;

    /// Appends bytes (checked against their checksum) to the open block, growing it as needed.
    /// After an error the server passes no more bytes to this block and ends it by
    /// [`WriteSession::abort_block`].
    async fn block_data(&mut self, bytes: Bytes) -> Result<(), Refusal>;

    /// Appends bytes (checked against their checksum) to the UFS file.
    /// After an error the server passes no more bytes and ends it by [`WriteSession::abort_ufs`].
    async fn ufs_data(&mut self, bytes: Bytes) -> Result<(), Refusal>;

    /// Appends bytes of a block to the UFS file: of the open block, which the client writes
    /// through its descriptor, or of any block that is committed on this worker (a file that is
    /// persisted later). Returns when they were read, so that the client may commit the block.
    ///
    /// **Errors**: `NotFound` when this worker has no such block; nothing was appended then, and
    /// the client may send the bytes as data. Any other error ends the UFS file.
    async fn ufs_append_from_block(
        &mut self,
        block: BlockId,
        range: BlockRange,
    ) -> Result<(), Refusal>;

    /// Makes the open block visible. `chunk_crcs` has one CRC-32C per chunk of
    /// [`crate::CHUNK_BYTES`]; the client computed them (descriptor) or the server did (data).
    async fn commit_block(&mut self, length: u64, chunk_crcs: Vec<u32>) -> Result<(), Refusal>;

    /// Drops the open block; fine when none is open.
    async fn abort_block(&mut self);

    /// Completes the UFS file, which must have `length` bytes.
    async fn finish_ufs(&mut self, length: u64) -> Result<UfsDone, Refusal>;

    /// Drops the UFS file; fine when none is open.
    async fn abort_ufs(&mut self);
}
