//! Who is the primary master, and until when it may act as one.
//!
//! It must not know: what a master does with its tenure. A [`Tenure`] is checked before every
//! reply; losing it means that another master may serve.
//!
//! Main types: [`Tenure`], [`Elector`], [`FixedElector`] (one master, no election).

use alluxio_host::Clock;
use alluxio_types::Term;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A primary's hold on its term. Clones share the deadline.
#[derive(Clone)]
pub struct Tenure {
    term: Term,
    /// Monotonic nanoseconds after which the hold is over; `u64::MAX` for one that never ends.
    deadline: Arc<AtomicU64>,
    clock: Arc<dyn Clock>,
}

impl Tenure {
    /// A hold on `term` until the clock's monotonic time `deadline`.
    pub fn until(term: Term, deadline: Duration, clock: Arc<dyn Clock>) -> Self {
        let nanos = u64::try_from(deadline.as_nanos()).unwrap_or(u64::MAX);
        Tenure { term, deadline: Arc::new(AtomicU64::new(nanos)), clock }
    }

    /// A hold that ends only with [`Tenure::give_up`].
    pub fn endless(term: Term, clock: Arc<dyn Clock>) -> Self {
        Tenure { term, deadline: Arc::new(AtomicU64::new(u64::MAX)), clock }
    }

    /// The term.
    pub fn term(&self) -> Term {
        self.term
    }

    /// Whether the hold lasts now.
    pub fn is_valid(&self) -> bool {
        let deadline = self.deadline.load(Ordering::Acquire);
        deadline == u64::MAX || self.clock.monotonic().as_nanos() < u128::from(deadline)
    }

    /// Moves the deadline. It never comes back to life: a hold that is over stays over.
    pub fn extend(&self, deadline: Duration) {
        if self.is_valid() {
            let nanos = u64::try_from(deadline.as_nanos()).unwrap_or(u64::MAX - 1);
            self.deadline.fetch_max(nanos, Ordering::AcqRel);
        }
    }

    /// Ends the hold now.
    pub fn give_up(&self) {
        self.deadline.store(0, Ordering::Release);
    }
}

/// Gives tenures. Implementations MUST give a term that is larger than all given before, and MUST
/// NOT give a second tenure while an earlier one can still be valid by its holder's clock.
pub trait Elector: Send + Sync + 'static {
    /// The tenure of a master that has seen `last` in its journal, when it is elected at once;
    /// `None` while another master is the primary.
    fn campaign(&self, last: Term) -> Option<Tenure>;
}

/// The only master there is: always elected, under the term after the last one.
pub struct FixedElector {
    clock: Arc<dyn Clock>,
}

impl FixedElector {
    /// An elector for a cluster with one master.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        FixedElector { clock }
    }
}

impl Elector for FixedElector {
    fn campaign(&self, last: Term) -> Option<Tenure> {
        Some(Tenure::endless(Term(last.0 + 1), self.clock.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alluxio_host::ManualClock;
    use alluxio_types::UnixMillis;

    #[test]
    fn a_tenure_ends_at_its_deadline_and_stays_over() {
        let clock = Arc::new(ManualClock::at(UnixMillis(0)));
        let tenure = Tenure::until(Term(3), Duration::from_secs(2), clock.clone());
        clock.advance(Duration::from_secs(1));
        tenure.extend(Duration::from_secs(3));
        clock.advance(Duration::from_secs(1));
        assert!(tenure.is_valid());
        clock.advance(Duration::from_secs(1));
        assert!(!tenure.is_valid());
        tenure.extend(Duration::from_secs(60));
        assert!(!tenure.is_valid());
    }

    #[test]
    fn the_only_master_reigns_under_a_new_term_until_it_gives_up() {
        let clock = Arc::new(ManualClock::at(UnixMillis(0)));
        let tenure = FixedElector::new(clock).campaign(Term(4)).unwrap();
        assert_eq!(tenure.term(), Term(5));
        assert!(tenure.is_valid());
        let other = tenure.clone();
        other.give_up();
        assert!(!tenure.is_valid());
    }
}
