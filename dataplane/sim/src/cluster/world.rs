//! One run.

use super::client::{Client, Diary, Names, Orders, Standing};
use super::etcd::SimEtcd;
use super::faults::{Accident, Kind, Plan};
use super::machine::Machine;
use super::master::{self, Seen, Settings};
use super::turns::Crew;
use super::wire::{MachineId, Wire, mix};
use crate::dice::Dice;
use crate::moment;
use crate::violation::Violation;
use alluxio_history::Violation as Lie;
use alluxio_host::{Clock, Fault, FaultKind, Operation as DiskCall};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Milliseconds of one step. Everything that goes over the network takes at least one.
const STEP_MS: u64 = 2;
/// A healed cluster serves everybody within this time.
pub const PROGRESS_MS: u64 = 20_000;
/// Answers that each client must get again.
const ANSWERS: u64 = 5;
/// What is under way when the clients have stopped comes to rest in this time.
const REST: Duration = Duration::from_millis(500);
/// How long the first primary may take.
const BEGIN_MS: u64 = 30_000;
/// Steps of the search for an order.
const SEARCH_STEPS: u64 = 3_000_000;
/// The machine of etcd.
const ETCD: MachineId = 0;

/// What a run met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Milliseconds that passed in the world.
    pub ms: u64,
    /// Calls that clients made.
    pub calls: u64,
    /// Those that were answered.
    pub answered: u64,
    /// Accidents.
    pub accidents: u64,
    /// Terms of primaries.
    pub terms: u64,
    /// Whether the checker of histories gave up: 0 or 1.
    pub undecided: u64,
    /// What happened to the cluster, and how often.
    pub met: BTreeMap<&'static str, u64>,
    /// A number that depends on all that was delivered, and when, and on all that clients were told.
    pub trace: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { ms, calls, answered, accidents, terms, undecided, met, trace } = self;
        write!(
            f,
            "ms={ms} calls={calls} answered={answered} accidents={accidents} terms={terms} "
        )?;
        write!(f, "undecided={undecided} ")?;
        met.iter().try_for_each(|(what, count)| write!(f, "{what}={count} "))?;
        // No sum of many tells anything, so it is no number.
        write!(f, "trace:{trace:016x}")
    }
}

/// Runs a cluster from one seed. `by_histories`: nothing is judged but what clients were told, so that
/// it shows what that finds alone.
///
/// **Errors**: the first broken promise.
pub fn run(seed: u64, by_histories: bool) -> Result<Summary, Violation> {
    let world = World { by_histories, ..World::new(seed) };
    let panicked = world.panicked.clone();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        lock(&panicked).get_or_insert_with(|| panic.to_string());
        before(panic);
    }));
    world.run()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct World {
    seed: u64,
    dice: Dice,
    now: u64,
    wire: Wire,
    machines: Vec<Machine>,
    etcd: SimEtcd,
    settings: Settings,
    /// Each client's machine.
    clients: BTreeMap<MachineId, Standing>,
    names: Names,
    seen: BTreeMap<MachineId, Seen>,
    diary: Diary,
    orders: Orders,
    plan: Plan,
    /// When each accident is over, and what is done then.
    ends: BTreeMap<(u64, u64), Accident>,
    pause_max: u64,
    patience: Duration,
    /// Most steps that a machine sleeps when nothing arrives.
    sleep_steps: u64,
    /// Whether the primary must stay the same when all is at rest; takes a while.
    rests: bool,
    terms: BTreeSet<u64>,
    by_histories: bool,
    /// The first panic of anything that runs.
    panicked: Arc<Mutex<Option<String>>>,
    summary: Summary,
}

type Checked<T = ()> = Result<T, Violation>;

impl World {
    fn new(seed: u64) -> Self {
        let dice = Dice::new(seed);
        let masters = usize::try_from(dice.between(1, 3)).unwrap_or(3).max(2 - dice.index(2));
        let clients = usize::try_from(dice.between(2, 4)).unwrap_or(2);
        let wire = Wire::new(dice.seed(), dice.between(1, 6));
        let crew = Crew::default();
        let count = 1 + masters + clients;
        let mut machines: Vec<Machine> =
            (0..count).map(|id| Machine::new(id, &wire, &crew, dice.seed())).collect();
        // One in a thousand: quartz is ten times better, the product allows for thirty times worse.
        machines.iter_mut().for_each(|machine| {
            machine.drift_ppm = i64::try_from(dice.below(2001)).unwrap_or_default() - 1000;
        });
        let settings = Settings {
            etcd: ETCD,
            masters: (1..=masters).collect(),
            checkpoint_entries: *dice.pick(&[20, 60, 300, 1_000_000]),
            lease: Duration::from_secs(dice.between(2, 5)),
        };
        let hit = (0..count).chain(1..=masters).chain(1..=masters).collect();
        World {
            plan: Plan::of(&dice, hit),
            pause_max: *dice.pick(&[0, 20, 100]),
            sleep_steps: *dice.pick(&[1, 3, 5, 5]),
            rests: dice.chance(20),
            names: Names { tops: *dice.pick(&[1, 2, 4]), each: dice.between(2, 4) },
            patience: Duration::from_millis(*dice.pick(&[1000, 4000, 15_000])),
            seed,
            now: 0,
            wire,
            machines,
            etcd: SimEtcd::new(),
            clients: (1 + masters..count).map(|id| (id, Standing::default())).collect(),
            seen: settings.masters.iter().map(|id| (*id, Seen::default())).collect(),
            settings,
            diary: Diary::default(),
            orders: Orders::default(),
            ends: BTreeMap::new(),
            terms: BTreeSet::new(),
            by_histories: false,
            panicked: Arc::default(),
            summary: Summary::default(),
            dice,
        }
    }

    fn run(mut self) -> Checked<Summary> {
        self.begin()?;
        let accidents_ms = *self.dice.pick(&[2_000, 4_000, 8_000]);
        self.clients.clone().into_keys().for_each(|id| self.boot_client(id));
        self.accidents(accidents_ms)?;
        self.heal();
        self.progress()?;
        self.orders.stop.store(true, Ordering::SeqCst);
        let hash = self.settle()?;
        self.look_at_all()?;
        self.start_again(hash)?;
        self.look_at_all()?;
        self.judge()?;
        let told = self.diary.take().into_iter().map(|operation| operation.to_string());
        self.summary.trace =
            told.flat_map(String::into_bytes).map(u64::from).fold(self.wire.trace(), mix);
        self.summary.ms = self.now;
        self.summary.terms = self.terms.len() as u64;
        Ok(self.summary)
    }

    fn violation(&self, what: impl Into<String>) -> Violation {
        Violation { seed: self.seed, step: self.now, what: what.into() }
    }

    /// Lets time pass, and checks what must hold at every moment.
    fn step(&mut self) -> Checked {
        self.now += STEP_MS;
        self.diary.now.store(self.now, Ordering::SeqCst);
        moment::set(self.now, None);
        let reached = self.wire.deliver(self.now);
        let turn = self.now / STEP_MS;
        for index in 0..self.machines.len() {
            moment::set(self.now, Some(index));
            let alarm = (turn + index as u64).is_multiple_of(self.sleep_steps);
            self.machines[index].step(self.now, alarm || reached.contains(&index));
        }
        moment::set(self.now, None);
        self.check_moment()
    }

    fn check_moment(&mut self) -> Checked {
        let mut answering = Vec::new();
        for (&id, seen) in &self.seen {
            let Some(clock) = self.machines[id].clock() else { continue };
            let Some(tenure) = seen.tenure() else { continue };
            self.terms.insert(tenure.term().0);
            if tenure.is_valid() && clock.monotonic() >= tenure.serve_from() {
                answering.push((id, tenure.term().0));
            }
        }
        if answering.len() > 1 && !self.by_histories {
            let what = format!("several masters may answer (machine, term): {answering:?}");
            return Err(self.violation(what));
        }
        let wrong = lock(&self.orders.absurd).clone().or_else(|| lock(&self.panicked).clone());
        wrong.map_or(Ok(()), |wrong| Err(self.violation(wrong)))
    }

    /// Steps until something holds, for so long at most.
    fn until(
        &mut self,
        what: &str,
        within_ms: u64,
        mut holds: impl FnMut(&mut Self) -> bool,
    ) -> Checked {
        let end = self.now + within_ms;
        while !holds(self) {
            if self.now >= end {
                return Err(self.violation(format!("not within {within_ms} ms: {what}")));
            }
            self.step()?;
            self.restart_failed();
        }
        Ok(())
    }

    fn begin(&mut self) -> Checked {
        let etcd = self.etcd.clone();
        self.machines[ETCD].boot(0, |host| etcd.serve(host));
        let formatted = Arc::new(AtomicBool::new(false));
        let (settings, done) = (self.settings.clone(), formatted.clone());
        let first = self.settings.masters[0];
        self.machines[first].boot(0, |host| master::format(host, settings, done));
        self.until("a journal", BEGIN_MS, |_| formatted.load(Ordering::SeqCst))?;
        self.machines[first].kill();
        self.settings.masters.clone().into_iter().for_each(|id| self.boot_master(id));
        self.until("a first primary", BEGIN_MS, |world| world.has_primary())
    }

    fn has_primary(&self) -> bool {
        self.seen.values().any(|seen| seen.handle().is_some_and(|handle| handle.is_primary()))
    }

    fn boot_master(&mut self, id: MachineId) {
        let (settings, seen) = (self.settings.clone(), self.seen[&id].clone());
        self.machines[id].boot(self.now, |host| master::serve(host, id, settings, seen));
    }

    fn client(&mut self, id: MachineId) -> Client {
        Client {
            number: u32::try_from(id).unwrap_or_default(),
            settings: self.settings.clone(),
            diary: self.diary.clone(),
            orders: self.orders.clone(),
            standing: self.clients.get(&id).cloned().unwrap_or_default(),
            names: self.names,
            seed: self.dice.seed(),
            pause_max: self.pause_max,
            patience: self.patience,
        }
    }

    fn boot_client(&mut self, id: MachineId) {
        let client = self.client(id);
        self.machines[id].boot(self.now, |host| client.work(host));
    }

    fn boot(&mut self, id: MachineId) {
        if self.machines[id].is_on() {
            return;
        }
        if id == ETCD {
            let etcd = self.etcd.clone();
            self.machines[id].boot(self.now, |host| etcd.serve(host));
        } else if self.settings.masters.contains(&id) {
            self.boot_master(id);
        } else {
            self.boot_client(id);
        }
    }

    /// Masters whose processes ended by themselves are started again, as Kubernetes would.
    fn restart_failed(&mut self) {
        for id in self.settings.masters.clone() {
            if let Some(reason) = self.seen[&id].failed() {
                tracing::warn!(machine = id, reason, "is started again");
                self.kill(id);
                self.boot(id);
            }
        }
    }

    fn kill(&mut self, id: MachineId) {
        if let Some(seen) = self.seen.get(&id) {
            seen.forget();
        }
        self.machines[id].kill();
    }

    fn accidents(&mut self, for_ms: u64) -> Checked {
        let end = self.now + for_ms;
        let mut next = self.now + self.plan.pause(&self.dice);
        tracing::info!(kinds = ?self.plan.kinds(), "accidents begin");
        while self.now < end {
            self.step()?;
            self.restart_failed();
            while let Some(entry) = self.ends.first_entry().filter(|e| e.key().0 <= self.now) {
                let accident = entry.remove();
                self.undo(&accident);
            }
            if self.now >= next {
                next = self.now + self.plan.pause(&self.dice);
                let accident = self.plan.next(&self.dice);
                tracing::info!(?accident, "happens");
                self.summary.accidents += 1;
                *self.summary.met.entry(accident.kind.name()).or_default() += 1;
                self.happen(&accident);
                let until = (self.now + accident.lasts_ms, self.summary.accidents);
                self.ends.insert(until, accident);
            }
        }
        Ok(())
    }

    fn happen(&mut self, accident: &Accident) {
        let Accident { kind, one, two, amount, .. } = *accident;
        let on = self.machines[one].is_on() && !self.machines[one].is_paused();
        match kind {
            Kind::Kill | Kind::Stop if on => self.kill(one),
            Kind::PowerCut if on => {
                if let Some(seen) = self.seen.get(&one) {
                    seen.forget();
                }
                self.machines[one].cut_power();
            }
            Kind::Pause if on => self.machines[one].pause(),
            Kind::Partition => {
                self.wire.cut(one, two, true);
                self.wire.cut(two, one, true);
            }
            Kind::OneWay => self.wire.cut(one, two, true),
            Kind::Isolate => self.isolate(one, true),
            Kind::Slow => {
                let slow_ms = amount % 800;
                self.wire.slow(one, two, slow_ms);
            }
            Kind::Break => self.wire.break_between(one, two),
            Kind::LoseLease => self.etcd.lose_leader(),
            Kind::Jump => {
                let hour = 3_600_000;
                self.machines[one]
                    .jump(i64::try_from(amount % (2 * hour)).unwrap_or(0) - 3_600_000);
            }
            Kind::SlowDisk => self.machines[one].slow_disk(amount % 300),
            Kind::BadDisk => {
                let calls = [DiskCall::Write, DiskCall::Sync, DiskCall::SyncDir, DiskCall::Rename];
                let call = calls[usize::try_from(amount % 4).unwrap_or(0)];
                self.machines[one].disk.inject(Fault::new(FaultKind::Io).on(call));
            }
            Kind::FullDisk => {
                let fault = Fault::new(FaultKind::Full).on(DiskCall::Write).times(u64::MAX);
                self.machines[one].disk.inject(fault);
            }
            Kind::Kill | Kind::Stop | Kind::PowerCut | Kind::Pause => {}
        }
    }

    fn isolate(&mut self, one: MachineId, cut: bool) {
        for other in (0..self.machines.len()).filter(|other| *other != one) {
            self.wire.cut(one, other, cut);
            self.wire.cut(other, one, cut);
        }
    }

    fn undo(&mut self, accident: &Accident) {
        let Accident { kind, one, two, .. } = *accident;
        match kind {
            Kind::Kill | Kind::PowerCut | Kind::Stop => self.boot(one),
            Kind::Pause => self.machines[one].go_on(),
            Kind::Partition => {
                self.wire.cut(one, two, false);
                self.wire.cut(two, one, false);
            }
            Kind::OneWay => self.wire.cut(one, two, false),
            Kind::Isolate => self.isolate(one, false),
            Kind::Slow => self.wire.slow(one, two, 0),
            Kind::SlowDisk => self.machines[one].slow_disk(0),
            Kind::FullDisk => self.machines[one].disk.clear_faults(),
            Kind::Break | Kind::LoseLease | Kind::Jump | Kind::BadDisk => {}
        }
    }

    /// Ends all accidents.
    fn heal(&mut self) {
        tracing::info!("all is healed");
        self.ends.clear();
        self.wire.heal();
        for id in 0..self.machines.len() {
            self.machines[id].slow_disk(0);
            self.machines[id].disk.clear_faults();
            self.machines[id].go_on();
            self.boot(id);
        }
    }

    /// Every client must be served again, none may starve.
    fn progress(&mut self) -> Checked {
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

    /// Waits until all masters have the same position; their trees must be equal then.
    fn settle(&mut self) -> Checked<(u64, u64)> {
        self.until("the last answer to every client", PROGRESS_MS, |world| {
            world.clients.values().all(|client| client.done.load(Ordering::SeqCst))
        })?;
        self.until("all masters at one position", PROGRESS_MS, |world| {
            let at = world.positions();
            at.len() == world.settings.masters.len()
                && at.windows(2).all(|pair| pair[0].0 == pair[1].0)
        })?;
        self.pass(REST)?;
        if self.rests {
            // A lease that was not kept alive ends.
            let lease = self.settings.lease;
            self.pass(lease)?;
            let terms = self.terms.len();
            self.pass(2 * lease + Duration::from_secs(1))?;
            if self.terms.len() != terms {
                let what = format!("the primary changed, and nothing happened: {:?}", self.terms);
                return Err(self.violation(what));
            }
        }
        self.until("all masters at one position at rest", PROGRESS_MS, |world| {
            let at = world.positions();
            at.len() == world.settings.masters.len()
                && at.windows(2).all(|pair| pair[0].0 == pair[1].0)
        })?;
        let at = self.positions();
        match at.windows(2).find(|pair| pair[0] != pair[1]) {
            Some(pair) => {
                let what = format!("trees differ at the same position: {pair:?}");
                Err(self.violation(what))
            }
            None => Ok(at[0]),
        }
    }

    fn pass(&mut self, time: Duration) -> Checked {
        let end = self.now + u64::try_from(time.as_millis()).unwrap_or_default();
        while self.now < end {
            self.step()?;
            self.restart_failed();
        }
        Ok(())
    }

    /// Position and hash of each master's tree that is there.
    fn positions(&self) -> Vec<(u64, u64)> {
        let trees = self.seen.values().filter_map(|seen| seen.handle()?.namespace());
        trees.map(|tree| (tree.applied().0, tree.state_hash())).collect()
    }

    fn look_at_all(&mut self) -> Checked {
        let done = Arc::new(AtomicBool::new(false));
        let id = self.settings.masters.len() + 1;
        let client = self.client(id);
        let told = done.clone();
        self.machines[id].spawn(|host| client.look_at_all(host, told));
        self.until("a look at all names", PROGRESS_MS, |_| done.load(Ordering::SeqCst))
    }

    /// All masters lose power at once; what they come back with must be what they had.
    fn start_again(&mut self, before: (u64, u64)) -> Checked {
        for id in self.settings.masters.clone() {
            self.seen[&id].forget();
            self.machines[id].cut_power();
            self.boot(id);
        }
        self.until("a primary after a new start", BEGIN_MS, |world| {
            world.has_primary() && world.positions().len() == world.settings.masters.len()
        })?;
        for after in self.positions() {
            if after.0 < before.0 || (after.0 == before.0 && after.1 != before.1) {
                let what = format!("a tree read from the journal is {after:?}, it was {before:?}");
                return Err(self.violation(what));
            }
        }
        Ok(())
    }

    /// Whether what clients were told can be true.
    fn judge(&mut self) -> Checked {
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
