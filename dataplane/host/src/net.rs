//! Connections as a port: streams of bytes to and from named hosts. What is said on them (gRPC) is not
//! known here.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Both directions of a connection.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Duplex for T {}

/// An open connection. Dropping it closes it.
pub type Connection = Box<dyn Duplex>;

/// The outcome of a call, once it is there. Dropping it abandons the call.
pub type NetFuture<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

/// An open port. Dropping it closes it.
pub trait Listener: Send + Unpin + 'static {
    /// Where it listens.
    fn address(&self) -> SocketAddr;

    /// The next connection. An error concerns that one connection; the listener goes on.
    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Connection>>;
}

/// The network as this process sees it.
pub trait Net: Send + Sync + 'static {
    /// Connects to a name or address. Names are resolved anew each time.
    fn connect(&self, host: &str, port: u16) -> NetFuture<Connection>;

    /// Opens a port on an address of this machine; 0 is any free one.
    fn listen(&self, host: &str, port: u16) -> NetFuture<Box<dyn Listener>>;
}

/// TCP, without Nagle's algorithm: requests and replies are small and awaited.
pub struct TcpNet;

impl Net for TcpNet {
    fn connect(&self, host: &str, port: u16) -> NetFuture<Connection> {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Box::pin(async move {
            let addresses = tokio::net::lookup_host((host.as_str(), port)).await?;
            let stream = connect_any(addresses.collect()).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Connection)
        })
    }

    fn listen(&self, host: &str, port: u16) -> NetFuture<Box<dyn Listener>> {
        let host = host.to_owned();
        Box::pin(async move {
            let listener = TcpListener::bind((host, port)).await?;
            Ok(Box::new(TcpPort::of(listener)?) as Box<dyn Listener>)
        })
    }
}

/// How long one address of a name may take before the next one is tried beside it.
const STAGGER: Duration = Duration::from_millis(300);

/// Connects to the first of these addresses that answers. One that is silent holds the others up no
/// longer than [`STAGGER`] each.
async fn connect_any(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut attempts = JoinSet::new();
    let mut addresses = addresses.into_iter();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut more = true;
    loop {
        match addresses.next() {
            Some(address) => drop(attempts.spawn(TcpStream::connect(address))),
            None => more = false,
        }
        let ended = match more {
            true => match tokio::time::timeout(STAGGER, attempts.join_next()).await {
                Ok(ended) => ended,
                Err(_) => continue,
            },
            false => attempts.join_next().await,
        };
        match ended {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(error))) => last = error,
            // Nobody stops or breaks an attempt.
            Some(Err(_)) => {}
            None => return Err(last),
        }
    }
}

/// An open TCP port.
pub struct TcpPort {
    listener: TcpListener,
    address: SocketAddr,
}

impl TcpPort {
    /// Takes over a listener.
    ///
    /// **Errors**: when it has no address.
    pub fn of(listener: TcpListener) -> io::Result<Self> {
        let address = listener.local_addr()?;
        Ok(TcpPort { listener, address })
    }
}

impl Listener for TcpPort {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Connection>> {
        self.listener.poll_accept(context).map(|accepted| {
            let (stream, _) = accepted?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Connection)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn bytes_go_from_a_connection_to_the_port() {
        let mut port = TcpNet.listen("127.0.0.1", 0).await.unwrap();
        let address = port.address();
        let (near, far) = tokio::join!(
            TcpNet.connect("127.0.0.1", address.port()),
            poll_fn(|context| port.poll_accept(context)),
        );
        let (mut near, mut far) = (near.unwrap(), far.unwrap());
        near.write_all(b"word").await.unwrap();
        drop(near);
        let mut heard = String::new();
        far.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "word");
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_passed_over_and_the_last_refusal_told() {
        let port = TcpNet.listen("127.0.0.1", 0).await.unwrap();
        let closed = TcpNet.listen("127.0.0.1", 0).await.unwrap().address();
        assert!(connect_any(vec![closed, port.address()]).await.is_ok());
        let refused = connect_any(vec![closed]).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert!(connect_any(Vec::new()).await.is_err());
    }
}
