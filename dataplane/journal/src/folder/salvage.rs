//! All that can still be read of a folder, damaged or not: what a dump shows.
//!
//! Unlike a start, which refuses a damaged journal, this goes on behind the damage and names it.

use super::checkpoint::{
    CHUNK_BYTES_MAX, CHUNK_HEADER_BYTES, HEADER_BYTES as CHECKPOINT_HEADER_BYTES, HEADER_MAGIC,
    TRAILER_BYTES, TRAILER_MAGIC,
};
use super::layout::{FORMAT_VERSION, Folder, FormatFacts, at};
use super::segment::{HEADER_BYTES, MAGIC};
use crate::error::Damage;
use crate::record::{Parsed, crc32c, later_group_exists, parse, u32_at, u64_at};
use crate::{JournalError, Record};
use alluxio_host::{DiskFile, Host, OpenMode};
use alluxio_proto::convert::journal::{EntryError, decode_checkpoint_record, decode_entry};
use alluxio_types::{CheckpointRecord, Entry, JournalSeq, Term, UnixMillis};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// One thing that was found in a folder.
#[derive(Debug)]
pub enum Finding<'a> {
    /// Whose journal it is.
    Facts(&'a FormatFacts),
    /// A checkpoint begins; its items follow.
    Checkpoint {
        /// Its file.
        file: &'a Path,
        /// The position it covers.
        at: JournalSeq,
        /// When it was written; `None` when its header is damaged.
        created: Option<UnixMillis>,
    },
    /// One item of the checkpoint that was begun last.
    Item(&'a CheckpointRecord),
    /// The checkpoint that was begun last is whole.
    CheckpointEnd {
        /// Number of its items.
        records: u64,
        /// The state hash that its writer stored.
        state_hash: u64,
    },
    /// A file of the log begins; its entries follow.
    Segment {
        /// The file.
        file: &'a Path,
        /// Position of its first entry, by its name.
        first: JournalSeq,
    },
    /// One entry of the file that was begun last.
    Entry {
        /// Where it stands in the file, in bytes.
        offset: u64,
        /// Its position.
        seq: JournalSeq,
        /// The term it was written under.
        term: Term,
        /// What it says, if this version can read it.
        entry: Result<&'a Entry, &'a EntryError>,
    },
    /// The last file ends with bytes that a crash explains: nothing that was acknowledged is in them.
    Torn {
        /// The file.
        file: &'a Path,
        /// Where they begin.
        offset: u64,
        /// How many.
        bytes: u64,
    },
    /// Something is damaged or missing; what is sound behind it still follows.
    Damaged(&'a JournalError),
}

/// Hears what was found; may break off.
type Visit<'a> = dyn FnMut(Finding<'_>) -> ControlFlow<()> + 'a;

/// Visits all that can be read in the folder at `path`: whose it is, the checkpoints, oldest first,
/// and the entries, oldest first. Takes no lock: should a master append meanwhile, the newest entries
/// may be missing or reported as torn.
///
/// **Errors**: `NotFormatted` for a folder with nothing of a journal in it; `Io` when the folder
/// cannot be listed or a file in it cannot be read.
pub fn salvage(host: &Host, path: &Path, visit: &mut Visit<'_>) -> Result<(), JournalError> {
    let folder = Folder { host: host.clone(), path: path.to_owned() };
    let found = match folder.inventory() {
        Err(JournalError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Err(JournalError::NotFormatted { folder: folder.path });
        }
        found => found?,
    };
    let facts = match folder.facts() {
        Err(error) if found.segments.is_empty() && found.checkpoints.is_empty() => {
            return Err(error);
        }
        // A lost or damaged VERSION takes nothing away from what else is there.
        facts => facts,
    };
    let tag = facts.as_ref().ok().map(FormatFacts::tag);
    let mut scan = Scan { folder: &folder, tag, checkpoints: &found.checkpoints, visit };
    let first = match &facts {
        Ok(facts) => Finding::Facts(facts),
        Err(error) => Finding::Damaged(error),
    };
    if (scan.visit)(first).is_break() {
        return Ok(());
    }
    for &seq in &found.checkpoints {
        if scan.checkpoint(seq)?.is_break() {
            return Ok(());
        }
    }
    let mut next = None;
    for (index, &first) in found.segments.iter().enumerate() {
        let last_file = index + 1 == found.segments.len();
        match scan.segment(first, &mut next, last_file)? {
            ControlFlow::Continue(()) => {}
            ControlFlow::Break(()) => return Ok(()),
        }
    }
    Ok(())
}

struct Scan<'a, 'v> {
    folder: &'a Folder,
    /// What headers must carry, where that is known.
    tag: Option<u64>,
    /// Positions of the checkpoints.
    checkpoints: &'a [JournalSeq],
    visit: &'a mut Visit<'v>,
}

impl Scan<'_, '_> {
    fn damage(&mut self, file: &Path, offset: usize, what: Damage) -> ControlFlow<()> {
        let error = JournalError::Corrupt { file: file.to_owned(), offset: offset as u64, what };
        (self.visit)(Finding::Damaged(&error))
    }

    fn check_tag(&mut self, file: &Path, found: u64) -> ControlFlow<()> {
        match self.tag {
            Some(tag) if tag != found => {
                let error = JournalError::Foreign {
                    path: file.to_owned(),
                    found: format!("tag {found:016x}"),
                    expected: format!("tag {tag:016x}"),
                };
                (self.visit)(Finding::Damaged(&error))
            }
            _ => ControlFlow::Continue(()),
        }
    }

    /// One file of the log. `next` is the position that should come, once one is known.
    fn segment(
        &mut self,
        first: JournalSeq,
        next: &mut Option<JournalSeq>,
        last_file: bool,
    ) -> Result<ControlFlow<()>, JournalError> {
        let path = self.folder.segment(first);
        let bytes = self.folder.read_all(&path)?;
        if (self.visit)(Finding::Segment { file: &path, first }).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        Ok(self.segment_bytes(&path, first, &bytes, next, last_file))
    }

    fn segment_bytes(
        &mut self,
        path: &Path,
        first: JournalSeq,
        bytes: &[u8],
        next: &mut Option<JournalSeq>,
        last_file: bool,
    ) -> ControlFlow<()> {
        if let Some(expected) = *next
            && first > expected
            // The log begins anew behind a checkpoint that was ahead of it, as a restored backup is.
            && !self.checkpoints.contains(&JournalSeq(first.0 - 1))
        {
            let (folder, to) = (self.folder.path.clone(), JournalSeq(first.0 - 1));
            let gap = JournalError::Gap { folder, from: expected, to };
            (self.visit)(Finding::Damaged(&gap))?;
        }
        let header_sound = bytes.len() >= HEADER_BYTES
            && &bytes[..8] == MAGIC
            && crc32c(&bytes[12..HEADER_BYTES]) == u32_at(bytes, 8)
            && u32_at(bytes, 12) == FORMAT_VERSION
            && u64_at(bytes, 24) == first.0;
        if header_sound {
            self.check_tag(path, u64_at(bytes, 16))?;
        } else {
            self.damage(path, 0, Damage::Header)?;
        }
        // The name of the file says what should come; entries before it would be another's.
        *next = Some(first);
        let mut offset = HEADER_BYTES;
        while offset < bytes.len() {
            match parse(&bytes[offset..]) {
                Parsed::Record { term, seq, payload, size, .. } => {
                    if let Some(expected) = *next
                        && seq != expected
                    {
                        self.damage(path, offset, Damage::Order { found: seq, expected })?;
                    }
                    self.entry(Record { seq, term, payload }, offset)?;
                    *next = Some(seq.next());
                    offset += size;
                }
                Parsed::End | Parsed::Bad => {
                    let Some(after) = next_record(bytes, offset) else {
                        return self.tail(path, bytes, offset, last_file);
                    };
                    if !last_file || later_group_exists(bytes, offset) {
                        self.damage(path, offset, Damage::Record)?;
                    }
                    offset = after;
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn entry(&mut self, record: Record<'_>, offset: usize) -> ControlFlow<()> {
        let decoded = decode_entry(record.payload);
        (self.visit)(Finding::Entry {
            offset: offset as u64,
            seq: record.seq,
            term: record.term,
            entry: decoded.as_ref(),
        })
    }

    /// What stands behind the last sound record.
    fn tail(
        &mut self,
        path: &Path,
        bytes: &[u8],
        offset: usize,
        last_file: bool,
    ) -> ControlFlow<()> {
        let rest = &bytes[offset..];
        match rest.iter().rposition(|byte| *byte != 0) {
            None => ControlFlow::Continue(()),
            Some(_) if !last_file => self.damage(path, offset, Damage::Record),
            Some(last) => (self.visit)(Finding::Torn {
                file: path,
                offset: offset as u64,
                bytes: last as u64 + 1,
            }),
        }
    }

    /// One checkpoint, chunk by chunk: memory is bounded by one chunk.
    fn checkpoint(&mut self, seq: JournalSeq) -> Result<ControlFlow<()>, JournalError> {
        let path = self.folder.checkpoint(seq);
        let file = self.folder.disk().open(&path, OpenMode::Read).map_err(at("open", &path))?;
        let length = file.length().map_err(at("read", &path))?;
        let file = Opened { path, file, length };
        let header = file.bytes(0, CHECKPOINT_HEADER_BYTES)?;
        let sound = header.as_ref().is_some_and(|header| {
            &header[..8] == HEADER_MAGIC
                && crc32c(&header[12..]) == u32_at(header, 8)
                && u32_at(header, 12) == FORMAT_VERSION
                && u64_at(header, 24) == seq.0
        });
        let header = header.filter(|_| sound);
        let created = header.as_ref().map(|header| UnixMillis(u64_at(header, 32)));
        let begun = Finding::Checkpoint { file: &file.path, at: seq, created };
        let flow = match ((self.visit)(begun), header) {
            (ControlFlow::Break(()), _) => ControlFlow::Break(()),
            (_, Some(header)) => self.check_tag(&file.path, u64_at(&header, 16)),
            (_, None) => self.damage(&file.path, 0, Damage::Header),
        };
        if flow.is_break() {
            return Ok(flow);
        }
        self.chunks(&file)
    }

    fn chunks(&mut self, file: &Opened) -> Result<ControlFlow<()>, JournalError> {
        let mut offset = CHECKPOINT_HEADER_BYTES as u64;
        let (mut records, mut index, mut crcs, mut sound) = (0u64, 0u32, Vec::new(), true);
        loop {
            if file.length == offset + TRAILER_BYTES as u64 {
                let trailer = file.bytes(offset, TRAILER_BYTES)?.unwrap_or_default();
                let whole = trailer.get(..8) == Some(TRAILER_MAGIC.as_slice())
                    && crc32c(&trailer[12..]) == u32_at(&trailer, 8)
                    && u32_at(&trailer, 12) == index
                    && u64_at(&trailer, 24) == file.length
                    && (!sound || u64_at(&trailer, 16) == records)
                    && (!sound || u32_at(&trailer, 40) == crc32c(&crcs));
                return Ok(match (whole, sound) {
                    (true, true) => {
                        let state_hash = u64_at(&trailer, 32);
                        (self.visit)(Finding::CheckpointEnd { records, state_hash })
                    }
                    (true, false) => ControlFlow::Continue(()),
                    (false, _) => self.damage(&file.path, offset as usize, Damage::Checkpoint),
                });
            }
            let header = file.bytes(offset, CHUNK_HEADER_BYTES)?;
            let chunk = match &header {
                Some(header) if u32_at(header, 4) as usize <= CHUNK_BYTES_MAX => {
                    file.bytes(offset, CHUNK_HEADER_BYTES + u32_at(header, 4) as usize)?
                }
                _ => None,
            };
            // Without a length that makes sense nobody knows where the next chunk begins.
            let Some(chunk) = chunk else {
                return Ok(self.damage(&file.path, offset as usize, Damage::Checkpoint));
            };
            let good = crc32c(&chunk[4..]) == u32_at(&chunk, 0) && u32_at(&chunk, 8) == index;
            let flow = if good {
                crcs.extend_from_slice(&chunk[..4]);
                self.items(&chunk[CHUNK_HEADER_BYTES..], file, offset, &mut records)
            } else {
                sound = false;
                self.damage(&file.path, offset as usize, Damage::Checkpoint)
            };
            if flow.is_break() {
                return Ok(flow);
            }
            offset += chunk.len() as u64;
            index += 1;
        }
    }

    fn items(
        &mut self,
        mut rest: &[u8],
        file: &Opened,
        offset: u64,
        records: &mut u64,
    ) -> ControlFlow<()> {
        while !rest.is_empty() {
            match decode_checkpoint_record(&mut rest) {
                Ok(record) => {
                    *records += 1;
                    (self.visit)(Finding::Item(&record))?;
                }
                Err(error) => return self.damage(&file.path, offset as usize, error.into()),
            }
        }
        ControlFlow::Continue(())
    }
}

struct Opened {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    length: u64,
}

impl Opened {
    /// So many bytes; `None` when the file ends before them.
    fn bytes(&self, offset: u64, count: usize) -> Result<Option<Vec<u8>>, JournalError> {
        if offset + count as u64 > self.length {
            return Ok(None);
        }
        let mut bytes = vec![0; count];
        self.file.read_exact_at(&mut bytes, offset).map_err(at("read", &self.path))?;
        Ok(Some(bytes))
    }
}

/// Where the first sound record behind `stop` begins. Records begin at multiples of 8.
fn next_record(bytes: &[u8], stop: usize) -> Option<usize> {
    (stop + 8..bytes.len())
        .step_by(8)
        // Most of what is searched is zeros.
        .filter(|&at| bytes.len() - at >= 32 && u32_at(bytes, at + 4) != 0)
        .find(|&at| matches!(parse(&bytes[at..]), Parsed::Record { .. }))
}
