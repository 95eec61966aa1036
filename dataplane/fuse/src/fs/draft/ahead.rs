//! Large new files that are written from their start to their end: whole blocks go to their workers while the
//! program goes on writing, so that `close` has only the end to wait for.
//!
//! The bytes stay in the draft until the commit. When the program comes back to what was sent, that is given up, and
//! the commit writes all of it anew beside, as it does after a kill.

use super::record::Stage;
use super::{COPY_BYTES, Draft, Work};
use crate::errno::Errno;
use crate::fs::{Caller, Core, failed};
use alluxio_client::{CreateFileOptions, FileWriter};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use tokio::task::block_in_place;

/// Shorter files are written when they are closed: most programs come back to the head of a small file.
const AHEAD_FROM_BYTES: u64 = 64 << 20;

/// What was sent ahead.
pub(super) struct Ahead {
    writer: Option<FileWriter>,
    /// Bytes from the start of the file.
    pub(super) sent: u64,
}

impl Ahead {
    pub(super) fn new(writer: FileWriter) -> Self {
        Ahead { writer: Some(writer), sent: 0 }
    }

    /// The writer, for who goes on with it.
    pub(super) fn into_writer(mut self) -> Option<FileWriter> {
        self.writer.take()
    }
}

impl Drop for Ahead {
    /// The name stays: it is ours, and a version that is written beside comes there. Not even the end of this
    /// process may remove it.
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.detach();
        }
    }
}

impl Draft {
    /// Whether there is a block to be sent, and nobody is at it. After a change; the caller has to do it.
    fn is_ahead_due(&self) -> bool {
        let mut state = self.state();
        let record = &state.record;
        let new = record.stage == Stage::Incomplete && !record.unlinked && !state.unsettled;
        // What a process before us has begun is not gone on with.
        let ours = !record.begun || state.sent > 0;
        let due = state.length >= state.sent.saturating_add(state.block_bytes);
        let due = due && state.length >= AHEAD_FROM_BYTES && state.block_bytes > 0;
        if !new || !ours || !due || state.went_back || state.sending {
            return false;
        }
        state.sending = true;
        true
    }

    /// Bytes up to which whole blocks can be sent; `None` when that makes no sense any more.
    fn ahead_to(&self) -> Option<u64> {
        let state = self.state();
        let whole = state.length - state.length % state.block_bytes.max(1);
        (!state.went_back && !state.record.unlinked).then_some(whole)
    }

    /// Sends whole blocks of what there is; one hold of `work` for each.
    async fn send_block(&self, work: &mut Work) -> Result<bool, Errno> {
        let (Some(to), Some(ahead)) = (self.ahead_to(), work.ahead.as_mut()) else {
            return Ok(false);
        };
        let block = self.state().block_bytes;
        let end = ahead.sent + block;
        if end > to {
            return Ok(false);
        }
        {
            let mut state = self.state();
            if state.writing.iter().any(|at| *at < end) {
                // What is under way there comes first; it asks again.
                return Ok(false);
            }
            // From here on, a write below `end` is one that goes back.
            state.sent = end;
        }
        let mut buffer = vec![0; COPY_BYTES];
        while ahead.sent < end {
            let count = usize::try_from(end - ahead.sent).unwrap_or(COPY_BYTES).min(COPY_BYTES);
            let read =
                block_in_place(|| self.slot.file().read_exact_at(&mut buffer[..count], ahead.sent));
            read.map_err(|error| Errno::of_io(&error))?;
            let Some(writer) = ahead.writer.as_mut() else { return Ok(false) };
            let written = writer.write(&buffer[..count]).await;
            written.map_err(|error| failed("write ahead", &error))?;
            ahead.sent += count as u64;
        }
        Ok(true)
    }
}

impl Core {
    /// After a write: sends what can be sent.
    pub(in crate::fs) fn send_ahead(self: &Arc<Self>, node: u64, draft: &Arc<Draft>) {
        if !draft.is_ahead_due() {
            return;
        }
        let (core, draft) = (self.clone(), draft.clone());
        self.runtime.spawn(async move {
            if let Err(errno) = core.send_blocks(node, &draft).await {
                // The commit writes all of it, and says so when that fails too.
                tracing::debug!(node, %errno, "blocks are not written ahead");
                draft.state().went_back = true;
            }
            draft.state().sending = false;
        });
    }

    async fn send_blocks(&self, node: u64, draft: &Arc<Draft>) -> Result<(), Errno> {
        loop {
            let mut work = draft.work.lock().await;
            if draft.state().record.stage != Stage::Incomplete {
                // Committed meanwhile.
                return Ok(());
            }
            if work.ahead.is_none() {
                let Some(birth) = work.birth.take() else { return Ok(()) };
                draft.note(|record| record.begun = true)?;
                let uid = draft.state().record.caller;
                let client = self.client(Caller::of(uid, node))?;
                let writer = client.attach(*birth, &CreateFileOptions::default());
                work.ahead = Some(Ahead::new(writer));
            }
            if !draft.send_block(&mut work).await? {
                return Ok(());
            }
        }
    }
}
