//! Names in two halves: what is seen, and what a crash leaves.

use crate::Entropy;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path};

pub(super) type FileId = u64;
pub(super) type DirId = u64;
pub(super) const ROOT: DirId = 0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    File(FileId),
    Dir(DirId),
}

#[derive(Clone, Default)]
struct Dir {
    current: BTreeMap<String, Node>,
    durable: BTreeMap<String, Node>,
}

/// A change of names that is not synced. A rename is one change of two directories: it happens
/// whole or not at all, as on every file system with a metadata journal.
#[derive(Clone)]
enum Change {
    Put { dir: DirId, name: String, node: Node },
    Remove { dir: DirId, name: String },
    Rename { from: (DirId, String), to: (DirId, String), node: Node },
}

impl Change {
    fn dirs(&self) -> [DirId; 2] {
        match self {
            Change::Put { dir, .. } | Change::Remove { dir, .. } => [*dir, *dir],
            Change::Rename { from, to, .. } => [from.0, to.0],
        }
    }
}

/// All names.
#[derive(Clone)]
pub(super) struct Tree {
    dirs: BTreeMap<DirId, Dir>,
    pending: Vec<Change>,
    next_id: u64,
}

pub(super) fn errno(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

impl Tree {
    pub(super) fn new() -> Self {
        Tree { dirs: BTreeMap::from([(ROOT, Dir::default())]), pending: Vec::new(), next_id: 1 }
    }

    fn fresh(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    /// What a path leads to.
    pub(super) fn resolve(&self, path: &Path) -> io::Result<Node> {
        let mut node = Node::Dir(ROOT);
        for name in components(path)? {
            let Node::Dir(dir) = node else { return Err(errno(libc::ENOTDIR)) };
            node = *self.dirs[&dir].current.get(&name).ok_or_else(|| errno(libc::ENOENT))?;
        }
        Ok(node)
    }

    pub(super) fn resolve_dir(&self, path: &Path) -> io::Result<DirId> {
        match self.resolve(path)? {
            Node::Dir(dir) => Ok(dir),
            Node::File(_) => Err(errno(libc::ENOTDIR)),
        }
    }

    /// The directory that holds, or would hold, the last component, and that component.
    fn parent(&self, path: &Path) -> io::Result<(DirId, String)> {
        let mut parts = components(path)?;
        let name = parts.pop().ok_or_else(|| errno(libc::EBUSY))?;
        let parent: std::path::PathBuf = parts.iter().collect();
        Ok((self.resolve_dir(&parent)?, name))
    }

    /// A new file's id; `EEXIST` when the name is taken.
    pub(super) fn create_file(&mut self, path: &Path) -> io::Result<FileId> {
        let (dir, name) = self.parent(path)?;
        if self.dirs[&dir].current.contains_key(&name) {
            return Err(errno(libc::EEXIST));
        }
        let id = self.fresh();
        self.change(Change::Put { dir, name, node: Node::File(id) });
        Ok(id)
    }

    pub(super) fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let mut dir = ROOT;
        for name in components(path)? {
            dir = match self.dirs[&dir].current.get(&name) {
                Some(Node::Dir(next)) => *next,
                Some(Node::File(_)) => return Err(errno(libc::EEXIST)),
                None => {
                    let id = self.fresh();
                    self.dirs.insert(id, Dir::default());
                    self.change(Change::Put { dir, name, node: Node::Dir(id) });
                    id
                }
            };
        }
        Ok(())
    }

    pub(super) fn list(&self, dir: DirId) -> Vec<String> {
        self.dirs[&dir].current.keys().cloned().collect()
    }

    /// Renames; returns the file that was replaced.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<Option<FileId>> {
        let (from_dir, from_name) = self.parent(from)?;
        let (to_dir, to_name) = self.parent(to)?;
        let found = self.dirs[&from_dir].current.get(&from_name);
        let node = *found.ok_or_else(|| errno(libc::ENOENT))?;
        if (from_dir, &from_name) == (to_dir, &to_name) {
            return Ok(None);
        }
        let replaced = match (node, self.dirs[&to_dir].current.get(&to_name)) {
            (_, None) => None,
            (Node::File(_), Some(Node::File(old))) => Some(*old),
            (Node::File(_), Some(Node::Dir(_))) => return Err(errno(libc::EISDIR)),
            (Node::Dir(_), Some(_)) => return Err(errno(libc::ENOTEMPTY)),
        };
        if let Node::Dir(moved) = node
            && self.is_below(to_dir, moved)
        {
            return Err(errno(libc::EINVAL));
        }
        self.change(Change::Rename { from: (from_dir, from_name), to: (to_dir, to_name), node });
        Ok(replaced)
    }

    fn is_below(&self, dir: DirId, ancestor: DirId) -> bool {
        dir == ancestor
            || self.dirs[&ancestor].current.values().any(|node| match node {
                Node::Dir(child) => self.is_below(dir, *child),
                Node::File(_) => false,
            })
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<FileId> {
        let (dir, name) = self.parent(path)?;
        match self.dirs[&dir].current.get(&name) {
            None => Err(errno(libc::ENOENT)),
            Some(Node::Dir(_)) => Err(errno(libc::EISDIR)),
            Some(Node::File(id)) => {
                let id = *id;
                self.change(Change::Remove { dir, name });
                Ok(id)
            }
        }
    }

    /// Removes a directory and all below it, one name after the other; returns the files.
    pub(super) fn remove_dir_all(&mut self, path: &Path) -> io::Result<Vec<FileId>> {
        let (parent, name) = match self.parent(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut removed = Vec::new();
        match self.dirs[&parent].current.get(&name) {
            None => {}
            Some(Node::File(_)) => return Err(errno(libc::ENOTDIR)),
            Some(Node::Dir(dir)) => {
                let dir = *dir;
                self.empty(dir, &mut removed);
                self.change(Change::Remove { dir: parent, name });
            }
        }
        Ok(removed)
    }

    fn empty(&mut self, dir: DirId, removed: &mut Vec<FileId>) {
        for (name, node) in self.dirs[&dir].current.clone() {
            match node {
                Node::File(id) => removed.push(id),
                Node::Dir(child) => self.empty(child, removed),
            }
            self.change(Change::Remove { dir, name });
        }
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.dirs, &change, |dir| &mut dir.current);
        self.pending.push(change);
    }

    /// Makes the names of `dir` durable, and those that lead to it, as a metadata journal does.
    pub(super) fn sync_dir(&mut self, dir: DirId) {
        let mut needed = BTreeSet::from([dir]);
        let mut reached = BTreeSet::from([dir]);
        let mut included = vec![false; self.pending.len()];
        for (index, change) in self.pending.iter().enumerate().rev() {
            let leads_here = match change {
                Change::Put { node: Node::Dir(id), .. }
                | Change::Rename { node: Node::Dir(id), .. } => reached.contains(id),
                _ => false,
            };
            if leads_here || change.dirs().iter().any(|dir| needed.contains(dir)) {
                included[index] = true;
                needed.extend(change.dirs());
                reached.extend(change.dirs());
            }
        }
        let pending = std::mem::take(&mut self.pending);
        for (change, included) in pending.into_iter().zip(included) {
            if included {
                apply(&mut self.dirs, &change, |dir| &mut dir.durable);
            } else {
                self.pending.push(change);
            }
        }
    }

    /// The power goes: of the pending changes some survive, in order within each directory.
    /// Returns the files that still have a name.
    pub(super) fn crash(&mut self, entropy: &dyn Entropy) -> BTreeSet<FileId> {
        let pending = std::mem::take(&mut self.pending);
        let mode = entropy.below(4);
        let cut = entropy.below(pending.len() as u64 + 1);
        let mut stopped = BTreeSet::new();
        for (index, change) in pending.iter().enumerate() {
            let survives = match mode {
                0 => false,
                1 => true,
                2 => (index as u64) < cut,
                _ => entropy.below(4) != 0,
            };
            let dirs = change.dirs();
            if survives && !dirs.iter().any(|dir| stopped.contains(dir)) {
                apply(&mut self.dirs, change, |dir| &mut dir.durable);
            } else {
                stopped.extend(dirs);
            }
        }
        let mut files = BTreeSet::new();
        let mut dirs = BTreeSet::new();
        self.reach(ROOT, &mut dirs, &mut files);
        self.dirs.retain(|id, _| dirs.contains(id));
        for dir in self.dirs.values_mut() {
            dir.current.clone_from(&dir.durable);
        }
        files
    }

    fn reach(&self, dir: DirId, dirs: &mut BTreeSet<DirId>, files: &mut BTreeSet<FileId>) {
        if !dirs.insert(dir) {
            return;
        }
        for node in self.dirs[&dir].durable.values() {
            match node {
                Node::File(id) => {
                    files.insert(*id);
                }
                Node::Dir(child) => self.reach(*child, dirs, files),
            }
        }
    }
}

fn apply(
    dirs: &mut BTreeMap<DirId, Dir>,
    change: &Change,
    half: impl Fn(&mut Dir) -> &mut BTreeMap<String, Node>,
) {
    let mut names = |dir: &DirId, edit: &mut dyn FnMut(&mut BTreeMap<String, Node>)| {
        if let Some(dir) = dirs.get_mut(dir) {
            edit(half(dir));
        }
    };
    match change {
        Change::Put { dir, name, node } => names(dir, &mut |names| {
            names.insert(name.clone(), *node);
        }),
        Change::Remove { dir, name } => names(dir, &mut |names| {
            names.remove(name);
        }),
        Change::Rename { from, to, node } => {
            names(&from.0, &mut |names| {
                names.remove(&from.1);
            });
            names(&to.0, &mut |names| {
                names.insert(to.1.clone(), *node);
            });
        }
    }
}

fn components(path: &Path) -> io::Result<Vec<String>> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => {
                parts.push(name.to_str().ok_or_else(|| errno(libc::EINVAL))?.to_owned());
            }
            Component::ParentDir | Component::Prefix(_) => return Err(errno(libc::EINVAL)),
        }
    }
    Ok(parts)
}
