//! Reading a file: in order, at positions, many ranges at once, and without a copy.
//!
//! A block of this host is opened once and then read in place, without messages. Everything else
//! comes as a stream. When a worker fails, the read goes on with another source at the position
//! that was reached; the caller sees no error while any source works. All bytes that one reader
//! returns belong to one version of the file.

mod failover;
mod local_blocks;
mod open;

use crate::error::ClientError;
use crate::fs::Inner;
use crate::layout::{BlockPart, part_at};
use crate::options::OpenFileOptions;
use alluxio_config::LocationPolicy;
use alluxio_datapath::client::{LocalBlock, RemoteStream, Target};
use alluxio_types::{BlockId, BlockInfo, BlockLocation, FileStatus, ReadType, WorkerId};
use bytes::{Bytes, BytesMut};
use local_blocks::LocalBlocks;
use std::collections::{BTreeMap, BTreeSet};
use std::io::SeekFrom;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex as AsyncMutex;

/// Longest piece that a copy for [`FileReader::read_at_bytes`] makes at a time.
const COPY_BYTES_MAX: usize = 1 << 20;

/// An open file. Reading at positions takes `&self` and may be done from several tasks at once;
/// [`FileReader::read`] moves the reader's own position.
///
/// **Cancel safety**: every call may be dropped; what it had read is lost, the reader stays good.
pub struct FileReader {
    inner: Arc<Inner>,
    read_type: ReadType,
    ufs_policy: LocationPolicy,
    state: Mutex<State>,
    cursor: AsyncMutex<Cursor>,
    position: u64,
}

/// What a reader has learned so far.
struct State {
    status: Arc<FileStatus>,
    /// Grows when another version of the file is adopted.
    version: u64,
    /// Whether a byte was handed out: then the version is fixed.
    delivered: bool,
    local: LocalBlocks,
    /// Locations that are newer than those of the status.
    locations: BTreeMap<BlockId, Vec<BlockLocation>>,
    /// Workers that failed this reader, and when (monotonic).
    failed: BTreeMap<WorkerId, Duration>,
    /// What was tried since the last byte.
    trouble: Trouble,
    /// Blocks whose descriptor could not be read: they are streamed from now on.
    not_in_place: BTreeSet<BlockId>,
    /// Blocks that the local worker was asked to copy.
    passive_asked: BTreeSet<BlockId>,
}

/// What was tried in vain since the last byte came.
#[derive(Debug, Clone, Copy, Default)]
struct Trouble {
    tries: u32,
    pauses: u32,
    /// When it began (monotonic).
    since: Option<Duration>,
}

/// The stream that in-order reads go on with.
#[derive(Default)]
struct Cursor {
    stream: Option<OpenStream>,
    /// Where the last read ended: a read that starts there is in order.
    last_end: u64,
}

/// A stream of one block from one worker.
struct OpenStream {
    block: BlockId,
    worker: WorkerId,
    target: Target,
    /// Whether the worker had failed before it was asked for this.
    failed_before: bool,
    /// Whether bytes came from it.
    progressed: bool,
    stream: Box<RemoteStream>,
}

/// A block as a worker gave it.
enum Opened {
    Local(LocalBlock),
    Stream(OpenStream),
}

impl FileReader {
    pub(crate) fn open(
        inner: Arc<Inner>,
        status: Arc<FileStatus>,
        options: &OpenFileOptions,
    ) -> Result<Self, ClientError> {
        check_readable(&status)?;
        let config = &inner.config;
        Ok(FileReader {
            read_type: options.read_type.unwrap_or(config.read_type),
            ufs_policy: options.ufs_read_policy.unwrap_or(config.policies.ufs_read),
            state: Mutex::new(State {
                status,
                version: 0,
                delivered: false,
                local: LocalBlocks::default(),
                locations: BTreeMap::new(),
                failed: BTreeMap::new(),
                trouble: Trouble::default(),
                not_in_place: BTreeSet::new(),
                passive_asked: BTreeSet::new(),
            }),
            cursor: AsyncMutex::default(),
            position: 0,
            inner,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The version of the file that is read. It may change until the first byte was read.
    pub fn status(&self) -> Arc<FileStatus> {
        self.state().status.clone()
    }

    /// Length of the file in bytes.
    pub fn length(&self) -> u64 {
        self.state().status.length
    }

    /// Position of the next [`FileReader::read`].
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Bytes from the position to the end.
    pub fn remaining(&self) -> u64 {
        self.length().saturating_sub(self.position)
    }

    /// Moves the position; returns the new one. The end of the file is the last valid position.
    ///
    /// **Errors**: `OutOfRange`, and the position stays.
    pub fn seek(&mut self, to: SeekFrom) -> Result<u64, ClientError> {
        let length = self.length();
        let target = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => length.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        match target.filter(|target| *target <= length) {
            Some(target) => {
                self.position = target;
                Ok(target)
            }
            None => Err(ClientError::OutOfRange {
                path: self.state().status.path.clone(),
                position: target.unwrap_or(u64::MAX),
                length,
            }),
        }
    }

    /// Moves the position forward, at most to the end; returns by how much.
    pub fn skip(&mut self, count: u64) -> u64 {
        let skipped = count.min(self.remaining());
        self.position += skipped;
        skipped
    }

    /// Reads the next bytes: at least one, at most `buffer.len()`; 0 at the end of the file.
    pub async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ClientError> {
        let count = self.fill(buffer, self.position, true).await?;
        self.position += count as u64;
        Ok(count)
    }

    /// The next bytes without a copy where they lie on this host: at least one, at most `wanted`,
    /// never beyond the end of a block; empty at the end of the file.
    pub async fn read_bytes(&mut self, wanted: usize) -> Result<Bytes, ClientError> {
        let bytes = self.bytes(self.position, wanted, true).await?;
        self.position += bytes.len() as u64;
        Ok(bytes)
    }

    /// All bytes from the position on.
    pub async fn read_to_end(&mut self) -> Result<Vec<u8>, ClientError> {
        let mut all = vec![0; usize::try_from(self.remaining()).unwrap_or(usize::MAX)];
        let count = self.read(&mut all).await?;
        all.truncate(count);
        Ok(all)
    }

    /// Fills `buffer` from `offset` on; returns how many bytes there were: fewer than asked for
    /// only at the end of the file.
    pub async fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ClientError> {
        self.fill(buffer, offset, false).await
    }

    /// Like [`FileReader::read_at`], when that needs no waiting at all: `None` unless all bytes lie
    /// in blocks of this host that are open already and in memory. For callers that serve many
    /// small reads from one thread.
    pub fn try_read_at(
        &self,
        buffer: &mut [u8],
        offset: u64,
    ) -> Result<Option<usize>, ClientError> {
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let Some(place) = self.place(at, buffer.len() - done) else { break };
            let (part, Some(local)) = (place.part, place.local) else { return Ok(None) };
            let into = &mut buffer[done..done + part.range.len() as usize];
            match local.try_read_at(into, part.range.start) {
                Ok(Some(count)) if count > 0 && self.deliver(place.version) => done += count,
                // A block that cannot be read in place is read, and its trouble handled, slowly.
                Ok(_) | Err(_) => return Ok(None),
            }
        }
        Ok(Some(done))
    }

    /// Bytes from `offset` on without a copy where they lie on this host: at least one, at most
    /// `wanted`, never beyond the end of a block; empty at and beyond the end of the file. What is
    /// not on this host is copied, 1 MiB at a time.
    ///
    /// The bytes keep their block's mapping, and the lease on it, until they are dropped.
    pub async fn read_at_bytes(&self, offset: u64, wanted: usize) -> Result<Bytes, ClientError> {
        self.bytes(offset, wanted, false).await
    }

    /// Fills several buffers from their positions, in order; returns the bytes there were for each.
    pub async fn read_vectored_at(
        &self,
        parts: &mut [(u64, &mut [u8])],
    ) -> Result<Vec<usize>, ClientError> {
        let mut counts = Vec::with_capacity(parts.len());
        for (offset, buffer) in parts {
            counts.push(self.fill(buffer, *offset, false).await?);
        }
        Ok(counts)
    }

    /// The bytes of several ranges; each is without a copy if it lies in one block of this host.
    /// A range that goes beyond the end of the file is cut there.
    pub async fn read_ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ClientError> {
        let mut all = Vec::with_capacity(ranges.len());
        for range in ranges {
            let end = range.end.min(self.length()).max(range.start);
            let wanted = usize::try_from(end - range.start).unwrap_or(usize::MAX);
            let first = self.bytes(range.start, wanted, false).await?;
            if first.len() == wanted {
                all.push(first);
                continue;
            }
            let mut joined = BytesMut::zeroed(wanted);
            joined[..first.len()].copy_from_slice(&first);
            let at = range.start + first.len() as u64;
            let count = self.fill(&mut joined[first.len()..], at, false).await?;
            joined.truncate(first.len() + count);
            all.push(joined.freeze());
        }
        Ok(all)
    }

    /// The block of a file that has one only, if a worker of this host has it and hands out its
    /// descriptor: for who passes that on to the kernel. The version of the file is fixed then.
    pub async fn whole_in_place(&self) -> Result<Option<LocalBlock>, ClientError> {
        let status = self.status();
        let Some(place) = self.place(0, usize::MAX) else { return Ok(None) };
        if place.part.block_length != status.length {
            return Ok(None);
        }
        if place.local.is_some() {
            return Ok(place.local.filter(|_| self.deliver(place.version)));
        }
        let nearby = self.inner.nearby();
        let on_this_host =
            |block: &BlockInfo| block.locations.iter().any(|l| nearby.has(l.worker, &l.address));
        if !status.blocks.first().is_some_and(on_this_host) {
            return Ok(None);
        }
        match self.open_block(place.part, true).await? {
            Some(Opened::Local(local)) => {
                self.state().local.insert(place.part.block, local.clone());
                Ok(Some(local).filter(|_| self.deliver(place.version)))
            }
            Some(Opened::Stream(stream)) => {
                self.leave(stream).await;
                Ok(None)
            }
            None => Ok(None),
        }
    }

    /// What lies at `at`.
    fn place(&self, at: u64, wanted: usize) -> Option<Place> {
        let mut state = self.state();
        let part = part_at(&state.status, at, wanted as u64)?;
        let local = state.local.get(part.block);
        Some(Place { part, version: state.version, local })
    }

    /// Fixes the version, because bytes of it are about to be handed out. `false` when another
    /// version was adopted since they were read: they must be thrown away.
    fn deliver(&self, version: u64) -> bool {
        let mut state = self.state();
        if state.version != version {
            return false;
        }
        state.delivered = true;
        state.trouble = Trouble::default();
        true
    }

    /// A block of this host that cannot be read in place is streamed instead.
    fn give_up_in_place(&self, block: BlockId, error: Option<alluxio_datapath::Error>) {
        if let Some(error) = error {
            tracing::warn!(%block, %error, "a block cannot be read in place");
        }
        let mut state = self.state();
        state.local.remove(block);
        state.not_in_place.insert(block);
    }

    async fn fill(
        &self,
        buffer: &mut [u8],
        offset: u64,
        in_order: bool,
    ) -> Result<usize, ClientError> {
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let Some(place) = self.place(at, buffer.len() - done) else { break };
            let part = place.part;
            let into = &mut buffer[done..done + part.range.len() as usize];
            let outcome = match place.local {
                Some(local) => match local.read_at(into, part.range.start).await {
                    Ok(count) if count > 0 => Ok(count),
                    outcome => {
                        self.give_up_in_place(part.block, outcome.err());
                        continue;
                    }
                },
                None => self.read_streamed(part, into, in_order).await,
            };
            match outcome {
                Ok(0) => {}
                Ok(count) if self.deliver(place.version) => done += count,
                Ok(_) => done = 0,
                // What was read is good; the error comes again with the next call.
                Err(_) if in_order && done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// Reads some bytes of a block that is not open here; 0 when the caller must look again: the
    /// block is open here now, or another version of the file was adopted.
    async fn read_streamed(
        &self,
        part: BlockPart,
        into: &mut [u8],
        in_order: bool,
    ) -> Result<usize, ClientError> {
        let mut cursor = if in_order {
            Some(self.cursor.lock().await)
        } else {
            // Another task is reading in order: this one gets a request of its own.
            self.cursor.try_lock().ok()
        };
        let at = part.block_offset + part.range.start;
        let mut kept = None;
        let mut long = in_order;
        if let Some(cursor) = cursor.as_deref_mut() {
            long |= at > 0 && cursor.last_end == at;
            kept = cursor.stream.take();
        }
        let mut stream = match kept {
            Some(open)
                if open.block == part.block && open.stream.position() == part.range.start =>
            {
                open
            }
            other => {
                if let Some(left) = other {
                    self.leave(left).await;
                }
                match self.open_block(part, long).await? {
                    None => return Ok(0),
                    Some(Opened::Local(local)) => {
                        self.state().local.insert(part.block, local);
                        return Ok(0);
                    }
                    Some(Opened::Stream(stream)) => stream,
                }
            }
        };
        let worker = stream.worker;
        match stream.stream.read(into).await {
            Ok(count) if count > 0 => {
                stream.progressed = true;
                let end = at + count as u64;
                let rest = stream.stream.position() < part.block_length && long;
                match cursor.as_deref_mut() {
                    Some(cursor) if rest => {
                        cursor.stream = Some(stream);
                        cursor.last_end = end;
                    }
                    other => {
                        if let Some(cursor) = other {
                            cursor.last_end = end;
                        }
                        self.leave(stream).await;
                    }
                }
                self.worked(worker);
                Ok(count)
            }
            // The stream had been asked for fewer bytes than are wanted now.
            Ok(_) => {
                self.leave(stream).await;
                Ok(0)
            }
            // Worked, and broke: perhaps only because nobody read for long. Asking again tells.
            Err(error) if stream.progressed && is_broken(&error) => Ok(0),
            Err(error) => {
                let (target, before) = (&stream.target, stream.failed_before);
                self.failed(&part, worker, target, before, error).await?;
                Ok(0)
            }
        }
    }

    /// Ends a stream; its connection is kept if that is cheap.
    async fn leave(&self, stream: OpenStream) {
        if let Err(error) = stream.stream.finish().await {
            tracing::debug!(%error, target = %stream.target, "a stream did not end well");
        }
    }

    async fn bytes(
        &self,
        offset: u64,
        wanted: usize,
        in_order: bool,
    ) -> Result<Bytes, ClientError> {
        loop {
            let Some(place) = self.place(offset, wanted).filter(|_| wanted > 0) else {
                return Ok(Bytes::new());
            };
            let part = place.part;
            if let Some(local) = place.local {
                match local.bytes_at(part.range.start, part.range.len() as usize) {
                    Ok(bytes) if self.deliver(place.version) => return Ok(bytes),
                    Ok(_) => continue,
                    Err(error) => {
                        self.give_up_in_place(part.block, Some(error));
                        continue;
                    }
                }
            }
            let length = (part.range.len() as usize).min(COPY_BYTES_MAX);
            let mut copy = BytesMut::zeroed(length);
            let count = self.read_streamed(part, &mut copy, in_order).await?;
            if count > 0 && self.deliver(place.version) {
                copy.truncate(count);
                return Ok(copy.freeze());
            }
        }
    }
}

/// What lies at a position of the file.
struct Place {
    part: BlockPart,
    /// Version that the part belongs to.
    version: u64,
    /// Its block, if it is open here.
    local: Option<LocalBlock>,
}

/// Whether the connection, as opposed to the worker or the block, is the trouble.
fn is_broken(error: &alluxio_datapath::Error) -> bool {
    use alluxio_datapath::Error;
    matches!(error, Error::Broken { .. } | Error::Closed { .. })
}

fn check_readable(status: &FileStatus) -> Result<(), ClientError> {
    let path = || status.path.clone();
    if status.is_directory() {
        return Err(ClientError::IsADirectory { path: path() });
    }
    if status.is_symlink() {
        return Err(ClientError::IsASymlink { path: path() });
    }
    if !status.completed {
        return Err(ClientError::Incomplete { path: path() });
    }
    Ok(())
}
