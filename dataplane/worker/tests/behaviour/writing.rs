//! Writes: over TCP, through a descriptor, through to the store, and cut short.

use crate::support::*;
use alluxio_datapath::checksum::ChunkSums;
use alluxio_datapath::client::Session;
use alluxio_datapath::message::Targets;
use alluxio_datapath::{OpenBlock, OpenUfs};
use alluxio_proto::v1::block::HeartbeatResponse;
use alluxio_types::{BlockId, BlockRange, Code, Coded, Mode};
use std::os::unix::fs::FileExt;

const TO_BLOCK: Targets = Targets { block: true, ufs: false };
const TO_BOTH: Targets = Targets { block: true, ufs: true };
const TO_UFS: Targets = Targets { block: false, ufs: true };

fn open(block: BlockId, reserve_bytes: u64) -> OpenBlock {
    OpenBlock { block, reserve_bytes, tier: 0, want_fd: false, pinned: false }
}

fn upload(cluster: &Cluster, name: &str) -> OpenUfs {
    OpenUfs {
        mount: MOUNT,
        ufs_path: cluster.dir.path().join("ufs").join(name).display().to_string(),
        overwrite: false,
        owner: String::new(),
        group: String::new(),
        mode: Mode::FILE,
    }
}

async fn write(session: &mut Session, block: BlockId, bytes: &[u8]) {
    let length = bytes.len() as u64;
    session.open_block(open(block, length)).await.unwrap();
    session.data(TO_BLOCK, 0, bytes).await.unwrap();
    session.commit_block(length, Vec::new()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_sent_over_tcp_is_there_for_readers_and_the_master() {
    let cluster = Cluster::new(&[]).await;
    let worker = cluster.worker("w1").await;
    let bytes = bytes_of(1, BLOCK);
    let mut session = worker.data.session(&worker.tcp()).await.unwrap();
    write(&mut session, block(1), &bytes).await;
    write(&mut session, block(2), &bytes[..10]).await;
    session.end().await.unwrap();
    assert_eq!(worker.read(&whole(block(1), BLOCK, None)).await.unwrap(), bytes);
    let told = |notes: &crate::master::Notes| notes.blocks.len() == 2;
    cluster.master.until("the master hears of both", told).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_writer_writes_into_the_file_itself() {
    let cluster = Cluster::new(&[]).await;
    let worker = cluster.worker("w1").await;
    let bytes = bytes_of(1, BLOCK);
    let mut session = worker.data.session(&worker.unix()).await.unwrap();
    let request = OpenBlock { want_fd: true, ..open(block(1), 1000) };
    let opened = session.open_block(request).await.unwrap();
    assert_eq!(opened.granted_bytes, 1000);
    assert_eq!(session.grow(BLOCK - 1000).await.unwrap(), BLOCK);
    opened.file.unwrap().write_all_at(&bytes, 0).unwrap();
    let mut sums = ChunkSums::new();
    sums.update(&bytes);
    session.commit_block(BLOCK, sums.finish()).await.unwrap();
    session.end().await.unwrap();
    assert_eq!(worker.read(&whole(block(1), BLOCK, None)).await.unwrap(), bytes);
    assert_eq!(std::fs::read(cluster.block_file("w1", 0, block(1))).unwrap(), bytes);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_writer_that_promises_more_than_it_wrote_is_refused() {
    let cluster = Cluster::new(&[]).await;
    let worker = cluster.worker("w1").await;
    let mut session = worker.data.session(&worker.unix()).await.unwrap();
    let request = OpenBlock { want_fd: true, ..open(block(1), 1000) };
    let opened = session.open_block(request).await.unwrap();
    opened.file.unwrap().write_all_at(&[1; 500], 0).unwrap();
    let error = session.commit_block(1000, vec![7]).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    write(&mut session, block(1), b"again").await;
    session.end().await.unwrap();
    assert_eq!(worker.read(&whole(block(1), 5, None)).await.unwrap(), b"again");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writing_through_puts_one_file_into_the_store_when_it_is_finished() {
    let cluster = Cluster::new(&[]).await;
    let worker = cluster.worker("w1").await;
    let bytes = bytes_of(1, 2 * BLOCK);
    let (first, second) = bytes.split_at(BLOCK as usize);
    let path = cluster.dir.path().join("ufs/dir/a");
    let mut session = worker.data.session(&worker.tcp()).await.unwrap();
    session.open_ufs(upload(&cluster, "dir/a")).await.unwrap();
    for (i, part) in [first, second].into_iter().enumerate() {
        session.open_block(open(block(1 + i as u64), BLOCK)).await.unwrap();
        session.data(TO_BOTH, 0, part).await.unwrap();
        session.commit_block(BLOCK, Vec::new()).await.unwrap();
    }
    assert!(!path.exists(), "nothing is there before all of it is");
    let done = session.finish_ufs(2 * BLOCK).await.unwrap();
    session.end().await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    assert_eq!(done.fingerprint, cluster.source("dir/a").await.fingerprint);
    assert_eq!(worker.read(&whole(block(2), BLOCK, None)).await.unwrap(), second);

    let mut session = worker.data.session(&worker.tcp()).await.unwrap();
    let error = session.open_ufs(upload(&cluster, "dir/a")).await.unwrap_err();
    assert_eq!(error.code(), Code::AlreadyExists);
    let mut read_only = upload(&cluster, "b");
    read_only.mount = READ_ONLY_MOUNT;
    assert_eq!(session.open_ufs(read_only).await.unwrap_err().code(), Code::ReadOnly);
    session.end().await.unwrap();
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_writer_lets_the_worker_feed_the_store() {
    let cluster = Cluster::new(&[]).await;
    let worker = cluster.worker("w1").await;
    let bytes = bytes_of(1, BLOCK);
    let mut session = worker.data.session(&worker.unix()).await.unwrap();
    write(&mut session, block(1), &bytes).await;
    session.open_ufs(upload(&cluster, "a")).await.unwrap();
    let all = BlockRange { start: 0, end: BLOCK };
    // From a block that is committed, from one that is not here, from one that is open.
    session.ufs_append_from_block(block(1), all).await.unwrap();
    let missing = session.ufs_append_from_block(block(9), all).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    session.data(TO_UFS, BLOCK, b"sent instead").await.unwrap();
    let request = OpenBlock { want_fd: true, ..open(block(2), 100) };
    let opened = session.open_block(request).await.unwrap();
    opened.file.unwrap().write_all_at(&[5; 100], 0).unwrap();
    session.ufs_append_from_block(block(2), BlockRange { start: 0, end: 100 }).await.unwrap();
    session.abort_block().await.unwrap();
    session.finish_ufs(BLOCK + 12 + 100).await.unwrap();
    session.end().await.unwrap();
    let written = std::fs::read(cluster.dir.path().join("ufs/a")).unwrap();
    assert_eq!(written, [&bytes[..], b"sent instead", &[5; 100]].concat());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_dies_leaves_no_room_taken_and_no_file() {
    let cluster = Cluster::new(&[]).await;
    let worker = cluster.worker("w1").await;
    for target in [worker.tcp(), worker.unix()] {
        let mut session = worker.data.session(&target).await.unwrap();
        session.open_ufs(upload(&cluster, "a")).await.unwrap();
        session.open_block(open(block(1), 5 << 20)).await.unwrap();
        session.data(TO_BOTH, 0, &bytes_of(1, 500_000)).await.unwrap();
        drop(session);
        let temp = cluster.tier_dir("w1", 0).join("alluxioworker/.tmp_blocks");
        until("the temporary block is gone", || std::fs::read_dir(&temp).unwrap().next().is_none())
            .await;
        let free = |notes: &crate::master::Notes| notes.tiers.iter().all(|t| t.used_bytes == 0);
        cluster.master.until("all room is free", free).await;
        until("the upload is gone", || {
            std::fs::read_dir(cluster.dir.path().join("ufs")).unwrap().next().is_none()
        })
        .await;
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_without_room_fails_and_the_upload_goes_on() {
    let properties = [
        ("alluxio.worker.tieredstore.level0.dirs.quota", "1MB"),
        ("alluxio.worker.tieredstore.level1.dirs.quota", "1MB"),
    ];
    let cluster = Cluster::new(&properties).await;
    let worker = cluster.worker("w1").await;
    let bytes = bytes_of(1, 3 << 20);
    let mut session = worker.data.session(&worker.tcp()).await.unwrap();
    session.open_ufs(upload(&cluster, "a")).await.unwrap();
    let error = session.open_block(open(block(1), 3 << 20)).await.unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted);
    session.open_block(open(block(1), 1000)).await.unwrap();
    session.data(TO_BOTH, 0, &bytes).await.unwrap();
    let error = session.commit_block(3 << 20, Vec::new()).await.unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted);
    session.finish_ufs(3 << 20).await.unwrap();
    session.end().await.unwrap();
    assert_eq!(std::fs::read(cluster.dir.path().join("ufs/a")).unwrap(), bytes);
    let free = |notes: &crate::master::Notes| notes.tiers.iter().all(|t| t.used_bytes == 0);
    cluster.master.until("all room is free", free).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_no_store_stays_until_the_master_lets_it_go() {
    let properties =
        [("alluxio.worker.tieredstore.levels", "1"), ("alluxio.worker.free.space.timeout", "10ms")];
    let cluster = Cluster::new(&properties).await;
    let worker = cluster.worker("w1").await;
    let size = 4 << 20;
    let bytes = bytes_of(1, size);
    let mut session = worker.data.session(&worker.tcp()).await.unwrap();
    let mut written = Vec::new();
    let refused = loop {
        let next = block(written.len() as u64 + 1);
        match session.open_block(open(next, size)).await {
            Ok(_) => {
                session.data(TO_BLOCK, 0, &bytes).await.unwrap();
                session.commit_block(size, Vec::new()).await.unwrap();
                written.push(next);
            }
            Err(error) => break error,
        }
    };
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(written.len() >= 2, "{}", written.len());
    for block in &written {
        assert_eq!(worker.read(&whole(*block, size, None)).await.unwrap(), bytes);
    }
    let released_inodes = vec![written[0].inode().0];
    let release = HeartbeatResponse { released_inodes, ..Default::default() };
    cluster.master.notes().replies.push_back(release);
    let taken = |notes: &crate::master::Notes| notes.replies.is_empty();
    cluster.master.until("the answer is taken", taken).await;
    let beats = cluster.master.notes().heartbeats;
    let once_more = move |notes: &crate::master::Notes| notes.heartbeats > beats + 1;
    cluster.master.until("the worker has taken the answer in", once_more).await;
    let mut session = worker.data.session(&worker.tcp()).await.unwrap();
    write(&mut session, block(99), &bytes).await;
    assert!(worker.read(&whole(written[0], size, None)).await.is_err(), "it made room");
    assert_eq!(worker.read(&whole(written[1], size, None)).await.unwrap(), bytes);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pinned_blocks_stay_from_the_moment_they_are_written() {
    let properties = [
        ("alluxio.worker.tieredstore.levels", "1"),
        ("alluxio.worker.evict.unpersisted.blocks", "true"),
    ];
    let cluster = Cluster::new(&properties).await;
    let worker = cluster.worker("w1").await;
    let size = 4 << 20;
    let bytes = bytes_of(1, size);
    let mut session = worker.data.session(&worker.tcp()).await.unwrap();
    let request = OpenBlock { pinned: true, ..open(block(1), size) };
    session.open_block(request).await.unwrap();
    session.data(TO_BLOCK, 0, &bytes).await.unwrap();
    session.commit_block(size, Vec::new()).await.unwrap();
    for file in 2..6 {
        write(&mut session, block(file), &bytes).await;
    }
    assert_eq!(worker.read(&whole(block(1), size, None)).await.unwrap(), bytes);
    assert!(worker.read(&whole(block(2), size, None)).await.is_err(), "others had to go");

    // The master's list takes over: it pins another file and forgets this one.
    let list = HeartbeatResponse {
        has_pin_list: true,
        pin_list_version: 7,
        pinned_inodes: vec![block(5).inode().0],
        ..Default::default()
    };
    cluster.master.notes().replies.push_back(list);
    let taken = |notes: &crate::master::Notes| notes.pin_version_told == 7;
    cluster.master.until("the worker has the list", taken).await;
    for file in 6..9 {
        write(&mut session, block(file), &bytes).await;
    }
    assert!(worker.read(&whole(block(1), size, None)).await.is_err());
    assert_eq!(worker.read(&whole(block(5), size, None)).await.unwrap(), bytes);
    session.end().await.unwrap();
    worker.stop().await;
}
