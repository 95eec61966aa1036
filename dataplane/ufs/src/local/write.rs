//! New files and directories.

use super::{Shared, parent_and_name, run_blocking};
use crate::error::{Error, Result};
use crate::facts::{UfsAttributes, UfsFacts};
use crate::under_fs::{CreateOptions, MkdirOptions, TEMP_PREFIX, UfsWriter};
use alluxio_host::{Entropy, OsEntropy};
use alluxio_types::Mode as FileMode;
use async_trait::async_trait;
use bytes::Bytes;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Gid, Mode, OFlags, RenameFlags, Uid};
use rustix::io::Errno;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;

/// Sets what is asked for. An owner or group that is right already is left alone, so that a
/// process without privileges can write its own files.
pub(super) fn set_attributes(
    shared: &Shared,
    fd: &OwnedFd,
    relative: &str,
    attributes: &UfsAttributes,
) -> Result<()> {
    let root = &shared.root;
    let unknown = |name: &str, kind| Error::UnknownPrincipal {
        uri: root.uri(relative),
        kind,
        name: name.to_owned(),
    };
    let stat = root.check(relative, "change", rustix::fs::fstat(fd))?;
    let mut user = None;
    if let Some(name) = &attributes.owner {
        let id = shared.names.user_id(name).ok_or_else(|| unknown(name, "user"));
        user = tolerate(shared, id)?.filter(|id| *id != stat.st_uid).map(Uid::from_raw);
    }
    let mut group = None;
    if let Some(name) = &attributes.group {
        let id = shared.names.group_id(name).ok_or_else(|| unknown(name, "group"));
        group = tolerate(shared, id)?.filter(|id| *id != stat.st_gid).map(Gid::from_raw);
    }
    if user.is_some() || group.is_some() {
        let done = rustix::fs::chownat(fd, "", user, group, AtFlags::EMPTY_PATH);
        tolerate(shared, root.check(relative, "change the owner", done))?;
    }
    if let Some(mode) = attributes.mode {
        // The mode cannot be changed through a descriptor that was opened by path only, but
        // through its name in /proc, which no link can bend.
        use rustix::fd::AsRawFd;
        let name = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let done = rustix::fs::chmod(name, Mode::from_raw_mode(u32::from(mode.0)));
        root.check(relative, "change the mode", done)?;
    }
    Ok(())
}

fn tolerate<T>(shared: &Shared, result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if shared.tolerate_owner_failure => {
            tracing::warn!(%error, "owner or group not set, as the configuration allows");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Makes `relative` and, if asked for, what is missing above it.
pub(super) fn mkdir(shared: &Shared, relative: &str, options: &MkdirOptions) -> Result<()> {
    if relative.is_empty() && options.recursive {
        // The root of a new mount: made with its parents, like any other directory.
        return std::fs::create_dir_all(shared.root.path()).map_err(|error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            shared.root.error("", "mkdir", errno)
        });
    }
    match shared.status(relative) {
        Ok(facts) if facts.is_directory() => return Ok(()),
        Ok(_) => return Err(Error::AlreadyExists { uri: shared.root.uri(relative) }),
        Err(error) if error.is_not_found() && !relative.is_empty() => {}
        Err(error) => return Err(error),
    }
    let (parent_path, _) = parent_and_name(relative);
    if options.recursive {
        match mkdir(shared, parent_path, options) {
            Err(Error::AlreadyExists { uri }) => return Err(Error::NotADirectory { uri }),
            other => other?,
        }
    }
    let (parent, name) = match shared.root.open_parent(relative) {
        Err(Error::NotFound { .. }) => {
            return Err(Error::NotFound { uri: shared.root.uri(parent_path) });
        }
        other => other?,
    };
    let mode = options.attributes.mode.unwrap_or(FileMode::DIRECTORY);
    match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(u32::from(mode.0))) {
        Ok(()) => {
            let fd = shared.root.open_path(relative)?;
            set_attributes(shared, &fd, relative, &options.attributes)
        }
        // Somebody else made it meanwhile.
        Err(Errno::EXIST) if shared.status(relative)?.is_directory() => Ok(()),
        Err(errno) => Err(shared.root.error(relative, "mkdir", errno)),
    }
}

/// A file under its temporary name.
pub(super) struct LocalWriter {
    /// `None` once finished or given up.
    open: Option<Unfinished>,
}

struct Unfinished {
    shared: Arc<Shared>,
    relative: String,
    parent: OwnedFd,
    temp_name: String,
    file: File,
    options: CreateOptions,
    renamed: bool,
}

pub(super) fn create(
    shared: Arc<Shared>,
    relative: String,
    options: CreateOptions,
) -> Result<LocalWriter> {
    match shared.status(&relative) {
        Ok(facts) if facts.is_directory() => {
            return Err(Error::IsADirectory { uri: shared.root.uri(&relative) });
        }
        Ok(_) => {}
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error),
    }
    let (parent_path, _) = parent_and_name(&relative);
    let parent = match shared.root.open_parent(&relative) {
        Err(Error::NotFound { .. }) => {
            let made = mkdir(&shared, parent_path, &MkdirOptions::recursive());
            match made {
                Err(Error::AlreadyExists { uri }) => return Err(Error::NotADirectory { uri }),
                other => other?,
            }
            shared.root.open_parent(&relative)?.0
        }
        other => other?.0,
    };
    let temp_name = format!("{TEMP_PREFIX}{:016x}", OsEntropy.next_u64());
    let mode = options.attributes.mode.unwrap_or(FileMode::FILE);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(u32::from(mode.0));
    let fd = rustix::fs::openat(&parent, temp_name.as_str(), flags, mode);
    let file = File::from(shared.root.check(&relative, "create", fd)?);
    let renamed = false;
    let open = Unfinished { shared, relative, parent, temp_name, file, options, renamed };
    Ok(LocalWriter { open: Some(open) })
}

/// Writes a file that takes its name only if that is free.
pub(super) fn create_new(shared: Arc<Shared>, relative: String, bytes: &[u8]) -> Result<()> {
    let uri = shared.root.uri(&relative);
    let writer = match create(shared, relative, CreateOptions::default()) {
        Err(Error::IsADirectory { .. }) => return Err(Error::AlreadyExists { uri }),
        other => other?,
    };
    let Some(mut open) = { writer }.open.take() else { return Err(unusable()) };
    open.write(bytes)?;
    open.finish(false).map(drop)
}

impl Unfinished {
    fn error(&self, operation: &'static str, error: &std::io::Error) -> Error {
        let errno = Errno::from_io_error(error).unwrap_or(Errno::IO);
        self.shared.root.error(&self.relative, operation, errno)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| self.error("write", &error))
    }

    /// Gives the file its name, replacing what has it if `replace`.
    fn rename(&self, replace: bool) -> rustix::io::Result<()> {
        let (parent, temp) = (&self.parent, self.temp_name.as_str());
        let (_, name) = parent_and_name(&self.relative);
        if replace {
            return rustix::fs::renameat(parent, temp, parent, name);
        }
        match rustix::fs::renameat_with(parent, temp, parent, name, RenameFlags::NOREPLACE) {
            // Not known to NFS and some others: a link is refused where the name is taken, everywhere.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                rustix::fs::linkat(parent, temp, parent, name, AtFlags::empty())?;
                rustix::fs::unlinkat(parent, temp, AtFlags::empty())
            }
            other => other,
        }
    }

    fn finish(mut self, replace: bool) -> Result<UfsFacts> {
        let (root, relative) = (&self.shared.root, &self.relative);
        // The name in /proc that `set_attributes` uses needs a descriptor, not a file.
        let fd = rustix::io::dup(&self.file);
        let fd = root.check(relative, "write", fd)?;
        set_attributes(&self.shared, &fd, relative, &self.options.attributes)?;
        self.file.sync_all().map_err(|error| self.error("sync", &error))?;
        root.check(relative, "create", self.rename(replace))?;
        self.renamed = true;
        // The new name must survive a power failure too. Some network file systems cannot sync a
        // directory and say EINVAL; their server does it by itself.
        match rustix::fs::fsync(&self.parent) {
            Ok(()) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(root.error(relative, "sync", errno)),
        }
        let stat = root.check(relative, "status", rustix::fs::fstat(&fd))?;
        super::read::facts(&stat, &self.shared.names).ok_or_else(|| Error::Failed {
            uri: root.uri(relative),
            operation: "create",
            detail: "what was written is not a file any more".to_owned(),
        })
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.renamed {
            // Nobody to tell: the name is hidden from listings, and the next clean-up removes it.
            let _ = rustix::fs::unlinkat(&self.parent, self.temp_name.as_str(), AtFlags::empty());
        }
    }
}

#[async_trait]
impl UfsWriter for LocalWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        // Moved into the task and back: if this future is dropped in between, the writer is left
        // without a file and cannot be finished, so a half-written piece is never published.
        let Some(mut open) = self.open.take() else { return Err(unusable()) };
        let (open, done) = run_blocking(move || {
            let done = open.write(&bytes);
            Ok((open, done))
        })
        .await?;
        self.open = Some(open);
        done
    }

    async fn finish(mut self: Box<Self>) -> Result<UfsFacts> {
        let Some(open) = self.open.take() else { return Err(unusable()) };
        run_blocking(move || open.finish(true)).await
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        let open = self.open.take();
        run_blocking(move || {
            drop(open);
            Ok(())
        })
        .await
    }
}

impl Drop for LocalWriter {
    fn drop(&mut self) {
        // Removing a name may block: leave it to the blocking pool if there still is one.
        if let Some(open) = self.open.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn_blocking(move || drop(open));
        }
    }
}

fn unusable() -> Error {
    Error::Failed {
        uri: "file:".to_owned(),
        operation: "write",
        detail: "an earlier write was cancelled".to_owned(),
    }
}
