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
    async fn read(&self, peer: &Peer, mut request: ReadRequest) -> Result<ReadAnswer, Refusal> {
        if let Some(token) = self.core.token(peer).await? {
            token.allows_read(&peer.user, &request)?;
            // No token says that a worker is one: bytes that will be served to others come from the UFS.
            request.passive_source = None;
        }
        Ok(self.core.read(request).await?)
    }

    async fn open_session(&self, peer: &Peer) -> Result<Box<dyn WriteSession>, Refusal> {
        let token = self.core.token(peer).await?;
        let grant = token.map(|token| (token, peer.user.clone()));
        Ok(Box::new(write::Session::new(self.core.clone(), grant)))
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
