//! Durable appends to the journal in etcd, beside bare puts of the same sizes in the same order.

use crate::command::Shared;
use crate::measure::{Series, Unit};
use alluxio_election::{Candidate, Elector, EtcdElector, EtcdElectorOptions};
use alluxio_etcd::api::DeleteOptions;
use alluxio_etcd::{Etcd, EtcdSettings, WRITE_LIMIT};
use alluxio_host::Host;
use alluxio_journal::folder::QueueLimits;
use alluxio_journal::{
    Commits, EntryBatch, EtcdJournal, EtcdJournalOptions, Flush, JournalStore, Observer, Recovered,
    Replay, etcd,
};
use alluxio_types::{
    CheckpointRecord, Entry, FileKind, Fingerprint, InodeId, InodeRecord, JournalSeq, Mode,
    PersistenceState, Term, TtlAction, UnixMillis,
};
use anyhow::{Context as _, Result};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Callers that each wait for their change before they make the next.
const IN_FLIGHT: [usize; 2] = [64, 512];
/// Changes of one round: a few seconds of an etcd that commits a thousand times a second.
const CHANGES: usize = 20_000;

/// Sizes of the groups that the journal wrote.
#[derive(Default)]
struct Groups(Mutex<Vec<usize>>);

impl Observer for Groups {
    fn flushed(&self, flush: &Flush) {
        let bytes = usize::try_from(flush.bytes).unwrap_or_default();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
    }
}

impl Groups {
    fn take(&self) -> Vec<usize> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Nothing to rebuild: the journal is new.
struct Nothing;

impl Replay for Nothing {
    fn restart(&mut self) {}
    fn checkpoint(&mut self, _: &CheckpointRecord) {}
    fn entry(&mut self, _: JournalSeq, _: Entry) {}
}

/// Measures on the etcd at `endpoints`, under a cluster name of its own, and removes what it wrote.
pub(crate) async fn journal(shared: &Shared, endpoints: &[String]) -> Result<()> {
    let host = Host::real();
    let name = format!("alluxio-bench-{:016x}", host.entropy.next_u64());
    let settings = EtcdSettings::plain(endpoints.to_vec(), name.clone());
    let connection = Arc::new(Etcd::new(&settings)?);
    let dir = tempfile::tempdir()?;
    let folder = dir.path().join("checkpoints");
    etcd::format(&connection, &host, folder.clone(), &name).await?;
    let candidate = Candidate { id: name.clone(), rpc_address: "127.0.0.1:0".into() };
    let options = EtcdElectorOptions::default();
    let elector = EtcdElector::start(connection.clone(), candidate, host.clock.clone(), options);
    let tenure = elector.campaign(Term(0)).await?;
    let groups = Arc::new(Groups::default());
    let options = EtcdJournalOptions {
        etcd: connection.clone(),
        folder,
        master: name,
        queue: QueueLimits::default(),
        backlog_bytes: 0,
    };
    let journal = Arc::new(EtcdJournal::open(options, &host, groups.clone()).await?);
    let (store, term) = (journal.clone(), tenure.term());
    tokio::task::spawn_blocking(move || {
        let loaded: Recovered = store.load(&mut Nothing)?;
        store.fence(term).map(|()| loaded)
    })
    .await??;
    let mut next = 1;
    for callers in IN_FLIGHT {
        let variant = format!("create, {callers} in flight");
        let mut series = Series::new("journal", variant, Unit::OpsPerSecond, "raw etcd puts");
        for _ in 0..shared.rounds {
            let changes = shared.files_or(CHANGES) as u64;
            let began = Instant::now();
            append(&journal, term, callers, next..next + changes).await?;
            let ours = changes as f64 / began.elapsed().as_secs_f64();
            next += changes;
            let began = Instant::now();
            put(&connection, &groups.take()).await?;
            series.round(ours, changes as f64 / began.elapsed().as_secs_f64());
        }
        series.report(shared);
    }
    let store = journal.clone();
    tokio::task::spawn_blocking(move || store.close()).await??;
    elector.resign(&tenure).await?;
    drop(elector);
    let prefix = connection.keys().prefix();
    let prefix = prefix.as_str();
    let all = || Some(DeleteOptions::new().with_prefix());
    let clean =
        |mut client: alluxio_etcd::api::Client| async move { client.delete(prefix, all()).await };
    connection.write(WRITE_LIMIT, clean).await?;
    Ok(())
}

/// Appends the positions in `range`, one by one, by `callers` that wait for each.
async fn append(
    journal: &Arc<EtcdJournal>,
    term: Term,
    callers: usize,
    range: std::ops::Range<u64>,
) -> Result<()> {
    let next = Arc::new(tokio::sync::Mutex::new(range.start));
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (journal, next, end) = (journal.clone(), next.clone(), range.end);
            let commits: Commits = journal.commits();
            tokio::spawn(async move {
                loop {
                    let seq = {
                        let mut next = next.lock().await;
                        if *next == end {
                            return Ok(());
                        }
                        let mut batch = EntryBatch::new(JournalSeq(*next));
                        batch.push(&change(*next));
                        journal.append(term, batch).await?;
                        *next += 1;
                        JournalSeq(*next - 1)
                    };
                    commits.wait_for(seq).await.context("the journal failed")?;
                }
            })
        })
        .collect();
    for task in tasks {
        let done: Result<()> = task.await?;
        done?;
    }
    Ok(())
}

/// Puts values of these sizes, each after the one before.
async fn put(etcd: &Etcd, sizes: &[usize]) -> Result<()> {
    for (index, size) in sizes.iter().enumerate() {
        let key = format!("{}raw/{index:020}", etcd.keys().prefix());
        let (key, value) = (&key, vec![7_u8; *size]);
        let value = &value;
        etcd.write(WRITE_LIMIT, |mut client| async move {
            client.put(key.as_str(), value.as_slice(), None).await
        })
        .await?;
    }
    Ok(())
}

/// What creating one file writes.
fn change(seq: u64) -> Entry {
    let at = UnixMillis(1_700_000_000_000 + seq);
    Entry::Create(Box::new(InodeRecord {
        id: InodeId::from_container(seq),
        parent: InodeId::ROOT,
        name: format!("part-{seq:015}"),
        kind: FileKind::File,
        owner: "alluxio".into(),
        group: "alluxio".into(),
        mode: Mode(0o644),
        created: at,
        modified: at,
        accessed: at,
        length: 0,
        block_size_bytes: 64 << 20,
        completed: false,
        pinned: false,
        persistence: PersistenceState::NotPersisted,
        fingerprint: Fingerprint::default(),
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
