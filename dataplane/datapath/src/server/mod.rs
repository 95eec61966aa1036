//! The serving end: listeners, limits, and the tasks of connections.
//!
//! It owns sockets and frames; what a block is belongs to the [`DataService`] behind it. A
//! connection is one task. Whatever a client leaves unfinished ends with that task.

mod choose;
mod connection;
mod read;
mod session;

pub use choose::{Facts, SendPath, choose_path};

use crate::message::ClusterName;
use crate::service::DataService;
use crate::socket::Socket;
use alluxio_types::WorkerId;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Limits of a server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Most connections at a time. One more is told `Busy` and closed. A connection costs about
    /// 4 KiB at rest.
    pub connections_max: usize,
    /// Most bytes that buffers of all connections hold at a time; a connection that needs more
    /// waits for its turn. At least one frame (1 MiB).
    pub in_flight_bytes_max: usize,
    /// Most blocks that one connection may hold under lease; beyond it they are streamed.
    pub leases_per_connection_max: usize,
    /// Bytes of one frame of a read that is sent: whole chunks, at most [`crate::DATA_BYTES_MAX`].
    pub frame_bytes: usize,
    /// How long a client may take to accept or send the next byte of something it has begun.
    pub stall: Duration,
    /// How long a client may take to say hello.
    pub handshake: Duration,
    /// How long a connection without leases may do nothing.
    pub idle: Duration,
    /// How long a write session may do nothing.
    pub session_idle: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        ServerOptions {
            connections_max: 4096,
            in_flight_bytes_max: 256 << 20,
            leases_per_connection_max: 1024,
            frame_bytes: crate::DATA_BYTES_MAX,
            stall: Duration::from_secs(60),
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(600),
            session_idle: Duration::from_secs(3600),
        }
    }
}

/// Who the server is, told in `Welcome` and checked against `Hello`.
#[derive(Debug, Clone)]
pub struct ServerIdentity {
    /// Its cluster; clients of any are accepted until it is known.
    pub cluster: ClusterName,
    /// This worker.
    pub worker: WorkerId,
}

/// What a server listens on; bound by the caller, who knows the ports.
#[derive(Debug, Default)]
pub struct Listeners {
    /// For other machines.
    pub tcp: Option<TcpListener>,
    /// For this machine.
    pub unix: Option<UnixListener>,
}

/// Counters of a server, for metrics. Read at any time; each only grows unless said otherwise.
#[derive(Debug, Default)]
pub struct ServerCounters {
    /// Connections open now.
    pub connections: AtomicU64,
    /// Connections turned away because there were too many.
    pub connections_refused: AtomicU64,
    /// Leases held now.
    pub leases: AtomicU64,
    /// Reads answered by a descriptor.
    pub reads_lent: AtomicU64,
    /// Reads answered by bytes.
    pub reads_streamed: AtomicU64,
    /// Bytes sent.
    pub bytes_sent: AtomicU64,
    /// Bytes received.
    pub bytes_received: AtomicU64,
    /// Requests and data refused, by the service or by a limit.
    pub refusals: AtomicU64,
    /// Connections ended because they broke the protocol, stalled, or failed a checksum.
    pub connections_broken: AtomicU64,
}

impl ServerCounters {
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn sub(counter: &AtomicU64, count: u64) {
        counter.fetch_sub(count, Ordering::Relaxed);
    }
}

/// What all connections of a server share.
pub(crate) struct Shared {
    pub(crate) service: Arc<dyn DataService>,
    pub(crate) identity: ServerIdentity,
    pub(crate) options: ServerOptions,
    pub(crate) counters: Arc<ServerCounters>,
    /// One permit per byte in buffers.
    pub(crate) in_flight: Arc<Semaphore>,
    pub(crate) stopping: watch::Receiver<bool>,
}

/// A running server. Dropping it ends all connections at once; [`DataServer::stop`] lets requests
/// finish first.
pub struct DataServer {
    counters: Arc<ServerCounters>,
    stop: watch::Sender<bool>,
    acceptors: JoinSet<()>,
}

impl DataServer {
    /// Starts to accept. Needs a tokio runtime with IO and time.
    pub fn start(
        service: Arc<dyn DataService>,
        identity: ServerIdentity,
        listeners: Listeners,
        options: ServerOptions,
    ) -> DataServer {
        let (stop, stopping) = watch::channel(false);
        let counters = Arc::new(ServerCounters::default());
        let bytes = options.in_flight_bytes_max.clamp(crate::DATA_BYTES_MAX, u32::MAX as usize);
        let slots = Arc::new(Semaphore::new(options.connections_max));
        let shared = Arc::new(Shared {
            service,
            identity,
            options,
            counters: counters.clone(),
            in_flight: Arc::new(Semaphore::new(bytes)),
            stopping,
        });
        let mut acceptors = JoinSet::new();
        if let Some(listener) = listeners.tcp {
            acceptors.spawn(accept(Acceptor::Tcp(listener), shared.clone(), slots.clone()));
        }
        if let Some(listener) = listeners.unix {
            acceptors.spawn(accept(Acceptor::Unix(listener), shared, slots));
        }
        DataServer { counters, stop, acceptors }
    }

    /// Counters, for metrics.
    pub fn counters(&self) -> Arc<ServerCounters> {
        self.counters.clone()
    }

    /// Stops accepting, closes idle connections, lets requests in progress finish until
    /// `deadline` has passed, and then ends them.
    pub async fn stop(mut self, deadline: Duration) {
        // Nobody listens any more only when every task has ended already.
        let _ = self.stop.send(true);
        let drained = async { while self.acceptors.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(deadline, drained).await;
        self.acceptors.shutdown().await;
    }
}

enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Acceptor {
    async fn accept(&self) -> io::Result<(Socket, String)> {
        match self {
            Acceptor::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                Ok((Socket::tcp(stream)?, address.to_string()))
            }
            Acceptor::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Socket::unix(stream), "unix socket".to_owned()))
            }
        }
    }
}

enum Event {
    Stop,
    Accepted(io::Result<(Socket, String)>),
    Ended,
}

/// **Cancel safety**: all sources are.
async fn next_event(
    stopping: &mut watch::Receiver<bool>,
    acceptor: &Acceptor,
    connections: &mut JoinSet<()>,
) -> Event {
    tokio::select! {
        biased;
        _ = stopping.wait_for(|stop| *stop) => Event::Stop,
        Some(_) = connections.join_next() => Event::Ended,
        accepted = acceptor.accept() => Event::Accepted(accepted),
    }
}

async fn accept(acceptor: Acceptor, shared: Arc<Shared>, slots: Arc<Semaphore>) {
    let mut stopping = shared.stopping.clone();
    let mut connections = JoinSet::new();
    loop {
        match next_event(&mut stopping, &acceptor, &mut connections).await {
            Event::Stop => break,
            Event::Ended => {}
            Event::Accepted(Ok((socket, address))) => match slots.clone().try_acquire_owned() {
                Ok(slot) => {
                    let shared = shared.clone();
                    connections.spawn(async move {
                        connection::serve(shared, socket, address).await;
                        drop(slot);
                    });
                }
                Err(_) => {
                    ServerCounters::add(&shared.counters.connections_refused, 1);
                    connection::turn_away(socket, address);
                }
            },
            Event::Accepted(Err(error)) => {
                // Out of descriptors, or a client gone before it was accepted. A short pause keeps
                // a full process from spinning; connections that end make room.
                tracing::warn!(%error, "cannot accept a connection of the data protocol");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    drop(acceptor);
    while connections.join_next().await.is_some() {}
}

/// Binds a Unix socket at `path`, taking the place of one that a dead process left there, open to
/// every user of the machine (what they may read is decided per request).
///
/// **Errors**: `AddrInUse` when a living process listens there.
pub fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    if let Err(error) = std::os::unix::net::UnixStream::connect(path) {
        if error.kind() == io::ErrorKind::ConnectionRefused {
            std::fs::remove_file(path)?;
        }
    } else {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))?;
    Ok(listener)
}
