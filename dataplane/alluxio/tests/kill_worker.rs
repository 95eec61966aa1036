//! Two workers and a master as processes; workers die in the middle of reads and writes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use alluxio_client::blocking::FileSystem;
use alluxio_client::options::{CreateFileOptions, FreeOptions, OpenFileOptions};
use alluxio_host::Host;
use alluxio_testkit::ProcessCluster;
use alluxio_testservers::eventually;
use alluxio_types::{AlluxioPath, WriteType};
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

const BLOCK_BYTES: usize = 1 << 20;
const FILE_BYTES: usize = 12 * BLOCK_BYTES + 4321;

fn bytes(seed: u64) -> Vec<u8> {
    (0..FILE_BYTES as u64)
        .map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(seed) >> 29) as u8)
        .collect()
}

fn cluster() -> ProcessCluster {
    let properties = [
        ("alluxio.user.block.size.bytes.default", "1MB"),
        ("alluxio.worker.ramdisk.size", "256MB"),
        ("alluxio.worker.block.heartbeat.interval", "100ms"),
    ];
    ProcessCluster::start(Path::new(env!("CARGO_BIN_EXE_alluxio")), &properties).unwrap()
}

fn client(cluster: &ProcessCluster) -> FileSystem {
    FileSystem::connect(cluster.config().unwrap().client().unwrap(), Host::real()).unwrap()
}

fn path(text: &str) -> AlluxioPath {
    AlluxioPath::parse(text).unwrap()
}

fn write(fs: &FileSystem, name: &str, content: &[u8], write_type: WriteType) {
    let options = CreateFileOptions { write_type: Some(write_type), ..Default::default() };
    let mut writer = fs.create_file(&path(name), &options).unwrap();
    writer.write_all(content).unwrap();
    writer.close().unwrap();
}

/// Reads a file from one end to the other; `at_half` happens in the middle.
fn read(fs: &FileSystem, name: &str, at_half: impl FnOnce()) -> Vec<u8> {
    let mut reader = fs.open_file(&path(name), &OpenFileOptions::default()).unwrap();
    let mut found = vec![0; FILE_BYTES / 2];
    reader.read_exact(&mut found).unwrap();
    at_half();
    reader.read_to_end(&mut found).unwrap();
    found
}

#[test]
fn readers_do_not_notice_that_their_worker_is_killed() {
    let mut cluster = cluster();
    cluster.start_worker(1).unwrap();
    let content = bytes(1);
    write(&client(&cluster), "/one", &content, WriteType::CacheThrough);
    assert_eq!(std::fs::read(cluster.root_ufs().join("one")).unwrap(), content);
    cluster.start_worker(2).unwrap();

    // Worker 1 holds every block and dies; worker 2 has none and fetches them from the UFS.
    let fs = client(&cluster);
    let found = read(&fs, "/one", || cluster.kill_worker(1).unwrap());
    assert!(found == content, "killed in the middle of a read");

    // Now worker 2 has the second half at least, and worker 1 comes back with what its disk kept.
    assert!(read(&fs, "/one", || ()) == content, "through a worker that did not hold it");
    cluster.start_worker(1).unwrap();
    let found = read(&fs, "/one", || cluster.kill_worker(2).unwrap());
    assert!(found == content, "killed in the middle of a second read");
    assert!(read(&client(&cluster), "/one", || ()) == content, "by a client that knows nothing");
}

#[test]
fn what_is_open_is_read_to_its_end_while_the_master_is_away_and_a_worker_is_killed() {
    let mut cluster = cluster();
    cluster.start_worker(1).unwrap();
    let content = bytes(4);
    write(&client(&cluster), "/one", &content, WriteType::CacheThrough);
    cluster.start_worker(2).unwrap();
    // Whichever of them is read from: the other one fetches the bytes from the under store, without the master.
    for killed in [1, 2] {
        let fs = client(&cluster);
        // A worker is ready before it has found its master.
        eventually("the master knows both workers", Duration::from_secs(30), || {
            fs.workers(false).unwrap().len() == 2
        });
        fs.free(&path("/one"), FreeOptions::default()).unwrap();
        assert!(read(&fs, "/one", || ()) == content);
        let begun = Instant::now();
        let found = read(&fs, "/one", || {
            cluster.kill_master().unwrap();
            cluster.kill_worker(killed).unwrap();
        });
        assert!(found == content);
        // Who waited for the master would have done so for as long as calls are tried.
        let limit = cluster.config().unwrap().client().unwrap().rpc_retry.total;
        assert!(begun.elapsed() < limit, "{:?}", begun.elapsed());
        cluster.start_master().unwrap();
        cluster.start_worker(killed).unwrap();
    }
}

#[test]
fn a_write_whose_worker_is_killed_ends_whole_or_with_an_error_and_leaves_nothing() {
    let mut cluster = cluster();
    cluster.start_worker(1).unwrap();
    let fs = client(&cluster);
    let content = bytes(2);
    let mut writer = fs.create_file(&path("/half"), &CreateFileOptions::default()).unwrap();
    writer.write_all(&content[..FILE_BYTES / 2]).unwrap();
    cluster.kill_worker(1).unwrap();
    cluster.start_worker(2).unwrap();
    let rest = writer.write_all(&content[FILE_BYTES / 2..]);
    match rest
        .map_err(|error| error.to_string())
        .and_then(|()| writer.close().map_err(|error| error.to_string()))
    {
        // The first half was on worker 1 alone: nobody may say that the file is whole.
        Ok(status) => panic!("acknowledged without its first half: {status:?}"),
        Err(error) => assert!(!error.is_empty()),
    }
    // The worker comes back without what was half written, and serves.
    cluster.start_worker(1).unwrap();
    let tmp = cluster.dir().join("worker-1/alluxioworker/.tmp_blocks");
    let left = std::fs::read_dir(tmp).map_or(0, Iterator::count);
    assert_eq!(left, 0, "unfinished blocks are left behind");
    write(&fs, "/whole", &content, WriteType::MustCache);
    assert!(read(&fs, "/whole", || ()) == content);
}

#[test]
fn blocks_outlive_both_kinds_of_restart() {
    let mut cluster = cluster();
    cluster.start_worker(1).unwrap();
    let content = bytes(3);
    write(&client(&cluster), "/kept", &content, WriteType::MustCache);
    cluster.kill_worker(1).unwrap();
    cluster.kill_master().unwrap();
    cluster.start_master().unwrap();
    cluster.start_worker(1).unwrap();
    let fs = client(&cluster);
    // The only copy there is. A worker is ready before it has found its master; the master waits for it rather than
    // say that nobody has the bytes.
    assert!(read(&fs, "/kept", || ()) == content);
}
