//! Writing a backup.

use super::{FORMAT, KIND_HEADER, KIND_ITEMS, KIND_TRAILER, MEMBER_BYTES};
use alluxio_proto::convert::backup::{BackupHeader, BackupTrailer, encode_header, encode_trailer};
use alluxio_proto::convert::journal::encode_checkpoint_record;
use alluxio_types::{CheckpointRecord, JournalSeq, UnixMillis};
use crc_fast::{CrcAlgorithm, Digest};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{self, Write};

/// A backup on its way out. What came out without [`BackupWriter::finish`] is refused by every reader.
pub struct BackupWriter<W: Write> {
    out: W,
    /// Content of the member that is being filled: its kind, then items.
    member: Vec<u8>,
    items: u64,
    crc: Digest,
}

impl<W: Write> BackupWriter<W> {
    /// Begins a backup of the state after entry `sequence`. `version` is the program's.
    ///
    /// **Errors**: those of `out`, likewise below.
    pub fn new(
        out: W,
        cluster_id: &str,
        sequence: JournalSeq,
        created: UnixMillis,
        version: &str,
    ) -> io::Result<Self> {
        let crc = Digest::new(CrcAlgorithm::Crc32Iscsi);
        let mut writer = BackupWriter { out, member: vec![KIND_HEADER], items: 0, crc };
        let (cluster_id, version) = (cluster_id.to_owned(), version.to_owned());
        let header = BackupHeader { format: FORMAT, cluster_id, sequence, created, version };
        writer.member.extend_from_slice(&encode_header(&header));
        writer.end_member(KIND_ITEMS)?;
        Ok(writer)
    }

    /// Adds one item.
    pub fn put(&mut self, record: &CheckpointRecord) -> io::Result<()> {
        let start = self.member.len();
        encode_checkpoint_record(record, &mut self.member);
        self.crc.update(&self.member[start..]);
        self.items += 1;
        if self.member.len() >= MEMBER_BYTES { self.end_member(KIND_ITEMS) } else { Ok(()) }
    }

    /// Ends it. Returns what it was written to, and the number of items.
    pub fn finish(mut self, state_hash: u64, state_hash_kind: u32) -> io::Result<(W, u64)> {
        if self.member.len() > 1 {
            self.end_member(KIND_TRAILER)?;
        } else {
            self.member[0] = KIND_TRAILER;
        }
        let trailer = BackupTrailer {
            items: self.items,
            // The algorithm is 32 bits wide; the crate returns all widths as u64.
            items_crc32c: self.crc.finalize() as u32,
            state_hash,
            state_hash_kind,
        };
        self.member.extend_from_slice(&encode_trailer(&trailer));
        self.end_member(KIND_TRAILER)?;
        self.out.flush()?;
        Ok((self.out, self.items))
    }

    /// Writes the member and begins one of kind `next`.
    fn end_member(&mut self, next: u8) -> io::Result<()> {
        // Level 3: three times as fast as the default for a tenth more bytes.
        let mut encoder = GzEncoder::new(&mut self.out, Compression::new(3));
        encoder.write_all(&self.member)?;
        encoder.finish()?;
        self.member.clear();
        self.member.push(next);
        Ok(())
    }
}
