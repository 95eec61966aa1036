//! A master that knows nothing of files: it notes what workers say and answers as told.

use alluxio_proto::v1::block as pb;
use alluxio_proto::v1::block::block_master_worker_server::{
    BlockMasterWorker, BlockMasterWorkerServer,
};
use alluxio_types::{BlockId, Code, MountInfo};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};

#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) cluster_id: String,
    pub(crate) registrations: Vec<(pb::RegisterWorkerHello, usize)>,
    pub(crate) heartbeats: u64,
    pub(crate) session: u64,
    /// Where each block is, by the last word of its worker: worker id and tier.
    pub(crate) blocks: BTreeMap<BlockId, (u64, u32)>,
    pub(crate) tiers: Vec<alluxio_proto::v1::common::TierUsage>,
    pub(crate) pin_version_told: u64,
    pub(crate) replies: VecDeque<pb::HeartbeatResponse>,
    pub(crate) mounts: BTreeMap<u64, MountInfo>,
    pub(crate) mount_questions: u64,
    pub(crate) mount_version: u64,
    pub(crate) block_keys: Vec<pb::BlockKey>,
    pub(crate) key_questions: u64,
}

pub(crate) struct Master {
    notes: Mutex<Notes>,
    changed: watch::Sender<u64>,
}

impl Master {
    pub(crate) fn new(cluster_id: &str) -> Arc<Self> {
        let notes = Notes { cluster_id: cluster_id.into(), ..Notes::default() };
        Arc::new(Master { notes: Mutex::new(notes), changed: watch::Sender::new(0) })
    }

    pub(crate) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap()
    }

    /// Waits until what was noted satisfies `wanted`.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Notes) -> bool) {
        let mut changed = self.changed.subscribe();
        let wait = async {
            while !wanted(&self.notes()) {
                changed.changed().await.unwrap();
            }
        };
        let limit = std::time::Duration::from_secs(20);
        tokio::time::timeout(limit, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
    }

    fn note<T>(&self, change: impl FnOnce(&mut Notes) -> T) -> T {
        let value = change(&mut self.notes());
        self.changed.send_modify(|n| *n += 1);
        value
    }

    /// Serves on any free port, or on the one it had before. Dropping the handle ends it, with all
    /// its connections.
    pub(crate) async fn serve(self: &Arc<Self>, at: Option<SocketAddr>) -> Serving {
        let at = at.unwrap_or_else(|| "127.0.0.1:0".parse().unwrap());
        let listener = TcpListener::bind(at).await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = BlockMasterWorkerServer::new(Service(self.clone()));
        let server = tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener));
        let runtime = tokio::spawn(async move {
            let _ = server.await;
        });
        Serving { address, task: runtime }
    }
}

pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Service(Arc<Master>);

#[tonic::async_trait]
impl BlockMasterWorker for Service {
    async fn register_worker(
        &self,
        request: Request<Streaming<pb::RegisterWorkerRequest>>,
    ) -> Result<Response<pb::RegisterWorkerResponse>, Status> {
        let mut stream = request.into_inner();
        let (mut hello, mut blocks, mut messages) = (None, Vec::new(), 0);
        while let Some(message) = stream.message().await? {
            messages += 1;
            hello = hello.or(message.hello);
            blocks.extend(message.blocks);
        }
        let hello = hello.unwrap();
        self.0.note(|notes| {
            if !hello.cluster_id.is_empty() && hello.cluster_id != notes.cluster_id {
                let why = format!("this worker belongs to cluster {}", hello.cluster_id);
                return Err(alluxio_proto::status::status(Code::FailedPrecondition, why));
            }
            let worker = hello.worker_id;
            notes.blocks.retain(|_, (at, _)| *at != worker);
            for fact in blocks {
                notes.blocks.insert(BlockId(fact.id), (worker, fact.tier));
            }
            notes.tiers = hello.tiers.clone();
            notes.registrations.push((hello, messages));
            notes.session += 1;
            Ok(Response::new(pb::RegisterWorkerResponse {
                cluster_id: notes.cluster_id.clone(),
                session: notes.session,
                free_blocks: Vec::new(),
                block_keys: notes.block_keys.clone(),
            }))
        })
    }

    async fn get_block_keys(
        &self,
        _request: Request<pb::GetBlockKeysRequest>,
    ) -> Result<Response<pb::GetBlockKeysResponse>, Status> {
        Ok(Response::new(self.0.note(|notes| {
            notes.key_questions += 1;
            pb::GetBlockKeysResponse { keys: notes.block_keys.clone() }
        })))
    }

    async fn heartbeat(
        &self,
        request: Request<pb::HeartbeatRequest>,
    ) -> Result<Response<pb::HeartbeatResponse>, Status> {
        let request = request.into_inner();
        Ok(Response::new(self.0.note(|notes| {
            notes.heartbeats += 1;
            for fact in request.added {
                notes.blocks.insert(BlockId(fact.id), (request.worker_id, fact.tier));
            }
            for id in request.removed {
                notes.blocks.remove(&BlockId(id));
            }
            notes.tiers = request.tiers;
            notes.pin_version_told = request.pin_list_version;
            let mount_table_version = notes.mount_version;
            let reply = notes.replies.pop_front().unwrap_or_default();
            pb::HeartbeatResponse { mount_table_version, ..reply }
        })))
    }

    async fn get_mount(
        &self,
        request: Request<pb::GetMountRequest>,
    ) -> Result<Response<pb::GetMountResponse>, Status> {
        let id = request.into_inner().mount_id;
        self.0.note(|notes| {
            notes.mount_questions += 1;
            let Some(mount) = notes.mounts.get(&id) else {
                return Err(alluxio_proto::status::status(Code::NotFound, "no such mount"));
            };
            Ok(Response::new(pb::GetMountResponse {
                info: Some(mount.into()),
                mount_table_version: notes.mount_version,
            }))
        })
    }
}
