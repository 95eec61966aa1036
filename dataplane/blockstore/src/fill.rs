//! A block that is being filled, as those who wait for its bytes see it.

use crate::error::Error;
use crate::space::SpaceReservation;
use alluxio_host::DiskFile;
use alluxio_types::BlockId;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// How far a fill is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FillState {
    /// Bytes `0..written_bytes` are there and will not change.
    Filling {
        /// How many.
        written_bytes: u64,
    },
    /// All bytes are there.
    Committed {
        /// How many.
        length: u64,
    },
    /// The writer gave up. What was readable stays readable for those who are attached.
    Abandoned {
        /// Bytes that are there.
        written_bytes: u64,
    },
}

impl FillState {
    /// Bytes from the start of the block that can be read.
    pub fn readable_bytes(self) -> u64 {
        match self {
            FillState::Filling { written_bytes } | FillState::Abandoned { written_bytes } => {
                written_bytes
            }
            FillState::Committed { length } => length,
        }
    }

    /// Whether nothing more will come.
    pub fn is_over(self) -> bool {
        !matches!(self, FillState::Filling { .. })
    }
}

/// Lets any number of readers wait for a writer, from threads and from tasks.
pub struct FillProgress {
    shared: Mutex<Shared>,
    changed: Condvar,
}

struct Shared {
    state: FillState,
    wakers: Vec<Waker>,
}

impl FillProgress {
    fn new() -> Self {
        let state = FillState::Filling { written_bytes: 0 };
        FillProgress {
            shared: Mutex::new(Shared { state, wakers: Vec::new() }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far it is now.
    pub fn state(&self) -> FillState {
        self.lock().state
    }

    fn set(&self, change: impl FnOnce(FillState) -> FillState) {
        let wakers = {
            let mut shared = self.lock();
            shared.state = change(shared.state);
            std::mem::take(&mut shared.wakers)
        };
        self.changed.notify_all();
        for waker in wakers {
            waker.wake();
        }
    }

    fn advance(&self, to_bytes: u64) {
        self.set(|state| match state {
            FillState::Filling { written_bytes } => {
                FillState::Filling { written_bytes: written_bytes.max(to_bytes) }
            }
            over => over,
        });
    }

    /// Waits until more than `bytes` bytes are readable, or nothing more will come.
    ///
    /// **Cancel safety**: dropping the future forgets the wait and nothing else.
    pub fn beyond(&self, bytes: u64) -> impl Future<Output = FillState> + '_ {
        std::future::poll_fn(move |cx| {
            let mut shared = self.lock();
            if shared.state.is_over() || shared.state.readable_bytes() > bytes {
                return Poll::Ready(shared.state);
            }
            if !shared.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
                shared.wakers.push(cx.waker().clone());
            }
            Poll::Pending
        })
    }

    /// As [`FillProgress::beyond`], blocking the thread.
    pub fn wait_beyond(&self, bytes: u64) -> FillState {
        let mut shared = self.lock();
        while !shared.state.is_over() && shared.state.readable_bytes() <= bytes {
            shared = self.changed.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
        shared.state
    }
}

/// What the store, the writer and the readers of a filling block share.
pub(crate) struct Fill {
    pub(crate) block: BlockId,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) temp_path: std::path::PathBuf,
    pub(crate) space: Arc<SpaceReservation>,
    pub(crate) progress: FillProgress,
    doomed: AtomicBool,
}

impl Fill {
    pub(crate) fn new(
        block: BlockId,
        file: Box<dyn DiskFile>,
        temp_path: std::path::PathBuf,
        space: Arc<SpaceReservation>,
    ) -> Self {
        Fill {
            block,
            file: file.into(),
            temp_path,
            space,
            progress: FillProgress::new(),
            doomed: AtomicBool::new(false),
        }
    }

    /// Says that the block was removed meanwhile: it must not be committed.
    pub(crate) fn doom(&self) {
        self.doomed.store(true, Ordering::Release);
    }

    pub(crate) fn is_doomed(&self) -> bool {
        self.doomed.load(Ordering::Acquire)
    }

    pub(crate) fn advance(&self, to_bytes: u64) {
        self.progress.advance(to_bytes);
    }

    pub(crate) fn end_committed(&self, length: u64) {
        self.progress.set(|_| FillState::Committed { length });
    }

    pub(crate) fn end_abandoned(&self) {
        self.progress.set(|state| FillState::Abandoned { written_bytes: state.readable_bytes() });
    }
}

/// Reads the part of a filling block that is there. It stays valid when the block is committed,
/// removed or given up meanwhile; the room counts as used until it is dropped.
#[derive(Clone)]
pub struct FillReader {
    // Holds the space token with it, which is how the store sees that the bytes are in use.
    fill: Arc<Fill>,
}

impl FillReader {
    pub(crate) fn new(fill: Arc<Fill>) -> Self {
        FillReader { fill }
    }

    /// The block.
    pub fn block(&self) -> BlockId {
        self.fill.block
    }

    /// To see and await how far the writer is.
    pub fn progress(&self) -> &FillProgress {
        &self.fill.progress
    }

    /// Reads `range`, which must be readable by now, into `buffer` of the same length.
    ///
    /// The bytes come from the page cache moments after they were written, before any checksum is
    /// on disk; the writer's own check (UFS length and version) comes at commit.
    ///
    /// **Errors**: `OutOfRange` beyond what is readable; `Io`.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
        let end = offset.saturating_add(buffer.len() as u64);
        let range: Range<u64> = offset..end;
        let limit_bytes = self.fill.progress.state().readable_bytes();
        if end > limit_bytes {
            let Range { start, end } = range;
            return Err(Error::OutOfRange { block: self.fill.block, start, end, limit_bytes });
        }
        self.fill
            .file
            .read_exact_at(buffer, offset)
            .map_err(|source| io_error("cannot read", &self.fill.temp_path, source))
    }
}

pub(crate) fn io_error(doing: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Io { doing, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Wake};

    struct Count(std::sync::atomic::AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_waiting_task_is_woken_when_its_bytes_are_there() {
        let progress = FillProgress::new();
        let count = Arc::new(Count(0.into()));
        let waker = Waker::from(count.clone());
        let mut cx = Context::from_waker(&waker);
        let mut wait = pin!(progress.beyond(10));
        assert!(wait.as_mut().poll(&mut cx).is_pending());
        assert!(wait.as_mut().poll(&mut cx).is_pending());
        progress.advance(10);
        assert_eq!(count.0.load(Ordering::SeqCst), 1, "registered once, woken once");
        assert!(wait.as_mut().poll(&mut cx).is_pending());
        progress.advance(11);
        assert_eq!(
            wait.as_mut().poll(&mut cx),
            Poll::Ready(FillState::Filling { written_bytes: 11 })
        );
    }

    #[test]
    fn progress_never_goes_back_and_ends_once() {
        let progress = FillProgress::new();
        progress.advance(7);
        progress.advance(3);
        assert_eq!(progress.state().readable_bytes(), 7);
        progress.set(|_| FillState::Committed { length: 9 });
        progress.advance(100);
        assert_eq!(progress.wait_beyond(1000), FillState::Committed { length: 9 });
    }
}
