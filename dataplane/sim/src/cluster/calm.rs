//! After the accidents: a cluster that is healed must serve, and its masters must agree.

use super::client::Standing;
use super::world::{BEGIN_MS, Checked, PROGRESS_MS, World, lock};
use alluxio_history::Violation as Lie;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Answers that each client must get again.
const ANSWERS: u64 = 5;
/// A call that takes longer is slow, a while is that long; both in milliseconds.
const SWIFT_MS: u64 = 300;
/// See [`SWIFT_MS`].
const SWIFT_FOR_MS: u64 = 700;
/// All standbys of a calm cluster stay with the primary after this time: one that challenged the primary
/// rests for 2 s before it joins again.
const JOINED: Duration = Duration::from_secs(3);
/// How long it takes at most to hand the primacy over: the old primary waits 150 ms, and etcd is asked a
/// few times. Without its word it would take the rest of the lease, seconds.
const HAND_OVER_MS: u64 = 1_000;
/// What is under way when the clients have stopped comes to rest in this time.
const REST: Duration = Duration::from_millis(500);
/// Steps of the search for an order.
const SEARCH_STEPS: u64 = 3_000_000;

impl World {
    /// Every client must be served again, none may starve.
    pub(super) fn progress(&mut self) -> Checked {
        let answered = |client: &Standing| client.answered.load(Ordering::SeqCst);
        let wanted: Vec<(Standing, u64)> = self
            .clients
            .values()
            .map(|client| (client.clone(), answered(client) + ANSWERS))
            .collect();
        self.until("answers to every client after healing", PROGRESS_MS, |_| {
            wanted.iter().all(|(client, wanted)| answered(client) >= *wanted)
        })
    }

    /// Soon after that nobody waits long any more: for [`SWIFT_FOR_MS`] no call takes longer than
    /// [`SWIFT_MS`].
    pub(super) fn swift(&mut self) -> Checked {
        let mut since = self.now;
        self.until("a while without slow answers", PROGRESS_MS, |world| {
            if world.clients.values().any(|client| client.waits_ms(world.now) > SWIFT_MS) {
                since = world.now;
            }
            world.now - since >= SWIFT_FOR_MS
        })
    }

    /// The primacy is handed over, and nothing is in the way.
    pub(super) fn hand_over(&mut self) -> Checked {
        let masters = self.settings.masters.clone();
        if masters.len() < 2 || !self.dice.chance(40) {
            return Ok(());
        }
        self.until("all masters to take part", PROGRESS_MS, |world| {
            world.positions().len() == masters.len()
        })?;
        self.pass(JOINED)?;
        let Some(old) = self.primary() else {
            return self.broken("a calm cluster has no primary".to_owned());
        };
        let heir = masters[(old + self.dice.index(masters.len() - 1)) % masters.len()];
        self.ask_to_hand_over(heir);
        *self.summary.met.entry("calm-hand-over").or_default() += 1;
        self.until("the heir to serve as the primary", HAND_OVER_MS, |world| {
            world.seen[&heir].is_primary()
        })
    }

    /// Waits until all masters have the same position; their trees must be equal then.
    pub(super) fn settle(&mut self) -> Checked<(u64, u64)> {
        self.until("the last answer to every client", PROGRESS_MS, |world| {
            world.clients.values().all(|client| client.done.load(Ordering::SeqCst))
        })?;
        self.until("all masters at one position", PROGRESS_MS, Self::agrees)?;
        self.pass(REST)?;
        if self.rests {
            // A lease that was not kept alive ends.
            let lease = self.settings.lease;
            self.pass(lease)?;
            let terms = self.terms.len();
            self.pass(2 * lease + Duration::from_secs(1))?;
            if self.terms.len() != terms {
                let what = format!("the primary changed, and nothing happened: {:?}", self.terms);
                self.broken(what)?;
            }
        }
        self.until("all masters at one position at rest", PROGRESS_MS, Self::agrees)?;
        let at = self.positions();
        if let Some(pair) = at.windows(2).find(|pair| pair[0] != pair[1]) {
            self.broken(format!("trees differ at the same position: {pair:?}"))?;
        }
        Ok(at.first().copied().unwrap_or_default())
    }

    /// Whether all masters take part and have come to the same position.
    fn agrees(&mut self) -> bool {
        let at = self.positions();
        let all = at.len() == self.settings.masters.len();
        all && at.windows(2).all(|pair| pair[0].0 == pair[1].0)
    }

    fn pass(&mut self, time: Duration) -> Checked {
        let end = self.now + u64::try_from(time.as_millis()).unwrap_or_default();
        while self.now < end {
            self.step()?;
            self.tend();
        }
        Ok(())
    }

    /// Position and hash of each master's tree that is there.
    fn positions(&self) -> Vec<(u64, u64)> {
        let trees = self.seen.values().filter_map(|seen| seen.handle()?.namespace());
        trees.map(|tree| (tree.applied().0, tree.state_hash())).collect()
    }

    pub(super) fn look_at_all(&mut self) -> Checked {
        let done = Arc::new(AtomicBool::new(false));
        let id = self.first_client();
        let client = self.client(id);
        let told = done.clone();
        self.machines[id].spawn(|host| client.look_at_all(host, told));
        self.until("a look at all names", PROGRESS_MS, |_| done.load(Ordering::SeqCst))
    }

    /// The primary knows which worker holds which block of the files that there are. What is said of a complete file is true as long as no power was cut.
    pub(super) fn blocks_are_known(&mut self) -> Checked {
        let mut wrong = None;
        let end = self.now + PROGRESS_MS;
        while self.now < end {
            wrong = self.unknown_block();
            if wrong.is_none() {
                break;
            }
            self.step()?;
            self.tend();
        }
        if let Some(wrong) = wrong {
            self.broken(format!("not within {PROGRESS_MS} ms known to the primary: {wrong}"))?;
        }
        let Some(primary) = self.primary() else { return Ok(()) };
        let Some(tree) = self.seen[&primary].handle().and_then(|handle| handle.namespace()) else {
            return Ok(());
        };
        let complete = lock(&self.cargo.complete).clone();
        *self.summary.met.entry("block-stored").or_default() = complete.len() as u64;
        for (&id, shelf) in &self.cargo.shelves {
            let Some((worker, blocks)) = shelf.holds() else { continue };
            let said = complete.iter().filter(|(_, by)| *by == worker).map(|(block, _)| *block);
            let lost = said
                .filter(|block| !blocks.contains(block))
                .find(|block| tree.persistence_by_id(block.inode()).is_some());
            if let Some(block) = lost.filter(|_| !self.dimmed.contains(&id)) {
                self.broken(format!("block {block} of a complete file is on no worker"))?;
            }
        }
        Ok(())
    }

    /// A block that is not where the primary believes it to be, or that outlives its file.
    fn unknown_block(&self) -> Option<String> {
        let stores = self.cargo.shelves.values().map(|shelf| shelf.holds());
        let Some(stores) = stores.collect::<Option<BTreeMap<_, _>>>() else {
            return Some("a worker has not started".to_owned());
        };
        let primary = self.primary().and_then(|id| self.seen[&id].handle());
        let tree = primary.as_ref().and_then(|primary| primary.namespace());
        let (Some(primary), Some(tree)) = (primary, tree) else {
            return Some("there is no primary".to_owned());
        };
        lock(&self.cargo.brought).iter().find_map(|&block| {
            let holds = stores.iter().filter(|(_, blocks)| blocks.contains(&block));
            let holds: BTreeSet<_> = holds.map(|(worker, _)| *worker).collect();
            let believed = primary.locate(block).unwrap_or_default();
            let is_there = tree.persistence_by_id(block.inode()).is_some();
            let wrong = if is_there { believed != holds } else { !holds.is_empty() };
            wrong.then(|| format!("block {block} is on {holds:?}, believed on {believed:?}"))
        })
    }

    /// All masters lose power at once; what they come back with must be what they had.
    pub(super) fn start_again(&mut self, before: (u64, u64)) -> Checked {
        for id in self.settings.masters.clone() {
            self.cut_power(id);
            self.boot(id);
        }
        self.until("a primary after a new start", BEGIN_MS, |world| {
            world.has_primary() && world.positions().len() == world.settings.masters.len()
        })?;
        for after in self.positions() {
            if after.0 < before.0 || (after.0 == before.0 && after.1 != before.1) {
                let what = format!("a tree read from the journal is {after:?}, it was {before:?}");
                self.broken(what)?;
            }
        }
        Ok(())
    }

    /// Whether what clients were told can be true.
    pub(super) fn judge(&mut self) -> Checked {
        let history = self.diary.take();
        self.summary.calls = history.len() as u64;
        self.summary.answered = history.iter().filter(|one| one.answer.is_some()).count() as u64;
        match alluxio_history::check_within(&history, SEARCH_STEPS) {
            Ok(()) => Ok(()),
            Err(Lie::Undecided { .. }) => {
                self.summary.undecided = 1;
                Ok(())
            }
            Err(lie) => Err(self.violation(lie.to_string())),
        }
    }
}
