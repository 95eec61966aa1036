//! One connection as the client keeps it: a link, the next request id, and the leases that were
//! given back while it was busy.

use super::pool::{ClientOptions, Target};
use crate::codec;
use crate::error::{Error, ProtocolError};
use crate::frame::Frame;
use crate::link::Link;
use crate::message::{FailedPart, Hello, VERSION, VERSION_OF_TOKENS, Welcome};
use crate::socket::Socket;
use alluxio_types::WorkerId;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};

/// A connection after its handshake, used by one request or session at a time.
pub(super) struct Connection {
    pub(super) link: Link,
    pub(super) worker: WorkerId,
    pub(super) returns: Arc<Returns>,
    /// Version that both sides speak.
    version: u16,
    last_id: u32,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("peer", &self.link.peer())
            .field("worker", &self.worker)
            .finish_non_exhaustive()
    }
}

/// Leases on their way back. A lent block outlives the request that brought it, so its lease may
/// end while the connection serves somebody else: then it waits for the next frame that goes out.
#[derive(Debug)]
pub(super) struct Returns {
    socket: Arc<Socket>,
    state: Mutex<ReturnsState>,
}

#[derive(Debug, Default)]
struct ReturnsState {
    /// Whether a request or session owns the sending side.
    busy: bool,
    /// A part of a frame went out and the rest did not: nothing can be sent any more.
    broken: bool,
    waiting: Vec<u32>,
}

impl Returns {
    /// Gives a lease back: now if the connection is idle, otherwise with the next frame.
    pub(super) fn give_back(&self, lease: u32) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting.push(lease);
        if !state.busy {
            self.flush(&mut state);
        }
    }

    fn flush(&self, state: &mut ReturnsState) {
        if state.broken || state.waiting.is_empty() {
            return;
        }
        let mut bytes = Vec::new();
        for lease in &state.waiting {
            // A frame of 24 bytes always fits its limits.
            let _ = codec::encode(1, &Frame::Release { lease: *lease }, &mut bytes);
        }
        match self.socket.try_write(&bytes) {
            Ok(sent) if sent == bytes.len() => state.waiting.clear(),
            Ok(_) => state.broken = true,
            // Full: they stay waiting. Anything else: the leases ended with the connection.
            Err(error) => state.broken = error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    /// Takes the sending side; returns the leases to send first.
    fn take(&self) -> Option<Vec<u32>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.busy = true;
        if state.broken { None } else { Some(std::mem::take(&mut state.waiting)) }
    }

    /// Gives the sending side back, and sends what came in the meantime.
    pub(super) fn idle(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.busy = false;
        self.flush(&mut state);
    }
}

impl Connection {
    /// Connects and says hello.
    pub(super) async fn open(target: &Target, options: &ClientOptions) -> Result<Self, Error> {
        let whole = tokio::time::timeout(options.connect, Self::open_unhurried(target, options));
        whole.await.unwrap_or_else(|_| {
            let source = io::ErrorKind::TimedOut.into();
            Err(Error::Connect { target: target.to_string(), source })
        })
    }

    async fn open_unhurried(target: &Target, options: &ClientOptions) -> Result<Self, Error> {
        let socket = match target {
            Target::Unix(path) => UnixStream::connect(path).await.map(Socket::unix),
            Target::Tcp { host, port } => {
                TcpStream::connect((host.as_str(), *port)).await.and_then(Socket::tcp)
            }
        };
        let socket =
            socket.map_err(|source| Error::Connect { target: target.to_string(), source })?;
        let socket = Arc::new(socket);
        let mut link = Link::new(socket.clone(), target.to_string());
        let hello = Hello {
            version: VERSION,
            cluster_id: options.cluster.get().to_owned(),
            user: options.user.clone(),
        };
        link.send(1, &Frame::Hello(hello), "greeting", options.connect).await?;
        let welcome = match link.receive("greeting", options.connect).await? {
            Some((_, Frame::Welcome(welcome))) => welcome,
            Some((_, Frame::Error { refusal, .. })) => return Err(Error::Refused(refusal)),
            Some((_, other)) => return Err(unexpected(&other, "greeting").into()),
            None => {
                let peer = link.peer().to_owned();
                return Err(Error::Closed { peer, doing: "greeting" });
            }
        };
        Self::greeted(link, socket, &welcome)
    }

    fn greeted(link: Link, socket: Arc<Socket>, welcome: &Welcome) -> Result<Self, Error> {
        if !(1..=VERSION).contains(&welcome.version) {
            return Err(ProtocolError::BadField { frame: "Welcome", field: "version" }.into());
        }
        let returns = Arc::new(Returns { socket, state: Mutex::default() });
        let (worker, version) = (welcome.worker, welcome.version);
        Ok(Connection { link, worker, returns, version, last_id: 0 })
    }

    /// Whether it can still be used, as far as can be told without waiting: not closed by the
    /// other side, and with nothing unexpected in it.
    pub(super) fn is_usable(&mut self) -> bool {
        self.link.is_between_frames()
            && matches!(self.link.try_receive("idle"), Ok(None))
            && self.link.is_between_frames()
    }

    /// Starts a request: puts the leases that wait in front of what is sent next. `false` when the
    /// connection is broken.
    pub(super) fn begin(&mut self) -> bool {
        let Some(leases) = self.returns.take() else { return false };
        self.link.clear_queue();
        leases.into_iter().all(|lease| self.link.queue(1, &Frame::Release { lease }).is_ok())
    }

    /// Puts a token in front of what is sent next. A worker that knows no tokens asks for none.
    pub(super) fn present(&mut self, token: &[u8]) -> Result<(), Error> {
        match self.version >= VERSION_OF_TOKENS {
            true => self.link.queue(1, &Frame::Present { token: token.to_vec() }),
            false => Ok(()),
        }
    }

    /// Sends a request with an id of its own.
    pub(super) async fn ask(&mut self, frame: &Frame, patience: Duration) -> Result<u32, Error> {
        self.last_id = self.last_id.wrapping_add(1).max(1);
        self.link.send_behind(self.last_id, frame, "asking", patience).await?;
        Ok(self.last_id)
    }

    /// An id for a frame that is sent by other means.
    pub(super) fn next_id(&mut self) -> u32 {
        self.last_id = self.last_id.wrapping_add(1).max(1);
        self.last_id
    }

    /// The next frame that belongs to request `id`.
    pub(super) async fn answer(
        &mut self,
        id: u32,
        doing: &'static str,
        patience: Duration,
    ) -> Result<Frame, Error> {
        match self.link.receive(doing, patience).await? {
            Some((got, frame)) if got == id => Ok(frame),
            Some((got, _)) => Err(ProtocolError::WrongRequest { got, want: id }.into()),
            None => Err(Error::Closed { peer: self.link.peer().to_owned(), doing }),
        }
    }
}

/// The error for a frame that makes no sense now; a refusal of the request is one that does.
pub(super) fn unexpected(frame: &Frame, doing: &'static str) -> ProtocolError {
    ProtocolError::Unexpected { got: frame.kind().name(), doing }
}

/// Turns an answer of `Error` into the error.
pub(super) fn refused(frame: Frame, doing: &'static str) -> Error {
    match frame {
        Frame::Error { part: FailedPart::Request, refusal } => Error::Refused(refusal),
        other => unexpected(&other, doing).into(),
    }
}
