//! Carrying out what goes wrong, and ending it.

use super::faults::{Accident, Kind};
use super::wire::MachineId;
use super::worker::Shelf;
use super::world::{Checked, ETCD, World};
use alluxio_host::{Fault, FaultKind, Operation as DiskCall};

/// The furthest jump of a wall clock, in milliseconds: an hour.
const JUMP_MS: u64 = 3_600_000;
/// How long a primary that was deposed does not hear of it: longer than it may answer.
const UNHEARD_MS: u64 = 600;

impl World {
    /// Lets accidents happen for so long.
    pub(super) fn accidents(&mut self, for_ms: u64) -> Checked {
        let end = self.now + for_ms;
        let mut next = self.now + self.plan.pause(&self.dice);
        tracing::info!(kinds = ?self.plan.kinds(), "accidents begin");
        while self.now < end {
            self.step()?;
            self.tend();
            while let Some(entry) = self.ends.first_entry().filter(|e| e.key().0 <= self.now) {
                let accident = entry.remove();
                self.undo(&accident);
            }
            if self.now >= next {
                next = self.now + self.plan.pause(&self.dice);
                let accident = self.plan.next(&self.dice);
                self.begin_accident(accident);
            }
        }
        Ok(())
    }

    fn begin_accident(&mut self, accident: Accident) {
        tracing::info!(?accident, "happens");
        self.summary.accidents += 1;
        let (now, number) = (self.now, self.summary.accidents);
        if let Some(happened) = self.happen(accident) {
            *self.summary.met.entry(happened.kind.name()).or_default() += 1;
            self.ends.insert((now + happened.lasts_ms, number), happened);
        }
    }

    /// Lets it happen; `None` when there is nothing that it could happen to.
    fn happen(&mut self, accident: Accident) -> Option<Accident> {
        let Accident { kind, one, two, amount, .. } = accident;
        let on = self.machines[one].is_on() && !self.machines[one].is_paused();
        match kind {
            Kind::Kill | Kind::Away | Kind::PowerCut | Kind::Stop | Kind::Pause if !on => {
                return None;
            }
            Kind::Kill => self.kill(one),
            Kind::Away => match amount % 3 {
                0 => self.kill(one),
                1 => self.machines[one].pause(),
                _ => self.isolate(one, true),
            },
            Kind::Stop => self.stop(one),
            Kind::HandOver => self.ask_to_hand_over(one),
            Kind::PowerCut => self.cut_power(one),
            Kind::PowerCutInWrite => self.machines[one].arm(1 + amount % 40),
            Kind::Pause => self.machines[one].pause(),
            Kind::Partition => self.part(one, two, true),
            Kind::OneWay => self.wire.cut(one, two, true),
            Kind::Isolate => self.isolate(one, true),
            Kind::Slow => self.wire.slow(one, two, amount % 800),
            Kind::Break => self.wire.break_between(one, two),
            Kind::LoseLease => self.etcd.lose_leader(),
            Kind::Estrange => {
                let one = self.primary().filter(|_| self.settings.masters.len() > 1)?;
                self.estrange(one, amount, true);
                return Some(Accident { one, ..accident });
            }
            Kind::Depose => {
                // Its confirmations do not get there, or the answers do not come back.
                let (from, to) = if amount % 2 == 0 { (one, ETCD) } else { (ETCD, one) };
                self.wire.cut(from, to, true);
                self.etcd.lose_leader();
            }
            Kind::Jump => {
                let jump = i64::try_from(amount % (2 * JUMP_MS)).unwrap_or_default();
                self.machines[one].jump(jump - i64::try_from(JUMP_MS).unwrap_or_default());
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
            Kind::Lie => self.machines[one].disk.lie_about_syncs(true),
        }
        Some(accident)
    }

    fn undo(&mut self, accident: &Accident) {
        let Accident { kind, one, two, amount, .. } = *accident;
        match kind {
            Kind::Kill | Kind::PowerCut => self.boot(one),
            Kind::Away => match amount % 3 {
                0 => self.boot(one),
                1 => self.machines[one].go_on(),
                _ => self.isolate(one, false),
            },
            Kind::Stop => {
                // Patience is over: SIGKILL, should it still be there.
                if self.machines[one].is_on() && !self.machines[one].is_paused() {
                    self.kill(one);
                }
                self.boot(one);
            }
            Kind::PowerCutInWrite => {
                self.machines[one].disarm();
                self.boot(one);
            }
            Kind::Pause => self.machines[one].go_on(),
            Kind::Partition => self.part(one, two, false),
            Kind::OneWay => self.wire.cut(one, two, false),
            Kind::Isolate => self.isolate(one, false),
            Kind::Slow => self.wire.slow(one, two, 0),
            Kind::Estrange => {
                let next = Accident { kind: Kind::Depose, lasts_ms: UNHEARD_MS, ..*accident };
                self.begin_accident(next);
            }
            Kind::Depose => {
                self.part(one, ETCD, false);
                self.estrange(one, amount, false);
            }
            Kind::SlowDisk => self.machines[one].slow_disk(0),
            Kind::FullDisk => self.machines[one].disk.clear_faults(),
            Kind::Lie => {
                // What it forgot shows when the power goes.
                self.cut_power(one);
                self.machines[one].disk.lie_about_syncs(false);
                self.boot(one);
            }
            Kind::HandOver | Kind::Break | Kind::LoseLease | Kind::Jump | Kind::BadDisk => {}
        }
    }

    fn part(&self, one: MachineId, two: MachineId, cut: bool) {
        self.wire.cut(one, two, cut);
        self.wire.cut(two, one, cut);
    }

    fn isolate(&self, one: MachineId, cut: bool) {
        for other in (0..self.machines.len()).filter(|other| *other != one) {
            self.part(one, other, cut);
        }
    }

    /// Cuts those clients off from a master that the bits of `which` choose.
    fn estrange(&self, master: MachineId, which: u64, cut: bool) {
        for (bit, &client) in self.clients.keys().enumerate() {
            if which >> bit & 1 == 1 {
                self.part(client, master, cut);
            }
        }
    }

    fn stop(&mut self, one: MachineId) {
        match self.seen.get(&one) {
            Some(seen) => seen.stop(),
            None => self.kill(one),
        }
    }

    /// Lets a client ask for it.
    pub(super) fn ask_to_hand_over(&mut self, heir: MachineId) {
        let heir = self.settings.address(heir);
        let through = self.first_client();
        let client = self.client(through);
        self.machines[through].spawn(|host| client.hand_over(host, heir));
    }

    pub(super) fn kill(&mut self, id: MachineId) {
        self.forget(id);
        self.machines[id].kill();
    }

    pub(super) fn cut_power(&mut self, id: MachineId) {
        self.forget(id);
        self.dimmed.insert(id);
        self.machines[id].cut_power();
    }

    fn forget(&mut self, id: MachineId) {
        if let Some(seen) = self.seen.get(&id) {
            *self.summary.met.entry("checkpoint-given").or_default() += seen.checkpoints_given();
            seen.forget();
        }
        if let Some(client) = self.clients.get(&id) {
            client.forget();
        }
        if let Some(shelf) = self.cargo.shelves.get(&id) {
            shelf.forget();
        }
    }

    /// What a keeper of processes does, as Kubernetes would: masters that ended by themselves are started
    /// again, those that were told to stop when all is healed. Also cuts the power where a disk has lost it.
    pub(super) fn tend(&mut self) {
        let ended = |shelf: &Shelf| shelf.ended().is_some();
        let workers = self.cargo.shelves.iter().filter(|(_, shelf)| ended(shelf));
        for id in workers.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.kill(id);
            self.boot(id);
        }
        for id in self.settings.masters.clone() {
            let seen = &self.seen[&id];
            if let Some(reason) = seen.failed() {
                tracing::warn!(machine = id, reason, "is started again");
                self.kill(id);
                self.boot(id);
            } else if seen.stopped() {
                tracing::info!(machine = id, "has stopped in good order");
                self.kill(id);
                if self.healed {
                    self.boot(id);
                }
            } else if self.machines[id].is_on() && self.machines[id].disk.power_has_ended() {
                self.cut_power(id);
            }
        }
    }

    /// Ends all accidents.
    pub(super) fn heal(&mut self) {
        tracing::info!("all is healed");
        self.healed = true;
        self.ends.clear();
        self.wire.heal();
        for id in 0..self.machines.len() {
            let machine = &mut self.machines[id];
            machine.slow_disk(0);
            machine.disarm();
            machine.disk.clear_faults();
            machine.disk.lie_about_syncs(false);
            machine.go_on();
            self.boot(id);
        }
        self.tend();
    }
}
