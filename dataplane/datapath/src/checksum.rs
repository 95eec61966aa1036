//! CRC-32C over chunks and pieces (`WIRE.md` §4).

use crate::message::CHUNK_BYTES;
use crc_fast::CrcAlgorithm;

/// CRC-32C of `bytes`.
pub fn crc32c(bytes: &[u8]) -> u32 {
    // The 32-bit algorithms return their value in the low half.
    crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// Length of the first piece of `length` bytes that start at `offset` of a block: up to the end of
/// the chunk that `offset` lies in. 0 when `length` is 0.
pub fn first_piece(offset: u64, length: u64) -> u64 {
    length.min(CHUNK_BYTES - offset % CHUNK_BYTES)
}

/// Number of pieces that `length` bytes at `offset` are cut into.
pub fn piece_count(offset: u64, length: u64) -> u64 {
    if length == 0 { 0 } else { (offset % CHUNK_BYTES + length).div_ceil(CHUNK_BYTES) }
}

/// Number of chunks of a block.
pub fn chunk_count(block_length: u64) -> u64 {
    block_length.div_ceil(CHUNK_BYTES)
}

/// CRC-32C of each piece of `bytes` that start at `offset`.
pub fn piece_crcs(offset: u64, mut bytes: &[u8]) -> Vec<u32> {
    let mut crcs = Vec::with_capacity(piece_count(offset, bytes.len() as u64) as usize);
    let mut at = offset;
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(first_piece(at, bytes.len() as u64) as usize);
        crcs.push(crc32c(piece));
        at += piece.len() as u64;
        bytes = rest;
    }
    crcs
}

/// Checksums of the chunks of a block that is written from its start, in steps of any size.
#[derive(Default)]
pub struct ChunkSums {
    done: Vec<u32>,
    open: Option<crc_fast::Digest>,
    length: u64,
}

impl ChunkSums {
    /// Nothing written yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (piece, rest) =
                bytes.split_at(first_piece(self.length, bytes.len() as u64) as usize);
            self.piece(piece, None);
            bytes = rest;
        }
    }

    /// Takes the next bytes, whose pieces have these checksums already: whole chunks cost nothing.
    pub(crate) fn update_known(&mut self, mut bytes: &[u8], crcs: &[u32]) {
        for crc in crcs {
            let (piece, rest) =
                bytes.split_at(first_piece(self.length, bytes.len() as u64) as usize);
            self.piece(piece, Some(*crc));
            bytes = rest;
        }
    }

    fn piece(&mut self, piece: &[u8], known: Option<u32>) {
        self.length += piece.len() as u64;
        if piece.len() as u64 == CHUNK_BYTES {
            self.done.push(known.unwrap_or_else(|| crc32c(piece)));
            return;
        }
        let digest =
            self.open.get_or_insert_with(|| crc_fast::Digest::new(CrcAlgorithm::Crc32Iscsi));
        digest.update(piece);
        if self.length.is_multiple_of(CHUNK_BYTES) {
            self.close_chunk();
        }
    }

    fn close_chunk(&mut self) {
        if let Some(digest) = self.open.take() {
            self.done.push(digest.finalize() as u32);
        }
    }

    /// Bytes taken so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// One checksum per chunk, the last chunk as it is.
    pub fn finish(mut self) -> Vec<u32> {
        self.close_chunk();
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn crc32c_matches_the_published_check_value() {
        // "123456789" -> 0xE3069283 (RFC 3720, appendix B.4; the catalogue of CRC algorithms).
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn sums_do_not_depend_on_how_the_bytes_came(cuts in proptest::collection::vec(1usize..90_000, 1..8)) {
            let total: usize = cuts.iter().sum();
            let bytes: Vec<u8> = (0..total).map(|i| ((i * 31) >> 3) as u8).collect();
            let mut by_steps = ChunkSums::new();
            let mut known = ChunkSums::new();
            let mut rest = &bytes[..];
            for cut in cuts {
                let (now, later) = rest.split_at(cut);
                known.update_known(now, &piece_crcs(known.length(), now));
                by_steps.update(now);
                rest = later;
            }
            let expected = piece_crcs(0, &bytes);
            prop_assert_eq!(expected.len() as u64, chunk_count(total as u64));
            prop_assert_eq!(&by_steps.finish(), &expected);
            prop_assert_eq!(&known.finish(), &expected);
        }

        #[test]
        fn pieces_end_where_chunks_end(offset in 0u64..300_000, length in 0u64..400_000) {
            let (mut at, mut left, mut count) = (offset, length, 0);
            while left > 0 {
                let piece = first_piece(at, left);
                prop_assert!(piece > 0 && piece <= CHUNK_BYTES);
                at += piece;
                left -= piece;
                count += 1;
                prop_assert!(left == 0 || at % CHUNK_BYTES == 0);
            }
            prop_assert_eq!(count, piece_count(offset, length));
        }
    }
}
