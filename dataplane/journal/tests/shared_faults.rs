//! The journal in a shared folder under faults: answers that are lost or come late, masters that depose
//! each other without knowing, processes that end at any step.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use alluxio_host::{Entropy, Host, SeededEntropy};
use alluxio_journal::folder::QueueLimits;
use alluxio_journal::shared::format;
use alluxio_journal::shared::memory::{FaultyFolder, MemoryFolder};
use alluxio_journal::{
    EntryBatch, JournalError, JournalStore, Replay, SharedFolder, SharedJournal,
    SharedJournalOptions, StateDigest,
};
use alluxio_types::{CheckpointRecord, Entry, JournalSeq, MountId, Term};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::timeout;

const MASTERS: u64 = 3;
/// Calls without faults, for whoever looks at the end.
const FOR_EVER: u64 = u64::MAX;

/// What a master has in memory: who wrote each entry, by position. A checkpoint is a hash over it and the
/// position, which the entries after it must fit.
#[derive(Default, Clone, PartialEq, Eq, Debug)]
struct Tree {
    last: u64,
    /// Depends on all entries so far.
    hash: u64,
    entries: BTreeMap<u64, u64>,
    in_checkpoint: u64,
}

impl Tree {
    fn apply(&mut self, seq: u64, id: u64) {
        assert_eq!(seq, self.last + 1, "positions grow by one");
        self.last = seq;
        self.hash = (self.hash ^ id).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17);
        self.entries.insert(seq, id);
    }

    fn records(&self) -> [CheckpointRecord; 2] {
        [CheckpointRecord::NextContainer(self.last), CheckpointRecord::NextContainer(self.hash)]
    }
}

impl Replay for Tree {
    fn restart(&mut self) {
        *self = Tree::default();
    }

    fn checkpoint(&mut self, record: &CheckpointRecord) {
        let &CheckpointRecord::NextContainer(value) = record else { panic!("{record:?}") };
        match self.in_checkpoint {
            0 => self.last = value,
            _ => self.hash = value,
        }
        self.in_checkpoint += 1;
    }

    fn entry(&mut self, seq: JournalSeq, entry: Entry) {
        let Entry::Unmount { id: MountId(id) } = entry else { panic!("{entry:?}") };
        self.apply(seq.0, id);
    }

    fn state_hash(&self) -> Option<StateDigest> {
        Some(StateDigest { kind: 1, hash: self.hash })
    }
}

/// What the world knows of a cluster.
struct World {
    memory: MemoryFolder,
    term: AtomicU64,
    next_id: AtomicU64,
    /// What was acknowledged, by position.
    acknowledged: Mutex<BTreeMap<u64, u64>>,
    reigns: AtomicU64,
    stop: AtomicBool,
}

impl World {
    async fn format() -> Arc<World> {
        let memory = MemoryFolder::default();
        let folder: Arc<dyn SharedFolder> = Arc::new(memory.clone());
        format(&folder, &Host::real(), "cluster-1").await.unwrap();
        Arc::new(World {
            memory,
            term: AtomicU64::new(0),
            next_id: AtomicU64::new(1),
            acknowledged: Mutex::default(),
            reigns: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        })
    }

    /// A master's process, until something ends it.
    async fn live(self: Arc<Self>, folder: FaultyFolder, dice: SeededEntropy) {
        // Whatever fails, the next life begins anew.
        let _ = self.reign(Arc::new(folder), &dice).await;
    }

    async fn reign(
        &self,
        folder: Arc<dyn SharedFolder>,
        dice: &SeededEntropy,
    ) -> Result<(), JournalError> {
        let options = SharedJournalOptions { folder, queue: QueueLimits::default() };
        let journal: Arc<dyn JournalStore> =
            Arc::new(SharedJournal::open(options, &Host::real(), Arc::new(())).await?);
        let (mut tree, recovered) = call(&journal, |journal| {
            let mut tree = Tree::default();
            let recovered = journal.load(&mut tree)?;
            Ok((tree, recovered))
        })
        .await?;
        assert_eq!(tree.last, recovered.last.0);
        // Whoever asks is elected: it is the journal alone that keeps masters apart here.
        let term = Term(self.term.fetch_add(1, Ordering::SeqCst) + 1);
        call(&journal, move |journal| journal.fence(term)).await?;
        let target = journal.commits().current();
        tree = call(&journal, move |journal| {
            journal.read(JournalSeq(tree.last + 1), &mut |record| {
                tree.apply(record.seq.0, id_of(record.payload));
                std::ops::ControlFlow::Continue(())
            })?;
            Ok(tree)
        })
        .await?;
        assert_eq!(tree.last, target.0);
        self.reigns.fetch_add(1, Ordering::SeqCst);
        let life = 1 + dice.below(60);
        for _ in 0..life {
            if self.stop.load(Ordering::SeqCst) {
                break;
            }
            let mut batch = EntryBatch::new(JournalSeq(tree.last + 1));
            let first = tree.last + 1;
            for _ in 0..1 + dice.below(4) {
                let id = self.next_id.fetch_add(1, Ordering::SeqCst);
                batch.push(&Entry::Unmount { id: MountId(id) });
                tree.apply(tree.last + 1, id);
            }
            journal.append(term, batch).await?;
            if dice.below(3) > 0 {
                let waited = journal.commits().wait_for(JournalSeq(tree.last)).await;
                waited.map_err(|cause| JournalError::Failed { cause })?;
                self.note(tree.entries.range(first..));
                if dice.below(6) == 0 {
                    let tree = tree.clone();
                    call(&journal, move |journal| {
                        let mut sink = journal.begin_checkpoint(JournalSeq(tree.last))?;
                        tree.records().iter().try_for_each(|record| sink.put(record))?;
                        sink.finish(tree.state_hash().unwrap())?;
                        journal.truncate()
                    })
                    .await?;
                }
            }
        }
        if dice.below(2) == 0 {
            call(&journal, |journal| journal.close()).await?;
        }
        Ok(())
    }

    /// Entries that were acknowledged.
    fn note<'a>(&self, entries: impl Iterator<Item = (&'a u64, &'a u64)>) {
        let mut acknowledged = self.acknowledged.lock().unwrap();
        for (seq, id) in entries {
            let other = acknowledged.insert(*seq, *id);
            assert!(other.is_none_or(|other| other == *id), "two entries at {seq}");
        }
    }

    /// Loads what is there, and compares it with all that was acknowledged.
    async fn check(&self) {
        let folder: Arc<dyn SharedFolder> = Arc::new(self.memory.clone());
        let options = SharedJournalOptions { folder, queue: QueueLimits::default() };
        let journal: Arc<dyn JournalStore> =
            Arc::new(SharedJournal::open(options, &Host::real(), Arc::new(())).await.unwrap());
        let tree = call(&journal, |journal| {
            let mut tree = Tree::default();
            journal.load(&mut tree)?;
            Ok(tree)
        });
        let tree = tree.await.unwrap();
        let acknowledged = self.acknowledged.lock().unwrap();
        let last = acknowledged.last_key_value().map_or(0, |(seq, _)| *seq);
        assert!(tree.last >= last, "{last} was acknowledged, {} is there", tree.last);
        for (seq, id) in &tree.entries {
            let known = acknowledged.get(seq);
            assert!(known.is_none_or(|known| known == id), "another entry at {seq}");
        }
        // What a checkpoint has swallowed is compared by the hash of everything.
        let mut model = Tree::default();
        let complete = (1..=tree.last).all(|seq| {
            let id = acknowledged.get(&seq).or_else(|| tree.entries.get(&seq));
            id.inspect(|id| model.apply(seq, **id)).is_some()
        });
        assert!(!complete || model.hash == tree.hash, "the checkpoint is of another history");
    }
}

fn id_of(bytes: &[u8]) -> u64 {
    match alluxio_proto::convert::journal::decode_entry(bytes).unwrap() {
        Entry::Unmount { id: MountId(id) } => id,
        other => panic!("{other:?}"),
    }
}

async fn call<T: Send + 'static>(
    journal: &Arc<dyn JournalStore>,
    work: impl FnOnce(&dyn JournalStore) -> Result<T, JournalError> + Send + 'static,
) -> Result<T, JournalError> {
    let journal = journal.clone();
    tokio::task::spawn_blocking(move || work(&*journal)).await.unwrap()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Several masters, each of which believes to be the primary, on a store that loses and delays answers.
fn a_war(seed: u64) {
    let runtime = runtime();
    runtime.block_on(async {
        let world = World::format().await;
        let masters = (0..MASTERS).map(|number| {
            let world = world.clone();
            tokio::spawn(async move {
                let dice = SeededEntropy::new(seed * 100 + number);
                while !world.stop.load(Ordering::SeqCst) {
                    let life = SeededEntropy::new(dice.next_u64());
                    let faults = [0, 20, 100][dice.below(3) as usize];
                    let folder =
                        FaultyFolder::new(&world.memory, dice.next_u64(), faults, FOR_EVER);
                    world.clone().live(folder, life).await;
                }
            })
        });
        let masters: Vec<_> = masters.collect();
        let enough = || {
            let acknowledged = world.acknowledged.lock().unwrap().len();
            acknowledged >= 150 && world.reigns.load(Ordering::SeqCst) >= 6
        };
        while !enough() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.stop.store(true, Ordering::SeqCst);
        for master in masters {
            timeout(Duration::from_secs(60), master).await.unwrap().unwrap();
        }
        // What was sent and is late arrives.
        tokio::time::sleep(Duration::from_millis(350)).await;
        world.check().await;
    });
    runtime.shutdown_background();
}

#[test]
fn masters_that_all_believe_to_be_the_primary_lose_and_mix_nothing() {
    let first = Host::real().entropy.next_u64() >> 20;
    for seed in first..first + 12 {
        let war = std::panic::catch_unwind(|| a_war(seed));
        assert!(war.is_ok(), "seed {seed}");
    }
}

#[test]
fn a_process_that_ends_at_any_call_to_the_store_loses_nothing() {
    for calls in (1..60).chain((60..400).step_by(7)) {
        let runtime = runtime();
        let world = runtime.block_on(World::format());
        let lives = world.clone();
        runtime.block_on(async move {
            for life in 0..3 {
                let dice = SeededEntropy::new(calls * 10 + life);
                let folder = FaultyFolder::new(&lives.memory, calls, 0, calls);
                let process = tokio::spawn(lives.clone().live(folder.clone(), dice));
                while !process.is_finished() && !folder.is_gone() {
                    tokio::time::sleep(Duration::from_micros(200)).await;
                }
                process.abort();
            }
        });
        // All that the process was doing ends with it; its blocking calls wait for ever.
        runtime.shutdown_background();
        let after = self::runtime();
        after.block_on(world.check());
        after.shutdown_background();
    }
}
