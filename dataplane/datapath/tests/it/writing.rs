//! Write sessions over real sockets against a scripted worker.

use crate::support::{client, pattern, serve};
use alluxio_datapath::checksum::{ChunkSums, piece_crcs};
use alluxio_datapath::message::Targets;
use alluxio_datapath::{OpenBlock, OpenUfs};
use alluxio_types::{BlockId, BlockRange, Code, Coded, Mode, MountId};
use std::os::unix::fs::FileExt;

const BLOCK: BlockId = BlockId(42);
const BLOCK_ONLY: Targets = Targets { block: true, ufs: false };
const UFS_ONLY: Targets = Targets { block: false, ufs: true };
const BOTH: Targets = Targets { block: true, ufs: true };

fn open_block(want_fd: bool) -> OpenBlock {
    OpenBlock { block: BLOCK, reserve_bytes: 1 << 20, tier: 0, want_fd, pinned: false }
}

fn open_ufs() -> OpenUfs {
    OpenUfs {
        mount: MountId(1),
        ufs_path: "/store/f".into(),
        overwrite: false,
        owner: "ann".into(),
        group: String::new(),
        mode: Mode::FILE,
    }
}

#[tokio::test]
async fn a_local_writer_writes_into_the_block_itself() {
    let served = serve().await;
    let client = client();
    let bytes = pattern(200_000);
    let mut session = client.session(&served.unix).await.unwrap();
    session.open_ufs(open_ufs()).await.unwrap();
    let opened = session.open_block(open_block(true)).await.unwrap();
    assert_eq!(opened.granted_bytes, 1 << 20);
    opened.file.unwrap().write_all_at(&bytes, 0).unwrap();
    assert_eq!(session.grow(5).await.unwrap(), 1005);
    let range = BlockRange { start: 0, end: 200_000 };
    session.ufs_append_from_block(BLOCK, range).await.unwrap();
    let mut sums = ChunkSums::new();
    sums.update(&bytes);
    session.commit_block(200_000, sums.finish()).await.unwrap();
    let done = session.finish_ufs(200_000).await.unwrap();
    assert_eq!((done.fingerprint.0.as_str(), done.length), ("v1", 200_000));
    session.end().await.unwrap();

    let state = served.worker.state.lock().unwrap();
    assert_eq!(state.ufs, bytes);
    assert_eq!(state.crcs[&BLOCK], piece_crcs(0, &bytes));
    assert!(state.log.contains(&"dropped, open: false".to_owned()), "{:?}", state.log);
}

#[tokio::test]
async fn a_remote_writer_sends_bytes_and_the_worker_sums_them() {
    let served = serve().await;
    let bytes = pattern(2_345_678);
    let mut session = client().session(&served.tcp).await.unwrap();
    session.open_ufs(open_ufs()).await.unwrap();
    let opened = session.open_block(open_block(true)).await.unwrap();
    assert!(opened.file.is_none(), "a descriptor cannot travel over TCP");
    let mut at = 0;
    for step in [1, 65_535, 100_000, 2_000_000, usize::MAX] {
        let end = bytes.len().min(at + step.min(bytes.len()));
        session.data(BOTH, at as u64, &bytes[at..end]).await.unwrap();
        at = end;
    }
    session.commit_block(bytes.len() as u64, Vec::new()).await.unwrap();
    session.finish_ufs(bytes.len() as u64).await.unwrap();
    session.end().await.unwrap();
    assert_eq!(std::fs::read(served.worker.path(BLOCK)).unwrap(), bytes);
    let state = served.worker.state.lock().unwrap();
    assert_eq!(state.ufs, bytes);
    assert_eq!(state.crcs[&BLOCK], piece_crcs(0, &bytes));
}

#[tokio::test]
async fn when_the_block_fails_the_ufs_goes_on() {
    let served = serve().await;
    served.worker.state.lock().unwrap().block_room = Some(150_000);
    let bytes = pattern(400_000);
    let mut session = client().session(&served.tcp).await.unwrap();
    session.open_ufs(open_ufs()).await.unwrap();
    session.open_block(open_block(false)).await.unwrap();
    for start in (0..400_000).step_by(100_000) {
        session.data(BOTH, start as u64, &bytes[start..start + 100_000]).await.unwrap();
    }
    // Whether the failure is known by now depends on timing; the command always tells.
    let error = session.commit_block(400_000, Vec::new()).await.unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted);
    assert_eq!(session.block_failure().unwrap().code, Code::ResourceExhausted);
    session.abort_block().await.unwrap();
    session.data(UFS_ONLY, 400_000, b"tail").await.unwrap();
    assert_eq!(session.finish_ufs(400_004).await.unwrap().length, 400_004);
    session.end().await.unwrap();
    let state = served.worker.state.lock().unwrap();
    assert_eq!(state.ufs[..400_000], bytes);
    assert!(state.log.contains(&format!("abort {BLOCK}")), "{:?}", state.log);
}

#[tokio::test]
async fn when_the_ufs_fails_its_finish_says_why() {
    let served = serve().await;
    served.worker.state.lock().unwrap().ufs_room = Some(10);
    let mut session = client().session(&served.tcp).await.unwrap();
    session.open_ufs(open_ufs()).await.unwrap();
    session.data(UFS_ONLY, 0, &pattern(100)).await.unwrap();
    let error = session.finish_ufs(100).await.unwrap_err();
    assert_eq!((error.code(), error.to_string()), (Code::Unavailable, "the store is away".into()));
    session.end().await.unwrap();
    assert!(served.worker.state.lock().unwrap().log.contains(&"abort ufs".to_owned()));
}

#[tokio::test]
async fn losing_the_connection_drops_what_is_open() {
    let served = serve().await;
    let mut session = client().session(&served.unix).await.unwrap();
    session.open_block(open_block(false)).await.unwrap();
    session.data(BLOCK_ONLY, 0, &pattern(100)).await.unwrap();
    drop(session);
    served.worker.dropped.notified().await;
    let log = served.worker.state.lock().unwrap().log.clone();
    assert_eq!(log, ["dropped, open: true"]);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_changes_nothing() {
    let served = serve().await;
    let mut session = client().session(&served.tcp).await.unwrap();
    let code = |outcome: Result<(), alluxio_datapath::Error>| outcome.unwrap_err().code();
    assert_eq!(code(session.commit_block(0, Vec::new()).await), Code::FailedPrecondition);
    session.open_block(open_block(false)).await.unwrap();
    let again = session.open_block(open_block(false)).await.unwrap_err();
    assert_eq!(again.code(), Code::FailedPrecondition);
    assert_eq!(session.finish_ufs(0).await.unwrap_err().code(), Code::FailedPrecondition);
    session.data(BLOCK_ONLY, 0, b"abc").await.unwrap();
    // The length is not what was sent: the block is dropped.
    assert_eq!(code(session.commit_block(4, Vec::new()).await), Code::InvalidArgument);
    session.end().await.unwrap();
    let log = served.worker.state.lock().unwrap().log.clone();
    assert_eq!(log[0], format!("abort {BLOCK}"));
}

#[tokio::test]
async fn data_out_of_place_ends_the_session() {
    let served = serve().await;
    let mut session = client().session(&served.tcp).await.unwrap();
    session.open_block(open_block(false)).await.unwrap();
    session.data(BLOCK_ONLY, 5, b"abc").await.unwrap();
    session.commit_block(8, Vec::new()).await.unwrap_err();
    served.worker.dropped.notified().await;
    assert_eq!(served.worker.state.lock().unwrap().log, ["dropped, open: true"]);
}
