//! What every [`JournalStore`] that keeps its entries has to pass.

use crate::{
    CheckpointInfo, EntryBatch, Followed, Follower, JournalError, JournalStore, Recovered, Replay,
    StateDigest,
};
use alluxio_types::{CheckpointRecord, Entry, InodeId, JournalSeq, MountId, Term, UnixMillis};
use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Far more than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A future of a [`Stage`].
pub type StageFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One empty journal, and the elections that its writers need.
pub trait Stage: Send + Sync {
    /// Opens the journal; whoever had it open before has dropped it.
    fn open(&self) -> StageFuture<'_, Arc<dyn JournalStore>>;

    /// A new term, which ends the one before; larger than `last`.
    fn elect(&self, last: Term) -> StageFuture<'_, Term>;
}

/// Runs the whole suite on one stage, which is empty at first.
///
/// **Panics** when the journal breaks the contract.
pub async fn run(stage: &dyn Stage) {
    wrong_turns_are_refused(stage).await;
    what_is_committed_is_loaded_by_the_next_master(stage).await;
    entries_are_read_and_followed_from_any_position(stage).await;
    checkpoints_bound_what_is_loaded(stage).await;
    a_checkpoint_goes_from_master_to_master(stage).await;
    a_checkpoint_of_another_state_is_passed_over(stage).await;
}

/// The entry at a position: it can be told from every other. Some are large.
pub fn entry(seq: u64) -> Entry {
    match seq % 3 {
        0 => Entry::Unmount { id: MountId(seq) },
        1 => Entry::Delete { id: InodeId(seq), modified: UnixMillis(seq) },
        _ => Entry::Rename {
            id: InodeId(seq),
            parent: InodeId(1),
            name: "n".repeat(seq as usize % 900),
            modified: UnixMillis(seq),
        },
    }
}

/// `count` entries from `first` on.
pub fn batch(first: u64, count: u64) -> EntryBatch {
    let mut batch = EntryBatch::new(JournalSeq(first));
    (first..first + count).for_each(|seq| {
        batch.push(&entry(seq));
    });
    batch
}

/// Checks, while it is loaded, that a journal holds what [`entry`] makes and nothing else.
#[derive(Default, Debug)]
pub struct Checker {
    /// What stands in the checkpoint that was loaded.
    pub checkpoint: Option<u64>,
    /// Last position.
    pub last: u64,
}

impl Replay for Checker {
    fn restart(&mut self) {
        *self = Checker::default();
    }

    fn checkpoint(&mut self, record: &CheckpointRecord) {
        let &CheckpointRecord::NextContainer(at) = record else { panic!("{record:?}") };
        (self.checkpoint, self.last) = (Some(at), at);
    }

    fn entry(&mut self, seq: JournalSeq, found: Entry) {
        assert_eq!(seq.0, self.last + 1, "positions grow by one");
        if seq.0 != LARGE {
            assert_eq!(found, entry(seq.0));
        }
        self.last = seq.0;
    }

    fn state_hash(&self) -> Option<StateDigest> {
        Some(digest(self.checkpoint?))
    }
}

/// The hash of a checkpoint at a position, as [`Checker`] computes it.
pub fn digest(at: u64) -> StateDigest {
    StateDigest { kind: 1, hash: at }
}

/// Runs a call that blocks.
pub async fn blocking<T: Send + 'static>(
    journal: &Arc<dyn JournalStore>,
    call: impl FnOnce(&dyn JournalStore) -> T + Send + 'static,
) -> T {
    let journal = journal.clone();
    let run = tokio::task::spawn_blocking(move || call(&*journal));
    soon("a blocking call", run).await.expect("the call does not panic")
}

/// Loads a journal and checks all of it.
///
/// **Errors**: what the journal says.
pub async fn load(journal: &Arc<dyn JournalStore>) -> Result<(Recovered, Checker), JournalError> {
    blocking(journal, |journal| {
        let mut checker = Checker::default();
        let recovered = journal.load(&mut checker)?;
        assert_eq!(recovered.last.0, checker.last);
        Ok((recovered, checker))
    })
    .await
}

/// Waits for something that must come.
///
/// **Panics** when it does not.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LIMIT, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen within {LIMIT:?}"),
    }
}

/// A journal that is appended to, and its last position.
pub struct Writing {
    /// The journal.
    pub journal: Arc<dyn JournalStore>,
    /// The term it is appended under.
    pub term: Term,
    /// The next position.
    pub next: u64,
}

impl Writing {
    /// Opens, loads and fences.
    pub async fn begin(stage: &dyn Stage) -> (Writing, Recovered, Checker) {
        let journal = stage.open().await;
        let (recovered, checker) = load(&journal).await.expect("the journal is sound");
        let term = stage.elect(recovered.term).await;
        blocking(&journal, move |journal| journal.fence(term)).await.expect("we were elected");
        assert_eq!(journal.commits().current(), recovered.last);
        let next = recovered.last.0 + 1;
        (Writing { journal, term, next }, recovered, checker)
    }

    /// Appends `count` entries and waits until they are durable.
    pub async fn append(&mut self, count: u64) {
        self.queue(batch(self.next, count)).await;
        self.commit().await;
    }

    async fn queue(&mut self, batch: EntryBatch) {
        self.next = batch.last().0 + 1;
        soon("room", self.journal.append(self.term, batch)).await.expect("we are the primary");
    }

    async fn commit(&self) {
        let last = JournalSeq(self.next - 1);
        soon("a commit", self.journal.commits().wait_for(last)).await.expect("the store works");
    }

    /// Writes a checkpoint of all that was appended, and drops what it covers.
    pub async fn checkpoint(&self) -> CheckpointInfo {
        let at = self.next - 1;
        blocking(&self.journal, move |journal| {
            let mut sink = journal.begin_checkpoint(JournalSeq(at))?;
            sink.put(&CheckpointRecord::NextContainer(at))?;
            let info = sink.finish(digest(at))?;
            journal.truncate()?;
            Ok::<_, JournalError>(info)
        })
        .await
        .expect("there is room")
    }

    /// Ends the writing.
    pub async fn close(self) {
        blocking(&self.journal, |journal| journal.close()).await.expect("the store works");
    }
}

async fn wrong_turns_are_refused(stage: &dyn Stage) {
    let journal = stage.open().await;
    let refused = journal.append(Term(1), batch(1, 1)).await;
    assert!(matches!(refused, Err(JournalError::OutOfOrder { .. })), "{refused:?}");
    let refused = blocking(&journal, |journal| journal.fence(Term(1))).await;
    assert!(matches!(refused, Err(JournalError::OutOfOrder { .. })), "{refused:?}");
    drop(journal);
    let (mut writing, ..) = Writing::begin(stage).await;
    let (journal, term, next) = (writing.journal.clone(), writing.term, writing.next);
    let refused = journal.append(Term(term.0 - 1), batch(next, 1)).await;
    assert!(matches!(refused, Err(JournalError::Fenced { .. })), "{refused:?}");
    let refused = journal.append(term, batch(next + 1, 1)).await;
    assert!(matches!(refused, Err(JournalError::NotContiguous { .. })), "{refused:?}");
    let mut huge = EntryBatch::new(JournalSeq(next));
    huge.push_encoded(&vec![1; 5 << 20]);
    let refused = journal.append(term, huge).await;
    assert!(matches!(refused, Err(JournalError::EntryTooLarge { .. })), "{refused:?}");
    let ahead = blocking(&journal, move |j| j.begin_checkpoint(JournalSeq(next)).err()).await;
    assert!(matches!(ahead, Some(JournalError::CheckpointAhead { .. })), "{ahead:?}");
    let loaded = load(&journal).await;
    assert!(matches!(loaded, Err(JournalError::OutOfOrder { .. })), "{loaded:?}");
    journal.append(term, EntryBatch::new(JournalSeq(next))).await.expect("nothing is fine");
    writing.append(2).await;
    writing.close().await;
    let refused = journal.append(term, batch(next + 2, 1)).await;
    assert!(matches!(refused, Err(JournalError::Closed)), "{refused:?}");
}

/// The position of an entry that is as large as one may be.
const LARGE: u64 = 100;

async fn what_is_committed_is_loaded_by_the_next_master(stage: &dyn Stage) {
    let (mut writing, ..) = Writing::begin(stage).await;
    while writing.next < LARGE {
        let count = (LARGE - writing.next).min(7);
        writing.queue(batch(writing.next, count)).await;
    }
    let mut large = EntryBatch::new(JournalSeq(LARGE));
    let name = "x".repeat((4 << 20) - 100);
    large.push(&Entry::Rename {
        id: InodeId(1),
        parent: InodeId(2),
        name,
        modified: UnixMillis(1),
    });
    writing.queue(large).await;
    for _ in 0..50 {
        writing.queue(batch(writing.next, 30)).await;
    }
    writing.commit().await;
    let (last, term) = (writing.next - 1, writing.term);
    writing.close().await;
    let (writing, recovered, checker) = Writing::begin(stage).await;
    assert_eq!((recovered.term, recovered.last.0, checker.last), (term, last, last));
    assert_eq!(recovered.entries, last);
    assert!(writing.term > term);
    writing.close().await;
}

async fn next_of(follower: &mut Box<dyn Follower>) -> Followed {
    soon("the next entries", follower.next()).await.expect("the store works")
}

/// Follows until `last`, checking every entry.
async fn follow_to(follower: &mut Box<dyn Follower>, from: u64, last: u64) {
    let mut next = from;
    while next <= last {
        let Followed::Entries(records) = next_of(follower).await else { panic!("compacted") };
        for record in records.iter() {
            assert_eq!(record.seq.0, next);
            next += 1;
        }
    }
    assert_eq!(next, last + 1, "nothing beyond what was appended");
}

async fn entries_are_read_and_followed_from_any_position(stage: &dyn Stage) {
    let (mut writing, recovered, _) = Writing::begin(stage).await;
    let mut behind = writing.journal.clone().follow(JournalSeq(0));
    let mut live = writing.journal.clone().follow(recovered.last);
    // Dropped half way, a wait loses nothing.
    let early = tokio::time::timeout(Duration::from_millis(20), live.next()).await;
    assert!(early.is_err(), "there is nothing yet");
    let mut seen = recovered.last.0;
    for round in 0..20 {
        writing.append(1 + round % 3).await;
        let early = tokio::time::timeout(Duration::from_micros(50 * round), live.next()).await;
        if let Ok(result) = early {
            let Followed::Entries(records) = result.expect("the store works") else {
                panic!("compacted")
            };
            assert_eq!(records.first(), Some(JournalSeq(seen + 1)));
            seen = records.last().expect("never empty").0;
        }
        let mut again = writing.journal.clone().follow(JournalSeq(writing.next - 2));
        follow_to(&mut again, writing.next - 1, writing.next - 1).await;
    }
    let last = writing.next - 1;
    follow_to(&mut live, seen + 1, last).await;
    follow_to(&mut behind, 1, last).await;
    for start in [1, 2, 99, 100, 101, last, last + 1] {
        let read = move |journal: &dyn JournalStore| {
            let mut seen = start;
            let next = journal.read(JournalSeq(start), &mut |record| {
                assert_eq!(record.seq.0, seen);
                seen += 1;
                if seen == start + 9 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            (next.expect("it is there").0, seen)
        };
        let (next, seen) = blocking(&writing.journal, read).await;
        assert_eq!((next, seen), (seen, (start + 9).min(last + 1)));
    }
    writing.close().await;
}

async fn checkpoints_bound_what_is_loaded(stage: &dyn Stage) {
    let (mut writing, ..) = Writing::begin(stage).await;
    let mut slow = writing.journal.clone().follow(JournalSeq(0));
    for _ in 0..3 {
        for _ in 0..40 {
            writing.append(30).await;
        }
        writing.checkpoint().await;
    }
    // A wait behind what is kept is told so.
    loop {
        match next_of(&mut slow).await {
            Followed::Entries(records) => assert!(!records.is_empty()),
            Followed::Compacted { from } => {
                assert!(from.0 < writing.next);
                break;
            }
        }
    }
    let at = writing.next - 1;
    writing.append(5).await;
    // One that is given up leaves nothing.
    let given_up = blocking(&writing.journal, move |journal| {
        let mut sink = journal.begin_checkpoint(JournalSeq(at + 5))?;
        sink.put(&CheckpointRecord::NextContainer(0))
    });
    given_up.await.expect("there is room");
    writing.close().await;
    let (writing, recovered, checker) = Writing::begin(stage).await;
    let used = recovered.checkpoint.expect("three were written");
    assert_eq!((used.at.0, used.state_hash, checker.checkpoint), (at, digest(at), Some(at)));
    assert_eq!((recovered.entries, checker.last), (5, at + 5));
    writing.close().await;
}

async fn a_checkpoint_goes_from_master_to_master(stage: &dyn Stage) {
    let (mut writing, ..) = Writing::begin(stage).await;
    if writing.journal.shares_checkpoints() {
        // Nobody has to hand any.
        return writing.close().await;
    }
    writing.append(3).await;
    let info = writing.checkpoint().await;
    let copied = blocking(&writing.journal, |journal| {
        let source = journal.open_checkpoint()?.expect("one was written");
        let (mut bytes, info) = (Vec::new(), source.info().clone());
        loop {
            let piece = source.read_at(bytes.len() as u64, 100)?;
            if piece.is_empty() {
                return Ok::<_, JournalError>((info, bytes));
            }
            bytes.extend(piece);
        }
    });
    let (said, bytes) = copied.await.expect("it can be read");
    assert_eq!(said, info);
    assert_eq!(bytes.len() as u64, info.length_bytes);
    let install = |bytes: Vec<u8>, wanted: CheckpointInfo| {
        blocking(&writing.journal, move |journal| {
            let mut install = journal.install_checkpoint(&wanted)?;
            for piece in bytes.chunks(77) {
                install.write(piece)?;
            }
            install.finish(&mut Checker::default())
        })
    };
    // Damaged, shortened, or not what was promised: refused.
    for at in (0..bytes.len()).step_by(13) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 4;
        let refused = install(damaged, info.clone()).await;
        assert!(refused.is_err(), "a flipped bit in byte {at}");
    }
    assert!(install(bytes[..bytes.len() - 1].to_vec(), info.clone()).await.is_err());
    let other = CheckpointInfo { state_hash: StateDigest::UNKNOWN, ..info.clone() };
    assert!(install(bytes.clone(), other).await.is_err());
    assert_eq!(install(bytes, info.clone()).await.expect("it is what was promised"), info);
    writing.close().await;
    let (writing, recovered, _) = Writing::begin(stage).await;
    assert_eq!(recovered.checkpoint, Some(info));
    writing.close().await;
}

async fn a_checkpoint_of_another_state_is_passed_over(stage: &dyn Stage) {
    let (mut writing, ..) = Writing::begin(stage).await;
    writing.append(3).await;
    let sound = writing.checkpoint().await;
    // One whose hash nobody can compare is used; one that is contradicted is not.
    for (digest, passed_over) in [
        (StateDigest { kind: 2, hash: 9 }, 0),
        (StateDigest::UNKNOWN, 0),
        (StateDigest { kind: 1, hash: 9 }, 1),
    ] {
        writing.append(3).await;
        let at = writing.next - 1;
        let written = blocking(&writing.journal, move |journal| {
            let mut sink = journal.begin_checkpoint(JournalSeq(at))?;
            sink.put(&CheckpointRecord::NextContainer(at))?;
            sink.finish(digest)
        });
        written.await.expect("there is room");
        writing.close().await;
        let (again, recovered, checker) = Writing::begin(stage).await;
        let used = recovered.checkpoint.expect("some were written");
        assert_eq!(recovered.damaged_checkpoints, passed_over);
        assert_eq!((checker.last, checker.checkpoint), (at, Some(used.at.0)));
        assert_eq!(used.at < JournalSeq(at), passed_over > 0);
        assert!(used.at > sound.at);
        writing = again;
    }
    writing.close().await;
}
