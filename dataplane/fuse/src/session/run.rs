//! The threads that read.

use super::SessionError;
use super::buffers::Pool;
use super::channel::{Channel, Read};
use super::connection::Connection;
use super::request::{Reply, Request};
use crate::abi::{Operation, opcode};
use crate::errno::Errno;
use crate::filesystem::FileSystem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

/// Operations that are counted one by one; the protocol's numbers are below.
const OPERATIONS: usize = 64;

/// What happened on a connection since it runs.
#[derive(Debug)]
pub struct Counters {
    operations: [AtomicU64; OPERATIONS],
    errors: AtomicU64,
    not_wanted: AtomicU64,
    resent: AtomicU64,
}

/// [`Counters`] at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Requests by operation, in the protocol's order; those that never came are left out.
    pub operations: Vec<(&'static str, u64)>,
    /// Replies that were errors, `ENOENT` of lookups too.
    pub errors: u64,
    /// Replies that nobody waited for any more.
    pub not_wanted: u64,
    /// Requests that the kernel gave out again.
    pub resent: u64,
}

impl Default for Counters {
    fn default() -> Self {
        Counters {
            operations: std::array::from_fn(|_| AtomicU64::new(0)),
            errors: AtomicU64::new(0),
            not_wanted: AtomicU64::new(0),
            resent: AtomicU64::new(0),
        }
    }
}

impl Counters {
    fn received(&self, opcode: u32, resent: bool) {
        if let Some(counter) = self.operations.get(opcode as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        if resent {
            self.resent.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn answered(&self, error: i32) {
        if error != 0 {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn not_wanted(&self) {
        self.not_wanted.fetch_add(1, Ordering::Relaxed);
    }

    /// All of them now.
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let operations = (0u32..).zip(&self.operations);
        Counts {
            operations: operations
                .map(|(opcode, counter)| (name_of(opcode), read(counter)))
                .filter(|(_, count)| *count > 0)
                .collect(),
            errors: read(&self.errors),
            not_wanted: read(&self.not_wanted),
            resent: read(&self.resent),
        }
    }
}

fn name_of(code: u32) -> &'static str {
    match code {
        opcode::LOOKUP => "lookup",
        opcode::FORGET | opcode::BATCH_FORGET => "forget",
        opcode::GETATTR => "getattr",
        opcode::SETATTR => "setattr",
        opcode::READLINK => "readlink",
        opcode::MKNOD => "mknod",
        opcode::MKDIR => "mkdir",
        opcode::UNLINK => "unlink",
        opcode::RMDIR => "rmdir",
        opcode::RENAME | opcode::RENAME2 => "rename",
        opcode::OPEN => "open",
        opcode::READ => "read",
        opcode::WRITE => "write",
        opcode::STATFS => "statfs",
        opcode::RELEASE => "release",
        opcode::FSYNC => "fsync",
        opcode::GETXATTR => "getxattr",
        opcode::LISTXATTR => "listxattr",
        opcode::FLUSH => "flush",
        opcode::OPENDIR => "opendir",
        opcode::READDIR => "readdir",
        opcode::READDIRPLUS => "readdirplus",
        opcode::RELEASEDIR => "releasedir",
        opcode::FSYNCDIR => "fsyncdir",
        opcode::ACCESS => "access",
        opcode::CREATE => "create",
        opcode::INTERRUPT => "interrupt",
        opcode::FALLOCATE => "fallocate",
        opcode::LSEEK => "lseek",
        _ => "other",
    }
}

/// A connection that is being served.
#[derive(Debug)]
pub struct Session {
    threads: Vec<JoinHandle<()>>,
    counters: Arc<Counters>,
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
        let counters = Arc::new(Counters::default());
        let channels = if self.clones.is_empty() { vec![self.main] } else { self.clones };
        let most = buffers.max(2 * channels.len());
        let pool = Pool::new(self.negotiated.buffer_bytes(), most);
        let mut threads = Vec::new();
        for (number, channel) in channels.into_iter().enumerate() {
            let serving = Serving {
                channel,
                pool: pool.clone(),
                filesystem: filesystem.clone(),
                counters: counters.clone(),
            };
            let thread = thread::Builder::new().name(format!("fuse-{number}"));
            let thread = thread.spawn(move || serving.run());
            threads.push(thread.map_err(SessionError::device("starting a thread"))?);
        }
        Ok(Session { threads, counters })
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
}

/// What one thread needs.
struct Serving {
    channel: Arc<Channel>,
    pool: Arc<Pool>,
    filesystem: Arc<dyn FileSystem>,
    counters: Arc<Counters>,
}

impl Serving {
    fn run(self) {
        loop {
            let mut buffer = match self.pool.take() {
                Ok(buffer) => buffer,
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
        use crate::abi::UNIQUE_RESEND;
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
        let reply = Reply::new(self.channel.clone(), header.unique, self.counters.clone());
        match operation {
            Operation::Init(_) => reply.error(Errno::INVAL),
            Operation::Destroy => reply.ok(&[]),
            _ => self.filesystem.serve(request, reply),
        }
    }
}
