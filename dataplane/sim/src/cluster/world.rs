//! One run.

use super::client::{Cargo, Client, Diary, Names, Orders, Standing};
use super::etcd::SimEtcd;
use super::faults::{Accident, Plan};
use super::machine::Machine;
use super::master::{self, Seen, Settings};
use super::turns::Crew;
use super::wire::{MachineId, Wire, mix};
use super::worker;
use super::worker::Shelf;
use crate::dice::Dice;
use crate::moment;
use crate::violation::Violation;
use alluxio_host::Clock;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Milliseconds of one step. Everything that goes over the network takes at least one.
const STEP_MS: u64 = 2;
/// A healed cluster serves everybody within this time.
pub const PROGRESS_MS: u64 = 20_000;
/// How long the first primary may take.
pub(super) const BEGIN_MS: u64 = 30_000;
/// The machine of etcd.
pub(super) const ETCD: MachineId = 0;

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

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) struct World {
    pub(super) seed: u64,
    pub(super) dice: Dice,
    pub(super) now: u64,
    pub(super) wire: Wire,
    pub(super) machines: Vec<Machine>,
    pub(super) etcd: SimEtcd,
    pub(super) settings: Settings,
    /// Each client's machine.
    pub(super) clients: BTreeMap<MachineId, Standing>,
    pub(super) names: Names,
    /// With each worker's machine.
    pub(super) cargo: Cargo,
    /// No more accidents happen.
    pub(super) healed: bool,
    /// Machines that lost power, and with it what was not synced.
    pub(super) dimmed: BTreeSet<MachineId>,
    pub(super) seen: BTreeMap<MachineId, Seen>,
    pub(super) diary: Diary,
    pub(super) orders: Orders,
    pub(super) plan: Plan,
    /// When each accident is over, and what is done then.
    pub(super) ends: BTreeMap<(u64, u64), Accident>,
    pub(super) pause_max: u64,
    pub(super) patience: Duration,
    /// Most steps that a machine sleeps when nothing arrives.
    sleep_steps: u64,
    /// Whether the primary must stay the same when all is at rest; takes a while.
    pub(super) rests: bool,
    pub(super) terms: BTreeSet<u64>,
    pub(super) by_histories: bool,
    /// The first panic of anything that runs.
    panicked: Arc<Mutex<Option<String>>>,
    pub(super) summary: Summary,
}

pub(super) type Checked<T = ()> = Result<T, Violation>;

impl World {
    fn new(seed: u64) -> Self {
        let dice = Dice::new(seed);
        let masters = usize::try_from(dice.between(1, 3)).unwrap_or(3).max(2 - dice.index(2));
        let clients = usize::try_from(dice.between(2, 4)).unwrap_or(2);
        let wire = Wire::new(dice.seed(), dice.between(1, 6));
        let crew = Crew::default();
        let workers = dice.index(3);
        let count = 1 + masters + clients + workers;
        let mut machines: Vec<Machine> =
            (0..count).map(|id| Machine::new(id, &wire, &crew, dice.seed())).collect();
        // One in a thousand: quartz is ten times better, the product allows for thirty times worse.
        machines.iter_mut().for_each(|machine| {
            machine.drift_ppm = i64::try_from(dice.below(2001)).unwrap_or_default() - 1000;
        });
        let settings = Settings {
            etcd: ETCD,
            masters: (1..=masters).collect(),
            checkpoint_entries: *dice.pick(&[10, 20, 60, 300]),
            lease: Duration::from_secs(dice.between(2, 5)),
        };
        World {
            plan: Plan::of(&dice, count, &settings.masters),
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
            clients: (1 + masters..=masters + clients)
                .map(|id| (id, Standing::default()))
                .collect(),
            cargo: Cargo {
                shelves: (1 + masters + clients..count).map(|id| (id, Shelf::default())).collect(),
                ..Cargo::default()
            },
            dimmed: BTreeSet::new(),
            healed: false,
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
        let accidents_ms = self.plan.lasts_ms(&self.dice);
        (self.first_client()..self.machines.len()).for_each(|id| self.boot(id));
        self.accidents(accidents_ms)?;
        self.heal();
        self.progress()?;
        self.swift()?;
        self.hand_over()?;
        self.summary.met.insert("compaction", self.etcd.compactions());
        self.orders.stop.store(true, Ordering::SeqCst);
        let hash = self.settle()?;
        self.blocks_are_known()?;
        self.look_at_all()?;
        self.start_again(hash)?;
        self.blocks_are_known()?;
        self.look_at_all()?;
        self.judge()?;
        let told = self.diary.take().into_iter().map(|operation| operation.to_string());
        self.summary.trace =
            told.flat_map(String::into_bytes).map(u64::from).fold(self.wire.trace(), mix);
        self.summary.ms = self.now;
        self.summary.terms = self.terms.len() as u64;
        Ok(self.summary)
    }

    pub(super) fn violation(&self, what: impl Into<String>) -> Violation {
        Violation { seed: self.seed, step: self.now, what: what.into() }
    }

    /// A promise is broken; no matter to who judges by histories alone.
    pub(super) fn broken(&self, what: String) -> Checked {
        if self.by_histories { Ok(()) } else { Err(self.violation(what)) }
    }

    /// Lets time pass, and checks what must hold at every moment.
    pub(super) fn step(&mut self) -> Checked {
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
        if answering.len() > 1 {
            self.broken(format!("several masters may answer (machine, term): {answering:?}"))?;
        }
        let wrong = lock(&self.orders.absurd).clone().or_else(|| lock(&self.panicked).clone());
        wrong.map_or(Ok(()), |wrong| self.broken(wrong))
    }

    /// Steps until something holds, for so long at most.
    pub(super) fn until(
        &mut self,
        what: &str,
        within_ms: u64,
        mut holds: impl FnMut(&mut Self) -> bool,
    ) -> Checked {
        let end = self.now + within_ms;
        while !holds(self) {
            if self.now >= end {
                return self.broken(format!("not within {within_ms} ms: {what}"));
            }
            self.step()?;
            self.tend();
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

    pub(super) fn has_primary(&self) -> bool {
        self.primary().is_some()
    }

    /// The machine whose master serves as the primary.
    pub(super) fn primary(&self) -> Option<MachineId> {
        self.seen.iter().find(|(_, seen)| seen.is_primary()).map(|(id, _)| *id)
    }

    pub(super) fn first_client(&self) -> MachineId {
        self.settings.masters.len() + 1
    }

    fn boot_master(&mut self, id: MachineId) {
        let (settings, seen) = (self.settings.clone(), self.seen[&id].clone());
        self.machines[id].boot(self.now, |host| master::serve(host, id, settings, seen));
    }

    pub(super) fn client(&mut self, id: MachineId) -> Client {
        Client {
            number: u32::try_from(id).unwrap_or_default(),
            settings: self.settings.clone(),
            diary: self.diary.clone(),
            orders: self.orders.clone(),
            standing: self.clients.get(&id).cloned().unwrap_or_default(),
            names: self.names,
            cargo: self.cargo.clone(),
            seed: self.dice.seed(),
            pause_max: self.pause_max,
            patience: self.patience,
        }
    }

    fn boot_client(&mut self, id: MachineId) {
        let client = self.client(id);
        self.machines[id].boot(self.now, |host| client.work(host));
    }

    pub(super) fn boot(&mut self, id: MachineId) {
        if self.machines[id].is_on() {
            return;
        }
        if id == ETCD {
            let etcd = self.etcd.clone();
            self.machines[id].boot(self.now, |host| etcd.serve(host));
        } else if self.settings.masters.contains(&id) {
            self.boot_master(id);
        } else if let Some(shelf) = self.cargo.shelves.get(&id).cloned() {
            let settings = self.settings.clone();
            self.machines[id].boot(self.now, |host| worker::serve(host, id, settings, shelf));
        } else {
            self.boot_client(id);
        }
    }
}
