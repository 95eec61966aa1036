//! The one writer: plans, applies and appends, in one task, so that the order of the journal is the
//! order of the changes and no lock is held over a disk.
//!
//! It never waits for the disk: batches are queued and the callers wait at the [`crate::gate`].

use crate::error::MasterError;
use crate::metrics::MasterMetrics;
use alluxio_election::Tenure;
use alluxio_host::Clock;
use alluxio_journal::{EntryBatch, JournalStore};
use alluxio_namespace::{Checkpoint, Context, Namespace, Outcome, Policy, Request, Seen};
use alluxio_types::{Answer, Entry, Identity, InodeId, JournalSeq, OperationId};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Changes that wait to be planned. One is about 300 bytes, so a full queue holds 1.2 MB; callers
/// beyond it wait their turn in the RPC layer.
const QUEUE_MAX: usize = 4096;
/// Changes planned before their entries go to the journal in one batch: large enough that a
/// batch's fixed cost vanishes, small enough (about 1 ms of planning) that nobody waits long.
const BATCH_MAX: usize = 256;
/// Entries of one plan that become one atomic record. Larger plans (loading a directory, recursive
/// attributes) are safe to find half done, and a record has a bounded size.
const GROUP_ENTRIES_MAX: usize = 1024;

/// A change that was planned and applied. It is acknowledged once `seen` is durable.
#[derive(Debug, Clone)]
pub struct Done {
    /// What the namespace answers.
    pub outcome: Outcome,
    /// What is remembered for the change's operation id.
    pub answer: Answer,
    /// Position that the answer depends on.
    pub seen: JournalSeq,
}

/// Files that a change removed. Their blocks can go as soon as that is durable, also when nobody waits
/// for the change any more.
#[derive(Debug)]
pub struct Removed {
    /// The change's position.
    pub at: JournalSeq,
    /// The files.
    pub files: Vec<InodeId>,
}

enum Job {
    Change {
        request: Box<Request>,
        who: Arc<Identity>,
        /// Make it once only, and remember the answer.
        operation: Option<OperationId>,
        /// Plan and answer, but change nothing.
        dry_run: bool,
        reply: oneshot::Sender<Result<Done, MasterError>>,
    },
    Checkpoint {
        reply: oneshot::Sender<Result<Checkpoint, MasterError>>,
    },
}

/// Hands changes to the writer. Cloning is cheap.
#[derive(Clone)]
pub struct Writer {
    jobs: mpsc::Sender<Job>,
}

/// What the writer needs.
pub struct WriterDeps {
    /// The tree.
    pub namespace: Arc<Namespace>,
    /// Where entries go.
    pub journal: Arc<dyn JournalStore>,
    /// Under which term.
    pub tenure: Tenure,
    /// Time of the entries.
    pub clock: Arc<dyn Clock>,
    /// The rules for every caller.
    pub policy: Policy,
    /// Counters.
    pub metrics: MasterMetrics,
    /// Who frees blocks.
    pub removed: mpsc::UnboundedSender<Removed>,
}

impl Writer {
    /// Starts the writer. Its task ends when all handles are dropped, or when the journal fails.
    pub fn start(deps: WriterDeps) -> (Writer, tokio::task::JoinHandle<()>) {
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let task = tokio::spawn(run(deps, queue));
        (Writer { jobs }, task)
    }

    async fn send<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, MasterError>>) -> Job,
    ) -> Result<T, MasterError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(job(reply)).await.map_err(|_| MasterError::Stopping)?;
        answer.await.map_err(|_| MasterError::Stopping)?
    }

    /// Makes a change. It is applied when this returns, and durable once `seen` is. A change whose
    /// operation is remembered is not made again: it is answered as it was.
    ///
    /// **Cancel safety**: once queued, the change is made whether or not the caller waits.
    pub async fn change(
        &self,
        request: impl Into<Request>,
        who: &Arc<Identity>,
        operation: Option<OperationId>,
    ) -> Result<Done, MasterError> {
        let (request, who) = (Box::new(request.into()), who.clone());
        self.send(|reply| Job::Change { request, who, operation, dry_run: false, reply }).await
    }

    /// Says whether the change would be made now, and changes nothing.
    pub async fn check(
        &self,
        request: impl Into<Request>,
        who: &Arc<Identity>,
    ) -> Result<Done, MasterError> {
        let (request, who) = (Box::new(request.into()), who.clone());
        self.send(|reply| Job::Change { request, who, operation: None, dry_run: true, reply }).await
    }

    /// Queues a change whose answer nobody needs; drops it when the queue is full.
    pub fn change_if_idle(&self, request: impl Into<Request>, who: &Arc<Identity>) {
        let (reply, _) = oneshot::channel();
        let job = Job::Change {
            request: Box::new(request.into()),
            who: who.clone(),
            operation: None,
            dry_run: false,
            reply,
        };
        // Full or stopping: the change (an access time) is not worth a wait.
        let _ = self.jobs.try_send(job);
    }

    /// Begins a checkpoint of the tree as it is between two changes.
    pub async fn begin_checkpoint(&self) -> Result<Checkpoint, MasterError> {
        self.send(|reply| Job::Checkpoint { reply }).await
    }
}

async fn run(deps: WriterDeps, mut queue: mpsc::Receiver<Job>) {
    let mut jobs = Vec::with_capacity(BATCH_MAX);
    let mut next = deps.namespace.applied().next();
    loop {
        jobs.clear();
        if queue.recv_many(&mut jobs, BATCH_MAX).await == 0 {
            return;
        }
        deps.metrics.writer_queue_depth.set(queue.len() as i64);
        let mut batch = EntryBatch::new(next);
        for job in jobs.drain(..) {
            step(&deps, job, &mut batch);
        }
        next = batch.last().next();
        if batch.is_empty() {
            continue;
        }
        deps.metrics.entries.inc_by(batch.len() as u64);
        if let Err(error) = deps.journal.append(deps.tenure.term(), batch).await {
            // What was applied cannot become durable: the tree is ahead of the journal for good,
            // and replies that saw it never pass the gate. A new process starts from the journal.
            tracing::error!(%error, "the journal refused a batch, no change is possible any more");
            return;
        }
    }
}

fn step(deps: &WriterDeps, job: Job, batch: &mut EntryBatch) {
    match job {
        Job::Change { request, who, operation, dry_run, reply } => {
            let now = deps.clock.now();
            let context = Context { now, who: &who, policy: &deps.policy };
            let answer = change(deps, &request, &context, operation, (!dry_run).then_some(batch));
            // A caller that went away has made its change all the same.
            let _ = reply.send(answer);
        }
        Job::Checkpoint { reply } => {
            let _ = reply.send(deps.namespace.begin_checkpoint().map_err(Into::into));
        }
    }
}

/// Plans one change, and makes it when there is a batch for it.
fn change(
    deps: &WriterDeps,
    request: &Request,
    context: &Context<'_>,
    operation: Option<OperationId>,
    batch: Option<&mut EntryBatch>,
) -> Result<Done, MasterError> {
    if let Some(Seen { value: answer, seq: seen }) =
        operation.and_then(|operation| deps.namespace.answered(operation))
    {
        return Ok(Done { outcome: answer.into(), answer, seen });
    }
    let mut plan = deps.namespace.plan(request, context)?;
    let answer = plan.answer();
    let mut seen = plan.seen;
    if let Some(batch) = batch {
        if let Some(operation) = operation {
            plan.remember(operation);
        }
        let last = record(deps, plan.entries, batch);
        seen = last.unwrap_or(seen).max(seen);
        if !plan.removed.is_empty() {
            // Nobody listens any more when the primary ends, and nothing becomes durable then.
            let _ = deps.removed.send(Removed { at: seen, files: plan.removed });
        }
    }
    Ok(Done { outcome: plan.outcome, answer, seen })
}

/// Applies the entries of one plan and adds them to the batch: several become groups.
fn record(
    deps: &WriterDeps,
    mut entries: Vec<Entry>,
    batch: &mut EntryBatch,
) -> Option<JournalSeq> {
    let mut last = None;
    let mut put = |entry: Entry| {
        let seq = batch.push(&entry);
        deps.namespace.apply(seq, &entry);
        last = Some(seq);
    };
    while entries.len() > 1 {
        let rest = entries.split_off(entries.len().min(GROUP_ENTRIES_MAX));
        put(Entry::Group(std::mem::replace(&mut entries, rest)));
    }
    if let Some(entry) = entries.pop() {
        put(entry);
    }
    last
}
