//! Missing blocks: one flight per block brings it here, whoever asks meanwhile reads what has
//! arrived.
//!
//! The block store admits one writer per block, and that is what makes the flight single; the table
//! here only remembers how a flight ended, for those who waited for it.

use crate::core::{Core, blocking};
use crate::error::WorkerError;
use crate::source::{Source, Wanted};
use alluxio_blockstore::{ChunkCrcs, CrcBuilder, FillReader, Lookup, Placement, TempBlock};
use alluxio_types::{BlockId, BlockRange, Code, Coded};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Fills that readers wait for, per fill in the background. A reader beyond the limit is served
/// from the source without caching. Each fill holds some megabytes of buffers of its UFS stream.
const FOREGROUND_FACTOR: usize = 4;
/// Bytes that are handed to a blocking thread at a time, when they come faster than that.
const WRITE_BYTES: usize = 1 << 20;
/// Blocks on their way up at a time; more wishes are dropped. They compete with readers for the
/// same disks.
const PROMOTIONS_MAX: usize = 2;
/// Looks at a block before giving up; each further one means that its state changed in between.
const LOOKS_MAX: usize = 8;

/// What is on its way.
pub(crate) struct Fetcher {
    flights: Mutex<BTreeMap<BlockId, Arc<Flight>>>,
    promoting: Mutex<BTreeSet<BlockId>>,
    foreground: Arc<Semaphore>,
    background: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    queue_max: usize,
}

/// One fetch of one block.
pub(crate) struct Flight {
    outcome: watch::Sender<Option<Outcome>>,
    used_ufs: AtomicBool,
}

type Outcome = Result<(), (Code, String)>;

impl Flight {
    /// How it ended.
    ///
    /// **Cancel safety**: yes.
    pub(crate) async fn ended(&self) -> Result<(), WorkerError> {
        let mut watch = self.outcome.subscribe();
        // The sender lives in self, so waiting cannot fail.
        let ended = watch.wait_for(Option::is_some).await.ok().and_then(|ended| (*ended).clone());
        match ended {
            Some(Err((code, message))) => Err(WorkerError::Fetch { code, message }),
            _ => Ok(()),
        }
    }

    /// Whether bytes of the UFS are in it, so that their version needs a second look.
    pub(crate) fn used_ufs(&self) -> bool {
        self.used_ufs.load(Ordering::Acquire)
    }
}

/// A block on its way here.
pub(crate) struct Joined {
    pub(crate) reader: FillReader,
    /// `None` when a client writes the block.
    pub(crate) flight: Option<Arc<Flight>>,
}

impl Fetcher {
    /// `concurrency` fills in the background at a time, `queue` more waiting.
    pub(crate) fn new(concurrency: usize, queue: usize) -> Self {
        Fetcher {
            flights: Mutex::default(),
            promoting: Mutex::default(),
            foreground: Arc::new(Semaphore::new(concurrency * FOREGROUND_FACTOR)),
            background: Arc::new(Semaphore::new(concurrency)),
            queue: Arc::new(Semaphore::new(queue + concurrency)),
            queue_max: queue + concurrency,
        }
    }

    fn flights(&self) -> MutexGuard<'_, BTreeMap<BlockId, Arc<Flight>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn promoting(&self) -> MutexGuard<'_, BTreeSet<BlockId>> {
        self.promoting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The flight that fills a block now.
    pub(crate) fn flight(&self, block: BlockId) -> Option<Arc<Flight>> {
        self.flights().get(&block).cloned()
    }

    /// Blocks on their way.
    pub(crate) fn in_flight(&self) -> usize {
        self.flights().len()
    }

    /// Requests in the background queue, those at work included.
    pub(crate) fn queued(&self) -> usize {
        self.queue_max - self.queue.available_permits()
    }

    /// A slot for a fill that a reader waits for; `None` when there are too many.
    pub(crate) fn foreground_slot(&self) -> Option<OwnedSemaphorePermit> {
        self.foreground.clone().try_acquire_owned().ok()
    }
}

impl Core {
    /// Starts to fill a block, in a task of its own that outlives the one who asked.
    ///
    /// **Errors**: `Store` when it is there or being filled already, or when there is no room.
    pub(crate) async fn start_fill(
        self: &Arc<Self>,
        wanted: Wanted,
        placement: Placement,
        slot: Option<OwnedSemaphorePermit>,
    ) -> Result<Joined, WorkerError> {
        let (store, block, length) = (self.store.clone(), wanted.block, wanted.length);
        let temp = blocking(move || store.create(block, length, placement)).await??;
        let reader = temp.reader();
        let flight = Arc::new(Flight {
            outcome: watch::Sender::new(None),
            used_ufs: AtomicBool::new(false),
        });
        self.fetcher.flights().insert(block, flight.clone());
        let (core, mine) = (self.clone(), flight.clone());
        self.spawn(async move {
            // Also when the task is dropped: whoever waits must not wait for ever.
            let ending = Ending { core: &core, block, flight: &mine };
            let outcome = fill(&core, wanted, temp, &mine).await;
            drop(slot);
            ending.end(outcome);
        });
        Ok(Joined { reader, flight: Some(flight) })
    }

    /// Brings a block here, or waits for whoever does.
    ///
    /// **Errors**: as the fill; `Busy` when the block's state keeps changing.
    pub(crate) async fn cache_block(
        self: &Arc<Self>,
        wanted: Wanted,
        promote: bool,
    ) -> Result<(), WorkerError> {
        let block = wanted.block;
        for _ in 0..LOOKS_MAX {
            match self.store.lookup(block)? {
                Lookup::Committed(_) | Lookup::Unverified(_) => {
                    if promote && self.store.tier_of(block).is_some_and(|tier| tier > 0) {
                        let store = self.store.clone();
                        blocking(move || store.promote(block, 0)).await??;
                        self.news.notify_one();
                    }
                    return Ok(());
                }
                Lookup::Filling(reader) => {
                    // Cached by then, or to be tried again.
                    while !reader.progress().state().is_over() {
                        let readable = reader.progress().state().readable_bytes();
                        reader.progress().beyond(readable).await;
                    }
                    if let Some(flight) = self.fetcher.flight(block) {
                        flight.ended().await?;
                    }
                }
                Lookup::Absent => {
                    wanted.check()?;
                    let placement = if promote { Placement::TOP } else { Placement::AnyTier };
                    match self.start_fill(wanted.clone(), placement, None).await {
                        Ok(Joined { flight: Some(flight), .. }) => flight.ended().await?,
                        Ok(Joined { flight: None, .. }) => {}
                        Err(error) if error.code() == Code::AlreadyExists => {}
                        Err(error) if error.code() == Code::Busy => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        Err(WorkerError::Busy { what: "changes of one block", limit: LOOKS_MAX })
    }

    /// Caches a block when there is time; a wish that finds the queue full is dropped.
    pub(crate) fn cache_later(self: &Arc<Self>, wanted: Wanted, promote: bool) {
        if wanted.check().is_err() {
            return;
        }
        let Ok(place) = self.fetcher.queue.clone().try_acquire_owned() else {
            self.metrics.cache_requests_rejected.inc();
            return;
        };
        let core = self.clone();
        self.spawn(async move {
            let _place = place;
            // Never closed.
            let _slot = core.fetcher.background.clone().acquire_owned().await;
            let block = wanted.block;
            if let Err(error) = core.cache_block(wanted, promote).await {
                tracing::debug!(block = block.0, %error, "block is not cached");
            }
        });
    }

    /// Moves a block to the top tier when there is time.
    pub(crate) fn promote_later(self: &Arc<Self>, block: BlockId) {
        {
            let mut promoting = self.fetcher.promoting();
            if promoting.len() >= PROMOTIONS_MAX || !promoting.insert(block) {
                return;
            }
        }
        let core = self.clone();
        self.tasks.spawn(async move {
            let store = core.store.clone();
            match blocking(move || store.promote(block, 0)).await {
                Ok(Ok(true)) => core.news.notify_one(),
                Ok(Ok(false)) => {}
                Ok(Err(error)) => tracing::debug!(block = block.0, %error, "block stays below"),
                Err(error) => tracing::debug!(block = block.0, %error, "block stays below"),
            }
            core.fetcher.promoting().remove(&block);
        });
    }
}

/// Takes a flight out of the table and tells how it ended, on every way out.
struct Ending<'a> {
    core: &'a Core,
    block: BlockId,
    flight: &'a Flight,
}

impl Ending<'_> {
    fn end(self, outcome: Result<(), WorkerError>) {
        let metrics = &self.core.metrics;
        match &outcome {
            Ok(()) => metrics.blocks_cached.inc(),
            Err(error) => {
                metrics.fetch_failed(error.code());
                tracing::debug!(block = self.block.0, %error, "fetch failed");
            }
        }
        let outcome = outcome.map_err(|error| (error.code(), error.to_string()));
        self.flight.outcome.send_replace(Some(outcome));
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.core.fetcher.flights().remove(&self.block);
        self.flight.outcome.send_if_modified(|outcome| {
            let dropped = outcome.is_none();
            if dropped {
                *outcome = Some(Err((Code::Unavailable, "the worker is stopping".to_owned())));
            }
            dropped
        });
        self.core.news.notify_one();
    }
}

async fn fill(
    core: &Arc<Core>,
    wanted: Wanted,
    temp: TempBlock,
    flight: &Flight,
) -> Result<(), WorkerError> {
    let length = wanted.length;
    let mut source = Source::new(core.clone(), wanted, BlockRange { start: 0, end: length });
    let mut writer = FillWriter { temp, crcs: CrcBuilder::new(), position: 0 };
    let mut pieces = Vec::new();
    let mut waiting = 0;
    while let Some(bytes) = source.next().await? {
        flight.used_ufs.fetch_or(source.used_ufs(), Ordering::AcqRel);
        waiting += bytes.len();
        pieces.push(bytes);
        // Small pieces that are here already go to the disk together.
        while waiting < WRITE_BYTES
            && let Some(bytes) = source.next_arrived()?
        {
            waiting += bytes.len();
            pieces.push(bytes);
        }
        writer = writer.write(std::mem::take(&mut pieces)).await?;
        waiting = 0;
    }
    writer.commit(length).await
}

/// Writes what arrives, in order, and computes checksums on the way.
pub(crate) struct FillWriter {
    temp: TempBlock,
    crcs: CrcBuilder,
    position: u64,
}

impl FillWriter {
    async fn write(mut self, pieces: Vec<Bytes>) -> Result<Self, WorkerError> {
        blocking(move || {
            for bytes in pieces {
                self.temp.write_at(&bytes, self.position)?;
                self.crcs.update(&bytes);
                self.position += bytes.len() as u64;
            }
            self.temp.advance(self.position);
            Ok(self)
        })
        .await?
    }

    async fn commit(self, length: u64) -> Result<(), WorkerError> {
        let crcs: ChunkCrcs = self.crcs.finish();
        let temp = self.temp;
        blocking(move || temp.commit(length, &crcs)).await??;
        Ok(())
    }
}
