//! A primary's hold on its term.
//!
//! ```text
//!            deadline passes
//!   Valid ──────────────────► Suspended
//!     ▲                          │
//!     └────── confirmation ──────┘      either ──► Lost (final)
//! ```
//!
//! A suspended hold may come back: the store still names this master under the same term, which
//! proves that nobody else was elected in between. A lost one never does.

use alluxio_host::Clock;
use alluxio_types::Term;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// Deadline of a hold that never passes.
const ENDLESS: u64 = u64::MAX;
/// Deadline of a hold that is lost; no confirmation moves it.
const LOST: u64 = 0;

/// What a holder may do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Answer.
    Valid,
    /// Keep all, answer nothing, wait: it may become valid again.
    Suspended,
    /// Drop all: another master may be the primary.
    Lost,
}

/// A primary's hold on its term, as those see it who act under it. Clones share the hold.
#[derive(Clone)]
pub struct Tenure {
    hold: Arc<Shared>,
}

/// The side that confirms a hold: one per tenure, kept by the elector. Dropping it loses the hold.
pub struct TenureKeeper {
    hold: Arc<Shared>,
}

struct Shared {
    term: Term,
    serve_from: Duration,
    clock: Arc<dyn Clock>,
    /// Monotonic nanoseconds after which the hold is suspended, or [`ENDLESS`], or [`LOST`].
    deadline: AtomicU64,
    /// The same, for those who wait.
    news: watch::Sender<u64>,
}

impl Shared {
    fn hold(&self) -> Hold {
        match self.deadline.load(Ordering::Acquire) {
            LOST => Hold::Lost,
            ENDLESS => Hold::Valid,
            deadline if self.clock.monotonic().as_nanos() < u128::from(deadline) => Hold::Valid,
            _ => Hold::Suspended,
        }
    }

    fn lose(&self) {
        self.deadline.store(LOST, Ordering::Release);
        self.news.send_replace(LOST);
    }
}

impl Tenure {
    /// A hold on `term` until the clock's monotonic time `deadline`, and the side that moves the
    /// deadline. The holder should not answer before `serve_from`, when the tenure of an earlier
    /// primary is surely over; see [`Tenure::serve_from`].
    pub fn new(
        term: Term,
        deadline: Duration,
        serve_from: Duration,
        clock: Arc<dyn Clock>,
    ) -> (TenureKeeper, Tenure) {
        let hold = Self::shared(term, nanos(deadline), serve_from, clock);
        (TenureKeeper { hold: hold.clone() }, Tenure { hold })
    }

    /// A hold that ends only with [`Tenure::give_up`].
    pub fn endless(term: Term, clock: Arc<dyn Clock>) -> Self {
        Tenure { hold: Self::shared(term, ENDLESS, Duration::ZERO, clock) }
    }

    fn shared(
        term: Term,
        deadline: u64,
        serve_from: Duration,
        clock: Arc<dyn Clock>,
    ) -> Arc<Shared> {
        let (news, _) = watch::channel(deadline);
        Arc::new(Shared { term, serve_from, clock, deadline: AtomicU64::new(deadline), news })
    }

    /// The term.
    pub fn term(&self) -> Term {
        self.hold.term
    }

    /// Monotonic time of the clock before which the holder MUST NOT answer: an earlier primary may
    /// still answer from what it has until then. Zero when there was none, or it resigned.
    pub fn serve_from(&self) -> Duration {
        self.hold.serve_from
    }

    /// What the holder may do now: one atomic load and one look at the clock.
    pub fn hold(&self) -> Hold {
        self.hold.hold()
    }

    /// For how long the hold has been suspended; zero when it is valid or lost.
    pub fn suspended_for(&self) -> Duration {
        match self.hold.deadline.load(Ordering::Acquire) {
            LOST | ENDLESS => Duration::ZERO,
            deadline => {
                let now = self.hold.clock.monotonic();
                now.saturating_sub(Duration::from_nanos(deadline))
            }
        }
    }

    /// Whether the holder may answer now.
    pub fn is_valid(&self) -> bool {
        self.hold() == Hold::Valid
    }

    /// Waits until the hold is valid; `false` when it is lost.
    ///
    /// **Cancel safety**: may be dropped at any time.
    pub async fn valid(&self) -> bool {
        let mut news = self.hold.news.subscribe();
        loop {
            // Marked before the look: a confirmation after it wakes us.
            news.mark_unchanged();
            match self.hold() {
                Hold::Valid => return true,
                Hold::Lost => return false,
                // The sender lives in what `self` holds.
                Hold::Suspended => news.changed().await.expect("we hold the sender"),
            }
        }
    }

    /// Ends when the hold is lost.
    ///
    /// **Cancel safety**: may be dropped at any time.
    pub async fn lost(&self) {
        let mut news = self.hold.news.subscribe();
        news.wait_for(|deadline| *deadline == LOST).await.expect("we hold the sender");
    }

    /// Loses the hold now. The elector hears of it and lets others be elected.
    pub fn give_up(&self) {
        self.hold.lose();
    }
}

impl TenureKeeper {
    /// The holder was found to be the primary still: the hold is valid until `deadline`, unless it is
    /// valid longer already, or lost. Returns whether it is not lost.
    pub fn confirm(&self, deadline: Duration) -> bool {
        let new = nanos(deadline);
        let moved = self.hold.deadline.fetch_update(Ordering::AcqRel, Ordering::Acquire, |old| {
            (old != LOST).then_some(old.max(new))
        });
        // Always told, for a waiter may just have found the old deadline passed.
        let kept = moved.is_ok();
        if kept {
            self.hold.news.send_if_modified(|news| {
                let lost = *news == LOST;
                if !lost {
                    *news = new;
                }
                !lost
            });
        }
        kept
    }

    /// Another master may be elected: the hold is lost.
    pub fn lose(&self) {
        self.hold.lose();
    }

    /// A view of the hold that is kept.
    pub fn tenure(&self) -> Tenure {
        Tenure { hold: self.hold.clone() }
    }
}

impl Drop for TenureKeeper {
    fn drop(&mut self) {
        self.hold.lose();
    }
}

fn nanos(deadline: Duration) -> u64 {
    // Neither of the two numbers with a meaning of their own.
    u64::try_from(deadline.as_nanos()).unwrap_or(ENDLESS - 1).clamp(LOST + 1, ENDLESS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alluxio_host::ManualClock;
    use alluxio_types::UnixMillis;
    use std::task::{Context, Poll, Waker};

    const SECOND: Duration = Duration::from_secs(1);

    fn held(until: Duration) -> (Arc<ManualClock>, TenureKeeper, Tenure) {
        let clock = Arc::new(ManualClock::at(UnixMillis(0)));
        let (keeper, tenure) = Tenure::new(Term(3), until, Duration::ZERO, clock.clone());
        (clock, keeper, tenure)
    }

    #[test]
    fn a_hold_is_suspended_at_its_deadline_and_revived_by_a_confirmation() {
        let (clock, keeper, tenure) = held(2 * SECOND);
        clock.advance(SECOND);
        assert_eq!(tenure.hold(), Hold::Valid);
        assert_eq!(tenure.suspended_for(), Duration::ZERO);
        clock.advance(2 * SECOND);
        assert_eq!((tenure.hold(), tenure.suspended_for()), (Hold::Suspended, SECOND));
        assert!(keeper.confirm(4 * SECOND));
        assert_eq!((tenure.hold(), tenure.suspended_for()), (Hold::Valid, Duration::ZERO));
        assert!(keeper.confirm(SECOND));
        assert_eq!(tenure.hold(), Hold::Valid, "a late confirmation takes nothing away");
        clock.advance(SECOND);
        assert_eq!(tenure.hold(), Hold::Suspended);
    }

    #[test]
    fn a_lost_hold_stays_lost() {
        let (_clock, keeper, tenure) = held(2 * SECOND);
        tenure.give_up();
        assert_eq!(tenure.hold(), Hold::Lost);
        assert!(!keeper.confirm(9 * SECOND));
        assert_eq!(tenure.hold(), Hold::Lost);
    }

    #[test]
    fn a_hold_that_nobody_keeps_is_lost() {
        let (_clock, keeper, tenure) = held(2 * SECOND);
        drop(keeper);
        assert_eq!(tenure.hold(), Hold::Lost);
    }

    #[test]
    fn those_who_wait_hear_of_confirmation_and_loss() {
        let (clock, keeper, tenure) = held(SECOND);
        let mut context = Context::from_waker(Waker::noop());
        let mut lost = Box::pin(tenure.lost());
        assert!(lost.as_mut().poll(&mut context).is_pending());
        assert_eq!(Box::pin(tenure.valid()).as_mut().poll(&mut context), Poll::Ready(true));
        clock.advance(SECOND);
        let mut valid = Box::pin(tenure.valid());
        assert!(valid.as_mut().poll(&mut context).is_pending());
        keeper.confirm(2 * SECOND);
        assert_eq!(valid.as_mut().poll(&mut context), Poll::Ready(true));
        clock.advance(SECOND);
        let mut valid = Box::pin(tenure.valid());
        assert!(valid.as_mut().poll(&mut context).is_pending());
        keeper.lose();
        assert_eq!(valid.as_mut().poll(&mut context), Poll::Ready(false));
        assert!(lost.as_mut().poll(&mut context).is_ready());
    }
}
