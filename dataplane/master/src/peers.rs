//! The standbys that stay with this primary: soft state, gone with the reign.

use alluxio_host::Clock;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Standbys that were not heard of for this long are not counted.
const FORGOTTEN: Duration = Duration::from_secs(5);
/// Masters remembered at once; a cluster has three or five.
const STANDBYS_MAX: usize = 64;

/// What a standby says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StandbyFacts {
    pub(crate) id: String,
    pub(crate) host: String,
    pub(crate) rpc_port: u16,
    pub(crate) web_port: u16,
    pub(crate) applied: u64,
    pub(crate) checkpoint: u64,
    pub(crate) checkpoint_ms: u64,
    pub(crate) checkpoint_bytes: u64,
    pub(crate) term: u64,
    pub(crate) version: String,
}

/// The standbys.
pub(crate) struct Standbys {
    clock: Arc<dyn Clock>,
    known: Mutex<BTreeMap<String, (Duration, StandbyFacts)>>,
    /// Grows when standbys shall take a checkpoint.
    round: AtomicU64,
    heir: watch::Sender<Option<String>>,
}

impl Standbys {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Standbys {
            clock,
            known: Mutex::new(BTreeMap::new()),
            round: AtomicU64::new(0),
            heir: watch::Sender::new(None),
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, (Duration, StandbyFacts)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a standby.
    pub(crate) fn note(&self, facts: StandbyFacts) {
        let mut known = self.known();
        if known.len() < STANDBYS_MAX || known.contains_key(&facts.id) {
            known.insert(facts.id.clone(), (self.clock.monotonic(), facts));
        }
    }

    /// A standby whose stream ended.
    pub(crate) fn forget(&self, id: &str) {
        self.known().remove(id);
    }

    /// Those that were heard of lately, by id.
    pub(crate) fn list(&self) -> Vec<StandbyFacts> {
        let now = self.clock.monotonic();
        let known = self.known();
        let fresh = known.values().filter(|(at, _)| now.saturating_sub(*at) < FORGOTTEN);
        fresh.map(|(_, facts)| facts.clone()).collect()
    }

    /// The number of the checkpoint that standbys shall have begun.
    pub(crate) fn round(&self) -> u64 {
        self.round.load(Ordering::Acquire)
    }

    /// Lets all standbys take a checkpoint.
    pub(crate) fn next_round(&self) {
        self.round.fetch_add(1, Ordering::AcqRel);
    }

    /// Names the standby that shall be the next primary.
    pub(crate) fn hand_over(&self, heir: String) {
        self.heir.send_replace(Some(heir));
    }

    /// Who shall be the next primary, if this one is about to resign.
    pub(crate) fn heir(&self) -> watch::Receiver<Option<String>> {
        self.heir.subscribe()
    }

    /// Ends when an heir is named, after the beats that tell the standbys had time to leave.
    pub(crate) async fn handed_over(&self) -> String {
        let mut heir = self.heir();
        // The sender is ours.
        let named = heir.wait_for(Option::is_some).await.ok().and_then(|heir| heir.clone());
        tokio::time::sleep(crate::link::BEAT).await;
        named.unwrap_or_default()
    }
}
