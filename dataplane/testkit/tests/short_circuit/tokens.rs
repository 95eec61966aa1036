//! Block tokens: who has one of the master is served, and nobody else.

use super::{MIB, cluster, in_place, open, open_folder, path, reads_contained, write};
use alluxio_client::{CreateFileOptions, FileSystem, OpenFileOptions};
use alluxio_config::Config;
use alluxio_datapath::client::{ClientOptions, DataClient, Reading, Target};
use alluxio_datapath::token::{BlockToken, SECRET_BYTES, TokenKey};
use alluxio_datapath::{Error, ReadRequest};
use alluxio_host::{Clock, Host, SystemClock};
use alluxio_testkit::LocalCluster;
use alluxio_types::{
    AlluxioPath, BlockRange, Code, Coded, FileStatus, Mode, ReadType, UnixMillis, WorkerAddress,
    WriteType,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const TOKENS: (&str, &str) = ("alluxio.security.block.token.enabled", "true");
const LIFETIME: &str = "alluxio.security.block.token.lifetime";
const INTERVAL: &str = "alluxio.security.block.token.key.update.interval";

/// A client of another user.
fn other_user(cluster: &LocalCluster, user: &str) -> FileSystem {
    let config: Config =
        cluster.config().with([("alluxio.security.login.username", user)]).unwrap();
    FileSystem::connect(config.client().unwrap(), Host::real()).unwrap()
}

async fn status(fs: &FileSystem) -> FileStatus {
    fs.get_status(&path(), &Default::default()).await.unwrap()
}

fn first_block(status: &FileStatus) -> ReadRequest {
    let block_length = status.blocks[0].length;
    ReadRequest {
        block: status.blocks[0].id,
        block_length,
        range: BlockRange { start: 0, end: block_length },
        want_fd: true,
        read_type: ReadType::Cache,
        cache_whole_block: false,
        passive_source: None,
        source: None,
    }
}

/// Both ways to the worker.
fn ways(status: &FileStatus, sockets: &Path) -> [Target; 2] {
    let location = &status.blocks[0].locations[0];
    let address: &WorkerAddress = &location.address;
    let socket = sockets.join(format!("{:016x}", location.worker.0));
    [Target::Unix(socket), Target::tcp(address)]
}

fn code(outcome: Result<Reading, Error>) -> Option<Code> {
    outcome.err().map(|error| error.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_tokens_another_container_reads_in_place_too() {
    reads_contained(&[TOKENS]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_token_of_the_master_opens_nothing() {
    let sockets = open_folder();
    let cluster = cluster(sockets.path(), &[TOKENS]).await;
    let fs = cluster.client().unwrap();
    write(&fs, 2 * MIB).await;
    let status = status(&fs).await;
    let user = fs.user().to_owned();
    let now = SystemClock::new().now();
    let made_up = TokenKey { id: 7, secret: [1; SECRET_BYTES], expires: UnixMillis(u64::MAX) };
    let expires = UnixMillis(now.0 + 3_600_000);
    let forged = BlockToken::reading(&status, &user, made_up.id, expires);
    let cluster_id = fs.master_info().await.unwrap().cluster_id;
    let tokens: [Option<Vec<u8>>; 4] = [
        None,
        Some(Vec::new()),
        Some(b"let me in, I am the one who made this file".to_vec()),
        Some(forged.sign(&made_up, &cluster_id)),
    ];
    let data = DataClient::new(ClientOptions { user, ..ClientOptions::default() });
    for target in ways(&status, sockets.path()) {
        for token in &tokens {
            let data = data.presenting(token.clone().map(Arc::from));
            let outcome = data.read(&target, first_block(&status)).await;
            assert_eq!(code(outcome), Some(Code::PermissionDenied), "{target} {token:?}");
            let mut session = data.session(&target).await.unwrap();
            let refused = session
                .open_block(alluxio_datapath::OpenBlock {
                    block: status.id.block(1),
                    reserve_bytes: 100,
                    tier: 0,
                    want_fd: false,
                    pinned: false,
                })
                .await
                .unwrap_err();
            assert_eq!(refused.code(), Code::PermissionDenied, "{target} {token:?}");
        }
    }
    // The same, asked for by a client that the master knows.
    assert!(in_place(&open(&fs).await));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_the_right_gets_no_token() {
    let sockets = open_folder();
    let cluster = cluster(sockets.path(), &[TOKENS]).await;
    let fs = cluster.client().unwrap();
    write(&fs, 2 * MIB).await;
    let stranger = other_user(&cluster, "stranger");
    // Opened while it may be read, and not any more when the first byte is wanted.
    let reader = stranger.open_file(&path(), &OpenFileOptions::default()).await.unwrap();
    // Control calls name files of the under store freely: they are for the user that workers run as.
    let error = stranger.persist(&path()).await.unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied, "{error}");
    assert!(error.to_string().contains("cannot call workers"), "{error}");
    let private =
        alluxio_client::SetAttributeOptions { mode: Some(Mode(0o600)), ..Default::default() };
    fs.set_attribute(&path(), &private).await.unwrap();
    let error = reader.read_at(&mut [0; 10], 0).await.unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied, "{error}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_expire_keys_change_and_nobody_notices() {
    let sockets = open_folder();
    // The shortest that a busy machine can follow.
    let short = [TOKENS, (LIFETIME, "2s"), (INTERVAL, "1s")];
    let cluster = cluster(sockets.path(), &short).await;
    let fs = cluster.client().unwrap();
    write(&fs, 2 * MIB).await;
    let until = tokio::time::Instant::now() + Duration::from_secs(8);
    let mut turns = 0;
    while tokio::time::Instant::now() < until {
        assert!(in_place(&open(&fs).await));
        let other = AlluxioPath::parse(&format!("/written-{turns}")).unwrap();
        let through =
            CreateFileOptions { write_type: Some(WriteType::CacheThrough), ..Default::default() };
        let mut writer = fs.create_file(&other, &through).await.unwrap();
        writer.write(&vec![7; MIB]).await.unwrap();
        writer.close().await.unwrap();
        fs.free(&other, Default::default()).await.unwrap();
        let mut found = vec![0; MIB];
        let reader = fs.open_file(&other, &OpenFileOptions::default()).await.unwrap();
        assert_eq!(reader.read_at(&mut found, 0).await.unwrap(), MIB);
        assert_eq!(found, vec![7; MIB]);
        turns += 1;
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn masters_and_workers_that_restart_understand_each_other_again() {
    let sockets = open_folder();
    let cluster = cluster(sockets.path(), &[TOKENS]).await;
    let fs = cluster.client().unwrap();
    write(&fs, 2 * MIB).await;
    assert!(in_place(&open(&fs).await));
    // Now with a token of a key that neither the new primary nor the worker knows.
    let cluster = cluster.restart().await.unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !in_place(&open(&fs).await) {
        assert!(std::time::Instant::now() < deadline, "the new socket is not found");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    cluster.stop().await;
}
