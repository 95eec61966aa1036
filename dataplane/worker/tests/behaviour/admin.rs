//! The control service: caching on command, removing, persisting, telling.

use crate::support::*;
use alluxio_datapath::message::Targets;
use alluxio_datapath::{OpenBlock, UfsSource};
use alluxio_proto::convert::worker as words;
use alluxio_proto::status::code_of;
use alluxio_proto::v1::worker as pb;
use alluxio_types::{BlockId, Code, Mode};

fn cache_block(block: BlockId, length: u64, source: UfsSource) -> pb::CacheBlock {
    (&words::CacheBlock {
        block,
        length,
        source: Some(words::UfsSource {
            mount: source.mount,
            ufs_path: source.ufs_path,
            offset_in_file: source.offset_in_file,
            file_length: source.file_length,
            fingerprint: source.fingerprint,
        }),
        peer: None,
    })
        .into()
}

async fn put(worker: &Worker, block: BlockId, bytes: &[u8]) {
    let length = bytes.len() as u64;
    let mut session = worker.data.session(&worker.tcp()).await.unwrap();
    let request =
        OpenBlock { block, reserve_bytes: length, tier: 0, want_fd: false, pinned: false };
    session.open_block(request).await.unwrap();
    session.data(Targets { block: true, ufs: false }, 0, bytes).await.unwrap();
    session.commit_block(length, Vec::new()).await.unwrap();
    session.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_are_cached_on_command_and_failures_are_named() {
    let cluster = Cluster::new(&[]).await;
    let worker = cluster.worker("w1").await;
    let bytes = bytes_of(1, 3 * 100_000);
    let source = cluster.ufs_file("a", &bytes).await;
    let mut blocks: Vec<_> = (0..3)
        .map(|i| {
            let offset_in_file = i * 100_000;
            cache_block(block(1 + i), 100_000, UfsSource { offset_in_file, ..source.clone() })
        })
        .collect();
    blocks.push(cache_block(
        block(9),
        100_000,
        UfsSource { fingerprint: alluxio_types::Fingerprint("older".into()), ..source },
    ));
    let request = pb::CacheRequest { blocks, promote: true };
    let reply = worker.control().cache(request.clone()).await.unwrap().into_inner();
    assert_eq!((reply.cached_blocks, reply.cached_bytes), (3, 300_000));
    assert_eq!(reply.failures.len(), 1);
    assert_eq!((reply.failures[0].block_id, &*reply.failures[0].code), (block(9).0, "STALE"));
    let reads = cluster.gate.reads();
    let reply = worker.control().cache(request).await.unwrap().into_inner();
    assert_eq!(reply.cached_blocks, 3);
    assert_eq!(cluster.gate.reads(), reads + 1, "only the failed one is tried again");
    assert_eq!(
        worker.read(&whole(block(2), 100_000, None)).await.unwrap(),
        bytes[100_000..200_000]
    );

    let request = pb::RemoveBlocksRequest { block_ids: vec![block(1).0, block(77).0] };
    let reply = worker.control().remove_blocks(request).await.unwrap().into_inner();
    assert_eq!(reply.removed, 1);
    let told = |notes: &crate::master::Notes| {
        notes.blocks.len() == 2 && !notes.blocks.contains_key(&block(1))
    };
    cluster.master.until("the master knows", told).await;

    let info = worker.control().get_info(pb::GetInfoRequest {}).await.unwrap().into_inner();
    assert_eq!(info.worker_id, worker.handle.worker_id().0);
    assert_eq!((info.cluster_id.as_str(), info.registered, info.block_count), ("red", true, 2));
    assert_eq!(info.dirs.len(), 2);
    assert_eq!(info.dirs[0].used_bytes, 200_000);
    worker.stop().await;
}

fn persist(cluster: &Cluster, name: &str, blocks: Vec<words::PersistBlock>) -> words::Persist {
    words::Persist {
        mount: MOUNT,
        ufs_path: cluster.dir.path().join("ufs").join(name).display().to_string(),
        blocks,
        overwrite: false,
        owner: String::new(),
        group: String::new(),
        mode: Mode(0o640),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_persisted_from_blocks_here_and_elsewhere() {
    use std::os::unix::fs::PermissionsExt;
    let cluster = Cluster::new(&[]).await;
    let (first, second) = (cluster.worker("w1").await, cluster.worker("w2").await);
    let bytes = bytes_of(1, BLOCK + 500);
    put(&first, block(1), &bytes[..BLOCK as usize]).await;
    put(&second, block(2), &bytes[BLOCK as usize..]).await;
    let blocks = vec![
        words::PersistBlock { block: block(1), length: BLOCK, locations: vec![first.address()] },
        words::PersistBlock { block: block(2), length: 500, locations: vec![second.address()] },
    ];
    let file = persist(&cluster, "dir/a", blocks);
    let request = pb::PersistRequest::from(&file);
    let reply = first.control().persist(request.clone()).await.unwrap().into_inner();
    let path = cluster.dir.path().join("ufs/dir/a");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(reply.length, BLOCK + 500);
    assert_eq!(reply.fingerprint, cluster.source("dir/a").await.fingerprint.0);

    let again = first.control().persist(request.clone()).await.unwrap_err();
    assert_eq!(code_of(&again), Code::AlreadyExists);
    let mut replacing = file.clone();
    replacing.overwrite = true;
    first.control().persist(pb::PersistRequest::from(&replacing)).await.unwrap();
    let mut read_only = file;
    read_only.mount = READ_ONLY_MOUNT;
    let error = first.control().persist(pb::PersistRequest::from(&read_only)).await.unwrap_err();
    assert_eq!(code_of(&error), Code::ReadOnly);
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_blocks_are_gone_is_not_persisted_in_part() {
    let cluster = Cluster::new(&[]).await;
    let worker = cluster.worker("w1").await;
    put(&worker, block(1), &bytes_of(1, 1000)).await;
    let blocks = vec![
        words::PersistBlock { block: block(1), length: 1000, locations: Vec::new() },
        words::PersistBlock { block: block(2), length: 1000, locations: vec![worker.address()] },
    ];
    let file = persist(&cluster, "a", blocks);
    let error = worker.control().persist(pb::PersistRequest::from(&file)).await.unwrap_err();
    assert_eq!(code_of(&error), Code::NotFound);
    assert!(std::fs::read_dir(cluster.dir.path().join("ufs")).unwrap().next().is_none());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_does_not_say_who_makes_it_is_refused() {
    let cluster = Cluster::new(&[]).await;
    let worker = cluster.worker("w1").await;
    let at = format!("http://127.0.0.1:{}", worker.handle.address().rpc_port);
    let channel = tonic::transport::Endpoint::from_shared(at).unwrap().connect().await.unwrap();
    let mut nobody = pb::worker_client::WorkerClient::new(channel);
    let error = nobody.get_info(pb::GetInfoRequest {}).await.unwrap_err();
    assert_eq!(code_of(&error), Code::Unauthenticated);
    worker.stop().await;
}
