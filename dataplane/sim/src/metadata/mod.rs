//! A master's metadata: the writer plans and applies, batches go to the journal later, checkpoints
//! are taken meanwhile, and now and then the process or the machine dies.
//!
//! Beside the live tree runs a *durable* tree that applies an entry when the journal has it: what a
//! standby would show. Whatever is acknowledged must be in it, and an answer of the live tree that
//! may leave (its position is durable) must be the answer of the durable tree.

mod life;
mod questions;
mod repeats;
mod requests;

use crate::{Dice, Trace, Violation};
use alluxio_host::{Fault, FaultKind, MemoryDisk, Operation};
use alluxio_namespace::{Namespace, Outcome, Plan};
use alluxio_types::{Code, Coded, Entry, Identity, InodeId, JournalSeq, UnixMillis};
use life::Life;
use questions::Question;
use repeats::{Call, Repeats};
use requests::Requests;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// What a run did; a run that did nothing proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Changes made.
    pub changes: u64,
    /// Calls repeated after they were carried out, and answered as they were.
    pub repeats: u64,
    /// Calls repeated whose change a crash had taken away, and made anew.
    pub redone: u64,
    /// Changes refused.
    pub refusals: u64,
    /// Entries made durable in the usual way.
    pub committed: u64,
    /// Answers that could leave at once and were compared.
    pub compared: u64,
    /// Answers that had to wait.
    pub held_back: u64,
    /// Processes killed, the machine running on.
    pub kills: u64,
    /// Power cuts.
    pub power_cuts: u64,
    /// Lives that ended because the disk refused.
    pub disk_failures: u64,
    /// Entries that were applied and lost, none of them acknowledged.
    pub lost: u64,
    /// Checkpoints finished.
    pub checkpoints: u64,
    /// Starts that used one.
    pub starts_from_checkpoint: u64,
    /// Hash of the last tree: equal for equal seeds.
    pub state_hash: u64,
}

/// What is weighed in a step.
#[derive(Debug, Clone, Copy)]
enum Step {
    Change,
    Flush,
    Ask,
    Checkpoint,
    Kill,
    PowerCut,
    ArmPower,
    ArmFault,
}

const STEPS: [(Step, u64); 8] = [
    (Step::Change, 60),
    (Step::Flush, 20),
    (Step::Ask, 40),
    (Step::Checkpoint, 12),
    (Step::Kill, 1),
    (Step::PowerCut, 1),
    (Step::ArmPower, 1),
    (Step::ArmFault, 1),
];

struct World {
    dice: Dice,
    disk: MemoryDisk,
    life: Life,
    requests: Requests,
    repeats: Repeats,
    /// The tree as far as the journal has it.
    durable: Namespace,
    /// Entries applied to the live tree and not to the durable one.
    waiting: VecDeque<(JournalSeq, Entry)>,
    /// Hash of the live tree after each entry from the last durable one on.
    hashes: BTreeMap<JournalSeq, u64>,
    /// Hashes of the trees that finished checkpoints stand for.
    checkpoints: BTreeMap<JournalSeq, u64>,
    committed: JournalSeq,
    now: u64,
    summary: Summary,
    trace: Trace,
}

type Checked<T> = Result<T, String>;

/// Runs a master's metadata from one seed.
///
/// **Errors**: the first broken promise.
pub fn run(seed: u64, steps: u64, trace: Trace) -> Result<Summary, Violation> {
    let fail = |step, what| Violation { seed, step, what };
    let dice = Dice::new(seed);
    let weights = dice.mix(STEPS.map(|(_, weight)| weight));
    let mut world = World::new(dice, trace).map_err(|what| fail(0, what))?;
    for step in 1..=steps {
        let chosen = STEPS[world.dice.weighted(&weights)].0;
        let (applied, calls) = (world.life.namespace.applied(), world.disk.calls());
        let committed = world.committed;
        world.note(&format!(
            "{step} {chosen:?} (applied {applied}, durable {committed}, {calls} calls)"
        ));
        world.step(chosen).map_err(|what| fail(step, format!("{chosen:?}: {what}")))?;
    }
    world.end().map_err(|what| fail(steps, what))
}

impl World {
    fn new(dice: Dice, trace: Trace) -> Checked<Self> {
        let disk = MemoryDisk::new(dice.seed());
        let segment_bytes = dice.between(1, 8) * 512;
        let life = Life::first(&disk, segment_bytes)?;
        let requests = Requests::new(&dice);
        let mut world = World {
            dice,
            disk,
            life,
            requests,
            repeats: Repeats::default(),
            durable: Namespace::new(),
            waiting: VecDeque::new(),
            hashes: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            committed: JournalSeq(0),
            now: 1_700_000_000_000,
            summary: Summary::default(),
            trace,
        };
        world.hashes.insert(JournalSeq(0), world.life.namespace.state_hash());
        let format = Requests::format();
        let root = Identity::new("root", ["wheel".to_owned()]);
        let call = Repeats::call(&world.dice, format, root);
        world.change_as(call)?;
        world.flush()?;
        Ok(world)
    }

    fn note(&mut self, what: &str) {
        (self.trace)(what);
    }

    fn step(&mut self, step: Step) -> Checked<()> {
        self.now += self.dice.below(5);
        match step {
            Step::Change => {
                if self.dice.chance(15)
                    && let Some(call) = self.repeats.again(&self.dice)
                {
                    return self.repeat(call);
                }
                let who = self.requests.caller(&self.dice);
                let request = self.requests.next(&self.dice, &self.life.namespace);
                self.change_as(Repeats::call(&self.dice, request, who))
            }
            Step::Flush => self.flush(),
            Step::Ask => self.ask(),
            Step::Checkpoint => self.checkpoint(),
            Step::Kill => {
                self.summary.kills += 1;
                self.disk = self.disk.fork(self.dice.seed());
                self.start()
            }
            Step::PowerCut => {
                self.summary.power_cuts += 1;
                self.disk.crash();
                self.start()
            }
            Step::ArmPower => {
                self.disk.end_power_at(self.disk.calls() + self.dice.between(1, 60));
                Ok(())
            }
            Step::ArmFault => {
                let kind = *self.dice.pick(&[FaultKind::Io, FaultKind::Full]);
                let operation =
                    *self.dice.pick(&[Operation::Write, Operation::Sync, Operation::Rename]);
                let fault = Fault::new(kind).on(operation).after(self.dice.below(8));
                self.disk.inject(fault);
                Ok(())
            }
        }
    }

    /// A client that got no answer asks again.
    fn repeat(&mut self, call: Call) -> Checked<()> {
        call.check(&self.life.namespace)?;
        if call.is_made() {
            self.summary.repeats += 1;
            return Ok(());
        }
        self.summary.redone += 1;
        self.change_as(call)
    }

    /// Plans, checks that planning changed nothing, and applies.
    fn change_as(&mut self, call: Call) -> Checked<()> {
        let (request, who) = (&call.request, &call.who);
        let namespace = Arc::clone(&self.life.namespace);
        let applied = namespace.applied();
        let planned = namespace.plan(request, &self.requests.context(UnixMillis(self.now), who));
        if self.dice.chance(5) && namespace.state_hash() != self.hashes[&applied] {
            return Err(format!("planning {request:?} changed the tree"));
        }
        let mut plan = match planned {
            Ok(plan) => plan,
            Err(refusal) => {
                self.summary.refusals += 1;
                if refusal.seen > applied || refusal.code() == Code::Internal {
                    return Err(format!("{request:?} was refused with {refusal:?} at {applied}"));
                }
                self.repeats.note(&self.dice, call, None);
                return Ok(());
            }
        };
        let before = files_of(&namespace);
        plan.remember(call.operation);
        let Some(entry) = entry_of(&plan) else { return Ok(()) };
        self.note(&format!("  {entry:?}"));
        let seq = self.life.apply(&entry);
        self.waiting.push_back((seq, entry));
        self.hashes.insert(seq, namespace.state_hash());
        self.summary.changes += 1;
        check_outcome(&namespace, &plan, &before).map_err(|what| format!("{request:?}: {what}"))?;
        self.repeats.note(&self.dice, call, Some((plan.answer(), seq)));
        Ok(())
    }

    /// Writes what waits to the journal. A journal that fails ends the life.
    fn flush(&mut self) -> Checked<()> {
        match self.life.flush() {
            Ok(last) => {
                self.summary.committed += last.0 - self.committed.0;
                self.commit(last)
            }
            Err(error) => {
                self.note(&format!("  no flush: {error}"));
                self.summary.disk_failures += 1;
                if self.dice.chance(50) {
                    self.note("  the machine goes");
                    self.disk.crash();
                } else {
                    self.note("  the process ends");
                    self.disk = self.disk.fork(self.dice.seed());
                }
                self.start()
            }
        }
    }

    /// Everything up to `last` is durable.
    fn commit(&mut self, last: JournalSeq) -> Checked<()> {
        while let Some((seq, _)) = self.waiting.front()
            && *seq <= last
            && let Some((seq, entry)) = self.waiting.pop_front()
        {
            self.durable.apply(seq, &entry);
        }
        self.committed = last;
        if self.durable.state_hash() != self.hashes[&last] {
            return Err(format!("a standby at {last} has another tree than the primary had"));
        }
        self.repeats.check(&self.durable)?;
        self.hashes.retain(|seq, _| *seq >= last);
        Ok(())
    }

    /// A new process on the disk as it is.
    fn start(&mut self) -> Checked<()> {
        let (applied, segment_bytes) = (self.life.namespace.applied(), self.life.segment_bytes());
        let mut attempts = 0;
        let (life, recovered) = loop {
            if self.dice.chance(20) && attempts < 5 {
                self.disk.end_power_at(self.disk.calls() + self.dice.between(1, 30));
            }
            match Life::start(&self.disk, segment_bytes, self.life.term().0 + 1 + attempts) {
                Ok(started) => break started,
                Err(error) if attempts >= 6 => {
                    return Err(format!("no start on a disk that works: {error}"));
                }
                Err(error) => {
                    self.note(&format!("  no start: {error}"));
                    self.disk.crash();
                }
            }
            attempts += 1;
        };
        self.note(&format!("  {recovered:?}"));
        let last = recovered.last;
        if last < self.committed || last > applied {
            let committed = self.committed;
            return Err(format!("durable up to {committed}, applied {applied}, found {last}"));
        }
        let hash = life.namespace.state_hash();
        if hash != self.hashes[&last] {
            return Err(format!("the tree that was recovered at {last} is not the one that was"));
        }
        life.namespace.check_invariants()?;
        self.repeats.forget_after(last);
        self.repeats.check(&life.namespace)?;
        if let Some(found) = &recovered.checkpoint {
            self.summary.starts_from_checkpoint += 1;
            if self.checkpoints.get(&found.at) != Some(&found.state_hash.hash) {
                return Err(format!("checkpoint {found:?} was never finished"));
            }
        }
        self.life = life;
        self.disk.clear_faults();
        self.summary.lost += applied.0 - last.0;
        self.commit(last)?;
        self.waiting.clear();
        self.hashes.retain(|seq, _| *seq <= last);
        Ok(())
    }

    /// Asks the live tree; compares with the durable one when the answer may leave.
    fn ask(&mut self) -> Checked<()> {
        let question = Question::random(&self.dice, &self.requests);
        let who = self.requests.caller(&self.dice);
        let context = self.requests.context(UnixMillis(self.now), &who);
        let (answer, seq) = question.ask(&self.life.namespace, &context);
        if seq > self.life.namespace.applied() {
            return Err(format!("{question:?} depends on {seq}, which is not there yet"));
        }
        if seq > self.committed {
            self.summary.held_back += 1;
            return Ok(());
        }
        self.summary.compared += 1;
        let (durable, _) = question.ask(&self.durable, &context);
        if answer != durable {
            let committed = self.committed;
            return Err(format!(
                "{question:?} by {} would leave at {seq} (durable: {committed}) with\n{answer}\n\
                 but the durable tree says\n{durable}",
                who.user
            ));
        }
        Ok(())
    }

    /// A step of the checkpoint that is being taken, or the begin of one.
    fn checkpoint(&mut self) -> Checked<()> {
        let namespace = Arc::clone(&self.life.namespace);
        let hint = self.dice.index(20) + 1;
        let hash = self.hashes.get(&namespace.applied()).copied().unwrap_or_default();
        // A checkpoint that fails leaves the journal as it was.
        if let Ok(Some((at, hash))) = self.life.step_checkpoint(self.committed, hash, hint) {
            self.summary.checkpoints += 1;
            self.checkpoints.insert(at, hash);
        } else if let Some((at, hash)) = self.life.take_doubtful_checkpoint() {
            // The name may have become durable although the call failed.
            self.checkpoints.insert(at, hash);
        }
        Ok(())
    }

    fn end(mut self) -> Result<Summary, String> {
        self.disk.clear_faults();
        self.flush()?;
        self.disk.crash();
        self.start()?;
        self.summary.state_hash = self.life.namespace.state_hash();
        Ok(self.summary)
    }
}

/// The one entry that a plan becomes, as the master makes it.
fn entry_of(plan: &Plan) -> Option<Entry> {
    match plan.entries.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(Entry::Group(many.to_vec())),
    }
}

fn files_of(namespace: &Arc<Namespace>) -> BTreeSet<InodeId> {
    questions::walk(namespace).filter(|status| !status.is_directory()).map(|s| s.id).collect()
}

/// What a plan said must be true now that it is applied.
fn check_outcome(
    namespace: &Arc<Namespace>,
    plan: &Plan,
    before: &BTreeSet<InodeId>,
) -> Checked<()> {
    match plan.outcome {
        Outcome::Inode { id, .. } => {
            namespace.status_by_id(id).map_err(|refusal| format!("{id}: {refusal}"))?;
        }
        Outcome::Mounted(id) => {
            namespace.mount_by_id(id).ok_or(format!("mount {id} is not in the table"))?;
        }
        Outcome::Loaded(summary) => {
            let id = summary.directory;
            namespace.status_by_id(id).map_err(|refusal| format!("{id}: {refusal}"))?;
        }
        Outcome::Done => {}
    }
    let after = files_of(namespace);
    let gone: BTreeSet<InodeId> = before.difference(&after).copied().collect();
    let named: BTreeSet<InodeId> = plan.removed.iter().copied().collect();
    if gone != named {
        return Err(format!("files {gone:?} went, and the plan named {named:?}"));
    }
    Ok(())
}
