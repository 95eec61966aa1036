//! From a path or an id to an inode.

use crate::inode::{Brief, Inode};
use crate::namespace::{Namespace, Stop, shard_of};
use crate::permission::Checker;
use crate::table::ids::Location;
use crate::{Error, Refusal};
use alluxio_types::{Access, AlluxioPath, InodeId, JournalSeq};
use std::sync::atomic::Ordering;

/// What a name leads to.
pub(crate) enum Child<T> {
    Found(T),
    /// Nothing, as of that position.
    Missing(u64),
}

/// How far a path leads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walked {
    /// The last inode that exists.
    pub(crate) at: Brief,
    /// The directory that holds it; the root for the root.
    pub(crate) parent: Brief,
    /// Number of components that lead to `at`.
    pub(crate) depth: usize,
    /// Number of components of the path.
    pub(crate) components: usize,
    /// Highest position that the walk saw.
    pub(crate) seen: u64,
}

impl Walked {
    /// Whether the whole path exists.
    pub(crate) fn complete(&self) -> bool {
        self.depth == self.components
    }
}

/// The first `depth` components of `path`.
pub(crate) fn prefix(path: &AlluxioPath, depth: usize) -> AlluxioPath {
    let mut at = path.clone();
    for _ in depth..path.depth() {
        at = at.parent().unwrap_or_else(AlluxioPath::root);
    }
    at
}

pub(crate) fn refuse(error: Error, seen: u64) -> Refusal {
    Refusal::new(error, JournalSeq(seen))
}

impl Namespace {
    /// The root; `None` before `Format`.
    pub(crate) fn root(&self) -> Option<Brief> {
        let location = self.root_location()?;
        Some(Brief::of(&self.shard(location.shard()), location))
    }

    /// The root, or the refusal of a namespace that has none.
    pub(crate) fn root_or_refuse(&self) -> Result<Brief, Refusal> {
        self.root().ok_or_else(|| Refusal::new(Error::NotFormatted, self.applied()))
    }

    /// What `name` in `directory` leads to, as `copy` takes it out of the shard.
    ///
    /// **Panics** when `directory` is a file.
    pub(crate) fn child<T>(
        &self,
        directory: &Brief,
        name: &str,
        copy: impl FnOnce(&crate::table::shard::Shard, Location) -> T,
    ) -> Result<Child<T>, Stop> {
        let node = directory.node.expect("only directories are asked for children");
        let at = shard_of(directory.container);
        let shard = self.shard(at);
        match shard.find(node, name) {
            Some(slot) if shard.nodes.at(node).container == directory.container => {
                Ok(Child::Found(copy(&shard, Location::new(at, slot))))
            }
            _ => {
                let node = shard.node(node, directory.container).ok_or(Stop::Gone)?;
                Ok(Child::Missing(node.changed))
            }
        }
    }

    /// Follows `path` as far as it exists. Checks `x` on every directory that it passes through.
    ///
    /// **Errors**: `NotADirectory`, `PermissionDenied`; `Gone` when the tree changed underfoot.
    pub(crate) fn walk_path(
        &self,
        path: &AlluxioPath,
        checker: &Checker<'_>,
    ) -> Result<Walked, Stop> {
        let root = self.root_or_refuse()?;
        let components = path.depth();
        let mut walked = Walked { at: root, parent: root, depth: 0, components, seen: root.seq };
        for name in path.components() {
            let directory = walked.at;
            if directory.node.is_none() {
                let error = Error::NotADirectory { path: prefix(path, walked.depth) };
                return Err(refuse(error, walked.seen).into());
            }
            if !checker.allows(self, &directory, Access::EXECUTE) {
                let error = checker.denied(Access::EXECUTE, &prefix(path, walked.depth));
                return Err(refuse(error, walked.seen).into());
            }
            match self.child(&directory, name, Brief::of)? {
                Child::Found(child) => {
                    walked.seen = walked.seen.max(child.seq);
                    walked.parent = directory;
                    walked.at = child;
                    walked.depth += 1;
                }
                Child::Missing(changed) => {
                    walked.seen = walked.seen.max(changed);
                    return Ok(walked);
                }
            }
        }
        Ok(walked)
    }

    /// Follows `path` to its end.
    ///
    /// **Errors**: as [`Namespace::walk_path`], and `PathNotFound`.
    pub(crate) fn walk_to(
        &self,
        path: &AlluxioPath,
        checker: &Checker<'_>,
    ) -> Result<Walked, Stop> {
        let walked = self.walk_path(path, checker)?;
        if walked.complete() {
            Ok(walked)
        } else {
            Err(refuse(Error::PathNotFound { path: path.clone() }, walked.seen).into())
        }
    }

    /// Copies the inode that a walk found.
    pub(crate) fn inode(&self, brief: &Brief) -> Result<Inode, Stop> {
        let shard = self.shard(brief.location.shard());
        match shard.record(brief.location.slot(), brief.container) {
            Some(_) => Ok(Inode::of(&shard, brief.location)),
            None => Err(Stop::Gone),
        }
    }

    /// Copies something of the inode with that id.
    ///
    /// **Errors**: `InodeNotFound`; `Gone` when it moved underfoot.
    pub(crate) fn by_id<T>(
        &self,
        id: InodeId,
        copy: impl FnOnce(&crate::table::shard::Shard, Location) -> T,
    ) -> Result<T, Stop> {
        let missing = || refuse(Error::InodeNotFound { id }, self.removed());
        if !id.is_well_formed() {
            return Err(missing().into());
        }
        let location = self.ids.get(id.container()).ok_or_else(missing)?;
        let shard = self.shard(location.shard());
        match shard.record(location.slot(), id.container()) {
            Some(_) => Ok(copy(&shard, location)),
            None => Err(Stop::Gone),
        }
    }

    /// Position of the last entry that took an inode away.
    pub(crate) fn removed(&self) -> u64 {
        self.counters.removed.load(Ordering::Acquire)
    }

    /// The path of an inode, and the highest position on the way.
    pub(crate) fn climb(&self, id: InodeId) -> Result<(AlluxioPath, u64), Stop> {
        let missing = || refuse(Error::InodeNotFound { id }, self.removed());
        let (mut names, mut seen, mut at) = (Vec::new(), 0, id);
        while at != InodeId::ROOT {
            let step = self.by_id(at, |shard, location| {
                let record = shard.records.at(location.slot());
                let parent = shard.nodes.get(record.parent).map(|node| node.container);
                (shard.name(location.slot()).to_owned(), parent, record.seq.get())
            });
            let (name, parent, seq) = match step {
                Ok((name, Some(parent), seq)) => (name, parent, seq),
                // What it hung from is deleted, so it is too.
                Ok((_, None, _)) => return Err(missing().into()),
                Err(Stop::Refused(_)) => return Err(missing().into()),
                Err(Stop::Gone) => return Err(Stop::Gone),
            };
            names.push(name);
            seen = seen.max(seq);
            at = InodeId::from_container(parent);
        }
        let mut text = String::new();
        for name in names.iter().rev() {
            text.push('/');
            text.push_str(name);
        }
        if text.is_empty() {
            return Ok((AlluxioPath::root(), seen));
        }
        match AlluxioPath::parse(&text) {
            Ok(path) => Ok((path, seen)),
            // Renames can make a path longer than any that can be asked for.
            Err(error) => Err(refuse(Error::BadName(error), seen).into()),
        }
    }
}
