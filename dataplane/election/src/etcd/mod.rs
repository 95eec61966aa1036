//! An election in etcd.
//!
//! The leader key exists for as long as the lease of the primary. Its create revision is the term:
//! it grows with every election, and etcd itself can compare it in the transactions of a journal.
//!
//! A tenure is confirmed by reading the key: a linearizable read that finds it under the same create
//! revision proves that nobody else was elected before the read was *sent*. From then on the tenure
//! lasts [`READ_TENURE`](crate::READ_TENURE), minus what clocks may drift in that time. etcd that does
//! not answer lets the tenure run out, and revives it when it answers again with the same key.
//!
//! Reading order: [`store`] (each question and its answer), [`observer`], this file.

mod observer;
mod raise;
mod store;

pub use raise::RaisingElector;

use crate::{Candidate, ElectionError, Elector, Hold, Leader, READ_TENURE, Tenure, TenureKeeper};
use alluxio_etcd::{Etcd, MemberFacts};
use alluxio_host::Clock;
use alluxio_host::planted::{self, Bug};
use alluxio_types::Term;
use async_trait::async_trait;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{Ballot, Owner, Store};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// Time between two confirmations. Five of them fit into a tenure, so one lost answer is harmless.
const CONFIRM_INTERVAL: Duration = Duration::from_millis(60);
/// How far two clocks may drift apart within one tenure: 1 in 30, a hundred times what quartz does.
const DRIFT_MARGIN: Duration = Duration::from_millis(10);
/// How long one confirmation is waited for. Longer than a tenure: a late answer still revives.
const CONFIRM_LIMIT: Duration = Duration::from_millis(400);
/// Pause before etcd is asked again after it did not answer.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How often a candidate looks for itself, should the watch have missed the end of a primary.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// How an [`EtcdElector`] behaves.
#[derive(Debug, Clone, Copy)]
pub struct EtcdElectorOptions {
    /// How long the primary's key outlives its last sign of life. Whole seconds; etcd raises what is
    /// below one and a half of its own election timeouts. Standbys normally end it much earlier.
    pub lease: Duration,
}

impl Default for EtcdElectorOptions {
    fn default() -> Self {
        EtcdElectorOptions { lease: Duration::from_secs(5) }
    }
}

/// Who is the primary, for those who take no part in the election; observed until nobody listens any
/// more. Needs a tokio runtime.
pub fn watch_leader(etcd: Arc<Etcd>) -> watch::Receiver<Option<Leader>> {
    let (sender, leader) = watch::channel(None);
    tokio::spawn(observer::observe(Store::new(etcd), sender));
    leader
}

/// One master's side of the election in etcd. Needs a tokio runtime. Dropping it is as good as a crash:
/// the tenure is lost here at once, and in etcd when it is challenged or its lease ends.
pub struct EtcdElector {
    core: Arc<Core>,
    leader: watch::Receiver<Option<Leader>>,
    observer: JoinHandle<()>,
    membership: JoinHandle<()>,
    reign: Mutex<Option<Reign>>,
}

/// The tenure given last, and the task that keeps it; the task ends when etcd is told of its end.
struct Reign {
    tenure: Tenure,
    task: JoinHandle<Result<(), ElectionError>>,
}

struct Core {
    store: Store,
    candidate: Candidate,
    clock: Arc<dyn Clock>,
    options: EtcdElectorOptions,
}

impl EtcdElector {
    /// An elector for `candidate`. Begins to observe who is the primary, and shows `candidate` among
    /// the masters that are up.
    pub fn start(
        etcd: Arc<Etcd>,
        candidate: Candidate,
        clock: Arc<dyn Clock>,
        options: EtcdElectorOptions,
    ) -> Self {
        let store = Store::new(etcd);
        let (sender, leader) = watch::channel(None);
        let observer = tokio::spawn(observer::observe(store.clone(), sender));
        let core = Arc::new(Core { store, candidate, clock, options });
        let membership = tokio::spawn(core.clone().show_up());
        EtcdElector { core, leader, observer, membership, reign: Mutex::new(None) }
    }

    /// All masters that are up, the primary among them.
    ///
    /// **Errors**: `Unreachable`, `Refused`.
    pub async fn masters(&self) -> Result<Vec<Candidate>, ElectionError> {
        Ok(self.core.store.masters().await?)
    }

    fn reign(&self) -> MutexGuard<'_, Option<Reign>> {
        self.reign.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for EtcdElector {
    fn drop(&mut self) {
        self.observer.abort();
        self.membership.abort();
        if let Some(reign) = self.reign().take() {
            // With the task goes the keeper, and with it the tenure.
            reign.task.abort();
        }
    }
}

#[async_trait]
impl Elector for EtcdElector {
    async fn campaign(&self, last: Term) -> Result<Tenure, ElectionError> {
        if let Some(reign) = &*self.reign()
            && reign.tenure.hold() != Hold::Lost
        {
            return Err(ElectionError::AlreadyElected { term: reign.tenure.term() });
        }
        let (elected, won) = oneshot::channel();
        let (core, leader) = (self.core.clone(), self.leader.clone());
        let task = tokio::spawn(core.run(last, leader, elected));
        // The task sees that we are gone, should this future be dropped, and gives up what it won.
        let tenure = won.await.map_err(|_| ElectionError::Closed)??;
        *self.reign() = Some(Reign { tenure: tenure.clone(), task });
        Ok(tenure)
    }

    fn leader(&self) -> watch::Receiver<Option<Leader>> {
        self.leader.clone()
    }

    async fn challenge(&self, leader: &Leader) -> Result<(), ElectionError> {
        let owner = self.core.store.owner().await?;
        match owner {
            Some(owner) if owner.leader.term == leader.term => {
                tracing::info!(primary = leader.id, term = leader.term.0, "its lease is revoked");
                Ok(self.core.store.revoke(owner.lease).await?)
            }
            _ => Ok(()),
        }
    }

    async fn resign(&self, tenure: &Tenure) -> Result<(), ElectionError> {
        tenure.give_up();
        let task = {
            let mut reign = self.reign();
            match reign.take() {
                Some(found) if found.tenure.term() == tenure.term() => found.task,
                other => {
                    *reign = other;
                    return Ok(());
                }
            }
        };
        task.await.unwrap_or(Err(ElectionError::Closed))
    }

    async fn keepers(&self) -> Vec<MemberFacts> {
        Box::pin(self.core.store.etcd.members()).await
    }
}

type Elected = oneshot::Sender<Result<Tenure, ElectionError>>;

impl Core {
    /// Campaigns, reigns, and tells etcd of the end.
    async fn run(
        self: Arc<Self>,
        last: Term,
        leader: watch::Receiver<Option<Leader>>,
        mut elected: Elected,
    ) -> Result<(), ElectionError> {
        let won = tokio::select! {
            biased;
            () = elected.closed() => return Ok(()),
            won = self.win(last, leader) => won,
        };
        let (keeper, lease) = match won {
            Ok(won) => won,
            Err(error) => {
                let _ = elected.send(Err(error));
                return Ok(());
            }
        };
        let tenure = keeper.tenure();
        if elected.send(Ok(tenure.clone())).is_err() {
            // Nobody waits for it any more.
            tenure.give_up();
        }
        tokio::select! {
            biased;
            () = tenure.lost() => {}
            () = self.confirm(&keeper) => {}
            () = self.keep_alive(lease) => {}
        }
        keeper.lose();
        if planted::is(Bug::LostRelease) {
            return Ok(());
        }
        self.release(tenure.term(), lease).await
    }

    /// Waits until there is no primary, and becomes it.
    async fn win(
        &self,
        last: Term,
        mut leader: watch::Receiver<Option<Leader>>,
    ) -> Result<(TenureKeeper, i64), ElectionError> {
        let mut vacant = false;
        loop {
            if leader.borrow_and_update().is_none() || vacant {
                vacant = false;
                match self.try_win(last).await {
                    Ok(Some(won)) => return Ok(won),
                    Ok(None) => {}
                    Err(ElectionError::Unreachable { reason }) => {
                        tracing::debug!(reason, "no election while etcd cannot be reached");
                        tokio::time::sleep(RETRY_PAUSE).await;
                        continue;
                    }
                    Err(error) => return Err(error),
                }
            }
            tokio::select! {
                changed = leader.changed() => changed.map_err(|_| ElectionError::Closed)?,
                () = tokio::time::sleep(LOOK_INTERVAL) => {
                    vacant = self.store.owner().await.is_ok_and(|owner| owner.is_none());
                }
            }
        }
    }

    /// One attempt with a lease of its own. `None` when another master was faster.
    async fn try_win(&self, last: Term) -> Result<Option<(TenureKeeper, i64)>, ElectionError> {
        let lease = self.store.grant(self.options.lease).await?;
        let ballot = match self.store.stand(&self.candidate, lease).await {
            Ok(ballot) => ballot,
            Err(error) if error.outcome_is_unknown() => self.find_out(lease).await?,
            Err(error) => return Err(error.into()),
        };
        // From here on another master's tenure can only shorten: it has no key to confirm by.
        let now = self.clock.monotonic();
        let Ballot::Won { term, needs_quiet } = ballot else {
            // Not needed any more; should this fail, it ends by itself.
            let _ = self.store.revoke(lease).await;
            return Ok(None);
        };
        if term <= last {
            let _ = self.store.revoke(lease).await;
            return Err(ElectionError::TermBehind { term, last });
        }
        let needs_quiet = needs_quiet && !planted::is(Bug::SkippedReadTenure);
        let serve_from = if needs_quiet { now + READ_TENURE } else { Duration::ZERO };
        // Suspended until the first confirmation, which needs no special case that way.
        let (keeper, _) = Tenure::new(term, now, serve_from, self.clock.clone());
        tracing::info!(id = self.candidate.id, term = term.0, needs_quiet, "elected");
        Ok(Some((keeper, lease)))
    }

    /// Reads back what became of an attempt whose answer was lost. The attempt may still be on its
    /// way, so its lease is ended unless it has won: without the lease it cannot win any more.
    async fn find_out(&self, lease: i64) -> Result<Ballot, ElectionError> {
        loop {
            match self.store.owner().await {
                Ok(Some(owner)) if owner.lease == lease => {
                    return Ok(Ballot::Won { term: owner.leader.term, needs_quiet: true });
                }
                Ok(_) => {
                    self.store.revoke(lease).await?;
                    return Ok(Ballot::Lost);
                }
                Err(error) if error.outcome_is_unknown() => {
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Confirms the tenure again and again; ends when the key is gone or another's.
    async fn confirm(&self, keeper: &TenureKeeper) {
        let term = keeper.tenure().term();
        loop {
            let sent = self.clock.monotonic();
            match self.store.owner_within(CONFIRM_LIMIT).await {
                Ok(Some(Owner { leader, .. })) if leader.term == term => {
                    if !keeper.confirm(sent + READ_TENURE - DRIFT_MARGIN) {
                        return;
                    }
                    tokio::time::sleep(CONFIRM_INTERVAL).await;
                }
                Ok(_) => {
                    tracing::warn!(term = term.0, "the leader key is gone, the term is over");
                    return;
                }
                Err(error) => {
                    tracing::debug!(%error, "the tenure could not be confirmed");
                    tokio::time::sleep(CONFIRM_INTERVAL).await;
                }
            }
        }
    }

    /// Keeps a lease alive for as long as it is.
    async fn keep_alive(&self, lease: i64) {
        let interval = self.options.lease / 4;
        loop {
            let pause = match self.store.keep_alive(lease).await {
                Ok(true) => interval,
                // The key is gone with it; confirmation finds that too.
                Ok(false) => {
                    tracing::warn!(lease, "the lease has run out, or was revoked");
                    return;
                }
                Err(error) => {
                    tracing::debug!(%error, "the lease could not be kept alive");
                    RETRY_PAUSE
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Tells etcd that a term is over, for as long as the lease could last.
    async fn release(&self, term: Term, lease: i64) -> Result<(), ElectionError> {
        let end = self.clock.monotonic() + self.options.lease;
        loop {
            match self.store.release(term, lease).await {
                Ok(()) => return Ok(()),
                Err(error) if error.outcome_is_unknown() && self.clock.monotonic() < end => {
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Shows this master among those that are up, under a lease of its own.
    async fn show_up(self: Arc<Self>) {
        loop {
            match self.store.join(&self.candidate, self.options.lease).await {
                Ok(lease) => self.keep_alive(lease).await,
                Err(error) => {
                    tracing::debug!(%error, "this master cannot be shown in etcd");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }
}
