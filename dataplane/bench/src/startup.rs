//! What a master costs at rest and at its start: memory per file, restart from a checkpoint.

use crate::cluster::Cluster;
use crate::command::Shared;
use crate::measure::{Series, Target, Unit};
use crate::sys::resident_bytes;
use alluxio_host::Host;
use alluxio_journal::folder::format;
use alluxio_journal::{EntryBatch, FolderJournal, FolderOptions, JournalStore};
use alluxio_master::recover::{recover, write_checkpoint};
use alluxio_namespace::{
    CompleteFile, Context, CreateDirectory, CreateFile, Format, Foundation, Namespace, Outcome,
    Policy, Request,
};
use alluxio_types::{
    AlluxioPath, Fingerprint, Identity, JournalSeq, MountOptions, PersistenceState, Term,
    UnixMillis,
};
use anyhow::{Context as _, Result, bail, ensure};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Files of one directory: what a dataset's folder holds.
const FILES_PER_DIRECTORY: usize = 1000;

/// Memory that a file may take in the master.
const BYTES_PER_FILE_MAX: f64 = 120.0;
/// Memory of a master and a worker at rest: 30 MB each.
const IDLE_BYTES_MAX: f64 = 60e6;
/// Inodes that a checkpoint is written and loaded at, a second.
const CHECKPOINT_RATE: f64 = 1_000_000.0;

/// Plans and applies requests, and hands out their entries.
struct Filler {
    namespace: Arc<Namespace>,
    who: Identity,
    policy: Policy,
    next: JournalSeq,
}

impl Filler {
    fn new() -> Self {
        Filler {
            namespace: Arc::new(Namespace::new()),
            who: Identity::new("root", ["root".to_owned()]),
            policy: Policy::default(),
            next: JournalSeq(1),
        }
    }

    fn change(&mut self, request: impl Into<Request>, batch: &mut EntryBatch) -> Result<Outcome> {
        let context =
            Context { now: UnixMillis(1_700_000_000_000), who: &self.who, policy: &self.policy };
        let plan = self.namespace.plan(&request.into(), &context)?;
        for entry in &plan.entries {
            self.next = batch.push(entry).next();
            self.namespace.apply(batch.last(), entry);
        }
        Ok(plan.outcome)
    }

    /// `files` complete files with 20-character names and one block each; every batch goes to
    /// `sink`.
    fn fill(&mut self, files: usize, mut sink: impl FnMut(EntryBatch) -> Result<()>) -> Result<()> {
        let mut batch = EntryBatch::new(self.next);
        let format = Format {
            cluster_id: "bench".into(),
            ufs_uri: "/tmp".into(),
            read_only: false,
            shared: true,
            options: MountOptions::default(),
            root_mode: None,
        };
        self.change(format, &mut batch)?;
        for index in 0..files {
            let directory = AlluxioPath::parse(&format!("/d{:06}", index / FILES_PER_DIRECTORY))?;
            if index % FILES_PER_DIRECTORY == 0 {
                self.change(CreateDirectory::new(directory.clone()), &mut batch)?;
            }
            let path = directory.join(&format!("part-{index:011}.bin"))?;
            let Outcome::Inode { id, .. } = self.change(CreateFile::new(path), &mut batch)? else {
                bail!("a create answers with an inode");
            };
            let complete = CompleteFile {
                replaces: None,
                id,
                length: 1 << 20,
                persistence: PersistenceState::NotPersisted,
                fingerprint: Fingerprint::default(),
                attributes: Default::default(),
            };
            self.change(complete, &mut batch)?;
            if batch.len() > 2000 {
                sink(std::mem::replace(&mut batch, EntryBatch::new(self.next)))?;
            }
        }
        sink(batch)
    }
}

/// Memory of the namespace, and of processes that do nothing.
pub(crate) async fn memory(shared: &Shared) -> Result<()> {
    let files = shared.files_or(1_000_000);
    shared.note(&format!("{files} files with 20-character names, one block each"));
    let mut filler = Filler::new();
    let before = resident_bytes(std::process::id());
    filler.fill(files, |_| Ok(()))?;
    let resident = resident_bytes(std::process::id()).saturating_sub(before);
    let counted = filler.namespace.stats().memory_bytes;
    let mut by_tables = Series::new("memory", "per file, tables", Unit::Bytes, "")
        .target(Target::AtMost(BYTES_PER_FILE_MAX));
    by_tables.alone(counted as f64 / files as f64);
    by_tables.report(shared);
    let mut by_kernel = Series::new("memory", "per file, resident", Unit::Bytes, "")
        .target(Target::AtMost(BYTES_PER_FILE_MAX));
    by_kernel.alone(resident as f64 / files as f64);
    by_kernel.report(shared);
    drop(filler);
    let cluster = Cluster::start(shared, 256 << 20)?;
    // A heartbeat or two: what a process at rest has touched.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let pid = cluster.pid().context("a cluster of our own has a process")?;
    let mut idle = Series::new("memory", "idle, master + worker", Unit::Bytes, "")
        .target(Target::AtMost(IDLE_BYTES_MAX));
    idle.alone(resident_bytes(pid) as f64);
    idle.report(shared);
    Ok(())
}

/// Restart of a master: from a checkpoint, and from the log alone.
pub(crate) async fn startup(shared: &Shared) -> Result<()> {
    let files = shared.files_or(1_000_000);
    let dir = tempfile::tempdir()?;
    shared.note(&format!("{files} files; journal in {}", dir.path().display()));
    let folder = dir.path().join("journal");
    let rounds = shared.rounds;
    let results = tokio::task::spawn_blocking(move || measure(&folder, files, rounds)).await??;
    for series in results {
        series.report(shared);
    }
    Ok(())
}

fn measure(folder: &Path, files: usize, rounds: usize) -> Result<Vec<Series>> {
    let host = Host::real();
    format(&host, folder, "bench")?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut filler = Filler::new();
    let journal = open(&host, folder)?;
    recover(&journal, &Foundation::default())?;
    journal.fence(Term(1))?;
    filler.fill(files, |batch| Ok(runtime.block_on(journal.append(Term(1), batch))?))?;
    journal.close()?;
    drop(journal);
    let inodes = filler.namespace.stats().inodes;

    let mut replay = Series::new("startup", "from the log alone", Unit::Seconds, "");
    replay.alone(restart(&host, folder, inodes)?);

    let journal = open(&host, folder)?;
    recover(&journal, &Foundation::default())?;
    journal.fence(Term(2))?;
    let started = Instant::now();
    let checkpoint = filler.namespace.begin_checkpoint()?;
    write_checkpoint(&journal, checkpoint)?;
    let in_time = Target::AtMost(inodes as f64 / CHECKPOINT_RATE);
    let mut write =
        Series::new("startup", "writing a checkpoint", Unit::Seconds, "").target(in_time);
    write.alone(started.elapsed().as_secs_f64());
    journal.close()?;
    drop(journal);
    drop(filler);

    let mut load = Series::new("startup", "from a checkpoint", Unit::Seconds, "").target(in_time);
    for _ in 0..rounds {
        load.alone(restart(&host, folder, inodes)?);
    }
    Ok(vec![load, replay, write])
}

fn open(host: &Host, folder: &Path) -> Result<FolderJournal> {
    Ok(FolderJournal::open(FolderOptions::new(folder), host, Arc::new(()))?)
}

/// Seconds until the tree is there and answers.
fn restart(host: &Host, folder: &Path, inodes: u64) -> Result<f64> {
    let started = Instant::now();
    let journal = open(host, folder)?;
    let (namespace, _) = recover(&journal, &Foundation::default())?;
    let took = started.elapsed().as_secs_f64();
    ensure!(namespace.stats().inodes == inodes, "{} of {inodes} inodes", namespace.stats().inodes);
    Ok(took)
}
