//! Checkpoint files.
//!
//! **Shape** (little endian): a header of 64 bytes: magic (8), CRC-32C of the rest of the header
//! (4), format version (4), tag of the cluster (8), position covered (8), creation in Unix
//! milliseconds (8), zeros (24). Then chunks: CRC-32C of what follows in the chunk (4), length of the payload
//! (4), number of the chunk from 0 (4), number of records in it (4), payload: records, each with its
//! length before it. Then a trailer of 48 bytes: magic (8), CRC-32C of the rest of the trailer (4),
//! number of chunks (4), number of records (8), length of the file (8), state hash (8), CRC-32C
//! over the checksums of all chunks (4), kind of the state hash (4; 0 = it is unknown).
//!
//! A chunk is checked before a record of it is handed out; the trailer proves that all are there.

use super::layout::{FORMAT_VERSION, Folder, FormatFacts, at, growing};
use crate::error::Damage;
use crate::record::{crc32c, u32_at, u64_at};
use crate::{CheckpointInfo, CheckpointSink, JournalError, Observer, Replay, StateDigest};
use alluxio_host::{Clock, DiskFile, OpenMode};
use alluxio_proto::convert::journal::{decode_checkpoint_record_into, encode_checkpoint_record};
use alluxio_types::{CheckpointRecord, JournalSeq, UnixMillis};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{channel, sync_channel};
use std::time::Duration;

pub(super) const HEADER_BYTES: usize = 64;
pub(super) const CHUNK_HEADER_BYTES: usize = 16;
pub(super) const TRAILER_BYTES: usize = 48;
pub(super) const HEADER_MAGIC: &[u8; 8] = b"ALXJCHK\n";
pub(super) const TRAILER_MAGIC: &[u8; 8] = b"ALXJEND\n";
/// A chunk is closed when it has this many bytes: about 2,000 inodes, so that decoding one chunk
/// overlaps with applying the one before, and few enough to stay in a core's cache.
const CHUNK_BYTES: usize = 256 << 10;
/// The largest chunk a reader accepts: the last record of a chunk may be of the largest kind.
pub(super) const CHUNK_BYTES_MAX: usize = 8 << 20;
/// Decoded chunks between reader and applier: 2 × about 1 MiB, enough to keep both busy.
const CHUNKS_AHEAD: usize = 2;

/// A checkpoint being written.
pub(crate) struct Writer {
    place: Box<dyn Place>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    /// As errors name it.
    shown: PathBuf,
    file: Box<dyn DiskFile>,
    at: JournalSeq,
    created: UnixMillis,
    began: Duration,
    /// Header of the chunk, then its payload so far.
    chunk: Vec<u8>,
    chunk_records: u32,
    chunk_crcs: Vec<u8>,
    records: u64,
    offset: u64,
    published: bool,
}

/// Where a file gets its name when it is complete.
pub(crate) trait Place: Send {
    /// Makes it visible under its name, durably.
    fn publish(&mut self) -> Result<(), JournalError>;

    /// Removes what is there of it.
    fn discard(&mut self);
}

struct InFolder {
    folder: Folder,
    path: PathBuf,
    temporary: PathBuf,
    /// Whether it is written beside a primary, by a secondary master.
    beside: bool,
}

impl Place for InFolder {
    fn publish(&mut self) -> Result<(), JournalError> {
        match self.beside {
            true => self.folder.publish_secondary(&self.path),
            false => self.folder.publish(&self.path),
        }
    }

    fn discard(&mut self) {
        // What cannot be removed now is removed at the next start.
        let _ = self.folder.disk().remove_file(&self.temporary);
    }
}

impl Writer {
    pub(crate) fn create(
        folder: Folder,
        cluster: &FormatFacts,
        seq: JournalSeq,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, JournalError> {
        let (file, temporary) = folder.create_temporary(&folder.checkpoint(seq))?;
        Self::begin(folder, cluster, seq, observer, file, temporary, false)
    }

    /// As [`Writer::create`], beside a primary that may write a checkpoint at the same moment.
    pub(super) fn create_beside(
        folder: Folder,
        cluster: &FormatFacts,
        seq: JournalSeq,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, JournalError> {
        let (file, temporary) = folder.create_secondary_temporary(&folder.checkpoint(seq))?;
        Self::begin(folder, cluster, seq, observer, file, temporary, true)
    }

    fn begin(
        folder: Folder,
        cluster: &FormatFacts,
        seq: JournalSeq,
        observer: Arc<dyn Observer>,
        file: Box<dyn DiskFile>,
        temporary: PathBuf,
        beside: bool,
    ) -> Result<Self, JournalError> {
        let (path, clock, shown) =
            (folder.checkpoint(seq), folder.host.clock.clone(), temporary.clone());
        let place = Box::new(InFolder { folder, path, temporary, beside });
        Self::over(place, file, shown, clock, cluster, seq, observer)
    }

    /// A checkpoint in an empty file, which `place` publishes; errors call it `shown`. Bytes are written
    /// in order, each once.
    pub(crate) fn over(
        place: Box<dyn Place>,
        file: Box<dyn DiskFile>,
        shown: PathBuf,
        clock: Arc<dyn Clock>,
        cluster: &FormatFacts,
        seq: JournalSeq,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, JournalError> {
        let created = clock.now();
        let mut rest = FORMAT_VERSION.to_le_bytes().to_vec();
        for field in [cluster.tag(), seq.0, created.0, 0, 0, 0] {
            rest.extend_from_slice(&field.to_le_bytes());
        }
        let mut header = HEADER_MAGIC.to_vec();
        header.extend_from_slice(&crc32c(&rest).to_le_bytes());
        header.extend_from_slice(&rest);
        file.write_all_at(&header, 0).map_err(growing("write", &shown))?;
        Ok(Writer {
            began: clock.monotonic(),
            place,
            clock,
            observer,
            shown,
            file,
            at: seq,
            created,
            chunk: vec![0; CHUNK_HEADER_BYTES],
            chunk_records: 0,
            chunk_crcs: Vec::new(),
            records: 0,
            offset: HEADER_BYTES as u64,
            published: false,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        self.file.write_all_at(bytes, self.offset).map_err(growing("write", &self.shown))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn end_chunk(&mut self) -> Result<(), JournalError> {
        if self.chunk_records == 0 {
            return Ok(());
        }
        let mut chunk = std::mem::take(&mut self.chunk);
        let length = (chunk.len() - CHUNK_HEADER_BYTES) as u32;
        let index = (self.chunk_crcs.len() / 4) as u32;
        chunk[4..8].copy_from_slice(&length.to_le_bytes());
        chunk[8..12].copy_from_slice(&index.to_le_bytes());
        chunk[12..16].copy_from_slice(&self.chunk_records.to_le_bytes());
        let crc = crc32c(&chunk[4..]).to_le_bytes();
        chunk[..4].copy_from_slice(&crc);
        self.chunk_crcs.extend_from_slice(&crc);
        self.write(&chunk)?;
        chunk.truncate(CHUNK_HEADER_BYTES);
        (self.chunk, self.chunk_records) = (chunk, 0);
        Ok(())
    }

    fn trailer(&self, state_hash: StateDigest) -> Vec<u8> {
        let length = self.offset + TRAILER_BYTES as u64;
        let chunks = (self.chunk_crcs.len() / 4) as u32;
        let mut rest = chunks.to_le_bytes().to_vec();
        rest.extend_from_slice(&self.records.to_le_bytes());
        rest.extend_from_slice(&length.to_le_bytes());
        rest.extend_from_slice(&state_hash.hash.to_le_bytes());
        rest.extend_from_slice(&crc32c(&self.chunk_crcs).to_le_bytes());
        rest.extend_from_slice(&state_hash.kind.to_le_bytes());
        let mut trailer = TRAILER_MAGIC.to_vec();
        trailer.extend_from_slice(&crc32c(&rest).to_le_bytes());
        trailer.extend_from_slice(&rest);
        trailer
    }
}

impl CheckpointSink for Writer {
    fn put(&mut self, record: &CheckpointRecord) -> Result<(), JournalError> {
        encode_checkpoint_record(record, &mut self.chunk);
        self.chunk_records += 1;
        self.records += 1;
        if self.chunk.len() >= CHUNK_BYTES { self.end_chunk() } else { Ok(()) }
    }

    fn finish(
        mut self: Box<Self>,
        state_hash: StateDigest,
    ) -> Result<CheckpointInfo, JournalError> {
        self.end_chunk()?;
        let trailer = self.trailer(state_hash);
        self.write(&trailer)?;
        self.file.sync_data().map_err(growing("sync", &self.shown))?;
        self.place.publish()?;
        self.published = true;
        let info = CheckpointInfo {
            at: self.at,
            records: self.records,
            length_bytes: self.offset,
            state_hash,
            created: self.created,
        };
        let took = self.clock.monotonic().saturating_sub(self.began);
        self.observer.checkpointed(&info, took);
        Ok(info)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.published {
            self.place.discard();
        }
    }
}

/// Gets a chunk, its header included, and its offset; `false` ends the walk.
type Visit<'a> = dyn FnMut(&[u8], u64) -> Result<bool, JournalError> + 'a;

/// A checkpoint file whose header and trailer are sound.
struct Reader {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    info: CheckpointInfo,
    chunks: u32,
    chunk_crcs_crc: u32,
}

/// Reads header and trailer.
///
/// **Errors**: `Corrupt`, `Foreign`, `Io`.
fn open(folder: &Folder, cluster: &FormatFacts, seq: JournalSeq) -> Result<Reader, JournalError> {
    open_at(folder, cluster, folder.checkpoint(seq), seq)
}

fn open_at(
    folder: &Folder,
    cluster: &FormatFacts,
    path: PathBuf,
    seq: JournalSeq,
) -> Result<Reader, JournalError> {
    let file = folder.disk().open(&path, OpenMode::Read).map_err(at("open", &path))?;
    read_ends(file, path, cluster, seq)
}

fn read_ends(
    file: Box<dyn DiskFile>,
    path: PathBuf,
    cluster: &FormatFacts,
    seq: JournalSeq,
) -> Result<Reader, JournalError> {
    let corrupt = |offset, what| JournalError::Corrupt { file: path.clone(), offset, what };
    let length = file.length().map_err(at("read", &path))?;
    if length < (HEADER_BYTES + TRAILER_BYTES) as u64 {
        return Err(corrupt(length, Damage::Checkpoint));
    }
    let mut header = [0; HEADER_BYTES];
    file.read_exact_at(&mut header, 0).map_err(at("read", &path))?;
    let sound = &header[..8] == HEADER_MAGIC
        && crc32c(&header[12..]) == u32_at(&header, 8)
        && u32_at(&header, 12) == FORMAT_VERSION
        && u64_at(&header, 24) == seq.0;
    if !sound {
        return Err(corrupt(0, Damage::Header));
    }
    if u64_at(&header, 16) != cluster.tag() {
        let found = format!("tag {:016x}", u64_at(&header, 16));
        return Err(JournalError::Foreign { path, found, expected: cluster.cluster_id.clone() });
    }
    let start = length - TRAILER_BYTES as u64;
    let mut trailer = [0; TRAILER_BYTES];
    file.read_exact_at(&mut trailer, start).map_err(at("read", &path))?;
    let sound = &trailer[..8] == TRAILER_MAGIC
        && crc32c(&trailer[12..]) == u32_at(&trailer, 8)
        && u64_at(&trailer, 24) == length;
    if !sound {
        return Err(corrupt(start, Damage::Checkpoint));
    }
    let info = CheckpointInfo {
        at: seq,
        records: u64_at(&trailer, 16),
        length_bytes: length,
        state_hash: StateDigest { kind: u32_at(&trailer, 44), hash: u64_at(&trailer, 32) },
        created: UnixMillis(u64_at(&header, 32)),
    };
    let (chunks, chunk_crcs_crc) = (u32_at(&trailer, 12), u32_at(&trailer, 40));
    Ok(Reader { file, path, info, chunks, chunk_crcs_crc })
}

impl Reader {
    fn corrupt(&self, offset: u64, what: Damage) -> JournalError {
        JournalError::Corrupt { file: self.path.clone(), offset, what }
    }

    /// Compares the hash in the trailer with what the items gave.
    ///
    /// **Errors**: `Corrupt`.
    fn compare(&self, found: Option<StateDigest>) -> Result<(), JournalError> {
        let (expected, found) = (self.info.state_hash, found.unwrap_or_default());
        if !expected.contradicts(found) {
            return Ok(());
        }
        let what = Damage::StateHash { found: found.hash, expected: expected.hash };
        Err(self.corrupt(self.info.length_bytes - TRAILER_BYTES as u64, what))
    }

    /// Hands decoded chunks to `sink` until it returns `false`. They take the room of `spare` ones.
    fn chunks(
        &self,
        spare: impl Fn() -> Vec<CheckpointRecord>,
        sink: &mut dyn FnMut(Vec<CheckpointRecord>) -> bool,
    ) -> Result<(), JournalError> {
        self.walk(&mut |chunk, offset| Ok(sink(self.decode(chunk, offset, spare())?)))
    }

    /// Hands chunks with sound checksums, and where they begin, to `visit` until it returns `false`.
    fn walk(&self, visit: &mut Visit<'_>) -> Result<(), JournalError> {
        let end = self.info.length_bytes - TRAILER_BYTES as u64;
        let (mut offset, mut records) = (HEADER_BYTES as u64, 0);
        let mut crcs = Vec::new();
        let mut chunk = Vec::new();
        for index in 0..self.chunks {
            let bad = || self.corrupt(offset, Damage::Checkpoint);
            let mut header = [0; CHUNK_HEADER_BYTES];
            if offset + CHUNK_HEADER_BYTES as u64 > end {
                return Err(bad());
            }
            self.file.read_exact_at(&mut header, offset).map_err(at("read", &self.path))?;
            let length = u32_at(&header, 4) as usize;
            let stop = offset + (CHUNK_HEADER_BYTES + length) as u64;
            if length > CHUNK_BYTES_MAX || stop > end || u32_at(&header, 8) != index {
                return Err(bad());
            }
            chunk.clear();
            chunk.extend_from_slice(&header);
            chunk.resize(CHUNK_HEADER_BYTES + length, 0);
            let (payload, from) =
                (&mut chunk[CHUNK_HEADER_BYTES..], offset + CHUNK_HEADER_BYTES as u64);
            self.file.read_exact_at(payload, from).map_err(at("read", &self.path))?;
            if crc32c(&chunk[4..]) != u32_at(&header, 0) {
                return Err(bad());
            }
            crcs.extend_from_slice(&header[..4]);
            records += u64::from(u32_at(&header, 12));
            if !visit(&chunk, offset)? {
                return Ok(());
            }
            offset = stop;
        }
        if offset != end || records != self.info.records || crc32c(&crcs) != self.chunk_crcs_crc {
            return Err(self.corrupt(offset, Damage::Checkpoint));
        }
        Ok(())
    }

    fn decode(
        &self,
        chunk: &[u8],
        offset: u64,
        mut records: Vec<CheckpointRecord>,
    ) -> Result<Vec<CheckpointRecord>, JournalError> {
        let count = u32_at(chunk, 12) as usize;
        let mut rest = &chunk[CHUNK_HEADER_BYTES..];
        // Every record has at least two bytes: a count beyond that is a lie about memory.
        if count > rest.len() / 2 {
            return Err(self.corrupt(offset, Damage::Checkpoint));
        }
        records.resize(count, CheckpointRecord::NextContainer(0));
        for record in &mut records {
            if rest.is_empty() {
                return Err(self.corrupt(offset, Damage::Checkpoint));
            }
            decode_checkpoint_record_into(record, &mut rest)
                .map_err(|error| self.corrupt(offset, error.into()))?;
        }
        if !rest.is_empty() {
            return Err(self.corrupt(offset, Damage::Checkpoint));
        }
        Ok(records)
    }
}

/// Hands the records of a checkpoint to `replay` and compares its state hash. Decoding runs on a thread
/// of its own, a little ahead. After `Corrupt`, what was handed out so far must be forgotten.
///
/// **Errors**: `Corrupt`, `Foreign`, `Io`.
pub(crate) fn load(
    folder: &Folder,
    cluster: &FormatFacts,
    seq: JournalSeq,
    replay: &mut dyn Replay,
) -> Result<CheckpointInfo, JournalError> {
    hand_out(open(folder, cluster, seq)?, replay)
}

fn hand_out(reader: Reader, replay: &mut dyn Replay) -> Result<CheckpointInfo, JournalError> {
    let (sender, receiver) = sync_channel::<Vec<CheckpointRecord>>(CHUNKS_AHEAD);
    // Records go back to be filled again: nobody frees what another thread allocated, record by record.
    let (give_back, spare) = channel();
    std::thread::scope(|scope| {
        let reader = &reader;
        let spare = move || spare.try_recv().unwrap_or_default();
        let mut sink = move |chunk| sender.send(chunk).is_ok();
        let decoder = scope.spawn(move || reader.chunks(spare, &mut sink));
        for chunk in receiver {
            chunk.iter().for_each(|record| replay.checkpoint(record));
            // The decoder may be done.
            let _ = give_back.send(chunk);
        }
        match decoder.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })?;
    reader.compare(replay.state_hash())?;
    Ok(reader.info)
}

/// As [`load`], of a file that lies elsewhere; errors call it `shown`.
pub(crate) fn load_from(
    file: Box<dyn DiskFile>,
    shown: PathBuf,
    cluster: &FormatFacts,
    seq: JournalSeq,
    replay: &mut dyn Replay,
) -> Result<CheckpointInfo, JournalError> {
    hand_out(read_ends(file, shown, cluster, seq)?, replay)
}

/// As [`info`], of a file that lies elsewhere; errors call it `shown`.
pub(crate) fn info_of(
    file: Box<dyn DiskFile>,
    shown: PathBuf,
    cluster: &FormatFacts,
    seq: JournalSeq,
) -> Result<CheckpointInfo, JournalError> {
    Ok(read_ends(file, shown, cluster, seq)?.info)
}

/// What header and trailer say.
///
/// **Errors**: as [`load`], but the chunks are not looked at.
pub(crate) fn info(
    folder: &Folder,
    cluster: &FormatFacts,
    seq: JournalSeq,
) -> Result<CheckpointInfo, JournalError> {
    Ok(open(folder, cluster, seq)?.info)
}

/// A sound checkpoint file as bytes: all checksums are compared, and nothing is decoded.
///
/// **Errors**: `Corrupt`, `Foreign`, `Io`.
pub(crate) fn open_file(
    folder: &Folder,
    cluster: &FormatFacts,
    seq: JournalSeq,
) -> Result<(CheckpointInfo, Box<dyn DiskFile>), JournalError> {
    let reader = open(folder, cluster, seq)?;
    reader.walk(&mut |_, _| Ok(true))?;
    Ok((reader.info, reader.file))
}

/// Reads the file at `path`, which is to become the checkpoint at `seq`, from end to end.
///
/// **Errors**: as [`load`].
pub(crate) fn verify(
    folder: &Folder,
    cluster: &FormatFacts,
    path: &Path,
    seq: JournalSeq,
    check: &mut dyn Replay,
) -> Result<CheckpointInfo, JournalError> {
    check.restart();
    hand_out(open_at(folder, cluster, path.to_owned(), seq)?, check)
}
