//! One connection: handshake, then requests one after the other.
//!
//! ```text
//! greeting ──▶ idle ──▶ reading ──▶ idle          end of the connection, at any point:
//!               │  └──▶ session ──▶ idle          leases end, the session aborts
//!               └─────▶ closed (peer, stop, idle too long, broken rule)
//! ```

use super::{ServerCounters, Shared};
use crate::codec;
use crate::error::{Error, ProtocolError, Refusal};
use crate::frame::Frame;
use crate::link::Link;
use crate::message::{FailedPart, Hello, VERSION, Welcome};
use crate::service::{HeldBlock, Peer};
use crate::socket::Socket;
use alluxio_types::Code;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Blocks that a connection holds under lease.
pub(super) struct Leases {
    held: HashMap<u32, Arc<dyn HeldBlock>>,
    last: u32,
    counters: Arc<ServerCounters>,
}

impl Leases {
    pub(super) fn count(&self) -> usize {
        self.held.len()
    }

    /// Keeps the block until its number is released.
    pub(super) fn keep(&mut self, block: Arc<dyn HeldBlock>) -> u32 {
        // Numbers wrap after 2^32 leases; one that is still held is passed over.
        loop {
            self.last = self.last.wrapping_add(1).max(1);
            if !self.held.contains_key(&self.last) {
                break;
            }
        }
        self.held.insert(self.last, block);
        ServerCounters::add(&self.counters.leases, 1);
        self.last
    }

    /// Ends a lease; an unknown number means nothing.
    pub(super) fn release(&mut self, lease: u32) {
        if self.held.remove(&lease).is_some() {
            ServerCounters::sub(&self.counters.leases, 1);
        }
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        ServerCounters::sub(&self.counters.leases, self.held.len() as u64);
    }
}

/// A connection after its handshake.
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) link: Link,
    pub(super) peer: Peer,
    pub(super) leases: Leases,
    /// Buffer of the last read, for the next one.
    pub(super) spare: Option<Vec<u8>>,
}

/// Serves a connection to its end.
pub(super) async fn serve(shared: Arc<Shared>, socket: Socket, address: String) {
    let counters = shared.counters.clone();
    ServerCounters::add(&counters.connections, 1);
    if let Err(error) = serve_all(shared, socket, address.clone()).await {
        match error {
            // A client that goes away is daily life.
            Error::Closed { .. } | Error::Broken { .. } => {
                tracing::debug!(%address, %error, "a data connection ended early");
            }
            _ => {
                ServerCounters::add(&counters.connections_broken, 1);
                tracing::warn!(%address, %error, "a data connection was ended");
            }
        }
    }
    ServerCounters::sub(&counters.connections, 1);
}

async fn serve_all(shared: Arc<Shared>, socket: Socket, address: String) -> Result<(), Error> {
    let transport = socket.transport();
    let mut link = Link::new(Arc::new(socket), address.clone());
    let Some(hello) = greet(&shared, &mut link).await? else { return Ok(()) };
    let peer = Peer { user: hello.user, transport, address, token: None };
    let leases = Leases { held: HashMap::new(), last: 0, counters: shared.counters.clone() };
    let mut connection = Connection { shared, link, peer, leases, spare: None };
    let mut stopping = connection.shared.stopping.clone();
    loop {
        let idle = connection.shared.options.idle;
        match next_event(&mut stopping, &mut connection.link, idle).await {
            Event::Stop | Event::Frame(Ok(None)) => return Ok(()),
            Event::Frame(Ok(Some((id, frame)))) => connection.handle(id, frame).await?,
            Event::Frame(Err(Error::Stalled { .. })) if connection.link.is_between_frames() => {
                if connection.leases.count() == 0 {
                    return Ok(());
                }
            }
            Event::Frame(Err(error)) => return Err(error),
        }
    }
}

enum Event {
    Stop,
    Frame(Result<Option<(u32, Frame)>, Error>),
}

/// **Cancel safety**: both sources are.
async fn next_event(
    stopping: &mut watch::Receiver<bool>,
    link: &mut Link,
    idle: Duration,
) -> Event {
    tokio::select! {
        biased;
        _ = stopping.wait_for(|stop| *stop) => Event::Stop,
        frame = link.receive("waiting for a request", idle) => Event::Frame(frame),
    }
}

/// Hello and Welcome; `None` when the client left or was refused.
async fn greet(shared: &Shared, link: &mut Link) -> Result<Option<Hello>, Error> {
    let patience = shared.options.handshake;
    let whole = tokio::time::timeout(patience, link.receive("waiting for hello", patience)).await;
    let Ok(received) = whole else {
        let peer = link.peer().to_owned();
        return Err(Error::Stalled { peer, doing: "waiting for hello", waited: patience });
    };
    let Some((id, frame)) = received? else { return Ok(None) };
    let Frame::Hello(hello) = frame else {
        return Err(ProtocolError::Unexpected {
            got: frame.kind().name(),
            doing: "waiting for hello",
        }
        .into());
    };
    let ours = &shared.identity;
    let refusal = if hello.version == 0 {
        Some(Refusal::new(Code::Unimplemented, "version 0 of the data protocol is not spoken here"))
    } else if !hello.cluster_id.is_empty()
        && !ours.cluster.get().is_empty()
        && hello.cluster_id != ours.cluster.get()
    {
        Some(Refusal::new(
            Code::FailedPrecondition,
            format!("this worker belongs to cluster {}", ours.cluster.get()),
        ))
    } else {
        None
    };
    let answer = match refusal {
        Some(refusal) => {
            ServerCounters::add(&shared.counters.refusals, 1);
            let frame = Frame::Error { part: FailedPart::Request, refusal };
            link.send(id, &frame, "greeting", patience).await?;
            return Ok(None);
        }
        None => Frame::Welcome(Welcome {
            version: hello.version.min(VERSION),
            cluster_id: ours.cluster.get().to_owned(),
            worker: ours.worker,
        }),
    };
    link.send(id, &answer, "greeting", patience).await?;
    Ok(Some(hello))
}

/// Tells a client that there are too many, without spending a task on it.
pub(super) fn turn_away(socket: Socket, address: String) {
    let refusal = Refusal::new(Code::Busy, "too many connections to this worker");
    let mut bytes = Vec::new();
    let frame = Frame::Error { part: FailedPart::Request, refusal };
    // A new socket has room for this frame; if not, the closed socket says enough.
    if codec::encode(1, &frame, &mut bytes).is_ok() {
        let _ = socket.try_write(&bytes);
    }
    tracing::debug!(%address, "turned a data connection away");
}

impl Connection {
    async fn handle(&mut self, id: u32, frame: Frame) -> Result<(), Error> {
        match frame {
            Frame::Read(request) => self.serve_read(id, request).await,
            Frame::OpenUfs(_)
            | Frame::OpenBlock(_)
            | Frame::Grow { .. }
            | Frame::UfsAppendFromBlock { .. }
            | Frame::CommitBlock { .. }
            | Frame::AbortBlock
            | Frame::FinishUfs { .. }
            | Frame::AbortUfs
            | Frame::EndSession => self.serve_session(id, frame).await,
            other => self.handle_aside(&other, "waiting for a request").await,
        }
    }

    /// Frames that are fine at almost any time, and have no answer.
    pub(super) async fn handle_aside(
        &mut self,
        frame: &Frame,
        doing: &'static str,
    ) -> Result<(), Error> {
        match frame {
            Frame::Release { lease } => self.leases.release(*lease),
            // It crossed the end of its stream.
            Frame::Cancel => {}
            Frame::Present { token } => self.peer.token = Some(token.as_slice().into()),
            Frame::ReportCorrupt { block, offset } => {
                self.shared.service.report_corrupt(&self.peer, *block, *offset).await;
            }
            other => {
                return Err(ProtocolError::Unexpected { got: other.kind().name(), doing }.into());
            }
        }
        Ok(())
    }

    /// Answers with an error.
    pub(super) async fn refuse(
        &mut self,
        id: u32,
        part: FailedPart,
        refusal: Refusal,
    ) -> Result<(), Error> {
        ServerCounters::add(&self.shared.counters.refusals, 1);
        self.answer(id, &Frame::Error { part, refusal }).await
    }

    /// Answers.
    pub(super) async fn answer(&mut self, id: u32, frame: &Frame) -> Result<(), Error> {
        self.link.send(id, frame, "answering", self.shared.options.stall).await
    }
}

/// Works until done (`Some`), or until the client cancels request `id` (`None`). A client that
/// closes, or says what makes no sense now, ends the connection.
///
/// **Cancel safety**: that of `work`, which is dropped when the client cancels.
pub(super) async fn unless_cancelled<T>(
    link: &mut Link,
    leases: &mut Leases,
    id: u32,
    work: impl Future<Output = T>,
) -> Result<Option<T>, Error> {
    tokio::select! {
        biased;
        done = work => Ok(Some(done)),
        end = cancelled(link, leases, id) => end.map(|()| None),
    }
}

async fn cancelled(link: &mut Link, leases: &mut Leases, id: u32) -> Result<(), Error> {
    /// A request may take as long as it takes: the client ends it by closing or cancelling.
    const NO_LIMIT: Duration = Duration::from_secs(365 * 24 * 3600);
    loop {
        match link.receive("answering a read", NO_LIMIT).await? {
            Some((got, Frame::Cancel)) if got == id => return Ok(()),
            Some((_, frame)) => aside_while_reading(leases, &frame)?,
            None => {
                let peer = link.peer().to_owned();
                return Err(Error::Closed { peer, doing: "answering a read" });
            }
        }
    }
}

/// Whether the client has cancelled request `id`; does not wait.
pub(super) fn was_cancelled(link: &mut Link, leases: &mut Leases, id: u32) -> Result<bool, Error> {
    while let Some((got, frame)) = link.try_receive("sending data")? {
        match frame {
            Frame::Cancel if got == id => return Ok(true),
            frame => aside_while_reading(leases, &frame)?,
        }
    }
    Ok(false)
}

fn aside_while_reading(leases: &mut Leases, frame: &Frame) -> Result<(), Error> {
    match frame {
        Frame::Release { lease } => leases.release(*lease),
        Frame::Cancel => {}
        other => {
            let doing = "answering a read";
            return Err(ProtocolError::Unexpected { got: other.kind().name(), doing }.into());
        }
    }
    Ok(())
}
