//! The threads that read.

use super::SessionError;
use super::buffers::Pool;
use super::channel::{Channel, Read};
use super::connection::Connection;
use super::counters::Counters;
use super::life::Life;
use super::negotiate::Negotiated;
use super::request::{Reply, Request};
use crate::abi::{Operation, UNIQUE_RESEND};
use crate::filesystem::FileSystem;
use crate::sys;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often a thread that reads is woken until it has ended, and how often replies that are owed are
/// counted.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// A connection that is being served.
#[derive(Debug)]
pub struct Session {
    threads: Vec<JoinHandle<()>>,
    counters: Arc<Counters>,
    life: Arc<Life>,
    pool: Arc<Pool>,
}

impl Connection {
    /// Serves it: one thread for each clone, or one on the mounted descriptor when there are none. At most
    /// `buffers` requests (at least two a thread) are held at a time.
    ///
    /// **Errors**: `Device` when a thread cannot be started.
    pub fn run(
        self,
        filesystem: Arc<dyn FileSystem>,
        buffers: usize,
    ) -> Result<Session, SessionError> {
        sys::can_be_woken().map_err(SessionError::device("preparing a signal"))?;
        let (counters, life) = (Arc::new(Counters::default()), Arc::new(Life::default()));
        let channels = if self.clones.is_empty() { vec![self.main] } else { self.clones };
        life.readers.are(channels.len());
        let most = buffers.max(2 * channels.len());
        let pool = Pool::new(self.negotiated.buffer_bytes(), most);
        let mut session = Session { threads: Vec::new(), counters, life, pool };
        for (number, channel) in channels.into_iter().enumerate() {
            let serving = Serving {
                channel,
                negotiated: self.negotiated,
                pool: session.pool.clone(),
                filesystem: filesystem.clone(),
                counters: session.counters.clone(),
                life: session.life.clone(),
            };
            let thread = thread::Builder::new().name(format!("fuse-{number}"));
            let thread = thread.spawn(move || serving.run());
            session.threads.push(thread.map_err(SessionError::device("starting a thread"))?);
        }
        Ok(session)
    }
}

impl Session {
    /// What it counts.
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Whether it is over: unmounted, or given up by the kernel.
    pub fn is_over(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Waits until the file system is unmounted.
    pub fn wait(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the mount panicked");
            }
        }
    }

    /// Reads no more: what the kernel asks from now on waits for another process. Returns at once; goes on
    /// with [`Session::leave`].
    pub fn stop_reading(&self) {
        self.life.stop();
        self.pool.close();
    }

    /// Stops reading, and waits for so long until all that was read is answered. Returns how much is not:
    /// it is never answered by us, and the kernel gives it out again to who comes after.
    pub fn leave(self, patience: Duration) -> usize {
        let until = Instant::now() + patience;
        self.stop_reading();
        // A signal between a look at the flag and the call that waits would be lost; so it is repeated.
        while !self.is_over() && Instant::now() < until {
            self.threads.iter().filter(|thread| !thread.is_finished()).for_each(sys::wake);
            thread::sleep(LOOK_EVERY);
        }
        while self.life.owed() > 0 && Instant::now() < until {
            thread::sleep(LOOK_EVERY);
        }
        self.life.leave();
        self.life.owed()
    }
}

/// What one thread needs.
struct Serving {
    channel: Arc<Channel>,
    negotiated: Negotiated,
    pool: Arc<Pool>,
    filesystem: Arc<dyn FileSystem>,
    counters: Arc<Counters>,
    life: Arc<Life>,
}

impl Serving {
    fn run(self) {
        while !self.life.is_stopping() {
            let mut buffer = match self.pool.take() {
                Ok(buffer) => buffer,
                Err(_) if self.life.is_stopping() => return,
                Err(error) => {
                    tracing::error!(%error, "no memory for a request of the kernel");
                    thread::yield_now();
                    continue;
                }
            };
            match self.channel.read(&mut buffer) {
                Ok(Read::Request(length)) => self.serve(Request::new(buffer, length)),
                Ok(Read::Again) => {}
                Ok(Read::Ended) => return,
                Err(error) => {
                    tracing::error!(%error, "the kernel's requests cannot be read any more");
                    return;
                }
            }
        }
    }

    fn serve(&self, request: Request) {
        let (header, operation) = match request.parse() {
            Ok(parsed) => parsed,
            Err(error) => {
                tracing::error!(%error, "a request of the kernel makes no sense");
                return;
            }
        };
        self.counters.received(header.opcode, header.unique & UNIQUE_RESEND != 0);
        // These have no reply.
        match operation {
            Operation::Forget { lookups } => return self.filesystem.forget(header.node, lookups),
            Operation::BatchForget(nodes) => {
                for (node, lookups) in nodes.nodes() {
                    self.filesystem.forget(node, lookups);
                }
                return;
            }
            Operation::Interrupt { unique } => return self.filesystem.interrupt(unique),
            _ => {}
        }
        let (counters, life) = (self.counters.clone(), self.life.clone());
        let reply = Reply::new(self.channel.clone(), header.unique, counters, life);
        match operation {
            // A server before us was killed after it had agreed and before it had said so.
            Operation::Init(_) => reply.ok(&self.negotiated.reply()),
            Operation::Destroy => reply.ok(&[]),
            _ => self.filesystem.serve(request, reply),
        }
    }
}
