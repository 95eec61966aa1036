//! A directory of this machine, NFS, CephFS, Lustre and other mounted file systems included.
//!
//! **Symbolic links** are followed as long as they stay below the mount's root; one that leaves it
//! is refused with `OutsideMount` for reads and writes alike, and is left out of listings. Whoever
//! may write to the directory could otherwise read any file of this machine with the rights of the
//! worker. The check is part of the open (`openat2`), so no swap of a link can win a race.
//!
//! **Writes** go to a temporary name in the same directory, which no listing shows, and are renamed
//! when they are complete and synced.
//!
//! All calls block, so they run on the blocking pool of tokio.

mod names;
mod read;
mod resolve;
mod tree;
mod write;

use crate::error::{Error, Result};
use crate::facts::{Capabilities, Space, UfsAttributes, UfsFacts, UfsKind};
use crate::location::{Location, split_last};
use crate::under_fs::{
    ByteStream, CreateOptions, EntryStream, MkdirOptions, UfsWriter, UnderFs, refuse_root,
};
use alluxio_types::{FileKind, Fingerprint};
use async_trait::async_trait;
use bytes::Bytes;
use names::Names;
use resolve::Root;
use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;
use std::sync::Arc;

/// A local directory as a store. Cloning is cheap.
#[derive(Clone)]
pub struct LocalUfs {
    shared: Arc<Shared>,
}

struct Shared {
    root: Root,
    names: Names,
    /// `alluxio.underfs.allow.set.owner.failure`.
    tolerate_owner_failure: bool,
}

impl LocalUfs {
    /// The directory that `location` (scheme `file`) names. Whether it exists is seen by the first
    /// call.
    pub fn new(location: Location, tolerate_owner_failure: bool) -> Self {
        let root = Root::new(location);
        LocalUfs {
            shared: Arc::new(Shared { root, names: Names::default(), tolerate_owner_failure }),
        }
    }

    /// Runs `work` where it may block.
    async fn blocking<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Shared) -> Result<T> + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        run_blocking(move || work(&shared)).await
    }

    fn relative(&self, path: &str) -> Result<String> {
        self.shared.root.location().relative(path)
    }
}

/// Runs `work` on the blocking pool; its panic is passed on.
async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(stopped) if stopped.is_panic() => std::panic::resume_unwind(stopped.into_panic()),
        // Only a runtime that shuts down drops a blocking task.
        Err(_) => Err(Error::Unavailable {
            uri: "file:".to_owned(),
            detail: "this process is stopping".to_owned(),
        }),
    }
}

impl Shared {
    fn status(&self, relative: &str) -> Result<UfsFacts> {
        let fd = self.root.open_path(relative)?;
        let stat = self.root.check(relative, "status", rustix::fs::fstat(&fd))?;
        read::facts(&stat, &self.names).ok_or_else(|| Error::Unsupported {
            uri: self.root.uri(relative),
            operation: "serve a device, socket or pipe",
        })
    }

    fn delete_file(&self, relative: &str) -> Result<()> {
        let (parent, name) = self.root.open_parent(relative)?;
        let stat = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW);
        let stat = self.root.check(relative, "delete", stat)?;
        let is_link = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_symlink();
        if !is_link && self.status(relative)?.is_directory() {
            return Err(Error::IsADirectory { uri: self.root.uri(relative) });
        }
        let done = rustix::fs::unlinkat(&parent, name, AtFlags::empty());
        self.root.check(relative, "delete", done)
    }

    fn rename(&self, from: &str, to: &str, kind: FileKind) -> Result<UfsFacts> {
        let root = &self.root;
        let found = self.status(from)?.kind;
        match (found, kind) {
            (FileKind::Directory, FileKind::File) => {
                return Err(Error::IsADirectory { uri: root.uri(from) });
            }
            (FileKind::File, FileKind::Directory) => {
                return Err(Error::NotADirectory { uri: root.uri(from) });
            }
            _ => {}
        }
        if to.starts_with(&format!("{from}/")) || to == from {
            let why = "a file or directory cannot move into itself".to_owned();
            return Err(Error::InvalidUri { uri: root.uri(to), why });
        }
        let (from_dir, from_name) = root.open_parent(from)?;
        let (to_dir, to_name) = root.open_parent(to)?;
        let renamed = rustix::fs::renameat_with(
            &from_dir,
            from_name,
            &to_dir,
            to_name,
            RenameFlags::NOREPLACE,
        );
        let renamed = match renamed {
            // NFS and some FUSE file systems cannot rename without replacing: look, then rename.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                match rustix::fs::statat(&to_dir, to_name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(_) => Err(Errno::EXIST),
                    Err(Errno::NOENT) => {
                        rustix::fs::renameat(&from_dir, from_name, &to_dir, to_name)
                    }
                    Err(error) => Err(error),
                }
            }
            other => other,
        };
        root.check(
            if matches!(renamed, Err(Errno::EXIST)) { to } else { from },
            "rename",
            renamed,
        )?;
        self.status(to)
    }

    fn set_attributes(&self, relative: &str, attributes: &UfsAttributes) -> Result<UfsFacts> {
        let fd = self.root.open_path(relative)?;
        write::set_attributes(self, &fd, relative, attributes)?;
        self.status(relative)
    }

    fn space(&self) -> Result<Space> {
        let stat = self.root.check("", "space", rustix::fs::statvfs(self.root.path()))?;
        let total_bytes = stat.f_blocks.saturating_mul(stat.f_frsize);
        let free_bytes = stat.f_bavail.saturating_mul(stat.f_frsize);
        Ok(Space { total_bytes, used_bytes: total_bytes.saturating_sub(free_bytes) })
    }
}

#[async_trait]
impl UnderFs for LocalUfs {
    fn kind(&self) -> UfsKind {
        UfsKind::Local
    }

    fn root(&self) -> &str {
        self.shared.root.location().as_str()
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
        let relative = self.relative(path)?;
        self.blocking(move |shared| shared.status(&relative)).await
    }

    async fn list(&self, path: &str, recursive: bool) -> Result<EntryStream> {
        let relative = self.relative(path)?;
        tree::list(self.clone(), relative, recursive).await
    }

    async fn read_range(
        &self,
        path: &str,
        offset: u64,
        length: u64,
        expected: &Fingerprint,
    ) -> Result<ByteStream> {
        let relative = self.relative(path)?;
        read::read_range(self, relative, offset, length, expected.clone()).await
    }

    async fn create(&self, path: &str, options: CreateOptions) -> Result<Box<dyn UfsWriter>> {
        let relative = self.relative(path)?;
        refuse_root(&relative, path)?;
        let shared = Arc::clone(&self.shared);
        let writer = run_blocking(move || write::create(shared, relative, options)).await?;
        Ok(Box::new(writer))
    }

    async fn create_new(&self, path: &str, bytes: Bytes) -> Result<()> {
        let relative = self.relative(path)?;
        refuse_root(&relative, path)?;
        let shared = Arc::clone(&self.shared);
        run_blocking(move || write::create_new(shared, relative, &bytes)).await
    }

    async fn mkdir(&self, path: &str, options: MkdirOptions) -> Result<()> {
        let relative = self.relative(path)?;
        self.blocking(move |shared| write::mkdir(shared, &relative, &options)).await
    }

    async fn delete_file(&self, path: &str) -> Result<()> {
        let relative = self.relative(path)?;
        refuse_root(&relative, path)?;
        self.blocking(move |shared| shared.delete_file(&relative)).await
    }

    async fn delete_dir(&self, path: &str, recursive: bool) -> Result<()> {
        let relative = self.relative(path)?;
        refuse_root(&relative, path)?;
        self.blocking(move |shared| tree::delete_dir(shared, &relative, recursive)).await
    }

    async fn rename_file(&self, from: &str, to: &str) -> Result<UfsFacts> {
        let (old, new) = (self.relative(from)?, self.relative(to)?);
        refuse_root(&old, from)?;
        refuse_root(&new, to)?;
        self.blocking(move |shared| shared.rename(&old, &new, FileKind::File)).await
    }

    async fn rename_dir(&self, from: &str, to: &str) -> Result<()> {
        let (old, new) = (self.relative(from)?, self.relative(to)?);
        refuse_root(&old, from)?;
        refuse_root(&new, to)?;
        self.blocking(move |shared| shared.rename(&old, &new, FileKind::Directory)).await?;
        Ok(())
    }

    async fn set_attributes(&self, path: &str, attributes: &UfsAttributes) -> Result<UfsFacts> {
        let relative = self.relative(path)?;
        let attributes = attributes.clone();
        self.blocking(move |shared| shared.set_attributes(&relative, &attributes)).await
    }

    async fn space(&self) -> Result<Option<Space>> {
        self.blocking(|shared| shared.space().map(Some)).await
    }
}

/// The name of a user of this machine; the number as text when it has none.
pub(crate) fn user_name(id: u32) -> String {
    Names::default().user(id)
}

/// Parent and name; both of a path that is not the root.
fn parent_and_name(relative: &str) -> (&str, &str) {
    split_last(relative)
}

#[cfg(test)]
mod tests;
