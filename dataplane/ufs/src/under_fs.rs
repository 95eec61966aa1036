//! The trait of an under store.

use crate::error::Result;
use crate::facts::{Capabilities, Space, UfsAttributes, UfsEntry, UfsFacts, UfsKind};
use alluxio_types::{Fingerprint, Mode};
use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use std::time::{Duration, SystemTime};

/// Bytes of one version, in order. Ends after an `Err`.
pub type ByteStream = BoxStream<'static, Result<Bytes>>;

/// Batches of a listing, each of at most [`LIST_BATCH_MAX`] entries and never empty. Ends after an
/// `Err`.
pub type EntryStream = BoxStream<'static, Result<Vec<UfsEntry>>>;

/// How the names of unfinished files begin, where a store has no other place for them. No listing
/// shows them.
pub(crate) const TEMP_PREFIX: &str = ".alluxio_ufs_tmp_";

/// An unfinished file that nobody wrote to for this long is left over from a crash: a listing that
/// meets it removes it. Writers that live touch theirs with every piece.
pub(crate) const TEMP_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether an unfinished file that was last written at `modified_ms` is left over from a crash.
pub(crate) fn is_left_over(modified_ms: u64) -> bool {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_millis(modified_ms)) > TEMP_AGE_MAX
}

/// Most entries of one batch: what one page of an object store holds, and about 100 kB.
pub const LIST_BATCH_MAX: usize = 1000;

/// One mounted store. Made by [`UnderFsRegistry::open`](crate::UnderFsRegistry::open), for one
/// mount root and one set of credentials.
///
/// **Paths** are full URIs (`s3://bucket/dir/a`, or `/dir/a` for a local store) at or below
/// [`UnderFs::root`], as `alluxio_types::mount::join_uri` makes them; anything else is
/// `Error::OutsideMount`. A trailing slash means nothing.
///
/// **Directories** behave alike in all stores. An object store holds an empty directory as an empty
/// object `dir/`, and a prefix with anything below it is a directory too, marker or not. A name
/// that is both an object and a prefix is a file. `create` and `mkdir` leave markers for the
/// parents they made, so a directory does not vanish with its last file.
///
/// **Retries** happen inside, with backoff, for what is safe to repeat; callers MUST NOT loop.
/// Every call has a deadline (`UfsSettings::operation_timeout`); a stream has one per step.
///
/// **Cancel safety**: dropping any future or stream here is safe. What it changes may or may not
/// have happened; a writer that is dropped without `finish` leaves nothing under the final name.
#[async_trait]
pub trait UnderFs: Send + Sync + 'static {
    /// What kind of store this is.
    fn kind(&self) -> UfsKind;

    /// The URI it was opened with, without a trailing slash unless it is `/`.
    fn root(&self) -> &str;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Facts of one file or directory. On the root this also proves that the store answers, that
    /// the credentials work and that the bucket exists, so `mount` calls it.
    ///
    /// **Errors**: `NotFound`, `PermissionDenied`, `Unauthenticated`, `Unavailable`,
    /// `DeadlineExceeded`.
    async fn status(&self, path: &str) -> Result<UfsFacts>;

    /// Whether there is a file or directory at `path`.
    async fn exists(&self, path: &str) -> Result<bool> {
        match self.status(path).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What is below the directory `path`, in no particular order; with `recursive`, at any depth,
    /// directories included. Each name at most once; the directory itself is not listed.
    /// Names that the namespace cannot hold (`.`, `..`, empty components) are left out with a log
    /// line.
    ///
    /// **Errors**: `NotFound`, `NotADirectory`, `Unsupported`; an error in the middle ends the
    /// stream, and what came before it is no complete listing.
    async fn list(&self, path: &str, recursive: bool) -> Result<EntryStream>;

    /// Exactly `length` bytes of the file at `path` from `offset` on, all of one version.
    ///
    /// With a non-empty `expected`, of that version only. The version is certain only when the
    /// stream has ended without an error: a caller that keeps bytes MUST NOT publish them before.
    ///
    /// **Errors**: `Changed` when another version is there, at the start or at the end of the
    /// stream; `OutOfRange` when the file ends before `offset + length`; `NotFound`,
    /// `IsADirectory`.
    async fn read_range(
        &self,
        path: &str,
        offset: u64,
        length: u64,
        expected: &Fingerprint,
    ) -> Result<ByteStream>;

    /// All bytes of a small file, of one version.
    ///
    /// **Errors**: `Changed` when it is written meanwhile; `NotFound`, also for a directory of a bucket;
    /// `IsADirectory`.
    async fn read_whole(&self, path: &str) -> Result<Bytes> {
        let facts = self.status(path).await?;
        if facts.is_directory() {
            return Err(crate::Error::IsADirectory { uri: path.to_owned() });
        }
        let stream = self.read_range(path, 0, facts.length, &facts.fingerprint).await?;
        let pieces: Vec<Bytes> = stream.try_collect().await?;
        Ok(pieces.concat().into())
    }

    /// Starts a new file. Nothing is visible under `path` before [`UfsWriter::finish`]; what was
    /// there is then replaced, in one step where the store can. Missing parents are made.
    ///
    /// **Errors**: `IsADirectory`, `NotADirectory`, `ReadOnly`, `PermissionDenied`.
    async fn create(&self, path: &str, options: CreateOptions) -> Result<Box<dyn UfsWriter>>;

    /// Makes a file of `bytes` under a name that is free, whole and durable, in one step: of several
    /// who try at the same time, one succeeds. Missing parents are made. Never repeated by itself, as
    /// all other calls are: after an error that [`Error::is_temporary`](crate::Error::is_temporary) it
    /// may have happened, and reading the file tells whose bytes are there. `AlreadyExists`, too, may
    /// tell of this very call, where a server's answer was lost below.
    ///
    /// **Errors**: `AlreadyExists` when the name is taken; `Unsupported` where
    /// [`Capabilities::exclusive_create`] is off.
    async fn create_new(&self, path: &str, bytes: Bytes) -> Result<()> {
        drop(bytes);
        Err(exclusive_unsupported(path))
    }

    /// Makes a directory. It is no error if it is there already.
    ///
    /// **Errors**: `AlreadyExists` if it is a file; `NotFound` if the parent is missing and
    /// `options.recursive` is off.
    async fn mkdir(&self, path: &str, options: MkdirOptions) -> Result<()>;

    /// Deletes a file.
    ///
    /// **Errors**: `NotFound`, `IsADirectory`.
    async fn delete_file(&self, path: &str) -> Result<()>;

    /// Deletes a directory, with all that is below it if `recursive`. Deleting the mount's root
    /// is refused with `InvalidUri`.
    ///
    /// **Errors**: `NotFound`, `NotADirectory`, `NotEmpty`.
    async fn delete_dir(&self, path: &str, recursive: bool) -> Result<()>;

    /// Moves a file to a name that does not exist yet, in an existing directory. Returns what is
    /// there then: the fingerprint may be another one although the bytes are the same.
    ///
    /// **Errors**: `NotFound` (source, or parent of the target), `AlreadyExists`, `IsADirectory`.
    async fn rename_file(&self, from: &str, to: &str) -> Result<UfsFacts>;

    /// Moves a directory with all that is below it to a name that does not exist yet. One step only
    /// if [`Capabilities::atomic_rename`].
    ///
    /// **Errors**: as `rename_file`, `NotADirectory`, and `InvalidUri` for a target inside the
    /// source.
    async fn rename_dir(&self, from: &str, to: &str) -> Result<()>;

    /// Sets owner, group and mode. Returns what is there then, as `rename_file` does.
    ///
    /// **Errors**: `Unsupported` where the store keeps none, `PermissionDenied`, `NotFound`.
    async fn set_attributes(&self, path: &str, attributes: &UfsAttributes) -> Result<UfsFacts>;

    /// Room in the store; `None` where it does not tell.
    async fn space(&self) -> Result<Option<Space>>;
}

/// A file on its way into a store. Bytes are sent as they come; at most a few parts of the store's
/// part size are held in memory.
#[async_trait]
pub trait UfsWriter: Send {
    /// Appends `bytes`. After an error only `abort` makes sense.
    async fn write(&mut self, bytes: Bytes) -> Result<()>;

    /// Makes the file visible under its name, durable as far as the store can, and tells what is
    /// there now. After an error the file may or may not be there, but never in part.
    async fn finish(self: Box<Self>) -> Result<UfsFacts>;

    /// Gives up and removes what was sent. Dropping a writer does the same, without waiting for it
    /// and without telling errors; a store's own clean-up takes what that leaves.
    async fn abort(self: Box<Self>) -> Result<()>;
}

/// How a file is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateOptions {
    /// Owner, group and mode; stores without them ignore these. An owner that cannot be set fails
    /// the `create` unless `alluxio.underfs.allow.set.owner.failure` is on.
    pub attributes: UfsAttributes,
    /// Final length in bytes, if known: large files then get larger parts.
    pub length_hint: Option<u64>,
}

/// How a directory is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MkdirOptions {
    /// Whether missing parents are made too.
    pub recursive: bool,
    /// Owner, group and mode of the directories made; stores without them ignore these.
    pub attributes: UfsAttributes,
}

impl MkdirOptions {
    /// Parents too, attributes as the store likes.
    pub fn recursive() -> Self {
        MkdirOptions { recursive: true, attributes: UfsAttributes::default() }
    }

    /// These options with a mode.
    pub fn with_mode(mut self, mode: Mode) -> Self {
        self.attributes.mode = Some(mode);
        self
    }
}

/// The store cannot make a file only where none is.
pub(crate) fn exclusive_unsupported(path: &str) -> crate::Error {
    let operation = "create a file only if its name is free";
    crate::Error::Unsupported { uri: path.to_owned(), operation }
}

/// A mount's root is never deleted or moved: the mount would point to nothing.
pub(crate) fn refuse_root(relative: &str, uri: &str) -> Result<()> {
    if relative.is_empty() {
        let why = "it is the root of a mount; unmount it first".to_owned();
        return Err(crate::Error::InvalidUri { uri: uri.to_owned(), why });
    }
    Ok(())
}
