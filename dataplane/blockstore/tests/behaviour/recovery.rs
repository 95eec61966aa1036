//! Restarts, damage, lost directories and full disks.

use crate::support::*;
use alluxio_blockstore::{BlockStore, ChunkCrcs, Error, Lookup, OpenError, Placement, identity};
use alluxio_host::{RealDisk, SeededEntropy};
use alluxio_types::{Code, Coded};
use std::fs;
use std::sync::Arc;

const EIO: i32 = 5;
const EROFS: i32 = 30;

#[test]
fn a_restart_finds_whole_blocks_and_sweeps_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &[&[1 << 20], &[1 << 20]]);
    let (store, _) = open(&config);
    let worker = store.identity().worker;
    for file in 1..=4 {
        put(&store, id(file, 0), 100_000);
    }
    put_in(&store, id(5, 0), 1000, Placement::Tier(1)).unwrap();
    let temp = store.create(id(6, 0), 100, Placement::TOP).unwrap();
    temp.write_at(b"half", 0).unwrap();
    // A crash: nobody runs destructors. The lock goes with the process, so drop the store's.
    std::mem::forget(temp.reader());
    let copy = dir.path().join("copy");
    copy_tree(&dir_path(dir.path(), 0, 0), &copy);
    drop(temp);
    drop(store);
    fs::remove_dir_all(dir_path(dir.path(), 0, 0)).unwrap();
    fs::rename(&copy, dir_path(dir.path(), 0, 0)).unwrap();

    let file = |n| block_file(dir.path(), 0, 0, id(n, 0));
    fs::write(file(1).with_extension("crc"), b"noise").unwrap();
    fs::OpenOptions::new().write(true).open(file(2)).unwrap().set_len(99_999).unwrap();
    fs::remove_file(file(3).with_extension("crc")).unwrap();
    fs::write(file(77).with_extension("crc"), b"orphan").unwrap();
    fs::write(file(4).with_file_name("notes.txt"), b"mine").unwrap();

    let (store, report) = open(&config);
    assert_eq!(store.identity().worker, worker);
    assert_eq!((report.adopted_blocks, report.adopted_bytes), (2, 101_000));
    assert_eq!((report.damaged_blocks, report.temp_files, report.foreign_files), (3, 1, 1));
    assert_eq!(used(&store), [100_000, 1000]);
    assert_eq!(stored_bytes(&config), (101_000, 0));
    assert!(!file(77).with_extension("crc").exists());
    assert!(matches!(store.lookup(id(4, 0)).unwrap(), Lookup::Unverified(_)));
    assert_eq!(read(&lease(&store, id(4, 0)).unwrap()), bytes_of(id(4, 0), 100_000));
    assert!(matches!(store.lookup(id(4, 0)).unwrap(), Lookup::Committed(_)), "checked once");
    assert!(store.delta().is_empty(), "adopted blocks are told by the full list");
}

fn copy_tree(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy_tree(&item.path(), &target);
        } else {
            fs::copy(item.path(), target).unwrap();
        }
    }
}

#[test]
fn rotten_bytes_are_found_on_every_path_that_copies() {
    for path in ["read", "first use", "demote", "promote"] {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), &[&[300_000], &[300_000]]);
        let (mut store, _) = open(&config);
        let block = id(1, 0);
        let tier = usize::from(path == "promote");
        put_in(&store, block, 200_000, Placement::Tier(tier)).unwrap();
        let file = block_file(dir.path(), tier, 0, block);
        let mut bytes = fs::read(&file).unwrap();
        bytes[150_000] ^= 1;
        fs::write(&file, bytes).unwrap();
        match path {
            "read" => {
                let lease = lease(&store, block).unwrap();
                let mut buffer = [0; 10];
                lease.read_verified(&mut buffer, 0).unwrap();
                let error = lease.read_verified(&mut buffer, 140_000).unwrap_err();
                assert_eq!(error.code(), Code::DataLoss);
            }
            "first use" => {
                drop(store);
                store = open(&config).0;
                let Lookup::Unverified(lease) = store.lookup(block).unwrap() else { panic!() };
                assert_eq!(lease.verify().unwrap_err().code(), Code::DataLoss);
            }
            "demote" => put(&store, id(2, 0), 200_000),
            _ => {
                let error = store.promote(block, 0).unwrap_err();
                assert_eq!(error.code(), Code::DataLoss);
            }
        }
        assert!(!store.contains(block), "{path}");
        let rest = if path == "demote" { 200_000 } else { 0 };
        assert_eq!(used(&store).iter().sum::<u64>(), rest, "{path}");
        assert_eq!(stored_bytes(&config), (rest, 0), "{path}");
        let removed = store.delta().removed.contains(&block);
        assert!(removed || path == "first use", "{path}: the master is told");
    }
}

#[test]
fn a_block_in_two_directories_is_kept_once() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &[&[1000], &[1000]]);
    let (store, _) = open(&config);
    put(&store, id(1, 0), 500);
    drop(store);
    for suffix in ["", ".crc"] {
        let name =
            |tier| format!("{}{suffix}", block_file(dir.path(), tier, 0, id(1, 0)).display());
        fs::copy(name(0), name(1)).unwrap();
    }
    let (store, report) = open(&config);
    assert_eq!((report.adopted_blocks, report.surplus_blocks), (1, 1));
    assert_eq!(store.tier_of(id(1, 0)), Some(0));
    assert_eq!(stored_bytes(&config), (500, 0));
}

#[test]
fn a_smaller_quota_after_a_restart_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(&config(dir.path(), &[&[3000]]));
    for file in 1..=3 {
        put(&store, id(file, 0), 1000);
    }
    drop(store);
    let smaller = config(dir.path(), &[&[1500]]);
    let (store, report) = open(&smaller);
    assert_eq!((report.adopted_blocks, report.surplus_blocks), (1, 2));
    assert_eq!(used(&store), [1000]);
    assert_eq!(stored_bytes(&smaller), (1000, 0));
}

#[test]
fn foreign_directories_are_refused_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let one = config(&dir.path().join("one"), &[&[1000]]);
    let two = config(&dir.path().join("two"), &[&[1000]]);
    let open_with = |config: &alluxio_blockstore::StoreConfig, seed| {
        BlockStore::open(config.clone(), Arc::new(RealDisk), &SeededEntropy::new(seed))
    };
    let first = open_with(&one, 1).unwrap().0;
    let busy = open_with(&one, 1).err().unwrap();
    assert!(matches!(busy, OpenError::InUse { .. }));
    first.bind_cluster("red").unwrap();
    drop(first);
    drop(open_with(&two, 2).unwrap());

    let mut both = one.clone();
    both.tiers[0].dirs.extend(two.tiers[0].dirs.clone());
    let error = open_with(&both, 3).err().unwrap();
    assert!(matches!(error, OpenError::ForeignWorker { .. }));
    assert!(error.to_string().contains("alluxio formatWorker"), "{error}");

    let store = open_with(&one, 4).unwrap().0;
    assert_eq!(store.identity().cluster.as_deref(), Some("red"));
    store.bind_cluster("red").unwrap();
    let error = store.bind_cluster("blue").unwrap_err();
    assert!(matches!(error, OpenError::ForeignCluster { .. }));
    drop(store);
    identity::format(&RealDisk, &one.tiers[0].dirs[0].path, &one.data_folder).unwrap();
    open_with(&one, 5).unwrap().0.bind_cluster("blue").unwrap();

    let path = one.tiers[0].dirs[0].path.join("alluxioworker/.identity");
    fs::write(&path, b"who knows").unwrap();
    assert!(matches!(open_with(&one, 6).err().unwrap(), OpenError::BadIdentity { .. }));
}

#[test]
fn a_full_disk_is_a_typed_outcome_and_nothing_leaks() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &[&[1 << 20]]);
    let disk = FaultyDisk::new();
    let store = open_on(&config, disk.clone());
    put(&store, id(1, 0), 1000);
    for room in [0, 500, 1000, 1020] {
        disk.set_room(room);
        let error = put_in(&store, id(2, 0), 1000, Placement::TOP).unwrap_err();
        assert!(matches!(error, Error::DiskFull { .. }), "{room}: {error}");
        assert_eq!(error.code(), Code::ResourceExhausted);
        assert_eq!((used(&store), stored_bytes(&config)), (vec![1000], (1000, 0)), "{room}");
    }
    assert!(store.check_dirs().is_empty(), "a full disk is not a lost one");
    assert!(lease(&store, id(1, 0)).is_some());
    disk.heal();
    put(&store, id(2, 0), 1000);
}

#[test]
fn a_lost_directory_is_left_alone_and_its_blocks_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), &[&[10_000, 10_000]]);
    config.allocator = alluxio_blockstore::Allocator::RoundRobin;
    let disk = FaultyDisk::new();
    let store = open_on(&config, disk.clone());
    for file in 1..=4 {
        put(&store, id(file, 0), 1000);
    }
    let writing = store.create(id(9, 0), 100, Placement::TOP).unwrap();
    assert!(writing.write_at(b"x", 0).is_ok());
    let on_first = (1..=4).filter(|n| block_file(dir.path(), 0, 0, id(*n, 0)).exists()).count();
    assert!((1..4).contains(&on_first));
    store.acknowledge(&store.delta());

    disk.refuse("t0d0", EROFS);
    let lost = store.check_dirs();
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0].path, dir_path(dir.path(), 0, 0));
    assert!(store.check_dirs().is_empty(), "told once");
    assert_eq!(store.delta().removed.len(), on_first);
    let usage = store.usage();
    assert_eq!(usage.tiers[0].capacity_bytes, 10_000);
    assert_eq!(usage.block_count as usize, 4 - on_first);
    drop(writing);
    for file in 11..=18 {
        put(&store, id(file, 0), 1000);
        assert!(block_file(dir.path(), 0, 1, id(file, 0)).exists());
    }
}

#[test]
fn a_scrub_finds_rot_and_is_no_use() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &[&[2000]]);
    let (store, _) = open(&config);
    put(&store, id(1, 0), 1000);
    put(&store, id(2, 0), 1000);
    assert_eq!(store.scrub(id(1, 0)).unwrap(), Some(1000));
    // Had it been a use, block 2 would be the coldest.
    put(&store, id(3, 0), 1000);
    assert!(!store.contains(id(1, 0)) && store.contains(id(2, 0)));
    let path = config.tiers[0].dirs[0].path.join("alluxioworker").join(id(2, 0).to_string());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[500] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(store.scrub(id(2, 0)).unwrap_err(), Error::Corrupt { .. }));
    assert!(!store.contains(id(2, 0)));
    assert_eq!(store.scrub(id(2, 0)).unwrap(), None);
}

#[test]
fn an_unreadable_file_costs_one_block_and_an_unreadable_disk_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &[&[10_000], &[10_000]]);
    let disk = FaultyDisk::new();
    let store = open_on(&config, disk.clone());
    put(&store, id(1, 0), 1000);
    put(&store, id(2, 0), 1000);
    let held = lease(&store, id(1, 0)).unwrap();
    disk.refuse(&format!("alluxioworker/{}", id(1, 0)), EIO);
    assert!(matches!(held.read_verified(&mut [0; 10], 0), Err(Error::Io { .. })));
    assert!(!store.contains(id(1, 0)) && store.contains(id(2, 0)));

    let held = lease(&store, id(2, 0)).unwrap();
    disk.refuse("t0d0", EIO);
    assert!(matches!(held.read_verified(&mut [0; 10], 0), Err(Error::DirLost { .. })));
    assert!(!store.contains(id(2, 0)));
    put(&store, id(3, 0), 1000);
    assert_eq!(store.tier_of(id(3, 0)), Some(1), "the next tier takes over");
}

#[test]
fn a_block_file_taken_away_behind_our_back_is_absent() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(&config(dir.path(), &[&[10_000]]));
    put(&store, id(1, 0), 1000);
    fs::remove_file(block_file(dir.path(), 0, 0, id(1, 0))).unwrap();
    assert!(matches!(store.lookup(id(1, 0)).unwrap(), Lookup::Absent));
    assert_eq!(used(&store), [0]);
    put(&store, id(1, 0), 1000);
    assert_eq!(read(&lease(&store, id(1, 0)).unwrap()), bytes_of(id(1, 0), 1000));
}

#[test]
fn a_writer_in_a_lost_directory_is_refused_at_commit() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::new();
    let store = open_on(&config(dir.path(), &[&[10_000]]), disk);
    let temp = store.create(id(1, 0), 10, Placement::TOP).unwrap();
    temp.write_at(b"0123456789", 0).unwrap();
    fs::remove_dir_all(dir_path(dir.path(), 0, 0)).unwrap();
    let error = temp.commit(10, &ChunkCrcs::of(b"0123456789")).unwrap_err();
    assert!(matches!(error, Error::DirLost { .. }), "{error}");
    assert_eq!(store.usage().lost_dirs.len(), 1);
    let error = store.create(id(1, 0), 10, Placement::TOP).unwrap_err();
    assert!(matches!(error, Error::NoSpace { capacity_bytes: 0, .. }));
}
