//! Talking to a keeper.

use super::key::Key;
use super::protocol::{BadMessage, Reason, Reply, Request};
use super::wire::{self, Packet};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with, sockopt,
};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a keeper may take to answer: it has nothing to wait for but the end of another process, and
/// then it says so.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Why a keeper does not do what it is asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It cannot be reached, or is gone.
    #[error("the keeper cannot be reached: {0}")]
    Io(#[from] io::Error),
    /// It says no.
    #[error("{0}")]
    Refused(Reason),
    /// It speaks another language.
    #[error("{0}")]
    BadMessage(#[from] BadMessage),
    /// It answers something that was not asked.
    #[error("the keeper answers another question")]
    Unexpected,
}

/// A session that was given back.
#[derive(Debug)]
pub struct Kept {
    /// What was put.
    pub blob: Vec<u8>,
    /// All descriptors, the mounted one first; never empty.
    pub descriptors: Vec<OwnedFd>,
    /// Since when nobody has served it.
    pub alone_since: Instant,
}

/// A connection. While it is open, what was put or got through it is given to nobody else.
#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
}

impl Client {
    /// Connects.
    ///
    /// **Errors**: that nobody listens there.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let kind = SocketType::SEQPACKET;
        let socket = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
        for way in [sockopt::Timeout::Recv, sockopt::Timeout::Send] {
            sockopt::set_socket_timeout(&socket, way, Some(ANSWER_WITHIN))?;
        }
        connect(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(Client { socket })
    }

    /// The socket, for waiting for its end.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn ask(
        &self,
        request: &Request,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(Reply, Vec<OwnedFd>), ClientError> {
        wire::send(&self.socket, &request.to_bytes(), descriptors)?;
        let packet = wire::receive(&self.socket)?;
        let Packet { bytes, descriptors } =
            packet.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        match Reply::from_bytes(&bytes)? {
            Reply::Refused(reason) => Err(ClientError::Refused(reason)),
            reply => Ok((reply, descriptors)),
        }
    }

    fn done(&self, request: &Request, descriptors: &[BorrowedFd<'_>]) -> Result<(), ClientError> {
        match self.ask(request, descriptors)? {
            (Reply::Done, _) => Ok(()),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// Has a session held.
    ///
    /// **Errors**: [`ClientError`].
    pub fn put(
        &self,
        key: &Key,
        blob: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), ClientError> {
        let request = Request::Put { key: key.clone(), blob: blob.to_vec() };
        self.done(&request, descriptors)
    }

    /// Takes a session back, as soon as who served it is gone.
    ///
    /// **Errors**: `Refused(Served)` when that one is still there at `until`.
    pub fn get(&self, key: &Key, until: Instant) -> Result<Kept, ClientError> {
        loop {
            match self.ask(&Request::Get { key: key.clone() }, &[]) {
                Ok((Reply::Session { blob, alone_ms }, descriptors)) if !descriptors.is_empty() => {
                    let now = Instant::now();
                    let since = now.checked_sub(Duration::from_millis(alone_ms));
                    return Ok(Kept { blob, descriptors, alone_since: since.unwrap_or(now) });
                }
                Ok(_) => return Err(ClientError::Unexpected),
                Err(ClientError::Refused(Reason::Served)) if Instant::now() < until => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// All keys.
    ///
    /// **Errors**: [`ClientError`].
    pub fn list(&self) -> Result<Vec<Key>, ClientError> {
        match self.ask(&Request::List, &[])? {
            (Reply::Keys(keys), _) => Ok(keys),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// Has a session let go.
    ///
    /// **Errors**: [`ClientError`].
    pub fn remove(&self, key: &Key) -> Result<(), ClientError> {
        self.done(&Request::Drop { key: key.clone() }, &[])
    }
}
