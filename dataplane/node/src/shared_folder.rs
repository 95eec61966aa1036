//! An under store as the folder of a shared journal.

use crate::NodeError;
use alluxio_config::MasterConfig;
use alluxio_host::Host;
use alluxio_journal::shared::{Creation, Listed, StoreError, StoreResult, Upload};
use alluxio_journal::{JournalError, SharedFolder};
use alluxio_types::mount::join_uri;
use alluxio_types::{Code, Coded, Fingerprint};
use alluxio_ufs::{CreateOptions, Error, UfsSettings, UfsWriter, UnderFs, UnderFsRegistry};
use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use std::sync::Arc;
use std::time::Duration;

/// Deadline of one call for a small file, unless the options say otherwise: changes wait for it, and a
/// connection that hangs is given up after a third of it.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Tries of one such call after the first: whoever asked tries again by itself, and says so in the log.
const CALL_RETRIES: usize = 2;

/// The folder of a shared journal in an under store.
pub struct UfsFolder {
    /// For small files.
    quick: Arc<dyn UnderFs>,
    /// For checkpoints.
    large: Arc<dyn UnderFs>,
}

impl UfsFolder {
    /// The folder that the configuration names, with the options of
    /// `alluxio.master.journal.ufs.option.*`, and those of all mounts behind them.
    ///
    /// **Errors**: `JournalStore` for a URI or options that make no sense; `Journal` for a store that cannot
    /// hold one.
    pub fn open(config: &MasterConfig, host: &Host) -> Result<Arc<dyn SharedFolder>, NodeError> {
        let defaults = config.ufs_options.clone();
        let usual = UfsSettings { defaults, clock: host.clock.clone(), ..UfsSettings::default() };
        let quick = UfsSettings {
            operation_timeout: CALL_TIMEOUT,
            retries_max: CALL_RETRIES,
            ..usual.clone()
        };
        let open = |settings| {
            let registry = UnderFsRegistry::new(settings);
            registry.open(&config.journal.folder, &config.journal.ufs_options)
        };
        let quick = open(quick)?;
        if !quick.capabilities().exclusive_create {
            let folder = config.journal.folder.clone().into();
            return Err(JournalError::NotExclusive { folder }.into());
        }
        Ok(Arc::new(UfsFolder::over(quick, open(usual)?)))
    }

    /// The folder at the root of a store, by a connection for small files and one for large ones.
    pub fn over(quick: Arc<dyn UnderFs>, large: Arc<dyn UnderFs>) -> Self {
        UfsFolder { quick, large }
    }

    fn path(&self, name: &str) -> String {
        join_uri(self.quick.root(), name)
    }
}

fn failed(error: Error) -> StoreError {
    let code = match &error {
        error if error.is_temporary() || error.is_changed() => Code::Unavailable,
        error => error.code(),
    };
    StoreError { code, message: error.to_string() }
}

fn if_there<T>(result: alluxio_ufs::Result<T>) -> StoreResult<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

#[async_trait]
impl SharedFolder for UfsFolder {
    fn uri(&self) -> String {
        self.quick.root().trim_end_matches('/').to_owned()
    }

    async fn read(&self, name: &str) -> StoreResult<Option<Vec<u8>>> {
        let bytes = if_there(self.quick.read_whole(&self.path(name)).await)?;
        Ok(bytes.map(Vec::from))
    }

    async fn create_new(&self, name: &str, bytes: &[u8]) -> StoreResult<Creation> {
        let bytes = Bytes::copy_from_slice(bytes);
        match self.quick.create_new(&self.path(name), bytes).await {
            Ok(()) => Ok(Creation::Created),
            Err(Error::AlreadyExists { .. }) => Ok(Creation::Taken),
            Err(error) => Err(failed(error)),
        }
    }

    async fn list(&self, directory: &str) -> StoreResult<Vec<Listed>> {
        let listing = self.quick.list(&self.path(directory), false).await;
        let Some(stream) = if_there(listing)? else { return Ok(Vec::new()) };
        let Some(batches) = if_there(stream.try_collect::<Vec<_>>().await)? else {
            return Ok(Vec::new());
        };
        let listed =
            |entry: alluxio_ufs::UfsEntry| Listed { name: entry.name, length: entry.facts.length };
        Ok(batches.into_iter().flatten().map(listed).collect())
    }

    async fn remove(&self, name: &str) -> StoreResult<()> {
        if_there(self.quick.delete_file(&self.path(name)).await).map(drop)
    }

    async fn read_range(&self, name: &str, offset: u64, length: u64) -> StoreResult<Vec<u8>> {
        let (path, any) = (self.path(name), Fingerprint::default());
        let stream = self.large.read_range(&path, offset, length, &any).await.map_err(failed)?;
        let pieces: Vec<Bytes> = stream.try_collect().await.map_err(failed)?;
        Ok(pieces.concat())
    }

    async fn begin(&self, name: &str) -> StoreResult<Box<dyn Upload>> {
        let begun = self.large.create(&self.path(name), CreateOptions::default()).await;
        Ok(Box::new(UfsUpload { writer: begun.map_err(failed)? }))
    }
}

struct UfsUpload {
    writer: Box<dyn UfsWriter>,
}

#[async_trait]
impl Upload for UfsUpload {
    async fn write(&mut self, bytes: Vec<u8>) -> StoreResult<()> {
        self.writer.write(bytes.into()).await.map_err(failed)
    }

    async fn finish(self: Box<Self>) -> StoreResult<()> {
        self.writer.finish().await.map(drop).map_err(failed)
    }
}
