//! Threads that wait for an answer of their own instead of reading on.
//!
//! To hand a request to another thread, and its answer back, takes longer than most answers of a master. So the
//! thread that has read a request may wait for it, as long as another one goes on reading: who is slow holds
//! nobody else up.

use super::life::Life;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long a thread waits for the answers to one request: many times what they usually take.
pub const PATIENCE: Duration = Duration::from_millis(5);
/// After answers have taken longer than that, nobody waits for so long.
const PAUSE: Duration = Duration::from_secs(1);

/// How many threads read, and how many of them wait.
#[derive(Debug)]
pub(crate) struct Readers {
    threads: AtomicUsize,
    waiting: AtomicUsize,
    begun: Instant,
    /// Nobody waits before this many milliseconds after `begun`.
    not_before: AtomicU64,
}

impl Default for Readers {
    fn default() -> Self {
        Readers {
            threads: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            begun: Instant::now(),
            not_before: AtomicU64::new(0),
        }
    }
}

impl Readers {
    /// There are so many threads.
    pub(crate) fn are(&self, threads: usize) {
        self.threads.store(threads, Ordering::Relaxed);
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn enter(&self) -> bool {
        if self.millis() < self.not_before.load(Ordering::Relaxed) {
            return false;
        }
        let most = self.threads.load(Ordering::Relaxed).saturating_sub(1);
        let one_more = |waiting| (waiting < most).then_some(waiting + 1);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    fn leave(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The permission of this thread to wait for [`PATIENCE`] in all. Ends when it is dropped.
#[derive(Debug)]
pub struct Wait {
    life: Arc<Life>,
}

impl Wait {
    pub(crate) fn try_begin(life: &Arc<Life>) -> Option<Wait> {
        life.readers.enter().then(|| Wait { life: life.clone() })
    }

    /// The patience was not enough: answers are slow now.
    pub fn was_in_vain(&self) {
        let pause = u64::try_from(PAUSE.as_millis()).unwrap_or(u64::MAX);
        let until = self.life.readers.millis().saturating_add(pause);
        self.life.readers.not_before.store(until, Ordering::Relaxed);
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.life.readers.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_always_reads_and_nobody_waits_when_answers_are_slow() {
        let life = Arc::new(Life::default());
        assert!(Wait::try_begin(&life).is_none());
        life.readers.are(1);
        assert!(Wait::try_begin(&life).is_none());
        life.readers.are(3);
        let (one, two) = (Wait::try_begin(&life).unwrap(), Wait::try_begin(&life).unwrap());
        assert!(Wait::try_begin(&life).is_none());
        drop(one);
        assert!(Wait::try_begin(&life).is_some());
        two.was_in_vain();
        assert!(Wait::try_begin(&life).is_none());
    }
}
