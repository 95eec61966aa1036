//! Who lost the election writes nothing more.
//!
//! A layer under the client of Kubernetes: it lets reads pass, and a write only while this process holds the lease by
//! its own clock, counted from before the last renewal was sent. A process that was stopped for longer than
//! the lease lasts (a paused machine, SIGSTOP) therefore writes nothing when it goes on, though it does not know
//! yet that another one leads. Between the check and the network lie no waits, only instructions.

use crate::metrics::OperatorMetrics;
use futures::future::Either;
use http::{Method, Request, Response};
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tower::{BoxError, Layer, Service};

/// Until when this process may write. Cloning is cheap and shares it.
#[derive(Clone)]
pub struct Fence {
    start: Instant,
    /// Milliseconds from `start`; 0: not at all.
    until: Arc<AtomicU64>,
}

/// A write of a process that does not lead.
#[derive(Debug, thiserror::Error)]
#[error("{method} {path} is not sent: this operator does not hold the lease")]
pub struct Fenced {
    method: Method,
    path: String,
}

impl Default for Fence {
    fn default() -> Self {
        Fence { start: Instant::now(), until: Arc::default() }
    }
}

impl Fence {
    /// Closed, until [`Fence::open_until`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes may be sent until then.
    pub fn open_until(&self, until: Instant) {
        let millis = until.saturating_duration_since(self.start).as_millis();
        self.until.store(u64::try_from(millis).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// No lease is needed: one operator, without an election.
    pub fn open(&self) {
        self.until.store(u64::MAX, Ordering::SeqCst);
    }

    /// Nothing is written from now on.
    pub fn close(&self) {
        self.until.store(0, Ordering::SeqCst);
    }

    /// Whether a write may be sent at `now`.
    pub fn is_open(&self, now: Instant) -> bool {
        let now = now.saturating_duration_since(self.start);
        now < Duration::from_millis(self.until.load(Ordering::SeqCst))
    }
}

/// The layer.
#[derive(Clone)]
pub struct FenceLayer {
    fence: Fence,
    metrics: OperatorMetrics,
}

impl FenceLayer {
    /// Requests are counted in `metrics`, by verb and answer.
    pub fn new(fence: Fence, metrics: OperatorMetrics) -> Self {
        FenceLayer { fence, metrics }
    }
}

impl<S> Layer<S> for FenceLayer {
    type Service = FenceService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        FenceService { inner, layer: self.clone() }
    }
}

/// The service of [`FenceLayer`].
#[derive(Clone)]
pub struct FenceService<S> {
    inner: S,
    layer: FenceLayer,
}

/// Whether a request passes without the lease: reads, and what the election itself writes.
fn is_free<B>(request: &Request<B>) -> bool {
    let path = request.uri().path();
    *request.method() == Method::GET || path.starts_with("/apis/coordination.k8s.io/")
}

impl<S, B, R> Service<Request<B>> for FenceService<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = BoxError>,
    S::Future: Send + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Either<
        Ready<Result<Response<R>, BoxError>>,
        futures::future::BoxFuture<'static, Result<Response<R>, BoxError>>,
    >;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let verb = request.method().clone();
        if !is_free(&request) && !self.layer.fence.is_open(Instant::now()) {
            self.layer.metrics.requested(&verb, 0);
            let path = request.uri().path().to_owned();
            return Either::Left(ready(Err(Fenced { method: verb, path }.into())));
        }
        let metrics = self.layer.metrics.clone();
        let answer = self.inner.call(request);
        Either::Right(Box::pin(async move {
            let answer = answer.await;
            metrics.requested(&verb, answer.as_ref().map_or(0, |answer| answer.status().as_u16()));
            answer
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use tower::ServiceExt;

    async fn send(fence: &Fence, method: Method, path: &str, sent: &Arc<AtomicUsize>) -> bool {
        let sent = sent.clone();
        let inner = tower::service_fn(move |_: Request<()>| {
            sent.fetch_add(1, Ordering::SeqCst);
            ready(Ok::<_, BoxError>(Response::new(())))
        });
        let layer = FenceLayer::new(fence.clone(), OperatorMetrics::noop());
        let request = Request::builder().method(method).uri(path).body(()).unwrap();
        layer.layer(inner).oneshot(request).await.is_ok()
    }

    #[tokio::test]
    async fn without_the_lease_only_reads_and_the_election_pass() {
        let fence = Fence::new();
        let sent = Arc::new(AtomicUsize::new(0));
        let lease = "/apis/coordination.k8s.io/v1/namespaces/a/leases/b";
        assert!(send(&fence, Method::GET, "/api/v1/pods", &sent).await);
        assert!(send(&fence, Method::PUT, lease, &sent).await);
        assert!(!send(&fence, Method::PATCH, "/api/v1/namespaces/a/pods/b", &sent).await);
        assert!(!send(&fence, Method::POST, "/api/v1/namespaces/a/events", &sent).await);
        assert!(!send(&fence, Method::DELETE, "/api/v1/namespaces/a/pods/b", &sent).await);
        assert_eq!(sent.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_lease_opens_it_for_its_time() {
        let fence = Fence::new();
        let sent = Arc::new(AtomicUsize::new(0));
        fence.open_until(Instant::now() + Duration::from_secs(3600));
        assert!(send(&fence, Method::PATCH, "/api/v1/namespaces/a/pods/b", &sent).await);
        fence.open_until(Instant::now());
        assert!(!send(&fence, Method::PATCH, "/api/v1/namespaces/a/pods/b", &sent).await);
        fence.open();
        assert!(fence.is_open(Instant::now() + Duration::from_secs(1 << 30)));
        fence.close();
        assert!(!fence.is_open(Instant::now()));
    }
}
