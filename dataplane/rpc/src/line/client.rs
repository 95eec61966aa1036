//! The client's end of lines, and the choice between a line and HTTP/2.

use super::MAGIC;
use super::frame::{BadFrame, Frame, length_of};
use crate::primary::HostPort;
use alluxio_host::waiting;
use http_body_util::{BodyExt, Full};
use rustix::net::{RecvFlags, recv};
use std::future::Future;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::header::{CONTENT_TYPE, TE, USER_AGENT};
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{Bytes, StdError};
use tonic::transport::Channel;
use tower::{Service, ServiceExt};

/// Lines that are kept for the next calls to one server, and that are made at the same time: calls beyond that
/// share a connection of HTTP/2, which is made for many.
const LINES_MAX: usize = 16;
/// How long making a line may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A server that gave no line is asked again after so long: it may have been replaced by one that does.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
/// Room that is read into at a time: most answers are shorter.
const ROOM_BYTES: usize = 2 << 10;

/// The lines to one server.
#[derive(Debug)]
pub(crate) struct Lines {
    address: HostPort,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<TcpStream>,
    /// Lines that there are, or that are being made.
    count: usize,
    /// Whether one is being made.
    making: bool,
    /// No line is made before this.
    not_before: Option<Instant>,
}

/// A line in use; gone when it is dropped, unless it is given back.
struct Line {
    lines: Arc<Lines>,
    stream: Option<TcpStream>,
}

impl Drop for Line {
    fn drop(&mut self) {
        let mut state = self.lines.state();
        match self.stream.take() {
            Some(stream) => state.idle.push(stream),
            None => state.count -= 1,
        }
    }
}

impl Lines {
    pub(crate) fn new(address: HostPort) -> Arc<Self> {
        Arc::new(Lines { address, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line that is free. When there is none, one is made for later calls.
    fn take(self: &Arc<Self>) -> Option<Line> {
        loop {
            let mut state = self.state();
            let Some(stream) = state.idle.pop() else {
                let now = Instant::now();
                let early = state.not_before.is_some_and(|at| now < at);
                if !state.making && !early && state.count < LINES_MAX {
                    (state.making, state.count) = (true, state.count + 1);
                    drop(state);
                    tokio::spawn(self.clone().make());
                }
                return None;
            };
            let is_open = matches!(
                recv(&stream, &mut [0u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT),
                Err(rustix::io::Errno::AGAIN)
            );
            if is_open {
                drop(state);
                return Some(Line { lines: self.clone(), stream: Some(stream) });
            }
            state.count -= 1;
        }
    }

    async fn make(self: Arc<Self>) {
        let made = tokio::time::timeout(CONNECT_TIMEOUT, connect(&self.address)).await;
        let made = made.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
        let mut state = self.state();
        state.making = false;
        match made {
            Ok(stream) => state.idle.push(stream),
            Err(error) => {
                tracing::debug!(address = %self.address, %error, "no line, calls share a connection");
                state.count -= 1;
                state.not_before = Some(Instant::now() + AGAIN_AFTER);
            }
        }
    }
}

#[cfg(test)]
impl Lines {
    pub(super) fn idle(&self) -> usize {
        self.state().idle.len()
    }

    pub(super) fn count(&self) -> usize {
        self.state().count
    }

    pub(super) fn is_available(self: &Arc<Self>) -> bool {
        self.take().is_some()
    }
}

async fn connect(address: &HostPort) -> io::Result<TcpStream> {
    let host = address.host.trim_start_matches('[').trim_end_matches(']');
    let mut stream = tokio::net::TcpStream::connect((host, address.port)).await?;
    stream.set_nodelay(true)?;
    stream.write_all(&MAGIC).await?;
    let mut greeting = [0; MAGIC.len()];
    stream.read_exact(&mut greeting).await?;
    if greeting != MAGIC {
        return Err(io::Error::new(ErrorKind::InvalidData, "the server knows no lines"));
    }
    stream.into_std()
}

/// A way to a server: HTTP/2, and lines where they are wanted.
#[derive(Debug, Clone)]
pub struct Transport {
    channel: Channel,
    lines: Option<Arc<Lines>>,
}

impl From<Channel> for Transport {
    fn from(channel: Channel) -> Self {
        Transport { channel, lines: None }
    }
}

impl Transport {
    /// With lines. Only for calls with one message in each direction.
    pub(crate) fn with_lines(channel: Channel, lines: Option<Arc<Lines>>) -> Self {
        Transport { channel, lines }
    }
}

/// The answer, once it is there.
type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, StdError>> + Send>>;

impl Service<Request<Body>> for Transport {
    type Response = Response<Body>;
    type Error = StdError;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StdError>> {
        // Asked of the channel when it is known that it is needed.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        if let Some(line) = self.lines.as_ref().and_then(Lines::take) {
            return Box::pin(async move { Ok(line.call(request).await?) });
        }
        let channel = self.channel.clone();
        Box::pin(async move { Ok(channel.oneshot(request).await?) })
    }
}

/// A call that broke off may have been carried out: for those who repeat calls it is as one over HTTP/2.
fn broken(error: impl std::fmt::Display) -> Status {
    Status::unavailable(format!("the line to the server broke: {error}"))
}

impl From<BadFrame> for io::Error {
    fn from(bad: BadFrame) -> Self {
        io::Error::new(ErrorKind::InvalidData, bad)
    }
}

impl Line {
    async fn call(mut self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let (parts, body) = request.into_parts();
        let mut metadata = parts.headers;
        for known in [CONTENT_TYPE, TE, USER_AGENT] {
            metadata.remove(known);
        }
        let body = body.collect().await?.to_bytes();
        let frame = Frame { path: parts.uri.path().to_owned(), metadata, body };
        let request = frame.encode().map_err(|bad| Status::out_of_range(bad.to_string()))?;
        let stream = self.stream.take().ok_or_else(|| broken("it is gone"))?;
        // The line is given back whole, or not at all: the future may be dropped at any time.
        let (stream, reply) = exchange(stream, &request).await.map_err(broken)?;
        self.stream = Some(stream);
        Ok(response_of(Frame::decode(reply).map_err(broken)?))
    }
}

/// As a response of HTTP/2: what has a body has its status behind it.
fn response_of(frame: Frame) -> Response<Body> {
    if frame.body.is_empty() {
        let mut response = Response::new(Body::empty());
        *response.headers_mut() = frame.metadata;
        return response;
    }
    let trailers = std::future::ready(Some(Ok(frame.metadata)));
    Response::new(Body::new(Full::new(frame.body).with_trailers(trailers)))
}

/// Sends a request and reads its answer: on this thread as long as it may wait, else as tasks do.
async fn exchange(mut stream: TcpStream, request: &[u8]) -> io::Result<(TcpStream, Bytes)> {
    let sent = match stream.write(request) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        sent => sent?,
    };
    let mut reply = Vec::with_capacity(ROOM_BYTES);
    if sent == request.len() && read_here(&mut stream, &mut reply)? {
        return Ok((stream, reply.into()));
    }
    let mut stream = tokio::net::TcpStream::from_std(stream)?;
    stream.write_all(&request[sent..]).await?;
    while !is_whole(&reply)? {
        reply.reserve(ROOM_BYTES);
        if stream.read_buf(&mut reply).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    Ok((stream.into_std()?, reply.into()))
}

/// Whether all of a reply, and nothing else, is here.
fn is_whole(reply: &[u8]) -> io::Result<bool> {
    match length_of(reply)? {
        Some(length) if reply.len() > length => {
            Err(io::Error::new(ErrorKind::InvalidData, "more than an answer"))
        }
        Some(length) => Ok(reply.len() == length),
        None => Ok(false),
    }
}

/// Waits for the answer on this thread, if that is allowed, and no longer; whether it is here.
fn read_here(stream: &mut TcpStream, reply: &mut Vec<u8>) -> io::Result<bool> {
    while waiting::readable(&*stream)? {
        let have = reply.len();
        reply.resize(have + ROOM_BYTES, 0);
        let read = stream.read(&mut reply[have..]);
        reply.truncate(have + read.as_ref().map_or(0, |count| *count));
        match read {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) if is_whole(reply)? => return Ok(true),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}
