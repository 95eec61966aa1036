//! Complete blocks, and the hold of a reader on one.

use crate::checksum::{ChunkCrcs, VerifyError};
use crate::error::Error;
use crate::fill::io_error;
use crate::space::{Dir, SpaceReservation};
use crate::store::Inner;
use alluxio_host::{DiskFile, OpenMode};
use alluxio_types::{BlockId, MediumType, TierAlias};
use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A complete block, as the map knows it.
pub(crate) struct Stored {
    pub(crate) block: BlockId,
    pub(crate) length: u64,
    /// False for a block found at start whose bytes nobody has checked yet.
    verified: AtomicBool,
    /// Set before the files are unlinked.
    unlinking: AtomicBool,
    /// Shared by the leases of the moment, so that ten readers cost one descriptor; no descriptor
    /// is kept for a block that nobody reads.
    open: Mutex<Weak<OpenBlock>>,
    /// Last, so that the room returns after everything else is gone.
    pub(crate) space: Arc<SpaceReservation>,
}

struct OpenBlock {
    file: Box<dyn DiskFile>,
    crcs: Mutex<Option<Arc<ChunkCrcs>>>,
}

impl Stored {
    pub(crate) fn new(
        block: BlockId,
        length: u64,
        verified: bool,
        space: Arc<SpaceReservation>,
    ) -> Arc<Self> {
        Arc::new(Stored {
            block,
            length,
            verified: AtomicBool::new(verified),
            unlinking: AtomicBool::new(false),
            open: Mutex::new(Weak::new()),
            space,
        })
    }

    pub(crate) fn dir(&self) -> &Arc<Dir> {
        self.space.dir()
    }

    /// What is left of a block that is nowhere any more.
    pub(crate) fn into_space(self) -> Arc<SpaceReservation> {
        self.space
    }

    pub(crate) fn is_verified(&self) -> bool {
        self.verified.load(Ordering::Acquire)
    }

    pub(crate) fn set_verified(&self) {
        self.verified.store(true, Ordering::Release);
    }

    /// Whether anybody but the map and `own` more holders in the store uses the bytes. Exact under
    /// the lock of the block's shard, where leases begin.
    pub(crate) fn is_leased(this: &Arc<Self>, own: usize) -> bool {
        Arc::strong_count(this) > 1 + own || Arc::strong_count(&this.space) > 1
    }

    fn opened(&self) -> Option<Arc<OpenBlock>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    fn open(&self, inner: &Inner) -> io::Result<Arc<OpenBlock>> {
        let open = match self.opened() {
            Some(open) => open,
            None => self.open_file(inner)?,
        };
        // Either the one who unlinks sees what stands there, or this sees the flag: the lock in
        // between orders the two.
        if self.unlinking.load(Ordering::Acquire) && open.crcs(inner, self).is_err() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(open)
    }

    /// Opens the file without the lock; of two threads that both do, the second takes what the
    /// first has put there, so that the one who unlinks finds the only one.
    fn open_file(&self, inner: &Inner) -> io::Result<Arc<OpenBlock>> {
        let file = inner.disk.open(&self.dir().block_path(self.block), OpenMode::Read)?;
        let open = Arc::new(OpenBlock { file, crcs: Mutex::new(None) });
        let mut shared = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = shared.upgrade() {
            return Ok(first);
        }
        *shared = Arc::downgrade(&open);
        Ok(open)
    }

    /// Before the files are unlinked: leases that are out may still ask for the checksums.
    pub(crate) fn begin_unlinking(&self, inner: &Inner) {
        self.unlinking.store(true, Ordering::Release);
        if let Some(open) = self.opened()
            && let Err(error) = open.crcs(inner, self)
        {
            tracing::debug!(block = self.block.0, %error, "checksums of a leased block are gone");
        }
    }
}

impl OpenBlock {
    fn crcs(&self, inner: &Inner, stored: &Stored) -> Result<Arc<ChunkCrcs>, Error> {
        let kept = || self.crcs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(crcs) = kept().as_ref() {
            return Ok(crcs.clone());
        }
        match inner.read_sidecar(stored.dir(), stored.block, stored.length) {
            Ok(crcs) => {
                let crcs = Arc::new(crcs);
                *kept() = Some(crcs.clone());
                Ok(crcs)
            }
            // Who unlinks may have read it since, and taken it away.
            Err(error) => kept().clone().ok_or(error),
        }
    }
}

/// A reader's hold on a complete block. While it lives the block is not evicted, and its bytes
/// stay readable whatever happens to the name: a committed block file is never rewritten or
/// truncated, removal is an unlink. The room of a block removed meanwhile counts as used until its
/// last lease ends.
#[derive(Clone)]
pub struct BlockLease {
    inner: Arc<Inner>,
    // Before `stored`: the descriptor closes before the room returns.
    open: Arc<OpenBlock>,
    stored: Arc<Stored>,
}

impl BlockLease {
    pub(crate) fn new(inner: Arc<Inner>, stored: Arc<Stored>) -> io::Result<Self> {
        let open = stored.open(&inner)?;
        Ok(BlockLease { inner, open, stored })
    }

    /// The block.
    pub fn block(&self) -> BlockId {
        self.stored.block
    }

    /// Its length in bytes; the file is exactly as long.
    pub fn length(&self) -> u64 {
        self.stored.length
    }

    /// Number of the tier it lies in; 0 is the top.
    pub fn tier(&self) -> usize {
        self.stored.dir().tier
    }

    /// Name of that tier.
    pub fn tier_alias(&self) -> &TierAlias {
        self.inner.tier_alias(self.tier())
    }

    /// What the directory it lies in is made of.
    pub fn medium(&self) -> &MediumType {
        &self.stored.dir().medium
    }

    /// The open file, read-only.
    pub fn file(&self) -> &dyn DiskFile {
        &*self.open.file
    }

    /// A read-only descriptor that may be lent to another process, where the disk has one. The
    /// lease must live as long as the borrower reads.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.open.file.descriptor()
    }

    /// The block's checksums; read from the sidecar the first time.
    ///
    /// **Errors**: `Corrupt` when the sidecar is damaged (the block is dropped), `Io`.
    pub fn checksums(&self) -> Result<Arc<ChunkCrcs>, Error> {
        let crcs = self.open.crcs(&self.inner, &self.stored);
        if let Err(error) = &crcs
            && is_of_this_file(error)
        {
            self.inner.drop_corrupt(&self.stored);
        }
        crcs
    }

    /// Reads `buffer.len()` bytes at `offset`, checking every chunk they touch.
    ///
    /// **Errors**: `Corrupt` (the block is dropped), `OutOfRange`, `Io`, `DirLost`.
    pub fn read_verified(&self, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
        let range = self.in_range(offset, buffer.len())?;
        let crcs = self.checksums()?;
        let whole = crcs.covering(range.clone());
        if whole == range {
            // Chunks as they are: no copy.
            self.read_exact(buffer, offset)?;
            return crcs.verify(offset, buffer).map_err(|bad| self.corrupt(bad.0));
        }
        let mut chunks = vec![0; (whole.end - whole.start) as usize];
        self.read_exact(&mut chunks, whole.start)?;
        crcs.verify(whole.start, &chunks).map_err(|bad| self.corrupt(bad.0))?;
        let skip = (offset - whole.start) as usize;
        buffer.copy_from_slice(&chunks[skip..skip + buffer.len()]);
        Ok(())
    }

    /// Checks all bytes against the checksums. Blocking: reads the whole block.
    ///
    /// **Errors**: `Corrupt` (the block is dropped), `Io`, `DirLost`.
    pub fn verify(&self) -> Result<(), Error> {
        let crcs = self.checksums()?;
        match crcs.verify_range(self.file(), 0..self.length()) {
            Ok(()) => {
                self.stored.set_verified();
                Ok(())
            }
            Err(VerifyError::Mismatch(bad)) => Err(self.corrupt(bad.0)),
            Err(VerifyError::Io(source)) => Err(self.io(source)),
        }
    }

    fn in_range(&self, offset: u64, len: usize) -> Result<Range<u64>, Error> {
        let end = offset.saturating_add(len as u64);
        if end > self.length() {
            return Err(Error::OutOfRange {
                block: self.block(),
                start: offset,
                end,
                limit_bytes: self.length(),
            });
        }
        Ok(offset..end)
    }

    fn read_exact(&self, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
        match self.open.file.read_exact_at(buffer, offset) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.corrupt(offset..offset + buffer.len() as u64))
            }
            Err(source) => Err(self.io(source)),
        }
    }

    fn corrupt(&self, bad: Range<u64>) -> Error {
        self.inner.drop_corrupt(&self.stored);
        Error::Corrupt { block: self.block(), start: bad.start, end: bad.end }
    }

    fn io(&self, source: io::Error) -> Error {
        let dir = self.stored.dir();
        let path = dir.block_path(self.block());
        let error = self.inner.blame(dir, io_error("cannot read", &path, source));
        if is_of_this_file(&error) {
            self.inner.drop_corrupt(&self.stored);
        }
        error
    }
}

/// Whether the directory works and this one file does not: keep the directory, drop the block.
/// Other refusals (too many open files, out of memory) say nothing about the bytes.
fn is_of_this_file(error: &Error) -> bool {
    // EIO has no `io::ErrorKind`; the number is the same on every Linux.
    const EIO: i32 = 5;
    match error {
        Error::Corrupt { .. } => true,
        Error::Io { source, .. } => source.raw_os_error() == Some(EIO),
        _ => false,
    }
}

impl std::fmt::Debug for BlockLease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockLease")
            .field("block", &self.block())
            .field("length", &self.length())
            .field("tier", &self.tier())
            .finish_non_exhaustive()
    }
}

/// A hold on a block that was found at start and not checked since. The only thing to do with it
/// is to check it.
pub struct UnverifiedLease(pub(crate) BlockLease);

impl UnverifiedLease {
    /// Checks the block and hands out the lease. Blocking: reads the whole block.
    ///
    /// **Errors**: as [`BlockLease::verify`].
    pub fn verify(self) -> Result<BlockLease, Error> {
        self.0.verify()?;
        Ok(self.0)
    }

    /// Length of the block in bytes.
    pub fn length(&self) -> u64 {
        self.0.length()
    }
}
