//! Connections kept for the next request.

use super::connection::{Connection, refused};
use super::{LocalBlock, Reading, RemoteStream, Session};
use crate::error::{Error, Refusal};
use crate::frame::Frame;
use crate::message::{ClusterName, ReadRequest};
use alluxio_types::{BlockId, Code, WorkerAddress, WorkerId};
use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Where a worker serves the data protocol.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// A Unix socket of this machine.
    Unix(PathBuf),
    /// A data port.
    Tcp {
        /// Host name or address.
        host: String,
        /// Data port.
        port: u16,
    },
}

impl Target {
    /// The Unix socket of a worker, if it has one. Whether it is on this machine is the caller's
    /// to know.
    pub fn unix(address: &WorkerAddress) -> Option<Target> {
        (!address.domain_socket_path.is_empty())
            .then(|| Target::Unix(PathBuf::from(&address.domain_socket_path)))
    }

    /// The data port of a worker.
    pub fn tcp(address: &WorkerAddress) -> Target {
        Target::Tcp { host: address.host.clone(), port: address.data_port }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Unix(path) => write!(f, "{}", path.display()),
            Target::Tcp { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

/// What a client tells of itself, and how patient it is.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Its cluster; told to workers, who refuse clients of another one, as soon as it is known.
    pub cluster: ClusterName,
    /// User name.
    pub user: String,
    /// How long connecting and greeting may take.
    pub connect: Duration,
    /// How long an answer, or the next bytes, may take. Long enough for a worker that waits for a
    /// slow UFS.
    pub patience: Duration,
    /// The same in a write session: how long the worker may take to accept bytes or a command.
    pub write_patience: Duration,
    /// How long the worker may take to complete a file in the UFS.
    pub close_patience: Duration,
    /// Bytes of one frame of a write that is sent: whole chunks, at most
    /// [`crate::DATA_BYTES_MAX`].
    pub frame_bytes: usize,
    /// Most connections to one target that are in use at a time; one more waits for its turn.
    pub connections_max: usize,
    /// Most connections to one target that are kept while nobody uses them.
    pub idle_max: usize,
}

impl Default for ClientOptions {
    fn default() -> Self {
        ClientOptions {
            cluster: ClusterName::default(),
            user: String::new(),
            connect: Duration::from_secs(5),
            patience: Duration::from_secs(180),
            write_patience: Duration::from_secs(180),
            close_patience: Duration::from_secs(1800),
            frame_bytes: crate::DATA_BYTES_MAX,
            connections_max: 1024,
            idle_max: 16,
        }
    }
}

/// Reads from and writes to workers. Cheap to clone.
#[derive(Clone)]
pub struct DataClient {
    shared: Arc<ClientShared>,
    /// What is presented with each request.
    token: Option<Arc<[u8]>>,
}

struct ClientShared {
    options: ClientOptions,
    pools: Mutex<HashMap<Target, Arc<Pool>>>,
}

#[derive(Debug)]
struct Pool {
    idle: Mutex<Vec<Connection>>,
    idle_max: usize,
    slots: Arc<Semaphore>,
}

impl Pool {
    fn pop(&self) -> Option<Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

/// A connection on loan from its pool. Dropping it closes it; [`Pooled::recycle`] keeps it.
#[derive(Debug)]
pub(super) struct Pooled {
    pub(super) connection: Connection,
    pub(super) patience: Duration,
    pool: Arc<Pool>,
    /// Whether it was used before: then the worker may have gone away unnoticed.
    reused: bool,
    _slot: OwnedSemaphorePermit,
}

impl Pooled {
    /// Puts the connection back; it must be between requests.
    pub(super) fn recycle(self) {
        self.connection.returns.idle();
        let mut idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.pool.idle_max {
            idle.push(self.connection);
        }
    }
}

impl DataClient {
    /// A client without connections.
    pub fn new(options: ClientOptions) -> Self {
        let shared = Arc::new(ClientShared { options, pools: Mutex::default() });
        DataClient { shared, token: None }
    }

    /// The same client, with the same connections, that presents a block token with its requests.
    pub fn presenting(&self, token: Option<Arc<[u8]>>) -> Self {
        DataClient { shared: self.shared.clone(), token }
    }

    /// What it was made with.
    pub fn options(&self) -> &ClientOptions {
        &self.shared.options
    }

    /// Asks for bytes of a block whoever serves at `target`.
    ///
    /// **Errors**: `Refused` with the worker's code; everything else means that the worker, or the
    /// way to it, has a problem.
    ///
    /// **Cancel safety**: dropping it closes the connection, which cancels the request.
    pub async fn read(&self, target: &Target, request: ReadRequest) -> Result<Reading, Error> {
        self.read_of(None, target, request).await
    }

    /// The same of a certain worker. An address may have changed hands, even to a worker of another
    /// cluster, whose blocks have ids of the same kind.
    ///
    /// **Errors**: `WrongWorker`, and as [`DataClient::read`].
    pub async fn read_of(
        &self,
        worker: Option<WorkerId>,
        target: &Target,
        request: ReadRequest,
    ) -> Result<Reading, Error> {
        let (block, range, length) = (request.block, request.range, request.block_length);
        let ask = Frame::Read(request);
        let (mut pooled, id, answer) = self.ask(worker, target, &ask).await?;
        match answer {
            Frame::Opened { lease, length: found } => {
                let fd = pooled.connection.link.take_fd()?;
                let returns = pooled.connection.returns.clone();
                pooled.recycle();
                // Made first, so that the lease goes back on every way out.
                let local = LocalBlock::new(block, fd, found, returns, lease);
                if found < length {
                    let message = format!("the worker has {found} of {length} bytes");
                    return Err(Error::Refused(Refusal::new(Code::DataLoss, message)));
                }
                Ok(Reading::Local(local))
            }
            first @ (Frame::Data(_) | Frame::End { .. }) => {
                RemoteStream::start(pooled, id, block, range, first)
                    .map(|stream| Reading::Stream(Box::new(stream)))
            }
            refusal @ Frame::Error { .. } => {
                pooled.recycle();
                Err(refused(refusal, "a read"))
            }
            other => Err(refused(other, "a read")),
        }
    }

    /// Asks a worker to cache a block in the background: a read of nothing.
    pub async fn cache(&self, target: &Target, mut request: ReadRequest) -> Result<(), Error> {
        request.range = alluxio_types::BlockRange { start: 0, end: 0 };
        request.want_fd = false;
        match self.read(target, request).await? {
            Reading::Stream(stream) => stream.finish().await,
            Reading::Local(_) => Ok(()),
        }
    }

    /// Starts a write session on whoever serves at `target`. Nothing is sent before the first
    /// command.
    ///
    /// **Errors**: `Connect`, `Refused` (the handshake).
    pub async fn session(&self, target: &Target) -> Result<Session, Error> {
        self.session_of(None, target).await
    }

    /// The same on a certain worker. **Errors**: `WrongWorker`, and as [`DataClient::session`].
    pub async fn session_of(
        &self,
        worker: Option<WorkerId>,
        target: &Target,
    ) -> Result<Session, Error> {
        // A connection that went stale in the pool would fail the first command, which cannot be
        // repeated blindly. On a Unix socket the end of a worker is seen at once; elsewhere a new
        // connection is made, once per file.
        let fresh = !matches!(target, Target::Unix(_));
        let mut pooled = self.take(target, fresh).await?;
        check_worker(worker, target, &pooled.connection)?;
        if let Some(token) = &self.token {
            pooled.connection.present(token)?;
        }
        Ok(Session::new(pooled, &self.shared.options))
    }

    /// Tells a worker that bytes of a block failed their checksum, so that it verifies the block.
    /// Best effort: an error only says that the worker may not know.
    pub async fn report_corrupt(
        &self,
        target: &Target,
        block: BlockId,
        offset: u64,
    ) -> Result<(), Error> {
        let mut pooled = self.take(target, false).await?;
        let patience = pooled.patience;
        pooled.connection.ask(&Frame::ReportCorrupt { block, offset }, patience).await?;
        pooled.recycle();
        Ok(())
    }

    /// Which worker answers at `target`.
    pub async fn worker_at(&self, target: &Target) -> Result<WorkerId, Error> {
        let pooled = self.take(target, true).await?;
        let worker = pooled.connection.worker;
        pooled.recycle();
        Ok(worker)
    }

    /// Forgets the idle connections to `target`: its worker is gone or has restarted.
    pub fn forget(&self, target: &Target) {
        let mut pools = self.shared.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.remove(target);
    }

    /// Sends a request that may be repeated, and waits for the first frame of its answer.
    /// A connection that was kept may have died unnoticed, so its failure says nothing of the
    /// worker: then a new one is tried.
    async fn ask(
        &self,
        worker: Option<WorkerId>,
        target: &Target,
        frame: &Frame,
    ) -> Result<(Pooled, u32, Frame), Error> {
        let mut fresh = false;
        loop {
            let mut pooled = self.take(target, fresh).await?;
            check_worker(worker, target, &pooled.connection)?;
            let patience = pooled.patience;
            if let Some(token) = &self.token {
                pooled.connection.present(token)?;
            }
            let exchange = async {
                let id = pooled.connection.ask(frame, patience).await?;
                let answer =
                    pooled.connection.answer(id, "waiting for an answer", patience).await?;
                Ok((id, answer))
            };
            match exchange.await {
                Ok((id, answer)) => return Ok((pooled, id, answer)),
                Err(Error::Closed { .. } | Error::Broken { .. }) if pooled.reused => fresh = true,
                Err(error) => return Err(error),
            }
        }
    }

    fn pool(&self, target: &Target) -> Arc<Pool> {
        let mut pools = self.shared.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(target) {
            return pool.clone();
        }
        let options = &self.shared.options;
        let pool = Arc::new(Pool {
            idle: Mutex::default(),
            idle_max: options.idle_max,
            slots: Arc::new(Semaphore::new(options.connections_max.max(1))),
        });
        pools.insert(target.clone(), pool.clone());
        pool
    }

    async fn slot(&self, pool: &Pool, target: &Target) -> Result<OwnedSemaphorePermit, Error> {
        let patience = self.shared.options.patience;
        match tokio::time::timeout(patience, pool.slots.clone().acquire_owned()).await {
            Ok(Ok(slot)) => Ok(slot),
            // The semaphore is never closed, so only patience can end.
            Ok(Err(_)) | Err(_) => Err(Error::Refused(Refusal::new(
                Code::Busy,
                format!("all connections to {target} are in use"),
            ))),
        }
    }

    fn pooled(
        &self,
        connection: Connection,
        pool: Arc<Pool>,
        slot: OwnedSemaphorePermit,
        reused: bool,
    ) -> Pooled {
        Pooled { connection, patience: self.shared.options.patience, pool, reused, _slot: slot }
    }

    /// A connection, begun: kept or new.
    async fn take(&self, target: &Target, fresh: bool) -> Result<Pooled, Error> {
        let pool = self.pool(target);
        let slot = self.slot(&pool, target).await?;
        let mut kept = if fresh { None } else { pool.pop() };
        while let Some(mut connection) = kept {
            if connection.is_usable() && connection.begin() {
                return Ok(self.pooled(connection, pool, slot, true));
            }
            kept = pool.pop();
        }
        let connection = Connection::open(target, &self.shared.options).await?;
        let mut pooled = self.pooled(connection, pool, slot, false);
        pooled.connection.begin();
        Ok(pooled)
    }
}

fn check_worker(
    worker: Option<WorkerId>,
    target: &Target,
    connection: &Connection,
) -> Result<(), Error> {
    match worker {
        Some(expected) if expected != connection.worker => {
            let (peer, found) = (target.to_string(), connection.worker);
            Err(Error::WrongWorker { peer, expected, found })
        }
        _ => Ok(()),
    }
}
