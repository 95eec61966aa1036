//! Frames over one socket: the part that both ends share.

use crate::checksum::{crc32c, first_piece};
use crate::codec;
use crate::error::{Error, ProtocolError};
use crate::frame::{DataHead, Frame, HEADER_BYTES, Header};
use crate::socket::Socket;
use alluxio_types::BlockId;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// Descriptors that may wait to be claimed by the frame they came with. The protocol has one at a
/// time; a peer that piles up more is cut off.
const FDS_WAITING_MAX: usize = 8;

/// A connection that speaks frames.
pub(crate) struct Link {
    socket: Arc<Socket>,
    peer: String,
    incoming: Incoming,
    fds: VecDeque<OwnedFd>,
    out: Vec<u8>,
}

/// The frame that is being received. Kept here, so that dropping a receive in the middle loses
/// nothing.
#[derive(Default)]
struct Incoming {
    head: [u8; HEADER_BYTES],
    head_have: usize,
    header: Option<Header>,
    meta: Vec<u8>,
    meta_have: usize,
}

impl Link {
    pub(crate) fn new(socket: Arc<Socket>, peer: String) -> Self {
        Link {
            socket,
            peer,
            incoming: Incoming::default(),
            fds: VecDeque::new(),
            out: Vec::with_capacity(256),
        }
    }

    pub(crate) fn peer(&self) -> &str {
        &self.peer
    }

    /// Whether nothing of a next frame has arrived yet.
    pub(crate) fn is_between_frames(&self) -> bool {
        self.incoming.head_have == 0
    }

    pub(crate) fn io_error(
        &self,
        doing: &'static str,
        waited: Duration,
        source: io::Error,
    ) -> Error {
        let peer = self.peer.clone();
        match source.kind() {
            io::ErrorKind::TimedOut => Error::Stalled { peer, doing, waited },
            io::ErrorKind::UnexpectedEof => Error::Closed { peer, doing },
            _ => Error::Broken { peer, doing, source },
        }
    }

    fn closed(&self, doing: &'static str) -> Error {
        Error::Closed { peer: self.peer.clone(), doing }
    }

    /// The next frame; `None` when the peer closed between frames.
    /// The payload of a `Data` frame is left in the stream: read it with the methods below.
    ///
    /// **Cancel safety**: safe.
    pub(crate) async fn receive(
        &mut self,
        doing: &'static str,
        patience: Duration,
    ) -> Result<Option<(u32, Frame)>, Error> {
        loop {
            let want = self.incoming.want();
            if want.is_empty() {
                return self.incoming.finish().map(Some).map_err(Error::from);
            }
            let got = self.socket.receive(want, &mut self.fds, patience).await;
            match got {
                Ok(0) if self.is_between_frames() => return Ok(None),
                Ok(0) => return Err(self.closed(doing)),
                Ok(count) => self.took(count)?,
                Err(source) => return Err(self.io_error(doing, patience, source)),
            }
        }
    }

    /// The next frame if it is there already; does not wait.
    pub(crate) fn try_receive(
        &mut self,
        doing: &'static str,
    ) -> Result<Option<(u32, Frame)>, Error> {
        loop {
            let want = self.incoming.want();
            if want.is_empty() {
                return self.incoming.finish().map(Some).map_err(Error::from);
            }
            match self.socket.try_receive(want, &mut self.fds) {
                Ok(None) => return Ok(None),
                Ok(Some(0)) => return Err(self.closed(doing)),
                Ok(Some(count)) => self.took(count)?,
                Err(source) => return Err(self.io_error(doing, Duration::ZERO, source)),
            }
        }
    }

    fn took(&mut self, count: usize) -> Result<(), Error> {
        if self.fds.len() > FDS_WAITING_MAX {
            let max = FDS_WAITING_MAX as u64;
            let length = self.fds.len() as u64;
            return Err(ProtocolError::TooLong { part: "descriptors", length, max }.into());
        }
        Ok(self.incoming.took(count)?)
    }

    /// The descriptor that came with the last frame.
    pub(crate) fn take_fd(&mut self) -> Result<OwnedFd, Error> {
        Ok(self.fds.pop_front().ok_or(ProtocolError::MissingDescriptor)?)
    }

    /// Sends a frame without payload. **Cancel safety**: none, drop the link after a cancel.
    pub(crate) async fn send(
        &mut self,
        id: u32,
        frame: &Frame,
        doing: &'static str,
        patience: Duration,
    ) -> Result<(), Error> {
        self.out.clear();
        self.send_behind(id, frame, doing, patience).await
    }

    /// Queues a frame to go out with the next one that is sent by [`Link::send_behind`].
    pub(crate) fn queue(&mut self, id: u32, frame: &Frame) -> Result<(), Error> {
        Ok(codec::encode(id, frame, &mut self.out)?)
    }

    /// Forgets what was queued.
    pub(crate) fn clear_queue(&mut self) {
        self.out.clear();
    }

    /// Sends what was queued, and `frame` behind it.
    pub(crate) async fn send_behind(
        &mut self,
        id: u32,
        frame: &Frame,
        doing: &'static str,
        patience: Duration,
    ) -> Result<(), Error> {
        codec::encode(id, frame, &mut self.out)?;
        let sent = self.socket.write_all(&self.out, patience).await;
        self.out.clear();
        sent.map_err(|source| self.io_error(doing, patience, source))
    }

    /// Sends a frame with a descriptor.
    pub(crate) async fn send_with_fd(
        &mut self,
        id: u32,
        frame: &Frame,
        fd: BorrowedFd<'_>,
        patience: Duration,
    ) -> Result<(), Error> {
        self.out.clear();
        codec::encode(id, frame, &mut self.out)?;
        let sent = self.socket.send_with_fd(&self.out, fd, patience).await;
        self.out.clear();
        sent.map_err(|source| self.io_error("lending a descriptor", patience, source))
    }

    /// Sends a `Data` frame with its payload.
    pub(crate) async fn send_data(
        &mut self,
        id: u32,
        head: DataHead,
        payload: &[u8],
        patience: Duration,
    ) -> Result<(), Error> {
        debug_assert_eq!(head.length as usize, payload.len());
        self.out.clear();
        codec::encode(id, &Frame::Data(head), &mut self.out)?;
        let sent = self.socket.write_both(&self.out, payload, patience).await;
        self.out.clear();
        sent.map_err(|source| self.io_error("sending data", patience, source))
    }

    /// Receives exactly `buffer.len()` bytes of a payload.
    /// **Cancel safety**: none, drop the link after a cancel.
    pub(crate) async fn payload_exact(
        &mut self,
        mut buffer: &mut [u8],
        patience: Duration,
    ) -> Result<(), Error> {
        while !buffer.is_empty() {
            let count = self.payload_some(buffer, patience).await?;
            buffer = &mut buffer[count..];
        }
        Ok(())
    }

    /// Receives some bytes of a payload that has at least `buffer.len()` more; at least one.
    /// **Cancel safety**: none, drop the link after a cancel.
    pub(crate) async fn payload_some(
        &mut self,
        buffer: &mut [u8],
        patience: Duration,
    ) -> Result<usize, Error> {
        let got = self.socket.read(buffer, patience).await;
        match got.map_err(|source| self.io_error("receiving data", patience, source))? {
            0 => Err(self.closed("receiving data")),
            count => Ok(count),
        }
    }

    /// Receives a whole payload and checks every piece. `spare` is a buffer to carve it out of; it
    /// is used again once all that was carved out before is dropped.
    /// **Cancel safety**: none, drop the link after a cancel.
    pub(crate) async fn payload(
        &mut self,
        block: BlockId,
        head: &DataHead,
        spare: &mut BytesMut,
        patience: Duration,
    ) -> Result<Bytes, Error> {
        let length = head.length as usize;
        spare.clear();
        spare.reserve(length);
        let mut limited = bytes::BufMut::limit(spare, length);
        while bytes::BufMut::has_remaining_mut(&limited) {
            let got = self.socket.read_buf(&mut limited, patience).await;
            if got.map_err(|source| self.io_error("receiving data", patience, source))? == 0 {
                return Err(self.closed("receiving data"));
            }
        }
        let spare = limited.into_inner();
        check_pieces(block, head, spare)?;
        Ok(spare.split_to(length).freeze())
    }
}

/// Checks a whole payload against the checksums of its frame.
pub(crate) fn check_pieces(block: BlockId, head: &DataHead, payload: &[u8]) -> Result<(), Error> {
    let (mut at, mut rest) = (head.offset, payload);
    for crc in &head.crcs {
        let (piece, later) = rest.split_at(first_piece(at, rest.len() as u64) as usize);
        if crc32c(piece) != *crc {
            return Err(Error::Checksum { block, offset: at });
        }
        at += piece.len() as u64;
        rest = later;
    }
    Ok(())
}

impl Incoming {
    /// Where the next bytes go; empty when the frame is complete.
    fn want(&mut self) -> &mut [u8] {
        if self.header.is_none() {
            &mut self.head[self.head_have..]
        } else {
            &mut self.meta[self.meta_have..]
        }
    }

    fn took(&mut self, count: usize) -> Result<(), ProtocolError> {
        if self.header.is_some() {
            self.meta_have += count;
            return Ok(());
        }
        self.head_have += count;
        if self.head_have == HEADER_BYTES {
            let header = Header::parse(&self.head)?;
            self.meta.resize(header.meta_len as usize, 0);
            self.meta_have = 0;
            self.header = Some(header);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(u32, Frame), ProtocolError> {
        let header = self.header.take().expect("a frame is complete only after its header");
        self.head_have = 0;
        let frame = codec::decode(&self.head, &header, &self.meta)?;
        Ok((header.id, frame))
    }
}
