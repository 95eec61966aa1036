//! Where a simulation of a cluster is, for its log.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

static NOW_MS: AtomicU64 = AtomicU64::new(0);
static MACHINE: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Notes the time of the world and the machine that is moved, if there is one.
pub(crate) fn set(now_ms: u64, machine: Option<usize>) {
    NOW_MS.store(now_ms, Ordering::Relaxed);
    MACHINE.store(machine.unwrap_or(usize::MAX), Ordering::Relaxed);
}

/// Time of the world in milliseconds, and the machine that is moved.
pub fn now() -> (u64, Option<usize>) {
    let machine = MACHINE.load(Ordering::Relaxed);
    (NOW_MS.load(Ordering::Relaxed), (machine != usize::MAX).then_some(machine))
}
