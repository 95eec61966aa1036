//! A machine: a tokio runtime whose clock stands still unless it is told to move, with a network card,
//! a disk and threads of its own.
//!
//! The world moves each machine forward step by step. One that is paused is not moved; when it goes on,
//! its clock has moved all the same. One that crashes loses its runtime, and with it every task.

use super::turns::{Crew, Turns};
use super::wire::{MachineId, Nic, Wire};
use alluxio_host::{Clock, Host, MemoryDisk, SeededEntropy};
use alluxio_types::UnixMillis;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::Instant;

/// The world begins on 21 November 2026.
const EPOCH_MS: u64 = 1_795_219_200_000;

/// The clocks of one life of a machine.
pub(super) struct MachineClock {
    /// The instant of its start, of the runtime's own clock.
    start: Instant,
    /// Milliseconds that it has come to, for those who ask from outside.
    reached: AtomicU64,
    /// Of the wall clock, at the start.
    wall: AtomicI64,
}

impl Clock for MachineClock {
    fn monotonic(&self) -> Duration {
        match Handle::try_current() {
            Ok(_) => Instant::now().saturating_duration_since(self.start),
            Err(_) => Duration::from_millis(self.reached.load(Ordering::SeqCst)),
        }
    }

    fn now(&self) -> UnixMillis {
        let wall = i64::try_from(EPOCH_MS).unwrap_or_default() + self.wall.load(Ordering::SeqCst);
        let passed = u64::try_from(self.monotonic().as_millis()).unwrap_or_default();
        UnixMillis(u64::try_from(wall).unwrap_or_default() + passed)
    }
}

/// A machine, on or off.
pub(super) struct Machine {
    pub(super) id: MachineId,
    wire: Wire,
    crew: Crew,
    pub(super) disk: MemoryDisk,
    /// Chance of its processes.
    seeds: SeededEntropy,
    /// How much faster its clock runs, in millionths.
    pub(super) drift_ppm: i64,
    /// How far its wall clock is off, in milliseconds.
    wall_off_ms: i64,
    /// How long work on its disk takes to begin, in milliseconds.
    disk_ms: Arc<AtomicU64>,
    life: Option<Life>,
}

/// A process on a machine.
struct Life {
    runtime: Runtime,
    clock: Arc<MachineClock>,
    host: Host,
    /// Milliseconds of the world at its start.
    born: u64,
    paused: bool,
}

impl Machine {
    pub(super) fn new(id: MachineId, wire: &Wire, crew: &Crew, seed: u64) -> Self {
        use alluxio_host::Entropy;
        let seeds = SeededEntropy::new(seed);
        Machine {
            id,
            wire: wire.clone(),
            crew: crew.clone(),
            disk: MemoryDisk::new(seeds.next_u64()),
            seeds,
            drift_ppm: 0,
            wall_off_ms: 0,
            disk_ms: Arc::default(),
            life: None,
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.life.is_some()
    }

    pub(super) fn is_paused(&self) -> bool {
        self.life.as_ref().is_some_and(|life| life.paused)
    }

    /// Its clock, while it is on.
    pub(super) fn clock(&self) -> Option<Arc<MachineClock>> {
        self.life.as_ref().map(|life| life.clock.clone())
    }

    /// Begins a life at `now`; `process` makes what it does of its ports.
    pub(super) fn boot<F>(&mut self, now: u64, process: impl FnOnce(Host) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        use alluxio_host::Entropy;
        let built = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = built.expect("a runtime without threads and sockets needs nothing");
        let start = runtime.block_on(async { Instant::now() });
        let wall = i64::try_from(now).unwrap_or_default() + self.wall_off_ms;
        let clock = Arc::new(MachineClock {
            start,
            reached: AtomicU64::new(0),
            wall: AtomicI64::new(wall),
        });
        let slow = self.disk_ms.clone();
        let delay = Arc::new(move || Duration::from_millis(slow.load(Ordering::SeqCst)));
        let host = Host {
            clock: clock.clone(),
            entropy: Arc::new(SeededEntropy::new(self.seeds.next_u64())),
            disk: Arc::new(self.disk.clone()),
            net: Arc::new(Nic { wire: self.wire.clone(), machine: self.id }),
            threads: Arc::new(Turns { crew: self.crew.clone(), delay }),
        };
        self.wire.plug_in(self.id);
        runtime.spawn(process(host.clone()));
        self.life = Some(Life { runtime, clock, host, born: now, paused: false });
    }

    /// Another task of the process that runs.
    pub(super) fn spawn<F>(&self, task: impl FnOnce(Host) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if let Some(life) = &self.life {
            life.runtime.spawn(task(life.host.clone()));
        }
    }

    /// Moves on to `now`, at the machine's own speed. One that is not `awake` does nothing yet: its tasks
    /// catch up, in the order of their own time, when it is moved next.
    pub(super) fn step(&mut self, now: u64, awake: bool) {
        let drift_ppm = self.drift_ppm;
        let Some(life) = self.life.as_mut() else { return };
        let target = local(now - life.born, drift_ppm);
        let reached = life.clock.reached.load(Ordering::SeqCst);
        if target > reached {
            if awake && !life.paused {
                let until = life.clock.start + Duration::from_millis(target);
                life.runtime.block_on(async move { tokio::time::sleep_until(until).await });
            }
            life.clock.reached.store(target, Ordering::SeqCst);
        }
    }

    /// Stops its processes where they are.
    pub(super) fn pause(&mut self) {
        if let Some(life) = &mut self.life {
            life.paused = true;
        }
    }

    /// Lets them go on, at the time that it is now: all that was due meanwhile is due at once.
    pub(super) fn go_on(&mut self) {
        let Some(life) = self.life.as_mut().filter(|life| life.paused) else { return };
        life.paused = false;
        let until = Duration::from_millis(life.clock.reached.load(Ordering::SeqCst));
        let start = life.clock.start;
        life.runtime.block_on(async {
            let missed = until.saturating_sub(Instant::now().saturating_duration_since(start));
            tokio::time::advance(missed).await;
        });
    }

    /// Moves the wall clock.
    pub(super) fn jump(&mut self, by_ms: i64) {
        self.wall_off_ms += by_ms;
        if let Some(life) = &self.life {
            life.clock.wall.fetch_add(by_ms, Ordering::SeqCst);
        }
    }

    /// Makes work on its disk take longer.
    pub(super) fn slow_disk(&self, by_ms: u64) {
        self.disk_ms.store(by_ms, Ordering::SeqCst);
    }

    /// Lets the power go during one of the disk's next calls.
    pub(super) fn arm(&self, in_calls: u64) {
        self.disk.end_power_at(self.disk.calls() + in_calls);
    }

    /// Takes that back, if it has not happened yet.
    pub(super) fn disarm(&self) {
        if !self.disk.power_has_ended() {
            self.disk.end_power_at(u64::MAX);
        }
    }

    /// Kills the process, as SIGKILL does: the kernel closes its connections, and its disk keeps all that
    /// was written.
    pub(super) fn kill(&mut self) {
        use alluxio_host::Entropy;
        self.wire.close_all(self.id);
        self.end();
        // Work that was under way has the old disk's locks for ever.
        self.disk = self.disk.fork(self.seeds.next_u64());
    }

    /// Cuts the power: nobody is told, and the disk keeps what was synced, with any part of the rest.
    pub(super) fn cut_power(&mut self) {
        use alluxio_host::Entropy;
        self.wire.unplug(self.id);
        self.end();
        self.disk.crash();
        self.disk = self.disk.fork(self.seeds.next_u64());
    }

    fn end(&mut self) {
        if let Some(life) = self.life.take() {
            let runtime = life.runtime.handle().clone();
            let _entered = runtime.enter();
            drop(life);
        }
    }
}

/// Milliseconds that a drifting clock counts in so many of the world.
fn local(passed: u64, drift_ppm: i64) -> u64 {
    let (passed, rate) = (i128::from(passed), i128::from(1_000_000 + drift_ppm));
    u64::try_from(passed * rate / 1_000_000).unwrap_or_default()
}
