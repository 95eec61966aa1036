//! A group of entries as it lies under one key.
//!
//! **Shape** (little endian): a header of 40 bytes: magic (4), CRC-32C of the rest of the header (4),
//! format version (4), number of pieces that lie elsewhere (4), tag of the cluster (8), bytes of all
//! groups before this one since the journal was formatted (8), bytes of this group without the header
//! (8). Then records (see [`crate::record`]). A group that is too large for one request lies in pieces of
//! its own, in order, and the value under its key ends with the last one.

use crate::JournalError;
use crate::error::Damage;
pub(super) use crate::group::{Group, corrupt, groups, visit};
use crate::record::{crc32c, u32_at, u64_at};

pub(super) const HEADER_BYTES: usize = 40;
const MAGIC: &[u8; 4] = b"ALXG";
const VERSION: u32 = 1;
/// The most that lies under one key.
const PIECE_BYTES: usize = (1 << 20) + (256 << 10);

impl Group {
    /// The pieces that go before, and the value under the group's key.
    pub(super) fn values(&self, tag: u64, offset: u64) -> (Vec<&[u8]>, Vec<u8>) {
        let mut pieces: Vec<&[u8]> = self.records.chunks(PIECE_BYTES).collect();
        let tail = pieces.pop().unwrap_or_default();
        let mut rest = VERSION.to_le_bytes().to_vec();
        let count = u32::try_from(pieces.len()).expect("an entry is far below 4 GiB");
        rest.extend_from_slice(&count.to_le_bytes());
        for field in [tag, offset, self.records.len() as u64] {
            rest.extend_from_slice(&field.to_le_bytes());
        }
        let mut value = Vec::with_capacity(HEADER_BYTES + tail.len());
        value.extend_from_slice(MAGIC);
        value.extend_from_slice(&crc32c(&rest).to_le_bytes());
        value.extend_from_slice(&rest);
        value.extend_from_slice(tail);
        (pieces, value)
    }
}

/// What the header of a value says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) pieces: u32,
    pub(super) tag: u64,
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

/// Reads the header; `key` is for the error.
pub(super) fn header(key: &str, value: &[u8]) -> Result<Header, JournalError> {
    let sound = value.len() >= HEADER_BYTES
        && &value[..4] == MAGIC
        && crc32c(&value[8..HEADER_BYTES]) == u32_at(value, 4)
        && u32_at(value, 8) == VERSION;
    if !sound {
        return Err(corrupt(key, 0, Damage::Header));
    }
    Ok(Header {
        pieces: u32_at(value, 12),
        tag: u64_at(value, 16),
        offset: u64_at(value, 24),
        bytes: u64_at(value, 32),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EntryBatch, Record, record};
    use alluxio_types::{JournalSeq, Term};
    use std::ops::ControlFlow;

    fn batch(first: u64, lengths: &[usize]) -> EntryBatch {
        let mut batch = EntryBatch::new(JournalSeq(first));
        for length in lengths {
            batch.push_encoded(&vec![7; *length]);
        }
        batch
    }

    /// Puts pieces and value together again, and counts records.
    fn read_back(group: &Group) -> Vec<(u64, usize)> {
        let (pieces, value) = group.values(5, 99);
        let found = header("k", &value).unwrap();
        assert_eq!((found.tag, found.offset, found.pieces as usize), (5, 99, pieces.len()));
        let records = [pieces.concat(), value[HEADER_BYTES..].to_vec()].concat();
        assert_eq!(records.len() as u64, found.bytes);
        assert!(pieces.iter().all(|piece| piece.len() <= PIECE_BYTES));
        assert!(value.len() <= HEADER_BYTES + PIECE_BYTES);
        let mut seen = Vec::new();
        let end = visit("k", &records, group.first, JournalSeq(0), &mut |record| {
            assert_eq!(record.term, group.term);
            seen.push((record.seq.0, record.payload.len()));
            Ok(ControlFlow::Continue(()))
        });
        assert_eq!(end.unwrap(), (group.last.next(), false));
        seen
    }

    #[test]
    fn groups_keep_the_order_stay_small_and_part_at_terms() {
        let batches = [
            (Term(1), batch(1, &[10, 20])),
            (Term(1), batch(3, &[600 << 10, 600 << 10])),
            (Term(2), batch(5, &[1, 4 << 20, 3])),
        ];
        let groups = groups(&batches);
        let spans: Vec<_> = groups.iter().map(|g| (g.term.0, g.first.0, g.last.0)).collect();
        assert_eq!(spans, [(1, 1, 3), (1, 4, 4), (2, 5, 5), (2, 6, 6), (2, 7, 7)]);
        let all: Vec<_> = groups.iter().flat_map(read_back).collect();
        let lengths = [10, 20, 600 << 10, 600 << 10, 1, 4 << 20, 3];
        assert_eq!(all, (1..8).zip(lengths).collect::<Vec<_>>());
    }

    #[test]
    fn a_flipped_bit_is_always_seen() {
        let group = groups(&[(Term(1), batch(1, &[30]))]).remove(0);
        let (_, good) = group.values(1, 2);
        for bit in 0..(HEADER_BYTES + record::HEADER_BYTES + 30) * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let read = header("k", &bad).and_then(|_| {
                let mut all = |_: Record<'_>| Ok(ControlFlow::Continue(()));
                visit("k", &bad[HEADER_BYTES..], JournalSeq(1), JournalSeq(1), &mut all)
            });
            assert!(read.is_err(), "bit {bit}");
        }
    }
}
