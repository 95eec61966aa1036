//! HDFS by its native protocol, name services with several name nodes included.
//!
//! New files are written under a temporary name in the same directory, which no listing shows, and
//! renamed over the old one in one step when they are complete.

mod conf;
mod error;
mod read;
mod write;

pub(crate) use error::remote;
pub(crate) use write::temp_name;

use crate::error::{Error, Result};
use crate::facts::{Capabilities, Space, UfsAttributes, UfsEntry, UfsFacts, UfsKind};
use crate::location::{Location, split_last};
use crate::named::{self, Named};
use crate::options::{Known, Options, Redactor, plain, secret};
use crate::registry::UfsSettings;
use crate::retry::Retries;
use crate::under_fs::{
    ByteStream, CreateOptions, EntryStream, LIST_BATCH_MAX, MkdirOptions, TEMP_PREFIX, UfsWriter,
    UnderFs, is_left_over, refuse_root,
};
use alluxio_types::{FileKind, Fingerprint, Mode, MountOptions, UnixMillis};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use hdfs_native::client::{Client, ClientBuilder, FileStatus};
use std::sync::Arc;

/// Options of `hdfs` mounts. Everything that begins like a Hadoop option goes to the client as is.
const OPTIONS: &[Known] = &[
    plain("alluxio.underfs.hdfs.configuration", &[]),
    plain("alluxio.underfs.hdfs.user", &["hadoop.user.name"]),
    plain("alluxio.underfs.hdfs.*", &[]),
    plain("dfs.*", &[]),
    plain("hadoop.*", &[]),
    plain("fs.defaultFS", &[]),
    plain("fs.viewfs.*", &[]),
    plain("ipc.*", &[]),
    // Read by older versions of Alluxio; authentication is Hadoop's own business here.
    secret("alluxio.security.underfs.hdfs.*", &[]),
];

/// One directory of an HDFS. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct HdfsUfs {
    shared: Arc<Shared>,
}

struct Shared {
    location: Location,
    client: Client,
    redactor: Redactor,
    retries: Retries,
    tolerate_owner_failure: bool,
}

/// Opens the directory at `location`.
pub(crate) fn open(
    location: &Location,
    mount: &MountOptions,
    settings: &UfsSettings,
) -> Result<Arc<dyn UnderFs>> {
    let options = Options::resolve(location, mount, &settings.defaults, OPTIONS)?;
    let mut hadoop = conf::read(location, &options)?;
    for stem in ["dfs.", "hadoop.", "fs.defaultFS", "fs.viewfs.", "ipc."] {
        let given = options.starting_with(stem);
        hadoop.extend(given.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    let url = format!("hdfs://{}", location.authority());
    let mut builder = ClientBuilder::new().with_url(url).with_config(hadoop);
    if let Some(user) = options.get("alluxio.underfs.hdfs.user") {
        builder = builder.with_user(user);
    }
    let client = builder.build().map_err(|error| Error::InvalidUri {
        uri: location.as_str().to_owned(),
        why: options.redactor().clean(&error.to_string()),
    })?;
    let shared = Shared {
        location: location.clone(),
        client,
        redactor: options.redactor(),
        retries: settings.retries(&options)?,
        tolerate_owner_failure: options.flag("alluxio.underfs.allow.set.owner.failure")?,
    };
    Ok(Arc::new(HdfsUfs { shared: Arc::new(shared) }))
}

/// What HDFS says of one file or directory, by either protocol.
pub(crate) fn facts(
    is_directory: bool,
    length: u64,
    modified_ms: u64,
    owner: String,
    group: String,
    mode: u16,
) -> UfsFacts {
    let modified = Some(UnixMillis(modified_ms));
    let mut facts = if is_directory {
        UfsFacts { modified, ..UfsFacts::directory() }
    } else {
        let text = format!("hdfs;len={length};mtime={modified_ms}");
        UfsFacts::file(length, modified, Fingerprint(text))
    };
    facts.owner = Some(owner);
    facts.group = Some(group);
    facts.mode = Some(Mode(mode & 0o7777));
    facts
}

fn facts_of(status: FileStatus) -> UfsFacts {
    facts(
        status.isdir,
        status.length as u64,
        status.modification_time,
        status.owner,
        status.group,
        status.permission,
    )
}

impl Named for HdfsUfs {
    fn uri(&self, relative: &str) -> String {
        self.shared.location.join(relative)
    }

    async fn status_of(&self, relative: &str) -> Result<UfsFacts> {
        let path = self.path(relative);
        let call = || self.shared.client.get_file_info(&path);
        Ok(facts_of(self.repeat(relative, "status", call).await?))
    }
}

impl HdfsUfs {
    fn relative(&self, path: &str) -> Result<String> {
        self.shared.location.relative(path)
    }

    /// The absolute path in HDFS of what is at `relative`.
    fn path(&self, relative: &str) -> String {
        let root = self.shared.location.path();
        match (root.is_empty(), relative.is_empty()) {
            (true, _) => format!("/{relative}"),
            (false, true) => format!("/{root}"),
            (false, false) => format!("/{root}/{relative}"),
        }
    }

    /// Runs a call that is safe to repeat.
    async fn repeat<T, F>(
        &self,
        relative: &str,
        operation: &'static str,
        mut call: impl FnMut() -> F,
    ) -> Result<T>
    where
        F: Future<Output = hdfs_native::Result<T>>,
    {
        let uri = self.uri(relative);
        let attempt = || {
            let call = call();
            async { call.await.map_err(|error| self.error(relative, operation, &error)) }
        };
        self.shared.retries.run(&uri, operation, attempt).await
    }

    /// Runs a call once.
    async fn once<T>(
        &self,
        relative: &str,
        operation: &'static str,
        call: impl Future<Output = hdfs_native::Result<T>>,
    ) -> Result<T> {
        let uri = self.uri(relative);
        let call = Box::pin(call);
        let work = async { call.await.map_err(|error| self.error(relative, operation, &error)) };
        self.shared.retries.within(&uri, operation, work).await
    }

    /// Removes an unfinished file that a crash left behind, without anybody waiting for it.
    fn remove_later(&self, path: String) {
        let ufs = self.clone();
        tokio::spawn(async move {
            if ufs.shared.client.delete(&path, false).await.is_ok() {
                tracing::info!(path, "removed an unfinished file that a crash left behind");
            }
        });
    }

    async fn set(&self, relative: &str, attributes: &UfsAttributes) -> Result<()> {
        let (client, path) = (&self.shared.client, self.path(relative));
        if attributes.owner.is_some() || attributes.group.is_some() {
            let (owner, group) = (attributes.owner.as_deref(), attributes.group.as_deref());
            let call = || client.set_owner(&path, owner, group);
            match self.repeat(relative, "change the owner", call).await {
                Err(error) if self.shared.tolerate_owner_failure => {
                    tracing::warn!(%error, "owner or group not set, as the configuration allows");
                }
                other => other?,
            }
        }
        if let Some(mode) = attributes.mode {
            let call = || client.set_permission(&path, u32::from(mode.0));
            self.repeat(relative, "change the mode", call).await?;
        }
        Ok(())
    }

    /// Makes one directory or, with `parents`, all that are missing.
    async fn make(&self, relative: &str, mode: Mode, parents: bool) -> Result<()> {
        let path = self.path(relative);
        let call = || self.shared.client.mkdirs(&path, u32::from(mode.0), parents);
        match self.repeat(relative, "mkdir", call).await {
            // The name node names a parent that is a file; so do we.
            Err(Error::NotADirectory { .. }) => {
                Err(Error::NotADirectory { uri: self.uri(split_last(relative).0) })
            }
            other => other,
        }
    }

    async fn rename(&self, from: &str, to: &str, kind: FileKind) -> Result<UfsFacts> {
        named::may_rename(self, from, to, kind).await?;
        let (old, new) = (self.path(from), self.path(to));
        self.once(from, "rename", self.shared.client.rename(&old, &new, false)).await?;
        self.status_of(to).await
    }
}

#[async_trait]
impl UnderFs for HdfsUfs {
    fn kind(&self) -> UfsKind {
        UfsKind::Hdfs
    }

    fn root(&self) -> &str {
        self.shared.location.as_str()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            attributes: true,
            atomic_rename: true,
            writable: true,
            list: true,
            native_recursive_list: false,
            conditional_read: false,
            exclusive_create: true,
        }
    }

    async fn status(&self, path: &str) -> Result<UfsFacts> {
        self.status_of(&self.relative(path)?).await
    }

    async fn list(&self, path: &str, recursive: bool) -> Result<EntryStream> {
        let relative = self.relative(path)?;
        named::need(self, &relative, FileKind::Directory).await?;
        let ufs = self.clone();
        let base = self.path(&relative);
        let found = self.shared.client.list_status_iter(&base, recursive).into_stream();
        let entries = found.map(move |status| {
            let status = status.map_err(|error| ufs.error(&relative, "list", &error))?;
            let name = status.path.strip_prefix(&base).unwrap_or(&status.path);
            let name = name.trim_matches('/').to_owned();
            if is_unfinished(&name) && is_left_over(status.modification_time) {
                ufs.remove_later(status.path.clone());
            }
            Ok(UfsEntry { name, facts: facts_of(status) })
        });
        let shown = entries.filter(|entry: &Result<UfsEntry>| {
            futures::future::ready(entry.as_ref().map_or(true, is_shown))
        });
        Ok(in_batches(shown.boxed()))
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

    async fn create(&self, path: &str, options: CreateOptions) -> Result<Box<dyn UfsWriter>> {
        let relative = self.relative(path)?;
        refuse_root(&relative, path)?;
        Ok(Box::new(write::create(self, relative, options).await?))
    }

    async fn create_new(&self, path: &str, bytes: Bytes) -> Result<()> {
        let relative = self.relative(path)?;
        refuse_root(&relative, path)?;
        write::create_new(self, relative, bytes).await
    }

    async fn mkdir(&self, path: &str, options: MkdirOptions) -> Result<()> {
        let relative = self.relative(path)?;
        if named::is_made(self, &relative).await? {
            return Ok(());
        }
        let mode = options.attributes.mode.unwrap_or(Mode::DIRECTORY);
        self.make(&relative, mode, options.recursive).await?;
        self.set(&relative, &options.attributes).await
    }

    async fn delete_file(&self, path: &str) -> Result<()> {
        let relative = self.relative(path)?;
        refuse_root(&relative, path)?;
        named::need(self, &relative, FileKind::File).await?;
        let full = self.path(&relative);
        self.repeat(&relative, "delete", || self.shared.client.delete(&full, false)).await?;
        Ok(())
    }

    async fn delete_dir(&self, path: &str, recursive: bool) -> Result<()> {
        let relative = self.relative(path)?;
        refuse_root(&relative, path)?;
        named::need(self, &relative, FileKind::Directory).await?;
        let full = self.path(&relative);
        self.repeat(&relative, "delete", || self.shared.client.delete(&full, recursive)).await?;
        Ok(())
    }

    async fn rename_file(&self, from: &str, to: &str) -> Result<UfsFacts> {
        let (old, new) = (self.relative(from)?, self.relative(to)?);
        refuse_root(&old, from)?;
        self.rename(&old, &new, FileKind::File).await
    }

    async fn rename_dir(&self, from: &str, to: &str) -> Result<()> {
        let (old, new) = (self.relative(from)?, self.relative(to)?);
        refuse_root(&old, from)?;
        self.rename(&old, &new, FileKind::Directory).await?;
        Ok(())
    }

    async fn set_attributes(&self, path: &str, attributes: &UfsAttributes) -> Result<UfsFacts> {
        let relative = self.relative(path)?;
        self.set(&relative, attributes).await?;
        self.status_of(&relative).await
    }

    async fn space(&self) -> Result<Option<Space>> {
        Ok(None)
    }
}

/// Whether an entry belongs into a listing.
fn is_shown(entry: &UfsEntry) -> bool {
    !entry.name.is_empty() && !is_unfinished(&entry.name)
}

/// Whether a name of a listing is that of an unfinished file.
pub(crate) fn is_unfinished(name: &str) -> bool {
    split_last(name).1.starts_with(TEMP_PREFIX)
}

/// Entries in batches; an error ends the stream.
pub(crate) fn in_batches(
    entries: futures::stream::BoxStream<'static, Result<UfsEntry>>,
) -> EntryStream {
    let batches =
        futures::stream::unfold(Some(entries.ready_chunks(LIST_BATCH_MAX)), |chunks| async {
            let mut chunks = chunks?;
            let batch: Result<Vec<UfsEntry>> = chunks.next().await?.into_iter().collect();
            let rest = batch.is_ok().then_some(chunks);
            Some((batch, rest))
        });
    batches.boxed()
}

#[cfg(test)]
pub(crate) mod tests;
