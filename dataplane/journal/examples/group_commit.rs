//! How fast durable appends are, beside the limit of the disk under them.
//!
//! `cargo run --release -p alluxio-journal --example group_commit -- [FOLDER] [SECONDS]`
//!
//! Rounds alternate between the bare pattern (one write and one fdatasync of what gathered, on a
//! file zeroed ahead, nothing else) and the journal, with 1, 8, 64 and 512 appenders that each wait
//! for their entry before the next. Then a checkpoint of a million inodes is written and loaded.

use alluxio_host::{DiskFile, Host, OpenMode};
use alluxio_journal::folder::format;
use alluxio_journal::{
    EntryBatch, FolderJournal, FolderOptions, JournalStore, Replay, StateDigest,
};
use alluxio_types::{
    CheckpointRecord, Entry, FileKind, Fingerprint, InodeId, InodeRecord, JournalSeq, Mode,
    PersistenceState, Term, TtlAction, UnixMillis,
};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let base = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let seconds: f64 = arguments.next().map_or(Ok(1.0), |text| text.parse())?;
    let time = Duration::from_secs_f64(seconds);
    let folder = base.join(format!("group-commit-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let result = measure(&folder, time);
    std::fs::remove_dir_all(&folder)?;
    result
}

#[expect(clippy::print_stdout, reason = "its output is what it is for")]
fn measure(folder: &Path, time: Duration) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    println!("appenders  bare/s  journal/s  ratio (median of 3 rounds)");
    for appenders in [1, 8, 64, 512] {
        let (mut bare, mut ours) = (Vec::new(), Vec::new());
        for round in 0..3 {
            let path = folder.join(format!("bare-{appenders}-{round}"));
            bare.push(run_bare(&path, appenders, time)?);
            let path = folder.join(format!("journal-{appenders}-{round}"));
            ours.push(runtime.block_on(run_journal(&path, appenders, time))?);
        }
        let (bare, ours) = (median(bare), median(ours));
        println!("{appenders:9} {bare:7.0} {ours:10.0}  {:.2}", ours / bare);
    }
    checkpoint(&folder.join("checkpoint"))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn payload(seq: u64) -> Entry {
    Entry::Create(Box::new(inode(seq)))
}

fn inode(id: u64) -> InodeRecord {
    InodeRecord {
        id: InodeId::from_container(id),
        parent: InodeId::ROOT,
        name: format!("part-{id:015}"),
        kind: FileKind::File,
        owner: "alluxio".into(),
        group: "alluxio".into(),
        mode: Mode(0o644),
        created: UnixMillis(1_700_000_000_000 + id),
        modified: UnixMillis(1_700_000_000_000 + id),
        accessed: UnixMillis(1_700_000_000_000 + id),
        length: 64 << 20,
        block_size_bytes: 64 << 20,
        completed: true,
        pinned: false,
        persistence: PersistenceState::Persisted,
        fingerprint: Fingerprint(format!("67108864-{}", 1_700_000_000_000 + id)),
        ttl_ms: None,
        ttl_action: TtlAction::Free,
        replication_min: 0,
        replication_max: None,
        children_loaded: false,
        xattr: Default::default(),
        target: String::new(),
        quota: alluxio_types::Quota::default(),
    }
}

/// What the bare writer shares with its appenders.
#[derive(Default)]
struct Bare {
    state: Mutex<BareState>,
    work: Condvar,
    done: Condvar,
}

#[derive(Default)]
struct BareState {
    queued: u64,
    committed: u64,
    stop: bool,
}

/// The least there can be: threads that ask for one record of 200 bytes each, one that writes and
/// syncs what was asked for.
fn run_bare(path: &Path, appenders: u64, time: Duration) -> Outcome<f64> {
    const RECORD_BYTES: u64 = 200;
    let host = Host::real();
    let file = host.disk.open(path, OpenMode::CreateNew)?;
    let size = 64u64 << 20;
    file.write_all_at(&vec![0; size as usize], 0)?;
    file.sync_data()?;
    let shared = Bare::default();
    let began = Instant::now();
    std::thread::scope(|scope| {
        let shared = &shared;
        scope.spawn(move || bare_writer(shared, &*file, RECORD_BYTES, size));
        for _ in 0..appenders {
            scope.spawn(move || {
                while began.elapsed() < time {
                    let mut state = shared.state.lock().expect("no appender panics");
                    state.queued += 1;
                    let mine = state.queued;
                    shared.work.notify_one();
                    while state.committed < mine {
                        state = shared.done.wait(state).expect("no appender panics");
                    }
                }
            });
        }
        std::thread::sleep(time);
        shared.state.lock().expect("no appender panics").stop = true;
        shared.work.notify_one();
    });
    let committed = shared.state.lock().expect("no appender panics").committed;
    Ok(committed as f64 / began.elapsed().as_secs_f64())
}

fn bare_writer(shared: &Bare, file: &dyn DiskFile, record_bytes: u64, size: u64) {
    let (mut written, mut offset) = (0, 0);
    loop {
        let mut state = shared.state.lock().expect("no appender panics");
        while state.queued == written {
            if state.stop {
                return;
            }
            let wait = Duration::from_millis(10);
            state = shared.work.wait_timeout(state, wait).expect("no appender panics").0;
        }
        let until = state.queued;
        drop(state);
        let bytes = vec![7; ((until - written) * record_bytes) as usize];
        if offset + bytes.len() as u64 > size {
            offset = 0;
        }
        file.write_all_at(&bytes, offset).expect("the disk works");
        file.sync_data().expect("the disk works");
        offset += bytes.len() as u64;
        written = until;
        shared.state.lock().expect("no appender panics").committed = until;
        shared.done.notify_all();
    }
}

#[derive(Default)]
struct Count {
    items: u64,
}

impl Replay for Count {
    fn restart(&mut self) {
        self.items = 0;
    }
    fn checkpoint(&mut self, _record: &CheckpointRecord) {
        self.items += 1;
    }
    fn entry(&mut self, _seq: JournalSeq, _entry: Entry) {
        self.items += 1;
    }
}

async fn run_journal(path: &Path, appenders: u64, time: Duration) -> Outcome<f64> {
    let host = Host::real();
    format(&host, path, "bench")?;
    let journal = Arc::new(FolderJournal::open(FolderOptions::new(path), &host, Arc::new(()))?);
    journal.load(&mut Count::default())?;
    journal.fence(Term(1))?;
    // The order of positions is the order of appends: one lock for both, as one writer would.
    let next = Arc::new(tokio::sync::Mutex::new(1u64));
    let stop = Arc::new(AtomicBool::new(false));
    let total = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..appenders {
        let (journal, next, stop, total) =
            (journal.clone(), next.clone(), stop.clone(), total.clone());
        tasks.push(tokio::spawn(async move {
            let commits = journal.commits();
            while !stop.load(Ordering::Relaxed) {
                let mut position = next.lock().await;
                let seq = JournalSeq(*position);
                let mut batch = EntryBatch::new(seq);
                batch.push(&payload(*position));
                journal.append(Term(1), batch).await.expect("the disk works");
                *position += 1;
                drop(position);
                commits.wait_for(seq).await.expect("the disk works");
                total.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    tokio::task::spawn_blocking(move || std::thread::sleep(time)).await?;
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await?;
    }
    let rate = total.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64();
    journal.close()?;
    Ok(rate)
}

#[expect(clippy::print_stdout, reason = "its output is what it is for")]
fn checkpoint(path: &Path) -> Outcome<()> {
    const INODES: u64 = 1_000_000;
    let host = Host::real();
    format(&host, path, "bench")?;
    let options = FolderOptions::new(path);
    let journal = FolderJournal::open(options.clone(), &host, Arc::new(()))?;
    journal.load(&mut Count::default())?;
    journal.fence(Term(1))?;
    let began = Instant::now();
    let mut sink = journal.begin_checkpoint(JournalSeq(0))?;
    for id in 0..INODES {
        sink.put(&CheckpointRecord::Inode(Box::new(inode(id))))?;
    }
    let info = sink.finish(StateDigest::UNKNOWN)?;
    let wrote = began.elapsed().as_secs_f64();
    drop(journal);
    let journal = FolderJournal::open(options, &host, Arc::new(()))?;
    let began = Instant::now();
    let mut count = Count::default();
    journal.load(&mut count)?;
    let loaded = began.elapsed().as_secs_f64();
    println!(
        "checkpoint of {} inodes, {} bytes each: written at {:.2} M/s, loaded at {:.2} M/s",
        count.items,
        info.length_bytes / INODES,
        INODES as f64 / wrote / 1e6,
        INODES as f64 / loaded / 1e6
    );
    Ok(())
}
