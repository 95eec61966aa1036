//! A connection whose client's side passes the filter.

use super::Filter;
use std::io::Result;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tonic::transport::server::Connected;

/// What is read from the client at once.
const READ_BYTES: usize = 4096;

/// A client's connection, as the server shall see it.
pub(crate) struct Filtered {
    client: UnixStream,
    filter: Filter,
    /// What has passed, and how much of it the server has. At most what the filter holds, and [`READ_BYTES`].
    passed: Vec<u8>,
    read: usize,
}

impl Filtered {
    /// A connection on which nothing was read yet.
    pub(crate) fn new(client: UnixStream) -> Filtered {
        Filtered { client, filter: Filter::new(), passed: Vec::new(), read: 0 }
    }
}

impl AsyncRead for Filtered {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let this = self.get_mut();
        while this.read == this.passed.len() {
            this.passed.clear();
            this.read = 0;
            let mut bytes = [0; READ_BYTES];
            let mut input = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.client).poll_read(context, &mut input))?;
            if input.filled().is_empty() {
                // The end. A frame that was cut is of no use to anybody.
                return Poll::Ready(Ok(()));
            }
            this.filter.push(input.filled(), &mut this.passed);
        }
        let rest = &this.passed[this.read..];
        let count = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..count]);
        this.read += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Filtered {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.get_mut().client).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().client).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().client).poll_shutdown(context)
    }
}

impl Connected for Filtered {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}
