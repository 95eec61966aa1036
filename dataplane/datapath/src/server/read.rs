//! Answers reads: lends a descriptor, or sends bytes with their checksums.

use super::choose::{Facts, SendPath, choose_path};
use super::connection::{Connection, unless_cancelled, was_cancelled};
use super::{ServerCounters, Shared};
use crate::checksum::{chunk_count, crc32c, piece_crcs};
use crate::error::{Error, Refusal};
use crate::frame::{DataHead, Frame};
use crate::message::{CHUNK_BYTES, FailedPart, ReadRequest, Targets, frame_bytes};
use crate::service::{HeldBlock, ReadAnswer, ReadStream};
use alluxio_types::{BlockRange, Code};
use bytes::Bytes;
use std::io;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Bytes sent by a read carry no target.
const NO_TARGETS: Targets = Targets { block: false, ufs: false };

/// How sending ended, when the connection itself is fine.
enum Sent {
    All,
    CutShort,
    Failed(Refusal),
    /// A stored chunk does not match its stored checksum.
    Corrupt {
        offset: u64,
    },
}

impl Connection {
    pub(super) async fn serve_read(&mut self, id: u32, request: ReadRequest) -> Result<(), Error> {
        let (block_id, range, want_fd) = (request.block, request.range, request.want_fd);
        let service = self.shared.service.clone();
        let asked = service.read(&self.peer, request);
        let answer = unless_cancelled(&mut self.link, &mut self.leases, id, asked).await?;
        let sent = match answer {
            None => Sent::CutShort,
            Some(Err(refusal)) => Sent::Failed(refusal),
            Some(Ok(ReadAnswer::Accepted)) if range.is_empty() => Sent::All,
            Some(Ok(ReadAnswer::Accepted)) => Sent::Failed(Refusal::new(
                Code::Internal,
                "the worker answered a read of bytes with none",
            )),
            Some(Ok(ReadAnswer::Block(block))) => {
                match self.send_block(id, block, range, want_fd).await? {
                    Some(sent) => sent,
                    None => return Ok(()),
                }
            }
            Some(Ok(ReadAnswer::Stream(stream))) => {
                ServerCounters::add(&self.shared.counters.reads_streamed, 1);
                self.send_stream(id, stream, range).await?
            }
        };
        match sent {
            Sent::Corrupt { offset } => {
                self.shared.service.report_corrupt(&self.peer, block_id, offset).await;
                let message = format!("the chunk at {offset} fails its checksum on disk");
                self.refuse(id, FailedPart::Request, Refusal::new(Code::DataLoss, message)).await
            }
            Sent::All => self.answer(id, &Frame::End { cut_short: false }).await,
            Sent::CutShort => self.answer(id, &Frame::End { cut_short: true }).await,
            Sent::Failed(refusal) => self.refuse(id, FailedPart::Request, refusal).await,
        }
    }

    /// Lends the block (`None`) or sends its bytes.
    async fn send_block(
        &mut self,
        id: u32,
        block: Arc<dyn HeldBlock>,
        range: BlockRange,
        want_fd: bool,
    ) -> Result<Option<Sent>, Error> {
        if range.end > block.length() {
            let message = format!("the block has {} bytes here, not {}", block.length(), range.end);
            return Ok(Some(Sent::Failed(Refusal::new(Code::OutOfRange, message))));
        }
        let options = &self.shared.options;
        let path = choose_path(Facts {
            transport: self.peer.transport,
            want_fd,
            has_descriptor: block.file().descriptor().is_some(),
            in_memory: block.in_memory(),
            lease_left: self.leases.count() < options.leases_per_connection_max,
        });
        if path == SendPath::Lend {
            let length = block.length();
            let lease = self.leases.keep(block.clone());
            if let Some(fd) = block.file().descriptor() {
                ServerCounters::add(&self.shared.counters.reads_lent, 1);
                let frame = Frame::Opened { lease, length };
                self.link.send_with_fd(id, &frame, fd, options.stall).await?;
            }
            return Ok(None);
        }
        ServerCounters::add(&self.shared.counters.reads_streamed, 1);
        let crcs = match block.chunk_crcs().await {
            Ok(crcs) if crcs.len() as u64 == chunk_count(block.length()) => crcs,
            Ok(crcs) => {
                let message = format!("the block has {} stored checksums", crcs.len());
                return Ok(Some(Sent::Failed(Refusal::new(Code::DataLoss, message))));
            }
            Err(refusal) => return Ok(Some(Sent::Failed(refusal))),
        };
        self.send_chunks(id, &block, &crcs, range, path).await.map(Some)
    }

    async fn send_chunks(
        &mut self,
        id: u32,
        block: &Arc<dyn HeldBlock>,
        crcs: &[u32],
        range: BlockRange,
        path: SendPath,
    ) -> Result<Sent, Error> {
        let mut at = range.start;
        let frame = frame_bytes(self.shared.options.frame_bytes);
        while at < range.end {
            let cut = next_cut(at, range.end, block.length(), frame);
            let failed = match cut.whole {
                true => self.send_whole(id, block, crcs, at, cut.end, path).await?,
                false => self.send_edge(id, block, crcs, at, cut.end).await?,
            };
            if let Some(failed) = failed {
                return Ok(failed);
            }
            ServerCounters::add(&self.shared.counters.bytes_sent, cut.end - at);
            at = cut.end;
            if at < range.end && was_cancelled(&mut self.link, &mut self.leases, id)? {
                return Ok(Sent::CutShort);
            }
        }
        Ok(Sent::All)
    }

    /// Whole chunks `start..end`, with the stored checksums.
    async fn send_whole(
        &mut self,
        id: u32,
        block: &Arc<dyn HeldBlock>,
        crcs: &[u32],
        start: u64,
        end: u64,
        path: SendPath,
    ) -> Result<Option<Sent>, Error> {
        let chunks = (start / CHUNK_BYTES) as usize..end.div_ceil(CHUNK_BYTES) as usize;
        let head = DataHead {
            targets: NO_TARGETS,
            offset: start,
            length: (end - start) as u32,
            crcs: crcs[chunks].to_vec(),
        };
        let stall = self.shared.options.stall;
        let _permit = reserve(&self.shared, end - start).await;
        let bytes = match read_range(block, start, end, path, self.spare.take()).await {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Some(unreadable(&error))),
        };
        self.link.send_data(id, head, &bytes, stall).await?;
        self.spare = Some(bytes);
        Ok(None)
    }

    /// Part of one chunk: the whole chunk is read and checked, and the part gets its own checksum.
    async fn send_edge(
        &mut self,
        id: u32,
        block: &Arc<dyn HeldBlock>,
        crcs: &[u32],
        start: u64,
        end: u64,
    ) -> Result<Option<Sent>, Error> {
        let chunk_start = start - start % CHUNK_BYTES;
        let chunk_end = (chunk_start + CHUNK_BYTES).min(block.length());
        let _permit = reserve(&self.shared, chunk_end - chunk_start).await;
        let path = if block.in_memory() { SendPath::CopyInline } else { SendPath::CopyBlocking };
        let chunk = match read_range(block, chunk_start, chunk_end, path, None).await {
            Ok(chunk) => chunk,
            Err(error) => return Ok(Some(unreadable(&error))),
        };
        if crc32c(&chunk) != crcs[(chunk_start / CHUNK_BYTES) as usize] {
            return Ok(Some(Sent::Corrupt { offset: chunk_start }));
        }
        let part = &chunk[(start - chunk_start) as usize..(end - chunk_start) as usize];
        let head = DataHead {
            targets: NO_TARGETS,
            offset: start,
            length: part.len() as u32,
            crcs: vec![crc32c(part)],
        };
        self.link.send_data(id, head, part, self.shared.options.stall).await?;
        Ok(None)
    }

    /// Bytes as they become available.
    async fn send_stream(
        &mut self,
        id: u32,
        mut stream: Box<dyn ReadStream>,
        range: BlockRange,
    ) -> Result<Sent, Error> {
        let mut at = range.start;
        loop {
            let next = stream.next();
            let bytes = match unless_cancelled(&mut self.link, &mut self.leases, id, next).await? {
                None => return Ok(Sent::CutShort),
                Some(Err(refusal)) => return Ok(Sent::Failed(refusal)),
                Some(Ok(None)) if at == range.end => return Ok(Sent::All),
                Some(Ok(None)) => {
                    let message = format!("the source ended at {at} of {}", range.end);
                    return Ok(Sent::Failed(Refusal::new(Code::DataLoss, message)));
                }
                Some(Ok(Some(bytes))) => bytes,
            };
            if bytes.len() as u64 > range.end - at {
                let message = format!("the source has more than {} bytes", range.end);
                return Ok(Sent::Failed(Refusal::new(Code::DataLoss, message)));
            }
            at = self.send_bytes(id, at, bytes).await?;
            if at < range.end && was_cancelled(&mut self.link, &mut self.leases, id)? {
                return Ok(Sent::CutShort);
            }
        }
    }

    async fn send_bytes(&mut self, id: u32, mut at: u64, mut bytes: Bytes) -> Result<u64, Error> {
        let frame = frame_bytes(self.shared.options.frame_bytes);
        while !bytes.is_empty() {
            let now = bytes.split_to(bytes.len().min(frame_room(at, frame)));
            let head = DataHead {
                targets: NO_TARGETS,
                offset: at,
                length: now.len() as u32,
                crcs: piece_crcs(at, &now),
            };
            self.link.send_data(id, head, &now, self.shared.options.stall).await?;
            at += now.len() as u64;
            ServerCounters::add(&self.shared.counters.bytes_sent, now.len() as u64);
        }
        Ok(at)
    }
}

/// Bytes that a frame of at most `frame` starting at `offset` takes when it shall end where a chunk
/// ends.
fn frame_room(offset: u64, frame: usize) -> usize {
    frame - (offset % CHUNK_BYTES) as usize
}

/// The next frame of a committed block.
#[derive(Debug, PartialEq, Eq)]
struct Cut {
    end: u64,
    /// Whether it has only whole chunks, so that the stored checksums fit.
    whole: bool,
}

/// Cuts `at..end` of a block of `length` bytes: part of one chunk, or as many whole chunks as a
/// frame of `frame` bytes takes.
fn next_cut(at: u64, end: u64, length: u64, frame: usize) -> Cut {
    let chunk_end = (at - at % CHUNK_BYTES + CHUNK_BYTES).min(length);
    if !at.is_multiple_of(CHUNK_BYTES) || end < chunk_end {
        return Cut { end: end.min(chunk_end), whole: false };
    }
    let room_end = (at + frame as u64).min(end);
    // Back to where a chunk ends, unless that is the end of the block.
    let whole_end = if room_end == length { room_end } else { room_end - room_end % CHUNK_BYTES };
    Cut { end: whole_end, whole: true }
}

/// Waits until the buffers of all connections together leave room.
async fn reserve(shared: &Shared, bytes: u64) -> Option<OwnedSemaphorePermit> {
    // At most one frame, which the semaphore always has room for in the end. It is never closed.
    shared.in_flight.clone().acquire_many_owned(bytes as u32).await.ok()
}

/// Reads `start..end`, into `buffer` if there is one.
async fn read_range(
    block: &Arc<dyn HeldBlock>,
    start: u64,
    end: u64,
    path: SendPath,
    buffer: Option<Vec<u8>>,
) -> io::Result<Vec<u8>> {
    let mut bytes = buffer.unwrap_or_default();
    bytes.resize((end - start) as usize, 0);
    if path != SendPath::CopyBlocking {
        block.file().read_exact_at(&mut bytes, start)?;
        return Ok(bytes);
    }
    let block = block.clone();
    let read = tokio::task::spawn_blocking(move || {
        block.file().read_exact_at(&mut bytes, start).map(|()| bytes)
    });
    read.await.map_err(io::Error::other)?
}

fn unreadable(error: &io::Error) -> Sent {
    Sent::Failed(Refusal::new(Code::DataLoss, format!("the block file cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::DATA_BYTES_MAX;
    use proptest::prelude::*;

    const K: u64 = CHUNK_BYTES;

    #[test]
    fn whole_chunks_travel_with_their_stored_checksums() {
        assert_eq!(next_cut(0, 5 * K, 9 * K, DATA_BYTES_MAX), Cut { end: 5 * K, whole: true });
        assert_eq!(next_cut(0, 5 * K + 1, 9 * K, DATA_BYTES_MAX), Cut { end: 5 * K, whole: true });
        assert_eq!(
            next_cut(5 * K, 5 * K + 1, 9 * K, DATA_BYTES_MAX),
            Cut { end: 5 * K + 1, whole: false }
        );
        assert_eq!(next_cut(7, 5 * K, 9 * K, DATA_BYTES_MAX), Cut { end: K, whole: false });
        assert_eq!(next_cut(0, 10, 10, DATA_BYTES_MAX), Cut { end: 10, whole: true });
        let frame = DATA_BYTES_MAX as u64;
        assert_eq!(next_cut(0, 40 * K, 40 * K, DATA_BYTES_MAX), Cut { end: frame, whole: true });
    }

    proptest! {
        #[test]
        fn cuts_tile_the_range(
            length in 1u64..3_000_000,
            a in any::<u64>(),
            b in any::<u64>(),
            wished in 0usize..2_000_000,
        ) {
            let frame = frame_bytes(wished);
            let (a, b) = (a % (length + 1), b % (length + 1));
            let (mut at, end) = (a.min(b), a.max(b));
            while at < end {
                let cut = next_cut(at, end, length, frame);
                prop_assert!(cut.end > at && cut.end <= end);
                prop_assert!(cut.end - at <= frame as u64);
                if cut.whole {
                    prop_assert!(at.is_multiple_of(K) && (cut.end.is_multiple_of(K) || cut.end == length));
                } else {
                    prop_assert_eq!(at / K, (cut.end - 1) / K);
                }
                at = cut.end;
            }
        }
    }
}
