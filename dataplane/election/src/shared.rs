//! Several masters in one process, for tests and simulations: one election, whose accidents are
//! scripted.

use crate::{Candidate, ElectionError, Elector, Leader, READ_TENURE, Tenure, TenureKeeper};
use alluxio_host::Clock;
use alluxio_types::Term;
use async_trait::async_trait;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Time between two confirmations of a tenure, and between two looks of a candidate at the lease.
const BEAT: Duration = Duration::from_millis(20);

/// What an etcd would hold. Clones share it.
#[derive(Clone)]
pub struct SharedElection {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    lease: Duration,
    state: Mutex<State>,
    leader: watch::Sender<Option<Leader>>,
}

#[derive(Default)]
struct State {
    last_term: Term,
    /// By the clock's monotonic time; after it the hold of the current leader may be taken.
    lease_until: Duration,
    /// When the tenure of everybody elected so far is surely over.
    quiet_until: Duration,
    /// Candidates that cannot reach us.
    cut_off: BTreeSet<String>,
}

impl SharedElection {
    /// An election whose leader is forgotten when it was not heard of for `lease` by `clock`.
    pub fn new(clock: Arc<dyn Clock>, lease: Duration) -> Self {
        let (leader, _) = watch::channel(None);
        let state = Mutex::new(State::default());
        SharedElection { shared: Arc::new(Shared { clock, lease, state, leader }) }
    }

    /// The elector of one master. Dropping it is the crash of that master: its tenure is lost at
    /// once, and the others learn of it by [`Elector::challenge`] or when the lease is over.
    pub fn elector(&self, candidate: Candidate) -> SharedElector {
        SharedElector { election: self.clone(), candidate, held: Mutex::new(None) }
    }

    /// Loses the lease of whoever is the primary. It learns of it at its next confirmation.
    pub fn expire_lease(&self) {
        // With the lock, so that no confirmation is half way through.
        let _state = self.state();
        self.remove(None);
    }

    /// `id` cannot reach the election any more, nor hear of it. Its tenure becomes suspended.
    pub fn cut_off(&self, id: &str) {
        self.state().cut_off.insert(id.to_owned());
    }

    /// Ends [`SharedElection::cut_off`].
    pub fn reconnect(&self, id: &str) {
        self.state().cut_off.remove(id);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_cut_off(&self, id: &str) -> bool {
        self.state().cut_off.contains(id)
    }

    /// Removes the leader, if it still holds `term`, or whichever it is.
    fn remove(&self, term: Option<Term>) {
        self.shared.leader.send_if_modified(|leader| {
            let it = leader.as_ref().is_some_and(|l| term.is_none_or(|term| l.term == term));
            if it {
                *leader = None;
            }
            it
        });
    }

    /// Makes `candidate` the leader if there is none, or its lease is over.
    fn take(&self, candidate: &Candidate, last: Term) -> Option<(TenureKeeper, Tenure)> {
        let mut state = self.state();
        let now = self.shared.clock.monotonic();
        let taken = self.shared.leader.borrow().is_some() && now < state.lease_until;
        if taken || state.cut_off.contains(&candidate.id) {
            return None;
        }
        let term = Term(state.last_term.max(last).0 + 1);
        let serve_from = state.quiet_until;
        let deadline = now + READ_TENURE;
        state.last_term = term;
        state.lease_until = now + self.shared.lease;
        state.quiet_until = deadline;
        let Candidate { id, rpc_address } = candidate.clone();
        self.shared.leader.send_replace(Some(Leader { id, rpc_address, term }));
        Some(Tenure::new(term, deadline, serve_from, self.shared.clock.clone()))
    }

    /// Confirms a hold; `false` when it is over.
    fn confirm(&self, id: &str, keeper: &TenureKeeper) -> bool {
        let mut state = self.state();
        if state.cut_off.contains(id) {
            return true;
        }
        let term = keeper.tenure().term();
        let ours = self.shared.leader.borrow().as_ref().is_some_and(|leader| leader.term == term);
        let now = self.shared.clock.monotonic();
        if !ours || !keeper.confirm(now + READ_TENURE) {
            return false;
        }
        state.lease_until = now + self.shared.lease;
        state.quiet_until = now + READ_TENURE;
        true
    }

    async fn keep(self, id: String, keeper: TenureKeeper) {
        let tenure = keeper.tenure();
        let mut news = self.shared.leader.subscribe();
        while self.confirm(&id, &keeper) {
            tokio::select! {
                biased;
                () = tenure.lost() => break,
                // An error means that the election is gone, which `self` prevents.
                _ = news.changed() => {}
                () = tokio::time::sleep(BEAT) => {}
            }
        }
        keeper.lose();
        if !self.is_cut_off(&id) {
            let _state = self.state();
            self.remove(Some(tenure.term()));
        }
    }
}

/// One master's side of a [`SharedElection`].
pub struct SharedElector {
    election: SharedElection,
    candidate: Candidate,
    held: Mutex<Option<(Tenure, JoinHandle<()>)>>,
}

impl SharedElector {
    fn held(&self) -> MutexGuard<'_, Option<(Tenure, JoinHandle<()>)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_take(&self, last: Term) -> Result<Option<Tenure>, ElectionError> {
        let mut held = self.held();
        if let Some((tenure, _)) = &*held
            && tenure.hold() != crate::Hold::Lost
        {
            return Err(ElectionError::AlreadyElected { term: tenure.term() });
        }
        let Some((keeper, tenure)) = self.election.take(&self.candidate, last) else {
            return Ok(None);
        };
        let keep = self.election.clone().keep(self.candidate.id.clone(), keeper);
        *held = Some((tenure.clone(), tokio::spawn(keep)));
        Ok(Some(tenure))
    }
}

impl Drop for SharedElector {
    fn drop(&mut self) {
        if let Some((_, task)) = self.held().take() {
            task.abort();
        }
    }
}

#[async_trait]
impl Elector for SharedElector {
    async fn campaign(&self, last: Term) -> Result<Tenure, ElectionError> {
        let mut news = self.election.shared.leader.subscribe();
        loop {
            news.mark_unchanged();
            if let Some(tenure) = self.try_take(last)? {
                return Ok(tenure);
            }
            tokio::select! {
                // An error means that the election is gone, which `self` prevents.
                _ = news.changed() => {}
                () = tokio::time::sleep(BEAT) => {}
            }
        }
    }

    fn leader(&self) -> watch::Receiver<Option<Leader>> {
        self.election.shared.leader.subscribe()
    }

    async fn challenge(&self, leader: &Leader) -> Result<(), ElectionError> {
        let state = self.election.state();
        if state.cut_off.contains(&self.candidate.id) {
            let reason = "cut off".to_owned();
            return Err(ElectionError::Unreachable { reason });
        }
        self.election.remove(Some(leader.term));
        Ok(())
    }

    async fn resign(&self, tenure: &Tenure) -> Result<(), ElectionError> {
        tenure.give_up();
        let mut state = self.election.state();
        if state.cut_off.contains(&self.candidate.id) {
            let reason = "cut off".to_owned();
            return Err(ElectionError::Unreachable { reason });
        }
        if state.last_term == tenure.term() {
            state.quiet_until = Duration::ZERO;
        }
        self.election.remove(Some(tenure.term()));
        Ok(())
    }
}
