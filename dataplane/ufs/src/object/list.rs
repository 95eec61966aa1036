//! Listings of buckets.

use super::{ObjectUfs, directory_key};
use crate::error::{Error, Result};
use crate::facts::{UfsEntry, UfsFacts};
use crate::location::is_usable_name;
use crate::under_fs::{EntryStream, LIST_BATCH_MAX};
use futures::{StreamExt, TryStreamExt};
use opendal::Lister;
use opendal::options::ListOptions;
use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasher, RandomState};

/// Objects asked about at a time, where a listing does not tell the version of an object.
const STATUS_CONCURRENCY: usize = 20;

/// A listing that is under way.
struct Walk {
    ufs: ObjectUfs,
    /// Listed directory with its slash; empty for the root.
    base: String,
    relative: String,
    recursive: bool,
    lister: Option<Lister>,
    /// Directories, held back until all files are known: a name that is also a file is a file.
    directories: BTreeSet<String>,
    /// Hashes of the names of files. 8 bytes for each: a million files cost about 16 MB while
    /// they are listed, and two of them collide once in 10^7 listings of that size.
    files: HashSet<u64>,
    hasher: RandomState,
}

pub(super) async fn list(
    ufs: &ObjectUfs,
    relative: String,
    recursive: bool,
) -> Result<EntryStream> {
    if !relative.is_empty() && !ufs.status_of(&relative).await?.is_directory() {
        return Err(Error::NotADirectory { uri: ufs.uri(&relative) });
    }
    let options =
        ListOptions { recursive, limit: ufs.shared.page_entries, ..ListOptions::default() };
    let key = directory_key(&relative);
    let opening = ufs.shared.operator.lister_options(&key, options);
    let lister = Some(ufs.run(&relative, "list", Box::pin(opening)).await?);
    let walk = Walk {
        ufs: ufs.clone(),
        base: if relative.is_empty() { String::new() } else { key },
        relative,
        recursive,
        lister,
        directories: BTreeSet::new(),
        files: HashSet::new(),
        hasher: RandomState::new(),
    };
    let stream = futures::stream::try_unfold(walk, |mut walk| async move {
        let batch = walk.next_batch().await?;
        Ok((!batch.is_empty()).then_some((batch, walk)))
    });
    Ok(stream.boxed())
}

impl Walk {
    /// The next batch; empty at the end.
    async fn next_batch(&mut self) -> Result<Vec<UfsEntry>> {
        loop {
            let batch = self.step().await?;
            if !batch.is_empty() || (self.lister.is_none() && self.directories.is_empty()) {
                return Ok(batch);
            }
        }
    }

    /// Files as they come; then the directories.
    async fn step(&mut self) -> Result<Vec<UfsEntry>> {
        let mut batch = Vec::new();
        let mut unknown = Vec::new();
        while batch.len() + unknown.len() < LIST_BATCH_MAX {
            let Some(lister) = &mut self.lister else { break };
            let next = self.ufs.run(&self.relative, "list", lister.try_next()).await?;
            let Some(entry) = next else {
                self.lister = None;
                break;
            };
            let (path, metadata) = entry.into_parts();
            let Some(name) = self.usable(&path) else { continue };
            if path.ends_with('/') || metadata.is_dir() {
                self.add_directory(&name);
                continue;
            }
            if !self.add_file(&name) {
                continue;
            }
            if self.ufs.shared.version_by.is_told(&metadata) {
                batch.push(UfsEntry { name, facts: self.ufs.facts(&metadata) });
            } else {
                unknown.push(name);
            }
        }
        self.ask(unknown, &mut batch).await?;
        if self.lister.is_none() {
            self.take_directories(&mut batch);
        }
        Ok(batch)
    }

    /// The name relative to the listed directory; `None` for the directory itself and for keys that
    /// are no path.
    fn usable(&self, path: &str) -> Option<String> {
        let name = path.strip_prefix(&self.base)?.trim_end_matches('/');
        if name.is_empty() {
            return None;
        }
        let inside = if path.ends_with('/') { path.len() - 1 } else { path.len() };
        let whole = &path[self.base.len()..inside];
        if !whole.split('/').all(is_usable_name) || whole.trim() != whole {
            let directory = self.ufs.uri(&self.relative);
            tracing::warn!(directory, "a key that is no path is left out of the listing");
            return None;
        }
        Some(name.to_owned())
    }

    fn hash(&self, name: &str) -> u64 {
        self.hasher.hash_one(name)
    }

    /// Remembers `name` and the directories above it.
    fn add_directory(&mut self, name: &str) {
        if !self.directories.contains(name) && !self.is_below_a_file(name) {
            self.add_parents(name);
            self.directories.insert(name.to_owned());
        }
    }

    /// Whether to show the file `name`.
    fn add_file(&mut self, name: &str) -> bool {
        if self.is_below_a_file(name) {
            return false;
        }
        self.add_parents(name);
        self.files.insert(self.hash(name));
        true
    }

    fn add_parents(&mut self, name: &str) {
        let mut above = name;
        while let Some((parent, _)) = above.rsplit_once('/') {
            if !self.directories.insert(parent.to_owned()) {
                break;
            }
            above = parent;
        }
    }

    /// Flat listings come in the order of keys, so the file `a` comes before `a/b`.
    fn is_below_a_file(&self, name: &str) -> bool {
        let mut above = name;
        while let Some((parent, _)) = above.rsplit_once('/') {
            if self.files.contains(&self.hash(parent)) {
                return true;
            }
            above = parent;
        }
        false
    }

    /// Adds the files whose version the listing did not tell.
    async fn ask(&self, names: Vec<String>, batch: &mut Vec<UfsEntry>) -> Result<()> {
        let asked = futures::stream::iter(names).map(|name| async move {
            let object = self.ufs.object(&format!("{}{name}", self.base)).await?;
            Ok::<_, Error>(object.map(|facts| UfsEntry { name, facts }))
        });
        let found: Vec<Option<UfsEntry>> =
            asked.buffer_unordered(STATUS_CONCURRENCY).try_collect().await?;
        // `None`: deleted since it was listed.
        batch.extend(found.into_iter().flatten());
        Ok(())
    }

    fn take_directories(&mut self, batch: &mut Vec<UfsEntry>) {
        while batch.len() < LIST_BATCH_MAX {
            let Some(name) = self.directories.pop_first() else { return };
            let shown = self.recursive || !name.contains('/');
            if shown && !self.files.contains(&self.hash(&name)) {
                batch.push(UfsEntry { name, facts: UfsFacts::directory() });
            }
        }
    }
}
