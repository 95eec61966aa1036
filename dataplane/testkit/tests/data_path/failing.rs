//! Workers that die, blocks that rot, files that change: no wrong byte, no needless error.

use crate::cluster::{Cluster, ELSEWHERE, HOSTS, at, open, pattern, read, until, write};
use alluxio_client::{ClientError, Freshness, GetStatusOptions, OpenFileOptions};
use alluxio_types::{Code, Coded, WriteType};
use std::fs;
use std::time::Duration;

const LENGTH: usize = (6 << 20) + 77_777;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_in_mid_block_is_not_noticed_while_the_ufs_has_the_file() {
    for host in [HOSTS[1], ELSEWHERE] {
        let mut cluster =
            Cluster::start(2, &[("alluxio.user.short.circuit.enabled", "false")]).await;
        let bytes = pattern(1, LENGTH);
        let writer = cluster.client(HOSTS[1]);
        write(&writer, "/f", &bytes, WriteType::CacheThrough).await;
        let fs = cluster.client(host);
        let mut reader = open(&fs, "/f").await;
        let mut all = vec![0; 300_000];
        assert_eq!(reader.read(&mut all).await.unwrap(), 300_000);
        cluster.kill_worker(2);
        all.extend(reader.read_to_end().await.unwrap());
        assert!(all == bytes, "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_copy_takes_over_when_there_is_no_ufs_file() {
    let mut cluster = Cluster::start(2, &[]).await;
    let bytes = pattern(2, LENGTH);
    write(&cluster.client(HOSTS[1]), "/f", &bytes, WriteType::MustCache).await;
    let near = cluster.client(HOSTS[0]);
    assert!(read(&near, "/f").await == bytes);
    until("both workers have it", || async {
        let status = near.get_status(&at("/f"), &GetStatusOptions::default()).await.unwrap();
        status.blocks.iter().all(|block| block.locations.len() == 2)
    })
    .await;
    let fs = cluster.client(ELSEWHERE);
    let mut reader = open(&fs, "/f").await;
    let mut all = vec![0; 300_000];
    assert_eq!(reader.read(&mut all).await.unwrap(), 300_000);
    cluster.kill_worker(2);
    all.extend(reader.read_to_end().await.unwrap());
    assert!(all == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_copy_the_read_ends_with_a_clear_error_in_time() {
    let mut cluster = Cluster::start(1, &[]).await;
    let fs = cluster.client(ELSEWHERE);
    write(&fs, "/f", &pattern(3, LENGTH), WriteType::MustCache).await;
    let mut reader = open(&fs, "/f").await;
    cluster.kill_worker(1);
    let reading = reader.read_to_end();
    let outcome = tokio::time::timeout(Duration::from_secs(30), reading).await.unwrap();
    let error = outcome.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert!(error.to_string().contains("/f"), "{error}");
    // The worker comes back with its blocks, at another address.
    cluster.start_worker(1).await;
    until("it can be read again", || async {
        let mut reader = open(&fs, "/f").await;
        reader.read_to_end().await.is_ok_and(|bytes| bytes == pattern(3, LENGTH))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_the_ufs_waits_for_a_worker_when_there_is_none() {
    let mut cluster = Cluster::start(0, &[]).await;
    let bytes = pattern(11, LENGTH);
    fs::write(cluster.ufs("f"), &bytes).unwrap();
    // In vain only for as long as reading is tried.
    let error = open(&cluster.client(ELSEWHERE), "/f").await.read_to_end().await.unwrap_err();
    assert!(matches!(error, ClientError::BlockUnavailable { .. }), "{error}");
    let patient = [("alluxio.user.block.read.retry.max.duration", "60s")];
    let fs = cluster.client_with(ELSEWHERE, &patient);
    let mut reader = open(&fs, "/f").await;
    let (found, ()) = tokio::join!(reader.read_to_end(), cluster.start_worker(1));
    assert!(found.unwrap() == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotten_block_is_fetched_again_and_never_served() {
    let cluster = Cluster::start(1, &[]).await;
    let fs = cluster.client(ELSEWHERE);
    let bytes = pattern(4, LENGTH);
    write(&fs, "/f", &bytes, WriteType::CacheThrough).await;
    for file in cluster.block_files(1) {
        let mut stored = fs::read(&file).unwrap();
        let middle = stored.len() / 2;
        stored[middle] ^= 1;
        // In place: a committed block is the file, not its name.
        use std::os::unix::fs::FileExt;
        let opened = fs::OpenOptions::new().write(true).open(&file).unwrap();
        opened.write_all_at(&stored[middle..=middle], middle as u64).unwrap();
    }
    assert!(read(&fs, "/f").await == bytes);
    let reader = open(&fs, "/f").await;
    let mut buffer = vec![0; 9];
    reader.read_at(&mut buffer, (1 << 20) + (1 << 19)).await.unwrap();
    assert!(buffer == bytes[(1 << 20) + (1 << 19)..][..9]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changed_before_the_first_byte_is_read_in_its_new_version() {
    let cluster = Cluster::start(1, &[]).await;
    for host in [HOSTS[0], ELSEWHERE] {
        let (fs, name) = (cluster.client(host), format!("f-{host}"));
        let path = format!("/{name}");
        fs::write(cluster.ufs(&name), pattern(5, LENGTH)).unwrap();
        let mut reader = open(&fs, &path).await;
        let newer = pattern(6, LENGTH + 1000);
        fs::write(cluster.ufs(&name), &newer).unwrap();
        assert!(reader.read_to_end().await.unwrap() == newer[..LENGTH], "{host}");
        assert_eq!(reader.length(), newer.len() as u64);
        assert!(read(&fs, &path).await == newer, "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_while_it_is_read_is_never_mixed() {
    let cluster = Cluster::start(1, &[]).await;
    for host in [HOSTS[0], ELSEWHERE] {
        let (fs, name) = (cluster.client(host), format!("f-{host}"));
        let path = format!("/{name}");
        let older = pattern(7, LENGTH);
        write(&fs, &path, &older, WriteType::Through).await;
        let mut reader = open(&fs, &path).await;
        let mut all = vec![0; 1 << 20];
        assert_eq!(reader.read(&mut all).await.unwrap(), 1 << 20);
        let newer = pattern(8, LENGTH + 1000);
        fs::write(cluster.ufs(&name), &newer).unwrap();
        let error = loop {
            let mut buffer = vec![0; 1 << 20];
            match reader.read(&mut buffer).await {
                Ok(0) => panic!("the old version cannot be complete"),
                Ok(count) => all.extend_from_slice(&buffer[..count]),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, ClientError::Stale { .. }), "{error}");
        assert!(all == older[..all.len()], "{host}");
        // Who opens it anew asks for it, and gets one version.
        let always = Freshness {
            sync: Some(alluxio_client::SyncInterval::After(Duration::ZERO)),
            load: None,
        };
        let options = OpenFileOptions { freshness: always, ..OpenFileOptions::default() };
        let mut reader = fs.open_file(&at(&path), &options).await.unwrap();
        assert!(reader.read_to_end().await.unwrap() == newer, "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_vanished_from_the_ufs_is_an_error_at_once() {
    let cluster = Cluster::start(1, &[]).await;
    let fs = cluster.client(HOSTS[0]);
    fs::write(cluster.ufs("f"), pattern(9, LENGTH)).unwrap();
    let mut reader = open(&fs, "/f").await;
    fs::remove_file(cluster.ufs("f")).unwrap();
    let error = reader.read_to_end().await.unwrap_err();
    assert!(matches!(error.code(), Code::NotFound | Code::Stale), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_whose_worker_dies_fails_and_leaves_nothing() {
    let mut cluster = Cluster::start(1, &[]).await;
    let fs = cluster.client(ELSEWHERE);
    let mut writer = fs.create_file(&at("/f"), &Default::default()).await.unwrap();
    writer.write(&pattern(10, 3 << 20)).await.unwrap();
    cluster.kill_worker(1);
    let error = async {
        for _ in 0..100 {
            writer.write(&pattern(10, 1 << 20)).await?;
        }
        writer.close().await
    };
    let error = error.await.unwrap_err();
    assert!(matches!(error.code(), Code::Unavailable | Code::ResourceExhausted), "{error:?}");
    until("the name is gone", || async {
        !fs.exists(&at("/f"), Freshness::default()).await.unwrap()
    })
    .await;
}
