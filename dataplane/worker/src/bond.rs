//! A worker that serves nobody: its storage and its bond with the master, the real ones.

use crate::core::Core;
use crate::error::{StartError, Stopped, WorkerError};
use crate::start::{Deps, REGISTERED, assemble, ended, open_store, start_tasks};
use alluxio_blockstore::{BlockStore, ChunkCrcs, Placement};
use alluxio_telemetry::Readiness;
use alluxio_types::{BlockId, WorkerAddress, WorkerId};
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::DropGuard;

/// A worker's storage and its bond with the master, and nothing that serves: what a simulation has of a
/// worker, whose network carries no data protocol (its point is to pass descriptors). Dropping it ends
/// its tasks.
pub struct Bond {
    core: Arc<Core>,
    stopped: watch::Receiver<Option<Stopped>>,
    _ending: DropGuard,
}

impl Bond {
    /// Opens the storage and begins to look for a master. `address` is told to it.
    ///
    /// **Errors**: see [`StartError`].
    pub async fn start(deps: Deps, address: WorkerAddress) -> Result<Bond, StartError> {
        let store = open_store(&deps.host, &deps.config).await?;
        let (core, master) = assemble(deps, store, address)?;
        let readiness = Readiness::waiting_for(&[REGISTERED]);
        let stopped = start_tasks(&core, master, &readiness);
        let _ending = core.stopping.clone().drop_guard();
        Ok(Bond { core, stopped, _ending })
    }

    /// Its id.
    pub fn worker_id(&self) -> WorkerId {
        self.core.store.identity().worker
    }

    /// Its storage.
    pub fn store(&self) -> &BlockStore {
        &self.core.store
    }

    /// Writes a block whole, as a session of the data protocol does for a client; the master hears of it
    /// soon.
    ///
    /// **Errors**: what the storage says; nothing is left of the block then.
    pub async fn write(&self, block: BlockId, bytes: Vec<u8>) -> Result<(), WorkerError> {
        let store = self.core.store.clone();
        self.core.kept.written(&store, block.inode());
        let written = self.core.host.blocking(move || {
            let length = bytes.len() as u64;
            let temp = store.create(block, length, Placement::Tier(0))?;
            temp.write_at(&bytes, 0)?;
            temp.advance(length);
            temp.commit(length, &ChunkCrcs::of(&bytes)).map(drop)
        });
        written.await.map_err(|_| WorkerError::Stopping)??;
        self.core.news.notify_one();
        Ok(())
    }

    /// Returns when the worker cannot go on by itself, and why.
    ///
    /// **Cancel safety**: yes.
    pub async fn wait(&self) -> Stopped {
        ended(&mut self.stopped.clone()).await
    }
}
