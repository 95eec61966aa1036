//! One file of the log.
//!
//! **Shape** (little endian): a header of 88 bytes: magic (8), CRC-32C of the rest of the header (4),
//! format version (4), tag of the cluster (8), term (8), number of the segment (8), position of its first
//! entry (8), bytes of the records of all segments before it (8), bytes of its own records (8), its
//! writer (16), CRC-32C of the records (4), zeros (4). Then records (see [`crate::record`]).
//!
//! A segment without records is a *fence*: the first one that its writer made, with the position that
//! comes next. Nothing else is so short, so that a listing tells a fence from entries.

use crate::error::Damage;
use crate::group::{self, Group};
use crate::record::{self, Parsed, crc32c, u32_at, u64_at};
use crate::{JournalError, Record};
use alluxio_types::{JournalSeq, Term};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

pub(super) const HEADER_BYTES: usize = 88;
const MAGIC: &[u8; 8] = b"ALXSEG1\n";
const VERSION: u32 = 1;

/// Tells the segments of one opened journal from those of all others: 128 random bits.
pub(super) type WriterId = [u8; 16];

/// A sound segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) term: Term,
    pub(super) number: u64,
    /// Position of its first entry; of the next one, in a fence.
    pub(super) first: JournalSeq,
    /// Bytes of records before it.
    pub(super) offset: u64,
    pub(super) bytes: Vec<u8>,
    path: PathBuf,
}

/// What the header of a segment holds, besides its number and what follows from its records.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub(super) tag: u64,
    pub(super) writer: WriterId,
    pub(super) number: u64,
    pub(super) offset: u64,
}

/// A segment that holds a group.
pub(super) fn of_group(facts: &Facts, group: &Group) -> Vec<u8> {
    encode(facts, group.term, group.first, &group.records)
}

/// A segment without entries.
pub(super) fn fence(facts: &Facts, term: Term, next: JournalSeq) -> Vec<u8> {
    encode(facts, term, next, &[])
}

fn encode(facts: &Facts, term: Term, first: JournalSeq, records: &[u8]) -> Vec<u8> {
    let mut rest = VERSION.to_le_bytes().to_vec();
    let numbers = [facts.tag, term.0, facts.number, first.0, facts.offset, records.len() as u64];
    numbers.iter().for_each(|field| rest.extend_from_slice(&field.to_le_bytes()));
    rest.extend_from_slice(&facts.writer);
    rest.extend_from_slice(&crc32c(records).to_le_bytes());
    rest.extend_from_slice(&[0; 4]);
    let mut bytes = Vec::with_capacity(HEADER_BYTES + records.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&crc32c(&rest).to_le_bytes());
    bytes.extend_from_slice(&rest);
    bytes.extend_from_slice(records);
    bytes
}

/// Reads a segment, all of whose checksums are compared; `path` is for the errors.
///
/// **Errors**: `Corrupt`, `Foreign`.
pub(super) fn parse(
    path: &Path,
    tag: u64,
    number: u64,
    bytes: Vec<u8>,
) -> Result<Segment, JournalError> {
    let corrupt = |offset, what| JournalError::Corrupt { file: path.to_owned(), offset, what };
    let sound = bytes.len() >= HEADER_BYTES
        && &bytes[..8] == MAGIC
        && crc32c(&bytes[12..HEADER_BYTES]) == u32_at(&bytes, 8)
        && u32_at(&bytes, 12) == VERSION;
    if !sound {
        return Err(corrupt(0, Damage::Header));
    }
    if u64_at(&bytes, 16) != tag {
        let found = format!("tag {:016x}", u64_at(&bytes, 16));
        let (path, expected) = (path.to_owned(), format!("tag {tag:016x}"));
        return Err(JournalError::Foreign { path, found, expected });
    }
    if u64_at(&bytes, 32) != number {
        return Err(corrupt(32, Damage::Header));
    }
    let records = &bytes[HEADER_BYTES..];
    if records.len() as u64 != u64_at(&bytes, 56) || crc32c(records) != u32_at(&bytes, 80) {
        return Err(corrupt((HEADER_BYTES + first_bad(records)) as u64, Damage::Record));
    }
    Ok(Segment {
        term: Term(u64_at(&bytes, 24)),
        number,
        first: JournalSeq(u64_at(&bytes, 40)),
        offset: u64_at(&bytes, 48),
        path: path.to_owned(),
        bytes,
    })
}

/// Where the first record begins that is not sound.
fn first_bad(records: &[u8]) -> usize {
    let mut at = 0;
    while at < records.len() {
        let Parsed::Record { size, payload, .. } = record::parse(&records[at..]) else { break };
        // What fills a record up is not in its own checksum.
        let fill = at + record::HEADER_BYTES + payload.len()..at + size;
        if records[fill].iter().any(|byte| *byte != 0) {
            break;
        }
        at += size;
    }
    at
}

impl Segment {
    /// Bytes of its records.
    pub(super) fn record_bytes(&self) -> u64 {
        (self.bytes.len() - HEADER_BYTES) as u64
    }

    pub(super) fn corrupt(&self, offset: u64, what: Damage) -> JournalError {
        JournalError::Corrupt { file: self.path.clone(), offset, what }
    }

    /// Visits its entries from `from` on; returns the position after the last one, and whether the
    /// visitor broke off.
    pub(super) fn visit(
        &self,
        from: JournalSeq,
        visit: &mut dyn FnMut(Record<'_>) -> Result<ControlFlow<()>, JournalError>,
    ) -> Result<(JournalSeq, bool), JournalError> {
        let name = self.path.to_string_lossy();
        group::visit(&name, &self.bytes[HEADER_BYTES..], self.first, from, visit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EntryBatch;

    const FACTS: Facts = Facts { tag: 9, writer: [7; 16], number: 4, offset: 100 };

    fn group() -> Group {
        let mut batch = EntryBatch::new(JournalSeq(5));
        (1..4).for_each(|length| {
            batch.push_encoded(&vec![length as u8; length * 11]);
        });
        group::groups(&[(Term(3), batch)]).remove(0)
    }

    #[test]
    fn a_segment_comes_back_as_it_was_made_and_a_fence_is_the_shortest() {
        let segment = parse(Path::new("s"), 9, 4, of_group(&FACTS, &group())).unwrap();
        assert_eq!((segment.term, segment.first, segment.offset), (Term(3), JournalSeq(5), 100));
        assert!(segment.bytes.len() > HEADER_BYTES);
        let mut seen = Vec::new();
        let visited = segment.visit(JournalSeq(6), &mut |record| {
            seen.push((record.seq.0, record.payload.len()));
            Ok(ControlFlow::Continue(()))
        });
        assert_eq!((visited.unwrap(), seen), ((JournalSeq(8), false), vec![(6, 22), (7, 33)]));
        let fence = parse(Path::new("s"), 9, 4, fence(&FACTS, Term(4), JournalSeq(8))).unwrap();
        assert!(
            fence.bytes.len() == HEADER_BYTES
                && fence.first == JournalSeq(8)
                && fence.record_bytes() == 0
        );
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_seen_and_located() {
        let good = of_group(&FACTS, &group());
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let error = parse(Path::new("log/4"), 9, 4, bad).expect_err("a flipped bit");
            let JournalError::Corrupt { file, offset, .. } = error else { panic!("{error}") };
            assert_eq!(file, Path::new("log/4"));
            assert!(offset <= (bit / 8) as u64 || bit / 8 < HEADER_BYTES, "bit {bit}: {offset}");
        }
        for length in 0..good.len() {
            assert!(parse(Path::new("s"), 9, 4, good[..length].to_vec()).is_err(), "{length}");
        }
    }

    #[test]
    fn another_clusters_segment_and_one_of_another_number_are_refused() {
        let bytes = of_group(&FACTS, &group());
        let foreign = parse(Path::new("s"), 8, 4, bytes.clone());
        assert!(matches!(foreign, Err(JournalError::Foreign { .. })));
        assert!(matches!(parse(Path::new("s"), 9, 5, bytes), Err(JournalError::Corrupt { .. })));
    }
}
