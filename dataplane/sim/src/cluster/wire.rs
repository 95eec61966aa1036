//! The network: connections between machines whose bytes take their time, are held back by partitions,
//! and are lost when a connection breaks or a machine vanishes.
//!
//! Nothing is delivered while a machine runs. The world delivers between two steps what is due, in one
//! order.

use alluxio_host::net::{Connection, Listener, NetFuture};
use alluxio_host::{Entropy, Net, SeededEntropy};
use bytes::{Buf, Bytes};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of one direction of a connection that may be under way.
const WINDOW_BYTES: usize = 256 << 10;
/// First port that is given to who asks for any.
const EPHEMERAL: u16 = 40_000;

/// A machine on the network.
pub(super) type MachineId = usize;

/// Where a machine is.
pub(super) fn address_of(machine: MachineId) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, u8::try_from(machine + 1).unwrap_or(u8::MAX)))
}

fn machine_at(host: &str) -> Option<MachineId> {
    match host.parse().ok()? {
        IpAddr::V4(address) => usize::from(address.octets()[3]).checked_sub(1),
        IpAddr::V6(_) => None,
    }
}

/// The network. Clones are the same one.
#[derive(Clone)]
pub(super) struct Wire(Arc<Mutex<State>>);

struct State {
    /// Milliseconds of the world.
    now: u64,
    /// Of parcels and connections.
    sequence: u64,
    dice: SeededEntropy,
    up: BTreeSet<MachineId>,
    ports: BTreeMap<(MachineId, u16), Port>,
    ends: BTreeMap<EndId, End>,
    flight: BTreeMap<(u64, u64), Parcel>,
    links: BTreeMap<(MachineId, MachineId), Link>,
    /// Most milliseconds that a parcel takes.
    latency_max: u64,
    /// Depends on every parcel that was delivered, and when; not on bytes, for replies carry the date of
    /// the real world.
    trace: u64,
    due: Vec<Waker>,
    /// Machines that something arrived at in this step.
    reached: BTreeSet<MachineId>,
}

/// One side of a connection: its number, and whether it is the side that connected.
type EndId = (u64, bool);

fn other((connection, side): EndId) -> EndId {
    (connection, !side)
}

#[derive(Default)]
struct Port {
    backlog: VecDeque<EndId>,
    waker: Option<Waker>,
}

struct End {
    machine: MachineId,
    peer: MachineId,
    inbox: VecDeque<Bytes>,
    /// Sent and not yet delivered.
    under_way: usize,
    established: bool,
    /// No more bytes come.
    ended: bool,
    broken: Option<io::ErrorKind>,
    fin_sent: bool,
    /// What is sent later is not delivered earlier.
    last_due: u64,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// One direction between two machines.
#[derive(Default)]
struct Link {
    cut: bool,
    slow_ms: u64,
    held: VecDeque<Parcel>,
}

struct Parcel {
    from: MachineId,
    to: MachineId,
    /// The side that gets it.
    end: EndId,
    what: What,
}

enum What {
    Open(u16),
    Opened,
    Data(Bytes),
    Fin,
    Break(io::ErrorKind),
}

impl Wire {
    pub(super) fn new(seed: u64, latency_max: u64) -> Self {
        Wire(Arc::new(Mutex::new(State {
            now: 0,
            sequence: 0,
            dice: SeededEntropy::new(seed),
            up: BTreeSet::new(),
            ports: BTreeMap::new(),
            ends: BTreeMap::new(),
            flight: BTreeMap::new(),
            links: BTreeMap::new(),
            latency_max,
            trace: seed,
            due: Vec::new(),
            reached: BTreeSet::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, then wakes whom that concerns.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let result = change(&mut state);
        let due = std::mem::take(&mut state.due);
        drop(state);
        due.into_iter().for_each(Waker::wake);
        result
    }

    /// Delivers all that is due at `now`; returns the machines that something arrived at.
    pub(super) fn deliver(&self, now: u64) -> BTreeSet<MachineId> {
        self.change(|state| {
            state.now = now;
            while let Some(first) = state.flight.first_entry().filter(|first| first.key().0 <= now)
            {
                let parcel = first.remove();
                state.arrive(parcel);
            }
            std::mem::take(&mut state.reached)
        })
    }

    /// What was delivered so far, as a number.
    pub(super) fn trace(&self) -> u64 {
        self.state().trace
    }

    /// A machine is there; its kernel answers.
    pub(super) fn plug_in(&self, machine: MachineId) {
        self.change(|state| state.up.insert(machine));
    }

    /// A process is gone: the kernel closes its connections.
    pub(super) fn close_all(&self, machine: MachineId) {
        self.change(|state| {
            for (id, end) in state.take_ends(machine) {
                state.answer(id, &end, What::Break(io::ErrorKind::ConnectionReset));
            }
        });
    }

    /// A machine is gone, and nobody is told.
    pub(super) fn unplug(&self, machine: MachineId) {
        self.change(|state| {
            state.take_ends(machine);
            state.up.remove(&machine);
        });
    }

    /// Holds all back that goes from one machine to another, or lets it through again.
    pub(super) fn cut(&self, from: MachineId, to: MachineId, cut: bool) {
        self.change(|state| {
            let link = state.links.entry((from, to)).or_default();
            link.cut = cut;
            if !cut {
                for parcel in std::mem::take(&mut link.held) {
                    state.send(parcel);
                }
            }
        });
    }

    /// Makes all that goes from one machine to another take longer.
    pub(super) fn slow(&self, from: MachineId, to: MachineId, slow_ms: u64) {
        self.change(|state| state.links.entry((from, to)).or_default().slow_ms = slow_ms);
    }

    /// Ends all partitions and delays.
    pub(super) fn heal(&self) {
        let links: Vec<_> = self.state().links.keys().copied().collect();
        for (from, to) in links {
            self.slow(from, to, 0);
            self.cut(from, to, false);
        }
    }

    /// Breaks all connections between two machines; what is under way is lost.
    pub(super) fn break_between(&self, one: MachineId, two: MachineId) {
        self.change(|state| {
            let hit: Vec<EndId> = state
                .ends
                .iter()
                .filter(|(_, end)| [(one, two), (two, one)].contains(&(end.machine, end.peer)))
                .map(|(id, _)| *id)
                .collect();
            for id in hit {
                state.break_end(id, io::ErrorKind::ConnectionReset);
            }
        });
    }
}

/// Adds a word to a trace: every bit of it changes half of the result.
pub(super) fn mix(trace: u64, word: u64) -> u64 {
    // The finalizer of SplitMix64.
    let mut z = trace.rotate_left(5) ^ word;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl State {
    fn mix(&mut self, word: u64) {
        self.trace = mix(self.trace, word);
    }

    fn next(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    fn take_ends(&mut self, machine: MachineId) -> BTreeMap<EndId, End> {
        self.ports.retain(|(at, _), _| *at != machine);
        let all = std::mem::take(&mut self.ends);
        let (gone, kept) = all.into_iter().partition(|(_, end)| end.machine == machine);
        self.ends = kept;
        gone
    }

    /// Sends something to the other side of an end.
    fn answer(&mut self, id: EndId, end: &End, what: What) {
        self.send(Parcel { from: end.machine, to: end.peer, end: other(id), what });
    }

    fn send(&mut self, parcel: Parcel) {
        let slow = self.links.get(&(parcel.from, parcel.to)).map_or(0, |link| link.slow_ms);
        let mut due = self.now + 1 + self.dice.below(self.latency_max) + slow;
        if let Some(sender) = self.ends.get_mut(&other(parcel.end)) {
            due = due.max(sender.last_due);
            sender.last_due = due;
        }
        let sequence = self.next();
        self.flight.insert((due, sequence), parcel);
    }

    fn arrive(&mut self, parcel: Parcel) {
        let link = self.links.entry((parcel.from, parcel.to)).or_default();
        if link.cut {
            return link.held.push_back(parcel);
        }
        if !self.up.contains(&parcel.to) {
            return;
        }
        let Parcel { from, to, end, what } = parcel;
        // An arrival also makes room at the sender.
        self.reached.extend([from, to]);
        self.mix(self.now << 20 ^ end.0 << 1 ^ u64::from(end.1));
        match what {
            What::Open(port) => self.open(from, to, end, port),
            What::Opened => {
                if let Some(end) = self.ends.get_mut(&end) {
                    end.established = true;
                    self.due.extend(end.reader.take());
                }
            }
            What::Data(bytes) => self.data(from, to, end, bytes),
            What::Fin => {
                if let Some(end) = self.ends.get_mut(&end) {
                    end.ended = true;
                    self.due.extend(end.reader.take());
                }
            }
            What::Break(kind) => self.break_end(end, kind),
        }
    }

    fn open(&mut self, from: MachineId, to: MachineId, end: EndId, port: u16) {
        if !self.ends.contains_key(&other(end)) {
            // Given up meanwhile.
            return;
        }
        let what = match self.ports.get_mut(&(to, port)) {
            None => What::Break(io::ErrorKind::ConnectionRefused),
            Some(port) => {
                port.backlog.push_back(end);
                self.due.extend(port.waker.take());
                self.ends.insert(end, End::new(to, from, true));
                What::Opened
            }
        };
        self.send(Parcel { from: to, to: from, end: other(end), what });
    }

    fn data(&mut self, from: MachineId, to: MachineId, id: EndId, bytes: Bytes) {
        let length = bytes.len();
        match self.ends.get_mut(&id) {
            Some(end) => {
                end.inbox.push_back(bytes);
                self.due.extend(end.reader.take());
                if let Some(sender) = self.ends.get_mut(&other(id)) {
                    sender.under_way -= length;
                    self.due.extend(sender.writer.take());
                }
            }
            None => {
                let what = What::Break(io::ErrorKind::ConnectionReset);
                self.send(Parcel { from: to, to: from, end: other(id), what });
            }
        }
    }

    fn break_end(&mut self, id: EndId, kind: io::ErrorKind) {
        if let Some(end) = self.ends.get_mut(&id) {
            end.broken.get_or_insert(kind);
            self.due.extend(end.reader.take());
            self.due.extend(end.writer.take());
        }
    }
}

impl End {
    fn new(machine: MachineId, peer: MachineId, established: bool) -> Self {
        End {
            machine,
            peer,
            inbox: VecDeque::new(),
            under_way: 0,
            established,
            ended: false,
            broken: None,
            fin_sent: false,
            last_due: 0,
            reader: None,
            writer: None,
        }
    }
}

/// The network as one machine sees it.
pub(super) struct Nic {
    pub(super) wire: Wire,
    pub(super) machine: MachineId,
}

impl Net for Nic {
    fn connect(&self, host: &str, port: u16) -> NetFuture<Connection> {
        let Some(to) = machine_at(host) else {
            let unknown = io::Error::new(io::ErrorKind::NotFound, format!("no machine {host}"));
            return Box::pin(std::future::ready(Err(unknown)));
        };
        let id = self.wire.change(|state| {
            let id = (state.next(), true);
            state.ends.insert(id, End::new(self.machine, to, false));
            let what = What::Open(port);
            state.send(Parcel { from: self.machine, to, end: other(id), what });
            id
        });
        let stream = Stream { wire: self.wire.clone(), id };
        Box::pin(async move {
            poll_fn(|context| stream.poll_established(context)).await?;
            Ok(Box::new(stream) as Connection)
        })
    }

    fn listen(&self, _host: &str, port: u16) -> NetFuture<Box<dyn Listener>> {
        let (machine, wire) = (self.machine, self.wire.clone());
        let port = self.wire.change(|state| {
            let free = |port: &u16| !state.ports.contains_key(&(machine, *port));
            let port = if port == 0 { (EPHEMERAL..).find(free) } else { Some(port).filter(free) };
            port.inspect(|port| drop(state.ports.insert((machine, *port), Port::default())))
        });
        Box::pin(std::future::ready(match port {
            Some(port) => {
                let address = SocketAddr::new(address_of(machine), port);
                Ok(Box::new(Accepting { wire, machine, address }) as Box<dyn Listener>)
            }
            None => Err(io::ErrorKind::AddrInUse.into()),
        }))
    }
}

struct Accepting {
    wire: Wire,
    machine: MachineId,
    address: SocketAddr,
}

impl Listener for Accepting {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Connection>> {
        let mut state = self.wire.state();
        let Some(port) = state.ports.get_mut(&(self.machine, self.address.port())) else {
            // Of a process that is gone.
            return Poll::Pending;
        };
        match port.backlog.pop_front() {
            Some(id) => {
                let stream = Stream { wire: self.wire.clone(), id };
                Poll::Ready(Ok(Box::new(stream) as Connection))
            }
            None => {
                port.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        let key = (self.machine, self.address.port());
        self.wire.change(|state| {
            for id in state.ports.remove(&key).map(|port| port.backlog).unwrap_or_default() {
                if let Some(end) = state.ends.remove(&id) {
                    state.answer(id, &end, What::Break(io::ErrorKind::ConnectionReset));
                }
            }
        });
    }
}

/// One side of a connection, as its owner has it.
struct Stream {
    wire: Wire,
    id: EndId,
}

impl Stream {
    fn poll_established(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.wire.state();
        match state.ends.get_mut(&self.id) {
            None => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Some(End { broken: Some(kind), .. }) => Poll::Ready(Err((*kind).into())),
            Some(end) if end.established => Poll::Ready(Ok(())),
            Some(end) => {
                end.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Says that no more bytes come from here.
    fn finish(&self) {
        self.wire.change(|state| {
            let Some(end) = state.ends.get_mut(&self.id) else { return };
            if !std::mem::replace(&mut end.fin_sent, true) && end.broken.is_none() {
                let (from, to) = (end.machine, end.peer);
                state.send(Parcel { from, to, end: other(self.id), what: What::Fin });
            }
        });
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.wire.state();
        let Some(end) = state.ends.get_mut(&self.id) else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        };
        if let Some(kind) = end.broken {
            return Poll::Ready(Err(kind.into()));
        }
        if let Some(bytes) = end.inbox.front_mut() {
            let some = bytes.len().min(buffer.remaining());
            buffer.put_slice(&bytes[..some]);
            bytes.advance(some);
            if bytes.is_empty() {
                end.inbox.pop_front();
            }
            return Poll::Ready(Ok(()));
        }
        if end.ended {
            return Poll::Ready(Ok(()));
        }
        end.reader = Some(context.waker().clone());
        Poll::Pending
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.wire.state();
        let Some(end) = state.ends.get_mut(&self.id) else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        };
        if let Some(kind) = end.broken {
            return Poll::Ready(Err(kind.into()));
        }
        if end.fin_sent {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if end.under_way >= WINDOW_BYTES {
            end.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        let some = bytes.len().min(WINDOW_BYTES);
        end.under_way += some;
        let (from, to) = (end.machine, end.peer);
        let what = What::Data(Bytes::copy_from_slice(&bytes[..some]));
        state.send(Parcel { from, to, end: other(self.id), what });
        Poll::Ready(Ok(some))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.finish();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.finish();
        self.wire.change(|state| state.ends.remove(&self.id));
    }
}
