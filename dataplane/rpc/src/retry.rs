//! When to try again, and after how long.

use std::time::Duration;

/// Whether a request may be made twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Made twice it has the same effect: any broken connection is tried again.
    Harmless,
    /// Made twice it could fail or do harm: all tries carry one operation id, by which the master
    /// knows a repetition.
    Harmful,
}

/// How long and how often to try (`alluxio.user.rpc.retry.*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// First pause.
    pub base: Duration,
    /// Longest pause.
    pub max: Duration,
    /// Time after which no new try is made.
    pub total: Duration,
}

impl Default for RetryPolicy {
    /// Alluxio's: 50 ms doubling to 3 s, for 2 minutes.
    fn default() -> Self {
        RetryPolicy {
            base: Duration::from_millis(50),
            max: Duration::from_secs(3),
            total: Duration::from_secs(120),
        }
    }
}

impl RetryPolicy {
    /// No second try.
    pub const fn once() -> Self {
        RetryPolicy { base: Duration::ZERO, max: Duration::ZERO, total: Duration::ZERO }
    }

    /// The pause before try number `attempt` (the first retry is 1); `jitter` in `0.0..1.0` takes
    /// away up to half of it, so that many clients do not come back at once.
    pub fn pause(&self, attempt: u32, jitter: f64) -> Duration {
        let doubled = self.base.saturating_mul(1u32 << attempt.saturating_sub(1).min(16));
        doubled.min(self.max).mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit_and_never_vanish() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.pause(1, 0.0), Duration::from_millis(50));
        assert_eq!(policy.pause(3, 0.0), Duration::from_millis(200));
        assert_eq!(policy.pause(99, 0.0), Duration::from_secs(3));
        assert!(policy.pause(1, 1.0) >= Duration::from_millis(25));
    }
}
