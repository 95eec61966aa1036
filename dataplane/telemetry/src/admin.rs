//! The HTTP server on a role's web port: metrics, health, log level, and whatever pages the role
//! adds.

use crate::{LogControl, Metrics, Readiness};
use alluxio_host::Net;
use alluxio_host::net::{Connection, Listener};
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use std::collections::HashMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// What the server shows.
#[derive(Clone)]
pub struct AdminServer {
    /// Metrics of the role.
    pub metrics: Metrics,
    /// Its health.
    pub readiness: Readiness,
    /// Its log.
    pub log: LogControl,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for metrics and health: {source}")]
pub struct AdminError {
    /// `host:port`.
    pub address: String,
    /// What the system said.
    #[source]
    pub source: std::io::Error,
}

impl alluxio_types::Coded for AdminError {
    fn code(&self) -> alluxio_types::Code {
        alluxio_types::Code::Unavailable
    }
}

/// A running server.
pub struct AdminHandle {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// How long open requests get when the server stops. They are all answered from memory.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

impl AdminServer {
    /// Starts to serve; port 0 takes any free one. `pages` are further routes, such as a UI's.
    ///
    /// **Errors**: when the address cannot be listened on.
    pub async fn start(
        self,
        net: &Arc<dyn Net>,
        host: &str,
        port: u16,
        pages: Router,
    ) -> Result<AdminHandle, AdminError> {
        let failed = |source| AdminError { address: format!("{host}:{port}"), source };
        let listener = net.listen(host, port).await.map_err(failed)?;
        let address = listener.address();
        let routes = self.routes().merge(pages);
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let serve = axum::serve(Port(listener), routes).with_graceful_shutdown(async move {
                // A dropped handle stops the server too.
                let _ = stopped.await;
            });
            if let Err(error) = serve.await {
                tracing::error!(%error, "the admin server ended");
            }
        });
        Ok(AdminHandle { address, stop: Some(stop), task })
    }

    /// The routes alone, for tests and for servers that have their own listener.
    pub fn routes(self) -> Router {
        Router::new()
            .route("/metrics", get(metrics))
            .route("/metrics/prometheus", get(metrics))
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .route("/log-level", get(log_level).put(set_log_level).post(set_log_level))
            .with_state(self)
    }
}

impl AdminHandle {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets running requests finish and ends.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            // The task may have ended by itself.
            let _ = stop.send(());
        }
        if tokio::time::timeout(STOP_PATIENCE, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

/// Pause after a connection that could not be taken, for want of descriptors perhaps.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// An open port in the words of the server.
struct Port(Box<dyn Listener>);

impl axum::serve::Listener for Port {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            match poll_fn(|context| self.0.poll_accept(context)).await {
                // Nobody asks who calls.
                Ok(connection) => return (connection, self.0.address()),
                Err(error) => {
                    tracing::debug!(%error, "a connection was not taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.0.address())
    }
}

async fn metrics(State(server): State<AdminServer>) -> impl IntoResponse {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], server.metrics.text())
}

async fn healthz(State(server): State<AdminServer>) -> impl IntoResponse {
    match server.readiness.broken_because() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

async fn readyz(State(server): State<AdminServer>) -> impl IntoResponse {
    if server.readiness.is_ready() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, server.readiness.missing().join("\n") + "\n")
}

async fn log_level(State(server): State<AdminServer>) -> String {
    server.log.directives() + "\n"
}

/// `PUT /log-level?level=debug`.
async fn set_log_level(
    State(server): State<AdminServer>,
    Query(query): Query<HashMap<String, String>>,
) -> impl IntoResponse {
    let Some(level) = query.get("level") else {
        return (StatusCode::BAD_REQUEST, "say which level: /log-level?level=debug\n".to_owned());
    };
    match server.log.set(level) {
        Ok(()) => {
            tracing::info!(directives = %level, "log level changed");
            (StatusCode::OK, server.log.directives() + "\n")
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    async fn ask(address: SocketAddr, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        reply
    }

    fn net() -> Arc<dyn Net> {
        Arc::new(alluxio_host::TcpNet)
    }

    #[tokio::test]
    async fn health_and_metrics_are_answered_on_any_free_port() {
        let metrics = Metrics::new("master");
        metrics.counter("calls_total", "Calls").unwrap().inc_by(7);
        let readiness = Readiness::waiting_for(&["journal"]);
        let server = AdminServer { metrics, readiness: readiness.clone(), log: LogControl::none() };
        let pages = Router::new().route("/page", get(|| async { "mine" }));
        let handle = server.start(&net(), "127.0.0.1", 0, pages).await.unwrap();
        let at = handle.address();
        assert_ne!(at.port(), 0);
        for path in ["/metrics", "/metrics/prometheus"] {
            let reply = ask(at, "GET", path).await;
            assert!(reply.contains("alluxio_master_calls_total 7"), "{reply}");
            assert!(reply.contains("process_resident_memory_bytes"));
        }
        let reply = ask(at, "GET", "/readyz").await;
        assert!(reply.starts_with("HTTP/1.1 503") && reply.contains("journal: not started yet"));
        assert!(ask(at, "GET", "/healthz").await.starts_with("HTTP/1.1 200"));
        readiness.ready("journal");
        assert!(ask(at, "GET", "/readyz").await.starts_with("HTTP/1.1 200"));
        assert!(ask(at, "GET", "/page").await.ends_with("mine"));
        let reply = ask(at, "PUT", "/log-level?level=loud").await;
        assert!(reply.starts_with("HTTP/1.1 400") && reply.contains("is not a level"), "{reply}");
        handle.stop().await;
        assert!(TcpStream::connect(at).await.is_err(), "nobody listens any more");
    }

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let server = AdminServer {
            metrics: Metrics::new("master"),
            readiness: Readiness::waiting_for(&[]),
            log: LogControl::none(),
        };
        let error = server.start(&net(), "127.0.0.1", port, Router::new()).await.err().unwrap();
        assert!(error.to_string().contains(&format!("127.0.0.1:{port}")));
    }
}
