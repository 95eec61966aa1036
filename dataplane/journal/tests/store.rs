//! What a master may rely on, tried on [`FolderJournal`] through the trait.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use alluxio_host::{
    Disk, Fault, FaultKind, Host, ManualClock, MemoryDisk, OpenMode, Operation, SeededEntropy,
};
use alluxio_journal::folder::{FolderLog, QueueLimits, format};
use alluxio_journal::{
    CheckpointInfo, EntryBatch, Flush, FolderJournal, FolderOptions, JournalError, JournalStore,
    NoopJournal, Observer, Recovered, Replay, StateDigest,
};
use alluxio_types::{
    CheckpointRecord, Entry, FileKind, Fingerprint, InodeId, InodeRecord, JournalSeq, Mode,
    MountId, PersistenceState, Term, TtlAction, UnixMillis,
};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

fn memory_host(disk: &MemoryDisk) -> Host {
    Host {
        clock: Arc::new(ManualClock::at(UnixMillis(1_700_000_000_000))),
        entropy: Arc::new(SeededEntropy::new(1)),
        disk: Arc::new(disk.clone()),
        ..Host::real()
    }
}

#[derive(Default)]
struct Collect {
    checkpoint: Vec<CheckpointRecord>,
    entries: Vec<(u64, Entry)>,
}

impl Replay for Collect {
    fn restart(&mut self) {
        *self = Collect::default();
    }
    fn checkpoint(&mut self, record: &CheckpointRecord) {
        self.checkpoint.push(record.clone());
    }
    fn entry(&mut self, seq: JournalSeq, entry: Entry) {
        self.entries.push((seq.0, entry));
    }
}

#[derive(Default)]
struct Counts {
    stalled: tokio::sync::Notify,
    flushes: AtomicU64,
    entries: AtomicU64,
    full: AtomicU64,
    failed: AtomicU64,
    checkpoints: AtomicU64,
}

impl Counts {
    async fn wait_for_a_stall(&self) {
        self.stalled.notified().await;
    }
}

impl Observer for Counts {
    fn stalled(&self, _error: &JournalError) {
        self.stalled.notify_one();
    }
    fn flushed(&self, flush: &Flush) {
        self.flushes.fetch_add(1, Ordering::Relaxed);
        self.entries.fetch_add(flush.entries, Ordering::Relaxed);
    }
    fn queue_full(&self) {
        self.full.fetch_add(1, Ordering::Relaxed);
    }
    fn failed(&self, _error: &JournalError) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
    fn checkpointed(&self, _checkpoint: &CheckpointInfo, _took: Duration) {
        self.checkpoints.fetch_add(1, Ordering::Relaxed);
    }
}

struct Running {
    journal: FolderJournal,
    counts: Arc<Counts>,
    recovered: Recovered,
    found: Collect,
}

fn start(host: &Host, options: FolderOptions) -> Running {
    let counts = Arc::new(Counts::default());
    let journal = FolderJournal::open(options, host, counts.clone()).unwrap();
    let mut found = Collect::default();
    let recovered = journal.load(&mut found).unwrap();
    journal.fence(Term(recovered.term.0 + 1)).unwrap();
    Running { journal, counts, recovered, found }
}

fn entry(seq: u64) -> Entry {
    Entry::Delete { id: InodeId(seq), modified: UnixMillis(seq) }
}

/// A new journal with one entry.
fn first_entry(host: &Host, folder: &Path, cluster_id: &str) {
    format(host, folder, cluster_id).unwrap();
    let mut log = FolderLog::open(host, folder, 1 << 20).unwrap();
    assert_eq!(log.load(&mut Collect::default()).unwrap(), Recovered::default());
    log.fence(Term(0)).unwrap();
    log.write_group(&[(Term(0), batch(1, 1))]).unwrap();
}

fn batch(first: u64, count: u64) -> EntryBatch {
    let mut batch = EntryBatch::new(JournalSeq(first));
    for seq in first..first + count {
        assert_eq!(batch.push(&entry(seq)), JournalSeq(seq));
    }
    batch
}

#[tokio::test]
async fn what_is_committed_is_loaded_by_the_next_master() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::real();
    first_entry(&host, dir.path(), "cluster-a");
    let one = start(&host, FolderOptions::new(dir.path()));
    assert_eq!(one.recovered.last, JournalSeq(1));
    for round in 0..50 {
        one.journal.append(Term(1), batch(2 + round * 3, 3)).await.unwrap();
    }
    one.journal.commits().wait_for(JournalSeq(151)).await.unwrap();
    assert_eq!(one.counts.entries.load(Ordering::Relaxed), 150);

    let second = FolderJournal::open(FolderOptions::new(dir.path()), &host, Arc::new(()));
    assert!(matches!(second.err().unwrap(), JournalError::Locked { .. }));
    drop(one);

    let two = start(&host, FolderOptions::new(dir.path()));
    assert_eq!((two.recovered.last, two.recovered.term), (JournalSeq(151), Term(1)));
    assert_eq!(two.journal.commits().current(), JournalSeq(151));
    let wanted: Vec<_> = (2..=151).map(|seq| (seq, entry(seq))).collect();
    assert_eq!(two.found.entries[1..], wanted);
}

#[tokio::test]
async fn wrong_turns_are_refused_and_queue_nothing() {
    let disk = MemoryDisk::new(1);
    let host = memory_host(&disk);
    first_entry(&host, Path::new("/j"), "c");
    let journal = FolderJournal::open(FolderOptions::new("/j"), &host, Arc::new(())).unwrap();
    let refused = journal.append(Term(1), batch(1, 1)).await.unwrap_err();
    assert!(matches!(refused, JournalError::OutOfOrder { .. }), "{refused}");
    assert!(matches!(journal.fence(Term(1)), Err(JournalError::OutOfOrder { .. })));
    journal.load(&mut Collect::default()).unwrap();
    journal.fence(Term(5)).unwrap();
    let refused = journal.append(Term(4), batch(2, 1)).await.unwrap_err();
    assert!(matches!(refused, JournalError::Fenced { newest: Term(5), .. }), "{refused}");
    let refused = journal.append(Term(5), batch(3, 1)).await.unwrap_err();
    assert!(
        matches!(refused, JournalError::NotContiguous { expected: JournalSeq(2), .. }),
        "{refused}"
    );
    let mut huge = EntryBatch::new(JournalSeq(2));
    huge.push_encoded(&vec![1; 5 << 20]);
    let refused = journal.append(Term(5), huge).await.unwrap_err();
    assert!(matches!(refused, JournalError::EntryTooLarge { .. }), "{refused}");
    assert!(matches!(
        journal.begin_checkpoint(JournalSeq(2)).err().unwrap(),
        JournalError::CheckpointAhead { .. }
    ));
    journal.append(Term(5), EntryBatch::new(JournalSeq(2))).await.unwrap();
    journal.append(Term(5), batch(2, 1)).await.unwrap();
    journal.close().unwrap();
    assert_eq!(journal.commits().current(), JournalSeq(2));
    let refused = journal.append(Term(5), batch(3, 1)).await.unwrap_err();
    assert!(matches!(refused, JournalError::Closed), "{refused}");
}

#[tokio::test]
async fn a_journal_that_keeps_nothing_still_keeps_the_order() {
    let journal = NoopJournal::new();
    assert_eq!(journal.load(&mut Collect::default()).unwrap(), Recovered::default());
    journal.fence(Term(2)).unwrap();
    assert!(matches!(journal.fence(Term(1)), Err(JournalError::Fenced { .. })));
    journal.append(Term(2), batch(1, 3)).await.unwrap();
    journal.commits().wait_for(JournalSeq(3)).await.unwrap();
    let refused = journal.append(Term(2), batch(9, 1)).await.unwrap_err();
    assert!(matches!(refused, JournalError::NotContiguous { .. }), "{refused}");
    assert!(journal.read(JournalSeq(1), &mut |_| ControlFlow::Continue(())).is_err());
    journal.close().unwrap();
    assert!(journal.append(Term(2), batch(4, 1)).await.is_err());
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_committed_any_more() {
    let disk = MemoryDisk::new(1);
    let host = memory_host(&disk);
    first_entry(&host, Path::new("/j"), "c");
    let run = start(&host, FolderOptions::new("/j"));
    run.journal.append(Term(1), batch(2, 2)).await.unwrap();
    run.journal.commits().wait_for(JournalSeq(3)).await.unwrap();
    disk.inject(Fault::new(FaultKind::Io).on(Operation::Sync));
    run.journal.append(Term(1), batch(4, 2)).await.unwrap();
    let commits = run.journal.commits();
    let error = commits.wait_for(JournalSeq(5)).await.unwrap_err();
    assert!(matches!(&*error, JournalError::Io { action: "sync", .. }), "{error}");
    // The disk works again; the journal must not trust it.
    let error = run.journal.append(Term(1), batch(6, 1)).await.unwrap_err();
    assert!(matches!(error, JournalError::Failed { .. }), "{error}");
    assert_eq!(commits.current(), JournalSeq(3));
    assert!(commits.failure().is_some());
    commits.wait_for(JournalSeq(3)).await.unwrap();
    assert!(run.journal.close().is_err());
    assert_eq!(run.counts.failed.load(Ordering::Relaxed), 1);
    drop(run);
    disk.crash();
    let run = start(&host, FolderOptions::new("/j"));
    assert!((3..=5).contains(&run.recovered.last.0));
}

#[tokio::test]
async fn a_full_disk_makes_changes_wait_and_loses_none() {
    let disk = MemoryDisk::new(1);
    let host = memory_host(&disk);
    first_entry(&host, Path::new("/j"), "c");
    let run = start(&host, FolderOptions::new("/j"));
    let commits = run.journal.commits();
    disk.set_capacity_bytes(disk.used_bytes() + 100);
    run.journal.append(Term(1), batch(2, 100)).await.unwrap();
    run.counts.wait_for_a_stall().await;
    assert_eq!(commits.current(), JournalSeq(1));
    assert!(commits.failure().is_none());
    disk.set_capacity_bytes(u64::MAX);
    commits.wait_for(JournalSeq(101)).await.unwrap();
    drop(run);

    // Closed while it waits, it says why; what was never committed may go.
    let run = start(&host, FolderOptions { segment_bytes: 4096, ..FolderOptions::new("/j") });
    disk.set_capacity_bytes(disk.used_bytes());
    run.journal.append(Term(2), batch(102, 5000)).await.unwrap();
    run.counts.wait_for_a_stall().await;
    let error = run.journal.close().unwrap_err();
    assert!(error.to_string().contains("no space left for the journal at /j/segment-"), "{error}");
    drop(run);
    let run = start(&host, FolderOptions::new("/j"));
    assert_eq!(run.recovered.last, JournalSeq(101));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_wait_for_room_and_keep_their_order() {
    let disk = MemoryDisk::new(1);
    let host = memory_host(&disk);
    first_entry(&host, Path::new("/j"), "c");
    let mut options = FolderOptions::new("/j");
    options.queue = QueueLimits { entries_max: 4, bytes_max: 1 << 20 };
    let run = start(&host, options);
    let mut next = 2;
    for round in 0..2000 {
        // Now and then a batch beyond the limit: it goes alone.
        let count = if round % 100 == 0 { 9 } else { 1 + round % 4 };
        run.journal.append(Term(1), batch(next, count)).await.unwrap();
        next += count;
    }
    run.journal.close().unwrap();
    assert_eq!(run.journal.commits().current(), JournalSeq(next - 1));
    assert!(run.counts.full.load(Ordering::Relaxed) > 0);
    drop(run);
    let run = start(&host, FolderOptions::new("/j"));
    assert_eq!(run.recovered.last, JournalSeq(next - 1));
}

fn inode(id: u64) -> CheckpointRecord {
    CheckpointRecord::Inode(Box::new(InodeRecord {
        id: InodeId::from_container(id),
        parent: InodeId::ROOT,
        name: format!("file-{id:012}"),
        kind: FileKind::File,
        owner: "ann".into(),
        group: "staff".into(),
        mode: Mode(0o644),
        created: UnixMillis(id),
        modified: UnixMillis(id),
        accessed: UnixMillis(id),
        length: 1 << 20,
        block_size_bytes: 64 << 20,
        completed: true,
        pinned: false,
        persistence: PersistenceState::Persisted,
        fingerprint: Fingerprint("1048576-1700000000000".into()),
        ttl_ms: None,
        ttl_action: TtlAction::Free,
        replication_min: 0,
        replication_max: None,
        children_loaded: false,
        xattr: Default::default(),
        target: String::new(),
        quota: alluxio_types::Quota::default(),
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_are_written_while_appends_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::real();
    first_entry(&host, dir.path(), "c");
    let mut options = FolderOptions::new(dir.path());
    options.segment_bytes = 4096;
    let run = start(&host, options.clone());
    let mut next = 2;
    let mut removed = 0;
    for round in 0..4 {
        for _ in 0..100 {
            run.journal.append(Term(1), batch(next, 2)).await.unwrap();
            next += 2;
        }
        let at = JournalSeq(next - 1);
        run.journal.commits().wait_for(at).await.unwrap();
        let mut sink = run.journal.begin_checkpoint(at).unwrap();
        for id in 0..5000 {
            if id % 500 == 0 {
                run.journal.append(Term(1), batch(next, 2)).await.unwrap();
                next += 2;
            }
            sink.put(&inode(id + round)).unwrap();
        }
        assert_eq!(sink.finish(StateDigest { kind: 1, hash: round }).unwrap().records, 5000);
        removed += run.journal.truncate().unwrap().segments;
    }
    assert!(removed > 0);
    assert_eq!(run.counts.checkpoints.load(Ordering::Relaxed), 4);
    // One that is given up leaves nothing.
    run.journal.commits().wait_for(JournalSeq(next - 1)).await.unwrap();
    let mut given_up = run.journal.begin_checkpoint(JournalSeq(next - 1)).unwrap();
    given_up.put(&inode(1)).unwrap();
    drop(given_up);
    drop(run);
    assert!(!host.disk.list(dir.path()).unwrap().iter().any(|name| name.ends_with(".tmp")));

    let run = start(&host, options);
    let used = run.recovered.checkpoint.clone().unwrap();
    assert_eq!((used.state_hash.hash, used.records), (3, 5000));
    let wanted: Vec<_> = (0..5000).map(|id| inode(id + 3)).collect();
    assert_eq!(run.found.checkpoint, wanted);
    let wanted: Vec<_> = (used.at.0 + 1..next).map(|seq| (seq, entry(seq))).collect();
    assert_eq!(run.found.entries, wanted);
    assert_eq!(wanted.len(), 20);
}

#[tokio::test]
async fn stored_entries_are_read_from_any_position_while_serving() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::real();
    first_entry(&host, dir.path(), "c");
    let mut options = FolderOptions::new(dir.path());
    options.segment_bytes = 2048;
    let run = start(&host, options);
    run.journal.append(Term(1), batch(2, 499)).await.unwrap();
    for first in (501..700).step_by(10) {
        run.journal.append(Term(1), batch(first, 10)).await.unwrap();
    }
    run.journal.commits().wait_for(JournalSeq(700)).await.unwrap();
    for from in [1, 2, 499, 500, 501, 640, 700, 701] {
        let mut seen = from;
        let next = run.journal.read(JournalSeq(from), &mut |record| {
            assert_eq!(record.seq.0, seen);
            seen += 1;
            ControlFlow::Continue(())
        });
        assert_eq!((next.unwrap().0, seen), (701, 701));
    }
    let mut seen = 0;
    let next = run.journal.read(JournalSeq(600), &mut |_| {
        seen += 1;
        if seen == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!((next.unwrap(), seen), (JournalSeq(605), 5));
}

#[test]
fn a_mount_may_be_as_large_as_an_entry_may_be() {
    let disk = MemoryDisk::new(1);
    let host = memory_host(&disk);
    first_entry(&host, Path::new("/j"), "c");
    let run = start(&host, FolderOptions::new("/j"));
    let mut batch = EntryBatch::new(JournalSeq(2));
    let name = "x".repeat((4 << 20) - 100);
    batch.push(&Entry::Rename {
        id: InodeId(1),
        parent: InodeId(2),
        name: name.clone(),
        modified: UnixMillis(1),
    });
    batch.push(&Entry::Unmount { id: MountId(1) });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(run.journal.append(Term(1), batch)).unwrap();
    run.journal.close().unwrap();
    drop(run);
    let run = start(&host, FolderOptions::new("/j"));
    assert!(matches!(&run.found.entries[1].1, Entry::Rename { name: found, .. } if *found == name));
}

/// A whole folder as format 1 wrote it: read for ever.
#[test]
fn a_stored_folder_is_read_and_written_as_ever() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/v1");
    let disk = MemoryDisk::new(1);
    let host = memory_host(&disk);
    let folder = Path::new("/j");
    first_entry(&host, folder, "c0ffee");
    let mut log = FolderLog::open(&host, folder, 400).unwrap();
    log.load(&mut Collect::default()).unwrap();
    log.fence(Term(3)).unwrap();
    log.write_group(&[(Term(3), batch(2, 3)), (Term(3), batch(5, 1))]).unwrap();
    log.write_group(&[(Term(3), batch(6, 4))]).unwrap();
    log.write_group(&[(Term(3), batch(10, 4))]).unwrap();
    let mut sink = log.begin_checkpoint(JournalSeq(9)).unwrap();
    (1..4).for_each(|id| sink.put(&inode(id)).unwrap());
    sink.finish(StateDigest { kind: 0, hash: 0xfeed }).unwrap();
    drop(log);

    let names = ["VERSION", "checkpoint-00000000000000000009", "segment-00000000000000000001"];
    for name in names.into_iter().chain(["segment-00000000000000000010"]) {
        let file = disk.open(&folder.join(name), OpenMode::ReadWrite).unwrap();
        let mut bytes = vec![0; file.length().unwrap() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        let path = golden.join(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &bytes).unwrap();
        }
        let stored = std::fs::read(&path).unwrap();
        assert!(stored == bytes, "{name}: the stored form has changed");
        file.write_all_at(&stored, 0).unwrap();
    }
    let mut found = Collect::default();
    let recovered = FolderLog::open(&host, folder, 400).unwrap().load(&mut found).unwrap();
    assert_eq!((recovered.last, recovered.term), (JournalSeq(13), Term(3)));
    assert_eq!(recovered.checkpoint.unwrap().state_hash.hash, 0xfeed);
    assert_eq!(found.checkpoint, (1..4).map(inode).collect::<Vec<_>>());
    assert_eq!(found.entries, (10..14).map(|seq| (seq, entry(seq))).collect::<Vec<_>>());
}
