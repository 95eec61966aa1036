//! The server's end of lines.

use super::MAGIC;
use super::frame::{BadFrame, Frame, length_of};
use alluxio_host::net::Connection;
use http_body_util::{BodyExt, Full};
use std::convert::Infallible;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::codegen::http::header::{CONTENT_TYPE, TE};
use tonic::codegen::http::{HeaderValue, Request, Response};
use tower::{Service, ServiceExt};

/// How long a connection may take to say what it is.
const FIRST_WORDS_WITHIN: Duration = Duration::from_secs(10);
/// A line on which nothing is called for so long is closed. Clients make new ones.
const IDLE_MAX: Duration = Duration::from_secs(120);
/// Room that is read into at a time. Longer frames grow it, and it shrinks after them.
const ROOM_BYTES: usize = 4 << 10;

/// A new connection, once it has said what it is.
pub(crate) enum Begun {
    /// HTTP/2, with what was read of it already.
    Http(Connection, [u8; MAGIC.len()]),
    /// A line that was greeted.
    Line(Connection),
}

/// Why a line is over before its client wanted it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Frame(#[from] BadFrame),
    #[error("the client sends before it is answered")]
    Impatient,
}

/// Finds out what a connection is. `None` when it says nothing, or ends.
pub(crate) async fn begin(mut connection: Connection) -> Option<Begun> {
    let mut first = [0; MAGIC.len()];
    let read = tokio::time::timeout(FIRST_WORDS_WITHIN, connection.read_exact(&mut first));
    read.await.ok()?.ok()?;
    if first != MAGIC {
        return Some(Begun::Http(connection, first));
    }
    connection.write_all(&MAGIC).await.ok()?;
    Some(Begun::Line(connection))
}

/// Serves a line, one call after the other, until its client closes it, it is idle for long, or `stopping`.
pub(crate) async fn serve<S>(
    mut connection: Connection,
    service: S,
    mut stopping: watch::Receiver<bool>,
) -> Result<(), LineError>
where
    S: Service<Request<Full<Bytes>>, Response = Response<Body>, Error = Infallible> + Clone,
{
    let mut room = Vec::with_capacity(ROOM_BYTES);
    loop {
        let request = tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return Ok(()),
            request = next(&mut connection, &mut room) => request?,
        };
        let Some(request) = request else { return Ok(()) };
        let mut early = [0; 1];
        let reply = tokio::select! {
            biased;
            reply = answer(service.clone(), request) => reply?,
            more = connection.read(&mut early) => match more? {
                // Nobody waits for the answer any more.
                0 => return Ok(()),
                _ => return Err(LineError::Impatient),
            },
        };
        connection.write_all(&reply).await?;
    }
}

/// The next request, if there is one.
async fn next(connection: &mut Connection, room: &mut Vec<u8>) -> Result<Option<Frame>, LineError> {
    room.clear();
    room.shrink_to(ROOM_BYTES);
    loop {
        if let Some(length) = length_of(room)? {
            match room.len() {
                have if have == length => break,
                have if have > length => return Err(LineError::Impatient),
                _ => {}
            }
        }
        room.reserve(ROOM_BYTES);
        let read = tokio::time::timeout(IDLE_MAX, connection.read_buf(room)).await;
        match read {
            Ok(Ok(1..)) => {}
            Ok(Ok(0)) | Err(_) => return Ok(None),
            Ok(Err(error)) => return Err(error.into()),
        }
    }
    Ok(Some(Frame::decode(Bytes::copy_from_slice(room))?))
}

/// Has a service answer, as if the call had come over HTTP/2.
async fn answer<S>(service: S, frame: Frame) -> Result<Vec<u8>, LineError>
where
    S: Service<Request<Full<Bytes>>, Response = Response<Body>, Error = Infallible>,
{
    let mut request = Request::new(Full::new(frame.body));
    *request.method_mut() = tonic::codegen::http::Method::POST;
    *request.version_mut() = tonic::codegen::http::Version::HTTP_2;
    *request.uri_mut() = frame.path.parse().unwrap_or_default();
    *request.headers_mut() = frame.metadata;
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
    let Ok(response) = service.oneshot(request).await;
    let (parts, body) = response.into_parts();
    let mut metadata = parts.headers;
    let body = match body.collect().await {
        Ok(whole) => {
            if let Some(trailers) = whole.trailers() {
                metadata.extend(trailers.clone());
            }
            whole.to_bytes()
        }
        Err(status) => {
            metadata.extend(status.into_http::<Body>().headers().clone());
            Bytes::new()
        }
    };
    metadata.remove(CONTENT_TYPE);
    Ok(Frame { path: String::new(), metadata, body }.encode()?)
}
