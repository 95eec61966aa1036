//! Reading along in a folder that another process appends to, and writing checkpoints into it: what a
//! secondary master does.
//!
//! Safe beside a primary that may crash, fail, or be formatted at any moment:
//!
//! - Only entries are handed out that are proved to be durable: those of a file that has a successor,
//!   and those of groups with a sound record of a later group behind them. A primary that loses its last
//!   group, and writes other entries in its place, takes nothing back that was handed out.
//! - A checkpoint is written under a name that no primary touches, synced, and renamed. It covers handed
//!   out entries only.
//! - The lock `SECONDARY` is held all the while: one reader at a time, and no formatting meanwhile.
//!   The primary's lock is never taken, so that nothing here can keep a primary from starting.
//!
//! Removing what checkpoints cover is left to the primary.

use super::checkpoint;
use super::layout::{Folder, FormatFacts};
use super::log::FolderView;
use super::segment::{HEADER_BYTES, Segment};
use crate::record::{Parsed, parse};
use crate::{CheckpointInfo, CheckpointSink, JournalError, Replay};
use alluxio_host::Host;
use alluxio_proto::convert::journal::decode_entry;
use alluxio_types::JournalSeq;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Further attempts to get the lock, and the time between two: a tenth of a second in all.
const LOCK_ATTEMPTS: u32 = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// A reader of a folder that is in use.
pub struct FolderTail {
    folder: Folder,
    cluster: FormatFacts,
    /// Position of the next entry to hand out; `None` before the first one, and after a gap: the next
    /// look begins with a checkpoint.
    next: Option<JournalSeq>,
    _lock: Box<dyn Send + Sync>,
}

/// What one look found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tailed {
    /// Position of the last entry handed out so far.
    pub last: JournalSeq,
    /// Entries handed out by this look.
    pub entries: u64,
    /// The checkpoint that this look began with, if it began anew.
    pub checkpoint: Option<CheckpointInfo>,
}

impl FolderTail {
    /// Takes the lock of those who read along in a formatted folder.
    ///
    /// **Errors**: `NotFormatted`, `FormatVersion`, `SecondaryRuns`, `Corrupt`, `Io`.
    pub fn open(host: &Host, path: &Path) -> Result<Self, JournalError> {
        let folder = Folder { host: host.clone(), path: path.to_owned() };
        folder.facts()?;
        let mut lock = folder.lock_secondary();
        for _ in 0..LOCK_ATTEMPTS {
            if !matches!(lock, Err(JournalError::SecondaryRuns { .. })) {
                break;
            }
            // The primary takes it for a moment to see whether anybody holds it.
            std::thread::sleep(LOCK_PAUSE);
            lock = folder.lock_secondary();
        }
        let lock = lock?;
        // Read under the lock: it is not formatted any more from here on.
        let cluster = folder.facts()?;
        for name in folder.inventory()?.secondary_temporary {
            folder.remove(&folder.file(&name))?;
        }
        Ok(FolderTail { folder, cluster, next: None, _lock: lock })
    }

    /// Whose journal it is.
    pub fn facts(&self) -> &FormatFacts {
        &self.cluster
    }

    /// Hands what is new to `replay`: entries, or a checkpoint first, after [`Replay::restart`], when
    /// those that would come next were removed. Blocking.
    ///
    /// **Errors**: `Corrupt`, `Gap`, `Foreign`; `Io`, after which the same call may be tried again. After any
    /// error the next look begins anew.
    pub fn look(&mut self, replay: &mut dyn Replay) -> Result<Tailed, JournalError> {
        let result = match self.next.take() {
            Some(next) => self.entries(next, replay),
            None => self.anew(replay),
        };
        let (next, tailed) = match result {
            // The primary removed what a checkpoint covers, while this one was behind.
            Err(error) if is_overtaken(&error) => self.anew(replay)?,
            other => other?,
        };
        self.next = Some(next);
        Ok(tailed)
    }

    /// From the newest checkpoint on.
    fn anew(&self, replay: &mut dyn Replay) -> Result<(JournalSeq, Tailed), JournalError> {
        let found = self.view().load_start(replay, &mut Vec::new())?;
        let after = found.as_ref().map_or(JournalSeq(0), |found| found.at);
        let (next, tailed) = self.entries(after.next(), replay)?;
        Ok((next, Tailed { checkpoint: found, ..tailed }))
    }

    /// The proved entries from `next` on.
    fn entries(
        &self,
        next: JournalSeq,
        replay: &mut dyn Replay,
    ) -> Result<(JournalSeq, Tailed), JournalError> {
        let first_wanted = next;
        let mut next = next;
        let segments = self.view().segments_after(JournalSeq(next.0 - 1))?;
        for (index, &first) in segments.iter().enumerate() {
            if first > next {
                let folder = self.folder.path.clone();
                return Err(JournalError::Gap { folder, from: next, to: JournalSeq(first.0 - 1) });
            }
            let segment = Segment::read(&self.folder, &self.cluster, first)?;
            let mut take = |seq: JournalSeq, payload: &[u8], offset: usize| {
                if seq == next {
                    let entry = decode_entry(payload)
                        .map_err(|error| segment.corrupt(offset, error.into()))?;
                    replay.entry(seq, entry);
                    next = seq.next();
                }
                Ok(())
            };
            if index + 1 < segments.len() {
                segment.visit(false, &mut |record, offset| {
                    take(record.seq, record.payload, offset as usize)?;
                    Ok(ControlFlow::Continue(()))
                })?;
            } else {
                proved(segment.bytes(), &mut take)?;
            }
        }
        let (last, entries) = (JournalSeq(next.0 - 1), next.0 - first_wanted.0);
        Ok((next, Tailed { last, entries, checkpoint: None }))
    }

    /// Begins a checkpoint of the state after entry `at`, which was handed out.
    ///
    /// **Errors**: `CheckpointAhead`; `Io`.
    pub fn begin_checkpoint(
        &self,
        at: JournalSeq,
    ) -> Result<Box<dyn CheckpointSink>, JournalError> {
        let committed = self.next.map_or(JournalSeq(0), |next| JournalSeq(next.0 - 1));
        if at > committed {
            return Err(JournalError::CheckpointAhead { at, committed });
        }
        let (folder, observer) = (self.folder.clone(), Arc::new(()));
        let writer = checkpoint::Writer::create_beside(folder, &self.cluster, at, observer)?;
        Ok(Box::new(writer))
    }

    fn view(&self) -> FolderView<'_> {
        FolderView { folder: &self.folder, cluster: &self.cluster }
    }
}

/// Whether files were missing that may have been removed while they were looked for.
fn is_overtaken(error: &JournalError) -> bool {
    match error {
        JournalError::Gap { .. } => true,
        JournalError::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

/// Gets an entry: position, bytes, and where it stands in its file.
type Take<'a> = dyn FnMut(JournalSeq, &[u8], usize) -> Result<(), JournalError> + 'a;

/// Hands out the records of all groups but the last in a file that is being appended to. What stands
/// behind the last sound record may be in the middle of being written; the next look sees it.
fn proved(bytes: &[u8], take: &mut Take<'_>) -> Result<(), JournalError> {
    let mut group = Vec::new();
    let (mut group_start, mut offset) = (HEADER_BYTES, HEADER_BYTES);
    while let Parsed::Record { seq, back, payload, size, .. } = parse(&bytes[offset..]) {
        let start = offset - (back as usize).min(offset);
        if start > group_start {
            for (seq, payload, at) in group.drain(..) {
                take(seq, payload, at)?;
            }
            group_start = start;
        }
        group.push((seq, payload, offset));
        offset += size;
    }
    Ok(())
}
