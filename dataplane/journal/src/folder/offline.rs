//! Looking at a folder without its lock: dumps and reports.

use super::layout::{Folder, FormatFacts};
use super::log::FolderView;
use super::{checkpoint, segment::Segment};
use crate::{CheckpointInfo, JournalError, Record, Replay};
use alluxio_host::Host;
use alluxio_types::{CheckpointRecord, Entry, JournalSeq};
use std::ops::ControlFlow;
use std::path::Path;

/// Reads a folder that nobody appends to. Should a master append meanwhile, the newest entries may be
/// missing, or reported as damage.
pub struct FolderReader {
    folder: Folder,
    cluster: FormatFacts,
}

impl FolderReader {
    /// A reader of a formatted folder.
    ///
    /// **Errors**: `NotFormatted`, `FormatVersion`, `Corrupt`, `Io`.
    pub fn open(host: &Host, path: &Path) -> Result<Self, JournalError> {
        let folder = Folder { host: host.clone(), path: path.to_owned() };
        let cluster = folder.facts()?;
        Ok(FolderReader { folder, cluster })
    }

    /// Whose journal it is.
    pub fn facts(&self) -> &FormatFacts {
        &self.cluster
    }

    /// Facts of every checkpoint, oldest first; an error for one whose header or trailer is damaged.
    ///
    /// **Errors**: `Io` when the folder cannot be listed.
    #[expect(clippy::type_complexity, reason = "a list of results is what it is")]
    pub fn checkpoints(
        &self,
    ) -> Result<Vec<(JournalSeq, Result<CheckpointInfo, JournalError>)>, JournalError> {
        let found = self.folder.inventory()?.checkpoints;
        let info = |at| (at, checkpoint::info(&self.folder, &self.cluster, at));
        Ok(found.into_iter().map(info).collect())
    }

    /// Hands the records of one checkpoint to `visit`.
    ///
    /// **Errors**: `Corrupt` (also after some records were visited), `Foreign`, `Io`.
    pub fn checkpoint(
        &self,
        at: JournalSeq,
        visit: &mut dyn FnMut(&CheckpointRecord),
    ) -> Result<CheckpointInfo, JournalError> {
        checkpoint::load(&self.folder, &self.cluster, at, &mut Visit(visit))
    }

    /// Visits all entries that are there, oldest first, until the visitor breaks. Returns the bytes of a
    /// torn end.
    ///
    /// **Errors**: `Corrupt`, `Gap`, `Foreign`, `Io`.
    pub fn entries(
        &self,
        visit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<u64, JournalError> {
        let view = FolderView { folder: &self.folder, cluster: &self.cluster };
        let segments = self.folder.inventory()?.segments;
        let mut expected = None;
        for (index, &first) in segments.iter().enumerate() {
            view.check_continues(expected, first)?;
            let segment = Segment::read(&self.folder, &self.cluster, first)?;
            let last_file = index + 1 == segments.len();
            let end = segment.visit(last_file, &mut |record, _| Ok(visit(record)))?;
            if end.stopped || last_file {
                return Ok(end.torn_bytes);
            }
            expected = Some(end.next);
        }
        Ok(0)
    }
}

/// Hands the items of a checkpoint on.
struct Visit<'a>(&'a mut dyn FnMut(&CheckpointRecord));

impl Replay for Visit<'_> {
    fn restart(&mut self) {}

    fn checkpoint(&mut self, record: &CheckpointRecord) {
        (self.0)(record);
    }

    fn entry(&mut self, _: JournalSeq, _: Entry) {}
}
