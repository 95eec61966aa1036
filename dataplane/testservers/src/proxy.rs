//! A TCP proxy whose link can be cut, in one direction or both, for some callers or all, and slowed
//! down.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Listens on a free port and forwards to one address.
pub struct Proxy {
    port: u16,
    link: Arc<Link>,
}

#[derive(Default, Clone, Copy)]
struct Cut {
    requests: bool,
    replies: bool,
}

#[derive(Default)]
struct Link {
    state: Mutex<State>,
    changed: Condvar,
}

/// Who connects to a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callers {
    /// The process that the proxy runs in.
    ThisProcess,
    /// All others.
    Others,
}

#[derive(Default, Clone, Copy)]
struct State {
    /// By [`Callers`].
    cuts: [Cut; 2],
    delay: Duration,
    /// Connections of an earlier generation are reset.
    generation: u64,
    closed: bool,
}

impl Link {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    /// Waits while bytes in this direction may not pass; `false` when the connection is to end.
    fn pass(&self, callers: Callers, replies: bool, generation: u64) -> bool {
        let cut = |state: &mut State| {
            let cut = state.cuts[callers as usize];
            let cut = if replies { cut.replies } else { cut.requests };
            cut && !state.closed && state.generation == generation
        };
        let state = self.changed.wait_while(self.state(), cut);
        let state = *state.unwrap_or_else(PoisonError::into_inner);
        if !state.delay.is_zero() {
            std::thread::sleep(state.delay);
        }
        !state.closed && state.generation == generation
    }
}

impl Proxy {
    /// A proxy to `target`, `host:port`, on a free port.
    ///
    /// **Panics** when `target` is not an address.
    pub fn to(target: &str) -> Proxy {
        Self::on(0, target)
    }

    /// A proxy to `target` on `port` of 127.0.0.1.
    ///
    /// **Panics** when `target` is not an address, or the port is taken.
    pub fn on(port: u16, target: &str) -> Proxy {
        let target: SocketAddr = target.parse().expect("an address with a port");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let link = Arc::new(Link::default());
        let shared = link.clone();
        std::thread::spawn(move || accept(&listener, target, &shared));
        Proxy { port, link }
    }

    /// `host:port` where it listens.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Bytes stop in both directions; connections stay, and new ones get no answer.
    pub fn partition(&self) {
        self.link.change(|state| state.cuts = [Cut { requests: true, replies: true }; 2]);
    }

    /// As [`Proxy::partition`], for these callers only.
    pub fn partition_from(&self, callers: Callers) {
        let cut = Cut { requests: true, replies: true };
        self.link.change(|state| state.cuts[callers as usize] = cut);
    }

    /// Requests arrive, replies do not.
    pub fn cut_replies(&self) {
        self.link.change(|state| state.cuts.iter_mut().for_each(|cut| cut.replies = true));
    }

    /// Ends every cut; what was held back arrives now.
    pub fn heal(&self) {
        self.link.change(|state| state.cuts = [Cut::default(); 2]);
    }

    /// Every piece that is forwarded comes this much later.
    pub fn delay(&self, delay: Duration) {
        self.link.change(|state| state.delay = delay);
    }

    /// Ends all connections; what was held back is lost.
    pub fn reset(&self) {
        self.link.change(|state| state.generation += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.link.change(|state| state.closed = true);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn accept(listener: &TcpListener, target: SocketAddr, link: &Arc<Link>) {
    for client in listener.incoming() {
        let state = *link.state();
        if state.closed {
            return;
        }
        let Ok(client) = client else { continue };
        let callers = callers_of(&client);
        let Ok(server) = TcpStream::connect(target) else { continue };
        // Small messages both ways: waiting for more would be a delay of its own.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (Ok(client_too), Ok(server_too)) = (client.try_clone(), server.try_clone()) else {
            continue;
        };
        let (there, back) = (link.clone(), link.clone());
        let generation = state.generation;
        std::thread::spawn(move || pump(client, server, &there, (callers, false), generation));
        std::thread::spawn(move || {
            pump(server_too, client_too, &back, (callers, true), generation)
        });
    }
}

/// Whose socket the other end of a loopback connection is.
fn callers_of(connection: &TcpStream) -> Callers {
    let ours = || {
        let SocketAddr::V4(peer) = connection.peer_addr().ok()? else { return None };
        let table = std::fs::read_to_string("/proc/self/net/tcp").ok()?;
        // As the kernel prints an address: the bytes in memory as one number, and the port.
        let address = format!("{:08X}:{:04X}", u32::from_ne_bytes(peer.ip().octets()), peer.port());
        let inode = table.lines().find_map(|line| {
            let mut fields = line.split_whitespace();
            (fields.nth(1)? == address).then(|| fields.nth(7)).flatten()
        })?;
        let socket = PathBuf::from(format!("socket:[{inode}]"));
        let mut open = std::fs::read_dir("/proc/self/fd").ok()?.flatten();
        open.find(|fd| std::fs::read_link(fd.path()).is_ok_and(|target| target == socket))
    };
    if ours().is_some() { Callers::ThisProcess } else { Callers::Others }
}

/// Forwards one direction until it ends.
fn pump(
    mut from: TcpStream,
    mut to: TcpStream,
    link: &Link,
    (callers, replies): (Callers, bool),
    generation: u64,
) {
    /// How often a quiet connection looks whether it was reset.
    const LOOK: Duration = Duration::from_millis(50);
    let mut buffer = vec![0; 64 << 10];
    let _ = from.set_read_timeout(Some(LOOK));
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if is_timeout(&error) => {
                let state = *link.state();
                if state.closed || state.generation != generation {
                    break;
                }
                continue;
            }
            Err(_) => break,
        };
        if !link.pass(callers, replies, generation) || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

/// Waits until `condition` holds, looking every few milliseconds.
///
/// **Panics** after `limit`, saying `what` was waited for.
pub fn eventually(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "{what} did not happen within {limit:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
