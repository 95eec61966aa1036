//! One entry on disk.
//!
//! **Shape** (little endian, start and size are multiples of 8):
//!
//! | bytes | field |
//! |---|---|
//! | 0..4 | CRC-32C of everything that follows, up to the end of the payload |
//! | 4..8 | length of the payload, 1..=[`ENTRY_BYTES_MAX`] |
//! | 8..16 | term |
//! | 16..24 | position |
//! | 24..28 | distance back to the start of its group, in bytes |
//! | 28..32 | zero |
//! | 32.. | payload, then zeros up to the next multiple of 8 |
//!
//! A *group* is what one write and one sync make durable together. A group begins only after the
//! one before it is durable; so a record of a later group proves that everything before that group
//! had reached the disk. That is how damage is told from the torn end that a crash leaves.

use alluxio_proto::convert::journal::ENTRY_BYTES_MAX;
use alluxio_types::{JournalSeq, Term};
use crc_fast::{CrcAlgorithm, checksum};

pub(crate) const HEADER_BYTES: usize = 32;
const ALIGNMENT: usize = 8;

/// CRC-32C.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    // The algorithm is 32 bits wide; the crate returns all widths as u64.
    checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// Appends a record to `group`, which holds the group from its start and nothing else.
pub(crate) fn frame(group: &mut Vec<u8>, term: Term, seq: JournalSeq, payload: &[u8]) {
    debug_assert!((1..=ENTRY_BYTES_MAX).contains(&payload.len()));
    let start = group.len();
    let back = u32::try_from(start).expect("the queue bounds a group far below 4 GiB");
    let length = u32::try_from(payload.len()).expect("bounded by ENTRY_BYTES_MAX");
    group.extend_from_slice(&[0; 4]);
    group.extend_from_slice(&length.to_le_bytes());
    group.extend_from_slice(&term.0.to_le_bytes());
    group.extend_from_slice(&seq.0.to_le_bytes());
    group.extend_from_slice(&back.to_le_bytes());
    group.extend_from_slice(&[0; 4]);
    group.extend_from_slice(payload);
    let crc = crc32c(&group[start + 4..]);
    group[start..start + 4].copy_from_slice(&crc.to_le_bytes());
    group.resize(group.len().next_multiple_of(ALIGNMENT), 0);
}

/// What stands at a position of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed<'a> {
    /// A sound record.
    Record {
        term: Term,
        seq: JournalSeq,
        /// Distance back to the start of its group, in bytes.
        back: u32,
        payload: &'a [u8],
        /// Bytes up to the next record.
        size: usize,
    },
    /// Zeros, or the end of the file.
    End,
    /// Anything else.
    Bad,
}

/// Reads the record at the start of `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Parsed<'_> {
    let Some(header) = bytes.get(..HEADER_BYTES) else {
        return if bytes.iter().all(|b| *b == 0) { Parsed::End } else { Parsed::Bad };
    };
    if header.iter().all(|b| *b == 0) {
        return Parsed::End;
    }
    let length = u32_at(header, 4) as usize;
    if length == 0 || length > ENTRY_BYTES_MAX || u32_at(header, 28) != 0 {
        return Parsed::Bad;
    }
    let end = HEADER_BYTES + length;
    // A file that ends within the padding was torn there, and its last group never acknowledged.
    // Taking the record all the same would let the next group begin where no reader looks for it.
    let size = end.next_multiple_of(ALIGNMENT);
    if bytes.len() < size || crc32c(&bytes[4..end]) != u32_at(header, 0) {
        return Parsed::Bad;
    }
    Parsed::Record {
        term: Term(u64_at(header, 8)),
        seq: JournalSeq(u64_at(header, 16)),
        back: u32_at(header, 24),
        payload: &bytes[HEADER_BYTES..end],
        size,
    }
}

/// Whether a group that began after position `stop` left a sound record in `file`: proof that
/// whatever stood at `stop` had been durable. `stop` is a multiple of 8.
pub(crate) fn later_group_exists(file: &[u8], stop: usize) -> bool {
    let mut at = stop + ALIGNMENT;
    while at + HEADER_BYTES <= file.len() {
        // Most of what is searched is zeros.
        if u32_at(file, at + 4) != 0
            && let Parsed::Record { back, .. } = parse(&file[at..])
            && (back as usize) < at - stop
        {
            return true;
        }
        at += ALIGNMENT;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(seqs: std::ops::Range<u64>) -> Vec<u8> {
        let mut group = Vec::new();
        for seq in seqs {
            frame(&mut group, Term(3), JournalSeq(seq), &vec![seq as u8; seq as usize + 1]);
        }
        group
    }

    #[test]
    fn records_come_back_in_order_and_end_at_zeros() {
        let mut file = group(1..20);
        file.extend([0; 100]);
        let (mut at, mut expected) = (0, 1);
        loop {
            match parse(&file[at..]) {
                Parsed::Record { term, seq, back, payload, size } => {
                    assert_eq!((term, seq, back as usize), (Term(3), JournalSeq(expected), at));
                    assert_eq!(payload, vec![expected as u8; expected as usize + 1]);
                    (at, expected) = (at + size, expected + 1);
                }
                Parsed::End => break,
                Parsed::Bad => panic!("bad record at {at}"),
            }
        }
        assert_eq!(expected, 20);
    }

    #[test]
    fn a_record_without_all_of_its_padding_is_torn() {
        let whole = group(6..7);
        let bytes = HEADER_BYTES + 7;
        assert_eq!(whole.len(), bytes.next_multiple_of(ALIGNMENT));
        for length in bytes..whole.len() {
            assert_eq!(parse(&whole[..length]), Parsed::Bad, "{length} of {} bytes", whole.len());
        }
        assert!(matches!(parse(&whole), Parsed::Record { .. }));
    }

    #[test]
    fn a_flipped_bit_is_always_seen() {
        let good = group(40..41);
        for bit in 0..(HEADER_BYTES + 41) * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse(&bad), Parsed::Bad, "bit {bit}");
        }
    }

    #[test]
    fn only_a_later_group_proves_damage() {
        let mut same = group(1..4);
        same[0] ^= 1;
        assert!(!later_group_exists(&same, 0), "its own group may be torn");
        same.extend(group(4..5));
        assert!(later_group_exists(&same, 0), "the next group began after a sync");
    }
}
