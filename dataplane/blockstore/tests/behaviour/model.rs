//! Random operations against a model, and threads against each other.

use crate::support::*;
use alluxio_blockstore::{
    Allocator, BlockLease, BlockStore, ChunkCrcs, Error, EvictionOrder, FillState, Lookup,
    PinnedInodes, Placement, StoreConfig, TempBlock,
};
use alluxio_host::{Entropy, SeededEntropy};
use alluxio_types::{BlockId, InodeId};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Files in a run; small, so that operations meet.
const FILES: u64 = 8;

#[derive(Debug, Clone)]
enum Op {
    /// Write a block in one go.
    Put {
        file: u64,
        length: u64,
        tier: Option<usize>,
    },
    /// Begin to write a block.
    Begin {
        file: u64,
        length: u64,
    },
    /// Commit what was begun.
    Commit {
        file: u64,
    },
    /// Give up what was begun.
    Abandon {
        file: u64,
    },
    /// Take a lease, read all, keep it.
    Lease {
        file: u64,
    },
    /// Give all leases of a block back.
    Release {
        file: u64,
    },
    Remove {
        file: u64,
    },
    Promote {
        file: u64,
    },
    Pin {
        files: BTreeSet<u64>,
    },
    /// Close and open again.
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let file = 1..=FILES;
    let length = 0u64..1200;
    prop_oneof![
        6 => (file.clone(), length.clone(), proptest::option::of(0usize..2))
            .prop_map(|(file, length, tier)| Op::Put { file, length, tier }),
        2 => (file.clone(), length).prop_map(|(file, length)| Op::Begin { file, length }),
        2 => file.clone().prop_map(|file| Op::Commit { file }),
        1 => file.clone().prop_map(|file| Op::Abandon { file }),
        4 => file.clone().prop_map(|file| Op::Lease { file }),
        2 => file.clone().prop_map(|file| Op::Release { file }),
        2 => file.clone().prop_map(|file| Op::Remove { file }),
        2 => file.clone().prop_map(|file| Op::Promote { file }),
        1 => proptest::collection::btree_set(file, 0..3).prop_map(|files| Op::Pin { files }),
        1 => Just(Op::Restart),
    ]
}

/// What must be true of a store, seen from outside. Eviction is the store's own choice, so the
/// model does not know *which* blocks are there; it knows what they must contain and which may
/// not have gone.
#[derive(Default)]
struct Model {
    lengths: BTreeMap<BlockId, u64>,
    leases: BTreeMap<BlockId, Vec<BlockLease>>,
    temps: BTreeMap<BlockId, (TempBlock, u64)>,
    pinned: BTreeSet<u64>,
}

impl Model {
    fn step(&mut self, store: &mut Option<BlockStore>, config: &StoreConfig, op: Op) {
        let before = self.must_stay(store.as_ref().unwrap());
        let mut removed = None;
        let s = store.as_ref().unwrap();
        match op {
            Op::Put { file, length, tier } => {
                let block = id(file, 0);
                let placement = tier.map_or(Placement::AnyTier, Placement::Tier);
                match put_in(s, block, length, placement) {
                    Ok(()) => {
                        self.lengths.insert(block, length);
                    }
                    Err(Error::AlreadyStored { .. }) => assert!(s.contains(block)),
                    Err(Error::AlreadyFilling { .. }) => assert!(self.temps.contains_key(&block)),
                    Err(Error::NoSpace { .. }) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            Op::Begin { file, length } => {
                if let Ok(temp) = s.create(id(file, 0), length, Placement::AnyTier) {
                    temp.write_at(&bytes_of(id(file, 0), length), 0).unwrap();
                    assert!(self.temps.insert(id(file, 0), (temp, length)).is_none());
                }
            }
            Op::Commit { file } => {
                if let Some((temp, length)) = self.temps.remove(&id(file, 0)) {
                    let doomed = temp.is_doomed();
                    let crcs = ChunkCrcs::of(&bytes_of(id(file, 0), length));
                    assert_eq!(temp.commit(length, &crcs).is_err(), doomed);
                    if !doomed {
                        self.lengths.insert(id(file, 0), length);
                    }
                }
            }
            Op::Abandon { file } => {
                self.temps.remove(&id(file, 0));
            }
            Op::Lease { file } => {
                if let Some(lease) = lease(s, id(file, 0)) {
                    assert_eq!(read(&lease), bytes_of(id(file, 0), self.lengths[&id(file, 0)]));
                    self.leases.entry(id(file, 0)).or_default().push(lease);
                }
            }
            Op::Release { file } => {
                self.leases.remove(&id(file, 0));
            }
            Op::Remove { file } => {
                removed = Some(id(file, 0));
                s.remove(id(file, 0));
            }
            Op::Promote { file } => {
                let there = s.contains(id(file, 0));
                match s.promote(id(file, 0), 0) {
                    Ok(_) => assert_eq!(s.tier_of(id(file, 0)), Some(0)),
                    Err(Error::NoBlock { .. } | Error::AlreadyFilling { .. }) => assert!(!there),
                    Err(Error::NoSpace { .. }) => assert!(s.contains(id(file, 0))),
                    Err(other) => panic!("{other}"),
                }
            }
            Op::Pin { files } => {
                let inodes = files.iter().map(|file| InodeId::from_container(*file));
                s.set_pinned(PinnedInodes::from_iter(inodes));
                self.pinned = files;
            }
            Op::Restart => {
                let held: BTreeSet<BlockId> =
                    s.blocks().flatten().map(|(block, _)| block).collect();
                self.leases.clear();
                self.temps.clear();
                self.pinned.clear();
                *store = None;
                let (opened, report) = open(config);
                let found: BTreeSet<_> =
                    opened.blocks().flatten().map(|(block, _)| block).collect();
                assert_eq!((held.len() as u64, held), (report.adopted_blocks, found));
                assert_eq!((report.damaged_blocks, report.temp_files), (0, 0));
                *store = Some(opened);
            }
        }
        let s = store.as_ref().unwrap();
        for block in before {
            assert!(s.contains(block) || removed == Some(block), "{block} went");
        }
        self.check(s, config);
    }

    /// Blocks that nothing but a removal may take away.
    fn must_stay(&self, store: &BlockStore) -> Vec<BlockId> {
        let held = |block: &BlockId| {
            let leases = self.leases.get(block).map_or(&[][..], Vec::as_slice);
            let named = named_inode(store, *block);
            self.pinned.contains(&block.inode().container())
                || leases.iter().any(|lease| Some(inode_of(lease)) == named)
        };
        store.blocks().flatten().map(|(block, _)| block).filter(held).collect()
    }

    fn check(&self, store: &BlockStore, config: &StoreConfig) {
        let usage = store.usage();
        for dir in &usage.dirs {
            assert!(dir.used_bytes <= dir.capacity_bytes, "quota of {}", dir.path.display());
        }
        let named: u64 = store.blocks().flatten().map(|(block, _)| self.lengths[&block]).sum();
        let (on_disk, temp_files) = stored_bytes(config);
        assert_eq!(on_disk, named, "bytes with a name");
        assert_eq!(temp_files, self.temps.len(), "temporary files");
        let accounted: u64 = usage.tiers.iter().map(|tier| tier.used_bytes).sum();
        let unnamed: u64 = self.held_without_name(store);
        let reserved: u64 = self.temps.values().map(|(temp, _)| temp.reserved_bytes()).sum();
        assert_eq!(accounted, named + unnamed + reserved, "accounted = stored");
    }

    /// Bytes of copies that were removed or moved away while somebody reads them.
    fn held_without_name(&self, store: &BlockStore) -> u64 {
        let mut bytes = 0;
        for (block, leases) in &self.leases {
            let mut counted = BTreeSet::from_iter(named_inode(store, *block));
            for lease in leases {
                if counted.insert(inode_of(lease)) {
                    bytes += lease.length();
                }
            }
        }
        bytes
    }
}

/// Which file has the name of the block, if it is complete.
fn named_inode(store: &BlockStore, block: BlockId) -> Option<u64> {
    match store.lookup(block).unwrap() {
        Lookup::Committed(lease) => Some(inode_of(&lease)),
        _ => None,
    }
}

/// Which file a lease reads: device and inode number in one.
fn inode_of(lease: &BlockLease) -> u64 {
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;
    let lent = lease.descriptor().unwrap().as_fd().try_clone_to_owned().unwrap();
    std::fs::File::from(lent).metadata().unwrap().ino()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn random_operations_keep_the_books(
        ops in proptest::collection::vec(op(), 1..60),
        lrfu in any::<bool>(),
        allocator in prop_oneof![
            Just(Allocator::MaxFree), Just(Allocator::RoundRobin), Just(Allocator::Greedy)
        ],
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path(), &[&[1500, 1000], &[2500]]);
        config.allocator = allocator;
        if lrfu {
            config.eviction =
                EvictionOrder::Lrfu { step_factor: 0.25, attenuation_factor: 2.0 };
        }
        let mut store = Some(open(&config).0);
        let mut model = Model::default();
        for op in ops {
            model.step(&mut store, &config, op);
        }
        model.leases.clear();
        model.temps.clear();
        model.check(store.as_ref().unwrap(), &config);
    }
}

#[test]
fn threads_that_write_read_move_and_remove_the_same_blocks_agree() {
    const THREADS: u64 = 6;
    const STEPS: u64 = 400;
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &[&[40_000, 40_000], &[120_000]]);
    let (store, _) = open(&config);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = store.clone();
            scope.spawn(move || {
                let random = SeededEntropy::new(thread);
                for _ in 0..STEPS {
                    work(&store, &random);
                }
            });
        }
    });
    store.set_pinned(PinnedInodes::default());
    let named: u64 = store
        .blocks()
        .flatten()
        .map(|(block, _)| {
            let lease = lease(&store, block).unwrap();
            assert_eq!(read(&lease), bytes_of(block, length_of(block)));
            lease.length()
        })
        .sum();
    assert_eq!(used(&store).iter().sum::<u64>(), named);
    assert_eq!(stored_bytes(&config), (named, 0));
    // What the reports said, played back, is what is there.
    let told: BTreeSet<_> = store.delta().added.into_iter().collect();
    assert_eq!(told, store.blocks().flatten().collect());
}

fn length_of(block: BlockId) -> u64 {
    5000 + block.inode().container() * 700
}

fn work(store: &BlockStore, random: &SeededEntropy) {
    let block = id(1 + random.below(24), 0);
    match random.below(10) {
        0..5 => match store.lookup(block).unwrap() {
            Lookup::Absent => {
                let length = length_of(block);
                let bytes = bytes_of(block, length);
                let Ok(temp) = store.create(block, length, Placement::AnyTier) else { return };
                for (i, part) in bytes.chunks(1024).enumerate() {
                    temp.write_at(part, i as u64 * 1024).unwrap();
                    temp.advance((i * 1024 + part.len()) as u64);
                }
                // A removal by another thread may have been faster.
                let _ = temp.commit(length, &ChunkCrcs::of(&bytes));
            }
            Lookup::Filling(reader) => {
                let state = reader.progress().wait_beyond(0);
                let mut bytes = vec![0; state.readable_bytes().min(1000) as usize];
                reader.read_at(&mut bytes, 0).unwrap();
                assert_eq!(bytes, bytes_of(block, length_of(block))[..bytes.len()]);
                assert!(
                    !matches!(state, FillState::Committed { length } if length != length_of(block))
                );
            }
            Lookup::Committed(lease) => {
                assert_eq!(read(&lease), bytes_of(block, length_of(block)));
            }
            Lookup::Unverified(_) => unreachable!("nothing was adopted"),
        },
        5 => {
            store.remove(block);
        }
        6 => {
            let _ = store.promote(block, 0);
        }
        7 => store.set_pinned(PinnedInodes::from_iter([block.inode()])),
        8 => {
            store.free_ahead();
            store.raise(0.9, 3);
        }
        _ => {
            assert!(store.usage().dirs.iter().all(|dir| dir.used_bytes <= dir.capacity_bytes));
        }
    }
}
