//! Writing a complete file to the UFS, from the blocks of this worker and of others.

use crate::core::{Core, blocking};
use crate::error::WorkerError;
use crate::serve::write::{finish_upload, open_upload};
use crate::source::{Source, Wanted};
use alluxio_blockstore::{BlockLease, Lookup};
use alluxio_datapath::{OpenUfs, UfsDone};
use alluxio_proto::convert::worker::{Persist, PersistBlock};
use alluxio_types::BlockRange;
use alluxio_ufs::UfsWriter;
use std::sync::Arc;

/// Bytes read from a block here at a time.
const READ_BYTES: u64 = 1 << 20;

impl Core {
    /// Writes the file and says what is there then. Nothing is visible under its name before all
    /// bytes are there.
    ///
    /// **Cancel safety**: dropping it leaves no file.
    pub(crate) async fn persist(self: &Arc<Self>, file: Persist) -> Result<UfsDone, WorkerError> {
        let request = OpenUfs {
            mount: file.mount,
            ufs_path: file.ufs_path,
            overwrite: file.overwrite,
            owner: file.owner,
            group: file.group,
            mode: file.mode,
        };
        let mut writer = open_upload(self, &request).await?;
        let mut sent = 0;
        for block in &file.blocks {
            if let Err(error) = self.send_block(&mut *writer, block).await {
                // The first failure is what the caller must hear.
                let _ = writer.abort().await;
                return Err(error);
            }
            sent += block.length;
        }
        self.metrics.files_persisted.inc();
        let length = file.blocks.iter().map(|block| block.length).sum();
        finish_upload(request.ufs_path, writer, sent, length).await
    }

    async fn send_block(
        self: &Arc<Self>,
        writer: &mut dyn UfsWriter,
        block: &PersistBlock,
    ) -> Result<(), WorkerError> {
        match self.store.lookup(block.block)? {
            Lookup::Committed(lease) => self.send_stored(writer, lease, block.length).await,
            Lookup::Unverified(lease) => {
                let lease = blocking(move || lease.verify()).await??;
                self.send_stored(writer, lease, block.length).await
            }
            Lookup::Absent | Lookup::Filling(_) => self.send_remote(writer, block).await,
        }
    }

    async fn send_stored(
        &self,
        writer: &mut dyn UfsWriter,
        lease: BlockLease,
        length: u64,
    ) -> Result<(), WorkerError> {
        if lease.length() != length {
            let (block, here_bytes) = (lease.block(), lease.length());
            return Err(WorkerError::OtherLength { block, here_bytes, asked_bytes: length });
        }
        let mut at = 0;
        while at < length {
            let size = READ_BYTES.min(length - at);
            let from = lease.clone();
            let bytes = blocking(move || {
                let mut bytes = vec![0; size as usize];
                from.read_verified(&mut bytes, at).map(|()| bytes)
            })
            .await??;
            writer.write(bytes.into()).await?;
            self.metrics.uploaded_bytes.inc_by(size);
            at += size;
        }
        Ok(())
    }

    async fn send_remote(
        self: &Arc<Self>,
        writer: &mut dyn UfsWriter,
        block: &PersistBlock,
    ) -> Result<(), WorkerError> {
        let own = &self.address;
        let wanted = Wanted {
            block: block.block,
            length: block.length,
            peers: block.locations.iter().filter(|peer| *peer != own).cloned().collect(),
            ufs: None,
        };
        wanted.check()?;
        let range = BlockRange { start: 0, end: block.length };
        let mut source = Source::new(self.clone(), wanted, range);
        while let Some(bytes) = source.next().await? {
            let size = bytes.len() as u64;
            writer.write(bytes).await?;
            self.metrics.uploaded_bytes.inc_by(size);
        }
        Ok(())
    }
}
