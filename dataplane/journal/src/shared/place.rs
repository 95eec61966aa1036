//! What a shared journal asks of the store that holds it.

use alluxio_types::Code;
use async_trait::async_trait;

/// What became of an exclusive creation that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// The file is there, with these bytes.
    Created,
    /// The name is taken, perhaps by an earlier try of the same call.
    Taken,
}

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Without a slash.
    pub name: String,
    /// Bytes of a file; 0 for a directory.
    pub length: u64,
}

/// Why the store did not do what was asked. No text in it holds a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    /// `Unavailable` when the same may succeed later; then, too, it may have happened.
    /// `ResourceExhausted` when there is no room.
    pub code: Code,
    /// The store's words, with the file's name.
    pub message: String,
}

impl StoreError {
    /// Whether the same may succeed later.
    pub fn is_passing(&self) -> bool {
        matches!(self.code, Code::Unavailable | Code::ResourceExhausted)
    }
}

/// Result of a [`SharedFolder`].
pub type StoreResult<T> = Result<T, StoreError>;

/// A folder in a store that several masters reach. Names are relative, with `/` between components.
///
/// Implementations MUST hold, at every moment and for every caller anywhere:
/// 1. A name is created exclusively by one caller at most, as long as it is not removed, and its bytes
///    are whole and survive every crash once the creation is answered.
/// 2. What was created before a read or a listing began, and not removed, is in its answer.
#[async_trait]
pub trait SharedFolder: Send + Sync + 'static {
    /// Its URI, for messages.
    fn uri(&self) -> String;

    /// All bytes of a file; `None` when there is none. For small files.
    async fn read(&self, name: &str) -> StoreResult<Option<Vec<u8>>>;

    /// Makes a file if its name is free. After an error it may have happened.
    async fn create_new(&self, name: &str, bytes: &[u8]) -> StoreResult<Creation>;

    /// What lies in a directory, in no order; nothing when there is none.
    async fn list(&self, directory: &str) -> StoreResult<Vec<Listed>>;

    /// Removes a file; fine when there is none.
    async fn remove(&self, name: &str) -> StoreResult<()>;

    /// Exactly `length` bytes from `offset` on.
    async fn read_range(&self, name: &str, offset: u64, length: u64) -> StoreResult<Vec<u8>>;

    /// Begins a large file, which takes its name, whatever has it, when it is finished.
    async fn begin(&self, name: &str) -> StoreResult<Box<dyn Upload>>;
}

/// A large file on its way. Dropping it leaves nothing under its name.
#[async_trait]
pub trait Upload: Send {
    /// Adds bytes at its end.
    async fn write(&mut self, bytes: Vec<u8>) -> StoreResult<()>;

    /// Makes it visible and durable. After an error it may be there, and never in part.
    async fn finish(self: Box<Self>) -> StoreResult<()>;
}
