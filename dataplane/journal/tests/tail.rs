//! A secondary reads along and writes checkpoints, while the primary writes, is killed, and loses power.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use alluxio_host::{Entropy, Host, ManualClock, MemoryDisk, SeededEntropy};
use alluxio_journal::folder::{FolderLog, FolderTail, format};
use alluxio_journal::{EntryBatch, JournalError, Replay, StateDigest};
use alluxio_types::{CheckpointRecord, Entry, InodeId, JournalSeq, Term, UnixMillis};
use std::path::Path;
use std::sync::Arc;

const FOLDER: &str = "/var/journal";
const SEGMENT_BYTES: u64 = 1024;

fn host(disk: &MemoryDisk) -> Host {
    Host {
        clock: Arc::new(ManualClock::at(UnixMillis(1_700_000_000_000))),
        entropy: Arc::new(SeededEntropy::new(1)),
        disk: Arc::new(disk.clone()),
        ..Host::real()
    }
}

/// A state that knows every entry that led to it, and their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Chain {
    last: u64,
    state: u64,
}

impl Chain {
    fn add(&mut self, seq: u64, entry: &Entry) {
        let Entry::Delete { id, .. } = entry else { panic!("{entry:?}") };
        assert_eq!(seq, self.last + 1, "positions grow by one");
        let mixed = (self.state.rotate_left(7) ^ id.0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        *self = Chain { last: seq, state: mixed };
    }
}

/// The checkpoints of this test hold a chain: its state, then its position.
#[derive(Default)]
struct Follow {
    chain: Chain,
    numbers: Vec<u64>,
}

impl Replay for Follow {
    fn restart(&mut self) {
        *self = Follow::default();
    }

    fn checkpoint(&mut self, record: &CheckpointRecord) {
        let &CheckpointRecord::NextContainer(number) = record else { panic!("{record:?}") };
        self.numbers.push(number);
        if let [state, last] = self.numbers[..] {
            self.chain = Chain { last, state };
        }
    }

    fn entry(&mut self, seq: JournalSeq, entry: Entry) {
        self.chain.add(seq.0, &entry);
    }
}

fn put_checkpoint(
    mut sink: Box<dyn alluxio_journal::CheckpointSink>,
    chain: Chain,
) -> Result<(), JournalError> {
    sink.put(&CheckpointRecord::NextContainer(chain.state))?;
    sink.put(&CheckpointRecord::NextContainer(chain.last))?;
    sink.finish(StateDigest { kind: 1, hash: chain.state }).map(drop)
}

/// Everything of one run.
struct World {
    disk: MemoryDisk,
    dice: SeededEntropy,
    primary: FolderLog,
    /// What the primary has acknowledged: the chain at each position.
    acknowledged: Vec<Chain>,
    /// The chain at each position behind them that the write under way would give.
    attempted: Vec<Chain>,
    tail: Option<FolderTail>,
    follow: Follow,
    term: u64,
    checkpoints: u64,
}

impl World {
    fn new(seed: u64) -> World {
        let disk = MemoryDisk::new(seed);
        format(&host(&disk), Path::new(FOLDER), "c").unwrap();
        let (primary, _) = Self::start(&disk, 1).unwrap();
        let dice = SeededEntropy::new(seed);
        let acknowledged = vec![Chain::default()];
        let (tail, follow, attempted) = (None, Follow::default(), Vec::new());
        World {
            disk,
            dice,
            primary,
            acknowledged,
            attempted,
            tail,
            follow,
            term: 1,
            checkpoints: 0,
        }
    }

    fn start(disk: &MemoryDisk, term: u64) -> Result<(FolderLog, Chain), JournalError> {
        let mut log = FolderLog::open(&host(disk), Path::new(FOLDER), SEGMENT_BYTES)?;
        let mut follow = Follow::default();
        let recovered = log.load(&mut follow)?;
        assert_eq!(recovered.last.0, follow.chain.last);
        log.fence(Term(term))?;
        Ok((log, follow.chain))
    }

    fn newest(&self) -> Chain {
        *self.acknowledged.last().unwrap()
    }

    /// One group; ids differ between all attempts, so that a lost entry is never taken for another.
    fn write(&mut self) -> Result<(), JournalError> {
        let mut batch = EntryBatch::new(self.primary.next());
        let mut chain = self.newest();
        self.attempted.clear();
        for _ in 0..=self.dice.below(5) {
            let id = InodeId(self.dice.next_u64());
            let entry = Entry::Delete { id, modified: UnixMillis(0) };
            chain.add(batch.push(&entry).0, &entry);
            self.attempted.push(chain);
        }
        self.primary.write_group(&[(Term(self.term), batch)])?;
        self.acknowledged.append(&mut self.attempted);
        Ok(())
    }

    fn look(&mut self) -> Result<(), JournalError> {
        if self.tail.is_none() {
            self.tail = Some(FolderTail::open(&host(&self.disk), Path::new(FOLDER))?);
            self.follow = Follow::default();
        }
        let tail = self.tail.as_mut().unwrap();
        let tailed = tail.look(&mut self.follow)?;
        let chain = self.follow.chain;
        assert_eq!(tailed.last.0, chain.last);
        // What was handed out is acknowledged, and never anything else.
        assert_eq!(self.acknowledged.get(chain.last as usize), Some(&chain));
        if self.dice.below(3) == 0 && chain.last > 0 {
            put_checkpoint(tail.begin_checkpoint(JournalSeq(chain.last))?, chain)?;
            self.checkpoints += 1;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), JournalError> {
        match self.dice.below(12) {
            0 => {
                let chain = self.newest();
                if chain.last > 0 {
                    let sink = self.primary.begin_checkpoint(JournalSeq(chain.last))?;
                    put_checkpoint(sink, chain)?;
                }
            }
            1 => drop(self.primary.truncate()?),
            2..=6 => self.look()?,
            7 => self.tail = None,
            _ => self.write()?,
        }
        Ok(())
    }

    /// Both processes are gone, and with `power` also what was not synced; then all start again.
    fn again(&mut self, power: bool) {
        self.tail = None;
        let disk = self.disk.fork(self.dice.next_u64());
        if power {
            disk.crash();
        }
        self.disk = disk;
        self.term += 1;
        let (primary, chain) = Self::start(&self.disk, self.term).unwrap();
        self.primary = primary;
        // Written and not acknowledged: from now on it counts.
        let more = chain.last.checked_sub(self.newest().last).expect("acknowledged and lost");
        self.acknowledged.extend(self.attempted.drain(..).take(more as usize));
        assert_eq!(chain, self.newest());
        self.attempted.clear();
    }
}

#[test]
fn nothing_unacknowledged_is_handed_out_and_no_checkpoint_takes_anything_back() {
    let mut checkpoints = 0;
    for seed in 0..40 {
        let mut world = World::new(seed);
        for _ in 0..6 {
            // Reading takes disk calls too: the power ends anywhere.
            let until = world.disk.calls() + 1 + world.dice.below(400);
            world.disk.end_power_at(until);
            while world.step().is_ok() {}
            let power = world.dice.below(2) == 0;
            world.again(power);
        }
        checkpoints += world.checkpoints;
    }
    assert!(checkpoints > 100, "only {checkpoints} checkpoints were written");
}

#[test]
fn there_is_one_secondary_at_a_time_and_no_formatting_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::real();
    assert!(matches!(FolderTail::open(&host, dir.path()), Err(JournalError::NotFormatted { .. })));
    format(&host, dir.path(), "c").unwrap();
    let tail = FolderTail::open(&host, dir.path()).unwrap();
    let second = FolderTail::open(&host, dir.path()).err().unwrap();
    assert!(second.to_string().contains("stop that one first"), "{second}");
    let formatting = format(&host, dir.path(), "d").unwrap_err();
    assert!(matches!(formatting, JournalError::SecondaryRuns { .. }), "{formatting}");
    // A primary starts whether or not a secondary is there.
    let log = FolderLog::open(&host, dir.path(), SEGMENT_BYTES).unwrap();
    drop((tail, log));
    format(&host, dir.path(), "d").unwrap();
}
