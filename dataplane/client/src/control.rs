//! Calls to the control service of workers.

use crate::error::ClientError;
use alluxio_host::Net;
use alluxio_proto::convert::worker::{BlockFailure, CacheBlock, Persist};
use alluxio_proto::v1::worker::worker_client::WorkerClient;
use alluxio_proto::v1::worker::{CacheRequest, PersistRequest};
use alluxio_rpc::primary::CallerChannel;
use alluxio_rpc::{Caller, HostPort, MESSAGE_BYTES_MAX, Peers, RpcError};
use alluxio_types::{Fingerprint, WorkerAddress};
use std::sync::Arc;
use tonic::Status;

/// The workers, in our words. No call is repeated: who is asked next is the caller's to say.
pub(crate) struct Control {
    peers: Peers,
}

impl Control {
    pub(crate) fn new(net: Arc<dyn Net>, caller: Caller) -> Self {
        Control { peers: Peers::new(net, caller) }
    }

    fn client(&self, worker: &WorkerAddress) -> Result<WorkerClient<CallerChannel>, ClientError> {
        let address = HostPort { host: worker.host.clone(), port: worker.rpc_port };
        let channel = self.peers.channel(&address)?;
        Ok(WorkerClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX))
    }

    /// Brings blocks into a worker's cache; returns what could not be brought.
    pub(crate) async fn cache(
        &self,
        worker: &WorkerAddress,
        blocks: &[CacheBlock],
    ) -> Result<Vec<BlockFailure>, ClientError> {
        let blocks = blocks.iter().map(Into::into).collect();
        let request = CacheRequest { blocks, promote: false };
        let response = self.client(worker)?.cache(request).await.map_err(refused)?;
        Ok(response.into_inner().failures.into_iter().map(Into::into).collect())
    }

    /// Lets a worker write a file to the UFS; returns its version there.
    pub(crate) async fn persist(
        &self,
        worker: &WorkerAddress,
        file: &Persist,
    ) -> Result<Fingerprint, ClientError> {
        let request = PersistRequest::from(file);
        let response = self.client(worker)?.persist(request).await.map_err(refused)?;
        Ok(Fingerprint(response.into_inner().fingerprint))
    }
}

fn refused(status: Status) -> ClientError {
    RpcError::from_status(&status).into()
}
