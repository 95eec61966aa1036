//! What goes wrong in a run: which kinds at all, when, and when each is over.

use super::wire::MachineId;
use crate::dice::Dice;

/// A kind of accident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// SIGKILL: connections are closed, the disk keeps what was written.
    Kill,
    /// SIGTERM: a master makes what is queued durable and resigns.
    Stop,
    /// The primary is asked to hand over to another master.
    HandOver,
    /// A master is away for longer than most leases, and the journal is compacted meanwhile: its process
    /// is gone, or stands still, or nobody can reach it.
    Away,
    /// Nobody is told, the disk keeps what was synced and any part of the rest.
    PowerCut,
    /// The same, in the middle of what the machine does with its disk.
    PowerCutInWrite,
    Pause,
    Partition,
    OneWay,
    Isolate,
    Slow,
    Break,
    LoseLease,
    /// Some clients are cut off from the primary, and look for another.
    Estrange,
    /// Then it loses its lease and does not hear of it, while the other clients still ask it.
    Depose,
    Jump,
    SlowDisk,
    BadDisk,
    FullDisk,
    /// A disk forgets what it said was synced.
    Lie,
}

/// Kinds that may come in any company.
const KINDS: [Kind; 18] = [
    Kind::Kill,
    Kind::Stop,
    Kind::HandOver,
    Kind::Away,
    Kind::PowerCut,
    Kind::PowerCutInWrite,
    Kind::Pause,
    Kind::Partition,
    Kind::OneWay,
    Kind::Isolate,
    Kind::Slow,
    Kind::Break,
    Kind::LoseLease,
    Kind::Estrange,
    Kind::Jump,
    Kind::SlowDisk,
    Kind::BadDisk,
    Kind::FullDisk,
];

/// Kinds that come beside a disk that lies: with it, no other master may be away, for then the liar alone
/// holds what the journal has dropped, and nothing can make up for its loss.
const BESIDE_A_LIAR: [Kind; 5] =
    [Kind::HandOver, Kind::LoseLease, Kind::Break, Kind::Jump, Kind::SlowDisk];

impl Kind {
    /// What it is called in summaries.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Kill => "kill",
            Kind::Stop => "clean-stop",
            Kind::HandOver => "hand-over",
            Kind::Away => "long-absence",
            Kind::PowerCut => "power-cut",
            Kind::PowerCutInWrite => "power-cut-in-write",
            Kind::Pause => "pause",
            Kind::Partition => "partition",
            Kind::OneWay => "one-way-partition",
            Kind::Isolate => "isolation",
            Kind::Slow => "slow-link",
            Kind::Break => "broken-connection",
            Kind::LoseLease => "lost-lease",
            Kind::Estrange => "estrangement",
            Kind::Depose => "unheard-deposition",
            Kind::Jump => "clock-jump",
            Kind::SlowDisk => "slow-disk",
            Kind::BadDisk => "bad-disk",
            Kind::FullDisk => "full-disk",
            Kind::Lie => "lost-sync",
        }
    }

    /// Whether it only happens to masters. Of all machines only they have something on their disks.
    fn is_of_masters(self) -> bool {
        use Kind::*;
        matches!(self, Away | HandOver | PowerCutInWrite | SlowDisk | BadDisk | FullDisk | Lie)
    }
}

/// An accident: what, to which machines, for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Accident {
    pub(super) kind: Kind,
    pub(super) one: MachineId,
    pub(super) two: MachineId,
    pub(super) lasts_ms: u64,
    /// How much, for kinds that have an amount.
    pub(super) amount: u64,
}

/// The accidents of a run.
pub(super) struct Plan {
    kinds: Vec<Kind>,
    /// Mean time between two, in milliseconds.
    every_ms: u64,
    masters: Vec<MachineId>,
    /// The master whose disk lies, in runs with one that does.
    liar: Option<MachineId>,
    /// Machines that accidents happen to, those that matter most more often.
    machines: Vec<MachineId>,
}

impl Plan {
    /// Some kinds, at some pace. Few kinds at a time reach states that many together never do.
    pub(super) fn of(dice: &Dice, machines: usize, masters: &[MachineId]) -> Self {
        let liar = (masters.len() > 1 && dice.chance(10)).then(|| *dice.pick(masters));
        let all: &[Kind] = if liar.is_some() { &BESIDE_A_LIAR } else { &KINDS };
        let percent = *dice.pick(&[15, 40]);
        let mut kinds: Vec<Kind> = all.iter().copied().filter(|_| dice.chance(percent)).collect();
        if kinds.is_empty() {
            kinds.push(*dice.pick(all));
        }
        kinds.extend(liar.map(|_| Kind::Lie));
        let machines = (0..machines).chain(masters.iter().chain(masters).copied()).collect();
        let every_ms = *dice.pick(&[100, 300, 1000]);
        Plan { kinds, every_ms, masters: masters.to_vec(), liar, machines }
    }

    /// Milliseconds that accidents happen in.
    pub(super) fn lasts_ms(&self, dice: &Dice) -> u64 {
        match self.kinds.contains(&Kind::Away) {
            // Who was away also comes back, mostly.
            true => 8_000,
            false => *dice.pick(&[1_500, 3_000, 6_000]),
        }
    }

    pub(super) fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// Milliseconds until the next one.
    pub(super) fn pause(&self, dice: &Dice) -> u64 {
        1 + dice.below(2 * self.every_ms)
    }

    pub(super) fn next(&self, dice: &Dice) -> Accident {
        let kind = *dice.pick(&self.kinds);
        let one = match (kind, self.liar) {
            (Kind::Lie, Some(liar)) => liar,
            _ if kind.is_of_masters() => *dice.pick(&self.masters),
            _ => *dice.pick(&self.machines),
        };
        // Mostly short: many a bug needs an accident that is over before anybody notices.
        let longest = *dice.pick(&[50, 400, 1500, 6000]);
        let lasts_ms = match kind {
            Kind::Away => dice.between(3500, 6500),
            Kind::Estrange => dice.between(100, 1500),
            _ => 1 + dice.below(longest),
        };
        Accident { kind, one, two: *dice.pick(&self.machines), lasts_ms, amount: dice.seed() }
    }
}
