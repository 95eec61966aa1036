//! The server: one thread for each connection, and nothing that waits for anybody but its socket.

use super::protocol::{Reason, Reply, Request};
use super::store::{ConnectionId, Store};
use super::{DESCRIPTORS_MAX, wire};
use crate::lockfile::{self, LockError, LockFile};
use crate::sys;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with,
    sockopt,
};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a session is held that nobody serves, unless told otherwise: agents are replaced in seconds, and images are
/// fetched in minutes.
pub const ALONE_LIMIT: Duration = Duration::from_secs(300);
/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Most connections: agents, old and new, and people who look.
const CONNECTIONS_MAX: usize = 16;
/// How long a request for a session waits for the end of who serves it, before it is refused. Who asks
/// asks again.
const END_WITHIN: Duration = Duration::from_millis(250);
/// Of a connection's thread: a message lies on the heap, its descriptors here.
const STACK_BYTES: usize = 256 << 10;
/// Pause after a connection that could not be taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a reply may take to be sent; who does not read it has no use for it.
const SEND_WITHIN: Duration = Duration::from_secs(5);

/// Why a keeper does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Another one is there.
    #[error("another keeper is there: {0}")]
    Lock(#[from] LockError),
    /// The socket cannot be made.
    #[error("{}: {source}", path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A keeper that listens.
#[derive(Debug)]
pub struct Server {
    socket: Arc<OwnedFd>,
    shared: Arc<Shared>,
    alone_limit: Duration,
    _lock: LockFile,
}

/// A keeper that runs beside other things. It goes on when this is dropped.
#[derive(Debug)]
pub struct Running {
    socket: Arc<OwnedFd>,
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    store: Mutex<Store<OwnedFd>>,
    /// Told when a connection has ended.
    ended: Condvar,
    peers: Mutex<HashMap<ConnectionId, Arc<OwnedFd>>>,
    over: AtomicBool,
    begun: Instant,
}

impl Default for Shared {
    fn default() -> Self {
        Shared {
            store: Mutex::default(),
            ended: Condvar::new(),
            peers: Mutex::default(),
            over: AtomicBool::new(false),
            begun: Instant::now(),
        }
    }
}

impl Shared {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn peers(&self) -> MutexGuard<'_, HashMap<ConnectionId, Arc<OwnedFd>>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self) -> MutexGuard<'_, Store<OwnedFd>> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Listens at `path`; a socket that a dead keeper has left there is taken over.
    ///
    /// **Errors**: [`ServerError`].
    pub fn bind(path: &Path) -> Result<Self, ServerError> {
        let failed = |source| ServerError::Socket { path: path.to_owned(), source };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let lock = LockFile::take(&lockfile::beside(path))?;
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let socket = Arc::new(listening(path).map_err(failed)?);
        Ok(Server { socket, shared: Arc::default(), alone_limit: ALONE_LIMIT, _lock: lock })
    }

    /// How long a session is held that nobody serves, in place of [`ALONE_LIMIT`]. Then it is let go: the kernel gives
    /// it up with its last holder, and who waits for it gets an error and can be killed.
    #[must_use]
    pub fn with_alone_limit(self, alone_limit: Duration) -> Self {
        Server { alone_limit, ..self }
    }

    /// Serves until it is [stopped](Running::stop).
    pub fn run(self) {
        let shared = self.shared.clone();
        let limit_ms = u64::try_from(self.alone_limit.as_millis()).unwrap_or(u64::MAX);
        let watches = std::thread::Builder::new().name("keeper-alone".into());
        let watches = watches.stack_size(STACK_BYTES).spawn(move || shared.let_go(limit_ms));
        if let Err(error) = watches {
            tracing::warn!(%error, "sessions that nobody serves are held for ever");
        }
        let mut next: ConnectionId = 0;
        while !self.shared.over.load(Ordering::SeqCst) {
            let peer = match accept_with(&*self.socket, SocketFlags::CLOEXEC) {
                Ok(peer) => peer,
                Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED) => continue,
                Err(_) if self.shared.over.load(Ordering::SeqCst) => return,
                Err(error) => {
                    tracing::warn!(%error, "a connection is not taken");
                    std::thread::sleep(ACCEPT_PAUSE);
                    continue;
                }
            };
            next += 1;
            self.shared.clone().take(peer, next);
        }
    }

    /// The same on a thread of its own, for a process that is one more holder.
    ///
    /// **Errors**: that there is no thread.
    pub fn spawn(self) -> io::Result<Running> {
        let (socket, shared) = (self.socket.clone(), self.shared.clone());
        let thread = std::thread::Builder::new().name("keeper".into());
        let thread = thread.spawn(move || self.run())?;
        Ok(Running { socket, shared, thread })
    }
}

impl Running {
    /// Lets everything go, as the end of its process would.
    pub fn stop(self) {
        use rustix::net::{Shutdown, shutdown};
        self.shared.over.store(true, Ordering::SeqCst);
        // What has ended already needs no end.
        let _ = shutdown(&*self.socket, Shutdown::Both);
        for peer in self.shared.peers().values() {
            let _ = shutdown(&**peer, Shutdown::Both);
        }
        if self.thread.join().is_err() {
            tracing::error!("a keeper panicked");
        }
        *self.shared.store() = Store::default();
    }
}

fn listening(path: &Path) -> io::Result<OwnedFd> {
    use rustix::fs::{Mode, chmod};
    let kind = SocketType::SEQPACKET;
    let socket = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    // Who is not root or us is refused anyway.
    chmod(path, Mode::RUSR | Mode::WUSR)?;
    listen(&socket, CONNECTIONS_MAX as i32)?;
    Ok(socket)
}

/// Root, and whoever runs us; in whatever container.
fn is_trusted(peer: &OwnedFd) -> bool {
    let ours = rustix::process::geteuid().as_raw();
    sys::peer(peer.as_fd()).is_ok_and(|peer| peer.uid == 0 || peer.uid == ours)
}

impl Shared {
    fn take(self: Arc<Self>, peer: OwnedFd, connection: ConnectionId) {
        if !is_trusted(&peer) {
            return tracing::warn!("a connection of another user is refused");
        }
        let peer = Arc::new(peer);
        {
            let mut peers = self.peers();
            if peers.len() >= CONNECTIONS_MAX {
                return tracing::warn!("a connection is refused: there are too many");
            }
            peers.insert(connection, peer.clone());
        }
        let shared = self.clone();
        let thread = std::thread::Builder::new().name(format!("keeper-{connection}"));
        let started = thread.stack_size(STACK_BYTES).spawn(move || {
            shared.converse(&peer, connection);
            shared.peers().remove(&connection);
            shared.store().ended(connection, shared.now_ms());
            shared.ended.notify_all();
        });
        if let Err(error) = started {
            self.peers().remove(&connection);
            tracing::warn!(%error, "a connection is refused");
        }
    }

    /// Lets sessions go that nobody serves, until the keeper stops.
    fn let_go(&self, limit_ms: u64) {
        while !self.over.load(Ordering::SeqCst) {
            std::thread::sleep(LOOK_EVERY);
            let abandoned = self.store().take_abandoned(self.now_ms(), limit_ms);
            // Closed outside of the lock.
            for (key, _) in abandoned {
                tracing::warn!(session = %key, limit_ms, "a session is let go: nobody served it");
            }
        }
    }

    fn converse(&self, peer: &OwnedFd, connection: ConnectionId) {
        let _ = sockopt::set_socket_timeout(peer, sockopt::Timeout::Send, Some(SEND_WITHIN));
        loop {
            let packet = match wire::receive(peer) {
                Ok(Some(packet)) => packet,
                Ok(None) => return,
                Err(error) => return tracing::debug!(%error, "a connection ends"),
            };
            let request = Request::from_bytes(&packet.bytes);
            let answered = match request {
                Ok(request) => self.answer(connection, request, packet.descriptors, peer),
                Err(error) => {
                    tracing::warn!(%error, "a message is refused");
                    reply(peer, &Reply::Refused(Reason::Malformed), &[])
                }
            };
            if let Err(error) = answered {
                return tracing::debug!(%error, "a connection ends");
            }
        }
    }

    fn answer(
        &self,
        connection: ConnectionId,
        request: Request,
        descriptors: Vec<OwnedFd>,
        peer: &OwnedFd,
    ) -> io::Result<()> {
        let outcome = match request {
            Request::Put { .. } if !(1..=DESCRIPTORS_MAX).contains(&descriptors.len()) => {
                Err(Reason::Malformed)
            }
            Request::Put { key, blob } => {
                let put = self.store().put(connection, key, blob, descriptors);
                // What was there is closed outside of the lock.
                put.map(|_| Reply::Done)
            }
            Request::Get { key } => {
                let store = self.store();
                let served = |store: &mut Store<OwnedFd>| {
                    store.get(connection, &key).err() == Some(Reason::Served)
                };
                let waited = self.ended.wait_timeout_while(store, END_WITHIN, served);
                let (mut store, _) = waited.unwrap_or_else(PoisonError::into_inner);
                match store.get(connection, &key) {
                    Ok(held) => {
                        let fds: Vec<BorrowedFd<'_>> =
                            held.descriptors.iter().map(AsFd::as_fd).collect();
                        let alone_ms = held.alone_ms(self.now_ms());
                        let blob = held.blob.clone();
                        return reply(peer, &Reply::Session { blob, alone_ms }, &fds);
                    }
                    Err(reason) => Err(reason),
                }
            }
            Request::List => Ok(Reply::Keys(self.store().keys())),
            Request::Drop { key } => {
                let removed = self.store().remove(connection, &key);
                removed.map(|_| Reply::Done)
            }
        };
        reply(peer, &outcome.unwrap_or_else(Reply::Refused), &[])
    }
}

fn reply(peer: &OwnedFd, reply: &Reply, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    wire::send(peer, &reply.to_bytes(), descriptors)
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
