//! One file of the log.
//!
//! **Shape**: a header of 64 bytes, then groups of records (see [`crate::record`]), then zeros.
//! The header: magic (8), CRC-32C of the rest of the header (4), format version (4), tag of the
//! cluster (8), position of the first entry (8), term it was begun under (8), creation in Unix
//! milliseconds (8), zeros (16).
//!
//! The file is zeroed ahead of the writing in steps of [`ZERO_STEP_BYTES`], so that most syncs write
//! data only and no file system metadata.

use super::layout::{FORMAT_VERSION, Folder, at, growing};
use crate::error::Damage;
use crate::record::{Parsed, crc32c, frame, later_group_exists, parse, u32_at, u64_at};
use crate::{EntryBatch, JournalError, Record};
use alluxio_host::{DiskFile, OpenMode};
use alluxio_types::{JournalSeq, Term};
use std::ops::ControlFlow;
use std::path::PathBuf;

pub(crate) const HEADER_BYTES: usize = 64;
pub(super) const MAGIC: &[u8; 8] = b"ALXJSEG\n";
/// 4 MiB hold about 14k entries of 256 bytes: one sync in some dozens carries metadata, and the
/// zeros cost it about 2 ms. Twice that would double the longest pause for no visible gain.
pub(crate) const ZERO_STEP_BYTES: u64 = 4 << 20;

/// The end of the log: appends to one file.
pub(crate) struct SegmentWriter {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    /// Where the next group starts.
    end: u64,
    /// Bytes from `end` to here are zeros on disk.
    zeroed: u64,
    zero_step: u64,
    /// Kept for its capacity.
    group: Vec<u8>,
}

impl SegmentWriter {
    /// A new, empty file, durable when this returns. `zero_step` is at most [`ZERO_STEP_BYTES`].
    pub(crate) fn create(
        folder: &Folder,
        tag: u64,
        first: JournalSeq,
        term: Term,
        zero_step: u64,
    ) -> Result<Self, JournalError> {
        let path = folder.segment(first);
        let (file, temporary) = folder.create_temporary(&path)?;
        let created = folder.host.clock.now();
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        for field in [tag, first.0, term.0, created.0, 0, 0] {
            header.extend_from_slice(&field.to_le_bytes());
        }
        let crc = crc32c(&header);
        let mut bytes = vec![0; zero_step.max(HEADER_BYTES as u64) as usize];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        bytes[12..HEADER_BYTES].copy_from_slice(&header);
        file.write_all_at(&bytes, 0).map_err(growing("write", &temporary))?;
        file.sync_data().map_err(growing("sync", &temporary))?;
        folder.publish(&path)?;
        let (end, zeroed) = (HEADER_BYTES as u64, bytes.len() as u64);
        Ok(SegmentWriter { file, path, end, zeroed, zero_step, group: Vec::new() })
    }

    /// Continues a file behind byte `end`: what follows it is cut off for good.
    ///
    /// The last group, from byte `group` on, is written again before the sync. Should the sync of an
    /// earlier process have failed, its bytes may be readable and not on disk, and a sync alone
    /// would not bring them there.
    pub(crate) fn resume(
        folder: &Folder,
        first: JournalSeq,
        group: u64,
        end: u64,
        zero_step: u64,
    ) -> Result<Self, JournalError> {
        let path = folder.segment(first);
        let disk = folder.disk();
        let file = disk.open(&path, OpenMode::ReadWrite).map_err(at("open", &path))?;
        let mut last_group = vec![0; (end - group) as usize];
        file.read_exact_at(&mut last_group, group).map_err(at("read", &path))?;
        file.set_length(end).map_err(at("cut", &path))?;
        file.write_all_at(&last_group, group).map_err(at("write", &path))?;
        file.sync_data().map_err(at("sync", &path))?;
        Ok(SegmentWriter { file, path, end, zeroed: end, zero_step, group: Vec::new() })
    }

    /// Where the next group starts: the length of what is in use.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Writes and syncs all entries as one group; returns the bytes written. After an error other than
    /// `Full` this writer must not be used again: what is on disk is unknown.
    pub(crate) fn write_group(
        &mut self,
        batches: &[(Term, EntryBatch)],
    ) -> Result<u64, JournalError> {
        self.group.clear();
        for (term, batch) in batches {
            for (seq, payload) in batch.iter() {
                frame(&mut self.group, *term, seq, payload);
            }
        }
        let bytes = self.group.len() as u64;
        let end = self.end + bytes;
        if end > self.zeroed {
            // Before the first byte of the group: a full disk leaves all as it is.
            let ahead = end.next_multiple_of(self.zero_step);
            let zeros = vec![0; (ahead - self.zeroed) as usize];
            let grown = self.file.write_all_at(&zeros, self.zeroed);
            grown.map_err(growing("write", &self.path))?;
            self.zeroed = ahead;
        }
        self.file.write_all_at(&self.group, self.end).map_err(at("write", &self.path))?;
        self.file.sync_data().map_err(at("sync", &self.path))?;
        self.end = end;
        Ok(bytes)
    }

    /// Ends this file: cuts the zeros behind the last record.
    pub(crate) fn seal(self) -> Result<(), JournalError> {
        // No sync: zeros behind the last record are harmless, should they come back.
        self.file.set_length(self.end).map_err(at("cut", &self.path))
    }
}

/// Where reading a file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentEnd {
    /// Position after the last sound record.
    pub(crate) next: JournalSeq,
    /// Newest term.
    pub(crate) term: Term,
    /// Byte behind the last sound record.
    pub(crate) offset: u64,
    /// Byte where the group of the last sound record begins.
    pub(crate) group: u64,
    /// Bytes behind it that are neither a record nor zeros, and that a crash explains.
    pub(crate) torn_bytes: u64,
    /// Whether the visitor broke off.
    pub(crate) stopped: bool,
}

/// Gets a record and the byte where it starts.
pub(crate) type Visit<'a> =
    dyn FnMut(Record<'_>, u64) -> Result<ControlFlow<()>, JournalError> + 'a;

/// A file of the log in memory.
pub(crate) struct Segment {
    path: PathBuf,
    first: JournalSeq,
    bytes: Vec<u8>,
    term: Term,
}

impl Segment {
    /// Reads a whole file; files are bounded by the size at which a new one is begun.
    ///
    /// **Errors**: `Corrupt` for a bad header, `Foreign` for one of another cluster, `Io`.
    pub(crate) fn read(
        folder: &Folder,
        cluster: &super::FormatFacts,
        first: JournalSeq,
    ) -> Result<Segment, JournalError> {
        let path = folder.segment(first);
        let bytes = folder.read_all(&path)?;
        let bad = || JournalError::Corrupt { file: path.clone(), offset: 0, what: Damage::Header };
        let header = bytes.get(..HEADER_BYTES).ok_or_else(bad)?;
        let sound = &header[..8] == MAGIC
            && crc32c(&header[12..]) == u32_at(header, 8)
            && u32_at(header, 12) == FORMAT_VERSION
            && u64_at(header, 24) == first.0;
        if !sound {
            return Err(bad());
        }
        if u64_at(header, 16) != cluster.tag() {
            return Err(JournalError::Foreign {
                path,
                found: format!("tag {:016x}", u64_at(header, 16)),
                expected: cluster.cluster_id.clone(),
            });
        }
        let term = Term(u64_at(header, 32));
        Ok(Segment { path, first, bytes, term })
    }

    /// Hands the records to `visit`, in order. `last_file` tells whether a crash may have left the end
    /// torn.
    ///
    /// **Errors**: `Corrupt`.
    pub(crate) fn visit(
        &self,
        last_file: bool,
        visit: &mut Visit<'_>,
    ) -> Result<SegmentEnd, JournalError> {
        let mut offset = HEADER_BYTES;
        let mut end = SegmentEnd {
            next: self.first,
            term: self.term,
            offset: 0,
            group: HEADER_BYTES as u64,
            torn_bytes: 0,
            stopped: false,
        };
        while let Parsed::Record { term, seq, back, payload, size } = parse(&self.bytes[offset..]) {
            if seq != end.next {
                return Err(self.corrupt(offset, Damage::Order { found: seq, expected: end.next }));
            }
            if term < end.term {
                let what = Damage::Term { found: term, newest: end.term };
                return Err(self.corrupt(offset, what));
            }
            if visit(Record { seq, term, payload }, offset as u64)?.is_break() {
                end.stopped = true;
                break;
            }
            (end.next, end.term) = (seq.next(), term);
            end.group = (offset as u64).saturating_sub(back.into()).max(HEADER_BYTES as u64);
            offset += size;
        }
        end.offset = offset as u64;
        if end.stopped {
            return Ok(end);
        }
        let rest = &self.bytes[offset..];
        let used = rest.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
        if used > 0 {
            if !last_file || later_group_exists(&self.bytes[..offset + used], offset) {
                return Err(self.corrupt(offset, Damage::Record));
            }
            end.torn_bytes = used as u64;
        }
        Ok(end)
    }

    /// The whole file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The error for damage at `offset`.
    pub(crate) fn corrupt(&self, offset: usize, what: Damage) -> JournalError {
        JournalError::Corrupt { file: self.path.clone(), offset: offset as u64, what }
    }
}
