//! Where bytes come from, and what a read leaves behind.

use crate::cluster::{Cluster, ELSEWHERE, HOSTS, at, open, pattern, read, until, write};
use alluxio_client::{FreeOptions, GetStatusOptions, OpenFileOptions};
use alluxio_types::{Code, Coded, ReadType, WriteType};
use std::fs;
use std::io::SeekFrom;

const LENGTH: usize = (3 << 20) + 77_777;

async fn cached_percent(fs: &alluxio_client::FileSystem, path: &str) -> u32 {
    fs.get_status(&at(path), &GetStatusOptions::default()).await.unwrap().in_alluxio_percent
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_ranges_and_slices_agree_with_the_bytes_near_and_far() {
    let cluster = Cluster::start(1, &[]).await;
    let bytes = pattern(1, LENGTH);
    write(&cluster.client(HOSTS[0]), "/f", &bytes, WriteType::MustCache).await;
    for host in [HOSTS[0], ELSEWHERE] {
        let fs = cluster.client(host);
        let mut reader = open(&fs, "/f").await;
        assert_eq!(reader.length(), LENGTH as u64);
        let mut buffer = vec![0; 300_000];
        for offset in [0, 1, 900_000, 1 << 20, (2 << 20) - 7, LENGTH - 5, LENGTH, LENGTH + 9] {
            let count = reader.read_at(&mut buffer, offset as u64).await.unwrap();
            let end = LENGTH.min(offset + 300_000);
            assert!(buffer[..count] == bytes[offset.min(end)..end], "{host} {offset}");
            let slice = reader.read_at_bytes(offset as u64, 300_000).await.unwrap();
            assert!(slice == bytes[offset.min(end)..][..slice.len()]);
            assert_eq!(slice.is_empty(), offset >= LENGTH);
        }
        let ranges = reader.read_ranges(&[5..10, 1_000_000..2_500_000, 3_200_000..u64::MAX]);
        let ranges = ranges.await.unwrap();
        assert!(ranges[0] == bytes[5..10]);
        assert!(ranges[1] == bytes[1_000_000..2_500_000]);
        assert!(ranges[2] == bytes[3_200_000..]);

        assert_eq!(reader.seek(SeekFrom::End(-10)).unwrap(), LENGTH as u64 - 10);
        assert!(reader.read_to_end().await.unwrap() == bytes[LENGTH - 10..]);
        assert_eq!(reader.read(&mut buffer).await.unwrap(), 0);
        let error = reader.seek(SeekFrom::Current(1)).unwrap_err();
        assert_eq!(error.code(), Code::OutOfRange);
        reader.seek(SeekFrom::Start(3)).unwrap();
        let mut all = Vec::new();
        loop {
            let some = reader.read_bytes(400_000).await.unwrap();
            if some.is_empty() {
                break;
            }
            all.extend_from_slice(&some);
        }
        assert!(all == bytes[3..], "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_local_read_needs_nobody() {
    let mut cluster = Cluster::start(1, &[]).await;
    let fs = cluster.client(HOSTS[0]);
    let bytes = pattern(2, LENGTH);
    write(&fs, "/f", &bytes, WriteType::MustCache).await;
    let reader = open(&fs, "/f").await;
    let mut buffer = vec![0; LENGTH];
    assert_eq!(reader.try_read_at(&mut buffer, 0).unwrap(), None, "nothing is open yet");
    reader.read_at(&mut buffer, 0).await.unwrap();
    let slice = reader.read_at_bytes(100, 1000).await.unwrap();
    // From here on everything is in place: not even the worker's end is noticed.
    cluster.kill_worker(1);
    buffer.fill(0);
    assert_eq!(reader.read_at(&mut buffer, 0).await.unwrap(), LENGTH);
    assert!(buffer == bytes);
    drop(reader);
    assert!(slice == bytes[100..1100]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_read_brings_the_file_into_the_cache_as_its_type_says() {
    let cluster = Cluster::start(1, &[]).await;
    let bytes = pattern(3, LENGTH);
    for (read_type, part, percent) in [
        (ReadType::CachePromote, false, 100),
        (ReadType::Cache, true, 100),
        (ReadType::NoCache, false, 0),
    ] {
        for host in [HOSTS[0], ELSEWHERE] {
            let name = format!("{read_type}-{part}-{host}");
            fs::write(cluster.ufs(&name), &bytes).unwrap();
            let (fs, path) = (cluster.client(host), format!("/{name}"));
            let options =
                OpenFileOptions { read_type: Some(read_type), ..OpenFileOptions::default() };
            let mut reader = fs.open_file(&at(&path), &options).await.unwrap();
            if part {
                // One byte of each block.
                for offset in [5 << 10, 1 << 20, (3 << 20) - 1, LENGTH - 1] {
                    let mut one = [0];
                    reader.read_at(&mut one, offset as u64).await.unwrap();
                    assert_eq!(one[0], bytes[offset], "{name}");
                }
            } else {
                assert!(reader.read_to_end().await.unwrap() == bytes, "{name}");
            }
            if percent > 0 {
                until(&name, || async { cached_percent(&fs, &path).await == percent }).await;
            }
            assert_eq!(cached_percent(&fs, &path).await, percent, "{name}");
            assert!(read(&fs, &path).await == bytes, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_from_afar_is_copied_to_the_local_worker() {
    let cluster = Cluster::start(2, &[]).await;
    let bytes = pattern(4, LENGTH);
    // Near worker 2, so that it is there; and not in the UFS, so that it can only be copied.
    write(&cluster.client(HOSTS[1]), "/f", &bytes, WriteType::MustCache).await;
    assert!(cluster.block_files(1).is_empty());
    let plain =
        cluster.client_with(HOSTS[0], &[("alluxio.user.file.passive.cache.enabled", "false")]);
    assert!(read(&plain, "/f").await == bytes);
    let fs = cluster.client(HOSTS[0]);
    assert!(read(&fs, "/f").await == bytes);
    until("four blocks are copied", || async {
        let status = fs.get_status(&at("/f"), &GetStatusOptions::default()).await.unwrap();
        status.blocks.iter().all(|block| block.locations.len() == 2)
    })
    .await;
    assert_eq!(cluster.block_files(1).len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn loading_and_freeing_move_blocks_in_and_out() {
    let cluster = Cluster::start(2, &[]).await;
    let fs = cluster.client(HOSTS[0]);
    let bytes = pattern(5, LENGTH);
    let options = alluxio_client::CreateDirectoryOptions {
        write_type: Some(WriteType::Through),
        ..Default::default()
    };
    fs.create_directory(&at("/dir"), &options).await.unwrap();
    for path in ["/dir/a", "/dir/b"] {
        write(&fs, path, &bytes, WriteType::Through).await;
    }
    let loaded = fs.load(&at("/dir"), false).await.unwrap();
    assert_eq!((loaded.files, loaded.blocks, loaded.bytes), (2, 8, 2 * LENGTH as u64));
    until("the master knows", || async { cached_percent(&fs, "/dir/b").await == 100 }).await;
    let again = fs.load(&at("/dir"), false).await.unwrap();
    assert_eq!((again.files, again.blocks), (2, 0));
    // The other host has nothing of it yet.
    let there = cluster.client(HOSTS[1]).load(&at("/dir/a"), true).await.unwrap();
    assert_eq!(there.blocks, 4);

    let options = FreeOptions { recursive: true, forced: false };
    fs.free(&at("/dir"), options).await.unwrap();
    until("it is freed", || async { cached_percent(&fs, "/dir/a").await == 0 }).await;
    assert!(read(&fs, "/dir/a").await == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_status_opens_without_the_master() {
    let cluster = Cluster::start(1, &[]).await;
    let fs = cluster.client(HOSTS[0]);
    let bytes = pattern(6, LENGTH);
    write(&fs, "/f", &bytes, WriteType::MustCache).await;
    let options = GetStatusOptions { without_blocks: true, ..GetStatusOptions::default() };
    let status = fs.get_status(&at("/f"), &options).await.unwrap();
    let mut reader = fs.open_status(status, &OpenFileOptions::default()).unwrap();
    assert!(reader.read_to_end().await.unwrap() == bytes);
    let directory = fs.get_status(&at("/"), &options).await.unwrap();
    let error = fs.open_status(directory, &OpenFileOptions::default()).err().unwrap();
    assert_eq!(error.code(), Code::IsADirectory);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_cache_is_believed_and_forgets_own_changes() {
    let cluster = Cluster::start(1, &[]).await;
    let fs = cluster.client_with(HOSTS[0], &[("alluxio.user.metadata.cache.enabled", "true")]);
    write(&fs, "/f", b"one", WriteType::MustCache).await;
    let options = GetStatusOptions::default();
    let before = fs.get_status(&at("/f"), &options).await.unwrap();
    let other = cluster.client(HOSTS[0]);
    other.rename(&at("/f"), &at("/g")).await.unwrap();
    assert_eq!(fs.get_status(&at("/f"), &options).await.unwrap(), before);
    fs.rename(&at("/g"), &at("/f")).await.unwrap();
    fs.delete(&at("/f"), &Default::default()).await.unwrap();
    assert_eq!(fs.get_status(&at("/f"), &options).await.unwrap_err().code(), Code::NotFound);
}
