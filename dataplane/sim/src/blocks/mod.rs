//! A worker's block store on a disk that fails: blocks are written, read, evicted, pinned, moved;
//! files rot; the process is killed, the power goes.
//!
//! A block id names one content for ever, so a read has one right answer; no read at all is fine
//! only when something went wrong that the store cannot help.

mod held;

use crate::{Dice, Trace, Violation};
use alluxio_blockstore::{
    Allocator, BlockStore, ChunkCrcs, DirConfig, Error, EvictionOrder, Lookup, PinnedInodes,
    Placement, StoreConfig, TierConfig, Watermarks,
};
use alluxio_host::{Disk, Fault, FaultKind, MemoryDisk, Operation, SeededEntropy};
use alluxio_types::{BlockId, InodeId, MediumType, TierAlias};
use held::{Held, Writing};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

/// Files of a run, each with up to [`BLOCKS_PER_FILE`] blocks: few, so that they meet.
const FILES: u64 = 12;
const BLOCKS_PER_FILE: u64 = 3;

/// What a run did; a run that did nothing proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Blocks completed.
    pub commits: u64,
    /// Writes refused or given up.
    pub abandoned: u64,
    /// Reads that gave the right bytes.
    pub reads: u64,
    /// Reads that were refused.
    pub refused_reads: u64,
    /// Blocks removed to make room.
    pub evicted: u64,
    /// Blocks moved down to make room.
    pub demoted: u64,
    /// Blocks moved up.
    pub promoted: u64,
    /// Blocks dropped because a checksum failed.
    pub corrupt: u64,
    /// Times that the space was counted on the disk and agreed.
    pub counted: u64,
    /// Processes killed, the machine running on.
    pub kills: u64,
    /// Power cuts.
    pub power_cuts: u64,
    /// Blocks adopted at starts.
    pub adopted: u64,
    /// Bits that rotted.
    pub flipped: u64,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Write,
    Read,
    ReadHeld,
    Release,
    Remove,
    Pin,
    Promote,
    FreeAhead,
    CheckDirs,
    Rot,
    Fault,
    Count,
    Kill,
    PowerCut,
}

const STEPS: [(Step, u64); 14] = [
    (Step::Write, 60),
    (Step::Read, 40),
    (Step::ReadHeld, 20),
    (Step::Release, 25),
    (Step::Remove, 8),
    (Step::Pin, 4),
    (Step::Promote, 8),
    (Step::FreeAhead, 3),
    (Step::CheckDirs, 2),
    (Step::Rot, 2),
    (Step::Fault, 2),
    (Step::Count, 3),
    (Step::Kill, 2),
    (Step::PowerCut, 1),
];

struct World {
    dice: Dice,
    disk: MemoryDisk,
    config: StoreConfig,
    store: BlockStore,
    held: Held,
    pinned: BTreeSet<InodeId>,
    /// A file rotted, a call failed or the power went since the start: blocks may be missing, and
    /// files may be left that could not be removed.
    troubled: bool,
    summary: Summary,
}

type Checked<T> = Result<T, String>;

/// Runs a block store from one seed.
///
/// **Errors**: the first broken promise.
pub fn run(seed: u64, steps: u64, mut trace: Trace) -> Result<Summary, Violation> {
    let fail = |step, what| Violation { seed, step, what };
    let dice = Dice::new(seed);
    let weights = dice.mix(STEPS.map(|(_, weight)| weight));
    let mut world = World::new(dice).map_err(|what| fail(0, what))?;
    for step in 1..=steps {
        let chosen = STEPS[world.dice.weighted(&weights)].0;
        trace(&format!("{step} {chosen:?} ({} calls): {:?}", world.disk.calls(), world.summary));
        let done = world.step(chosen).and_then(|()| world.check_quotas());
        done.map_err(|what| fail(step, format!("{chosen:?}: {what}")))?;
    }
    world.end().map_err(|what| fail(steps, what))
}

fn random_config(dice: &Dice) -> StoreConfig {
    let mut config = StoreConfig::single("MEM", "/t0d0", 1);
    config.tiers = (0..dice.between(1, 3))
        .map(|tier| TierConfig {
            alias: TierAlias::new(["MEM", "SSD", "HDD"][usize::try_from(tier).unwrap_or(0)]),
            dirs: (0..dice.between(1, 2))
                .map(|dir| DirConfig {
                    path: PathBuf::from(format!("/t{tier}d{dir}")),
                    quota_bytes: dice.between(1, 5) * 40_000,
                    medium: MediumType("any".into()),
                })
                .collect(),
            watermarks: dice.chance(40).then_some(Watermarks { low: 0.5, high: 0.8 }),
        })
        .collect();
    config.allocator = *dice.pick(&[Allocator::MaxFree, Allocator::RoundRobin, Allocator::Greedy]);
    if dice.chance(50) {
        config.eviction = EvictionOrder::Lrfu { step_factor: 0.25, attenuation_factor: 2.0 };
    }
    config
}

/// The one content of a block.
pub(crate) fn content(block: BlockId) -> Vec<u8> {
    let dice = Dice::new(block.0);
    // Now and then none, or more than one chunk of a checksum.
    let length = match dice.below(10) {
        0 => 0,
        1 => dice.between(65_000, 70_000),
        _ => dice.between(1, 20_000),
    };
    let start = dice.seed();
    (0..length).map(|at| (start.rotate_left((at % 64) as u32) ^ at).to_le_bytes()[0]).collect()
}

impl World {
    fn new(dice: Dice) -> Checked<Self> {
        let disk = MemoryDisk::new(dice.seed());
        let config = random_config(&dice);
        let store = open(&config, &disk)?.0;
        Ok(World {
            dice,
            disk,
            config,
            store,
            held: Held::default(),
            pinned: BTreeSet::new(),
            troubled: false,
            summary: Summary::default(),
        })
    }

    fn any_block(&self) -> BlockId {
        let file = InodeId::from_container(self.dice.between(1, FILES));
        file.block(self.dice.below(BLOCKS_PER_FILE))
    }

    fn step(&mut self, step: Step) -> Checked<()> {
        match step {
            Step::Write => self.write(),
            Step::Read => self.read(),
            Step::ReadHeld => self.read_held(),
            Step::Release => {
                self.held.release_one(&self.dice);
                Ok(())
            }
            Step::Remove => {
                self.store.remove(self.any_block());
                Ok(())
            }
            Step::Pin => {
                let files = (1..=FILES).filter(|_| self.dice.chance(10));
                self.pinned = files.map(InodeId::from_container).collect();
                self.store.set_pinned(self.pinned.iter().copied().collect::<PinnedInodes>());
                Ok(())
            }
            Step::Promote => {
                let (block, tier) = (self.any_block(), self.dice.index(self.config.tiers.len()));
                let there = self.store.tier_of(block);
                match self.store.promote(block, tier) {
                    Ok(moved) if moved && there.is_none() => Err(format!("{block} moved unseen")),
                    Ok(_) => Ok(()),
                    Err(error) => self.tolerate(&error),
                }
            }
            Step::FreeAhead => {
                self.store.free_ahead();
                Ok(())
            }
            Step::CheckDirs => {
                let lost = self.store.check_dirs();
                let fine = self.troubled || lost.is_empty();
                if fine { Ok(()) } else { Err(format!("{lost:?} on a disk without faults")) }
            }
            Step::Rot => self.rot(),
            Step::Fault => {
                self.troubled = true;
                let kind = *self.dice.pick(&[FaultKind::Io, FaultKind::Full]);
                let operation = *self.dice.pick(&[
                    Operation::Write,
                    Operation::Open,
                    Operation::Rename,
                    Operation::Remove,
                    Operation::Read,
                ]);
                self.disk.inject(Fault::new(kind).on(operation).after(self.dice.below(6)));
                Ok(())
            }
            Step::Count => self.count(),
            Step::Kill => self.kill(),
            Step::PowerCut => {
                self.summary.power_cuts += 1;
                let end = self.disk.calls() + self.dice.between(1, 40);
                self.disk.end_power_at(end);
                self.troubled = true;
                // Work goes on until the power goes.
                for _ in 0..200 {
                    if self.disk.calls() >= end {
                        break;
                    }
                    let _ = self.write();
                }
                self.held.forget();
                self.disk.crash();
                self.start()
            }
        }
    }

    /// An error is fine when something is wrong with the disk, or when it says what the caller
    /// has to expect at any time.
    fn tolerate(&self, error: &Error) -> Checked<()> {
        let expected = matches!(
            error,
            Error::NoBlock { .. }
                | Error::AlreadyStored { .. }
                | Error::AlreadyFilling { .. }
                | Error::Removed { .. }
                | Error::Moving { .. }
                | Error::NoSpace { .. }
                | Error::NoTier { .. }
        );
        if expected || self.troubled { Ok(()) } else { Err(format!("unexpected: {error}")) }
    }

    /// Begins a block, goes on with one, or completes one.
    fn write(&mut self) -> Checked<()> {
        if let Some(writing) = self.held.take_writing(&self.dice) {
            let further = self.go_on(writing)?;
            self.held.writing.extend(further);
            return Ok(());
        }
        let block = self.any_block();
        let bytes = content(block);
        let reserve = if self.dice.chance(50) { bytes.len() as u64 } else { 1000 };
        let placement = match self.dice.below(3) {
            0 => Placement::AnyTier,
            1 => Placement::TOP,
            _ => Placement::Tier(self.dice.index(self.config.tiers.len())),
        };
        let pinned = self.pinned_here();
        match self.store.create(block, reserve, placement) {
            Ok(temp) => {
                let mut writing = Writing { temp, bytes, done: 0 };
                if self.dice.chance(60) {
                    // In one go.
                    while let Some(further) = self.go_on(writing)? {
                        writing = further;
                    }
                } else {
                    self.held.writing.push(writing);
                }
            }
            Err(error) => {
                self.summary.abandoned += 1;
                self.tolerate(&error)?;
            }
        }
        self.check_pinned(&pinned)
    }

    /// Writes a part, or completes, or gives up. Returns what is not at its end.
    fn go_on(&mut self, mut writing: Writing) -> Checked<Option<Writing>> {
        let (block, left) = (writing.temp.block(), writing.bytes.len() - writing.done);
        if left > 0 && self.dice.chance(95) {
            let some = if self.dice.chance(50) { left } else { self.dice.index(left) + 1 };
            let part = &writing.bytes[writing.done..writing.done + some];
            if let Err(error) = writing.temp.write_at(part, writing.done as u64) {
                self.summary.abandoned += 1;
                return self.tolerate(&error).map(|()| None);
            }
            writing.done += some;
            writing.temp.advance(writing.done as u64);
            return Ok(Some(writing));
        }
        if left > 0 || self.dice.chance(5) {
            // Given up: the temporary file goes with the value.
            self.summary.abandoned += 1;
            return Ok(None);
        }
        let Writing { temp, bytes, .. } = writing;
        match temp.commit(bytes.len() as u64, &ChunkCrcs::of(&bytes)) {
            Ok(_) => {
                self.summary.commits += 1;
                if !self.troubled && !self.store.contains(block) {
                    return Err(format!("{block} is not there after its commit"));
                }
                Ok(None)
            }
            Err(error) => {
                self.summary.abandoned += 1;
                self.tolerate(&error).map(|()| None)
            }
        }
    }

    /// Blocks of pinned files that are here now.
    fn pinned_here(&self) -> Vec<BlockId> {
        let blocks =
            self.pinned.iter().flat_map(|file| (0..BLOCKS_PER_FILE).map(|index| file.block(index)));
        blocks.filter(|block| self.store.contains(*block)).collect()
    }

    fn check_pinned(&self, before: &[BlockId]) -> Checked<()> {
        match before.iter().find(|block| !self.store.contains(**block)) {
            Some(block) if !self.troubled => Err(format!("pinned block {block} made room")),
            _ => Ok(()),
        }
    }

    fn read(&mut self) -> Checked<()> {
        let block = self.any_block();
        let lease = match self.store.lookup(block) {
            Ok(Lookup::Absent) => return Ok(()),
            Ok(Lookup::Filling(reader)) => {
                self.held.check_filling(&reader, &self.dice)?;
                return Ok(());
            }
            Ok(Lookup::Committed(lease)) => Ok(lease),
            Ok(Lookup::Unverified(lease)) => lease.verify(),
            Err(error) => Err(error),
        };
        match lease {
            Ok(lease) => {
                if self.held.check_lease(&lease, &self.dice, self.troubled)? {
                    self.summary.reads += 1;
                } else {
                    self.summary.refused_reads += 1;
                }
                if self.dice.chance(30) {
                    self.held.leases.push(lease);
                }
                Ok(())
            }
            Err(error) => {
                self.summary.refused_reads += 1;
                self.tolerate(&error)
            }
        }
    }

    fn read_held(&mut self) -> Checked<()> {
        if self.held.leases.is_empty() {
            return Ok(());
        }
        let at = self.dice.index(self.held.leases.len());
        let good = self.held.check_lease(&self.held.leases[at], &self.dice, self.troubled)?;
        self.summary.reads += u64::from(good);
        self.summary.refused_reads += u64::from(!good);
        Ok(())
    }

    fn block_files(&self) -> Checked<Vec<PathBuf>> {
        let mut files = Vec::new();
        for dir in self.config.tiers.iter().flat_map(|tier| &tier.dirs) {
            let root = dir.path.join("alluxioworker");
            let names = self.disk.list(&root).map_err(|error| error.to_string())?;
            let blocks = names.into_iter().filter(|name| name.parse::<u64>().is_ok());
            files.extend(blocks.map(|name| root.join(name)));
        }
        Ok(files)
    }

    /// One bit of one block file turns.
    fn rot(&mut self) -> Checked<()> {
        let files = self.block_files().unwrap_or_default();
        if files.is_empty() {
            return Ok(());
        }
        let path = self.dice.pick(&files);
        let length = self.disk.facts(path).map_or(0, |facts| facts.length);
        if length > 0 {
            self.troubled = true;
            self.summary.flipped += 1;
            self.disk.flip_bit(path, self.dice.below(length * 8)).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    /// At rest, what is accounted is what is stored.
    fn count(&mut self) -> Checked<()> {
        if self.troubled {
            return Ok(());
        }
        self.held.forget();
        self.compare_with_disk()
    }

    fn compare_with_disk(&mut self) -> Checked<()> {
        let usage = self.store.usage();
        for dir in &usage.dirs {
            let root = dir.path.join("alluxioworker");
            let files = self.block_files()?;
            let here = files.iter().filter(|path| path.starts_with(&root));
            let stored: u64 =
                here.map(|path| self.disk.facts(path).map_or(0, |facts| facts.length)).sum();
            if stored != dir.used_bytes {
                let (path, used) = (dir.path.display(), dir.used_bytes);
                return Err(format!("{path}: {used} bytes accounted, {stored} stored"));
            }
            let temps = self.disk.list(&root.join(".tmp_blocks")).map_err(|e| e.to_string())?;
            if !temps.is_empty() {
                return Err(format!("{}: temporary files {temps:?}", dir.path.display()));
            }
        }
        self.summary.counted += 1;
        Ok(())
    }

    /// Whatever happens, no directory holds more than it may.
    fn check_quotas(&self) -> Checked<()> {
        let usage = self.store.usage();
        match usage.dirs.iter().find(|dir| dir.used_bytes > dir.capacity_bytes) {
            Some(dir) => Err(format!("more than the quota: {dir:?}")),
            None => Ok(()),
        }
    }

    /// The process dies; what it wrote is there.
    fn kill(&mut self) -> Checked<()> {
        self.summary.kills += 1;
        let after = self.disk.fork(self.dice.seed());
        self.held.forget();
        self.disk = after;
        self.start()
    }

    /// Adds up what the store of this life counted.
    fn tally(&mut self) {
        let stats = self.store.stats();
        self.summary.evicted += stats.evicted.get();
        self.summary.demoted += stats.demoted.get();
        self.summary.promoted += stats.promoted.get();
        self.summary.corrupt += stats.corrupt.get();
    }

    fn start(&mut self) -> Checked<()> {
        self.tally();
        let (store, adopted) = open(&self.config, &self.disk)?;
        self.store = store;
        self.pinned.clear();
        self.summary.adopted += adopted;
        // From here on the disk works, and rotten blocks are found when they are read.
        let rotten = std::mem::replace(&mut self.troubled, false);
        self.compare_with_disk()?;
        if rotten {
            self.weed_out();
        }
        Ok(())
    }

    /// Reads every block once, so that those that rotted or were torn are dropped.
    fn weed_out(&mut self) {
        for file in (1..=FILES).map(InodeId::from_container) {
            for block in (0..BLOCKS_PER_FILE).map(|index| file.block(index)) {
                if let Ok(Lookup::Unverified(lease)) = self.store.lookup(block) {
                    self.summary.refused_reads += u64::from(lease.verify().is_err());
                }
            }
        }
    }

    fn end(mut self) -> Result<Summary, String> {
        self.disk.clear_faults();
        self.kill()?;
        for _ in 0..20 {
            self.read()?;
        }
        self.held.forget();
        self.compare_with_disk()?;
        self.tally();
        Ok(self.summary)
    }
}

fn open(config: &StoreConfig, disk: &MemoryDisk) -> Checked<(BlockStore, u64)> {
    let entropy = SeededEntropy::new(1);
    let (store, report) = BlockStore::open(config.clone(), Arc::new(disk.clone()), &entropy)
        .map_err(|error| format!("no start on a disk that works: {error}"))?;
    if !store.usage().lost_dirs.is_empty() {
        return Err(format!("lost at start on a disk that works: {:?}", store.usage().lost_dirs));
    }
    Ok((store, report.adopted_blocks))
}
