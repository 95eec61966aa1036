//! What writers and readers of blocks may rely on.

use crate::support::*;
use alluxio_blockstore::{
    ChunkCrcs, CrcBuilder, Error, FillState, Lookup, PinnedInodes, Placement, Watermarks,
};
use alluxio_types::{Code, Coded};
use std::io::Read;
use std::os::fd::AsFd;

#[test]
fn what_is_committed_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &[&[1 << 20]]);
    let (store, _) = open(&config);
    let block = id(1, 0);
    assert!(matches!(store.lookup(block).unwrap(), Lookup::Absent));
    put(&store, block, 200_000);
    let lease = lease(&store, block).unwrap();
    assert_eq!(read(&lease), bytes_of(block, 200_000));
    let mut middle = vec![0; 1000];
    lease.read_verified(&mut middle, 65_500).unwrap();
    assert_eq!(middle, bytes_of(block, 200_000)[65_500..66_500]);
    let beyond = lease.read_verified(&mut middle, 199_500).unwrap_err();
    assert_eq!(beyond.code(), Code::OutOfRange);
    assert_eq!(used(&store), [200_000]);
    assert_eq!(stored_bytes(&config), (200_000, 0));
}

#[test]
fn a_lent_descriptor_is_read_only_and_outlives_the_block() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(&config(dir.path(), &[&[1 << 20]]));
    put(&store, id(1, 0), 5000);
    let lease = lease(&store, id(1, 0)).unwrap();
    let lent = lease.descriptor().unwrap().as_fd().try_clone_to_owned().unwrap();
    let mut file = std::fs::File::from(lent);
    assert!(std::io::Write::write(&mut file, b"x").is_err());
    assert!(store.remove(id(1, 0)));
    assert!(!store.contains(id(1, 0)));
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, bytes_of(id(1, 0), 5000));
    assert_eq!(read(&lease), bytes, "checksums outlive the name too");
    assert_eq!(used(&store), [5000], "bytes on the disk are accounted while somebody reads them");
    drop(lease);
    assert_eq!(used(&store), [0]);
}

#[test]
fn readers_that_open_a_block_at_once_can_all_check_it_after_it_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::new();
    let store = open_on(&config(dir.path(), &[&[1 << 20]]), disk.clone());
    let block = id(1, 0);
    put(&store, block, 5000);
    disk.open_together(&block.to_string(), 3);
    let leases: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(|| lease(&store, block))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
    });
    assert!(store.remove(block));
    for lease in leases {
        assert_eq!(read(&lease), bytes_of(block, 5000));
    }
}

#[test]
fn a_dropped_writer_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &[&[10_000]]);
    let (store, _) = open(&config);
    let temp = store.create(id(1, 0), 8000, Placement::TOP).unwrap();
    temp.write_at(&[1; 4000], 0).unwrap();
    assert_eq!(stored_bytes(&config), (0, 1));
    assert_eq!(used(&store), [8000]);
    drop(temp);
    assert_eq!(stored_bytes(&config), (0, 0));
    assert_eq!(used(&store), [0]);
    put(&store, id(1, 0), 10_000);
}

#[test]
fn a_block_has_one_writer_and_any_number_of_readers() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(&config(dir.path(), &[&[1 << 20]]));
    let block = id(1, 0);
    let bytes = bytes_of(block, 3000);
    let temp = store.create(block, 3000, Placement::TOP).unwrap();
    let second = store.create(block, 3000, Placement::TOP).unwrap_err();
    assert!(matches!(second, Error::AlreadyFilling { .. }));
    let Lookup::Filling(reader) = store.lookup(block).unwrap() else { panic!("it is filling") };
    temp.write_at(&bytes[..1000], 0).unwrap();
    let mut buffer = vec![0; 1000];
    assert!(reader.read_at(&mut buffer, 0).is_err(), "not announced yet");
    temp.advance(1000);
    reader.read_at(&mut buffer, 0).unwrap();
    assert_eq!(buffer, bytes[..1000]);
    let waiting = {
        let reader = reader.clone();
        std::thread::spawn(move || reader.progress().wait_beyond(1000))
    };
    temp.write_at(&bytes[1000..], 1000).unwrap();
    temp.commit(3000, &ChunkCrcs::of(&bytes)).unwrap();
    assert_eq!(waiting.join().unwrap(), FillState::Committed { length: 3000 });
    assert!(store.remove(block));
    reader.read_at(&mut buffer, 2000).unwrap();
    assert_eq!(buffer, bytes[2000..], "an attached reader keeps its bytes");
    assert_eq!(used(&store), [3000]);
    drop(reader);
    assert_eq!(used(&store), [0]);
    assert!(matches!(store.lookup(block).unwrap(), Lookup::Absent));
}

#[test]
fn readers_learn_that_a_writer_gave_up() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(&config(dir.path(), &[&[1 << 20]]));
    let temp = store.create(id(1, 0), 100, Placement::TOP).unwrap();
    temp.write_at(&[7; 10], 0).unwrap();
    temp.advance(10);
    let reader = temp.reader();
    drop(temp);
    assert_eq!(reader.progress().wait_beyond(50), FillState::Abandoned { written_bytes: 10 });
}

#[test]
fn a_block_removed_while_it_is_written_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &[&[1 << 20]]);
    let (store, _) = open(&config);
    let temp = store.create(id(1, 0), 4, Placement::TOP).unwrap();
    temp.write_at(b"abcd", 0).unwrap();
    assert!(store.remove(id(1, 0)));
    let refused = temp.commit(4, &ChunkCrcs::of(b"abcd")).unwrap_err();
    assert!(matches!(refused, Error::Removed { .. }));
    assert!(!store.contains(id(1, 0)));
    assert_eq!((used(&store), stored_bytes(&config)), (vec![0], (0, 0)));
    assert!(store.delta().is_empty());
}

#[test]
fn a_commit_must_agree_with_the_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &[&[1 << 20]]);
    let (store, _) = open(&config);
    let short = store.create(id(1, 0), 10, Placement::TOP).unwrap();
    short.write_at(b"abc", 0).unwrap();
    let refused = short.commit(4, &ChunkCrcs::of(b"abcd")).unwrap_err();
    assert!(matches!(refused, Error::LengthMismatch { wanted_bytes: 4, found_bytes: 3, .. }));
    let other = store.create(id(1, 0), 10, Placement::TOP).unwrap();
    other.write_at(b"abcd", 0).unwrap();
    assert!(other.commit(4, &ChunkCrcs::of(b"abc")).is_err());
    // A writer in another process may leave more behind than it says: cut, not kept.
    let long = store.create(id(1, 0), 10, Placement::TOP).unwrap();
    long.write_at(b"abcdefgh", 0).unwrap();
    let crcs = long.checksums(4).unwrap();
    long.commit(4, &crcs).unwrap();
    assert_eq!(read(&lease(&store, id(1, 0)).unwrap()), b"abcd");
    assert_eq!((used(&store), stored_bytes(&config)), (vec![4], (4, 0)));
}

#[test]
fn the_coldest_block_goes_first_and_use_keeps_warm() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(&config(dir.path(), &[&[3000]]));
    for file in 1..=3 {
        put(&store, id(file, 0), 1000);
    }
    drop(lease(&store, id(1, 0)));
    put(&store, id(4, 0), 1000);
    let held: Vec<bool> = (1..=4).map(|file| store.contains(id(file, 0))).collect();
    assert_eq!(held, [true, false, true, true]);
    assert_eq!(store.stats().evicted.get(), 1);
}

#[test]
fn leased_and_pinned_blocks_stay_and_a_request_that_needs_them_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &[&[3000]]);
    let (store, _) = open(&config);
    for file in 1..=3 {
        put(&store, id(file, 0), 1000);
    }
    let held = lease(&store, id(1, 0)).unwrap();
    store.set_pinned(PinnedInodes::from_iter([id(2, 0).inode()]));
    put(&store, id(4, 0), 1000);
    assert!(!store.contains(id(3, 0)));
    let refused = put_in(&store, id(5, 0), 2000, Placement::AnyTier).unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(store.contains(id(4, 0)), "nothing is evicted for a request that cannot be met");
    drop(held);
    put(&store, id(5, 0), 2000);
    assert!(store.contains(id(2, 0)));
    assert_eq!(stored_bytes(&config), (3000, 0));
}

#[test]
fn only_copies_move_down_and_are_never_evicted() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &[&[3000], &[3000]]);
    let (store, _) = open(&config);
    store.keep((1..=4).map(|file| id(file, 0).inode()));
    // The oldest are kept: those that are not go instead, then the kept ones go down.
    for file in 1..=5 {
        put(&store, id(file, 0), 1000);
    }
    put(&store, id(6, 0), 1000);
    put(&store, id(7, 0), 1000);
    assert!((1..=4).all(|file| store.contains(id(file, 0))), "{:?}", used(&store));
    store.keep([id(8, 0).inode(), id(9, 0).inode()]);
    put(&store, id(8, 0), 1000);
    put(&store, id(9, 0), 1000);
    // All that is there now is kept.
    assert!([1, 2, 3, 4, 8, 9].iter().all(|file| store.contains(id(*file, 0))));
    let error = put_in(&store, id(10, 0), 1000, Placement::TOP).unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted);
    store.free_ahead();
    assert_eq!(store.kept_after(Some(id(2, 0).inode()), 2), [id(3, 0).inode(), id(4, 0).inode()]);
    store.release([id(3, 0).inode()]);
    put(&store, id(10, 0), 1000);
    assert!(!store.contains(id(3, 0)), "released, so it may go");
    assert!(store.remove(id(1, 0)), "who asks for it by name removes it");
}

#[test]
fn eviction_moves_down_before_it_removes() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &[&[1000], &[1000], &[1000]]);
    let (store, _) = open(&config);
    for file in 1..=4 {
        put(&store, id(file, 0), 1000);
    }
    let tiers: Vec<_> = (1..=4).map(|file| store.tier_of(id(file, 0))).collect();
    assert_eq!(tiers, [None, Some(2), Some(1), Some(0)]);
    for file in 2..=4 {
        assert_eq!(read(&lease(&store, id(file, 0)).unwrap()), bytes_of(id(file, 0), 1000));
    }
    assert_eq!(used(&store), [1000, 1000, 1000]);
    assert_eq!(stored_bytes(&config), (3000, 0));
    assert_eq!((store.stats().demoted.get(), store.stats().evicted.get()), (5, 1));
}

#[test]
fn promotion_brings_a_block_to_the_top_while_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &[&[100_000], &[200_000]]);
    let (store, _) = open(&config);
    put(&store, id(1, 0), 100_000);
    put_in(&store, id(2, 0), 100_000, Placement::Tier(1)).unwrap();
    let held = lease(&store, id(2, 0)).unwrap();
    assert!(store.promote(id(2, 0), 0).unwrap());
    assert_eq!((store.tier_of(id(1, 0)), store.tier_of(id(2, 0))), (Some(1), Some(0)));
    assert_eq!(held.tier(), 1);
    assert_eq!(read(&held), bytes_of(id(2, 0), 100_000), "the old copy is read to its end");
    assert_eq!(used(&store), [100_000, 200_000], "and accounted to its end");
    drop(held);
    assert_eq!(used(&store), [100_000, 100_000]);
    assert!(!store.promote(id(2, 0), 0).unwrap(), "it is there already");
    assert!(matches!(store.promote(id(9, 0), 0), Err(Error::NoBlock { .. })));
    assert_eq!(read(&lease(&store, id(2, 0)).unwrap()), bytes_of(id(2, 0), 100_000));
}

#[test]
fn a_block_that_does_not_fit_the_top_goes_below() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(&config(dir.path(), &[&[1000], &[5000]]));
    put(&store, id(1, 0), 1000);
    put(&store, id(2, 0), 3000);
    assert_eq!((store.tier_of(id(1, 0)), store.tier_of(id(2, 0))), (Some(0), Some(1)));
    put_in(&store, id(3, 0), 1000, Placement::AnyTier).unwrap();
    assert_eq!(store.tier_of(id(3, 0)), Some(1), "free room below beats eviction above");
    let unknown = put_in(&store, id(4, 0), 1, Placement::Tier(2)).unwrap_err();
    assert!(matches!(unknown, Error::NoTier { tier: 2, tiers: 2 }));
}

#[test]
fn a_growing_writer_gets_room_in_its_own_directory() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(&config(dir.path(), &[&[3000, 2000]]));
    let temp = store.create(id(1, 0), 500, Placement::TOP).unwrap();
    put(&store, id(2, 0), 1000);
    put(&store, id(3, 0), 2000);
    temp.write_at(&[1; 3000], 0).unwrap();
    assert_eq!(temp.reserved_bytes(), 3000);
    let refused = temp.write_at(&[1], 3000).unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let mut crcs = CrcBuilder::new();
    crcs.update(&[1; 3000]);
    temp.commit(3000, &crcs.finish()).unwrap();
    assert!(store.usage().tiers[0].used_bytes <= 5000);
}

#[test]
fn watermarks_free_ahead_of_need() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), &[&[10_000]]);
    config.tiers[0].watermarks = Some(Watermarks { low: 0.5, high: 0.8 });
    let (store, _) = open(&config);
    for file in 1..=8 {
        put(&store, id(file, 0), 1000);
    }
    assert_eq!(store.free_ahead(), 0, "at the mark is not above it");
    put(&store, id(9, 0), 1000);
    store.set_pinned(PinnedInodes::from_iter([id(1, 0).inode()]));
    assert_eq!(store.free_ahead(), 4);
    assert_eq!(used(&store), [5000]);
    assert!(store.contains(id(1, 0)) && !store.contains(id(2, 0)));
}

#[test]
fn free_room_above_is_filled_with_the_most_used_blocks_below() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &[&[3000], &[10_000]]);
    let (store, _) = open(&config);
    for file in 1..=4 {
        put_in(&store, id(file, 0), 1000, Placement::Tier(1)).unwrap();
    }
    drop(lease(&store, id(1, 0)));
    assert_eq!(store.raise(0.9, 100), 2, "a third one would fill more than 90 %");
    let tiers: Vec<_> = (1..=4).map(|file| store.tier_of(id(file, 0))).collect();
    assert_eq!(tiers, [Some(0), Some(1), Some(1), Some(0)]);
    let held = lease(&store, id(3, 0)).unwrap();
    assert_eq!(store.raise(1.0, 100), 1, "one that is read stays where it is");
    assert_eq!(store.tier_of(id(2, 0)), Some(0));
    drop(held);
    assert_eq!(store.raise(1.0, 100), 0, "nothing is evicted for it");
    assert_eq!((used(&store), stored_bytes(&config)), (vec![3000, 1000], (4000, 0)));
}

#[test]
fn reports_tell_what_changed_and_lists_tell_all() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(&config(dir.path(), &[&[2000], &[2000]]));
    for file in 1..=3 {
        put(&store, id(file, 0), 1000);
    }
    let first = store.delta();
    assert_eq!(first.added, [(id(1, 0), 1), (id(2, 0), 0), (id(3, 0), 0)]);
    store.acknowledge(&first);
    assert!(store.delta().is_empty());
    store.remove(id(2, 0));
    assert_eq!(store.delta().removed, [id(2, 0)]);
    let mut all: Vec<_> = store.blocks().flatten().collect();
    all.sort_unstable();
    assert_eq!(all, [(id(1, 0), 1), (id(3, 0), 0)]);
    assert_eq!(store.usage().block_count, 2);
}

#[test]
fn an_empty_block_is_a_block() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &[&[1000]]);
    let (store, _) = open(&config);
    put(&store, id(1, 0), 0);
    assert_eq!(lease(&store, id(1, 0)).unwrap().length(), 0);
    drop(store);
    let (store, report) = open(&config);
    assert_eq!(report.adopted_blocks, 1);
    assert!(lease(&store, id(1, 0)).is_some());
}
