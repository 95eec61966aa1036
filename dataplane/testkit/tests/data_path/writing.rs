//! What each write type leaves behind, and what happens when there is no room.

use crate::cluster::{Cluster, ELSEWHERE, HOSTS, at, pattern, read, write};
use alluxio_client::{
    ClientError, CreateFileOptions, DeleteOptions, Freshness, GetStatusOptions, LocationPolicy,
};
use alluxio_types::{Code, Coded, PersistenceState, WriteType};
use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

/// Three blocks and a bit.
const LENGTH: usize = (3 << 20) + 77_777;

#[tokio::test(flavor = "multi_thread")]
async fn every_write_type_keeps_its_promise_near_and_far() {
    let cluster = Cluster::start(2, &[]).await;
    for (number, host) in [HOSTS[0], ELSEWHERE].into_iter().enumerate() {
        let fs = cluster.client(host);
        for length in [0, 10, 1 << 20, LENGTH] {
            for write_type in [WriteType::MustCache, WriteType::CacheThrough, WriteType::Through] {
                let name = format!("{number}-{length}-{write_type}");
                let (path, bytes) = (format!("/{name}"), pattern(length as u64, length));
                let status = write(&fs, &path, &bytes, write_type).await;
                assert!(status.completed, "{name}");
                assert_eq!(status.length, length as u64, "{name}");
                assert!(read(&fs, &path).await == bytes, "{name}");

                let through = write_type.is_through();
                let stored = fs::read(cluster.ufs(&name)).ok();
                assert!(stored == through.then(|| bytes.clone()), "{name}");
                let persistence = match through {
                    true => PersistenceState::Persisted,
                    false => PersistenceState::NotPersisted,
                };
                assert_eq!(status.persistence, persistence, "{name}");
                let cached = if write_type.is_cached() && length > 0 { 100 } else { 0 };
                if length > 0 {
                    assert_eq!(status.in_alluxio_percent, cached, "{name}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_blocks_of_a_file_that_goes_through_are_on_one_worker() {
    let cluster = Cluster::start(2, &[]).await;
    let fs = cluster.client(ELSEWHERE);
    let options = |write_type| CreateFileOptions {
        write_type: Some(write_type),
        policy: Some(LocationPolicy::RoundRobin),
        ..CreateFileOptions::default()
    };
    for (write_type, count) in [(WriteType::CacheThrough, 1), (WriteType::MustCache, 2)] {
        let path = at(&format!("/{write_type}"));
        let mut writer = fs.create_file(&path, &options(write_type)).await.unwrap();
        writer.write(&pattern(1, LENGTH)).await.unwrap();
        let status = writer.close().await.unwrap();
        let workers: BTreeSet<_> =
            status.blocks.iter().flat_map(|block| &block.locations).map(|l| l.worker).collect();
        assert_eq!(workers.len(), count, "{write_type}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_is_dropped_or_cancelled_leaves_nothing() {
    let cluster = Cluster::start(1, &[]).await;
    let fs = cluster.client(HOSTS[0]);
    for write_type in [WriteType::MustCache, WriteType::CacheThrough] {
        let options =
            CreateFileOptions { write_type: Some(write_type), ..CreateFileOptions::default() };
        for cancel in [true, false] {
            let path = at("/gone");
            let mut writer = fs.create_file(&path, &options).await.unwrap();
            writer.write(&pattern(1, LENGTH)).await.unwrap();
            if cancel {
                writer.cancel().await;
            } else {
                drop(writer);
            }
            crate::cluster::until("the name is gone", || async {
                !fs.exists(&path, Freshness::default()).await.unwrap()
            })
            .await;
            crate::cluster::until("the UFS has nothing", || async {
                fs::read_dir(cluster.dir.path().join("ufs")).unwrap().count() == 0
            })
            .await;
            crate::cluster::until("its blocks are gone", || async {
                cluster.block_files(1).is_empty()
            })
            .await;
        }
    }
}

/// An abandoned file is removed by its inode: trying for long to remove the file that has its name now
/// would be as wrong as removing it.
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_whose_file_was_replaced_fails_at_once_and_leaves_the_other_one() {
    let cluster = Cluster::start(1, &[]).await;
    let fs = cluster.client(HOSTS[0]);
    let options = CreateFileOptions::default();
    let writer = fs.create_file(&at("/f"), &options).await.unwrap();
    fs.delete(&at("/f"), &DeleteOptions::default()).await.unwrap();
    let other = fs.create_file(&at("/f"), &options).await.unwrap();
    let closed = tokio::time::timeout(Duration::from_secs(10), writer.close()).await;
    assert_eq!(closed.expect("it does not try on").unwrap_err().code(), Code::NotFound);
    let id = other.status().id;
    assert_eq!(other.close().await.unwrap().id, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_file_cannot_be_read_or_made_again() {
    let cluster = Cluster::start(1, &[]).await;
    let fs = cluster.client(HOSTS[0]);
    let writer = fs.create_file(&at("/f"), &CreateFileOptions::default()).await.unwrap();
    let error = fs.open_file(&at("/f"), &Default::default()).await.err().unwrap();
    assert_eq!(error.code(), Code::Incomplete);
    let error = fs.create_file(&at("/f"), &CreateFileOptions::default()).await.err().unwrap();
    assert_eq!(error.code(), Code::AlreadyExists);
    writer.close().await.unwrap();
    read(&fs, "/f").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_cached_goes_elsewhere_or_through() {
    // Each worker has room for one block and a half; what is pinned is not evicted.
    let cluster = Cluster::start(2, &[("alluxio.worker.ramdisk.size", "1500KB")]).await;
    let fs = cluster.client(HOSTS[0]);
    // What is made in a pinned directory is pinned from the start.
    fs.create_directory(&at("/pinned"), &Default::default()).await.unwrap();
    let pin = alluxio_client::SetAttributeOptions { pinned: Some(true), ..Default::default() };
    fs.set_attribute(&at("/pinned"), &pin).await.unwrap();
    let mut workers = BTreeSet::new();
    for path in ["/pinned/1", "/pinned/2"] {
        let status = write(&fs, path, &pattern(1, 1 << 20), WriteType::MustCache).await;
        workers.insert(status.blocks[0].locations[0].worker);
    }
    assert_eq!(workers.len(), 2, "the second file found room on the other worker");
    let options = CreateFileOptions {
        write_type: Some(WriteType::MustCache),
        ..CreateFileOptions::default()
    };
    let mut writer = fs.create_file(&at("/third"), &options).await.unwrap();
    let error = writer.write(&pattern(2, 1 << 20)).await.unwrap_err();
    assert!(matches!(error, ClientError::CacheFailed { .. }), "{error:?}");
    assert_eq!(error.code(), Code::ResourceExhausted);
    drop(writer);

    let bytes = pattern(3, LENGTH);
    let status = write(&fs, "/through", &bytes, WriteType::CacheThrough).await;
    assert_eq!(status.persistence, PersistenceState::Persisted);
    assert!(fs::read(cluster.ufs("through")).unwrap() == bytes);
    assert!(read(&fs, "/through").await == bytes);
    // From afar the bytes travel in frames, and the block fails while they do.
    let bytes = pattern(4, LENGTH);
    write(&cluster.client(ELSEWHERE), "/far", &bytes, WriteType::CacheThrough).await;
    assert!(fs::read(cluster.ufs("far")).unwrap() == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_copy_of_a_file_is_not_evicted_before_it_is_persisted() {
    let cluster = Cluster::start(1, &[("alluxio.worker.ramdisk.size", "1500KB")]).await;
    let fs = cluster.client(HOSTS[0]);
    let first = pattern(1, 1 << 20);
    write(&fs, "/first", &first, WriteType::MustCache).await;
    let options = CreateFileOptions {
        write_type: Some(WriteType::MustCache),
        ..CreateFileOptions::default()
    };
    let bytes = pattern(2, 1 << 20);
    let mut second = fs.create_file(&at("/second"), &options).await.unwrap();
    let error = second.write(&bytes).await.unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted, "{error:?}");
    drop(second);
    assert!(read(&fs, "/first").await == first);

    assert_eq!(fs.persist(&at("/first")).await.unwrap(), 1);
    // The worker hears of it by one of its next heartbeats.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let overwrite = CreateFileOptions { overwrite: true, ..options };
    loop {
        let mut second = fs.create_file(&at("/second"), &overwrite).await.unwrap();
        match second.write(&bytes).await {
            Ok(()) => {
                second.close().await.unwrap();
                break;
            }
            Err(error) => assert_eq!(error.code(), Code::ResourceExhausted, "{error:?}"),
        }
        assert!(std::time::Instant::now() < deadline, "the first file still fills the worker");
    }
    assert!(read(&fs, "/second").await == bytes);
    assert!(read(&fs, "/first").await == first, "from the UFS");
}

#[tokio::test(flavor = "multi_thread")]
async fn writing_asynchronously_is_not_built_and_says_so() {
    let cluster = Cluster::start(1, &[]).await;
    let fs = cluster.client(HOSTS[0]);
    let options = CreateFileOptions {
        write_type: Some(WriteType::AsyncThrough),
        ..CreateFileOptions::default()
    };
    let error = fs.create_file(&at("/f"), &options).await.err().unwrap();
    assert_eq!(error.code(), Code::Unimplemented);
    assert!(!fs.exists(&at("/f"), Freshness::default()).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cached_file_is_persisted_later() {
    let cluster = Cluster::start(2, &[]).await;
    let fs = cluster.client(HOSTS[0]);
    let bytes = pattern(5, LENGTH);
    write(&fs, "/later", &bytes, WriteType::MustCache).await;
    assert_eq!(fs.persist(&at("/")).await.unwrap(), 1);
    assert_eq!(fs.persist(&at("/later")).await.unwrap(), 0);
    assert!(fs::read(cluster.ufs("later")).unwrap() == bytes);
    let status = fs.get_status(&at("/later"), &GetStatusOptions::default()).await.unwrap();
    assert_eq!(status.persistence, PersistenceState::Persisted);
    assert!(!status.fingerprint.is_empty());
}

#[test]
fn callers_without_async_write_and_read_as_with_files() {
    use std::io::{Read, Seek, SeekFrom, Write};
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cluster = runtime.block_on(Cluster::start(1, &[]));
    let config = cluster.client_config(HOSTS[0], &[]);
    let fs = alluxio_client::blocking::FileSystem::connect(config, alluxio_host::Host::real());
    let fs = fs.unwrap();
    let bytes = pattern(6, LENGTH);
    let mut writer = fs.create_file(&at("/f"), &CreateFileOptions::default()).unwrap();
    writer.write_all(&bytes).unwrap();
    writer.close().unwrap();
    let mut reader = fs.open_file(&at("/f"), &Default::default()).unwrap();
    let mut all = Vec::new();
    reader.read_to_end(&mut all).unwrap();
    assert!(all == bytes);
    reader.seek(SeekFrom::Start(1_000_000)).unwrap();
    let mut some = vec![0; 100_000];
    reader.read_exact(&mut some).unwrap();
    assert!(some == bytes[1_000_000..1_100_000]);
    assert_eq!(reader.read_at(&mut some, 5).unwrap(), 100_000);
    assert!(some == bytes[5..100_005]);
    let error = runtime.block_on(async { fs.exists(&at("/f"), Freshness::default()) });
    assert!(matches!(error, Err(ClientError::BlockingInAsync)));
}
