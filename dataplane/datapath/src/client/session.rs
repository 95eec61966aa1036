//! The client's side of a write session.

use super::connection::{refused, unexpected};
use super::pool::{ClientOptions, Pooled};
use crate::checksum::{first_piece, piece_crcs};
use crate::error::{Error, ProtocolError, Refusal};
use crate::frame::{COMMIT_CHUNKS_MAX, DataHead, Frame};
use crate::message::{CHUNK_BYTES, FailedPart, OpenBlock, OpenUfs, Targets, UfsDone, frame_bytes};
use alluxio_types::{BlockId, BlockRange, WorkerId};
use std::fs::File;
use std::time::Duration;

/// A write session on one worker: one file, one connection. Dropping it aborts on the worker all
/// that is not finished.
///
/// No method is cancel safe: drop the session after a cancel.
#[derive(Debug)]
pub struct Session {
    pooled: Pooled,
    patience: Duration,
    close_patience: Duration,
    frame_bytes: usize,
    block_failed: Option<Refusal>,
    ufs_failed: Option<Refusal>,
}

/// A block that was opened for writing.
#[derive(Debug)]
pub struct OpenedForWrite {
    /// Bytes that may be written before asking for more.
    pub granted_bytes: u64,
    /// Its file, when the worker lent it; otherwise bytes go through [`Session::data`].
    pub file: Option<File>,
}

impl Session {
    pub(super) fn new(pooled: Pooled, options: &ClientOptions) -> Self {
        Session {
            pooled,
            patience: options.write_patience,
            close_patience: options.close_patience,
            frame_bytes: frame_bytes(options.frame_bytes),
            block_failed: None,
            ufs_failed: None,
        }
    }

    /// Which worker this is.
    pub fn worker(&self) -> WorkerId {
        self.pooled.connection.worker
    }

    /// Why the open block takes no more bytes, as far as it is known yet.
    pub fn block_failure(&self) -> Option<&Refusal> {
        self.block_failed.as_ref()
    }

    /// Why the UFS file takes no more bytes, as far as it is known yet.
    pub fn ufs_failure(&self) -> Option<&Refusal> {
        self.ufs_failed.as_ref()
    }

    /// Starts the UFS file.
    pub async fn open_ufs(&mut self, request: OpenUfs) -> Result<(), Error> {
        self.done(&Frame::OpenUfs(request), "opening a UFS file").await
    }

    /// Starts a block.
    pub async fn open_block(&mut self, request: OpenBlock) -> Result<OpenedForWrite, Error> {
        const DOING: &str = "opening a block";
        self.block_failed = None;
        match self.command(&Frame::OpenBlock(request), DOING).await? {
            Frame::BlockOpened { granted_bytes, has_fd } => {
                let file = match has_fd {
                    true => Some(File::from(self.pooled.connection.link.take_fd()?)),
                    false => None,
                };
                Ok(OpenedForWrite { granted_bytes, file })
            }
            other => Err(refused(other, DOING)),
        }
    }

    /// Asks for room for more bytes in the open block; returns all that it may have.
    pub async fn grow(&mut self, additional_bytes: u64) -> Result<u64, Error> {
        const DOING: &str = "growing a block";
        match self.command(&Frame::Grow { additional_bytes }, DOING).await? {
            Frame::Granted { granted_bytes } => Ok(granted_bytes),
            other => Err(refused(other, DOING)),
        }
    }

    /// Sends bytes; `offset` is their position in the open block, or in the UFS file when they go
    /// there only. Returns as soon as they are on their way. A part that failed is skipped; its
    /// failure is known by [`Session::block_failure`] and [`Session::ufs_failure`] at some later
    /// call, and at the latest by the command that would complete it.
    pub async fn data(
        &mut self,
        targets: Targets,
        mut offset: u64,
        mut bytes: &[u8],
    ) -> Result<(), Error> {
        self.take_failures()?;
        while !bytes.is_empty() {
            let (now, later) =
                bytes.split_at(bytes.len().min(frame_room(offset, self.frame_bytes)));
            let head = DataHead {
                targets,
                offset,
                length: now.len() as u32,
                crcs: piece_crcs(offset, now),
            };
            let id = self.pooled.connection.next_id();
            let patience = self.patience;
            self.pooled.connection.link.send_data(id, head, now, patience).await?;
            offset += now.len() as u64;
            bytes = later;
        }
        Ok(())
    }

    /// Lets the worker feed the UFS file from what was written into the open block's descriptor,
    /// or from a block that it holds. After `NotFound` the bytes can be sent as data.
    pub async fn ufs_append_from_block(
        &mut self,
        block: BlockId,
        range: BlockRange,
    ) -> Result<(), Error> {
        let frame = Frame::UfsAppendFromBlock { block, range };
        self.done(&frame, "feeding the UFS file").await
    }

    /// Makes the open block visible. `chunk_crcs` for a block that was written through its
    /// descriptor; empty otherwise.
    pub async fn commit_block(&mut self, length: u64, chunk_crcs: Vec<u32>) -> Result<(), Error> {
        if chunk_crcs.len() as u64 > COMMIT_CHUNKS_MAX {
            let max = COMMIT_CHUNKS_MAX * CHUNK_BYTES;
            return Err(ProtocolError::TooLong { part: "block", length, max }.into());
        }
        self.done(&Frame::CommitBlock { length, chunk_crcs }, "committing a block").await
    }

    /// Drops the open block, if there is one.
    pub async fn abort_block(&mut self) -> Result<(), Error> {
        self.done(&Frame::AbortBlock, "dropping a block").await?;
        self.block_failed = None;
        Ok(())
    }

    /// Completes the UFS file.
    pub async fn finish_ufs(&mut self, length: u64) -> Result<UfsDone, Error> {
        const DOING: &str = "completing a UFS file";
        let finish = Frame::FinishUfs { length };
        match self.command_within(&finish, DOING, self.close_patience).await? {
            Frame::UfsDone(done) => Ok(done),
            other => Err(refused(other, DOING)),
        }
    }

    /// Drops the UFS file, if there is one.
    pub async fn abort_ufs(&mut self) -> Result<(), Error> {
        self.done(&Frame::AbortUfs, "dropping a UFS file").await?;
        self.ufs_failed = None;
        Ok(())
    }

    /// Ends a session in which nothing is open, and keeps its connection.
    pub async fn end(mut self) -> Result<(), Error> {
        self.done(&Frame::EndSession, "ending a session").await?;
        self.pooled.recycle();
        Ok(())
    }

    async fn done(&mut self, frame: &Frame, doing: &'static str) -> Result<(), Error> {
        match self.command(frame, doing).await? {
            Frame::Done => Ok(()),
            other => Err(refused(other, doing)),
        }
    }

    /// Sends a command and waits for its answer; failures of data that come before it are kept.
    async fn command(&mut self, frame: &Frame, doing: &'static str) -> Result<Frame, Error> {
        self.command_within(frame, doing, self.patience).await
    }

    async fn command_within(
        &mut self,
        frame: &Frame,
        doing: &'static str,
        patience: Duration,
    ) -> Result<Frame, Error> {
        let id = self.pooled.connection.ask(frame, patience).await?;
        loop {
            match self.pooled.connection.link.receive(doing, patience).await? {
                Some((got, frame)) if got == id => return Ok(frame),
                Some((_, frame)) => self.keep_failure(frame, doing)?,
                None => {
                    let peer = self.pooled.connection.link.peer().to_owned();
                    return Err(Error::Closed { peer, doing });
                }
            }
        }
    }

    fn take_failures(&mut self) -> Result<(), Error> {
        const DOING: &str = "sending data";
        while let Some((_, frame)) = self.pooled.connection.link.try_receive(DOING)? {
            self.keep_failure(frame, DOING)?;
        }
        Ok(())
    }

    fn keep_failure(&mut self, frame: Frame, doing: &'static str) -> Result<(), Error> {
        match frame {
            Frame::Error { part: FailedPart::Block, refusal } => self.block_failed = Some(refusal),
            Frame::Error { part: FailedPart::Ufs, refusal } => self.ufs_failed = Some(refusal),
            other => return Err(unexpected(&other, doing).into()),
        }
        Ok(())
    }
}

/// Bytes that a frame starting at `offset` takes, so that it ends where a chunk ends.
fn frame_room(offset: u64, frame: usize) -> usize {
    let first = first_piece(offset, CHUNK_BYTES) as usize;
    if first == CHUNK_BYTES as usize { frame } else { first }
}
