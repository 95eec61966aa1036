//! The synchronous core of a folder journal: recovery, then appends, one group at a time. The
//! simulator steps it directly; [`super::FolderJournal`] runs it on a thread of its own.

use super::checkpoint;
use super::layout::{Folder, FormatFacts};
use super::segment::{Segment, SegmentWriter, ZERO_STEP_BYTES};
use crate::error::Damage;
use crate::{
    CheckpointInfo, CheckpointSink, EntryBatch, JournalError, Record, Recovered, Replay, Truncated,
};
use alluxio_host::Host;
use alluxio_proto::convert::journal::decode_entry;
use alluxio_types::{JournalSeq, Term};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

/// Checkpoints that [`FolderLog::truncate`] leaves.
const CHECKPOINTS_KEPT: usize = 2;

/// A journal folder that this process holds the lock of.
pub struct FolderLog {
    folder: Folder,
    cluster: FormatFacts,
    segment_bytes: u64,
    /// What `load` found; `None` before it.
    loaded: Option<Loaded>,
    writer: Option<SegmentWriter>,
    next: JournalSeq,
    term: Term,
    _lock: Box<dyn Send + Sync>,
}

#[derive(Clone, Copy)]
struct Loaded {
    /// The last file, the byte where its last group begins, and the byte behind it.
    last_segment: JournalSeq,
    group: u64,
    end: u64,
    /// Position after the last record in it.
    continues_at: JournalSeq,
}

impl FolderLog {
    /// Takes the lock of a formatted folder. A new file is begun when one has `segment_bytes`.
    ///
    /// **Errors**: `NotFormatted`, `FormatVersion`, `Locked`, `Corrupt`, `Io`.
    pub fn open(host: &Host, path: &Path, segment_bytes: u64) -> Result<Self, JournalError> {
        let folder = Folder { host: host.clone(), path: path.to_owned() };
        let cluster = folder.facts()?;
        let lock = folder.lock()?;
        for name in folder.inventory()?.temporary {
            folder.remove(&folder.file(&name))?;
        }
        Ok(FolderLog {
            folder,
            cluster,
            segment_bytes,
            loaded: None,
            writer: None,
            next: JournalSeq(0),
            term: Term(0),
            _lock: lock,
        })
    }

    /// Whose journal it is.
    pub fn facts(&self) -> &FormatFacts {
        &self.cluster
    }

    /// See [`crate::JournalStore::load`]. The torn end, if any, is cut off by [`FolderLog::fence`].
    pub fn load(&mut self, replay: &mut dyn Replay) -> Result<Recovered, JournalError> {
        if self.writer.is_some() {
            let needs = "a journal that is not appended to";
            return Err(JournalError::OutOfOrder { call: "load", needs });
        }
        let mut recovered = Recovered::default();
        let view = FolderView { folder: &self.folder, cluster: &self.cluster };
        let mut damaged = Vec::new();
        recovered.checkpoint = view.load_start(replay, &mut damaged)?;
        recovered.damaged_checkpoints = damaged.len() as u32;
        let after = recovered.checkpoint.as_ref().map_or(JournalSeq(0), |found| found.at);
        let segments = view.segments_after(after)?;
        let mut loaded = None;
        let mut expected = None;
        for (index, &first) in segments.iter().enumerate() {
            view.check_continues(expected, first)?;
            let segment = Segment::read(&self.folder, &self.cluster, first)?;
            let last_file = index + 1 == segments.len();
            let end = segment.visit(last_file, &mut |record, offset| {
                if record.seq > after {
                    let entry = decode_entry(record.payload)
                        .map_err(|error| segment.corrupt(offset as usize, error.into()))?;
                    replay.entry(record.seq, entry);
                    recovered.entries += 1;
                }
                Ok(ControlFlow::Continue(()))
            })?;
            if end.term < recovered.term {
                let what = Damage::Term { found: end.term, newest: recovered.term };
                return Err(segment.corrupt(0, what));
            }
            recovered.term = end.term;
            recovered.torn_bytes = end.torn_bytes;
            expected = Some(end.next);
            loaded = Some(Loaded {
                last_segment: first,
                group: end.group,
                end: end.offset,
                continues_at: end.next,
            });
        }
        let next = expected.unwrap_or_default().max(after.next());
        recovered.last = JournalSeq(next.0 - 1);
        (self.loaded, self.next, self.term) = (loaded, next, recovered.term);
        self.folder.set_aside(damaged.iter().map(|(at, _)| at));
        Ok(recovered)
    }

    /// See [`crate::JournalStore::fence`]. Cuts a torn end off, durably.
    pub fn fence(&mut self, term: Term) -> Result<(), JournalError> {
        let Some(loaded) = self.loaded else {
            return Err(JournalError::OutOfOrder { call: "fence", needs: "load" });
        };
        if term < self.term {
            return Err(JournalError::Fenced { term, newest: self.term });
        }
        self.term = term;
        if self.writer.is_none() {
            // A process that was killed between giving a file its name and syncing the folder left
            // a name that the next power cut takes away, with all that is appended from now on.
            self.folder.sync()?;
            let (first, step) = (loaded.last_segment, self.zero_step());
            let writer =
                SegmentWriter::resume(&self.folder, first, loaded.group, loaded.end, step)?;
            self.writer = Some(writer);
            if loaded.continues_at != self.next {
                // The file ends before the checkpoint does: its last group was damaged, and the
                // checkpoint has it. What follows must not look like its continuation.
                self.begin_segment()?;
            }
        }
        Ok(())
    }

    /// Position of the next entry.
    pub fn next(&self) -> JournalSeq {
        self.next
    }

    /// The newest term.
    pub fn term(&self) -> Term {
        self.term
    }

    /// Writes and syncs batches as one group; the caller has checked that they continue the log.
    /// Returns the bytes written. After `Full` the same may be tried again; after another error
    /// nothing more may be appended.
    pub fn write_group(&mut self, batches: &[(Term, EntryBatch)]) -> Result<u64, JournalError> {
        let full = match &self.writer {
            Some(writer) => writer.end() >= self.segment_bytes,
            None => return Err(JournalError::OutOfOrder { call: "append", needs: "fence" }),
        };
        if full {
            self.begin_segment()?;
        }
        let writer = self.writer.as_mut().expect("fenced, as checked above");
        let bytes = writer.write_group(batches)?;
        if let Some((_, batch)) = batches.last() {
            self.next = batch.last().next();
        }
        Ok(bytes)
    }

    fn begin_segment(&mut self) -> Result<(), JournalError> {
        let (tag, step) = (self.cluster.tag(), self.zero_step());
        let new = SegmentWriter::create(&self.folder, tag, self.next, self.term, step)?;
        match self.writer.replace(new) {
            Some(old) => old.seal(),
            None => Ok(()),
        }
    }

    fn zero_step(&self) -> u64 {
        ZERO_STEP_BYTES.min(self.segment_bytes).next_multiple_of(512)
    }

    /// See [`crate::JournalStore::begin_checkpoint`]; `at` must be below [`FolderLog::next`].
    pub fn begin_checkpoint(
        &self,
        at: JournalSeq,
    ) -> Result<Box<dyn CheckpointSink>, JournalError> {
        let (folder, observer) = (self.folder.clone(), Arc::new(()));
        Ok(Box::new(checkpoint::Writer::create(folder, &self.cluster, at, observer)?))
    }

    /// See [`crate::JournalStore::truncate`].
    pub fn truncate(&self) -> Result<Truncated, JournalError> {
        FolderView { folder: &self.folder, cluster: &self.cluster }.truncate()
    }

    /// The same folder for those who only look.
    pub(crate) fn view(&self) -> (Folder, FormatFacts) {
        (self.folder.clone(), self.cluster.clone())
    }
}

/// A folder as those see it who do not append.
pub(crate) struct FolderView<'a> {
    pub(crate) folder: &'a Folder,
    pub(crate) cluster: &'a FormatFacts,
}

impl FolderView<'_> {
    /// Hands the newest sound checkpoint to `replay`; `None` when there is none, and the log starts
    /// at the first entry.
    ///
    /// **Errors**: `Corrupt` when the log does not start there and the checkpoints are damaged.
    pub(crate) fn load_start(
        &self,
        replay: &mut dyn Replay,
        damaged: &mut Vec<(JournalSeq, JournalError)>,
    ) -> Result<Option<CheckpointInfo>, JournalError> {
        let found = self.load_checkpoint(replay, damaged)?;
        let is_lost = found.is_none() && self.segments()?.first() != Some(&JournalSeq(1));
        match (is_lost, damaged.is_empty()) {
            (true, false) => Err(damaged.remove(0).1),
            _ => Ok(found),
        }
    }

    /// Hands the newest sound checkpoint to `replay`, if there is one; newer ones go to `damaged`.
    pub(crate) fn load_checkpoint(
        &self,
        replay: &mut dyn Replay,
        damaged: &mut Vec<(JournalSeq, JournalError)>,
    ) -> Result<Option<CheckpointInfo>, JournalError> {
        replay.restart();
        for &at in self.folder.inventory()?.checkpoints.iter().rev() {
            match checkpoint::load(self.folder, self.cluster, at, replay) {
                Ok(info) => return Ok(Some(info)),
                Err(error @ JournalError::Corrupt { .. }) => {
                    tracing::error!(%error, "checkpoint is damaged, trying an older one");
                    damaged.push((at, error));
                    replay.restart();
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn segments(&self) -> Result<Vec<JournalSeq>, JournalError> {
        Ok(self.folder.inventory()?.segments)
    }

    /// The files that hold entries after `after`, and at least the last one.
    pub(crate) fn segments_after(
        &self,
        after: JournalSeq,
    ) -> Result<Vec<JournalSeq>, JournalError> {
        let mut segments = self.segments()?;
        let wanted = after.next();
        let start = segments.iter().rposition(|first| *first <= wanted);
        match start {
            Some(start) => Ok(segments.split_off(start)),
            None => Err(JournalError::Gap {
                folder: self.folder.path.clone(),
                from: wanted,
                to: segments.first().map_or(wanted, |first| JournalSeq(first.0 - 1)),
            }),
        }
    }

    pub(crate) fn check_continues(
        &self,
        expected: Option<JournalSeq>,
        found: JournalSeq,
    ) -> Result<(), JournalError> {
        match expected {
            Some(expected) if found > expected => Err(JournalError::Gap {
                folder: self.folder.path.clone(),
                from: expected,
                to: JournalSeq(found.0 - 1),
            }),
            Some(expected) if found < expected => Err(JournalError::Corrupt {
                file: self.folder.segment(found),
                offset: 0,
                what: Damage::Order { found, expected },
            }),
            _ => Ok(()),
        }
    }

    /// Visits the entries from `from` up to and including `last`.
    pub(crate) fn read(
        &self,
        from: JournalSeq,
        last: JournalSeq,
        visit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<JournalSeq, JournalError> {
        let mut next = from;
        if from > last {
            return Ok(next);
        }
        let segments = self.segments_after(JournalSeq(from.0.saturating_sub(1)))?;
        let mut expected = None;
        for (index, &first) in segments.iter().enumerate() {
            self.check_continues(expected, first)?;
            let segment = Segment::read(self.folder, self.cluster, first)?;
            let end = segment.visit(index + 1 == segments.len(), &mut |record, _| {
                if record.seq < from {
                    return Ok(ControlFlow::Continue(()));
                }
                next = record.seq.next();
                // Nothing beyond `last` is even looked at: it may be in the middle of being written.
                let done = visit(record).is_break() || record.seq >= last;
                Ok(if done { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })?;
            if end.stopped {
                break;
            }
            expected = Some(end.next);
        }
        Ok(next)
    }

    /// See [`crate::JournalStore::truncate`].
    pub(crate) fn truncate(&self) -> Result<Truncated, JournalError> {
        let found = self.folder.inventory()?;
        let mut removed = Truncated::default();
        let surplus = found.checkpoints.len().saturating_sub(CHECKPOINTS_KEPT);
        for at in &found.checkpoints[..surplus] {
            self.folder.remove(&self.folder.checkpoint(*at))?;
            removed.checkpoints += 1;
        }
        // A single checkpoint frees nothing: were it damaged, the log would be all there is.
        if let [oldest, _] = found.checkpoints[surplus..] {
            for pair in found.segments.windows(2) {
                if pair[1] > oldest.next() {
                    break;
                }
                self.folder.remove(&self.folder.segment(pair[0]))?;
                removed.segments += 1;
            }
        }
        self.folder.sync()?;
        Ok(removed)
    }
}
