//! Which way a read is answered.

use super::soon::comes_soon;
use super::stream::{DirectStream, FillStream};
use crate::core::{Core, blocking};
use crate::error::WorkerError;
use crate::fetch::Joined;
use crate::source::Wanted;
use alluxio_blockstore::{BlockLease, FillReader, Lookup, Placement};
use alluxio_datapath::{HeldBlock, ReadAnswer, ReadRequest, Refusal};
use alluxio_host::DiskFile;
use alluxio_types::{Code, Coded, ReadType};
use async_trait::async_trait;
use std::sync::Arc;

/// A reader that starts this far beyond what a fill has reached is served from the UFS at once,
/// instead of waiting: about what a store delivers in the time of one more request (100 ms at
/// 100 MB/s).
const SKIP_AHEAD_BYTES: u64 = 8 << 20;
/// Looks at a block before giving up; each further one means that its state changed in between.
const LOOKS_MAX: usize = 8;

impl Core {
    /// Answers a read.
    pub(crate) async fn read(
        self: &Arc<Self>,
        request: ReadRequest,
    ) -> Result<ReadAnswer, WorkerError> {
        if request.range.is_empty() {
            if request.read_type != ReadType::NoCache {
                let promote = request.read_type == ReadType::CachePromote;
                self.cache_later(Wanted::of(&request, &self.address), promote);
            }
            return Ok(ReadAnswer::Accepted);
        }
        for _ in 0..LOOKS_MAX {
            match self.store.lookup(request.block)? {
                Lookup::Committed(lease) => return self.hold(lease, &request),
                Lookup::Unverified(lease) => {
                    match blocking(move || lease.verify()).await? {
                        Ok(lease) => return self.hold(lease, &request),
                        // Dropped now, and fetched again when there is a source.
                        Err(alluxio_blockstore::Error::Corrupt { .. }) => {
                            self.news.notify_one();
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
                Lookup::Filling(reader) => {
                    if comes_soon(&reader, &request, &*self.host.clock).await {
                        continue;
                    }
                    return self.join(reader, request);
                }
                Lookup::Absent => {
                    if let Some(answer) = self.miss(&request).await? {
                        return Ok(answer);
                    }
                }
            }
        }
        Err(WorkerError::Busy { what: "changes of one block", limit: LOOKS_MAX })
    }

    fn hold(
        self: &Arc<Self>,
        lease: BlockLease,
        request: &ReadRequest,
    ) -> Result<ReadAnswer, WorkerError> {
        if lease.length() != request.block_length {
            return Err(WorkerError::OtherLength {
                block: request.block,
                here_bytes: lease.length(),
                asked_bytes: request.block_length,
            });
        }
        if request.read_type == ReadType::CachePromote && lease.tier() > 0 {
            self.promote_later(request.block);
        }
        self.metrics.reads_cached.inc();
        self.metrics.read_cached_bytes.inc_by(request.range.len());
        let in_memory = lease.medium().0.eq_ignore_ascii_case("MEM");
        Ok(ReadAnswer::Block(Arc::new(Held { lease, in_memory })))
    }

    /// The block is on its way.
    fn join(
        self: &Arc<Self>,
        reader: FillReader,
        request: ReadRequest,
    ) -> Result<ReadAnswer, WorkerError> {
        let readable = reader.progress().state().readable_bytes();
        let wanted = Wanted::of(&request, &self.address);
        if request.range.start > readable.saturating_add(SKIP_AHEAD_BYTES) && wanted.check().is_ok()
        {
            return Ok(self.direct(wanted, &request));
        }
        let flight = self.fetcher.flight(request.block);
        Ok(self.filling(Joined { reader, flight }, wanted, &request))
    }

    /// The block is not here. `None` when somebody was faster: look again.
    async fn miss(
        self: &Arc<Self>,
        request: &ReadRequest,
    ) -> Result<Option<ReadAnswer>, WorkerError> {
        let wanted = Wanted::of(request, &self.address);
        wanted.check()?;
        let whole = request.range.len() == request.block_length;
        let keep = request.read_type != ReadType::NoCache && (whole || request.cache_whole_block);
        if !keep {
            return Ok(Some(self.direct(wanted, request)));
        }
        let Some(slot) = self.fetcher.foreground_slot() else {
            self.metrics.cache_requests_rejected.inc();
            return Ok(Some(self.direct(wanted, request)));
        };
        let placement = match request.read_type {
            ReadType::CachePromote => Placement::TOP,
            ReadType::Cache | ReadType::NoCache => Placement::AnyTier,
        };
        match self.start_fill(wanted.clone(), placement, Some(slot)).await {
            Ok(joined) if request.range.start <= SKIP_AHEAD_BYTES => {
                if comes_soon(&joined.reader, request, &*self.host.clock).await {
                    return Ok(None);
                }
                Ok(Some(self.filling(joined, wanted, request)))
            }
            Ok(_) => Ok(Some(self.direct(wanted, request))),
            Err(error) if matches!(error.code(), Code::AlreadyExists | Code::Busy) => Ok(None),
            // No room, a full disk, a lost directory: the reader gets its bytes all the same.
            Err(error @ WorkerError::Store(_)) => {
                tracing::debug!(block = request.block.0, %error, "served without caching");
                self.metrics.fetch_failed(error.code());
                Ok(Some(self.direct(wanted, request)))
            }
            Err(error) => Err(error),
        }
    }

    fn direct(self: &Arc<Self>, wanted: Wanted, request: &ReadRequest) -> ReadAnswer {
        self.metrics.reads_uncached.inc();
        ReadAnswer::Stream(Box::new(DirectStream::new(self.clone(), wanted, request.range)))
    }

    fn filling(
        self: &Arc<Self>,
        joined: Joined,
        wanted: Wanted,
        request: &ReadRequest,
    ) -> ReadAnswer {
        self.metrics.reads_filling.inc();
        ReadAnswer::Stream(Box::new(FillStream::new(self.clone(), joined, wanted, request.range)))
    }
}

/// A lease as the data protocol wants it.
struct Held {
    lease: BlockLease,
    in_memory: bool,
}

#[async_trait]
impl HeldBlock for Held {
    fn length(&self) -> u64 {
        self.lease.length()
    }

    fn file(&self) -> &dyn DiskFile {
        self.lease.file()
    }

    fn in_memory(&self) -> bool {
        self.in_memory
    }

    async fn chunk_crcs(&self) -> Result<Arc<[u32]>, Refusal> {
        let lease = self.lease.clone();
        let crcs = blocking(move || lease.checksums()).await?.map_err(WorkerError::from)?;
        Ok(crcs.shared_crcs())
    }
}
