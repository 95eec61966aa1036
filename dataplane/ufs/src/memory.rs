//! A store in the memory of this process, for tests of the callers. Strongly consistent, with
//! owner, group and mode, and an atomic rename.

use crate::error::{Error, Result};
use crate::facts::{Capabilities, Space, UfsAttributes, UfsEntry, UfsFacts, UfsKind};
use crate::location::{Location, split_last};
use crate::under_fs::{
    ByteStream, CreateOptions, EntryStream, LIST_BATCH_MAX, MkdirOptions, UfsWriter, UnderFs,
};
use alluxio_host::Clock;
use alluxio_types::{FileKind, Fingerprint, Mode, UnixMillis};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// Bytes of one piece of a stream; small, so that tests see more than one.
const CHUNK_BYTES: usize = 64 * 1024;

/// A store in memory. Clones share their content, so a test can keep one and change files behind
/// the back of whoever has the other.
#[derive(Clone)]
pub struct MemoryUfs {
    root: Arc<Location>,
    tree: Arc<Mutex<Tree>>,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct Tree {
    /// Relative path to node; the root is the empty path and always there.
    nodes: BTreeMap<String, Node>,
    last_version: u64,
}

#[derive(Clone)]
struct Node {
    facts: UfsFacts,
    bytes: Bytes,
}

impl MemoryUfs {
    /// An empty store with the URI `root` (`memory://name/` or any other that parses).
    pub fn new(root: &str, clock: Arc<dyn Clock>) -> Result<Self> {
        let root = Location::parse(root)?;
        let mut tree = Tree::default();
        tree.nodes.insert(String::new(), directory(&UfsAttributes::default(), clock.now()));
        Ok(MemoryUfs { root: Arc::new(root), tree: Arc::new(Mutex::new(tree)), clock })
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().expect("no panic happens under this lock")
    }

    fn put(
        &self,
        tree: &mut Tree,
        path: &str,
        bytes: Bytes,
        attributes: &UfsAttributes,
    ) -> Result<UfsFacts> {
        let now = self.clock.now();
        tree.check_file_target(&self.root, path)?;
        tree.make_parents(path, now);
        tree.last_version += 1;
        let fingerprint =
            Fingerprint(format!("memory;len={};version={}", bytes.len(), tree.last_version));
        let mut facts = UfsFacts::file(bytes.len() as u64, Some(now), fingerprint);
        set_attributes(&mut facts, &default_attributes(attributes, Mode::FILE));
        tree.nodes.insert(path.to_owned(), Node { facts: facts.clone(), bytes });
        Ok(facts)
    }

    fn rename(&self, from: &str, to: &str, kind: FileKind) -> Result<UfsFacts> {
        let (from_uri, to_uri) = (from.to_owned(), to.to_owned());
        let (from, to) = (self.root.relative(from)?, self.root.relative(to)?);
        let mut tree = self.tree();
        let facts = tree.get(&from, &from_uri)?.facts.clone();
        match (facts.kind, kind) {
            (FileKind::Directory, FileKind::File) => {
                return Err(Error::IsADirectory { uri: from_uri });
            }
            (FileKind::File, FileKind::Directory) => {
                return Err(Error::NotADirectory { uri: from_uri });
            }
            _ => {}
        }
        if from.is_empty() || to == from || to.starts_with(&format!("{from}/")) {
            let why = "a directory cannot move into itself".to_owned();
            return Err(Error::InvalidUri { uri: to_uri, why });
        }
        if tree.nodes.contains_key(&to) {
            return Err(Error::AlreadyExists { uri: to_uri });
        }
        let parent = split_last(&to).0.to_owned();
        let parent_uri = self.root.join(&parent);
        if !tree.get(&parent, &parent_uri)?.facts.is_directory() {
            return Err(Error::NotADirectory { uri: parent_uri });
        }
        let moved: Vec<String> = tree.subtree(&from).map(|(path, _)| path.clone()).collect();
        for path in moved {
            if let Some(node) = tree.nodes.remove(&path) {
                tree.nodes.insert(format!("{to}{}", &path[from.len()..]), node);
            }
        }
        Ok(facts)
    }
}

impl Tree {
    fn get(&self, path: &str, uri: &str) -> Result<&Node> {
        if let Some(node) = self.nodes.get(path) {
            return Ok(node);
        }
        Err(Error::NotFound { uri: uri.to_owned() })
    }

    /// `path` itself and all below it.
    fn subtree<'a>(&'a self, path: &str) -> impl Iterator<Item = (&'a String, &'a Node)> {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let own = path.to_owned();
        self.nodes
            .range(own.clone()..)
            .take_while({
                let own = own.clone();
                move |(name, _)| name.starts_with(&own)
            })
            .filter(move |(name, _)| **name == own || name.starts_with(&prefix))
    }

    fn check_file_target(&self, root: &Location, path: &str) -> Result<()> {
        if self.nodes.get(path).is_some_and(|node| node.facts.is_directory()) {
            return Err(Error::IsADirectory { uri: root.join(path) });
        }
        self.check_parents(root, path)
    }

    /// No file may stand where a directory is needed.
    fn check_parents(&self, root: &Location, path: &str) -> Result<()> {
        let mut parent = split_last(path).0;
        while !parent.is_empty() {
            if self.nodes.get(parent).is_some_and(|node| !node.facts.is_directory()) {
                return Err(Error::NotADirectory { uri: root.join(parent) });
            }
            parent = split_last(parent).0;
        }
        Ok(())
    }

    fn make_parents(&mut self, path: &str, now: UnixMillis) {
        let mut parent = split_last(path).0;
        while !parent.is_empty() && !self.nodes.contains_key(parent) {
            self.nodes.insert(parent.to_owned(), directory(&UfsAttributes::default(), now));
            parent = split_last(parent).0;
        }
    }
}

fn directory(attributes: &UfsAttributes, now: UnixMillis) -> Node {
    let mut facts = UfsFacts::directory();
    facts.modified = Some(now);
    set_attributes(&mut facts, &default_attributes(attributes, Mode::DIRECTORY));
    Node { facts, bytes: Bytes::new() }
}

fn default_attributes(given: &UfsAttributes, mode: Mode) -> UfsAttributes {
    UfsAttributes {
        owner: given.owner.clone().or_else(|| Some("root".into())),
        group: given.group.clone().or_else(|| Some("root".into())),
        mode: given.mode.or(Some(mode)),
    }
}

fn set_attributes(facts: &mut UfsFacts, attributes: &UfsAttributes) {
    if let Some(owner) = &attributes.owner {
        facts.owner = Some(owner.clone());
    }
    if let Some(group) = &attributes.group {
        facts.group = Some(group.clone());
    }
    if let Some(mode) = attributes.mode {
        facts.mode = Some(mode);
    }
}

#[async_trait]
impl UnderFs for MemoryUfs {
    fn kind(&self) -> UfsKind {
        UfsKind::Memory
    }

    fn root(&self) -> &str {
        self.root.as_str()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            attributes: true,
            atomic_rename: true,
            writable: true,
            list: true,
            native_recursive_list: true,
            conditional_read: true,
            exclusive_create: true,
        }
    }

    async fn status(&self, path: &str) -> Result<UfsFacts> {
        let relative = self.root.relative(path)?;
        Ok(self.tree().get(&relative, path)?.facts.clone())
    }

    async fn list(&self, path: &str, recursive: bool) -> Result<EntryStream> {
        let relative = self.root.relative(path)?;
        let tree = self.tree();
        if !tree.get(&relative, path)?.facts.is_directory() {
            return Err(Error::NotADirectory { uri: path.to_owned() });
        }
        let skip = if relative.is_empty() { 0 } else { relative.len() + 1 };
        let entries: Vec<UfsEntry> = tree
            .subtree(&relative)
            .filter(|(name, _)| **name != relative)
            .map(|(name, node)| UfsEntry {
                name: name[skip..].to_owned(),
                facts: node.facts.clone(),
            })
            .filter(|entry| recursive || !entry.name.contains('/'))
            .collect();
        let batches: Vec<_> =
            entries.chunks(LIST_BATCH_MAX).map(|batch| Ok(batch.to_vec())).collect();
        Ok(futures::stream::iter(batches).boxed())
    }

    async fn read_range(
        &self,
        path: &str,
        offset: u64,
        length: u64,
        expected: &Fingerprint,
    ) -> Result<ByteStream> {
        let relative = self.root.relative(path)?;
        let node = self.tree().get(&relative, path)?.clone();
        if node.facts.is_directory() {
            return Err(Error::IsADirectory { uri: path.to_owned() });
        }
        if !expected.is_empty() && *expected != node.facts.fingerprint {
            return Err(Error::Changed { uri: path.to_owned() });
        }
        let end = offset.saturating_add(length);
        let file_length = node.facts.length;
        if end > file_length {
            return Err(Error::OutOfRange { uri: path.to_owned(), offset, end, file_length });
        }
        let mut bytes = node.bytes.slice(offset as usize..end as usize);
        let mut chunks = Vec::new();
        while !bytes.is_empty() {
            chunks.push(Ok(bytes.split_to(bytes.len().min(CHUNK_BYTES))));
        }
        Ok(futures::stream::iter(chunks).boxed())
    }

    async fn create(&self, path: &str, options: CreateOptions) -> Result<Box<dyn UfsWriter>> {
        let relative = self.root.relative(path)?;
        let now = self.clock.now();
        {
            let mut tree = self.tree();
            tree.check_file_target(&self.root, &relative)?;
            tree.make_parents(&relative, now);
        }
        Ok(Box::new(MemoryWriter {
            ufs: self.clone(),
            path: relative,
            options,
            bytes: BytesMut::new(),
        }))
    }

    async fn create_new(&self, path: &str, bytes: Bytes) -> Result<()> {
        let relative = self.root.relative(path)?;
        let mut tree = self.tree();
        if tree.nodes.contains_key(&relative) {
            return Err(Error::AlreadyExists { uri: path.to_owned() });
        }
        self.put(&mut tree, &relative, bytes, &UfsAttributes::default()).map(drop)
    }

    async fn mkdir(&self, path: &str, options: MkdirOptions) -> Result<()> {
        let relative = self.root.relative(path)?;
        let now = self.clock.now();
        let mut tree = self.tree();
        match tree.nodes.get(&relative) {
            Some(node) if node.facts.is_directory() => return Ok(()),
            Some(_) => return Err(Error::AlreadyExists { uri: path.to_owned() }),
            None => {}
        }
        tree.check_parents(&self.root, &relative)?;
        let parent = split_last(&relative).0;
        if !options.recursive && !tree.nodes.contains_key(parent) {
            return Err(Error::NotFound { uri: self.root.join(parent) });
        }
        tree.make_parents(&relative, now);
        tree.nodes.insert(relative, directory(&options.attributes, now));
        Ok(())
    }

    async fn delete_file(&self, path: &str) -> Result<()> {
        let relative = self.root.relative(path)?;
        let mut tree = self.tree();
        if tree.get(&relative, path)?.facts.is_directory() {
            return Err(Error::IsADirectory { uri: path.to_owned() });
        }
        tree.nodes.remove(&relative);
        Ok(())
    }

    async fn delete_dir(&self, path: &str, recursive: bool) -> Result<()> {
        let relative = self.root.relative(path)?;
        crate::under_fs::refuse_root(&relative, path)?;
        let mut tree = self.tree();
        if !tree.get(&relative, path)?.facts.is_directory() {
            return Err(Error::NotADirectory { uri: path.to_owned() });
        }
        let doomed: Vec<String> = tree.subtree(&relative).map(|(name, _)| name.clone()).collect();
        if doomed.len() > 1 && !recursive {
            return Err(Error::NotEmpty { uri: path.to_owned() });
        }
        for name in doomed {
            tree.nodes.remove(&name);
        }
        Ok(())
    }

    async fn rename_file(&self, from: &str, to: &str) -> Result<UfsFacts> {
        self.rename(from, to, FileKind::File)
    }

    async fn rename_dir(&self, from: &str, to: &str) -> Result<()> {
        self.rename(from, to, FileKind::Directory).map(drop)
    }

    async fn set_attributes(&self, path: &str, attributes: &UfsAttributes) -> Result<UfsFacts> {
        let relative = self.root.relative(path)?;
        let mut tree = self.tree();
        tree.get(&relative, path)?;
        let node = tree.nodes.get_mut(&relative).expect("it was there a line ago, under the lock");
        set_attributes(&mut node.facts, attributes);
        Ok(node.facts.clone())
    }

    async fn space(&self) -> Result<Option<Space>> {
        let used_bytes = self.tree().nodes.values().map(|node| node.facts.length).sum();
        Ok(Some(Space { total_bytes: u64::MAX, used_bytes }))
    }
}

struct MemoryWriter {
    ufs: MemoryUfs,
    path: String,
    options: CreateOptions,
    bytes: BytesMut,
}

#[async_trait]
impl UfsWriter for MemoryWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<UfsFacts> {
        let bytes = self.bytes.freeze();
        self.ufs.put(&mut self.ufs.tree(), &self.path, bytes, &self.options.attributes)
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::Fixture;

    async fn fixture() -> Fixture {
        let clock = Arc::new(alluxio_host::SystemClock::new());
        Fixture::new(Arc::new(MemoryUfs::new("memory://test/root", clock).unwrap()))
    }

    crate::conformance_tests!(fixture);
}
