//! Block tokens as a worker checks them.

use crate::support::*;
use alluxio_datapath::client::{DataClient, Reading, Target};
use alluxio_datapath::token::{BlockToken, SECRET_BYTES, TokenKey, source_of};
use alluxio_datapath::{Error, ReadRequest, UfsSource};
use alluxio_host::{Clock, SystemClock};
use alluxio_proto::v1::block as pb;
use alluxio_types::{Code, Coded, InodeId, UnixMillis};

const HOUR: u64 = 3_600_000;
/// Who the clients of these tests are.
const USER: &str = "reader";

fn key(id: u64) -> TokenKey {
    TokenKey { id, secret: [id as u8; SECRET_BYTES], expires: UnixMillis(now() + HOUR) }
}

fn told(key: &TokenKey) -> pb::BlockKey {
    let secret = key.secret.to_vec().into();
    pb::BlockKey { id: key.id, secret, expires_ms: key.expires.0 }
}

fn now() -> u64 {
    SystemClock::new().now().0
}

/// For a file of one block.
fn token(key: &TokenKey, source: &UfsSource) -> BlockToken {
    BlockToken {
        key: key.id,
        expires: UnixMillis(now() + HOUR),
        writes: false,
        file: block(1).inode(),
        block_size_bytes: BLOCK,
        length: BLOCK,
        source: Some(source_of(source.mount, &source.ufs_path, &source.fingerprint)),
        user: USER.into(),
    }
}

/// Reads by both ways; the code of the refusal, if it is one, and the same by both.
async fn ask(worker: &Worker, token: Vec<u8>, request: &ReadRequest) -> Option<Code> {
    let options =
        alluxio_datapath::client::ClientOptions { user: USER.into(), ..Default::default() };
    let data = DataClient::new(options).presenting(Some(token.into()));
    let tcp = outcome(&data, &worker.tcp(), request).await;
    assert_eq!(outcome(&data, &worker.unix(), request).await, tcp, "by the socket, and by TCP");
    tcp
}

async fn outcome(data: &DataClient, target: &Target, request: &ReadRequest) -> Option<Code> {
    match data.read(target, request.clone()).await {
        Ok(Reading::Local(_)) => None,
        Ok(Reading::Stream(mut stream)) => loop {
            match stream.next().await {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(error) => panic!("{error}"),
            }
        },
        Err(Error::Refused(refusal)) => Some(refusal.code),
        Err(error) => panic!("{} {error}", error.code().name()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_for_its_file_its_user_and_its_time() {
    let cluster = Cluster::new(&[("alluxio.security.block.token.enabled", "true")]).await;
    let signer = key(5);
    cluster.master.notes().block_keys = vec![told(&signer)];
    let worker = cluster.worker("w1").await;
    let source = cluster.ufs_file("a", &bytes_of(1, BLOCK)).await;
    let secret = cluster.ufs_file("secret", &bytes_of(2, BLOCK)).await;
    let request = whole(block(1), BLOCK, Some(source.clone()));
    let good = token(&signer, &source);
    let denied = Some(Code::PermissionDenied);

    // Before anything is cached: then nothing can be either.
    let expired = BlockToken { expires: UnixMillis(now() - HOUR), ..good.clone() };
    let others = BlockToken { user: "somebody".into(), ..good.clone() };
    let another_file = BlockToken { file: InodeId::from_container(77), ..good.clone() };
    let for_writing = BlockToken { writes: true, ..good.clone() };
    for wrong in [expired, others, another_file, for_writing] {
        assert_eq!(ask(&worker, wrong.sign(&signer, "red"), &request).await, denied, "{wrong:?}");
    }
    assert_eq!(ask(&worker, good.sign(&signer, "blue"), &request).await, denied, "another cluster");
    assert_eq!(ask(&worker, good.sign(&key(6), "red"), &request).await, denied, "another secret");
    // A good token, and the bytes of a file that it is not for.
    let signed = good.sign(&signer, "red");
    let steal = whole(block(1), BLOCK, Some(secret));
    assert_eq!(ask(&worker, signed.clone(), &steal).await, denied);
    assert_eq!(worker.metric("alluxio_worker_blocks_cached_total"), 0);

    assert_eq!(ask(&worker, signed, &request).await, None);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_new_is_asked_for_and_an_old_one_stays_good() {
    let cluster = Cluster::new(&[("alluxio.security.block.token.enabled", "true")]).await;
    let (old, new) = (key(5), key(6));
    cluster.master.notes().block_keys = vec![told(&old)];
    let worker = cluster.worker("w1").await;
    let source = cluster.ufs_file("a", &bytes_of(1, BLOCK)).await;
    let request = whole(block(1), BLOCK, Some(source.clone()));
    let by = |key: &TokenKey| token(key, &source).sign(key, "red");
    assert_eq!(ask(&worker, by(&old), &request).await, None);
    // Another primary, which never heard of the old key.
    cluster.master.notes().block_keys = vec![told(&new)];
    assert_eq!(ask(&worker, by(&new), &request).await, None);
    assert_eq!(ask(&worker, by(&old), &request).await, None);
    assert_eq!(cluster.master.notes().key_questions, 1);
    // Numbers that somebody makes up do not make the master busy.
    let began = std::time::Instant::now();
    for id in 100..120 {
        assert_eq!(ask(&worker, by(&key(id)), &request).await, Some(Code::PermissionDenied));
    }
    let most = 2 + began.elapsed().as_secs();
    assert!(cluster.master.notes().key_questions <= most);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn control_calls_are_for_the_workers_own_user() {
    let own = [
        ("alluxio.security.block.token.enabled", "true"),
        ("alluxio.security.login.username", "keeper"),
    ];
    let cluster = Cluster::new(&own).await;
    let worker = cluster.worker("w1").await;
    let remove = || alluxio_proto::v1::worker::RemoveBlocksRequest { block_ids: vec![1] };
    let refused = worker.control_as(USER).remove_blocks(remove()).await.unwrap_err();
    assert_eq!(alluxio_proto::status::code_of(&refused), Code::PermissionDenied, "{refused}");
    worker.control_as("keeper").remove_blocks(remove()).await.unwrap();
    worker.stop().await;
}
