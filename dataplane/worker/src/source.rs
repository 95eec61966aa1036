//! Bytes of a block that is not here: from other workers while they have it, from the UFS
//! otherwise, going on at the same byte when one of them fails.
//!
//! A block id stands for one version of a file for ever, and the UFS is asked for the version that
//! the caller named, so bytes of several sources fit together.

use crate::core::Core;
use crate::error::WorkerError;
use alluxio_datapath::client::{Reading, RemoteStream, Target};
use alluxio_datapath::{ReadRequest, UfsSource};
use alluxio_types::{BlockId, BlockRange, ReadType, WorkerAddress};
use alluxio_ufs::ByteStream;
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use std::collections::VecDeque;
use std::sync::Arc;

/// A block and where its bytes can be had.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) block: BlockId,
    pub(crate) length: u64,
    /// Workers that may have it, tried first, in this order.
    pub(crate) peers: Vec<WorkerAddress>,
    pub(crate) ufs: Option<UfsSource>,
}

impl Wanted {
    /// What a reader asks for. A passive source that is this very worker is none.
    pub(crate) fn of(request: &ReadRequest, own: &WorkerAddress) -> Self {
        Wanted {
            block: request.block,
            length: request.block_length,
            peers: request.passive_source.iter().filter(|peer| *peer != own).cloned().collect(),
            ufs: request.source.clone(),
        }
    }

    /// Whether there is anywhere to ask, and the words make sense.
    ///
    /// **Errors**: `NoSource`, `BadSource`.
    pub(crate) fn check(&self) -> Result<(), WorkerError> {
        let Some(ufs) = &self.ufs else {
            let block = self.block;
            return if self.peers.is_empty() {
                Err(WorkerError::NoSource { block })
            } else {
                Ok(())
            };
        };
        match ufs.offset_in_file.checked_add(self.length) {
            Some(end) if end <= ufs.file_length => Ok(()),
            _ => Err(WorkerError::BadSource {
                block: self.block,
                length: self.length,
                offset: ufs.offset_in_file,
                file_length: ufs.file_length,
            }),
        }
    }
}

/// A range of a wanted block on its way here.
pub(crate) struct Source {
    core: Arc<Core>,
    wanted: Wanted,
    peers_left: VecDeque<WorkerAddress>,
    current: Option<Current>,
    position: u64,
    end: u64,
    used_ufs: bool,
}

enum Step {
    Bytes(Bytes),
    End,
    Again,
}

enum Current {
    Peer(Box<RemoteStream>, Target),
    Ufs(ByteStream),
}

impl Source {
    /// Nothing is asked before the first [`Source::next`].
    pub(crate) fn new(core: Arc<Core>, wanted: Wanted, range: BlockRange) -> Self {
        Source {
            core,
            peers_left: wanted.peers.iter().cloned().collect(),
            wanted,
            current: None,
            position: range.start,
            end: range.end,
            used_ufs: false,
        }
    }

    /// Whether bytes came from the UFS.
    pub(crate) fn used_ufs(&self) -> bool {
        self.used_ufs
    }

    /// The next bytes of the range; `None` at its end, and only when all bytes before are certain
    /// to be of the wanted version.
    ///
    /// **Cancel safety**: none; drop the source after a cancel.
    ///
    /// **Errors**: what the last source said; `Stale` when the UFS has another version.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, WorkerError> {
        loop {
            let outcome = match self.current.as_mut() {
                None if self.position == self.end => return Ok(None),
                None => {
                    self.open().await?;
                    continue;
                }
                Some(Current::Peer(stream, _)) => stream.next().await.map_err(WorkerError::from),
                Some(Current::Ufs(stream)) => stream.next().await.transpose().map_err(Into::into),
            };
            match self.settle(outcome)? {
                Step::Bytes(bytes) => return Ok(Some(bytes)),
                Step::End => return Ok(None),
                Step::Again => {}
            }
        }
    }

    /// The next bytes, when they have arrived already; `None` says nothing else.
    pub(crate) fn next_arrived(&mut self) -> Result<Option<Bytes>, WorkerError> {
        // Only a stream of the UFS may be polled and left alone.
        let Some(Current::Ufs(stream)) = self.current.as_mut() else { return Ok(None) };
        let Some(item) = stream.next().now_or_never() else { return Ok(None) };
        match self.settle(item.transpose().map_err(Into::into))? {
            Step::Bytes(bytes) => Ok(Some(bytes)),
            Step::End | Step::Again => Ok(None),
        }
    }

    fn settle(&mut self, outcome: Result<Option<Bytes>, WorkerError>) -> Result<Step, WorkerError> {
        match outcome {
            Ok(Some(bytes)) if bytes.is_empty() => Ok(Step::Again),
            Ok(Some(bytes)) => self.took(bytes).map(Step::Bytes),
            Ok(None) if self.position == self.end => {
                self.current = None;
                Ok(Step::End)
            }
            Ok(None) => {
                let what = format!("block {}", self.wanted.block);
                let (found_bytes, wanted_bytes) = (self.position, self.end);
                self.give_up(WorkerError::WrongLength { what, found_bytes, wanted_bytes })
            }
            Err(error) => self.give_up(error),
        }
    }

    fn took(&mut self, bytes: Bytes) -> Result<Bytes, WorkerError> {
        self.position += bytes.len() as u64;
        let metrics = &self.core.metrics;
        match self.current {
            Some(Current::Ufs(_)) => metrics.fetched_ufs_bytes.inc_by(bytes.len() as u64),
            _ => metrics.fetched_peer_bytes.inc_by(bytes.len() as u64),
        }
        if self.position > self.end {
            return Err(WorkerError::WrongLength {
                what: format!("block {}", self.wanted.block),
                found_bytes: self.position,
                wanted_bytes: self.end,
            });
        }
        Ok(bytes)
    }

    /// A worker that fails is passed over; the UFS is the last word.
    fn give_up(&mut self, error: WorkerError) -> Result<Step, WorkerError> {
        match self.current.take() {
            Some(Current::Peer(_, target)) if self.has_more() => {
                tracing::debug!(block = self.wanted.block.0, %target, %error, "trying the next source");
                Ok(Step::Again)
            }
            _ => Err(error),
        }
    }

    fn has_more(&self) -> bool {
        self.wanted.ufs.is_some() || !self.peers_left.is_empty()
    }

    async fn open(&mut self) -> Result<(), WorkerError> {
        let range = BlockRange { start: self.position, end: self.end };
        while let Some(peer) = self.peers_left.pop_front() {
            let target = Target::tcp(&peer);
            let token = self.core.tokens.as_ref().and_then(|tokens| {
                tokens.for_copy(&self.core, self.wanted.block, self.wanted.length)
            });
            let peers = self.core.peers.presenting(token);
            match peers.read(&target, self.peer_request(range)).await {
                Ok(Reading::Stream(stream)) => {
                    self.current = Some(Current::Peer(stream, target));
                    return Ok(());
                }
                // Never asked for; a descriptor of another machine cannot come.
                Ok(Reading::Local(_)) => {}
                Err(error) if self.has_more() => {
                    tracing::debug!(block = self.wanted.block.0, %target, %error, "trying the next source");
                }
                Err(error) => return Err(error.into()),
            }
        }
        let Some(source) = &self.wanted.ufs else {
            return Err(WorkerError::NoSource { block: self.wanted.block });
        };
        let mount = self.core.mounts.get(source.mount).await?;
        let offset = source.offset_in_file + range.start;
        let stream = mount
            .ufs
            .read_range(&source.ufs_path, offset, range.len(), &source.fingerprint)
            .await?;
        self.used_ufs = true;
        self.current = Some(Current::Ufs(stream));
        Ok(())
    }

    /// Asks a worker for what it has, and for nothing else: it neither caches nor fetches for us.
    fn peer_request(&self, range: BlockRange) -> ReadRequest {
        ReadRequest {
            block: self.wanted.block,
            block_length: self.wanted.length,
            range,
            want_fd: false,
            read_type: ReadType::NoCache,
            cache_whole_block: false,
            passive_source: None,
            source: None,
        }
    }
}

/// Makes sure that bytes just read from the UFS are of the wanted version, where the store itself
/// does not refuse to read another one.
///
/// **Errors**: `Stale`; what the UFS says.
pub(crate) async fn confirm(core: &Core, source: &UfsSource) -> Result<(), WorkerError> {
    let mount = core.mounts.get(source.mount).await?;
    if mount.ufs.capabilities().conditional_read || source.fingerprint.is_empty() {
        return Ok(());
    }
    let facts = mount.ufs.status(&source.ufs_path).await?;
    if facts.fingerprint == source.fingerprint {
        Ok(())
    } else {
        Err(WorkerError::Stale { ufs_path: source.ufs_path.clone() })
    }
}
