//! How far the journal is durable, and the news of it.
//!
//! Hundreds of calls wait at a time, each for its own position. A commit wakes those whose position it
//! reaches, and no others: with a channel that wakes all of them, most would only look and wait again.

use crate::JournalError;
use alluxio_types::JournalSeq;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// What somebody who waited is told.
type Verdict = Result<(), Arc<JournalError>>;

struct Shared {
    /// What `State::committed` says, for those who only look.
    committed: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    committed: JournalSeq,
    failure: Option<Arc<JournalError>>,
    /// Nobody will commit or fail any more.
    abandoned: bool,
    /// Those who wait, by position and a number of their own.
    waiting: BTreeMap<(JournalSeq, u64), oneshot::Sender<Verdict>>,
    next_waiter: u64,
}

impl State {
    /// What somebody who waits for `seq` is told; `None` while that is open.
    fn verdict(&self, seq: JournalSeq) -> Option<Verdict> {
        if self.committed >= seq {
            return Some(Ok(()));
        }
        match &self.failure {
            Some(failure) => Some(Err(failure.clone())),
            None => self.abandoned.then(|| Err(Arc::new(JournalError::Closed))),
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, unless it is final, and wakes whom the change concerns.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        if state.failure.is_some() || state.abandoned {
            return;
        }
        change(&mut state);
        self.committed.store(state.committed.0, Ordering::Release);
        let woken = if state.failure.is_some() || state.abandoned {
            std::mem::take(&mut state.waiting)
        } else {
            let first_later = (state.committed.next(), 0);
            let later = state.waiting.split_off(&first_later);
            std::mem::replace(&mut state.waiting, later)
        };
        // A commit wakes those whom it reaches; an end wakes all others, who hear of nothing else.
        let verdict = state.verdict(state.committed.next()).unwrap_or(Ok(()));
        drop(state);
        for waiter in woken.into_values() {
            // Gone meanwhile: nobody misses it.
            let _ = waiter.send(verdict.clone());
        }
    }
}

/// The side that writes: one per journal.
pub struct CommitPublisher {
    shared: Arc<Shared>,
}

/// The side that waits. Cloning is cheap; [`Commits::current`] is one atomic load.
#[derive(Clone)]
pub struct Commits {
    shared: Arc<Shared>,
}

impl CommitPublisher {
    /// A pair that starts at `committed`.
    pub fn new(committed: JournalSeq) -> (CommitPublisher, Commits) {
        let state = Mutex::new(State { committed, ..State::default() });
        let shared = Arc::new(Shared { committed: AtomicU64::new(committed.0), state });
        (CommitPublisher { shared: shared.clone() }, Commits { shared })
    }

    /// Everything up to and including `seq` is durable. Never moves back, and never moves again
    /// after [`CommitPublisher::fail`].
    pub fn commit(&self, seq: JournalSeq) {
        self.shared.change(|state| state.committed = state.committed.max(seq));
    }

    /// Nothing will be committed any more. The first failure is the one that is kept.
    pub fn fail(&self, error: Arc<JournalError>) {
        self.shared.change(|state| state.failure = Some(error));
    }
}

impl Drop for CommitPublisher {
    fn drop(&mut self) {
        self.shared.change(|state| state.abandoned = true);
    }
}

impl Commits {
    /// The last durable position.
    pub fn current(&self) -> JournalSeq {
        JournalSeq(self.shared.committed.load(Ordering::Acquire))
    }

    /// Why nothing is committed any more, if so.
    pub fn failure(&self) -> Option<Arc<JournalError>> {
        self.shared.state().failure.clone()
    }

    /// Waits until `seq` is durable.
    ///
    /// **Errors**: the journal's failure, or `Closed`, when `seq` can never become durable.
    /// **Cancel safety**: may be dropped at any time.
    pub async fn wait_for(&self, seq: JournalSeq) -> Result<(), Arc<JournalError>> {
        if self.current() >= seq {
            return Ok(());
        }
        let (place, woken) = {
            let mut state = self.shared.state();
            if let Some(verdict) = state.verdict(seq) {
                return verdict;
            }
            let (waker, woken) = oneshot::channel();
            let key = (seq, state.next_waiter);
            state.next_waiter += 1;
            state.waiting.insert(key, waker);
            (Place { shared: &self.shared, key }, woken)
        };
        let told = woken.await;
        // Who is told has no place any more.
        std::mem::forget(place);
        told.unwrap_or_else(|_| Err(Arc::new(JournalError::Closed)))
    }

    /// Waits for the next change after `seen`: a later position, or a failure.
    ///
    /// **Errors**: the journal's failure, once nothing later than `seen` was committed before it;
    /// `Closed` when the journal is gone.
    /// **Cancel safety**: may be dropped at any time.
    pub async fn next_after(&self, seen: JournalSeq) -> Result<JournalSeq, Arc<JournalError>> {
        self.wait_for(seen.next()).await?;
        Ok(self.current())
    }
}

/// A place among those who wait, given up by whoever leaves.
struct Place<'a> {
    shared: &'a Shared,
    key: (JournalSeq, u64),
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shared.state().waiting.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    /// What a future says that is looked at once.
    fn look<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn waiting(commits: &Commits) -> usize {
        commits.shared.state().waiting.len()
    }

    #[test]
    fn a_commit_wakes_those_whom_it_reaches_and_keeps_the_others() {
        let (publisher, commits) = CommitPublisher::new(JournalSeq(3));
        assert!(look(pin!(commits.wait_for(JournalSeq(3)))).is_ready());
        let mut five = pin!(commits.wait_for(JournalSeq(5)));
        let mut also_five = pin!(commits.wait_for(JournalSeq(5)));
        let mut six = pin!(commits.wait_for(JournalSeq(6)));
        assert!(look(five.as_mut()).is_pending() && look(also_five.as_mut()).is_pending());
        assert!(look(six.as_mut()).is_pending());
        publisher.commit(JournalSeq(4));
        assert_eq!(waiting(&commits), 3);
        publisher.commit(JournalSeq(5));
        assert!(matches!(look(five), Poll::Ready(Ok(()))));
        assert!(matches!(look(also_five), Poll::Ready(Ok(()))));
        assert_eq!((waiting(&commits), look(six.as_mut()).is_pending()), (1, true));
        // What was durable before a failure stays so; nothing moves any more.
        publisher.fail(Arc::new(JournalError::Closed));
        publisher.commit(JournalSeq(9));
        assert!(matches!(look(six), Poll::Ready(Err(_))));
        assert!(matches!(look(pin!(commits.wait_for(JournalSeq(5)))), Poll::Ready(Ok(()))));
        assert!(matches!(look(pin!(commits.wait_for(JournalSeq(6)))), Poll::Ready(Err(_))));
        assert_eq!((commits.current(), commits.failure().is_some()), (JournalSeq(5), true));
    }

    #[test]
    fn who_leaves_gives_the_place_up_and_a_journal_that_goes_tells_all() {
        let (publisher, commits) = CommitPublisher::new(JournalSeq(0));
        {
            let mut leaves = pin!(commits.wait_for(JournalSeq(1)));
            assert!(look(leaves.as_mut()).is_pending());
        }
        assert_eq!(waiting(&commits), 0);
        let mut stays = pin!(commits.next_after(JournalSeq(0)));
        assert!(look(stays.as_mut()).is_pending());
        drop(publisher);
        assert!(matches!(look(stays), Poll::Ready(Err(_))));
        assert!(matches!(look(pin!(commits.wait_for(JournalSeq(1)))), Poll::Ready(Err(_))));
        assert!(commits.failure().is_none());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn nobody_misses_a_commit_that_comes_at_the_same_moment() {
        let (publisher, commits) = CommitPublisher::new(JournalSeq(0));
        let waits = (0..200u64).map(|number| {
            let commits = commits.clone();
            tokio::spawn(async move {
                for round in 0..50 {
                    commits.wait_for(JournalSeq(number + round * 40)).await?;
                }
                Ok::<_, Arc<JournalError>>(())
            })
        });
        let waits: Vec<_> = waits.collect();
        for seq in 1..2500 {
            publisher.commit(JournalSeq(seq));
            if seq % 7 == 0 {
                tokio::task::yield_now().await;
            }
        }
        for wait in waits {
            assert!(wait.await.expect("no panic").is_ok());
        }
        assert_eq!(waiting(&commits), 0);
    }
}
