//! The journal in a shared folder: the schedules that its proof is about, damage, formatting.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use alluxio_host::Host;
use alluxio_journal::conformance::{Stage, StageFuture, Writing, batch, blocking, load, run, soon};
use alluxio_journal::folder::QueueLimits;
use alluxio_journal::shared::memory::MemoryFolder;
use alluxio_journal::shared::{Creation, Listed, StoreResult, Upload, format, inspect};
use alluxio_journal::{
    Followed, JournalError, JournalStore, SharedFolder, SharedJournal, SharedJournalOptions,
};
use alluxio_types::{JournalSeq, Term};
use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Notify;

/// Masters of one cluster on one folder.
struct Cluster {
    folder: Arc<dyn SharedFolder>,
    term: AtomicU64,
}

impl Cluster {
    async fn format(folder: Arc<dyn SharedFolder>) -> Cluster {
        format(&folder, &Host::real(), "cluster-1").await.unwrap();
        Cluster { folder, term: AtomicU64::new(0) }
    }

    async fn try_open(&self) -> Result<Arc<dyn JournalStore>, JournalError> {
        open(self.folder.clone()).await
    }
}

async fn open(folder: Arc<dyn SharedFolder>) -> Result<Arc<dyn JournalStore>, JournalError> {
    let options = SharedJournalOptions { folder, queue: QueueLimits::default() };
    let journal = SharedJournal::open(options, &Host::real(), Arc::new(())).await?;
    Ok(Arc::new(journal))
}

impl Stage for Cluster {
    fn open(&self) -> StageFuture<'_, Arc<dyn JournalStore>> {
        Box::pin(async { self.try_open().await.unwrap() })
    }

    fn elect(&self, last: Term) -> StageFuture<'_, Term> {
        Box::pin(async move {
            self.term.fetch_max(last.0, Ordering::SeqCst);
            Term(self.term.fetch_add(1, Ordering::SeqCst) + 1)
        })
    }
}

fn is_fenced(error: &JournalError) -> bool {
    match error {
        JournalError::Fenced { .. } => true,
        JournalError::Failed { cause } => is_fenced(cause),
        _ => false,
    }
}

/// The folder of a master whose next creation can be held back.
#[derive(Clone)]
struct Held {
    inner: MemoryFolder,
    closed: Arc<AtomicBool>,
    arrived: Arc<Notify>,
    release: Arc<Notify>,
}

impl Held {
    fn over(inner: &MemoryFolder) -> Held {
        Held {
            inner: inner.clone(),
            closed: Arc::default(),
            arrived: Arc::default(),
            release: Arc::default(),
        }
    }

    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
        self.release.notify_one();
    }
}

#[async_trait]
impl SharedFolder for Held {
    fn uri(&self) -> String {
        self.inner.uri()
    }
    async fn read(&self, name: &str) -> StoreResult<Option<Vec<u8>>> {
        self.inner.read(name).await
    }
    async fn create_new(&self, name: &str, bytes: &[u8]) -> StoreResult<Creation> {
        if self.closed.load(Ordering::SeqCst) {
            self.arrived.notify_one();
            self.release.notified().await;
        }
        self.inner.create_new(name, bytes).await
    }
    async fn list(&self, directory: &str) -> StoreResult<Vec<Listed>> {
        self.inner.list(directory).await
    }
    async fn remove(&self, name: &str) -> StoreResult<()> {
        self.inner.remove(name).await
    }
    async fn read_range(&self, name: &str, offset: u64, length: u64) -> StoreResult<Vec<u8>> {
        self.inner.read_range(name, offset, length).await
    }
    async fn begin(&self, name: &str) -> StoreResult<Box<dyn Upload>> {
        self.inner.begin(name).await
    }
}

fn entries_of_log(memory: &MemoryFolder) -> usize {
    memory
        .files()
        .iter()
        .filter(|(name, bytes)| name.starts_with("log-") && bytes.len() > 88)
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_in_a_shared_folder_conforms() {
    let cluster = Cluster::format(Arc::new(MemoryFolder::default())).await;
    run(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_slept_through_a_compaction_commits_nothing() {
    let memory = MemoryFolder::default();
    let cluster = Cluster::format(Arc::new(memory.clone())).await;
    let held = Held::over(&memory);
    let sleepy = Cluster { folder: Arc::new(held.clone()), term: AtomicU64::new(0) };
    let (mut old, ..) = Writing::begin(&sleepy).await;
    cluster.term.store(1, Ordering::SeqCst);
    old.append(10).await;
    // Its next segment is on the way, and stays there.
    held.close();
    old.journal.append(old.term, batch(11, 5)).await.unwrap();
    soon("the creation", held.arrived.notified()).await;

    // Meanwhile another primary writes, and all that is around is compacted away, twice over.
    let (mut new, recovered, _) = Writing::begin(&cluster).await;
    assert_eq!(recovered.last, JournalSeq(10));
    for _ in 0..3 {
        for _ in 0..40 {
            new.append(3).await;
        }
        new.checkpoint().await;
    }
    assert!(entries_of_log(&memory) < 60, "compaction took what the checkpoints cover");

    held.open();
    let outcome = soon("an end", old.journal.commits().wait_for(JournalSeq(15))).await;
    assert!(is_fenced(&outcome.unwrap_err()));
    assert_eq!(old.journal.commits().current(), JournalSeq(10));
    // The next one, of whichever master, finds what the new primary wrote.
    let last = new.next - 1;
    new.close().await;
    let (_, checker) = load(&cluster.open().await).await.unwrap();
    assert_eq!(checker.last, last);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fence_that_arrives_after_a_compaction_is_noticed() {
    let memory = MemoryFolder::default();
    let cluster = Cluster::format(Arc::new(memory.clone())).await;
    let (mut writing, ..) = Writing::begin(&cluster).await;
    writing.append(10).await;
    // Elected, it has read to the end; its fence takes its time.
    let held = Held::over(&memory);
    let late = open(Arc::new(held.clone())).await.unwrap();
    load(&late).await.unwrap();
    held.close();
    let fencing = {
        let late = late.clone();
        tokio::task::spawn_blocking(move || late.fence(Term(50)))
    };
    soon("the fence", held.arrived.notified()).await;
    // The number that it goes for is taken by entries, which are compacted away.
    for _ in 0..3 {
        for _ in 0..40 {
            writing.append(3).await;
        }
        writing.checkpoint().await;
    }
    held.open();
    let refused = soon("an answer", fencing).await.unwrap();
    assert!(matches!(refused, Err(JournalError::Fenced { .. })), "{refused:?}");
    writing.append(3).await;
    let last = writing.next - 1;
    writing.close().await;
    let (_, checker) = load(&cluster.open().await).await.unwrap();
    assert_eq!(checker.last, last);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposed_primary_notices_although_it_writes_nothing() {
    let memory = MemoryFolder::default();
    let cluster = Cluster::format(Arc::new(memory)).await;
    let (old, ..) = Writing::begin(&cluster).await;
    let (mut new, ..) = Writing::begin(&cluster).await;
    let told = soon("the news", old.journal.commits().next_after(JournalSeq(0))).await;
    assert!(is_fenced(&told.unwrap_err()));
    new.append(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_and_missing_segments_are_named_and_never_taken_for_the_end() {
    let memory = MemoryFolder::default();
    let cluster = Cluster::format(Arc::new(memory.clone())).await;
    let (mut writing, ..) = Writing::begin(&cluster).await;
    for _ in 0..12 {
        writing.append(2).await;
    }
    writing.close().await;
    let whole = memory.files().clone();
    let name = whole.keys().find(|name| name.ends_with("00000000000000000007")).unwrap().clone();
    for at in (0..whole[&name].len()).step_by(7) {
        memory.files().get_mut(&name).unwrap()[at] ^= 0x10;
        let error = load(&cluster.open().await).await.unwrap_err();
        assert!(
            matches!(&error, JournalError::Corrupt { file, .. } if file.ends_with(&name))
                || matches!(error, JournalError::Foreign { .. }),
            "{at}: {error}"
        );
        *memory.files() = whole.clone();
    }
    let follower = cluster.open().await;
    memory.files().remove(&name);
    let error = load(&follower).await.unwrap_err();
    assert!(
        matches!(&error, JournalError::Gap { .. }) && error.to_string().contains(&name),
        "{error}"
    );
    // Removed while the log is followed, and when its end is looked for.
    *memory.files() = whole.clone();
    let follower = cluster.open().await;
    load(&follower).await.unwrap();
    memory.files().remove(&name);
    let mut follow = follower.clone().follow(JournalSeq(0));
    let error = loop {
        match soon("an answer", follow.next()).await {
            Ok(Followed::Entries(records)) => assert!(records.last().unwrap() <= JournalSeq(10)),
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, JournalError::Gap { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_copy_serves_when_a_checkpoint_is_damaged_and_it_counts_no_more() {
    let memory = MemoryFolder::default();
    let cluster = Cluster::format(Arc::new(memory.clone())).await;
    let (mut writing, ..) = Writing::begin(&cluster).await;
    for _ in 0..3 {
        for _ in 0..40 {
            writing.append(3).await;
        }
        writing.checkpoint().await;
    }
    writing.append(4).await;
    let last = writing.next - 1;
    writing.close().await;
    let checkpoints = || -> Vec<String> {
        let files = memory.files();
        files.keys().filter(|name| name.starts_with("checkpoints-")).cloned().collect()
    };
    let two = checkpoints();
    assert_eq!(two.len(), 2);
    memory.files().get_mut(&two[1]).unwrap()[70] ^= 1;
    let (mut writing, recovered, checker) = Writing::begin(&cluster).await;
    assert_eq!((recovered.damaged_checkpoints, checker.last), (1, last));
    assert_eq!(recovered.checkpoint.unwrap().at, JournalSeq(240));
    // The older sound one stays until there are two newer ones.
    writing.append(40).await;
    writing.checkpoint().await;
    assert!(checkpoints().contains(&two[0]));
    for _ in 0..2 {
        writing.append(40).await;
        writing.checkpoint().await;
    }
    let left = checkpoints();
    assert!(left.len() == 2 && !left.contains(&two[0]) && !left.contains(&two[1]), "{left:?}");
    writing.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn formatting_keeps_what_is_empty_ends_what_is_written_and_refuses_what_is_foreign() {
    let memory = MemoryFolder::default();
    let folder: Arc<dyn SharedFolder> = Arc::new(memory.clone());
    let host = Host::real();
    let unformatted = inspect(&*folder).await.unwrap_err();
    assert!(matches!(unformatted, JournalError::NotFormatted { .. }));
    let first = format(&folder, &host, "one").await.unwrap();
    assert_eq!(format(&folder, &host, "two").await.unwrap(), first, "an empty one stays");
    let cluster = Cluster { folder: folder.clone(), term: AtomicU64::new(0) };
    let (mut writing, ..) = Writing::begin(&cluster).await;
    writing.append(5).await;
    writing.checkpoint().await;
    let second = format(&folder, &host, "two").await.unwrap();
    assert_eq!(second.cluster_id, "two");
    // Whoever reigned does so no more.
    writing.journal.append(writing.term, batch(6, 1)).await.unwrap();
    let refused = soon("a refusal", writing.journal.commits().wait_for(JournalSeq(6))).await;
    assert!(is_fenced(&refused.unwrap_err()));
    let (recovered, _) = load(&cluster.open().await).await.unwrap();
    assert_eq!((recovered.last, recovered.checkpoint), (JournalSeq(0), None));
    for (name, wanted) in [("BlockMaster/v1/logs/0x0-0x1", "Java"), ("letters.txt", "letters.txt")]
    {
        let other = MemoryFolder::default();
        other.files().insert(name.to_owned(), vec![1]);
        let folder: Arc<dyn SharedFolder> = Arc::new(other.clone());
        let error = format(&folder, &host, "three").await.unwrap_err().to_string();
        assert!(error.contains(wanted) && error.contains("memory://shared/journal"), "{error}");
        assert_eq!(other.files().len(), 1);
    }
}

/// A store that takes a name twice, as a server that does not know conditional uploads.
struct Careless(MemoryFolder);

#[async_trait]
impl SharedFolder for Careless {
    fn uri(&self) -> String {
        self.0.uri()
    }
    async fn read(&self, name: &str) -> StoreResult<Option<Vec<u8>>> {
        self.0.read(name).await
    }
    async fn create_new(&self, name: &str, bytes: &[u8]) -> StoreResult<Creation> {
        self.0.files().insert(name.to_owned(), bytes.to_vec());
        Ok(Creation::Created)
    }
    async fn list(&self, directory: &str) -> StoreResult<Vec<Listed>> {
        self.0.list(directory).await
    }
    async fn remove(&self, name: &str) -> StoreResult<()> {
        self.0.remove(name).await
    }
    async fn read_range(&self, name: &str, offset: u64, length: u64) -> StoreResult<Vec<u8>> {
        self.0.read_range(name, offset, length).await
    }
    async fn begin(&self, name: &str) -> StoreResult<Box<dyn Upload>> {
        self.0.begin(name).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_takes_a_name_twice_holds_no_journal() {
    let careless: Arc<dyn SharedFolder> = Arc::new(Careless(MemoryFolder::default()));
    let refused = format(&careless, &Host::real(), "one").await.unwrap_err();
    assert!(matches!(refused, JournalError::NotExclusive { .. }), "{refused}");
    let refused = open(careless).await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("If-None-Match"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_fills_an_empty_journal_and_no_other() {
    let cluster = Cluster::format(Arc::new(MemoryFolder::default())).await;
    let journal = cluster.open().await;
    load(&journal).await.unwrap();
    blocking(&journal, |journal| {
        let mut sink = journal.begin_restore(JournalSeq(700)).unwrap();
        sink.put(&alluxio_types::CheckpointRecord::NextContainer(700)).unwrap();
        sink.finish(alluxio_journal::conformance::digest(700)).unwrap();
    })
    .await;
    let (recovered, checker) = load(&journal).await.unwrap();
    assert_eq!((recovered.last, checker.checkpoint), (JournalSeq(700), Some(700)));
    let refused = blocking(&journal, |journal| journal.begin_restore(JournalSeq(9)).err()).await;
    assert!(matches!(refused, Some(JournalError::OutOfOrder { .. })));
    drop(journal);
    let (mut writing, ..) = Writing::begin(&cluster).await;
    assert_eq!(writing.next, 701);
    writing.append(9).await;
    writing.close().await;
    let (_, checker) = load(&cluster.open().await).await.unwrap();
    assert_eq!(checker.last, 709);
}
