//! Serves a write session: commands in order, data in between.
//!
//! ```text
//! OpenUfs ──▶ ufs open ── data ──▶ FinishUfs | AbortUfs
//! OpenBlock ─▶ block open ── data, Grow, UfsAppendFromBlock ──▶ CommitBlock | AbortBlock
//! ```
//! The two run beside each other; either may fail alone. The session ends with `EndSession`, or
//! with the connection, and then takes with it what is not finished.

use super::ServerCounters;
use super::connection::Connection;
use crate::checksum::{ChunkSums, chunk_count};
use crate::error::{Error, ProtocolError, Refusal};
use crate::frame::{DataHead, Frame};
use crate::message::{DATA_BYTES_MAX, FailedPart, OpenBlock, OpenUfs};
use crate::service::WriteSession;
use alluxio_types::{BlockId, BlockRange, Code};
use bytes::BytesMut;

/// What an open part of a session has come to.
struct OpenPart {
    /// Position of the next byte.
    offset: u64,
    /// Why it takes no more bytes.
    failed: Option<Refusal>,
}

struct OpenBlockState {
    block: BlockId,
    lent: bool,
    sums: ChunkSums,
    failed: Option<Refusal>,
}

/// A session with what the server keeps of it.
struct Session {
    inner: Box<dyn WriteSession>,
    block: Option<OpenBlockState>,
    ufs: Option<OpenPart>,
    spare: BytesMut,
}

impl Connection {
    /// Serves a session that begins with `first`.
    pub(super) async fn serve_session(&mut self, id: u32, first: Frame) -> Result<(), Error> {
        let inner = match self.shared.service.open_session(&self.peer).await {
            Ok(inner) => inner,
            Err(refusal) => return self.refuse(id, FailedPart::Request, refusal).await,
        };
        let mut session = Session { inner, block: None, ufs: None, spare: BytesMut::new() };
        let mut next = Some((id, first));
        while let Some((id, frame)) = next {
            match frame {
                Frame::EndSession if session.block.is_none() && session.ufs.is_none() => {
                    return self.answer(id, &Frame::Done).await;
                }
                Frame::Data(head) => self.take_data(&mut session, id, head).await?,
                Frame::Release { .. } | Frame::ReportCorrupt { .. } | Frame::Present { .. } => {
                    self.handle_aside(&frame, "a write session").await?;
                }
                command => self.obey(&mut session, id, command).await?,
            }
            let patience = self.shared.options.session_idle;
            next = self.link.receive("waiting for a command", patience).await?;
        }
        let peer = self.link.peer().to_owned();
        Err(Error::Closed { peer, doing: "a write session" })
    }

    /// Runs one command and answers it.
    async fn obey(&mut self, session: &mut Session, id: u32, command: Frame) -> Result<(), Error> {
        let answer = match command {
            Frame::OpenUfs(request) => session.open_ufs(request).await,
            Frame::OpenBlock(request) => return self.open_block(session, id, request).await,
            Frame::Grow { additional_bytes } => session.grow(additional_bytes).await,
            Frame::UfsAppendFromBlock { block, range } => session.append(block, range).await,
            Frame::CommitBlock { length, chunk_crcs } => session.commit(length, chunk_crcs).await,
            Frame::AbortBlock => {
                session.block = None;
                session.inner.abort_block().await;
                Ok(Frame::Done)
            }
            Frame::FinishUfs { length } => session.finish_ufs(length).await,
            Frame::AbortUfs => {
                session.ufs = None;
                session.inner.abort_ufs().await;
                Ok(Frame::Done)
            }
            Frame::EndSession => {
                Err(refused(Code::FailedPrecondition, "a block or a UFS file is still open"))
            }
            other => {
                let doing = "a write session";
                return Err(ProtocolError::Unexpected { got: other.kind().name(), doing }.into());
            }
        };
        match answer {
            Ok(frame) => self.answer(id, &frame).await,
            Err(refusal) => self.refuse(id, FailedPart::Request, refusal).await,
        }
    }

    async fn open_block(
        &mut self,
        session: &mut Session,
        id: u32,
        mut request: OpenBlock,
    ) -> Result<(), Error> {
        if session.block.is_some() {
            let refusal = refused(Code::FailedPrecondition, "a block is open already");
            return self.refuse(id, FailedPart::Request, refusal).await;
        }
        let local = self.peer.transport == crate::Transport::Unix;
        request.want_fd &= local;
        let (block, want_fd) = (request.block, request.want_fd);
        let opened = match session.inner.open_block(request).await {
            Ok(opened) => opened,
            Err(refusal) => return self.refuse(id, FailedPart::Request, refusal).await,
        };
        let granted_bytes = opened.granted_bytes;
        let file = opened.file.filter(|_| want_fd);
        let fd = file.as_ref().and_then(|file| file.descriptor());
        let lent = fd.is_some();
        session.block = Some(OpenBlockState { block, lent, sums: ChunkSums::new(), failed: None });
        let answer = Frame::BlockOpened { granted_bytes, has_fd: lent };
        match fd {
            Some(fd) => self.link.send_with_fd(id, &answer, fd, self.shared.options.stall).await,
            None => self.answer(id, &answer).await,
        }
    }

    /// Takes the payload of a `Data` frame to where it belongs; reports a part that fails, once.
    async fn take_data(
        &mut self,
        session: &mut Session,
        id: u32,
        head: DataHead,
    ) -> Result<(), Error> {
        session.check_place(&head)?;
        let stall = self.shared.options.stall;
        let block = session.block.as_ref().map_or(BlockId(0), |open| open.block);
        // One frame at most; the semaphore is never closed.
        let _permit = self.shared.in_flight.clone().acquire_many_owned(head.length).await;
        if session.spare.capacity() == 0 {
            session.spare.reserve(DATA_BYTES_MAX);
        }
        let bytes = self.link.payload(block, &head, &mut session.spare, stall).await?;
        ServerCounters::add(&self.shared.counters.bytes_received, bytes.len() as u64);
        let mut failures = [None, None];
        if head.targets.block
            && let Some(open) = session.block.as_mut()
        {
            open.sums.update_known(&bytes, &head.crcs);
            if open.failed.is_none()
                && let Err(refusal) = session.inner.block_data(bytes.clone()).await
            {
                open.failed = Some(refusal.clone());
                failures[0] = Some((FailedPart::Block, refusal));
            }
        }
        if head.targets.ufs
            && let Some(open) = session.ufs.as_mut()
        {
            open.offset += bytes.len() as u64;
            if open.failed.is_none()
                && let Err(refusal) = session.inner.ufs_data(bytes).await
            {
                open.failed = Some(refusal.clone());
                failures[1] = Some((FailedPart::Ufs, refusal));
            }
        }
        for (part, refusal) in failures.into_iter().flatten() {
            self.refuse(id, part, refusal).await?;
        }
        Ok(())
    }
}

impl Session {
    /// Data must follow on what came before, and go to something that is open.
    fn check_place(&self, head: &DataHead) -> Result<(), ProtocolError> {
        let unexpected = |doing| Err(ProtocolError::Unexpected { got: "Data", doing });
        let want = match (head.targets.block, head.targets.ufs, &self.block, &self.ufs) {
            (false, false, ..) => return unexpected("a write session, for nothing"),
            (true, _, None, _) => return unexpected("no block is open"),
            (_, true, _, None) => return unexpected("no UFS file is open"),
            (true, _, Some(open), _) if open.lent => {
                return unexpected("the block is written through a descriptor");
            }
            (true, _, Some(open), _) => open.sums.length(),
            (false, true, _, Some(open)) => open.offset,
        };
        if head.offset != want {
            return Err(ProtocolError::OutOfOrder { got: head.offset, want });
        }
        Ok(())
    }

    async fn open_ufs(&mut self, request: OpenUfs) -> Result<Frame, Refusal> {
        if self.ufs.is_some() {
            return Err(refused(Code::FailedPrecondition, "a UFS file is open already"));
        }
        self.inner.open_ufs(request).await?;
        self.ufs = Some(OpenPart { offset: 0, failed: None });
        Ok(Frame::Done)
    }

    async fn grow(&mut self, additional_bytes: u64) -> Result<Frame, Refusal> {
        if self.block.is_none() {
            return Err(no_block());
        }
        let granted_bytes = self.inner.grow(additional_bytes).await?;
        Ok(Frame::Granted { granted_bytes })
    }

    async fn append(&mut self, block: BlockId, range: BlockRange) -> Result<Frame, Refusal> {
        let Some(ufs) = self.ufs.as_mut() else { return Err(no_ufs()) };
        if let Some(failed) = &ufs.failed {
            return Err(failed.clone());
        }
        match self.inner.ufs_append_from_block(block, range).await {
            Ok(()) => {
                ufs.offset += range.len();
                Ok(Frame::Done)
            }
            // Nothing was appended: the client sends the bytes itself.
            Err(refusal) if refusal.code == Code::NotFound => Err(refusal),
            Err(refusal) => {
                ufs.failed = Some(refusal.clone());
                Err(refusal)
            }
        }
    }

    async fn commit(&mut self, length: u64, chunk_crcs: Vec<u32>) -> Result<Frame, Refusal> {
        let Some(open) = self.block.take() else { return Err(no_block()) };
        let outcome = match (open.failed, open.lent) {
            (Some(failed), _) => Err(failed),
            (None, true) if chunk_crcs.len() as u64 != chunk_count(length) => Err(refused(
                Code::InvalidArgument,
                "the count of checksums does not fit the length",
            )),
            (None, true) => self.inner.commit_block(length, chunk_crcs).await,
            (None, false) if !chunk_crcs.is_empty() || open.sums.length() != length => {
                Err(refused(Code::InvalidArgument, "the length is not what was sent"))
            }
            (None, false) => self.inner.commit_block(length, open.sums.finish()).await,
        };
        match outcome {
            Ok(()) => Ok(Frame::Done),
            Err(refusal) => {
                self.inner.abort_block().await;
                Err(refusal)
            }
        }
    }

    async fn finish_ufs(&mut self, length: u64) -> Result<Frame, Refusal> {
        let Some(open) = self.ufs.take() else { return Err(no_ufs()) };
        let outcome = match open.failed {
            Some(failed) => Err(failed),
            None if open.offset != length => Err(refused(
                Code::InvalidArgument,
                "the length of the UFS file is not what was sent",
            )),
            None => self.inner.finish_ufs(length).await,
        };
        match outcome {
            Ok(done) => Ok(Frame::UfsDone(done)),
            Err(refusal) => {
                self.inner.abort_ufs().await;
                Err(refusal)
            }
        }
    }
}

fn refused(code: Code, message: &str) -> Refusal {
    Refusal::new(code, message)
}

fn no_block() -> Refusal {
    refused(Code::FailedPrecondition, "no such block is open in this session")
}

fn no_ufs() -> Refusal {
    refused(Code::FailedPrecondition, "no UFS file is open in this session")
}
