//! What goes wrong in a run: which kinds at all, when, and when each is over.

use super::wire::MachineId;
use crate::dice::Dice;

/// A kind of accident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Kill,
    PowerCut,
    Pause,
    Partition,
    OneWay,
    Isolate,
    Slow,
    Break,
    LoseLease,
    Jump,
    SlowDisk,
    BadDisk,
    FullDisk,
    Stop,
}

impl Kind {
    /// What it is called in summaries.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Kill => "kill",
            Kind::PowerCut => "power-cut",
            Kind::Pause => "pause",
            Kind::Partition => "partition",
            Kind::OneWay => "one-way",
            Kind::Isolate => "isolation",
            Kind::Slow => "slow-link",
            Kind::Break => "broken-connection",
            Kind::LoseLease => "lost-lease",
            Kind::Jump => "clock-jump",
            Kind::SlowDisk => "slow-disk",
            Kind::BadDisk => "bad-disk",
            Kind::FullDisk => "full-disk",
            Kind::Stop => "stop",
        }
    }
}

/// All kinds.
const KINDS: [Kind; 14] = [
    Kind::Kill,
    Kind::PowerCut,
    Kind::Pause,
    Kind::Partition,
    Kind::OneWay,
    Kind::Isolate,
    Kind::Slow,
    Kind::Break,
    Kind::LoseLease,
    Kind::Jump,
    Kind::SlowDisk,
    Kind::BadDisk,
    Kind::FullDisk,
    Kind::Stop,
];

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
    /// Machines that accidents happen to, those that matter most more often.
    machines: Vec<MachineId>,
}

impl Plan {
    /// Some kinds, at some pace. Few kinds at a time reach states that many together never do.
    pub(super) fn of(dice: &Dice, machines: Vec<MachineId>) -> Self {
        let mut kinds: Vec<Kind> = KINDS.into_iter().filter(|_| dice.chance(40)).collect();
        if kinds.is_empty() {
            kinds.push(*dice.pick(&KINDS));
        }
        Plan { kinds, every_ms: *dice.pick(&[100, 300, 1000]), machines }
    }

    pub(super) fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// Milliseconds until the next one.
    pub(super) fn pause(&self, dice: &Dice) -> u64 {
        1 + dice.below(2 * self.every_ms)
    }

    pub(super) fn next(&self, dice: &Dice) -> Accident {
        let one = *dice.pick(&self.machines);
        let two = *dice.pick(&self.machines);
        // Mostly short: many a bug needs an accident that is over before anybody notices.
        let longest = *dice.pick(&[50, 400, 1500, 6000]);
        Accident {
            kind: *dice.pick(&self.kinds),
            one,
            two,
            lasts_ms: 1 + dice.below(longest),
            amount: dice.seed(),
        }
    }
}
