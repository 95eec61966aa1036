//! CRC-32C of every 64 KiB of a block, and the sidecar file `<block>.crc` that keeps them.
//!
//! **Shape** of the sidecar, version 1, integers little-endian:
//!
//! | offset | bytes | what |
//! |-|-|-|
//! | 0 | 8 | magic `ALXBLKCS` |
//! | 8 | 2 | version, 1 |
//! | 10 | 2 | 0 |
//! | 12 | 4 | chunk size in bytes, 65536 |
//! | 16 | 8 | block id |
//! | 24 | 8 | block length in bytes |
//! | 32 | 4n | CRC-32C of chunk 0, 1, …; the last chunk may be short |
//! | 32+4n | 4 | CRC-32C of everything before |
//!
//! It lies beside the block, not inside: a block file is exactly the bytes of the block, so that a
//! descriptor of it can be lent to a reader, or to the kernel, as it is.

use alluxio_host::DiskFile;
use alluxio_types::BlockId;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Bytes covered by one checksum: small enough that a random read checks little more than it
/// asked for, large enough that checksums are 1/16384 of the bytes.
pub const CHUNK_BYTES: u64 = 64 * 1024;

const MAGIC: [u8; 8] = *b"ALXBLKCS";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 32;
/// Reads of a verification: one system call per megabyte.
const VERIFY_STEP: u64 = 16 * CHUNK_BYTES;

/// CRC-32C (Castagnoli) of `bytes`.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// The checksums of one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkCrcs {
    length: u64,
    crcs: Arc<[u32]>,
}

/// A chunk that does not match: its range in the block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadChunk(pub Range<u64>);

/// A check could not be made, or failed.
#[derive(Debug)]
pub enum VerifyError {
    /// These bytes are not what was written.
    Mismatch(BadChunk),
    /// The machine refused to read.
    Io(io::Error),
}

/// Why a sidecar is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SidecarError {
    /// It ends early or has bytes too many.
    #[error("its length is {found} bytes, {wanted} expected")]
    Length {
        /// Bytes there.
        found: usize,
        /// Bytes expected.
        wanted: usize,
    },
    /// It does not start with the magic.
    #[error("it does not start with the magic")]
    Magic,
    /// It is of a version or chunk size this build does not read.
    #[error("version {version} with chunks of {chunk_bytes} bytes is not known")]
    Version {
        /// Version found.
        version: u16,
        /// Chunk size found.
        chunk_bytes: u32,
    },
    /// Its own checksum fails.
    #[error("its own checksum fails")]
    Damaged,
    /// It is the sidecar of another block.
    #[error("it belongs to block {found}")]
    OtherBlock {
        /// Whose it is.
        found: BlockId,
    },
}

impl ChunkCrcs {
    /// The checksums of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut builder = CrcBuilder::new();
        builder.update(bytes);
        builder.finish()
    }

    /// Checksums computed elsewhere; `None` when their number does not fit the length.
    pub fn from_parts(length: u64, crcs: Vec<u32>) -> Option<Self> {
        (crcs.len() as u64 == length.div_ceil(CHUNK_BYTES))
            .then(|| ChunkCrcs { length, crcs: crcs.into() })
    }

    /// Reads `length` bytes of `file` and computes their checksums.
    pub fn of_file(file: &dyn DiskFile, length: u64) -> io::Result<Self> {
        let mut builder = CrcBuilder::new();
        let mut buffer = vec![0; VERIFY_STEP.min(length) as usize];
        let mut offset = 0;
        while offset < length {
            let part = &mut buffer[..VERIFY_STEP.min(length - offset) as usize];
            file.read_exact_at(part, offset)?;
            builder.update(part);
            offset += part.len() as u64;
        }
        Ok(builder.finish())
    }

    /// Length of the block in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// One checksum per chunk, in order.
    pub fn crcs(&self) -> &[u32] {
        &self.crcs
    }

    /// The same, shared.
    pub fn shared_crcs(&self) -> Arc<[u32]> {
        self.crcs.clone()
    }

    /// The smallest range of whole chunks that covers `range`, cut at the end of the block.
    pub fn covering(&self, range: Range<u64>) -> Range<u64> {
        let start = range.start / CHUNK_BYTES * CHUNK_BYTES;
        let end = range.end.div_ceil(CHUNK_BYTES).saturating_mul(CHUNK_BYTES);
        start.min(self.length)..end.min(self.length)
    }

    /// Checks `bytes`, which begin at `offset` of the block and are whole chunks (the last one of
    /// the block may be short).
    ///
    /// **Errors**: the first chunk that differs; bytes beyond the end of the block, or that do not
    /// start on a chunk, count as a chunk that differs.
    pub fn verify(&self, offset: u64, bytes: &[u8]) -> Result<(), BadChunk> {
        let end = offset + bytes.len() as u64;
        if !offset.is_multiple_of(CHUNK_BYTES) || end > self.length {
            return Err(BadChunk(offset..end));
        }
        let first = (offset / CHUNK_BYTES) as usize;
        for (i, chunk) in bytes.chunks(CHUNK_BYTES as usize).enumerate() {
            let start = offset + i as u64 * CHUNK_BYTES;
            let whole = (start + CHUNK_BYTES).min(self.length);
            let is_whole = start + chunk.len() as u64 == whole;
            if !is_whole || crc32c(chunk) != self.crcs[first + i] {
                return Err(BadChunk(start..whole));
            }
        }
        Ok(())
    }

    /// Reads the chunks of `file` that cover `range` and checks them.
    pub fn verify_range(&self, file: &dyn DiskFile, range: Range<u64>) -> Result<(), VerifyError> {
        let range = self.covering(range);
        let mut buffer = vec![0; VERIFY_STEP.min(range.end - range.start) as usize];
        let mut offset = range.start;
        while offset < range.end {
            let part = &mut buffer[..VERIFY_STEP.min(range.end - offset) as usize];
            match file.read_exact_at(part, offset) {
                Ok(()) => self.verify(offset, part).map_err(VerifyError::Mismatch)?,
                // A file that is shorter than its block has lost bytes, the disk itself is fine.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    let end = offset + part.len() as u64;
                    return Err(VerifyError::Mismatch(BadChunk(offset..end)));
                }
                Err(error) => return Err(VerifyError::Io(error)),
            }
            offset += part.len() as u64;
        }
        Ok(())
    }

    /// The sidecar file of `block`.
    pub fn encode(&self, block: BlockId) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + 4 * self.crcs.len() + 4);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&(CHUNK_BYTES as u32).to_le_bytes());
        out.extend_from_slice(&block.0.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
        for crc in self.crcs.iter() {
            out.extend_from_slice(&crc.to_le_bytes());
        }
        let own = crc32c(&out);
        out.extend_from_slice(&own.to_le_bytes());
        out
    }

    /// Reads the sidecar of `block` back.
    pub fn decode(block: BlockId, bytes: &[u8]) -> Result<Self, SidecarError> {
        if bytes.len() < HEADER_BYTES + 4 {
            return Err(SidecarError::Length { found: bytes.len(), wanted: HEADER_BYTES + 4 });
        }
        if bytes[..8] != MAGIC {
            return Err(SidecarError::Magic);
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        let chunk_bytes = read_u32(bytes, 12);
        if version != VERSION || u64::from(chunk_bytes) != CHUNK_BYTES {
            return Err(SidecarError::Version { version, chunk_bytes });
        }
        let (body, own) = bytes.split_at(bytes.len() - 4);
        if crc32c(body) != read_u32(own, 0) {
            return Err(SidecarError::Damaged);
        }
        let found = BlockId(read_u64(bytes, 16));
        if found != block {
            return Err(SidecarError::OtherBlock { found });
        }
        let length = read_u64(bytes, 24);
        let crcs: Vec<u32> =
            body[HEADER_BYTES..].chunks_exact(4).map(|four| read_u32(four, 0)).collect();
        let chunks = length.div_ceil(CHUNK_BYTES) as usize;
        let wanted = HEADER_BYTES.saturating_add(chunks.saturating_mul(4)).saturating_add(4);
        ChunkCrcs::from_parts(length, crcs)
            .ok_or(SidecarError::Length { found: bytes.len(), wanted })
    }

    /// Bytes of the sidecar of a block of `length` bytes.
    pub const fn sidecar_bytes(length: u64) -> u64 {
        HEADER_BYTES as u64 + 4 * length.div_ceil(CHUNK_BYTES) + 4
    }
}

fn read_u32(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(four)
}

fn read_u64(bytes: &[u8], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(eight)
}

/// Computes checksums while bytes go by, in pieces of any size.
pub struct CrcBuilder {
    length: u64,
    crcs: Vec<u32>,
    open: crc_fast::Digest,
}

impl CrcBuilder {
    /// A builder that has seen nothing.
    pub fn new() -> Self {
        CrcBuilder {
            length: 0,
            crcs: Vec::new(),
            open: crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi),
        }
    }

    /// Takes the next bytes of the block.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = (CHUNK_BYTES - self.length % CHUNK_BYTES) as usize;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.length += now.len() as u64;
            if now.len() as u64 == CHUNK_BYTES {
                self.crcs.push(crc32c(now));
            } else {
                self.open.update(now);
                if self.length.is_multiple_of(CHUNK_BYTES) {
                    // The digest is 64 bits wide for every algorithm; CRC-32C fills the low half.
                    self.crcs.push(self.open.finalize_reset() as u32);
                }
            }
            bytes = later;
        }
    }

    /// Bytes seen so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The checksums of all bytes seen.
    pub fn finish(mut self) -> ChunkCrcs {
        if !self.length.is_multiple_of(CHUNK_BYTES) {
            self.crcs.push(self.open.finalize() as u32);
        }
        ChunkCrcs { length: self.length, crcs: self.crcs.into() }
    }
}

impl Default for CrcBuilder {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_polynomial_is_castagnoli() {
        // RFC 3720, appendix B.4: 32 bytes of zeros.
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
    }

    #[test]
    fn the_sidecar_format_is_frozen() {
        let encoded = ChunkCrcs::of(b"123456789").encode(BlockId(0x0102));
        let mut golden = b"ALXBLKCS".to_vec();
        golden.extend_from_slice(&[1, 0, 0, 0, 0, 0, 1, 0]);
        golden.extend_from_slice(&[2, 1, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0]);
        golden.extend_from_slice(&0xE306_9283u32.to_le_bytes());
        let own = crc32c(&golden);
        golden.extend_from_slice(&own.to_le_bytes());
        assert_eq!(encoded, golden);
        assert_eq!(encoded.len() as u64, ChunkCrcs::sidecar_bytes(9));
    }

    #[test]
    fn any_flipped_bit_of_a_sidecar_is_seen() {
        let crcs = ChunkCrcs::of(&vec![7; 3 * CHUNK_BYTES as usize + 5]);
        let good = crcs.encode(BlockId(9));
        assert_eq!(ChunkCrcs::decode(BlockId(9), &good), Ok(crcs));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(ChunkCrcs::decode(BlockId(9), &bad).is_err(), "bit {bit}");
        }
        for cut in 0..good.len() {
            assert!(ChunkCrcs::decode(BlockId(9), &good[..cut]).is_err(), "cut at {cut}");
        }
        assert_eq!(
            ChunkCrcs::decode(BlockId(8), &good),
            Err(SidecarError::OtherBlock { found: BlockId(9) })
        );
    }

    #[test]
    fn a_range_is_widened_to_whole_chunks() {
        let crcs = ChunkCrcs::of(&vec![1; 2 * CHUNK_BYTES as usize + 10]);
        assert_eq!(crcs.covering(5..6), 0..CHUNK_BYTES);
        assert_eq!(crcs.covering(CHUNK_BYTES - 1..CHUNK_BYTES + 1), 0..2 * CHUNK_BYTES);
        assert_eq!(
            crcs.covering(2 * CHUNK_BYTES + 1..2 * CHUNK_BYTES + 2),
            2 * CHUNK_BYTES..crcs.length()
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn pieces_of_any_size_give_the_same_checksums(
            seed in any::<u8>(),
            cuts in proptest::collection::vec(1usize..100_000, 1..8),
        ) {
            let total: usize = cuts.iter().sum();
            let bytes: Vec<u8> = (0..total).map(|i| (i as u8).wrapping_mul(seed | 1)).collect();
            let mut builder = CrcBuilder::new();
            let mut at = 0;
            for cut in cuts {
                builder.update(&bytes[at..at + cut]);
                at += cut;
            }
            let crcs = builder.finish();
            let plain: Vec<u32> = bytes.chunks(CHUNK_BYTES as usize).map(crc32c).collect();
            prop_assert_eq!(crcs.crcs(), &plain[..]);
            prop_assert_eq!(crcs.verify(0, &bytes), Ok(()));
        }
    }
}
