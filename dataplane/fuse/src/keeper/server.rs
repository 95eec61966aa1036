//! The server: one thread for each connection, and nothing that waits for anybody but its socket.

use super::protocol::{Reason, Reply, Request};
use super::store::{ConnectionId, Store};
use super::{DESCRIPTORS_MAX, wire};
use crate::lockfile::{self, LockError, LockFile};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with,
    sockopt,
};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most connections: agents, old and new, and people who look.
const CONNECTIONS_MAX: usize = 16;
/// How long a request for a session waits for the end of who serves it, before it is refused. Who asks
/// asks again.
const END_WITHIN: Duration = Duration::from_millis(250);
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
    socket: OwnedFd,
    shared: Arc<Shared>,
    _lock: LockFile,
}

#[derive(Debug, Default)]
struct Shared {
    store: Mutex<Store<OwnedFd>>,
    /// Told when a connection has ended.
    ended: Condvar,
    connections: AtomicUsize,
}

impl Shared {
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
        let socket = listening(path).map_err(failed)?;
        Ok(Server { socket, shared: Arc::default(), _lock: lock })
    }

    /// Serves for ever.
    pub fn run(self) {
        let mut next: ConnectionId = 0;
        loop {
            let peer = match accept_with(&self.socket, SocketFlags::CLOEXEC) {
                Ok(peer) => peer,
                Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED) => continue,
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
    pub fn spawn(self) -> io::Result<()> {
        let thread = std::thread::Builder::new().name("keeper".into());
        thread.spawn(move || self.run()).map(drop)
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

/// Root, and whoever runs us.
fn is_trusted(peer: &OwnedFd) -> bool {
    sockopt::socket_peercred(peer).is_ok_and(|peer| {
        peer.uid == rustix::process::Uid::ROOT || peer.uid == rustix::process::geteuid()
    })
}

impl Shared {
    fn take(self: Arc<Self>, peer: OwnedFd, connection: ConnectionId) {
        if !is_trusted(&peer) {
            return tracing::warn!("a connection of another user is refused");
        }
        if self.connections.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS_MAX {
            self.connections.fetch_sub(1, Ordering::SeqCst);
            return tracing::warn!("a connection is refused: there are too many");
        }
        let shared = self.clone();
        let thread = std::thread::Builder::new().name(format!("keeper-{connection}"));
        let started = thread.stack_size(256 << 10).spawn(move || {
            shared.converse(&peer, connection);
            shared.store().ended(connection);
            shared.ended.notify_all();
            shared.connections.fetch_sub(1, Ordering::SeqCst);
        });
        if let Err(error) = started {
            self.connections.fetch_sub(1, Ordering::SeqCst);
            tracing::warn!(%error, "a connection is refused");
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
                        return reply(peer, &Reply::Session { blob: held.blob.clone() }, &fds);
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
