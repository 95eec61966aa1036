//! How far a session is from its end.

use super::wait::Readers;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Shared by the threads that read and by the replies that are still owed.
#[derive(Debug, Default)]
pub(crate) struct Life {
    stopping: AtomicBool,
    left: AtomicBool,
    owed: AtomicUsize,
    pub(super) readers: Readers,
}

impl Life {
    /// Nothing more is read.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// What is not answered by now is left to who comes after us: the kernel gives it out again.
    pub(crate) fn leave(&self) {
        self.left.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_left(&self) -> bool {
        self.left.load(Ordering::SeqCst)
    }

    pub(crate) fn owe(&self) {
        self.owed.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn paid(&self) {
        self.owed.fetch_sub(1, Ordering::SeqCst);
    }

    /// Requests that are read and not answered.
    pub(crate) fn owed(&self) -> usize {
        self.owed.load(Ordering::SeqCst)
    }
}
