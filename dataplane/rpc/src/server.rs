//! Serving gRPC on a listener until told to stop.

use crate::metrics::ServerMetrics;
use alluxio_host::net::{Connection, Listener};
use std::future::Future;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_stream::Stream;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::Connected;

/// A server that runs until it is stopped.
pub struct RpcServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl RpcServer {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new connection, waits for calls under way, but not longer than `deadline`.
    pub async fn stop(mut self, deadline: impl Future<Output = ()>) {
        if let Some(stop) = self.stop.take() {
            // The receiver is gone when the server ended by itself: nothing left to stop.
            let _ = stop.send(());
        }
        tokio::select! {
            _ = &mut self.task => {}
            () = deadline => self.task.abort(),
        }
    }
}

/// Serves `routes` on an open port.
pub fn serve(listener: Box<dyn Listener>, routes: Routes, metrics: ServerMetrics) -> RpcServer {
    let address = listener.address();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = Server::builder()
        .layer(metrics)
        .http2_keepalive_interval(Some(std::time::Duration::from_secs(30)))
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .max_concurrent_streams(4096)
        .add_routes(routes)
        .serve_with_incoming_shutdown(Incoming(listener), async {
            // A dropped sender stops the server too: nobody is left who could.
            let _ = stopped.await;
        });
    let task = tokio::spawn(server);
    RpcServer { address, stop: Some(stop), task }
}

/// The connections of a port, as they come.
struct Incoming(Box<dyn Listener>);

impl Stream for Incoming {
    type Item = std::io::Result<Accepted>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_accept(context).map(|accepted| Some(accepted.map(Accepted)))
    }
}

/// A connection in the words of the server.
struct Accepted(Connection);

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
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}
