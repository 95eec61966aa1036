//! Serving gRPC on a listener until told to stop.

use crate::metrics::ServerMetrics;
use std::future::Future;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::Routes;
use tonic::transport::Server;

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

/// Serves `routes` on `listener`.
///
/// **Errors**: when the listener has no address.
pub fn serve(
    listener: TcpListener,
    routes: Routes,
    metrics: ServerMetrics,
) -> std::io::Result<RpcServer> {
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let incoming = NoDelay(TcpListenerStream::new(listener));
    let server = Server::builder()
        .layer(metrics)
        .http2_keepalive_interval(Some(std::time::Duration::from_secs(30)))
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .max_concurrent_streams(4096)
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, async {
            // A dropped sender stops the server too: nobody is left who could.
            let _ = stopped.await;
        });
    let task = tokio::spawn(server);
    Ok(RpcServer { address, stop: Some(stop), task })
}

/// Turns off Nagle's algorithm on every accepted connection: replies are small and awaited.
struct NoDelay(TcpListenerStream);

impl tokio_stream::Stream for NoDelay {
    type Item = std::io::Result<tokio::net::TcpStream>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let polled = std::pin::Pin::new(&mut self.0).poll_next(context);
        if let std::task::Poll::Ready(Some(Ok(stream))) = &polled
            && let Err(error) = stream.set_nodelay(true)
        {
            tracing::debug!(%error, "connection keeps Nagle's algorithm");
        }
        polled
    }
}
