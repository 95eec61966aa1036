//! One block in a file, served as a worker would.

use alluxio_datapath::checksum::ChunkSums;
use alluxio_datapath::client::{ClientOptions, DataClient, Target};
use alluxio_datapath::server::{DataServer, Listeners, ServerIdentity, ServerOptions, bind_unix};
use alluxio_datapath::{
    DataService, HeldBlock, Peer, ReadAnswer, ReadRequest, Refusal, WriteSession,
};
use alluxio_host::{Disk, DiskFile, OpenMode, RealDisk};
use alluxio_types::{BlockId, BlockRange, Code, ReadType, WorkerId};
use async_trait::async_trait;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that a step of a measurement moves.
pub(crate) const STEP: usize = 1 << 20;

struct OneBlock {
    path: PathBuf,
    length: u64,
    crcs: Arc<[u32]>,
}

struct Held {
    file: Box<dyn DiskFile>,
    length: u64,
    crcs: Arc<[u32]>,
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
        true
    }
    async fn chunk_crcs(&self) -> Result<Arc<[u32]>, Refusal> {
        Ok(self.crcs.clone())
    }
}

#[async_trait]
impl DataService for OneBlock {
    async fn read(&self, _peer: &Peer, _request: ReadRequest) -> Result<ReadAnswer, Refusal> {
        let file = RealDisk.open(&self.path, OpenMode::Read).unwrap();
        let (length, crcs) = (self.length, self.crcs.clone());
        Ok(ReadAnswer::Block(Arc::new(Held { file, length, crcs })))
    }
    async fn open_session(&self, _peer: &Peer) -> Result<Box<dyn WriteSession>, Refusal> {
        Err(Refusal::new(Code::Unimplemented, "reads only"))
    }
    async fn report_corrupt(&self, _peer: &Peer, _block: BlockId, _offset: u64) {}
}

/// A file of `length` bytes, and its checksums.
pub(crate) fn make_block(path: &Path, length: u64) -> Arc<[u32]> {
    let mut sums = ChunkSums::new();
    let mut file = File::create(path).unwrap();
    for i in 0..length / STEP as u64 {
        let piece: Vec<u8> = (0..STEP as u64).map(|j| (i * 31 + j * 7 + (j >> 9)) as u8).collect();
        sums.update(&piece);
        file.write_all(&piece).unwrap();
    }
    sums.finish().into()
}

/// Serves the block on both kinds of socket.
pub(crate) async fn serve(
    path: &Path,
    length: u64,
    crcs: Arc<[u32]>,
) -> (DataServer, Target, Target) {
    let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = tcp.local_addr().unwrap().port();
    let socket = path.with_extension("socket");
    let unix = bind_unix(&socket).unwrap();
    let service = OneBlock { path: path.to_owned(), length, crcs };
    let identity = ServerIdentity { cluster: Default::default(), worker: WorkerId(1) };
    let listeners = Listeners { tcp: Some(tcp), unix: Some(unix) };
    let server =
        DataServer::start(Arc::new(service), identity, listeners, ServerOptions::default());
    (server, Target::Tcp { host: "127.0.0.1".into(), port }, Target::Unix(socket))
}

/// A client of it.
pub(crate) fn client() -> DataClient {
    DataClient::new(ClientOptions::default())
}

/// Asks for the whole block.
pub(crate) fn whole(length: u64, want_fd: bool) -> ReadRequest {
    ReadRequest {
        block: BlockId(1),
        block_length: length,
        range: BlockRange { start: 0, end: length },
        want_fd,
        read_type: ReadType::NoCache,
        cache_whole_block: false,
        passive_source: None,
        source: None,
    }
}

/// The middle of what was measured; sorts it.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A runtime as processes have it.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}
