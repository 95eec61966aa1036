//! An etcd of one member on a simulated machine: its gRPC services over what it keeps. What it answered
//! to survives its crashes.

mod store;

/// etcd's messages, of which only those are here that a cluster sends.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
mod pb {
    tonic::include_proto!("etcdserverpb");
}

use alluxio_host::Host;
use pb::watch_request::RequestUnion;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{Store, bounds};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

/// The port of every etcd.
pub(super) const PORT: u16 = 2379;
/// How often leases are looked at.
const BEAT: Duration = Duration::from_millis(100);
/// Answers of a stream that wait for a slow connection.
const AHEAD: usize = 64;

/// What an etcd keeps. Clones share it.
#[derive(Clone)]
pub(super) struct SimEtcd(Arc<Mutex<Store>>);

impl SimEtcd {
    pub(super) fn new() -> Self {
        SimEtcd(Arc::new(Mutex::new(Store::new())))
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the primary's lease away, as after a stall of all its keep-alives.
    pub(super) fn lose_leader(&self) {
        self.store().revoke_of("/election/leader");
    }

    /// How often history was compacted.
    pub(super) fn compactions(&self) -> u64 {
        self.store().compactions
    }

    /// Serves for ever.
    pub(super) async fn serve(self, host: Host) {
        let port = host.net.listen("", PORT).await.expect("nobody else listens there");
        let metrics = alluxio_telemetry::Metrics::new("etcd");
        let metrics = alluxio_rpc::ServerMetrics::register("etcd", metrics.registry());
        let metrics = metrics.expect("a registry of its own");
        let routes = Routes::new(pb::kv_server::KvServer::new(self.clone()))
            .add_service(pb::watch_server::WatchServer::new(self.clone()))
            .add_service(pb::lease_server::LeaseServer::new(self.clone()));
        let _server = alluxio_rpc::serve(port, routes, metrics);
        loop {
            tokio::time::sleep(BEAT).await;
            self.store().pass(u64::try_from(BEAT.as_millis()).unwrap_or_default());
        }
    }
}

type Answered<T> = Result<Response<T>, Status>;
type Sent<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl pb::kv_server::Kv for SimEtcd {
    async fn range(&self, request: Request<pb::RangeRequest>) -> Answered<pb::RangeResponse> {
        Ok(Response::new(self.store().range(request.get_ref())))
    }

    async fn put(&self, request: Request<pb::PutRequest>) -> Answered<pb::PutResponse> {
        Ok(Response::new(self.store().put(request.get_ref())?))
    }

    async fn delete_range(
        &self,
        request: Request<pb::DeleteRangeRequest>,
    ) -> Answered<pb::DeleteRangeResponse> {
        Ok(Response::new(self.store().delete(request.get_ref())))
    }

    async fn txn(&self, request: Request<pb::TxnRequest>) -> Answered<pb::TxnResponse> {
        Ok(Response::new(self.store().txn(request.get_ref())?))
    }

    async fn compact(
        &self,
        request: Request<pb::CompactionRequest>,
    ) -> Answered<pb::CompactionResponse> {
        Ok(Response::new(self.store().compact(request.get_ref().revision)?))
    }
}

#[tonic::async_trait]
impl pb::lease_server::Lease for SimEtcd {
    async fn lease_grant(
        &self,
        request: Request<pb::LeaseGrantRequest>,
    ) -> Answered<pb::LeaseGrantResponse> {
        Ok(Response::new(self.store().grant(request.get_ref())))
    }

    async fn lease_revoke(
        &self,
        request: Request<pb::LeaseRevokeRequest>,
    ) -> Answered<pb::LeaseRevokeResponse> {
        Ok(Response::new(self.store().revoke(request.get_ref().id)?))
    }

    type LeaseKeepAliveStream = Sent<pb::LeaseKeepAliveResponse>;

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<pb::LeaseKeepAliveRequest>>,
    ) -> Answered<Self::LeaseKeepAliveStream> {
        let etcd = self.clone();
        let answers = request.into_inner().map(move |asked| {
            let id = asked?.id;
            let mut store = etcd.store();
            let ttl = store.keep_alive(id);
            Ok(pb::LeaseKeepAliveResponse { header: store.header(), id, ttl })
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

#[tonic::async_trait]
impl pb::watch_server::Watch for SimEtcd {
    type WatchStream = Sent<pb::WatchResponse>;

    async fn watch(
        &self,
        request: Request<Streaming<pb::WatchRequest>>,
    ) -> Answered<Self::WatchStream> {
        let mut asked = request.into_inner();
        let (answers, stream) = mpsc::channel(AHEAD);
        let etcd = self.clone();
        tokio::spawn(async move {
            let mut last = 0;
            while let Some(Ok(message)) = asked.next().await {
                if let Some(RequestUnion::CreateRequest(wanted)) = message.request_union {
                    last += 1;
                    tokio::spawn(etcd.clone().tell(last, wanted, answers.clone()));
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

impl SimEtcd {
    /// Tells the events of a range as they come, until nobody listens or history is gone.
    async fn tell(
        self,
        watch_id: i64,
        wanted: pb::WatchCreateRequest,
        answers: mpsc::Sender<Result<pb::WatchResponse, Status>>,
    ) {
        let range = bounds(&wanted.key, &wanted.range_end);
        let (mut news, mut next, header) = {
            let store = self.store();
            let now = store.revision() + 1;
            let from = if wanted.start_revision == 0 { now } else { wanted.start_revision };
            (store.news(), from, store.header())
        };
        let created = pb::WatchResponse { header, watch_id, created: true, ..Default::default() };
        if answers.send(Ok(created)).await.is_err() {
            return;
        }
        loop {
            news.mark_unchanged();
            let (header, told, events) = {
                let store = self.store();
                (store.header(), store.revision(), store.events(&range, next))
            };
            if events.is_ok() {
                next = next.max(told + 1);
            }
            let message = match events {
                Ok(events) if events.is_empty() => None,
                Ok(events) => {
                    Some(pb::WatchResponse { header, watch_id, events, ..Default::default() })
                }
                Err(compact_revision) => Some(pb::WatchResponse {
                    header,
                    watch_id,
                    canceled: true,
                    compact_revision,
                    ..Default::default()
                }),
            };
            if let Some(message) = message {
                let over = message.canceled;
                if answers.send(Ok(message)).await.is_err() || over {
                    return;
                }
            }
            tokio::select! {
                biased;
                () = answers.closed() => return,
                changed = news.changed() => if changed.is_err() { return },
            }
        }
    }
}
