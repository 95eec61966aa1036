//! Where the bytes of the current block go.

use super::{FileWriter, Link};
use crate::error::ClientError;
use alluxio_datapath::DATA_BYTES_MAX;
use alluxio_datapath::checksum::ChunkSums;
use alluxio_datapath::client::{OpenedForWrite, lies_in_memory};
use alluxio_datapath::message::{OpenBlock, Targets};
use alluxio_types::BlockRange;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

/// Bytes that are summed and written at a time: they are still in the processor's cache for the
/// second of the two.
const PIECE_BYTES: usize = 256 * 1024;

/// Bytes written through a descriptor after which the worker is told to feed the UFS from them.
const UFS_STEP_BYTES: u64 = 8 << 20;

const BLOCK_ONLY: Targets = Targets { block: true, ufs: false };
const UFS_ONLY: Targets = Targets { block: false, ufs: true };
const BOTH: Targets = Targets { block: true, ufs: true };

/// The way of the current block.
pub(super) enum Sink {
    /// No worker was asked yet.
    Undecided,
    /// Into the temporary block itself.
    File(Box<FileSink>),
    /// By data frames; `sent` bytes of the block are on their way.
    Frames { sent: u64 },
    /// To the UFS only: the write type, or caching has failed.
    UfsOnly,
}

/// A temporary block that is written through its descriptor.
pub(super) struct FileSink {
    file: File,
    granted: u64,
    length: u64,
    /// Bytes that the UFS file was fed from.
    fed: u64,
    sums: ChunkSums,
    in_memory: bool,
}

impl FileSink {
    fn new(file: File, granted: u64) -> Self {
        let in_memory = lies_in_memory(file.as_fd());
        FileSink { file, granted, length: 0, fed: 0, sums: ChunkSums::new(), in_memory }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(PIECE_BYTES) {
            self.sums.update(piece);
            self.file.write_all_at(piece, self.length)?;
            self.length += piece.len() as u64;
        }
        Ok(())
    }
}

impl FileWriter {
    /// Opens the current block on a worker, with `reserve` bytes set aside.
    pub(super) async fn open_block(&mut self, reserve: u64) -> Result<(), ClientError> {
        let through = self.write_type.is_through();
        self.ruled_out.clear();
        if through {
            self.ensure_ufs().await?;
        }
        let request = OpenBlock {
            block: self.status.id.block(self.index),
            reserve_bytes: reserve,
            tier: self.tier,
            want_fd: self.inner.config.short_circuit,
            pinned: self.status.pinned,
        };
        let mut last = None;
        loop {
            if !through && let Err(error) = self.move_to_chosen(reserve).await {
                // Nobody is left: the words of the last one who was asked say more.
                return Err(last.map_or(error, |reason: String| self.cache_failed(reason)));
            }
            let Some(link) = self.link.as_mut() else {
                return Err(ClientError::NoWorker { purpose: "writing a block" });
            };
            match link.session.open_block(request.clone()).await {
                Ok(OpenedForWrite { granted_bytes, file }) => {
                    self.sink = match file {
                        Some(file) => Sink::File(Box::new(FileSink::new(file, granted_bytes))),
                        None => Sink::Frames { sent: 0 },
                    };
                    return Ok(());
                }
                Err(error) if through && matches!(error, alluxio_datapath::Error::Refused(_)) => {
                    return self.stop_caching(&error);
                }
                Err(error) if through => return Err(self.write_failed(error)),
                Err(error) => {
                    tracing::debug!(worker = %link.worker, %error, "no room for a block here");
                    self.ruled_out.insert(link.worker);
                    last = Some(error.to_string());
                    self.link = None;
                }
            }
        }
    }

    /// Moves the session to the worker that the policy chooses for this block.
    async fn move_to_chosen(&mut self, bytes: u64) -> Result<(), ClientError> {
        loop {
            let (worker, address) = self.choose_worker(bytes).await?;
            match self.link.take() {
                Some(link) if link.worker == worker => {
                    self.link = Some(link);
                    return Ok(());
                }
                // Its blocks are committed; how it ends does not matter.
                Some(link) => drop(link.session.end().await),
                None => {}
            }
            match self.inner.session_on(self.status.id, worker, &address).await {
                Ok(session) => {
                    self.link = Some(Link { worker, session, ufs_open: false, ufs_sent: 0 });
                    return Ok(());
                }
                Err(error) => {
                    tracing::debug!(%worker, %error, "cannot write to a worker, trying another");
                    self.ruled_out.insert(worker);
                }
            }
        }
    }

    /// Puts bytes into the sink of the current block.
    pub(super) async fn put(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        match &mut self.sink {
            Sink::File(file) if file.in_memory => self.write_file(bytes).await,
            Sink::UfsOnly if self.link.as_ref().is_none_or(|link| !link.ufs_open) => {
                self.ensure_ufs().await?;
                self.buffer(bytes).await
            }
            _ => self.buffer(bytes).await,
        }
    }

    /// Collects bytes to frames, or to writes, of full size.
    async fn buffer(&mut self, mut bytes: &[u8]) -> Result<(), ClientError> {
        while !bytes.is_empty() {
            let room = DATA_BYTES_MAX - self.pending.len();
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.pending.extend_from_slice(now);
            bytes = later;
            if self.pending.len() == DATA_BYTES_MAX {
                self.send_pending().await?;
            }
        }
        Ok(())
    }

    /// Sends what was collected.
    pub(super) async fn send_pending(&mut self) -> Result<(), ClientError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut bytes = std::mem::take(&mut self.pending);
        let outcome = match &self.sink {
            Sink::File(_) => self.write_file(&bytes).await,
            _ => self.send_frames(&bytes).await,
        };
        // The buffer is used again.
        bytes.clear();
        self.pending = bytes;
        outcome
    }

    async fn send_frames(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        let through = self.write_type.is_through();
        let Some(link) = self.link.as_mut() else {
            return Err(ClientError::NoWorker { purpose: "writing a block" });
        };
        if let Some(refusal) = link.session.ufs_failure() {
            let source = alluxio_datapath::Error::Refused(refusal.clone());
            return Err(self.write_failed(source));
        }
        if let Sink::Frames { .. } = self.sink
            && let Some(refusal) = link.session.block_failure()
        {
            let error = alluxio_datapath::Error::Refused(refusal.clone());
            if !through {
                return Err(self.cache_failed(error));
            }
            link.session.abort_block().await.map_err(|source| ClientError::WriteFailed {
                path: self.status.path.clone(),
                source,
            })?;
            self.stop_caching(&error)?;
        }
        let Some(link) = self.link.as_mut() else {
            return Err(ClientError::NoWorker { purpose: "writing a block" });
        };
        let length = bytes.len() as u64;
        let sent = match &mut self.sink {
            Sink::Frames { sent } => {
                let targets = if through { BOTH } else { BLOCK_ONLY };
                let outcome = link.session.data(targets, *sent, bytes).await;
                *sent += length;
                outcome
            }
            _ => link.session.data(UFS_ONLY, link.ufs_sent, bytes).await,
        };
        if through {
            link.ufs_sent += length;
        }
        sent.map_err(|source| self.write_failed(source))
    }

    /// Writes into the temporary block; grows it first when needed.
    async fn write_file(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        let Sink::File(file) = &mut self.sink else { return self.send_frames(bytes).await };
        let before = file.length;
        let needed = before + bytes.len() as u64;
        if needed > file.granted {
            let Some(link) = self.link.as_mut() else {
                return Err(ClientError::NoWorker { purpose: "writing a block" });
            };
            // Doubling keeps the count of requests small; the block's size is the most it can be.
            let target = (file.granted * 2).clamp(needed, self.status.block_size_bytes.max(needed));
            match link.session.grow(target - file.granted).await {
                Ok(granted) if granted >= needed => file.granted = granted,
                Ok(_) => {
                    let reason = "the worker set aside too little";
                    return self.file_failed(reason, bytes, before).await;
                }
                Err(error) => return self.file_failed(&error.to_string(), bytes, before).await,
            }
        }
        let Sink::File(file) = &mut self.sink else { return Ok(()) };
        let written =
            if file.in_memory { file.write(bytes) } else { self.write_on_thread(bytes).await };
        if let Err(error) = written {
            return self.file_failed(&error.to_string(), bytes, before).await;
        }
        self.feed_ufs(UFS_STEP_BYTES).await
    }

    /// Writes on a thread that may wait for the device.
    async fn write_on_thread(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Sink::File(mut file) = std::mem::replace(&mut self.sink, Sink::Undecided) else {
            return Err(io::Error::other("no block is open"));
        };
        let bytes = bytes.to_vec();
        let task = tokio::task::spawn_blocking(move || {
            let written = file.write(&bytes);
            (file, written)
        });
        let (file, written) = task.await.map_err(io::Error::other)?;
        self.sink = Sink::File(file);
        written
    }

    /// Lets the worker feed the UFS file once `at_least` bytes wait in the block.
    async fn feed_ufs(&mut self, at_least: u64) -> Result<(), ClientError> {
        let (Sink::File(file), true) = (&mut self.sink, self.write_type.is_through()) else {
            return Ok(());
        };
        let range = BlockRange { start: file.fed, end: file.length };
        if range.is_empty() || range.len() < at_least {
            return Ok(());
        }
        let Some(link) = self.link.as_mut() else { return Ok(()) };
        let block = self.status.id.block(self.index);
        let fed = link.session.ufs_append_from_block(block, range).await;
        file.fed = file.length;
        link.ufs_sent += range.len();
        fed.map_err(|source| self.write_failed(source))
    }

    /// The temporary block takes no more. Through types go on with the UFS: first with what is in
    /// the block and was not fed, then with what is left of `bytes`, of which the first was to lie
    /// at `before` in the block.
    async fn file_failed(
        &mut self,
        reason: &str,
        bytes: &[u8],
        before: u64,
    ) -> Result<(), ClientError> {
        let Sink::File(file) = std::mem::replace(&mut self.sink, Sink::UfsOnly) else {
            return Err(self.cache_failed(reason));
        };
        if !self.write_type.is_through() {
            return Err(self.cache_failed(reason));
        }
        tracing::debug!(path = %self.status.path, reason, "caching ends, the UFS goes on");
        let mut left = vec![0; (file.length - file.fed) as usize];
        // What was written can be read back, unless the device itself is broken.
        file.file.read_exact_at(&mut left, file.fed).map_err(|error| self.cache_failed(error))?;
        let Some(link) = self.link.as_mut() else {
            return Err(ClientError::NoWorker { purpose: "writing through to the UFS" });
        };
        let aborted = link.session.abort_block().await;
        aborted.map_err(|source| self.write_failed(source))?;
        self.send_frames(&left).await?;
        self.send_frames(&bytes[(file.length - before) as usize..]).await
    }

    /// Gives up caching this file; the UFS goes on.
    fn stop_caching(&mut self, error: &alluxio_datapath::Error) -> Result<(), ClientError> {
        tracing::debug!(path = %self.status.path, %error, "caching ends, the UFS goes on");
        self.sink = Sink::UfsOnly;
        Ok(())
    }

    /// Commits the current block, whose bytes were all put.
    pub(super) async fn commit_block(&mut self, length: u64) -> Result<(), ClientError> {
        self.feed_ufs(0).await?;
        let next = if matches!(self.sink, Sink::UfsOnly) { Sink::UfsOnly } else { Sink::Undecided };
        let (sum, through) =
            (std::mem::replace(&mut self.sink, next), self.write_type.is_through());
        let chunk_crcs = match sum {
            Sink::UfsOnly | Sink::Undecided => return Ok(()),
            Sink::File(file) => file.sums.finish(),
            Sink::Frames { .. } => Vec::new(),
        };
        let Some(link) = self.link.as_mut() else {
            return Err(ClientError::NoWorker { purpose: "writing a block" });
        };
        match link.session.commit_block(length, chunk_crcs).await {
            Ok(()) => {
                self.blocks.push((self.index, link.worker));
                Ok(())
            }
            Err(error) if through && matches!(error, alluxio_datapath::Error::Refused(_)) => {
                self.stop_caching(&error)
            }
            Err(error) if through => Err(self.write_failed(error)),
            Err(error) => Err(self.cache_failed(error)),
        }
    }
}
