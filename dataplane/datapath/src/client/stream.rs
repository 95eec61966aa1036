//! Bytes of a block that come over a connection, each piece checked before it is handed out.

use super::connection::{refused, unexpected};
use super::pool::Pooled;
use crate::checksum::{crc32c, first_piece};
use crate::error::{Error, ProtocolError};
use crate::frame::{DataHead, Frame};
use crate::message::DATA_BYTES_MAX;
use alluxio_types::{BlockId, BlockRange};
use bytes::{Buf, Bytes, BytesMut};

/// Bytes that are still worth reading to keep the connection when a stream is left: about what is
/// on its way anyway.
const DRAIN_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A range of a block, in order.
///
/// After an error it stays where it is: [`RemoteStream::position`] is the first byte that was not
/// handed out, where another worker can go on.
#[derive(Debug)]
pub struct RemoteStream {
    /// `None` once the stream has ended or failed.
    pooled: Option<Pooled>,
    id: u32,
    block: BlockId,
    /// First byte that was not handed out.
    position: u64,
    end: u64,
    /// What is left of the current frame.
    frame: Option<FrameRest>,
    /// Checked bytes of the current frame that did not fit the reader's buffer.
    spill: Bytes,
    spare: BytesMut,
}

#[derive(Debug)]
struct FrameRest {
    head: DataHead,
    /// Pieces that were taken.
    pieces_done: usize,
    /// Position of the next byte in the block.
    at: u64,
}

impl FrameRest {
    fn left(&self) -> u64 {
        self.head.offset + u64::from(self.head.length) - self.at
    }
}

impl RemoteStream {
    pub(super) fn start(
        pooled: Pooled,
        id: u32,
        block: BlockId,
        range: BlockRange,
        first: Frame,
    ) -> Result<Self, Error> {
        let mut stream = RemoteStream {
            pooled: Some(pooled),
            id,
            block,
            position: range.start,
            end: range.end,
            frame: None,
            spill: Bytes::new(),
            spare: BytesMut::new(),
        };
        stream.take_frame(first)?;
        Ok(stream)
    }

    /// Position in the block of the next byte.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Fills `buffer` with the next bytes, as many as fit and are left; 0 only at the end of the
    /// range (or for an empty buffer).
    ///
    /// **Cancel safety**: none; drop the stream after a cancel.
    pub async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let mut done = 0;
        while done < buffer.len() {
            match self.read_some(&mut buffer[done..]).await {
                Ok(0) => break,
                Ok(count) => done += count,
                // What was read is good; the error comes again with the next call.
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    /// Fills a part of `buffer`, from one frame.
    async fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        if !self.spill.is_empty() {
            let count = self.spill.len().min(buffer.len());
            self.spill.copy_to_slice(&mut buffer[..count]);
            self.position += count as u64;
            return Ok(count);
        }
        if !self.has_frame().await? {
            return Ok(0);
        }
        match self.read_pieces(buffer).await {
            Ok(count) => Ok(count),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Receives whole pieces straight into `buffer`; the piece that does not fit goes through the
    /// spill.
    async fn read_pieces(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let (Some(pooled), Some(rest)) = (self.pooled.as_mut(), self.frame.as_mut()) else {
            return Ok(0);
        };
        let mut fit = 0;
        let mut pieces = 0;
        while rest.left() > fit {
            let piece = first_piece(rest.at + fit, rest.left() - fit);
            if fit + piece > buffer.len() as u64 {
                break;
            }
            fit += piece;
            pieces += 1;
        }
        let patience = pooled.patience;
        let link = &mut pooled.connection.link;
        if pieces == 0 {
            let piece = first_piece(rest.at, rest.left()) as usize;
            self.spare.clear();
            self.spare.resize(piece, 0);
            link.payload_exact(&mut self.spare, patience).await?;
            check(self.block, rest, &self.spare)?;
            self.spill = self.spare.split().freeze();
        } else {
            let into = &mut buffer[..fit as usize];
            let (mut have, mut checked) = (0, 0);
            while have < into.len() {
                have += link.payload_some(&mut into[have..], patience).await?;
                // Checked as they come, while they are in the processor's cache.
                checked += check(self.block, rest, &into[checked..have])?;
            }
            self.position += fit;
        }
        if rest.left() == 0 {
            self.frame = None;
        }
        if pieces == 0 {
            let count = self.spill.len().min(buffer.len());
            self.spill.copy_to_slice(&mut buffer[..count]);
            self.position += count as u64;
            return Ok(count);
        }
        Ok(fit as usize)
    }

    /// The next bytes, as they came in one frame; `None` at the end of the range.
    ///
    /// **Cancel safety**: none; drop the stream after a cancel.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if !self.spill.is_empty() {
            self.position += self.spill.len() as u64;
            return Ok(Some(std::mem::take(&mut self.spill)));
        }
        if !self.has_frame().await? {
            return Ok(None);
        }
        let (Some(pooled), Some(rest)) = (self.pooled.as_mut(), self.frame.take()) else {
            return Ok(None);
        };
        let head = DataHead {
            targets: rest.head.targets,
            offset: rest.at,
            length: rest.left() as u32,
            crcs: rest.head.crcs[rest.pieces_done..].to_vec(),
        };
        if self.spare.capacity() == 0 {
            self.spare.reserve(DATA_BYTES_MAX);
        }
        let patience = pooled.patience;
        let link = &mut pooled.connection.link;
        match link.payload(self.block, &head, &mut self.spare, patience).await {
            Ok(bytes) => {
                self.position += bytes.len() as u64;
                Ok(Some(bytes))
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Leaves the stream where it is: cancels what is left, and keeps the connection if that is
    /// cheap. (Dropping a stream before its end closes its connection.)
    pub async fn finish(mut self) -> Result<(), Error> {
        let on_its_way = self.end.saturating_sub(self.position);
        let Some(pooled) = self.pooled.as_mut() else { return Ok(()) };
        if on_its_way > 0 {
            let patience = pooled.patience;
            pooled.connection.link.send(self.id, &Frame::Cancel, "cancelling", patience).await?;
        }
        let mut drained = 0;
        while let Some(bytes) = self.next().await? {
            drained += bytes.len() as u64;
            if drained > DRAIN_BYTES_MAX {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Makes sure that there is a frame to take bytes from; `false` at the end.
    async fn has_frame(&mut self) -> Result<bool, Error> {
        if self.frame.is_some() {
            return Ok(true);
        }
        let Some(pooled) = self.pooled.as_mut() else {
            // The end was seen before; or an error, and the caller reads on where it must not.
            return if self.position == self.end { Ok(false) } else { Err(self.over()) };
        };
        let patience = pooled.patience;
        match pooled.connection.answer(self.id, "receiving data", patience).await {
            Ok(frame) => {
                self.take_frame(frame)?;
                Ok(self.frame.is_some())
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    fn over(&self) -> Error {
        let doing = "a stream that has ended";
        ProtocolError::Unexpected { got: "read", doing }.into()
    }

    fn take_frame(&mut self, frame: Frame) -> Result<(), Error> {
        match frame {
            Frame::Data(head) => {
                if head.offset != self.position {
                    let (got, want) = (head.offset, self.position);
                    return Err(self.fail(ProtocolError::OutOfOrder { got, want }.into()));
                }
                let end = head.offset + u64::from(head.length);
                if end > self.end {
                    let (got, want) = (end, self.end);
                    return Err(self.fail(ProtocolError::OutOfOrder { got, want }.into()));
                }
                self.frame = Some(FrameRest { at: head.offset, pieces_done: 0, head });
                Ok(())
            }
            Frame::End { cut_short } => {
                if !cut_short && self.position != self.end {
                    let (got, want) = (self.position, self.end);
                    return Err(self.fail(ProtocolError::OutOfOrder { got, want }.into()));
                }
                if let Some(pooled) = self.pooled.take() {
                    pooled.recycle();
                }
                Ok(())
            }
            refusal @ Frame::Error { .. } => {
                if let Some(pooled) = self.pooled.take() {
                    pooled.recycle();
                }
                Err(refused(refusal, "receiving data"))
            }
            other => {
                let error = unexpected(&other, "receiving data").into();
                Err(self.fail(error))
            }
        }
    }

    /// The stream is over; its connection is closed.
    fn fail(&mut self, error: Error) -> Error {
        self.pooled = None;
        self.frame = None;
        error
    }
}

/// Checks the whole pieces at the start of `bytes`, which are the next ones of a frame, and counts
/// them as taken; returns their length.
fn check(block: BlockId, rest: &mut FrameRest, bytes: &[u8]) -> Result<usize, Error> {
    let mut done = 0;
    while let Some(crc) = rest.head.crcs.get(rest.pieces_done) {
        let piece = first_piece(rest.at, rest.left()) as usize;
        let Some(found) = bytes.get(done..done + piece) else { break };
        if crc32c(found) != *crc {
            return Err(Error::Checksum { block, offset: rest.at });
        }
        done += piece;
        rest.at += piece as u64;
        rest.pieces_done += 1;
    }
    Ok(done)
}
