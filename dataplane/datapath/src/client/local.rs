//! A block that is read in place, without messages.

use super::connection::Returns;
use crate::error::Error;
use crate::sys;
use alluxio_types::BlockId;
use bytes::Bytes;
use memmap2::Mmap;
use rustix::io::ReadWriteFlags;
use std::fmt;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, OnceLock};

/// A committed block of this machine: its file, its mapping once somebody wanted it, its lease.
/// Cheap to clone; the lease ends when the last clone, and the last [`Bytes`] cut from it, is
/// dropped.
#[derive(Clone, Debug)]
pub struct LocalBlock {
    inner: Arc<Inner>,
}

struct Inner {
    block: BlockId,
    file: File,
    length: u64,
    /// Whether the file lies in memory (tmpfs), where reading never waits for a device.
    in_memory: bool,
    map: OnceLock<Mmap>,
    returns: Arc<Returns>,
    lease: u32,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalBlock")
            .field("block", &self.block)
            .field("length", &self.length)
            .field("mapped", &self.map.get().is_some())
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.returns.give_back(self.lease);
    }
}

/// Bytes that keep their mapping, and with it the lease, alive.
struct Slice {
    inner: Arc<Inner>,
    start: usize,
    end: usize,
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        self.inner.map.get().map_or(&[], |map| &map[self.start..self.end])
    }
}

impl LocalBlock {
    pub(super) fn new(
        block: BlockId,
        fd: OwnedFd,
        length: u64,
        returns: Arc<Returns>,
        lease: u32,
    ) -> Self {
        let in_memory = lies_in_memory(fd.as_fd());
        let file = File::from(fd);
        let map = OnceLock::new();
        LocalBlock {
            inner: Arc::new(Inner { block, file, length, in_memory, map, returns, lease }),
        }
    }

    /// Length of the block in bytes.
    pub fn length(&self) -> u64 {
        self.inner.length
    }

    /// Which block.
    pub fn block(&self) -> BlockId {
        self.inner.block
    }

    /// The descriptor, for who hands it on to the kernel.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.inner.file.as_fd()
    }

    fn map(&self) -> Result<&[u8], Error> {
        if let Some(map) = self.inner.map.get() {
            return Ok(map);
        }
        // An empty mapping is not allowed by the kernel, and an empty block needs none.
        if self.inner.length == 0 {
            return Ok(&[]);
        }
        let map = sys::mmap::map_block(&self.inner.file, self.inner.length)
            .map_err(|source| self.file_error(source))?;
        // Two threads may map at once; the mapping that came second is dropped.
        Ok(self.inner.map.get_or_init(|| map))
    }

    fn file_error(&self, source: io::Error) -> Error {
        Error::LocalFile { block: self.inner.block, source }
    }

    /// How many bytes `wanted` from `offset` on there are.
    fn available(&self, offset: u64, wanted: usize) -> usize {
        let left = self.inner.length.saturating_sub(offset);
        usize::try_from(left).unwrap_or(usize::MAX).min(wanted)
    }

    /// Reads without ever waiting for a device: fills `buffer` as far as the block goes, and says
    /// how far that is; `None` when the bytes are not in memory now.
    pub fn try_read_at(&self, buffer: &mut [u8], offset: u64) -> Result<Option<usize>, Error> {
        let count = self.available(offset, buffer.len());
        let buffer = &mut buffer[..count];
        if count == 0 {
            return Ok(Some(0));
        }
        // `examples/local_read.rs`: in memory, copying from the mapping beats reading the file, 1.3
        // times at first touch and 2.5 times later with 4 KiB pages, 1.0 with huge ones, 2.5 for
        // small reads. On a disk it is 0.9 of it, and may wait for the device unnoticed.
        if self.inner.in_memory {
            let start = offset as usize;
            buffer.copy_from_slice(&self.map()?[start..start + count]);
            return Ok(Some(count));
        }
        let mut done = 0;
        while done < count {
            let mut parts = [IoSliceMut::new(&mut buffer[done..])];
            let at = offset + done as u64;
            match rustix::io::preadv2(&self.inner.file, &mut parts, at, ReadWriteFlags::NOWAIT) {
                Ok(0) => return Err(self.file_error(io::ErrorKind::UnexpectedEof.into())),
                Ok(got) => done += got,
                Err(rustix::io::Errno::INTR) => {}
                // Not cached by the kernel, or a file system that cannot tell.
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::OPNOTSUPP) => return Ok(None),
                Err(errno) => return Err(self.file_error(errno.into())),
            }
        }
        Ok(Some(count))
    }

    /// Reads, waiting for the device on a thread made for that. Returns how many bytes there
    /// were: fewer than asked for only at the end of the block.
    ///
    /// **Cancel safety**: safe.
    pub async fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Error> {
        if let Some(count) = self.try_read_at(buffer, offset)? {
            return Ok(count);
        }
        let count = self.available(offset, buffer.len());
        let this = self.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; count];
            this.read_file(&mut bytes, offset).map(|()| bytes)
        });
        let bytes = read.await.map_err(|source| self.file_error(io::Error::other(source)))??;
        buffer[..count].copy_from_slice(&bytes);
        Ok(count)
    }

    /// Reads on this thread, which may wait for a device.
    pub fn read_at_blocking(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Error> {
        let count = self.available(offset, buffer.len());
        self.read_file(&mut buffer[..count], offset)?;
        Ok(count)
    }

    fn read_file(&self, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
        self.inner.file.read_exact_at(buffer, offset).map_err(|source| self.file_error(source))
    }

    /// Bytes of the mapping, without a copy; fewer than `wanted` only at the end of the block.
    /// Touching bytes of a block that lies on a device may wait for it.
    pub fn bytes_at(&self, offset: u64, wanted: usize) -> Result<Bytes, Error> {
        let count = self.available(offset, wanted);
        if count == 0 {
            return Ok(Bytes::new());
        }
        self.map()?;
        let start = offset as usize;
        Ok(Bytes::from_owner(Slice { inner: self.inner.clone(), start, end: start + count }))
    }
}

/// Whether a file lies on tmpfs, ramfs or hugetlbfs, where reading and writing never wait for a
/// device. **Source**: statfs(2), magic numbers.
pub fn lies_in_memory(fd: BorrowedFd<'_>) -> bool {
    const TMPFS: u64 = 0x0102_1994;
    const RAMFS: u64 = 0x8584_58f6;
    const HUGETLBFS: u64 = 0x9584_58f6;
    rustix::fs::fstatfs(fd)
        .is_ok_and(|facts| matches!(facts.f_type as u64, TMPFS | RAMFS | HUGETLBFS))
}
