//! Time as a port.

use alluxio_types::UnixMillis;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Reads the time. Implementations MUST never let [`Clock::monotonic`] go back.
pub trait Clock: Send + Sync + 'static {
    /// Time since some fixed point of this process; measures durations and deadlines.
    fn monotonic(&self) -> Duration;

    /// Wall time, for what people read. May jump.
    fn now(&self) -> UnixMillis;
}

/// The machine's clocks.
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    pub fn new() -> Self {
        SystemClock { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn now(&self) -> UnixMillis {
        // A clock before 1970 reads as 1970: wall time is never used for correctness.
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        UnixMillis(since.as_millis() as u64)
    }
}

/// A clock that moves only when told to.
#[derive(Default)]
pub struct ManualClock {
    millis: AtomicU64,
}

impl ManualClock {
    /// A clock that shows `start` as wall time, and as monotonic time.
    pub fn at(start: UnixMillis) -> Self {
        ManualClock { millis: AtomicU64::new(start.0) }
    }

    /// Moves both times forward.
    pub fn advance(&self, by: Duration) {
        self.millis.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.millis.load(Ordering::SeqCst))
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(self.millis.load(Ordering::SeqCst))
    }
}
