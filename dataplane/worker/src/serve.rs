//! What clients ask: reads and write sessions by the data protocol, control by gRPC.

pub(crate) mod admin;
mod read;
mod soon;
mod stream;
pub(crate) mod write;

use crate::core::{Core, blocking};
use alluxio_blockstore::Lookup;
use alluxio_datapath::{DataService, Peer, ReadAnswer, ReadRequest, Refusal, WriteSession};
use alluxio_types::BlockId;
use async_trait::async_trait;
use std::sync::Arc;

/// The data protocol's requests, answered by one worker.
pub(crate) struct Service {
    pub(crate) core: Arc<Core>,
}

#[async_trait]
impl DataService for Service {
    async fn read(&self, _peer: &Peer, request: ReadRequest) -> Result<ReadAnswer, Refusal> {
        Ok(self.core.read(request).await?)
    }

    async fn open_session(&self, _peer: &Peer) -> Result<Box<dyn WriteSession>, Refusal> {
        Ok(Box::new(write::Session::new(self.core.clone())))
    }

    async fn report_corrupt(&self, peer: &Peer, block: BlockId, offset: u64) {
        let Ok(found) = self.core.store.lookup(block) else { return };
        let checked = match found {
            Lookup::Committed(lease) => blocking(move || lease.verify()).await,
            Lookup::Unverified(lease) => blocking(move || lease.verify().map(drop)).await,
            Lookup::Absent | Lookup::Filling(_) => return,
        };
        match checked {
            Ok(Ok(())) => {
                let from = &peer.address;
                tracing::warn!(
                    block = block.0,
                    offset,
                    from,
                    "a reader saw bad bytes, the block is good"
                );
            }
            Ok(Err(error)) => {
                tracing::warn!(block = block.0, offset, %error, "a reader saw bad bytes");
                self.core.news.notify_one();
            }
            Err(_) => {}
        }
    }
}
