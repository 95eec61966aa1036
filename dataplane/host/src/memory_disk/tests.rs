use super::*;
use proptest::prelude::*;

const SECTOR_BYTES: usize = 512;

fn path(text: &str) -> &Path {
    Path::new(text)
}

fn create(disk: &MemoryDisk, name: &str, bytes: &[u8]) -> Box<dyn DiskFile> {
    let file = disk.open(path(name), OpenMode::CreateNew).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

fn read(disk: &MemoryDisk, name: &str) -> io::Result<Vec<u8>> {
    let file = disk.open(path(name), OpenMode::Read)?;
    let mut bytes = vec![0; file.length()? as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

#[test]
fn what_is_synced_survives_every_crash_and_what_is_not_may_go() {
    let (mut kept, mut lost) = (0, 0);
    for seed in 0..200 {
        let disk = MemoryDisk::new(seed);
        disk.create_dir_all(path("/d")).unwrap();
        create(&disk, "/d/safe", b"safe").sync_data().unwrap();
        disk.sync_dir(path("/d")).unwrap();
        create(&disk, "/d/loose", b"loose");
        disk.crash();
        assert_eq!(read(&disk, "/d/safe").unwrap(), b"safe", "seed {seed}");
        match read(&disk, "/d/loose") {
            Ok(bytes) if bytes == b"loose" => kept += 1,
            _ => lost += 1,
        }
    }
    assert!(kept > 10 && lost > 10, "kept {kept}, lost {lost}");
}

#[test]
fn a_synced_file_whose_name_was_not_synced_may_be_gone() {
    let gone = (0..100).filter(|&seed| {
        let disk = MemoryDisk::new(seed);
        create(&disk, "/a", b"x").sync_data().unwrap();
        disk.crash();
        read(&disk, "/a").is_err()
    });
    assert!(gone.count() > 10);
}

#[test]
fn a_rename_survives_whole_or_not_at_all() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let disk = MemoryDisk::new(seed);
        disk.create_dir_all(path("/to")).unwrap();
        create(&disk, "/new", b"new").sync_data().unwrap();
        create(&disk, "/to/old", b"old").sync_data().unwrap();
        disk.sync_dir(path("/")).unwrap();
        disk.sync_dir(path("/to")).unwrap();
        disk.rename(path("/new"), path("/to/old")).unwrap();
        disk.crash();
        let state = (read(&disk, "/new").ok(), read(&disk, "/to/old").ok());
        let before = (Some(b"new".to_vec()), Some(b"old".to_vec()));
        let after = (None, Some(b"new".to_vec()));
        assert!(state == before || state == after, "seed {seed}: {state:?}");
        seen.insert(state);
    }
    assert_eq!(seen.len(), 2);
}

#[test]
fn unsynced_writes_tear_at_sector_borders() {
    let mut torn = 0;
    for seed in 0..300 {
        let disk = MemoryDisk::new(seed);
        let file = create(&disk, "/f", &[1; 4096]);
        file.sync_data().unwrap();
        disk.sync_dir(path("/")).unwrap();
        file.write_all_at(&[2; 4096], 0).unwrap();
        disk.crash();
        let bytes = read(&disk, "/f").unwrap();
        for sector in bytes.chunks(SECTOR_BYTES) {
            assert!(sector.iter().all(|b| *b == sector[0]), "seed {seed}");
        }
        torn += u32::from(bytes.contains(&1) && bytes.contains(&2));
    }
    assert!(torn > 30, "{torn}");
}

#[test]
fn after_a_failed_sync_the_bytes_stay_visible_and_the_next_sync_does_not_save_them() {
    let lost = (0..100).filter(|&seed| {
        let disk = MemoryDisk::new(seed);
        let file = create(&disk, "/f", b"");
        disk.sync_dir(path("/")).unwrap();
        file.write_all_at(b"bytes", 0).unwrap();
        disk.inject(Fault::new(FaultKind::Io).on(Operation::Sync));
        assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(libc::EIO));
        file.sync_data().unwrap();
        assert_eq!(read(&disk, "/f").unwrap(), b"bytes");
        disk.crash();
        read(&disk, "/f").unwrap() != b"bytes"
    });
    assert!(lost.count() > 10);
}

#[test]
fn a_disk_that_lies_about_syncs_may_lose_what_it_said_was_safe_until_it_is_honest_again() {
    let (mut lost, mut kept) = (0, 0);
    for seed in 0..100 {
        let disk = MemoryDisk::new(seed);
        disk.create_dir_all(path("/d")).unwrap();
        disk.sync_dir(path("/d")).unwrap();
        disk.lie_about_syncs(true);
        create(&disk, "/d/believed", b"x").sync_data().unwrap();
        disk.sync_dir(path("/d")).unwrap();
        disk.lie_about_syncs(false);
        create(&disk, "/d/safe", b"x").sync_data().unwrap();
        if seed % 2 == 0 {
            disk.crash();
            lost += u32::from(read(&disk, "/d/believed").is_err());
        } else {
            disk.sync_dir(path("/d")).unwrap();
            disk.crash();
            kept += u32::from(read(&disk, "/d/safe").is_ok());
        }
    }
    assert!(lost > 10, "{lost} of 50 lost");
    assert_eq!(kept, 50, "what an honest disk syncs is safe");
}

#[test]
fn a_full_disk_refuses_growth_and_takes_it_again_after_a_removal() {
    let disk = MemoryDisk::new(1);
    disk.set_capacity_bytes(10);
    drop(create(&disk, "/a", &[0; 8]));
    let file = disk.open(path("/b"), OpenMode::CreateNew).unwrap();
    let error = file.write_all_at(&[0; 4], 0).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
    assert!(disk.used_bytes() <= 10);
    assert_eq!(file.allocate(5).unwrap_err().raw_os_error(), Some(libc::ENOSPC));
    disk.remove_file(path("/a")).unwrap();
    file.write_all_at(&[0; 4], 0).unwrap();
}

#[test]
fn after_the_power_ends_nothing_works_until_the_next_start() {
    let disk = MemoryDisk::new(3);
    assert!(!disk.power_has_ended());
    let file = create(&disk, "/a", b"x");
    file.sync_data().unwrap();
    disk.sync_dir(path("/")).unwrap();
    let lock = disk.lock(path("/lock")).unwrap();
    assert_eq!(disk.lock(path("/lock")).err().unwrap().kind(), io::ErrorKind::WouldBlock);
    disk.end_power_at(disk.calls() + 2);
    file.length().unwrap();
    assert!(file.write_all_at(b"y", 0).is_err());
    assert!(disk.list(path("/")).is_err());
    disk.crash();
    assert!(file.length().is_err(), "handles of an earlier life are dead");
    assert_eq!(read(&disk, "/a").unwrap().len(), 1);
    let again = disk.lock(path("/lock")).unwrap();
    drop(lock);
    assert!(disk.lock(path("/lock")).is_err(), "an old guard must not free a new lock");
    drop(again);
    disk.lock(path("/lock")).unwrap();
}

#[test]
fn a_write_of_nothing_does_not_grow_a_file() {
    let disk = MemoryDisk::new(4);
    let file = create(&disk, "/a", b"x");
    file.write_all_at(b"", 1100).unwrap();
    assert_eq!(file.length().unwrap(), 1);
}

#[test]
fn forks_go_their_own_ways() {
    let disk = MemoryDisk::new(5);
    create(&disk, "/a", b"one");
    let fork = disk.fork(6);
    fork.flip_bit(path("/a"), 0).unwrap();
    assert_eq!(read(&disk, "/a").unwrap(), b"one");
    assert_eq!(read(&fork, "/a").unwrap(), b"nne");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The half that readers see must behave as the real file system does.
    #[test]
    fn without_faults_it_behaves_as_the_real_disk(
        steps in proptest::collection::vec((0u8..9, 0u8..4, 0u8..4, 0u16..2000), 1..60)
    ) {
        let real_root = tempfile::tempdir().unwrap();
        let memory = MemoryDisk::new(0);
        memory.create_dir_all(real_root.path()).unwrap();
        let names = ["a", "b", "d/x", "d/e/y"];
        for (step, one, two, size) in steps {
            let one = real_root.path().join(names[one as usize]);
            let two = real_root.path().join(names[two as usize]);
            let run = |disk: &dyn Disk| -> Result<String, io::ErrorKind> {
                let kind = |error: io::Error| error.kind();
                match step {
                    0 => disk.open(&one, OpenMode::CreateNew).map(|_| String::new()).map_err(kind),
                    1 => {
                        let file = disk.open(&one, OpenMode::ReadWrite).map_err(kind)?;
                        file.write_all_at(&vec![step; size as usize % 100], size.into())
                            .map_err(kind)?;
                        Ok(format!("{}", file.length().map_err(kind)?))
                    }
                    2 => {
                        let file = disk.open(&one, OpenMode::ReadWrite).map_err(kind)?;
                        file.set_length(size.into()).map_err(kind)?;
                        file.allocate(u64::from(size) / 2).map_err(kind)?;
                        let mut bytes = vec![9; 3000];
                        let count = file.read_at(&mut bytes, 7).map_err(kind)?;
                        Ok(format!("{:?}", &bytes[..count]))
                    }
                    3 => disk.rename(&one, &two).map(|()| String::new()).map_err(kind),
                    4 => disk.remove_file(&one).map(|()| String::new()).map_err(kind),
                    5 => disk.create_dir_all(&real_root.path().join("d/e"))
                        .map(|()| String::new()).map_err(kind),
                    6 => disk.list(&real_root.path().join("d"))
                        .map(|names| names.join(",")).map_err(kind),
                    7 => disk.remove_dir_all(&real_root.path().join("d"))
                        .map(|()| String::new()).map_err(kind),
                    _ => disk.facts(&one).map(|facts| format!("{facts:?}")).map_err(kind),
                }
            };
            prop_assert_eq!(run(&memory), run(&crate::RealDisk), "step {}", step);
        }
    }
}
