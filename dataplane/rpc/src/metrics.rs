//! One counter and one histogram for every request that a server answers.

use alluxio_proto::status::CODE_KEY;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::Instant;
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service};

/// Handles of one server's request metrics.
#[derive(Clone)]
pub struct ServerMetrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
}

impl ServerMetrics {
    /// Registers `alluxio_<role>_rpc_requests_total{op,code}` and
    /// `alluxio_<role>_rpc_duration_seconds{op}`.
    ///
    /// **Errors**: when they are registered already.
    pub fn register(role: &str, registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = IntCounterVec::new(
            Opts::new(format!("alluxio_{role}_rpc_requests_total"), "Calls answered, by outcome"),
            &["op", "code"],
        )?;
        let seconds = HistogramVec::new(
            HistogramOpts::new(
                format!("alluxio_{role}_rpc_duration_seconds"),
                "Time from the request's headers to the reply's headers",
            )
            .buckets(prometheus::exponential_buckets(50e-6, 4.0, 10)?),
            &["op"],
        )?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        Ok(ServerMetrics { requests, seconds })
    }
}

impl<S> Layer<S> for ServerMetrics {
    type Service = Measured<S>;

    fn layer(&self, inner: S) -> Measured<S> {
        Measured { inner, metrics: self.clone() }
    }
}

/// A service whose calls are counted.
#[derive(Clone)]
pub struct Measured<S> {
    inner: S,
    metrics: ServerMetrics,
}

impl<S, A, B> Service<Request<A>> for Measured<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    B: 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let started = Instant::now();
        let op = op_name(request.uri().path());
        let metrics = self.metrics.clone();
        let call = self.inner.call(request);
        Box::pin(async move {
            let result = call.await;
            let code = match &result {
                Ok(response) => code_name(response),
                Err(_) => "INTERNAL",
            };
            metrics.requests.with_label_values(&[op, code]).inc();
            metrics.seconds.with_label_values(&[op]).observe(started.elapsed().as_secs_f64());
            result
        })
    }
}

/// The method's name if it is one of ours: a stranger cannot make new label values.
fn op_name(path: &str) -> &'static str {
    const OPS: [&str; 35] = [
        "GetStatus",
        "GetStatuses",
        "ListStatus",
        "CreateFile",
        "CompleteFile",
        "CreateDirectory",
        "Delete",
        "Rename",
        "SetAttributes",
        "CheckAccess",
        "Free",
        "LoadMetadata",
        "CompletePersist",
        "Mount",
        "UpdateMount",
        "Unmount",
        "GetMountTable",
        "GetWorkers",
        "GetBlockInfo",
        "RegisterWorker",
        "Heartbeat",
        "GetMount",
        "GetMasterInfo",
        "Checkpoint",
        "GetConfiguration",
        "Backup",
        "GetBackupStatus",
        "Transfer",
        "GetQuorum",
        "WatchPrimary",
        "GetMetrics",
        "Join",
        "FetchCheckpoint",
        "Cache",
        "Persist",
    ];
    let method = path.rsplit('/').next().unwrap_or("");
    OPS.into_iter().find(|op| *op == method).unwrap_or("other")
}

fn code_name<B>(response: &Response<B>) -> &'static str {
    let headers = response.headers();
    if let Some(code) = headers.get(CODE_KEY).and_then(|value| value.to_str().ok()) {
        return alluxio_types::Code::from_name(code).map_or("INTERNAL", |code| code.name());
    }
    match headers.get("grpc-status") {
        // Replies with a body carry their status in trailers: it was answered.
        None => "OK",
        Some(status) if status == "0" => "OK",
        Some(_) => "REFUSED",
    }
}
