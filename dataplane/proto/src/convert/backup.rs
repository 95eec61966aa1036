//! Head and end of a backup file. A golden file in `journal` holds what every version has to read for
//! ever.

use super::journal::EntryError;
use crate::v1::journal as pb;
use alluxio_types::{JournalSeq, UnixMillis};
use prost::Message;

/// What a backup says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupHeader {
    /// Version of the file's format.
    pub format: u32,
    /// The cluster that it was taken of.
    pub cluster_id: String,
    /// Position of the last journal entry whose effect is in it.
    pub sequence: JournalSeq,
    /// When it was begun.
    pub created: UnixMillis,
    /// Version of the program that wrote it.
    pub version: String,
}

/// What a backup says last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupTrailer {
    /// Number of items.
    pub items: u64,
    /// CRC-32C over all items as they are encoded.
    pub items_crc32c: u32,
    /// Hash of the state.
    pub state_hash: u64,
    /// How it was computed.
    pub state_hash_kind: u32,
}

/// The bytes of a header. The same header always gives the same bytes.
pub fn encode_header(header: &BackupHeader) -> Vec<u8> {
    pb::BackupHeader {
        format: header.format,
        cluster_id: header.cluster_id.clone(),
        sequence: header.sequence.0,
        created_unix_ms: header.created.0,
        version: header.version.clone(),
    }
    .encode_to_vec()
}

/// Reads what [`encode_header`] wrote.
///
/// **Errors**: `Malformed`; `BadField` for a header without format or position, which none of ours is.
pub fn decode_header(bytes: &[u8]) -> Result<BackupHeader, EntryError> {
    let header = pb::BackupHeader::decode(bytes).map_err(malformed)?;
    for (field, value) in [("format", u64::from(header.format)), ("sequence", header.sequence)] {
        if value == 0 {
            return Err(EntryError::BadField { field, value: value.to_string() });
        }
    }
    Ok(BackupHeader {
        format: header.format,
        cluster_id: header.cluster_id,
        sequence: JournalSeq(header.sequence),
        created: UnixMillis(header.created_unix_ms),
        version: header.version,
    })
}

/// The bytes of a trailer.
pub fn encode_trailer(trailer: &BackupTrailer) -> Vec<u8> {
    pb::BackupTrailer {
        items: trailer.items,
        items_crc32c: trailer.items_crc32c,
        state_hash: trailer.state_hash,
        state_hash_kind: trailer.state_hash_kind,
    }
    .encode_to_vec()
}

/// Reads what [`encode_trailer`] wrote.
///
/// **Errors**: `Malformed`.
pub fn decode_trailer(bytes: &[u8]) -> Result<BackupTrailer, EntryError> {
    let trailer = pb::BackupTrailer::decode(bytes).map_err(malformed)?;
    Ok(BackupTrailer {
        items: trailer.items,
        items_crc32c: trailer.items_crc32c,
        state_hash: trailer.state_hash,
        state_hash_kind: trailer.state_hash_kind,
    })
}

fn malformed(error: prost::DecodeError) -> EntryError {
    EntryError::Malformed { what: error.to_string() }
}
