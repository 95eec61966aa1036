//! One socket of either kind: non-blocking tries first, waiting (with patience) only when needed.

use crate::service::Transport;
use crate::sys;
use bytes::BufMut;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

/// A connected socket. All calls take `&self`: one task reads while another one may write.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

macro_rules! each {
    ($socket:expr, $inner:ident => $call:expr) => {
        match $socket {
            Socket::Tcp($inner) => $call,
            Socket::Unix($inner) => $call,
        }
    };
}

impl Socket {
    /// Small frames must not wait for acknowledgements of earlier ones (Nagle), and a peer whose
    /// machine vanished is noticed after a minute: 30 s of silence, then 3 probes 10 s apart.
    pub(crate) fn tcp(stream: TcpStream) -> io::Result<Socket> {
        use rustix::net::sockopt;
        stream.set_nodelay(true)?;
        sockopt::set_socket_keepalive(&stream, true)?;
        sockopt::set_tcp_keepidle(&stream, Duration::from_secs(30))?;
        sockopt::set_tcp_keepintvl(&stream, Duration::from_secs(10))?;
        sockopt::set_tcp_keepcnt(&stream, 3)?;
        Ok(Socket::Tcp(stream))
    }

    pub(crate) fn transport(&self) -> Transport {
        match self {
            Socket::Tcp(_) => Transport::Tcp,
            Socket::Unix(_) => Transport::Unix,
        }
    }

    /// Tries `step` until it does not say `WouldBlock`, waiting in between.
    ///
    /// **Errors**: `TimedOut` when the socket is not ready for `patience`.
    ///
    /// **Cancel safety**: safe between steps; a step that was done is never lost, because it ends
    /// the call.
    async fn ready_then<R>(
        &self,
        interest: Interest,
        patience: Duration,
        mut step: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            match each!(self, s => s.try_io(interest, &mut step)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let ready = async { each!(self, s => s.ready(interest).await) };
                    match tokio::time::timeout(patience, ready).await {
                        Ok(ready) => ready?,
                        Err(_) => return Err(io::ErrorKind::TimedOut.into()),
                    };
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    /// Receives into `buffer`, and descriptors into `fds`. 0 is the end of the stream.
    pub(crate) async fn receive(
        &self,
        buffer: &mut [u8],
        fds: &mut VecDeque<OwnedFd>,
        patience: Duration,
    ) -> io::Result<usize> {
        self.ready_then(Interest::READABLE, patience, || match self {
            Socket::Tcp(s) => Ok(rustix::io::read(s, &mut *buffer)?),
            Socket::Unix(s) => sys::scm_rights::receive(s, buffer, fds),
        })
        .await
    }

    /// Like [`Socket::receive`], without waiting: `None` when there is nothing.
    pub(crate) fn try_receive(
        &self,
        buffer: &mut [u8],
        fds: &mut VecDeque<OwnedFd>,
    ) -> io::Result<Option<usize>> {
        let tried = each!(self, s => s.try_io(Interest::READABLE, || match self {
            Socket::Tcp(s) => Ok(rustix::io::read(s, &mut *buffer)?),
            Socket::Unix(s) => sys::scm_rights::receive(s, buffer, fds),
        }));
        match tried {
            Ok(count) => Ok(Some(count)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Receives plain bytes into a slice. 0 is the end of the stream.
    pub(crate) async fn read(&self, buffer: &mut [u8], patience: Duration) -> io::Result<usize> {
        self.ready_then(Interest::READABLE, patience, || match self {
            Socket::Tcp(s) => Ok(rustix::io::read(s, &mut *buffer)?),
            Socket::Unix(s) => Ok(rustix::io::read(s, &mut *buffer)?),
        })
        .await
    }

    /// Receives plain bytes into the free part of `buffer`, which need not be initialized.
    pub(crate) async fn read_buf(
        &self,
        buffer: &mut impl BufMut,
        patience: Duration,
    ) -> io::Result<usize> {
        loop {
            match each!(self, s => s.try_read_buf(buffer)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let ready = async { each!(self, s => s.readable().await) };
                    match tokio::time::timeout(patience, ready).await {
                        Ok(ready) => ready?,
                        Err(_) => return Err(io::ErrorKind::TimedOut.into()),
                    }
                }
                other => return other,
            }
        }
    }

    /// Sends everything. **Cancel safety**: none; the stream is broken when dropped half-way.
    pub(crate) async fn write_all(&self, mut bytes: &[u8], patience: Duration) -> io::Result<()> {
        while !bytes.is_empty() {
            let sent = self
                .ready_then(Interest::WRITABLE, patience, || each!(self, s => s.try_write(bytes)))
                .await?;
            bytes = &bytes[sent..];
        }
        Ok(())
    }

    /// Sends `head`, then `body`, in as few calls as it takes.
    pub(crate) async fn write_both(
        &self,
        mut head: &[u8],
        mut body: &[u8],
        patience: Duration,
    ) -> io::Result<()> {
        while !head.is_empty() {
            let parts = [IoSlice::new(head), IoSlice::new(body)];
            let sent = self
                .ready_then(
                    Interest::WRITABLE,
                    patience,
                    || each!(self, s => s.try_write_vectored(&parts)),
                )
                .await?;
            let of_head = sent.min(head.len());
            head = &head[of_head..];
            body = &body[sent - of_head..];
        }
        self.write_all(body, patience).await
    }

    /// Sends `bytes` with a descriptor on the first one.
    pub(crate) async fn send_with_fd(
        &self,
        bytes: &[u8],
        fd: BorrowedFd<'_>,
        patience: Duration,
    ) -> io::Result<()> {
        let sent = self
            .ready_then(Interest::WRITABLE, patience, || match self {
                Socket::Unix(s) => sys::scm_rights::send(s, bytes, fd),
                Socket::Tcp(_) => Err(io::ErrorKind::Unsupported.into()),
            })
            .await?;
        self.write_all(&bytes[sent..], patience).await
    }

    /// Sends bytes `offset..offset + count` of a file.
    pub(crate) async fn send_file(
        &self,
        file: BorrowedFd<'_>,
        mut offset: u64,
        mut count: usize,
        patience: Duration,
    ) -> io::Result<()> {
        while count > 0 {
            let sent = self
                .ready_then(
                    Interest::WRITABLE,
                    patience,
                    || each!(self, s => sys::sendfile::sendfile(s, file, offset, count)),
                )
                .await?;
            if sent == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            offset += sent as u64;
            count -= sent;
        }
        Ok(())
    }

    /// Sends without waiting; for frames so small that a socket with any room takes them whole.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        each!(self, s => s.try_write(bytes))
    }
}
