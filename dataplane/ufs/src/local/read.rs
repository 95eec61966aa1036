//! Facts and bytes of a local file.

use super::names::Names;
use super::{LocalUfs, run_blocking};
use crate::error::{Error, Result};
use crate::facts::UfsFacts;
use crate::under_fs::ByteStream;
use alluxio_types::{Fingerprint, Mode, UnixMillis};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, OFlags, Stat};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of one piece: large enough that the hand-over to the blocking pool (about 20 µs) is small
/// beside the copy (about 100 µs), small enough that a few readers do not fill the memory.
const PIECE_BYTES: u64 = 1024 * 1024;
/// Pieces under way: one is read while the other is consumed.
const PIECES_AHEAD: usize = 2;
/// Pieces that were handed out and whose memory is used again once their readers have dropped them:
/// fresh memory costs about as much as the copy into it.
const PIECES_KEPT: usize = 4;

/// What `stat` says; `None` for what is neither file nor directory.
pub(super) fn facts(stat: &Stat, names: &Names) -> Option<UfsFacts> {
    let modified = unix_millis(stat.st_mtime, stat.st_mtime_nsec);
    let mut facts = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {
            UfsFacts::file(stat.st_size as u64, Some(modified), fingerprint(stat))
        }
        FileType::Directory => UfsFacts { modified: Some(modified), ..UfsFacts::directory() },
        _ => return None,
    };
    facts.owner = Some(names.user(stat.st_uid));
    facts.group = Some(names.group(stat.st_gid));
    facts.mode = Some(Mode((stat.st_mode & 0o7777) as u16));
    Some(facts)
}

/// When the bytes last changed, in Unix milliseconds.
pub(super) fn modified(stat: &Stat) -> u64 {
    unix_millis(stat.st_mtime, stat.st_mtime_nsec).0
}

/// The version of a file. The device number is left out: it changes when the same file system is
/// mounted again.
fn fingerprint(stat: &Stat) -> Fingerprint {
    Fingerprint(format!(
        "posix;len={};mtime={}.{:09};ctime={}.{:09};ino={}",
        stat.st_size,
        stat.st_mtime,
        stat.st_mtime_nsec,
        stat.st_ctime,
        stat.st_ctime_nsec,
        stat.st_ino
    ))
}

fn unix_millis(seconds: impl TryInto<i64>, nanos: impl TryInto<i64>) -> UnixMillis {
    let seconds: i64 = seconds.try_into().unwrap_or(0);
    let nanos: i64 = nanos.try_into().unwrap_or(0);
    UnixMillis(seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000).max(0) as u64)
}

/// One open file, and what it must still be at the end.
struct Source {
    ufs: LocalUfs,
    relative: String,
    fd: OwnedFd,
    version: Fingerprint,
    kept: Mutex<VecDeque<Bytes>>,
}

pub(super) async fn read_range(
    ufs: &LocalUfs,
    relative: String,
    offset: u64,
    length: u64,
    expected: Fingerprint,
) -> Result<ByteStream> {
    let end = offset.saturating_add(length);
    let opened = ufs.clone();
    let source =
        run_blocking(move || Source::open(opened, relative, offset, end, &expected)).await?;
    let source = Arc::new(source);
    let last = Arc::clone(&source);
    let pieces = (offset..end).step_by(PIECE_BYTES as usize).map(move |from| {
        let source = Arc::clone(&source);
        let length = (end - from).min(PIECE_BYTES);
        run_blocking(move || source.piece(from, length))
    });
    // The last item checks the version once more and yields no bytes.
    let verdict = futures::stream::once(run_blocking(move || last.verify()))
        .filter_map(|verdict| futures::future::ready(verdict.err().map(Err)));
    Ok(stop_at_error(futures::stream::iter(pieces).buffered(PIECES_AHEAD).chain(verdict).boxed()))
}

/// The stream up to its first error.
fn stop_at_error(stream: ByteStream) -> ByteStream {
    stream
        .scan(false, |failed, item| {
            let out = if *failed { None } else { Some(item) };
            *failed = matches!(out, Some(Err(_)));
            futures::future::ready(out)
        })
        .boxed()
}

impl Source {
    fn open(
        ufs: LocalUfs,
        relative: String,
        offset: u64,
        end: u64,
        expected: &Fingerprint,
    ) -> Result<Source> {
        let root = &ufs.shared.root;
        // Without NONBLOCK, opening a pipe would wait for a writer.
        let fd = root.open(&relative, OFlags::RDONLY | OFlags::NONBLOCK)?;
        let stat = root.check(&relative, "read", rustix::fs::fstat(&fd))?;
        let uri = || root.uri(&relative);
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory => return Err(Error::IsADirectory { uri: uri() }),
            _ => {
                let operation = "serve a device, socket or pipe";
                return Err(Error::Unsupported { uri: uri(), operation });
            }
        }
        let version = fingerprint(&stat);
        if !expected.is_empty() && *expected != version {
            return Err(Error::Changed { uri: uri() });
        }
        let file_length = stat.st_size as u64;
        if end > file_length {
            return Err(Error::OutOfRange { uri: uri(), offset, end, file_length });
        }
        Ok(Source { ufs, relative, fd, version, kept: Mutex::default() })
    }

    fn piece(&self, from: u64, length: u64) -> Result<Bytes> {
        let mut bytes = self.buffer(length as usize);
        let mut have = 0;
        while have < bytes.len() {
            match rustix::io::pread(&self.fd, &mut bytes[have..], from + have as u64) {
                // Shorter than it was when it was opened.
                Ok(0) => return Err(self.changed()),
                Ok(count) => have += count,
                Err(Errno::INTR) => {}
                Err(errno) => {
                    return Err(self.ufs.shared.root.error(&self.relative, "read", errno));
                }
            }
        }
        let bytes = bytes.freeze();
        self.kept().push_back(bytes.clone());
        Ok(bytes)
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Bytes>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A buffer of `length` bytes, an old one if there is one that nobody looks at any more.
    fn buffer(&self, length: usize) -> BytesMut {
        let mut kept = self.kept();
        if kept.len() >= PIECES_KEPT
            && let Some(oldest) = kept.pop_front()
            && let Ok(mut bytes) = oldest.try_into_mut()
            && bytes.len() >= length
        {
            bytes.truncate(length);
            return bytes;
        }
        drop(kept);
        BytesMut::zeroed(length)
    }

    /// Fails if the file was written to, or its times were moved, since it was opened.
    fn verify(&self) -> Result<()> {
        let stat = rustix::fs::fstat(&self.fd);
        let stat = self.ufs.shared.root.check(&self.relative, "read", stat)?;
        if fingerprint(&stat) == self.version { Ok(()) } else { Err(self.changed()) }
    }

    fn changed(&self) -> Error {
        Error::Changed { uri: self.ufs.shared.root.uri(&self.relative) }
    }
}
