//! The bond with the master: registration, commands, separation, and what ends a worker.

use crate::support::*;
use alluxio_proto::v1::block::HeartbeatResponse;
use alluxio_worker::Stopped;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_worker_registers_under_its_id_with_all_its_blocks_in_batches() {
    let properties = [("alluxio.worker.register.stream.batch.size", "3")];
    let cluster = Cluster::new(&properties).await;
    let worker = cluster.worker("w1").await;
    let mut requests = Vec::new();
    for file in 0..10 {
        let bytes = bytes_of(file, 1000);
        let source = cluster.ufs_file(&format!("f{file}"), &bytes).await;
        let request = whole(block(file), 1000, Some(source));
        worker.read(&request).await.unwrap();
        requests.push((request, bytes));
    }
    let all = |notes: &crate::master::Notes| notes.blocks.len() == 10;
    cluster.master.until("all blocks are known", all).await;
    let id = worker.handle.worker_id();
    worker.stop().await;

    cluster.master.notes().blocks.clear();
    let worker = cluster.worker("w1").await;
    assert_eq!(worker.handle.worker_id(), id);
    {
        let notes = cluster.master.notes();
        assert_eq!(notes.blocks.len(), 10);
        let (hello, messages) = notes.registrations.last().unwrap();
        assert_eq!((hello.worker_id, hello.cluster_id.as_str()), (id.0, "red"));
        assert_eq!(*messages, 1 + 4);
    }
    let before = cluster.gate.reads();
    for (request, bytes) in requests {
        assert_eq!(worker.read(&request).await.unwrap(), bytes, "checked, then served from here");
    }
    assert_eq!(cluster.gate.reads(), before);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_of_the_master_are_carried_out() {
    let cluster = Cluster::new(&[]).await;
    let worker = cluster.worker("w1").await;
    let source = cluster.ufs_file("a", &bytes_of(1, 1000)).await;
    let request = whole(block(1), 1000, Some(source));
    worker.read(&request).await.unwrap();
    let there = |notes: &crate::master::Notes| notes.blocks.contains_key(&block(1));
    cluster.master.until("it is cached", there).await;

    let free = HeartbeatResponse { free_blocks: vec![block(1).0], ..Default::default() };
    cluster.master.notes().replies.push_back(free);
    let gone = |notes: &crate::master::Notes| !notes.blocks.contains_key(&block(1));
    cluster.master.until("it is freed", gone).await;
    assert!(!cluster.block_file("w1", 0, block(1)).exists());

    let again = HeartbeatResponse { register_again: true, ..Default::default() };
    cluster.master.notes().replies.push_back(again);
    let twice = |notes: &crate::master::Notes| notes.registrations.len() == 2;
    cluster.master.until("it registers again", twice).await;
    // The worker has heard of that, and doubts the mounts it knew, before it beats again.
    let beats = cluster.master.notes().heartbeats;
    let once_more = move |notes: &crate::master::Notes| notes.heartbeats > beats;
    cluster.master.until("a heartbeat after that", once_more).await;

    let source = cluster.ufs_file("x", &bytes_of(4, 1000)).await;
    worker.read(&whole(block(4), 1000, Some(source))).await.unwrap();
    let asked = cluster.master.notes().mount_questions;
    let source = cluster.ufs_file("b", &bytes_of(2, 1000)).await;
    worker.read(&whole(block(2), 1000, Some(source))).await.unwrap();
    assert_eq!(cluster.master.notes().mount_questions, asked, "known mounts are not asked for");
    cluster.master.notes().mount_version = 9;
    let beats = cluster.master.notes().heartbeats;
    let later = move |notes: &crate::master::Notes| notes.heartbeats >= beats + 2;
    cluster.master.until("two heartbeats later", later).await;
    let source = cluster.ufs_file("c", &bytes_of(3, 1000)).await;
    worker.read(&whole(block(3), 1000, Some(source))).await.unwrap();
    assert_eq!(cluster.master.notes().mount_questions, asked + 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_serves_while_the_master_is_away_and_tells_all_when_it_is_back() {
    let mut cluster = Cluster::new(&[]).await;
    let worker = cluster.worker("w1").await;
    let first = bytes_of(1, 1000);
    let source = cluster.ufs_file("a", &first).await;
    let request = whole(block(1), 1000, Some(source));
    worker.read(&request).await.unwrap();
    cluster.stop_master();
    assert_eq!(worker.read(&request).await.unwrap(), first);
    // Of a mount that it knows, it also fetches.
    let second = bytes_of(2, 1000);
    let source = cluster.ufs_file("b", &second).await;
    assert_eq!(worker.read(&whole(block(2), 1000, Some(source))).await.unwrap(), second);
    cluster.restart_master().await;
    let told = |notes: &crate::master::Notes| notes.blocks.contains_key(&block(2));
    cluster.master.until("the master hears of what happened meanwhile", told).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_starts_before_the_master_waits_for_it() {
    let mut cluster = Cluster::new(&[]).await;
    cluster.stop_master();
    let worker = cluster.start("w1").await;
    let web = worker.handle.web_address();
    assert!(ask(web, "/readyz").await.contains("registered: not started yet"));
    assert!(ask(web, "/healthz").await.starts_with("HTTP/1.1 200"));
    cluster.restart_master().await;
    worker.ready().await.unwrap();
    assert!(ask(web, "/readyz").await.starts_with("HTTP/1.1 200"));
    let metrics = ask(web, "/metrics").await;
    assert!(metrics.contains("alluxio_worker_registrations_total 1"), "{metrics}");
    worker.stop().await;
}

async fn ask(at: std::net::SocketAddr, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(at).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_of_another_cluster_ends_the_worker_with_the_way_out() {
    let cluster = Cluster::new(&[]).await;
    cluster.worker("w1").await.stop().await;
    cluster.master.notes().cluster_id = "blue".into();
    let worker = cluster.start("w1").await;
    let why = worker.ready().await.unwrap_err();
    assert!(matches!(&why, Stopped::Refused(words) if words.contains("red")), "{why}");
    assert_eq!(worker.handle.wait().await, why);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_a_master_gives_up_in_the_end() {
    let properties = [
        ("alluxio.worker.master.connect.retry.timeout", "300ms"),
        ("alluxio.worker.block.heartbeat.timeout", "200ms"),
    ];
    let mut cluster = Cluster::new(&properties).await;
    cluster.stop_master();
    let worker = cluster.start("w1").await;
    assert!(matches!(worker.ready().await, Err(Stopped::MasterLost { .. })));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_directory_is_told_and_the_last_one_ends_the_worker() {
    let cluster = Cluster::new(&[]).await;
    let worker = cluster.worker("w1").await;
    let bytes = bytes_of(1, 1000);
    let source = cluster.ufs_file("a", &bytes).await;
    let request = whole(block(1), 1000, Some(source));
    worker.read(&request).await.unwrap();
    let there = |notes: &crate::master::Notes| notes.blocks.contains_key(&block(1));
    cluster.master.until("it is cached", there).await;
    std::fs::remove_dir_all(cluster.tier_dir("w1", 0)).unwrap();
    let gone = |notes: &crate::master::Notes| {
        !notes.blocks.contains_key(&block(1)) && notes.tiers[0].capacity_bytes == 0
    };
    cluster.master.until("the master hears of it", gone).await;
    assert_eq!(worker.read(&request).await.unwrap(), bytes);
    let below = |notes: &crate::master::Notes| {
        notes.blocks.get(&block(1)).is_some_and(|(_, tier)| *tier == 1)
    };
    cluster.master.until("the next tier takes over", below).await;
    std::fs::remove_dir_all(cluster.tier_dir("w1", 1)).unwrap();
    let why = tokio::time::timeout(Duration::from_secs(20), worker.handle.wait()).await.unwrap();
    assert!(matches!(why, Stopped::NoStorage(_)), "{why}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_worker_leaves_no_socket_and_frees_its_ports() {
    let cluster = Cluster::new(&[]).await;
    let worker = cluster.worker("w1").await;
    let address = worker.address();
    assert!(std::path::Path::new(&address.domain_socket_path).exists());
    worker.stop().await;
    assert!(!std::path::Path::new(&address.domain_socket_path).exists());
    for port in [address.rpc_port, address.data_port, address.web_port] {
        assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err());
    }
    let again = cluster.worker("w1").await;
    let bad: Vec<_> = again.metrics.bad_names().iter().map(|bad| bad.name.clone()).collect();
    assert_eq!(bad, Vec::<String>::new());
    again.stop().await;
}
