//! Listing and deleting directories.

use super::read::{facts, modified as facts_modified};
use super::{LocalUfs, Shared, run_blocking};
use crate::error::{Error, Result};
use crate::facts::UfsEntry;
use crate::location::{is_usable_name, split_last};
use crate::under_fs::{EntryStream, LIST_BATCH_MAX, TEMP_PREFIX, is_left_over};
use futures::StreamExt;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use std::sync::Arc;

/// Deepest directory that is entered; the namespace allows no deeper path.
const DEPTH_MAX: usize = alluxio_types::path::DEPTH_MAX;

/// A walk that is under way. Each step runs on the blocking pool and yields one batch.
struct Walk {
    shared: Arc<Shared>,
    /// The listed directory.
    base: String,
    recursive: bool,
    /// Directory being read, relative to `base`.
    current: Option<(String, Dir, OwnedFd)>,
    /// Directories still to be read, relative to `base`.
    waiting: Vec<String>,
}

pub(super) async fn list(ufs: LocalUfs, base: String, recursive: bool) -> Result<EntryStream> {
    let shared = Arc::clone(&ufs.shared);
    let walk = run_blocking(move || {
        let mut walk = Walk { shared, base, recursive, current: None, waiting: vec![] };
        walk.enter(String::new())?;
        Ok(walk)
    })
    .await?;
    let stream = futures::stream::unfold(Some(walk), |walk| async move {
        let walk = walk?;
        match run_blocking(move || Ok(walk.step())).await {
            Ok((Ok(batch), walk)) if !batch.is_empty() => Some((Ok(batch), Some(walk))),
            Ok((Ok(_), _)) => None,
            Ok((Err(error), _)) | Err(error) => Some((Err(error), None)),
        }
    });
    Ok(stream.boxed())
}

impl Walk {
    fn enter(&mut self, directory: String) -> Result<()> {
        let path = join(&self.base, &directory);
        let root = &self.shared.root;
        let fd = root.open(&path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let dir = root.check(&path, "list", Dir::read_from(&fd))?;
        self.current = Some((directory, dir, fd));
        Ok(())
    }

    /// The next batch; empty at the end.
    fn step(mut self) -> (Result<Vec<UfsEntry>>, Self) {
        let mut batch = Vec::new();
        while batch.len() < LIST_BATCH_MAX {
            let Some((directory, mut dir, fd)) = self.current.take() else {
                match self.waiting.pop() {
                    None => break,
                    Some(next) => match self.enter(next) {
                        // Deleted since it was seen: as if it had never been there.
                        Err(Error::NotFound { .. } | Error::NotADirectory { .. }) => continue,
                        Err(error) => return (Err(error), self),
                        Ok(()) => continue,
                    },
                }
            };
            match dir.read() {
                None => {}
                Some(Err(errno)) => {
                    let path = join(&self.base, &directory);
                    return (Err(self.shared.root.error(&path, "list", errno)), self);
                }
                Some(Ok(found)) => {
                    let entry = self.entry(&directory, &fd, found.file_name().to_bytes());
                    self.current = Some((directory, dir, fd));
                    match entry {
                        Ok(Some(entry)) => {
                            self.remember(&entry);
                            batch.push(entry);
                        }
                        Ok(None) => {}
                        Err(error) => return (Err(error), self),
                    }
                }
            }
        }
        (Ok(batch), self)
    }

    fn remember(&mut self, entry: &UfsEntry) {
        let depth = entry.name.split('/').count();
        if self.recursive && entry.facts.is_directory() && depth < DEPTH_MAX {
            self.waiting.push(entry.name.clone());
        }
    }

    /// Whether what the link `path` leads to is one of the directories above it: a tree that
    /// contains itself has no end, so such links are left out.
    fn leads_up(&self, path: &str, target: &Stat) -> bool {
        let mut above = path;
        while !above.is_empty() {
            above = split_last(above).0;
            let Ok(fd) = self.shared.root.open_path(above) else { return true };
            match rustix::fs::fstat(&fd) {
                Ok(stat) if (stat.st_dev, stat.st_ino) != (target.st_dev, target.st_ino) => {}
                _ => return true,
            }
        }
        false
    }

    /// What to show of `name`; `None` for what is not shown.
    fn entry(&self, directory: &str, fd: &OwnedFd, name: &[u8]) -> Result<Option<UfsEntry>> {
        if name == b"." || name == b".." {
            return Ok(None);
        }
        let root = &self.shared.root;
        let Some(name) = std::str::from_utf8(name).ok().filter(|name| is_usable_name(name)) else {
            let directory = root.uri(&join(&self.base, directory));
            tracing::warn!(directory, "a name that is not UTF-8 is left out of the listing");
            return Ok(None);
        };
        if name.starts_with(TEMP_PREFIX) {
            remove_left_over(fd, name);
            return Ok(None);
        }
        let shown = join(directory, name);
        let path = join(&self.base, &shown);
        let stat = match rustix::fs::statat(fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_symlink() => {
                match root.open_path(&path) {
                    Ok(target) => match rustix::fs::fstat(&target) {
                        Ok(stat) if self.leads_up(&path, &stat) => return Ok(None),
                        other => other,
                    },
                    Err(error) => {
                        tracing::debug!(%error, "a link that leads nowhere is left out");
                        return Ok(None);
                    }
                }
            }
            other => other,
        };
        match stat {
            Ok(stat) => {
                let facts = facts(&stat, &self.shared.names);
                Ok(facts.map(|facts| UfsEntry { name: shown, facts }))
            }
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(errno) => Err(root.error(&path, "list", errno)),
        }
    }
}

/// Removes an unfinished file, unless somebody may still be writing it.
fn remove_left_over(directory: &OwnedFd, name: &str) {
    if let Ok(stat) = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
        && is_left_over(facts_modified(&stat))
        // It may fail, on a read-only file system for one; it is hidden all the same.
        && rustix::fs::unlinkat(directory, name, AtFlags::empty()).is_ok()
    {
        tracing::info!(name, "removed an unfinished file that a crash left behind");
    }
}

fn join(directory: &str, name: &str) -> String {
    match (directory.is_empty(), name.is_empty()) {
        (true, _) => name.to_owned(),
        (_, true) => directory.to_owned(),
        _ => format!("{directory}/{name}"),
    }
}

pub(super) fn delete_dir(shared: &Shared, relative: &str, recursive: bool) -> Result<()> {
    let root = &shared.root;
    let (parent, name) = root.open_parent(relative)?;
    let stat = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW);
    let stat = root.check(relative, "delete", stat)?;
    if !shared.status(relative)?.is_directory() {
        return Err(Error::NotADirectory { uri: root.uri(relative) });
    }
    if FileType::from_raw_mode(stat.st_mode).is_symlink() {
        // The link goes; what it points to was never below this name.
        let done = rustix::fs::unlinkat(&parent, name, AtFlags::empty());
        return root.check(relative, "delete", done);
    }
    if recursive {
        let emptied = empty_directory(&parent, name, 0);
        root.check(relative, "delete", emptied)?;
    } else {
        remove_temporary_files(&parent, name);
    }
    root.check(relative, "delete", rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR))
}

/// Deletes all that is below `name`, following no link.
fn empty_directory(parent: &OwnedFd, name: &str, depth: usize) -> rustix::io::Result<()> {
    if depth > DEPTH_MAX {
        return Err(rustix::io::Errno::NAMETOOLONG);
    }
    let fd = open_directory(parent, name)?;
    // All names first: deleting while reading may skip some on certain file systems.
    let mut names = Vec::new();
    for found in Dir::read_from(&fd)? {
        let found = found?;
        let name = found.file_name();
        if name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    for name in names {
        match rustix::fs::unlinkat(&fd, &name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => continue,
            Err(rustix::io::Errno::ISDIR | rustix::io::Errno::PERM) => {}
            Err(errno) => return Err(errno),
        }
        let Ok(text) = name.to_str() else { return Err(rustix::io::Errno::ILSEQ) };
        match empty_directory(&fd, text, depth + 1) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
        rustix::fs::unlinkat(&fd, &name, AtFlags::REMOVEDIR)?;
    }
    Ok(())
}

fn open_directory(parent: &OwnedFd, name: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// Unfinished files, which no listing shows, must not keep a directory from being deleted.
fn remove_temporary_files(parent: &OwnedFd, name: &str) {
    let Ok(fd) = open_directory(parent, name) else { return };
    let Ok(dir) = Dir::read_from(&fd) else { return };
    let found: Vec<_> = dir.flatten().map(|found| found.file_name().to_owned()).collect();
    let only_temporary = found.iter().all(|name| {
        let name = name.to_bytes();
        name == b"." || name == b".." || name.starts_with(TEMP_PREFIX.as_bytes())
    });
    if only_temporary {
        for name in found.iter().filter(|name| name.to_bytes().starts_with(TEMP_PREFIX.as_bytes()))
        {
            // What is left makes the directory "not empty", which is then reported.
            let _ = rustix::fs::unlinkat(&fd, name, AtFlags::empty());
        }
    }
}
