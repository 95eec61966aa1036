//! A shared folder in memory, and one that fails, for tests.

use super::place::{Creation, Listed, SharedFolder, StoreError, StoreResult, Upload};
use alluxio_host::{Entropy, SeededEntropy};
use alluxio_types::Code;
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A folder that never fails. Clones share their files.
#[derive(Clone, Default)]
pub struct MemoryFolder {
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl MemoryFolder {
    /// The files, by name; to look at them, or to damage them.
    pub fn files(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SharedFolder for MemoryFolder {
    fn uri(&self) -> String {
        "memory://shared/journal".to_owned()
    }

    async fn read(&self, name: &str) -> StoreResult<Option<Vec<u8>>> {
        Ok(self.files().get(name).cloned())
    }

    async fn create_new(&self, name: &str, bytes: &[u8]) -> StoreResult<Creation> {
        let mut files = self.files();
        if files.contains_key(name) {
            return Ok(Creation::Taken);
        }
        files.insert(name.to_owned(), bytes.to_vec());
        Ok(Creation::Created)
    }

    async fn list(&self, directory: &str) -> StoreResult<Vec<Listed>> {
        let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let files = self.files();
        let below =
            files.iter().filter_map(|(name, bytes)| Some((name.strip_prefix(&prefix)?, bytes)));
        let mut directories = BTreeSet::new();
        let mut listed = Vec::new();
        for (name, bytes) in below {
            match name.split_once('/') {
                Some((directory, _)) => {
                    directories.insert(directory.to_owned());
                }
                None => listed.push(Listed { name: name.to_owned(), length: bytes.len() as u64 }),
            }
        }
        listed.extend(directories.into_iter().map(|name| Listed { name, length: 0 }));
        Ok(listed)
    }

    async fn remove(&self, name: &str) -> StoreResult<()> {
        self.files().remove(name);
        Ok(())
    }

    async fn read_range(&self, name: &str, offset: u64, length: u64) -> StoreResult<Vec<u8>> {
        let files = self.files();
        let found = files.get(name).and_then(|bytes| {
            bytes.get(offset as usize..(offset + length) as usize).map(<[u8]>::to_vec)
        });
        found.ok_or_else(|| StoreError { code: Code::NotFound, message: format!("no {name}") })
    }

    async fn begin(&self, name: &str) -> StoreResult<Box<dyn Upload>> {
        let (folder, name) = (self.clone(), name.to_owned());
        Ok(Box::new(MemoryUpload { folder, name, bytes: Vec::new() }))
    }
}

struct MemoryUpload {
    folder: MemoryFolder,
    name: String,
    bytes: Vec<u8>,
}

#[async_trait]
impl Upload for MemoryUpload {
    async fn write(&mut self, bytes: Vec<u8>) -> StoreResult<()> {
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> StoreResult<()> {
        self.folder.files().insert(self.name, self.bytes);
        Ok(())
    }
}

/// The same folder as one process reaches it over a bad network, until it is cut off.
#[derive(Clone)]
pub struct FaultyFolder {
    inner: MemoryFolder,
    dice: Arc<SeededEntropy>,
    /// Of a thousand calls, how many go wrong.
    faults: u64,
    /// Calls until this process is gone, with whatever it was doing.
    left: Arc<AtomicU64>,
}

/// What happens to a call.
enum Fate {
    Done,
    /// Nothing happens, and an error comes back.
    Lost,
    /// It happens, and an error comes back.
    AnswerLost,
    /// An error comes back, and it happens later.
    Late(Duration),
}

impl FaultyFolder {
    /// `inner` with `faults` of a thousand calls going wrong as `seed` has it, and nothing answered any more
    /// after `calls` of them.
    pub fn new(inner: &MemoryFolder, seed: u64, faults: u64, calls: u64) -> Self {
        let (inner, dice) = (inner.clone(), Arc::new(SeededEntropy::new(seed)));
        FaultyFolder { inner, dice, faults, left: Arc::new(AtomicU64::new(calls)) }
    }

    /// Whether this process is gone.
    pub fn is_gone(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }

    async fn fate(&self) -> Fate {
        let left =
            self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_err() {
            // As for ever as a test can wait: whoever asks is dropped first.
            std::future::pending::<()>().await;
        }
        if self.dice.below(4) == 0 {
            tokio::time::sleep(Duration::from_micros(self.dice.below(3000))).await;
        }
        if self.dice.below(1000) >= self.faults {
            return Fate::Done;
        }
        match self.dice.below(3) {
            0 => Fate::Lost,
            1 => Fate::AnswerLost,
            _ => Fate::Late(Duration::from_millis(self.dice.below(300))),
        }
    }

    fn failed(name: &str) -> StoreError {
        StoreError { code: Code::Unavailable, message: format!("{name}: an injected fault") }
    }

    /// For calls that change nothing.
    async fn look(&self, name: &str) -> StoreResult<()> {
        match self.fate().await {
            Fate::Done => Ok(()),
            Fate::Lost | Fate::AnswerLost | Fate::Late(_) => Err(Self::failed(name)),
        }
    }
}

#[async_trait]
impl SharedFolder for FaultyFolder {
    fn uri(&self) -> String {
        self.inner.uri()
    }

    async fn read(&self, name: &str) -> StoreResult<Option<Vec<u8>>> {
        self.look(name).await?;
        self.inner.read(name).await
    }

    async fn create_new(&self, name: &str, bytes: &[u8]) -> StoreResult<Creation> {
        match self.fate().await {
            Fate::Done => return self.inner.create_new(name, bytes).await,
            Fate::Lost => {}
            Fate::AnswerLost => drop(self.inner.create_new(name, bytes).await),
            Fate::Late(delay) => {
                let (inner, name, bytes) = (self.inner.clone(), name.to_owned(), bytes.to_vec());
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    inner.create_new(&name, &bytes).await
                });
            }
        }
        Err(Self::failed(name))
    }

    async fn list(&self, directory: &str) -> StoreResult<Vec<Listed>> {
        self.look(directory).await?;
        self.inner.list(directory).await
    }

    async fn remove(&self, name: &str) -> StoreResult<()> {
        match self.fate().await {
            Fate::Done => return self.inner.remove(name).await,
            Fate::Lost => {}
            Fate::AnswerLost | Fate::Late(_) => self.inner.remove(name).await?,
        }
        Err(Self::failed(name))
    }

    async fn read_range(&self, name: &str, offset: u64, length: u64) -> StoreResult<Vec<u8>> {
        self.look(name).await?;
        self.inner.read_range(name, offset, length).await
    }

    async fn begin(&self, name: &str) -> StoreResult<Box<dyn Upload>> {
        self.look(name).await?;
        let (folder, upload) = (self.clone(), self.inner.begin(name).await?);
        Ok(Box::new(FaultyUpload { folder, upload, name: name.to_owned() }))
    }
}

struct FaultyUpload {
    folder: FaultyFolder,
    upload: Box<dyn Upload>,
    name: String,
}

#[async_trait]
impl Upload for FaultyUpload {
    async fn write(&mut self, bytes: Vec<u8>) -> StoreResult<()> {
        self.folder.look(&self.name).await?;
        self.upload.write(bytes).await
    }

    async fn finish(self: Box<Self>) -> StoreResult<()> {
        match self.folder.fate().await {
            Fate::Done => return self.upload.finish().await,
            Fate::Lost => {}
            Fate::AnswerLost | Fate::Late(_) => self.upload.finish().await?,
        }
        Err(FaultyFolder::failed(&self.name))
    }
}
