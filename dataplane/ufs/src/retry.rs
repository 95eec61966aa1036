//! Trying again, for stores that OpenDAL does not serve. Only what is safe to repeat goes through
//! here.

use crate::error::{Error, Result};
use alluxio_host::{Entropy, OsEntropy};
use std::future::Future;
use std::time::Duration;

/// When to try again, and when to give up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retries {
    /// Tries after the first one.
    pub(crate) times_max: usize,
    /// First wait; it doubles each time.
    pub(crate) wait_min: Duration,
    /// Longest wait.
    pub(crate) wait_max: Duration,
    /// All tries and waits together.
    pub(crate) deadline: Duration,
}

impl Retries {
    /// Runs `attempt` until it succeeds, fails for good, or time is up.
    ///
    /// **Cancel safety**: that of `attempt`.
    pub(crate) async fn run<T, F, A>(
        &self,
        uri: &str,
        operation: &'static str,
        mut attempt: A,
    ) -> Result<T>
    where
        A: FnMut() -> F,
        F: Future<Output = Result<T>>,
    {
        let mut waits = self.waits();
        let work = async {
            loop {
                let error = match Box::pin(attempt()).await {
                    Err(error) if error.is_temporary() => error,
                    other => return other,
                };
                let Some(wait) = waits.next() else { return Err(error) };
                tracing::debug!(operation, "the under store failed for the moment");
                tokio::time::sleep(wait).await;
            }
        };
        self.within(uri, operation, work).await
    }

    /// The waits between tries.
    pub(crate) fn waits(&self) -> Waits {
        Waits { left: self.times_max, wait: self.wait_min, wait_max: self.wait_max }
    }

    /// Runs `work` once, within the deadline.
    pub(crate) async fn within<T>(
        &self,
        uri: &str,
        operation: &'static str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let limit = self.deadline;
        match tokio::time::timeout(limit, work).await {
            Ok(result) => result,
            Err(_) => Err(Error::DeadlineExceeded { uri: uri.to_owned(), operation, limit }),
        }
    }
}

/// How long to wait before each further try; ends when there is to be none.
pub(crate) struct Waits {
    left: usize,
    wait: Duration,
    wait_max: Duration,
}

impl Iterator for Waits {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        let wait = self.wait;
        self.wait = (wait * 2).min(self.wait_max);
        Some(jittered(wait))
    }
}

/// Between half of `wait` and all of it, so that many clients do not come back at once.
fn jittered(wait: Duration) -> Duration {
    let half = wait / 2;
    half + Duration::from_micros(OsEntropy.below(half.as_micros() as u64 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn retries() -> Retries {
        Retries {
            times_max: 3,
            wait_min: Duration::from_millis(1),
            wait_max: Duration::from_millis(2),
            deadline: Duration::from_secs(5),
        }
    }

    fn busy() -> Error {
        Error::Busy { uri: "x".into(), detail: String::new() }
    }

    #[tokio::test]
    async fn only_what_may_mend_is_tried_again_and_not_for_ever() {
        for (error, want) in [(busy(), 4), (Error::NotFound { uri: "x".into() }, 1)] {
            let tries = Cell::new(0);
            let result: Result<()> = retries()
                .run("x", "status", || {
                    tries.set(tries.get() + 1);
                    let error = error.clone();
                    async { Err(error) }
                })
                .await;
            assert_eq!((result, tries.get()), (Err(error), want));
        }
    }

    #[tokio::test]
    async fn the_deadline_ends_it_even_within_a_try() {
        let retries = Retries { deadline: Duration::from_millis(1), ..retries() };
        let result: Result<()> = retries.run("x", "status", std::future::pending).await;
        assert!(matches!(result, Err(Error::DeadlineExceeded { .. })), "{result:?}");
    }
}
