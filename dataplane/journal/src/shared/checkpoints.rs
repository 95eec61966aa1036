//! Checkpoints in a shared folder: the files of the folder journal, uploaded in order and read in ranges.

use super::layout::{CheckpointName, DAMAGED, Place};
use super::log::{FENCES_KEPT, Log};
use super::place::{StoreError, StoreResult, Upload};
use crate::folder::{FormatFacts, checkpoint};
use crate::{
    CheckpointInfo, CheckpointSink, CheckpointSource, JournalError, Observer, Replay, Truncated,
};
use alluxio_host::{DiskFile, Host};
use std::future::Future;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;

/// Checkpoints that [`truncate`] leaves.
const CHECKPOINTS_KEPT: usize = 2;
/// Bytes of one range that is read. A checkpoint is read once and in order.
const READ_BYTES: u64 = 4 << 20;
/// Bytes that are collected before they are sent.
const WRITE_BYTES: usize = 1 << 20;
/// Files that are removed at a time.
const REMOVALS: usize = 16;

/// Work of a store for those who block.
#[derive(Clone)]
pub(super) struct Waits {
    pub(super) host: Host,
    pub(super) runtime: Handle,
}

impl Waits {
    pub(super) fn wait<T: Send>(&self, future: impl Future<Output = T> + Send) -> T {
        self.host.threads.wait_for(&self.runtime, future)
    }

    fn of_store<T: Send>(
        &self,
        work: impl Future<Output = StoreResult<T>> + Send,
    ) -> io::Result<T> {
        self.wait(work).map_err(io_error)
    }
}

fn io_error(error: StoreError) -> io::Error {
    let kind = match error.code {
        alluxio_types::Code::ResourceExhausted => io::ErrorKind::StorageFull,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

/// A file of the store that is read from its start to its end.
struct Remote {
    place: Place,
    name: String,
    length: u64,
    waits: Waits,
    /// The range that was read last, and where it begins.
    range: Mutex<(u64, Vec<u8>)>,
}

impl DiskFile for Remote {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset >= self.length || buffer.is_empty() {
            return Ok(0);
        }
        let mut range = self.range.lock().unwrap_or_else(PoisonError::into_inner);
        let known = range.0..range.0 + range.1.len() as u64;
        if !known.contains(&offset) {
            // The ends of the file are looked at first: they are short.
            let wanted = if offset == 0 || known.end == offset { READ_BYTES } else { 64 << 10 };
            let length = wanted.min(self.length - offset);
            let read = self.place.folder.read_range(&self.name, offset, length);
            *range = (offset, self.waits.of_store(read)?);
        }
        let from = (offset - range.0) as usize;
        let count = buffer.len().min(range.1.len() - from);
        buffer[..count].copy_from_slice(&range.1[from..from + count]);
        Ok(count)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.length)
    }

    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_length(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn allocate(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

struct Sending {
    /// `None` once it is finished or given up.
    upload: Option<Box<dyn Upload>>,
    collected: Vec<u8>,
    sent: u64,
}

/// A checkpoint on its way: the file that it is written to, and the place that gives it its name.
#[derive(Clone)]
struct Outgoing {
    place: Place,
    name: String,
    waits: Waits,
    sending: Arc<Mutex<Sending>>,
}

impl Outgoing {
    fn sending(&self) -> MutexGuard<'_, Sending> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flush(&self, sending: &mut Sending) -> io::Result<()> {
        let bytes = std::mem::take(&mut sending.collected);
        let count = bytes.len() as u64;
        let upload = sending.upload.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        self.waits.of_store(upload.write(bytes))?;
        sending.sent += count;
        Ok(())
    }
}

impl DiskFile for Outgoing {
    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut sending = self.sending();
        if offset != sending.sent + sending.collected.len() as u64 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        sending.collected.extend_from_slice(bytes);
        if sending.collected.len() >= WRITE_BYTES { self.flush(&mut sending) } else { Ok(()) }
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut sending = self.sending();
        if sending.collected.is_empty() { Ok(()) } else { self.flush(&mut sending) }
    }

    fn length(&self) -> io::Result<u64> {
        let sending = self.sending();
        Ok(sending.sent + sending.collected.len() as u64)
    }

    fn set_length(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn allocate(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

impl checkpoint::Place for Outgoing {
    fn publish(&mut self) -> Result<(), JournalError> {
        let Some(upload) = self.sending().upload.take() else { return Err(JournalError::Closed) };
        let finished = self.waits.wait(upload.finish());
        finished.map_err(self.place.failed("finish", &self.name))?;
        // One that was damaged may have had the name.
        let mark = format!("{}{DAMAGED}", self.name);
        self.waits.wait(self.place.folder.remove(&mark)).map_err(self.place.failed("remove", &mark))
    }

    fn discard(&mut self) {
        // Dropped, it leaves nothing under its name.
        let upload = self.sending().upload.take();
        let _runtime = self.waits.runtime.enter();
        drop(upload);
    }
}

/// Begins a checkpoint.
///
/// **Errors**: `Store`, `Io`.
pub(super) fn begin(
    place: &Place,
    waits: &Waits,
    cluster: &FormatFacts,
    named: CheckpointName,
    observer: Arc<dyn Observer>,
) -> Result<Box<dyn CheckpointSink>, JournalError> {
    let name = place.checkpoint(named);
    let upload = waits.wait(place.folder.begin(&name)).map_err(place.failed("create", &name))?;
    let sending = Sending { upload: Some(upload), collected: Vec::new(), sent: 0 };
    let outgoing = Outgoing {
        place: place.clone(),
        name: name.clone(),
        waits: waits.clone(),
        sending: Arc::new(Mutex::new(sending)),
    };
    let (file, clock) = (Box::new(outgoing.clone()), waits.host.clock.clone());
    let (shown, seq) = (place.shown(&name), named.at);
    let writer =
        checkpoint::Writer::over(Box::new(outgoing), file, shown, clock, cluster, seq, observer)?;
    Ok(Box::new(writer))
}

fn open(place: &Place, waits: &Waits, named: CheckpointName, length: u64) -> Remote {
    Remote {
        place: place.clone(),
        name: place.checkpoint(named),
        length,
        waits: waits.clone(),
        range: Mutex::default(),
    }
}

/// Hands the newest sound checkpoint to `replay`; `None` when there is none. Those that are damaged get a
/// mark, so that they do not count as copies, and go to `damaged`.
///
/// **Errors**: `Store`, `Io`, `Foreign`.
pub(super) fn load(
    log: &Log,
    waits: &Waits,
    cluster: &FormatFacts,
    replay: &mut dyn Replay,
    damaged: &mut Vec<JournalError>,
) -> Result<Option<(CheckpointName, CheckpointInfo)>, JournalError> {
    replay.restart();
    let place = &log.place;
    for (named, length) in waits.wait(log.checkpoints())?.into_iter().rev() {
        let (file, name) = (Box::new(open(place, waits, named, length)), place.checkpoint(named));
        match checkpoint::load_from(file, place.shown(&name), cluster, named.at, replay) {
            Ok(info) => return Ok(Some((named, info))),
            Err(error @ JournalError::Corrupt { .. }) => {
                tracing::error!(%error, "checkpoint is damaged, trying an older one");
                damaged.push(error);
                let mark = format!("{name}{DAMAGED}");
                if let Err(error) = waits.wait(place.folder.create_new(&mark, b"")) {
                    tracing::warn!(%error, "a damaged checkpoint has no mark yet");
                }
                replay.restart();
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// The newest checkpoint whose ends are sound.
///
/// **Errors**: `Store`, `Io`.
pub(super) fn newest(
    log: &Log,
    waits: &Waits,
    cluster: &FormatFacts,
) -> Result<Option<Box<dyn CheckpointSource>>, JournalError> {
    let place = &log.place;
    for (named, length) in waits.wait(log.checkpoints())?.into_iter().rev() {
        let (file, name) = (Box::new(open(place, waits, named, length)), place.checkpoint(named));
        match checkpoint::info_of(file, place.shown(&name), cluster, named.at) {
            Ok(info) => {
                let file = open(place, waits, named, length);
                return Ok(Some(Box::new(Source { info, file })));
            }
            Err(error @ JournalError::Corrupt { .. }) => {
                tracing::error!(%error, "checkpoint is damaged, trying an older one");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

struct Source {
    info: CheckpointInfo,
    file: Remote,
}

impl CheckpointSource for Source {
    fn info(&self) -> &CheckpointInfo {
        &self.info
    }

    fn read_at(&self, offset: u64, bytes: usize) -> Result<Vec<u8>, JournalError> {
        let mut buffer = vec![0; bytes];
        let path = || self.file.place.shown(&self.file.name);
        let failed = |source| JournalError::Io { action: "read", path: path(), source };
        let count = self.file.read_at(&mut buffer, offset).map_err(failed)?;
        buffer.truncate(count);
        Ok(buffer)
    }
}

/// Removes all checkpoints but the newest two, and the segments that the older of the two covers, but for
/// the fences of recent terms. Returns the first segment that is kept, too, when there are two.
///
/// **Errors**: `Store`.
pub(super) async fn truncate(log: &Log) -> Result<(Truncated, Option<u64>), JournalError> {
    let place = &log.place;
    let found = log.checkpoints().await?;
    let surplus = found.len().saturating_sub(CHECKPOINTS_KEPT);
    let mut removed = Truncated::default();
    let old: Vec<String> =
        found[..surplus].iter().map(|(named, _)| place.checkpoint(*named)).collect();
    removed.checkpoints = remove(place, old).await?;
    // A single checkpoint frees nothing: were it damaged, the log would be all there is.
    let [(older, _), _] = found[surplus..] else { return Ok((removed, None)) };
    remove(place, marked(place, older).await?).await?;
    let numbers = log.numbers().await?;
    let below = || numbers.iter().filter(|(number, _)| *number < older.number);
    let fences = numbers.iter().filter(|(_, is_fence)| *is_fence).count();
    let mut spare = fences.saturating_sub(FENCES_KEPT);
    let mut doomed = Vec::new();
    for (number, is_fence) in below() {
        let goes = !is_fence || spare > 0;
        if goes {
            doomed.push(place.segment(*number));
            spare -= usize::from(*is_fence);
        }
    }
    removed.segments = remove(place, doomed).await?;
    Ok((removed, Some(older.number)))
}

/// Damaged checkpoints older than `kept`, with their marks: two sound ones have taken their place.
async fn marked(place: &Place, kept: CheckpointName) -> Result<Vec<String>, JournalError> {
    let directory = place.checkpoints();
    let listed = place.folder.list(&directory).await.map_err(place.failed("list", &directory))?;
    let stems = listed.iter().filter_map(|file| file.name.strip_suffix(DAMAGED));
    let old = stems.filter(|stem| CheckpointName::parse(stem).is_some_and(|named| named < kept));
    // First the file: without its mark it would count.
    let names = old.flat_map(|stem| [stem.to_owned(), format!("{stem}{DAMAGED}")]);
    Ok(names.map(|name| format!("{directory}/{name}")).collect())
}

async fn remove(place: &Place, names: Vec<String>) -> Result<u64, JournalError> {
    for some in names.chunks(REMOVALS) {
        let removals = some.iter().map(|name| place.folder.remove(name));
        for (name, done) in some.iter().zip(futures::future::join_all(removals).await) {
            done.map_err(place.failed("remove", name))?;
        }
    }
    Ok(names.len() as u64)
}
