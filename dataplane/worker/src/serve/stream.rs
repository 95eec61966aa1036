//! Bytes that are on their way here while they are on their way to a reader.

use crate::core::{Core, blocking};
use crate::error::WorkerError;
use crate::fetch::{Flight, Joined};
use crate::source::{Source, Wanted, confirm};
use alluxio_blockstore::{FillReader, FillState};
use alluxio_datapath::{DATA_BYTES_MAX, ReadStream, Refusal};
use alluxio_types::{BlockRange, Code};
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;

/// A read that leaves nothing behind. One piece is held back until the source has ended, because
/// only then the version of all of them is certain: a reader gets a whole range of one version, or
/// an error before its end.
pub(super) struct DirectStream {
    source: Source,
    held: Option<Bytes>,
}

impl DirectStream {
    pub(super) fn new(core: Arc<Core>, wanted: Wanted, range: BlockRange) -> Self {
        DirectStream { source: Source::new(core, wanted, range), held: None }
    }

    async fn next_bytes(&mut self) -> Result<Option<Bytes>, WorkerError> {
        loop {
            match self.source.next().await? {
                Some(bytes) => {
                    if let Some(before) = self.held.replace(bytes) {
                        return Ok(Some(before));
                    }
                }
                None => return Ok(self.held.take()),
            }
        }
    }
}

#[async_trait]
impl ReadStream for DirectStream {
    async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        Ok(self.next_bytes().await?)
    }
}

/// A read that follows a fill.
pub(super) struct FillStream {
    core: Arc<Core>,
    reader: FillReader,
    flight: Option<Arc<Flight>>,
    wanted: Wanted,
    position: u64,
    end: u64,
    /// Takes over when the fill was given up for a reason that is not the reader's.
    direct: Option<DirectStream>,
}

impl FillStream {
    pub(super) fn new(core: Arc<Core>, joined: Joined, wanted: Wanted, range: BlockRange) -> Self {
        FillStream {
            core,
            reader: joined.reader,
            flight: joined.flight,
            wanted,
            position: range.start,
            end: range.end,
            direct: None,
        }
    }

    async fn next_bytes(&mut self) -> Result<Option<Bytes>, WorkerError> {
        loop {
            if let Some(direct) = &mut self.direct {
                return direct.next_bytes().await;
            }
            if self.position == self.end {
                return Ok(None);
            }
            let state = self.reader.progress().beyond(self.position).await;
            let readable = state.readable_bytes().min(self.end);
            if readable > self.position {
                return self.take(readable, state).await.map(Some);
            }
            self.over(state).await?;
        }
    }

    /// Reads what is there, up to a frame of the data protocol.
    async fn take(&mut self, readable: u64, state: FillState) -> Result<Bytes, WorkerError> {
        let length = (readable - self.position).min(DATA_BYTES_MAX as u64);
        let (reader, offset) = (self.reader.clone(), self.position);
        let bytes = blocking(move || {
            let mut bytes = vec![0; length as usize];
            reader.read_at(&mut bytes, offset).map(|()| bytes)
        })
        .await??;
        let is_last = self.position + length == self.end;
        let is_certain = matches!(state, FillState::Committed { .. });
        if is_last
            && !is_certain
            // A flight that is not known any more has ended, and not by a commit.
            && self.flight.as_ref().is_none_or(|flight| flight.used_ufs())
            && let Some(source) = &self.wanted.ufs
        {
            confirm(&self.core, source).await?;
        }
        self.position += length;
        self.core.metrics.read_filling_bytes.inc_by(length);
        Ok(bytes.into())
    }

    /// The fill ended before the reader did.
    async fn over(&mut self, state: FillState) -> Result<(), WorkerError> {
        if let FillState::Committed { length } = state {
            return Err(WorkerError::OtherLength {
                block: self.wanted.block,
                here_bytes: length,
                asked_bytes: self.wanted.length,
            });
        }
        if let Some(flight) = &self.flight
            && let Err(error) = flight.ended().await
            && is_about_the_file(&error)
        {
            return Err(error);
        }
        // No room, a full disk, a removal, a client that died: the bytes are still in the source.
        self.wanted.check()?;
        let range = BlockRange { start: self.position, end: self.end };
        self.direct = Some(DirectStream::new(self.core.clone(), self.wanted.clone(), range));
        Ok(())
    }
}

/// Whether asking the source again would end the same way.
fn is_about_the_file(error: &WorkerError) -> bool {
    let WorkerError::Fetch { code, .. } = error else { return false };
    !matches!(code, Code::ResourceExhausted | Code::Aborted | Code::Internal)
}

#[async_trait]
impl ReadStream for FillStream {
    async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        Ok(self.next_bytes().await?)
    }
}
