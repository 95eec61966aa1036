//! Serving gRPC on a listener until told to stop.

use crate::line::server::{self as line, Begun};
use crate::metrics::{Measured, ServerMetrics};
use alluxio_host::net::{Connection, Listener};
use std::future::Future;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_stream::Stream;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tower::Layer;

/// A server that runs until it is stopped.
pub struct RpcServer {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl RpcServer {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new connection, waits for calls under way, but not longer than `deadline`.
    pub async fn stop(mut self, deadline: impl Future<Output = ()>) {
        self.stop.send_replace(true);
        tokio::select! {
            _ = &mut self.task => {}
            () = deadline => self.task.abort(),
        }
    }
}

/// Serves `routes` on an open port.
pub fn serve(listener: Box<dyn Listener>, routes: Routes, metrics: ServerMetrics) -> RpcServer {
    let address = listener.address();
    let (stop, stopped) = watch::channel(false);
    let server = Server::builder()
        .layer(metrics.clone())
        .http2_keepalive_interval(Some(std::time::Duration::from_secs(30)))
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .max_concurrent_streams(4096)
        .add_routes(routes.clone());
    let task = tokio::spawn(async move {
        let mut stopping = stopped.clone();
        let lines = Arc::new(Mutex::new(JoinSet::new()));
        let incoming = Incoming {
            listener,
            beginning: JoinSet::new(),
            lines: lines.clone(),
            service: metrics.layer(routes.prepare()),
            stopped,
        };
        let served = server.serve_with_incoming_shutdown(incoming, async move {
            // A dropped sender stops the server too: nobody is left who could.
            let _ = stopping.wait_for(|stopping| *stopping).await;
        });
        let served = served.await;
        // They end after the call that is under way; no new ones come.
        let lines = std::mem::take(&mut *lines.lock().unwrap_or_else(PoisonError::into_inner));
        lines.join_all().await;
        served
    });
    RpcServer { address, stop, task }
}

/// The connections of a port, as they come. Those that are lines are served aside.
struct Incoming {
    listener: Box<dyn Listener>,
    /// Connections that have not said what they are.
    beginning: JoinSet<Option<Begun>>,
    lines: Arc<Mutex<JoinSet<()>>>,
    service: Measured<Routes>,
    stopped: watch::Receiver<bool>,
}

impl Incoming {
    fn serve_line(&self, connection: Connection) {
        let (service, stopped) = (self.service.clone(), self.stopped.clone());
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that have ended are let go.
        while lines.try_join_next().is_some() {}
        lines.spawn(async move {
            if let Err(error) = line::serve(connection, service, stopped).await {
                tracing::debug!(%error, "a line is over");
            }
        });
    }
}

impl Stream for Incoming {
    type Item = std::io::Result<Accepted>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while let Poll::Ready(accepted) = self.listener.poll_accept(context) {
            match accepted {
                Ok(connection) => drop(self.beginning.spawn(line::begin(connection))),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        while let Poll::Ready(Some(begun)) = self.beginning.poll_join_next(context) {
            match begun {
                Ok(Some(Begun::Http(connection, first))) => {
                    return Poll::Ready(Some(Ok(Accepted { connection, first, given: 0 })));
                }
                Ok(Some(Begun::Line(connection))) => self.serve_line(connection),
                // It said nothing, or was given up.
                Ok(None) | Err(_) => {}
            }
        }
        Poll::Pending
    }
}

/// A connection in the words of the server.
struct Accepted {
    connection: Connection,
    /// What was read of it to find out what it is, and how much of that was given on.
    first: [u8; 8],
    given: usize,
}

impl Connected for Accepted {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = &mut *self;
        let left = &this.first[this.given..];
        if !left.is_empty() {
            let now = left.len().min(buffer.remaining());
            buffer.put_slice(&left[..now]);
            this.given += now;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.connection).poll_read(context, buffer)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }
}
