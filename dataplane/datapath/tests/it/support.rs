//! A worker in miniature: blocks in files of a temporary directory, scripted faults.

use alluxio_datapath::checksum::ChunkSums;
use alluxio_datapath::client::{ClientOptions, DataClient, Target};
use alluxio_datapath::server::{DataServer, Listeners, ServerIdentity, ServerOptions, bind_unix};
use alluxio_datapath::{
    DataService, HeldBlock, OpenBlock, OpenUfs, OpenedBlock, Peer, ReadAnswer, ReadRequest,
    ReadStream, Refusal, UfsDone, WriteSession,
};
use alluxio_host::{Disk, DiskFile, OpenMode, RealDisk};
use alluxio_types::{BlockId, BlockRange, Code, Fingerprint, ReadType, WorkerId};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// What a read is answered with.
pub(crate) enum Script {
    /// The block as it lies in the directory.
    Block,
    /// These pieces one after the other.
    Pieces(VecDeque<Result<Bytes, Refusal>>),
    /// This refusal.
    Refuse(Refusal),
    /// Nothing, ever.
    Hang,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) scripts: VecDeque<Script>,
    pub(crate) asked: Vec<ReadRequest>,
    pub(crate) corrupt: Vec<(BlockId, u64)>,
    pub(crate) crcs: BTreeMap<BlockId, Vec<u32>>,
    pub(crate) log: Vec<String>,
    pub(crate) ufs: Vec<u8>,
    /// Bytes after which block data, or UFS data, is refused.
    pub(crate) block_room: Option<usize>,
    pub(crate) ufs_room: Option<usize>,
    pub(crate) lend: bool,
}

pub(crate) struct Worker {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) state: Mutex<State>,
    /// Rung when a session is dropped, and when a read is.
    pub(crate) dropped: Notify,
    pub(crate) in_memory: bool,
}

impl Worker {
    pub(crate) fn path(&self, block: BlockId) -> PathBuf {
        self.dir.path().join(block.to_string())
    }

    pub(crate) fn put(&self, block: BlockId, bytes: &[u8]) {
        std::fs::write(self.path(block), bytes).unwrap();
        let mut sums = ChunkSums::new();
        sums.update(bytes);
        self.state.lock().unwrap().crcs.insert(block, sums.finish());
    }

    pub(crate) fn script(&self, script: Script) {
        self.state.lock().unwrap().scripts.push_back(script);
    }
}

struct Held {
    file: Box<dyn DiskFile>,
    length: u64,
    crcs: Vec<u32>,
    in_memory: bool,
}

#[async_trait]
impl HeldBlock for Held {
    fn length(&self) -> u64 {
        self.length
    }
    fn file(&self) -> &dyn DiskFile {
        &*self.file
    }
    fn in_memory(&self) -> bool {
        self.in_memory
    }
    async fn chunk_crcs(&self) -> Result<Arc<[u32]>, Refusal> {
        Ok(self.crcs.clone().into())
    }
}

struct Pieces(VecDeque<Result<Bytes, Refusal>>);

#[async_trait]
impl ReadStream for Pieces {
    async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        self.0.pop_front().transpose()
    }
}

/// Rings when it is dropped.
struct Bell(Arc<Service>);

impl Drop for Bell {
    fn drop(&mut self) {
        self.0.0.dropped.notify_one();
    }
}

pub(crate) struct Service(pub(crate) Arc<Worker>);

#[async_trait]
impl DataService for Service {
    async fn read(&self, _peer: &Peer, request: ReadRequest) -> Result<ReadAnswer, Refusal> {
        let (block, range) = (request.block, request.range);
        let script = {
            let mut state = self.0.state.lock().unwrap();
            state.asked.push(request);
            state.scripts.pop_front().unwrap_or(Script::Block)
        };
        if range.is_empty() {
            return Ok(ReadAnswer::Accepted);
        }
        match script {
            Script::Refuse(refusal) => Err(refusal),
            Script::Pieces(pieces) => Ok(ReadAnswer::Stream(Box::new(Pieces(pieces)))),
            Script::Hang => {
                let _bell = Bell(Arc::new(Service(self.0.clone())));
                std::future::pending().await
            }
            Script::Block => {
                let file = RealDisk
                    .open(&self.0.path(block), OpenMode::Read)
                    .map_err(|_| Refusal::new(Code::NotFound, "no such block"))?;
                let crcs = self.0.state.lock().unwrap().crcs[&block].clone();
                let length = file.length().unwrap();
                let in_memory = self.0.in_memory;
                Ok(ReadAnswer::Block(Arc::new(Held { file, length, crcs, in_memory })))
            }
        }
    }

    async fn open_session(&self, _peer: &Peer) -> Result<Box<dyn WriteSession>, Refusal> {
        Ok(Box::new(Writing { worker: self.0.clone(), open: None, written: 0 }))
    }

    async fn report_corrupt(&self, _peer: &Peer, block: BlockId, offset: u64) {
        self.0.state.lock().unwrap().corrupt.push((block, offset));
    }
}

struct Writing {
    worker: Arc<Worker>,
    open: Option<(BlockId, Arc<dyn DiskFile>)>,
    written: usize,
}

impl Writing {
    fn log(&self, line: impl Into<String>) {
        self.worker.state.lock().unwrap().log.push(line.into());
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.log(format!("dropped, open: {}", self.open.is_some()));
        self.worker.dropped.notify_one();
    }
}

#[async_trait]
impl WriteSession for Writing {
    async fn open_ufs(&mut self, request: OpenUfs) -> Result<(), Refusal> {
        self.log(format!("open ufs {}", request.ufs_path));
        Ok(())
    }

    async fn open_block(&mut self, request: OpenBlock) -> Result<OpenedBlock, Refusal> {
        let path = self.worker.path(request.block);
        let file: Arc<dyn DiskFile> = RealDisk.open(&path, OpenMode::CreateNew).unwrap().into();
        self.open = Some((request.block, file.clone()));
        self.written = 0;
        let lend = self.worker.state.lock().unwrap().lend;
        Ok(OpenedBlock { granted_bytes: request.reserve_bytes, file: lend.then_some(file) })
    }

    async fn grow(&mut self, additional_bytes: u64) -> Result<u64, Refusal> {
        Ok(1000 + additional_bytes)
    }

    async fn block_data(&mut self, bytes: Bytes) -> Result<(), Refusal> {
        let room = self.worker.state.lock().unwrap().block_room;
        if room.is_some_and(|room| self.written + bytes.len() > room) {
            return Err(Refusal::new(Code::ResourceExhausted, "no room for the block"));
        }
        let (_, file) = self.open.as_ref().unwrap();
        file.write_all_at(&bytes, self.written as u64).unwrap();
        self.written += bytes.len();
        Ok(())
    }

    async fn ufs_data(&mut self, bytes: Bytes) -> Result<(), Refusal> {
        let mut state = self.worker.state.lock().unwrap();
        if state.ufs_room.is_some_and(|room| state.ufs.len() + bytes.len() > room) {
            return Err(Refusal::new(Code::Unavailable, "the store is away"));
        }
        state.ufs.extend_from_slice(&bytes);
        Ok(())
    }

    async fn ufs_append_from_block(
        &mut self,
        _block: BlockId,
        range: BlockRange,
    ) -> Result<(), Refusal> {
        let mut bytes = vec![0; range.len() as usize];
        let (_, file) = self.open.as_ref().unwrap();
        file.read_exact_at(&mut bytes, range.start).unwrap();
        self.ufs_data(bytes.into()).await
    }

    async fn commit_block(&mut self, length: u64, chunk_crcs: Vec<u32>) -> Result<(), Refusal> {
        let (block, _) = self.open.take().unwrap();
        self.log(format!("commit {block} {length}"));
        self.worker.state.lock().unwrap().crcs.insert(block, chunk_crcs);
        Ok(())
    }

    async fn abort_block(&mut self) {
        if let Some((block, _)) = self.open.take() {
            self.log(format!("abort {block}"));
        }
    }

    async fn finish_ufs(&mut self, length: u64) -> Result<UfsDone, Refusal> {
        self.log(format!("finish ufs {length}"));
        Ok(UfsDone { fingerprint: Fingerprint("v1".into()), length })
    }

    async fn abort_ufs(&mut self) {
        self.log("abort ufs");
    }
}

/// A worker that is served on both kinds of socket.
pub(crate) struct Served {
    pub(crate) worker: Arc<Worker>,
    pub(crate) server: DataServer,
    pub(crate) unix: Target,
    pub(crate) tcp: Target,
}

pub(crate) async fn serve_with(in_memory: bool, options: ServerOptions) -> Served {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let unix = bind_unix(&path).unwrap();
    let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = tcp.local_addr().unwrap().port();
    let state = State { lend: true, ..State::default() };
    let dropped = Notify::new();
    let worker = Arc::new(Worker { dir, state: Mutex::new(state), dropped, in_memory });
    let server = DataServer::start(
        Arc::new(Service(worker.clone())),
        ServerIdentity { cluster: "c1".into(), worker: WorkerId(7) },
        Listeners { tcp: Some(tcp), unix: Some(unix) },
        options,
    );
    let tcp = Target::Tcp { host: "127.0.0.1".into(), port };
    Served { worker, server, unix: Target::Unix(path), tcp }
}

pub(crate) async fn serve() -> Served {
    serve_with(true, ServerOptions::default()).await
}

pub(crate) fn client() -> DataClient {
    DataClient::new(ClientOptions {
        cluster: "c1".into(),
        user: "ann".into(),
        patience: Duration::from_secs(20),
        ..ClientOptions::default()
    })
}

/// Bytes that differ from place to place.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length as u64).map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect()
}

pub(crate) fn read_request(
    block: BlockId,
    length: u64,
    range: std::ops::Range<u64>,
) -> ReadRequest {
    ReadRequest {
        block,
        block_length: length,
        range: BlockRange { start: range.start, end: range.end },
        want_fd: true,
        read_type: ReadType::Cache,
        cache_whole_block: false,
        passive_source: None,
        source: None,
    }
}
