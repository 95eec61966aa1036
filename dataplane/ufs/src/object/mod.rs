//! Buckets: S3, GCS, Azure, OSS, COS, OBS, Swift. One behaviour over all of them, by OpenDAL.
//!
//! A bucket has keys, not directories. Here a directory is a key that ends with a slash (the
//! *marker*, an empty object), or any prefix with something below it. A name that is both an object
//! and a prefix is a file, and what is below it does not show.
//!
//! Bytes of one version are asked for with `If-Match` (GCS: the generation), so the store itself
//! refuses to mix versions.

mod build;
mod error;
mod list;
mod read;
mod tree;
mod version;
mod write;

pub(crate) use build::{SCHEMES, open};

use crate::error::{Error, Result};
use crate::facts::{Capabilities, Space, UfsAttributes, UfsFacts, UfsKind};
use crate::location::{Location, split_last};
use crate::options::Redactor;
use crate::retry::Retries;
use crate::under_fs::{
    ByteStream, CreateOptions, EntryStream, MkdirOptions, UfsWriter, UnderFs,
    exclusive_unsupported, refuse_root,
};
use alluxio_types::Fingerprint;
use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use opendal::Operator;
use opendal::options::ListOptions;
use std::collections::HashSet;
use std::future::Future;
use std::sync::{Arc, Mutex};
use version::VersionBy;

/// Most directories whose markers are remembered: about 1 MB. When it is full it starts afresh,
/// which costs one request per directory again.
const KNOWN_DIRECTORIES_MAX: usize = 10_000;

/// One bucket, or a directory of it. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct ObjectUfs {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    location: Location,
    /// Tries again by itself.
    operator: Operator,
    /// For bytes: does not try again, because a read goes on from where it stopped.
    reads: Operator,
    redactor: Redactor,
    /// Option names that carry credentials, for the message that asks for them.
    credential_options: &'static str,
    version_by: VersionBy,
    retries: Retries,
    /// Whether markers are made for parents.
    breadcrumbs: bool,
    /// Least bytes of a part of an upload.
    part_bytes: u64,
    copies_at_a_time: usize,
    /// Keys of one page of a listing; `None` leaves it to the store.
    page_entries: Option<usize>,
    /// Directories whose markers are there, as far as this process knows.
    known: Mutex<HashSet<String>>,
}

/// What is at a prefix.
struct Prefix {
    exists: bool,
    has_marker: bool,
}

impl ObjectUfs {
    /// The key of `path` below the mount's root; empty for the root.
    fn relative(&self, path: &str) -> Result<String> {
        let relative = self.shared.location.relative(path)?;
        // OpenDAL drops white space at both ends of a key: it would address another object.
        if relative.trim() != relative {
            let why = "names that begin or end with white space do not reach a bucket".to_owned();
            return Err(Error::InvalidUri { uri: path.to_owned(), why });
        }
        Ok(relative)
    }

    fn uri(&self, relative: &str) -> String {
        self.shared.location.join(relative)
    }

    /// Runs one operation within the deadline, and translates its error.
    async fn run<T>(
        &self,
        relative: &str,
        operation: &'static str,
        work: impl Future<Output = opendal::Result<T>>,
    ) -> Result<T> {
        let limit = self.shared.retries.deadline;
        match tokio::time::timeout(limit, work).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.error(relative, operation, &error)),
            Err(_) => Err(Error::DeadlineExceeded { uri: self.uri(relative), operation, limit }),
        }
    }

    /// The object with exactly this key; `None` if there is none.
    async fn object(&self, relative: &str) -> Result<Option<UfsFacts>> {
        match self.run(relative, "status", Box::pin(self.shared.operator.stat(relative))).await {
            Ok(metadata) => Ok(Some(self.facts(&metadata))),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether anything begins with `relative/`, and whether that is the marker: one request.
    async fn prefix(&self, relative: &str) -> Result<Prefix> {
        let directory = directory_key(relative);
        let work = async {
            let options = ListOptions { recursive: true, limit: Some(1), ..Default::default() };
            let mut lister = self.shared.operator.lister_options(&directory, options).await?;
            lister.try_next().await
        };
        let first = self.run(relative, "list", Box::pin(work)).await;
        match first {
            Ok(first) => Ok(Prefix {
                exists: first.is_some(),
                has_marker: first.is_some_and(|entry| entry.path() == directory),
            }),
            Err(Error::NotFound { .. }) => Ok(Prefix { exists: false, has_marker: false }),
            Err(error) => Err(error),
        }
    }

    async fn status_of(&self, relative: &str) -> Result<UfsFacts> {
        if relative.is_empty() {
            // Proves access; a bucket with nothing in it is a directory too.
            self.prefix(relative).await?;
            return Ok(UfsFacts::directory());
        }
        if let Some(facts) = self.object(relative).await? {
            return Ok(facts);
        }
        if self.prefix(relative).await?.exists {
            return Ok(UfsFacts::directory());
        }
        Err(Error::NotFound { uri: self.uri(relative) })
    }

    async fn put_marker(&self, relative: &str) -> Result<()> {
        let key = directory_key(relative);
        self.run(relative, "mkdir", Box::pin(self.shared.operator.create_dir(&key))).await?;
        self.remember(relative);
        Ok(())
    }

    /// Makes `relative` a directory with a marker, and all above it.
    ///
    /// **Errors**: `NotADirectory` if a file is in the way.
    async fn ensure_directory(&self, relative: &str) -> Result<()> {
        let mut missing = Vec::new();
        let mut directory = relative;
        while !directory.is_empty() && !self.is_known(directory) {
            missing.push(directory);
            directory = split_last(directory).0;
        }
        for directory in missing.into_iter().rev() {
            let (object, prefix) =
                futures::try_join!(self.object(directory), self.prefix(directory))?;
            if object.is_some() {
                return Err(Error::NotADirectory { uri: self.uri(directory) });
            }
            if prefix.has_marker {
                self.remember(directory);
            } else if self.shared.breadcrumbs || !prefix.exists {
                self.put_marker(directory).await?;
            }
        }
        Ok(())
    }

    /// Keeps the parent of something that goes away from vanishing with it.
    async fn keep_parent(&self, relative: &str) {
        let parent = split_last(relative).0;
        if parent.is_empty() || !self.shared.breadcrumbs {
            return;
        }
        if let Err(error) = self.ensure_directory(parent).await {
            // The deletion itself is done; an empty directory is all that may be lost.
            tracing::warn!(%error, "a directory may vanish with its last file");
        }
    }

    fn is_known(&self, directory: &str) -> bool {
        self.known().contains(directory)
    }

    fn remember(&self, directory: &str) {
        let mut known = self.known();
        if known.len() >= KNOWN_DIRECTORIES_MAX {
            known.clear();
        }
        known.insert(directory.to_owned());
    }

    /// Forgets `directory` and all below it.
    fn forget(&self, directory: &str) {
        let below = format!("{directory}/");
        self.known().retain(|known| known != directory && !known.starts_with(&below));
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.shared.known.lock().expect("no panic happens under this lock")
    }

    fn facts(&self, metadata: &opendal::Metadata) -> UfsFacts {
        let modified = version::modified(metadata);
        let fingerprint = self.shared.version_by.fingerprint(metadata);
        UfsFacts::file(metadata.content_length(), modified, fingerprint)
    }
}

/// The key prefix of a directory; the root is `/` to OpenDAL.
fn directory_key(relative: &str) -> String {
    format!("{relative}/")
}

#[async_trait]
impl UnderFs for ObjectUfs {
    fn kind(&self) -> UfsKind {
        UfsKind::Object
    }

    fn root(&self) -> &str {
        self.shared.location.as_str()
    }

    fn capabilities(&self) -> Capabilities {
        let store = self.shared.operator.info().capability();
        Capabilities {
            attributes: false,
            atomic_rename: store.rename,
            writable: store.write,
            list: store.list,
            native_recursive_list: store.list_with_recursive,
            conditional_read: true,
            exclusive_create: store.write_with_if_not_exists,
        }
    }

    async fn status(&self, path: &str) -> Result<UfsFacts> {
        self.status_of(&self.relative(path)?).await
    }

    async fn list(&self, path: &str, recursive: bool) -> Result<EntryStream> {
        list::list(self, self.relative(path)?, recursive).await
    }

    async fn read_range(
        &self,
        path: &str,
        offset: u64,
        length: u64,
        expected: &Fingerprint,
    ) -> Result<ByteStream> {
        read::read_range(self, self.relative(path)?, offset, length, expected).await
    }

    async fn read_whole(&self, path: &str) -> Result<Bytes> {
        let relative = self.relative(path)?;
        refuse_root(&relative, path)?;
        // One request. To it, a directory without a marker is nothing.
        let reading = Box::pin(self.shared.operator.read(&relative));
        Ok(self.run(&relative, "read", reading).await?.to_bytes())
    }

    async fn create(&self, path: &str, options: CreateOptions) -> Result<Box<dyn UfsWriter>> {
        let relative = self.relative(path)?;
        refuse_root(&relative, path)?;
        Ok(Box::new(write::create(self, relative, &options).await?))
    }

    async fn create_new(&self, path: &str, bytes: Bytes) -> Result<()> {
        let relative = self.relative(path)?;
        refuse_root(&relative, path)?;
        if !self.capabilities().exclusive_create {
            return Err(exclusive_unsupported(path));
        }
        write::create_new(self, &relative, bytes).await
    }

    async fn mkdir(&self, path: &str, options: MkdirOptions) -> Result<()> {
        let relative = self.relative(path)?;
        match self.status_of(&relative).await {
            Ok(facts) if facts.is_directory() => return Ok(()),
            Ok(_) => return Err(Error::AlreadyExists { uri: path.to_owned() }),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        let parent = split_last(&relative).0;
        if options.recursive {
            self.ensure_directory(parent).await?;
        } else if !self.status_of(parent).await?.is_directory() {
            return Err(Error::NotADirectory { uri: self.uri(parent) });
        }
        self.put_marker(&relative).await
    }

    async fn delete_file(&self, path: &str) -> Result<()> {
        let relative = self.relative(path)?;
        refuse_root(&relative, path)?;
        if self.status_of(&relative).await?.is_directory() {
            return Err(Error::IsADirectory { uri: path.to_owned() });
        }
        self.keep_parent(&relative).await;
        self.run(&relative, "delete", Box::pin(self.shared.operator.delete(&relative))).await
    }

    async fn delete_dir(&self, path: &str, recursive: bool) -> Result<()> {
        let relative = self.relative(path)?;
        refuse_root(&relative, path)?;
        tree::delete_dir(self, &relative, recursive).await
    }

    async fn rename_file(&self, from: &str, to: &str) -> Result<UfsFacts> {
        let (old, new) = (self.relative(from)?, self.relative(to)?);
        refuse_root(&old, from)?;
        tree::rename_file(self, &old, &new).await
    }

    async fn rename_dir(&self, from: &str, to: &str) -> Result<()> {
        let (old, new) = (self.relative(from)?, self.relative(to)?);
        refuse_root(&old, from)?;
        tree::rename_dir(self, &old, &new).await
    }

    async fn set_attributes(&self, path: &str, _attributes: &UfsAttributes) -> Result<UfsFacts> {
        self.relative(path)?;
        Err(Error::Unsupported { uri: path.to_owned(), operation: "keep owner, group and mode" })
    }

    async fn space(&self) -> Result<Option<Space>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
