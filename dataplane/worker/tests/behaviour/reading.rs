//! Reads: cold, warm, while a block fills, in parts, of files that change, from other workers.

use crate::gated_ufs::PIECE;
use crate::support::*;
use alluxio_datapath::ReadRequest;
use alluxio_datapath::client::Reading;
use alluxio_types::{BlockRange, Code, Coded, ReadType};
use alluxio_ufs::fault::Operation;
use alluxio_ufs::{Error as UfsError, fault::Fault};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_read_brings_the_block_here_and_the_next_one_stays_here() {
    let cluster = Cluster::new(&[]).await;
    let worker = cluster.worker("w1").await;
    let bytes = bytes_of(1, BLOCK);
    let source = cluster.ufs_file("a", &bytes).await;
    let request = whole(block(1), BLOCK, Some(source));
    assert_eq!(worker.read(&request).await.unwrap(), bytes);
    let id = worker.handle.worker_id().0;
    let told = |notes: &crate::master::Notes| notes.blocks.get(&block(1)) == Some(&(id, 0));
    cluster.master.until("the master hears of the block", told).await;
    assert_eq!(worker.read(&request).await.unwrap(), bytes);
    assert_eq!(worker.read(&part(&request, 70_000, 70_010)).await.unwrap(), bytes[70_000..70_010]);
    assert_eq!(cluster.gate.reads(), 1);
    assert_eq!(worker.metric("alluxio_worker_read_requests_total{source=\"cache\"}"), 2);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_reader_gets_a_descriptor_of_the_block() {
    let cluster = Cluster::new(&[]).await;
    let worker = cluster.worker("w1").await;
    let bytes = bytes_of(1, BLOCK);
    let source = cluster.ufs_file("a", &bytes).await;
    let request = ReadRequest { want_fd: true, ..whole(block(1), BLOCK, Some(source)) };
    let cold = worker.data.read(&worker.unix(), request.clone()).await.unwrap();
    let Reading::Stream(mut stream) = cold else { panic!("it is not complete yet") };
    while stream.next().await.unwrap().is_some() {}
    stream.finish().await.unwrap();
    until("the block is committed", || worker.metric("alluxio_worker_blocks_cached_total") == 1)
        .await;
    let warm = worker.data.read(&worker.unix(), request).await.unwrap();
    let Reading::Local(local) = warm else { panic!("it is here") };
    let mut read = vec![0; BLOCK as usize];
    let mut at = 0;
    while at < read.len() {
        at += local.read_at(&mut read[at..], at as u64).await.unwrap();
    }
    assert_eq!(read, bytes);
    assert_eq!(cluster.gate.reads(), 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_readers_of_a_missing_block_make_one_fetch() {
    let cluster = Cluster::new(&[]).await;
    let worker = cluster.worker("w1").await;
    let bytes = bytes_of(1, BLOCK);
    let source = cluster.ufs_file("a", &bytes).await;
    let request = whole(block(1), BLOCK, Some(source));
    cluster.gate.close();
    let readers = (0..16).map(|_| worker.read(&request));
    let all = futures::future::join_all(readers);
    let open = async {
        until("one fetch began", || cluster.gate.reads() == 1).await;
        cluster.gate.let_through(100);
    };
    let (read, ()) = tokio::join!(all, open);
    for one in read {
        assert_eq!(one.unwrap(), bytes);
    }
    assert_eq!(cluster.gate.reads(), 1);
    assert_eq!(worker.metric("alluxio_worker_fetched_bytes_total{source=\"ufs\"}"), BLOCK);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_is_served_while_the_block_fills() {
    let cluster = Cluster::new(&[]).await;
    let worker = cluster.worker("w1").await;
    let bytes = bytes_of(1, BLOCK);
    let source = cluster.ufs_file("a", &bytes).await;
    let request = whole(block(1), BLOCK, Some(source));
    cluster.gate.close();
    cluster.gate.let_through(3);
    let reading = worker.data.read(&worker.tcp(), request.clone()).await.unwrap();
    let Reading::Stream(mut stream) = reading else { panic!("over TCP") };
    let mut first = vec![0; 2 * PIECE];
    let mut at = 0;
    while at < first.len() {
        at += stream.read(&mut first[at..]).await.unwrap();
    }
    assert_eq!(first, bytes[..2 * PIECE], "the rest has not left the store yet");
    // A part that is there, asked for by somebody else.
    let other = worker.read(&part(&request, 100, 1000)).await.unwrap();
    assert_eq!(other, bytes[100..1000]);
    cluster.gate.let_through(100);
    let mut rest = Vec::new();
    while let Some(more) = stream.next().await.unwrap() {
        rest.extend_from_slice(&more);
    }
    assert_eq!(rest, bytes[2 * PIECE..]);
    assert_eq!(cluster.gate.reads(), 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_read_caches_the_whole_block_unless_told_not_to() {
    let cluster = Cluster::new(&[]).await;
    let worker = cluster.worker("w1").await;
    let bytes = bytes_of(1, BLOCK);
    let source = cluster.ufs_file("a", &bytes).await;
    let no_cache = ReadRequest {
        read_type: ReadType::NoCache,
        ..whole(block(1), BLOCK, Some(source.clone()))
    };
    assert_eq!(worker.read(&no_cache).await.unwrap(), bytes);
    let request = whole(block(1), BLOCK, Some(source));
    let lone = ReadRequest { cache_whole_block: false, ..part(&request, 5, 50) };
    assert_eq!(worker.read(&lone).await.unwrap(), bytes[5..50]);
    assert_eq!(worker.metric("alluxio_worker_blocks_cached_total"), 0);
    assert_eq!(worker.metric("alluxio_worker_blocks_in_flight"), 0);
    assert_eq!(worker.read(&part(&request, 5, 50)).await.unwrap(), bytes[5..50]);
    let told = |notes: &crate::master::Notes| notes.blocks.contains_key(&block(1));
    cluster.master.until("the whole block is cached", told).await;
    let fetched = cluster.gate.reads();
    assert_eq!(worker.read(&request).await.unwrap(), bytes);
    assert_eq!(cluster.gate.reads(), fetched);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_far_beyond_the_fill_does_not_wait_for_it() {
    const LARGE: u64 = 9 << 20;
    let cluster = Cluster::new(&[]).await;
    let worker = cluster.worker("w1").await;
    let bytes = bytes_of(1, LARGE);
    let source = cluster.ufs_file("a", &bytes).await;
    let request = whole(block(1), LARGE, Some(source));
    cluster.gate.close();
    cluster.gate.let_through(2);
    let reading = worker.data.read(&worker.tcp(), request.clone()).await.unwrap();
    until("the fill began", || cluster.gate.reads() == 1).await;
    let tail = part(&request, LARGE - 100, LARGE);
    let far = worker.read(&tail);
    let open = async {
        until("the reader went to the store", || cluster.gate.reads() == 2).await;
        // Fair: the fill takes what it gets first, so let all of it through.
        cluster.gate.let_through(1000);
    };
    let (far, ()) = tokio::join!(far, open);
    assert_eq!(far.unwrap(), bytes[(LARGE - 100) as usize..]);
    drop(reading);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_stale_and_versions_never_mix() {
    let cluster = Cluster::new(&[]).await;
    let worker = cluster.worker("w1").await;
    let old = bytes_of(1, BLOCK);
    let source = cluster.ufs_file("a", &old).await;
    let request = whole(block(1), BLOCK, Some(source));

    // Changed in the middle of a fetch.
    cluster.gate.close();
    cluster.gate.let_through(3);
    let reading = worker.data.read(&worker.tcp(), request.clone()).await.unwrap();
    let Reading::Stream(mut stream) = reading else { panic!("over TCP") };
    let first = stream.next().await.unwrap().unwrap();
    assert_eq!(first[..], old[..first.len()]);
    let new = bytes_of(2, BLOCK);
    std::fs::write(cluster.dir.path().join("ufs/a"), &new).unwrap();
    cluster.gate.let_through(100);
    let mut got = first.to_vec();
    let error = loop {
        match stream.next().await {
            Ok(Some(bytes)) => got.extend_from_slice(&bytes),
            Ok(None) => panic!("{} bytes of two versions were read", got.len()),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Code::Stale);
    assert!((got.len() as u64) < BLOCK, "the last bytes are held back until the version is sure");

    // Asked for later: refused at once, in any way of reading.
    for read_type in [ReadType::Cache, ReadType::NoCache] {
        let again = ReadRequest { read_type, ..request.clone() };
        assert_eq!(worker.read(&again).await.unwrap_err().code(), Code::Stale);
        let lone = ReadRequest { cache_whole_block: false, ..part(&again, 0, 10) };
        assert_eq!(worker.read(&lone).await.unwrap_err().code(), Code::Stale);
    }
    assert_eq!(worker.metric("alluxio_worker_blocks_cached_total"), 0);

    // The new version has new ids.
    let source = cluster.source("a").await;
    assert_eq!(worker.read(&whole(block(2), BLOCK, Some(source))).await.unwrap(), new);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_the_store_reach_the_reader_and_leave_nothing() {
    let cluster = Cluster::new(&[]).await;
    let worker = cluster.worker("w1").await;
    let bytes = bytes_of(1, BLOCK);
    let source = cluster.ufs_file("a", &bytes).await;
    let uri = source.ufs_path.clone();
    let request = whole(block(1), BLOCK, Some(source));
    let denied = UfsError::PermissionDenied { uri: uri.clone(), detail: "403".into() };
    let down = UfsError::Unavailable { uri: uri.clone(), detail: "503".into() };
    let gone = UfsError::NotFound { uri };
    for (fault, code) in [
        (Fault::Fail(denied), Code::PermissionDenied),
        (Fault::Fail(gone), Code::NotFound),
        (Fault::Fail(down), Code::Unavailable),
        (Fault::TruncateRead(100_000), Code::Unavailable),
    ] {
        cluster.plan.add(Operation::Read, "", u64::MAX, fault);
        let error = worker.read(&request).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        cluster.plan.clear();
    }
    until("all room is free again", || {
        cluster.master.notes().tiers.iter().all(|tier| tier.used_bytes == 0)
            && worker.metric("alluxio_worker_blocks_in_flight") == 0
    })
    .await;
    assert_eq!(worker.read(&request).await.unwrap(), bytes, "and then it works");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_store_makes_readers_wait_and_nothing_else() {
    let cluster = Cluster::new(&[]).await;
    let worker = cluster.worker("w1").await;
    let (slow, quick) = (bytes_of(1, 1000), bytes_of(2, 1000));
    let slow_source = cluster.ufs_file("slow", &slow).await;
    let quick_source = cluster.ufs_file("quick", &quick).await;
    let delay = Fault::Delay(Duration::from_millis(400));
    cluster.plan.add(Operation::Read, "slow", 1, delay);
    let slow_request = whole(block(1), 1000, Some(slow_source));
    let waiting = worker.read(&slow_request);
    let quick_request = whole(block(2), 1000, Some(quick_source));
    let others = async {
        let started = std::time::Instant::now();
        assert_eq!(worker.read(&quick_request).await.unwrap(), quick);
        assert!(started.elapsed() < Duration::from_millis(400));
    };
    let (read, ()) = tokio::join!(waiting, others);
    assert_eq!(read.unwrap(), slow);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_without_room_is_served_without_caching() {
    let properties = [
        ("alluxio.worker.tieredstore.level0.dirs.quota", "1MB"),
        ("alluxio.worker.tieredstore.level1.dirs.quota", "1MB"),
    ];
    let cluster = Cluster::new(&properties).await;
    let worker = cluster.worker("w1").await;
    let bytes = bytes_of(1, BLOCK);
    let source = cluster.ufs_file("a", &bytes).await;
    let request = whole(block(1), BLOCK, Some(source));
    assert_eq!(worker.read(&request).await.unwrap(), bytes);
    assert_eq!(worker.read(&request).await.unwrap(), bytes);
    assert_eq!(cluster.gate.reads(), 2);
    let failures = "alluxio_worker_fetch_errors_total{code=\"RESOURCE_EXHAUSTED\"}";
    assert_eq!(worker.metric(failures), 2);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_nobody_names_a_source_for_is_not_found() {
    let cluster = Cluster::new(&[]).await;
    let worker = cluster.worker("w1").await;
    let error = worker.read(&whole(block(1), 10, None)).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_of_another_worker_is_copied_from_there() {
    let cluster = Cluster::new(&[]).await;
    let (first, second) = (cluster.worker("w1").await, cluster.worker("w2").await);
    let bytes = bytes_of(1, BLOCK);
    let source = cluster.ufs_file("a", &bytes).await;
    let request = whole(block(1), BLOCK, Some(source));
    first.read(&request).await.unwrap();
    until("the first has it", || first.metric("alluxio_worker_blocks_cached_total") == 1).await;
    let mut passive = request.clone();
    passive.passive_source = Some(first.address());
    passive.range = BlockRange { start: 0, end: 0 };
    second.data.cache(&second.tcp(), passive.clone()).await.unwrap();
    let id = second.handle.worker_id().0;
    let told = |notes: &crate::master::Notes| {
        notes.blocks.get(&block(1)).is_some_and(|(worker, _)| *worker == id)
    };
    cluster.master.until("the second has it", told).await;
    assert_eq!(second.read(&request).await.unwrap(), bytes);
    assert_eq!(cluster.gate.reads(), 1, "the store was asked once, by the first");
    assert_eq!(second.metric("alluxio_worker_fetched_bytes_total{source=\"worker\"}"), BLOCK);

    // A worker that is gone is no reason to fail while the store has the file.
    let other = bytes_of(2, 1000);
    let source = cluster.ufs_file("b", &other).await;
    let mut lost = whole(block(2), 1000, Some(source));
    lost.passive_source = Some(first.address());
    first.stop().await;
    assert_eq!(second.read(&lost).await.unwrap(), other);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rotten_bytes_are_never_handed_out_and_the_block_comes_back_from_the_store() {
    let cluster = Cluster::new(&[]).await;
    let worker = cluster.worker("w1").await;
    let bytes = bytes_of(1, BLOCK);
    let source = cluster.ufs_file("a", &bytes).await;
    let request = whole(block(1), BLOCK, Some(source));
    worker.read(&request).await.unwrap();
    let told = |notes: &crate::master::Notes| notes.blocks.contains_key(&block(1));
    cluster.master.until("it is cached", told).await;

    let file = cluster.block_file("w1", 0, block(1));
    let mut rotten = bytes.clone();
    rotten[500_000] ^= 0x10;
    std::fs::write(&file, &rotten).unwrap();
    // The reader's own check finds it; the report makes the worker look.
    let error = worker.read(&request).await.unwrap_err();
    assert_eq!(error.code(), Code::DataLoss);
    let bad = alluxio_datapath::Error::Checksum { block: block(1), offset: 458_752 };
    let alluxio_datapath::Error::Checksum { block: id, offset } = bad else { unreachable!() };
    worker.data.report_corrupt(&worker.tcp(), id, offset).await.unwrap();
    let gone = |notes: &crate::master::Notes| !notes.blocks.contains_key(&block(1));
    cluster.master.until("the bad copy is gone", gone).await;
    assert_eq!(worker.read(&request).await.unwrap(), bytes);
    assert_eq!(cluster.gate.reads(), 2);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_a_good_block_changes_nothing() {
    let cluster = Cluster::new(&[]).await;
    let worker = cluster.worker("w1").await;
    let bytes = bytes_of(1, BLOCK);
    let source = cluster.ufs_file("a", &bytes).await;
    let request = whole(block(1), BLOCK, Some(source));
    worker.read(&request).await.unwrap();
    until("it is cached", || worker.metric("alluxio_worker_blocks_cached_total") == 1).await;
    worker.data.report_corrupt(&worker.tcp(), block(1), 0).await.unwrap();
    assert_eq!(worker.read(&request).await.unwrap(), bytes);
    assert_eq!(cluster.gate.reads(), 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_with_promotion_moves_a_block_up() {
    let cluster = Cluster::new(&[]).await;
    let worker = cluster.worker("w1").await;
    let source = cluster.ufs_file("big", &bytes_of(1, 9 << 20)).await;
    worker.read(&whole(block(1), 9 << 20, Some(source))).await.unwrap();
    let bytes = bytes_of(2, 2 << 20);
    let source = cluster.ufs_file("small", &bytes).await;
    let request = whole(block(2), 2 << 20, Some(source));
    worker.read(&request).await.unwrap();
    let below = |notes: &crate::master::Notes| {
        notes.blocks.get(&block(2)).is_some_and(|(_, tier)| *tier == 1)
    };
    cluster.master.until("the top is full, so it went below", below).await;
    let promoting = ReadRequest { read_type: ReadType::CachePromote, ..request };
    assert_eq!(worker.read(&promoting).await.unwrap(), bytes);
    let swapped = |notes: &crate::master::Notes| {
        let tier = |id| notes.blocks.get(&block(id)).map(|(_, tier)| *tier);
        (tier(1), tier(2)) == (Some(1), Some(0))
    };
    cluster.master.until("they changed places", swapped).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_length_or_place_in_the_file_is_refused() {
    let cluster = Cluster::new(&[]).await;
    let worker = cluster.worker("w1").await;
    let source = cluster.ufs_file("a", &bytes_of(1, 1000)).await;
    let request = whole(block(1), 1000, Some(source.clone()));
    worker.read(&request).await.unwrap();
    until("it is cached", || worker.metric("alluxio_worker_blocks_cached_total") == 1).await;
    let error = worker.read(&whole(block(1), 999, Some(source.clone()))).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    let error = worker.read(&whole(block(2), 1001, Some(source))).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    worker.stop().await;
}
