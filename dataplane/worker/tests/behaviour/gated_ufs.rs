//! A store that counts its readers and lets bytes through when it is told to.

use alluxio_types::Fingerprint;
use alluxio_ufs::{
    ByteStream, Capabilities, CreateOptions, EntryStream, MkdirOptions, Result, Space,
    UfsAttributes, UfsFacts, UfsKind, UfsWriter, UnderFs,
};
use async_trait::async_trait;
use futures::StreamExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Semaphore;

/// Bytes that one permit lets through.
pub(crate) const PIECE: usize = 64 * 1024;

/// Shared by all stores of a test.
pub(crate) struct Gate {
    pub(crate) reads: AtomicU64,
    closed: AtomicBool,
    pieces: Semaphore,
}

impl Gate {
    pub(crate) fn open() -> Arc<Self> {
        Arc::new(Gate {
            reads: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            pieces: Semaphore::new(0),
        })
    }

    /// From now on bytes need permits.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn let_through(&self, pieces: usize) {
        self.pieces.add_permits(pieces);
    }

    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::SeqCst)
    }
}

pub(crate) struct GatedUfs {
    pub(crate) inner: Arc<dyn UnderFs>,
    pub(crate) gate: Arc<Gate>,
}

#[async_trait]
impl UnderFs for GatedUfs {
    fn kind(&self) -> UfsKind {
        self.inner.kind()
    }
    fn root(&self) -> &str {
        self.inner.root()
    }
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
    async fn status(&self, path: &str) -> Result<UfsFacts> {
        self.inner.status(path).await
    }
    async fn list(&self, path: &str, recursive: bool) -> Result<EntryStream> {
        self.inner.list(path, recursive).await
    }
    async fn read_range(
        &self,
        path: &str,
        offset: u64,
        length: u64,
        expected: &Fingerprint,
    ) -> Result<ByteStream> {
        self.gate.reads.fetch_add(1, Ordering::SeqCst);
        let stream = self.inner.read_range(path, offset, length, expected).await?;
        if !self.gate.closed.load(Ordering::SeqCst) {
            return Ok(stream);
        }
        let gate = self.gate.clone();
        let pieces = stream.flat_map(|item| {
            let parts = match item {
                Ok(mut bytes) => {
                    let mut parts = Vec::new();
                    while !bytes.is_empty() {
                        parts.push(Ok(bytes.split_to(bytes.len().min(PIECE))));
                    }
                    parts
                }
                Err(error) => vec![Err(error)],
            };
            futures::stream::iter(parts)
        });
        let gated = pieces.then(move |item| {
            let gate = gate.clone();
            async move {
                gate.pieces.acquire().await.unwrap().forget();
                item
            }
        });
        Ok(gated.boxed())
    }
    async fn create(&self, path: &str, options: CreateOptions) -> Result<Box<dyn UfsWriter>> {
        self.inner.create(path, options).await
    }
    async fn mkdir(&self, path: &str, options: MkdirOptions) -> Result<()> {
        self.inner.mkdir(path, options).await
    }
    async fn delete_file(&self, path: &str) -> Result<()> {
        self.inner.delete_file(path).await
    }
    async fn delete_dir(&self, path: &str, recursive: bool) -> Result<()> {
        self.inner.delete_dir(path, recursive).await
    }
    async fn rename_file(&self, from: &str, to: &str) -> Result<UfsFacts> {
        self.inner.rename_file(from, to).await
    }
    async fn rename_dir(&self, from: &str, to: &str) -> Result<()> {
        self.inner.rename_dir(from, to).await
    }
    async fn set_attributes(&self, path: &str, attributes: &UfsAttributes) -> Result<UfsFacts> {
        self.inner.set_attributes(path, attributes).await
    }
    async fn space(&self) -> Result<Option<Space>> {
        self.inner.space().await
    }
}
