//! Reads of many inodes: pages of a directory, walks over a subtree, what a `free` may drop.

use super::Seen;
use super::status::{Place, Words};
use crate::inode::{Brief, Inode};
use crate::mount_table::{MountTable, Row};
use crate::namespace::{Namespace, Stop, shard_of};
use crate::permission::Checker;
use crate::request::Policy;
use crate::resolve::refuse;
use crate::table::ids::Location;
use crate::{Context, Error, Refusal};
use alluxio_types::mount::join_uri;
use alluxio_types::path::PATH_BYTES_MAX;
use alluxio_types::{
    Access, AlluxioPath, FileStatus, Identity, InodeId, JournalSeq, PersistenceState, UnixMillis,
};
use std::sync::Arc;

/// Records that are copied under one hold of a shard's lock: about 50 µs.
const COPY_STEP: usize = 256;
/// Extended attributes in one page, in bytes; the page ends with the name that brings it there. So a page
/// stays far below the limit of a message.
const XATTR_BYTES: usize = 1 << 20;
/// Children that a walk asks for at once.
const WALK_PAGE: usize = 1024;

/// Part of a listing.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// In order of name (bytes); the file itself when the path is a file. Without blocks:
    /// [`crate::blocks_of`] derives them.
    pub entries: Vec<FileStatus>,
    /// Where the next page starts: pass it as `start_after`. `None` at the end.
    pub next: Option<String>,
    /// Whether all names that the UFS has there were loaded once.
    pub children_loaded: bool,
}

/// Part of a listing as the caller took it up.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed<S> {
    /// What the caller made of the entries.
    pub entries: S,
    /// How many there are.
    pub count: usize,
    /// As in [`Page`].
    pub next: Option<String>,
    /// As in [`Page`].
    pub children_loaded: bool,
    /// What [`Child::into_abridged`] left out; `None` when no child left anything out.
    pub common: Option<Common>,
}

/// What nearly all children of a directory share: said once, it makes a long listing half as long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Common {
    /// Path of the directory. A child's is this, a slash, and its name.
    pub directory: AlluxioPath,
    /// Where the directory is, or would be, in the UFS. A child's is [`join_uri`] of this and its
    /// name.
    pub ufs_directory: String,
    /// Owner's name.
    pub owner: String,
    /// Group's name.
    pub group: String,
}

impl Common {
    /// Gives an abridged status what was left out; leaves any other alone.
    pub fn complete(&self, status: &mut FileStatus) {
        if status.path.is_empty() {
            status.path = child_path(&self.directory, &status.name);
            status.ufs_path = join_uri(&self.ufs_directory, &status.name);
            status.owner.clone_from(&self.owner);
            status.group.clone_from(&self.group);
        }
    }
}

/// One entry of a listing on its way out.
pub struct Child<'a> {
    /// Without path, UFS path, owner and group where `common` has them.
    status: FileStatus,
    common: Option<&'a Common>,
}

impl Child<'_> {
    /// With everything in it.
    pub fn into_status(self) -> FileStatus {
        let Child { mut status, common } = self;
        if let Some(common) = common {
            common.complete(&mut status);
        }
        status
    }

    /// Without what [`Listed::common`] says; such a status has an empty path, which no other has.
    pub fn into_abridged(self) -> FileStatus {
        self.status
    }
}

/// What a `free` may drop.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FreeCandidates {
    /// Files whose cached blocks can go.
    pub files: Vec<InodeId>,
    /// Pinned ones among them (only when forced): they must be unpinned first.
    pub pinned: Vec<InodeId>,
}

impl Namespace {
    /// Up to `limit` children of a directory whose names come after `start_after`. Needs `r` on it.
    /// For a file, the page is the file itself.
    pub fn list(
        &self,
        path: &AlluxioPath,
        start_after: Option<&str>,
        limit: usize,
        context: &Context<'_>,
    ) -> Result<Seen<Page>, Refusal> {
        let take = |all: &mut Vec<_>, child: Child<'_>| all.push(child.into_status());
        let listed = self.list_into(path, start_after, limit, context, take)?;
        let Listed { entries, next, children_loaded, .. } = listed.value;
        Ok(Seen { value: Page { entries, next, children_loaded }, seq: listed.seq })
    }

    /// As [`Namespace::list`], with entries that `take` took up one by one, in order of name
    /// (bytes). When the tree changes in between, it begins again with a new `S`.
    pub fn list_into<S: Default>(
        &self,
        path: &AlluxioPath,
        start_after: Option<&str>,
        limit: usize,
        context: &Context<'_>,
        take: impl Fn(&mut S, Child<'_>),
    ) -> Result<Seen<Listed<S>>, Refusal> {
        let checker = Checker::new(self, context);
        self.consistent(|| self.list_once(path, start_after, limit, &checker, &take))
    }

    fn list_once<S: Default>(
        &self,
        path: &AlluxioPath,
        start_after: Option<&str>,
        limit: usize,
        checker: &Checker<'_>,
        take: &impl Fn(&mut S, Child<'_>),
    ) -> Result<Seen<Listed<S>>, Stop> {
        let walked = self.walk_to(path, checker)?;
        let inode = self.inode(&walked.at)?;
        let mounts = self.mount_table();
        if !inode.is_directory() {
            let (mut status, seen) = self.describe_at(inode, path, &mounts)?;
            checker.hide(&mut status);
            let mut entries = S::default();
            take(&mut entries, Child { status, common: None });
            let (next, common) = (None, None);
            let listed = Listed { entries, count: 1, next, children_loaded: true, common };
            return Ok(Seen::new(listed, seen.max(walked.seen)));
        }
        if !checker.allows(self, &walked.at, Access::READ) {
            return Err(refuse(checker.denied(Access::READ, path), walked.seen).into());
        }
        let children_loaded = inode.record.children_loaded();
        let mut places = Places::new(path, &mounts).ok_or_else(|| self.not_formatted())?;
        let mut seen = walked.seen.max(places.row.seq);
        let (mut entries, mut count, mut xattr_bytes) = (S::default(), 0, 0);
        let mut after = start_after.map(str::to_owned);
        let mut more = true;
        'page: while more && count < limit {
            let wanted = (limit - count).min(COPY_STEP);
            let (some, changed) = self.children_after(&walked.at, after.as_deref(), wanted)?;
            seen = seen.max(changed);
            more = some.len() == wanted;
            after = some.last().map(|inode| inode.name.clone()).or(after);
            for inode in some {
                let Some(place) = places.of(&inode, self) else { continue };
                let (mut status, at) = self.describe(inode, place)?;
                checker.hide(&mut status);
                seen = seen.max(at);
                xattr_bytes += status.xattr.bytes();
                let full = (xattr_bytes > XATTR_BYTES).then(|| status.name.clone());
                let common = places.common.as_ref().filter(|_| status.path.is_empty());
                let common = common.map(|(_, common)| common);
                take(&mut entries, Child { status, common });
                count += 1;
                if let Some(name) = full {
                    (after, more) = (Some(name), true);
                    break 'page;
                }
            }
        }
        let next = after.filter(|_| more);
        let common = places.common.map(|(_, common)| common);
        Ok(Seen::new(Listed { entries, count, next, children_loaded, common }, seen))
    }

    /// Copies up to `limit` children of a directory after a name, and the position of its names.
    pub(crate) fn children_after(
        &self,
        directory: &Brief,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Inode>, u64), Stop> {
        let at = shard_of(directory.container);
        let shard = self.shard(at);
        let node = directory.node.expect("only directories are asked for children");
        let node = shard.node(node, directory.container).ok_or(Stop::Gone)?;
        let slots = shard.children_after(node, after, limit);
        let copy = |slot| Inode::of(&shard, Location::new(at, slot));
        Ok((slots.into_iter().map(copy).collect(), node.changed))
    }

    /// A walk over `path` and all below it. Directories that the caller may not read yield their
    /// refusal in place of their children.
    pub fn walk(
        self: &Arc<Self>,
        path: &AlluxioPath,
        context: &Context<'_>,
    ) -> Result<Walk, Refusal> {
        let first = self.status(path, context)?;
        Ok(Walk {
            namespace: Arc::clone(self),
            who: context.who.clone(),
            policy: context.policy.clone(),
            now: context.now,
            seen: first.seq,
            first: Some(first),
            open: Vec::new(),
        })
    }

    /// Files at or below `path` that a `free` may drop. Needs `w` on the path and `r` on the
    /// directories below. Incomplete files and links are skipped.
    ///
    /// **Errors**: `NotEmpty` for a directory with children without `recursive`; `NotPersisted`;
    /// `Pinned` without `forced`.
    pub fn free_candidates(
        self: &Arc<Self>,
        path: &AlluxioPath,
        recursive: bool,
        forced: bool,
        context: &Context<'_>,
    ) -> Result<Seen<FreeCandidates>, Refusal> {
        let mut seen = self.check_access(path, Access::WRITE, context)?.seq;
        let mut found = FreeCandidates::default();
        let mut walk = self.walk(path, context)?;
        for status in walk.by_ref() {
            let Seen { value: status, seq } = status?;
            seen = seen.max(seq);
            let refuse = |error| Err(Refusal::new(error, seen));
            if status.is_directory() {
                if status.length > 0 && !recursive {
                    let children = status.length;
                    return refuse(Error::NotEmpty { path: path.clone(), children });
                }
                continue;
            }
            if !status.completed || status.is_symlink() {
                continue;
            }
            let at = AlluxioPath::parse(&status.path)
                .map_err(|error| Refusal::new(Error::BadName(error), seen))?;
            if status.persistence != PersistenceState::Persisted {
                return refuse(Error::NotPersisted { path: at });
            }
            if status.pinned && !forced {
                return refuse(Error::Pinned { path: at });
            }
            found.files.push(status.id);
            if status.pinned {
                found.pinned.push(status.id);
            }
        }
        Ok(Seen { value: found, seq: seen.max(walk.seen()) })
    }
}

/// What comes before the slash of a child's name.
fn base(directory: &AlluxioPath) -> &str {
    if directory.is_root() { "" } else { directory.as_str() }
}

fn child_path(directory: &AlluxioPath, name: &str) -> String {
    let base = base(directory);
    let mut path = String::with_capacity(base.len() + 1 + name.len());
    path.extend([base, "/", name]);
    path
}

/// Where the children of one directory are, and whose.
struct Places<'a> {
    directory: &'a AlluxioPath,
    mounts: &'a MountTable,
    row: &'a Row,
    /// Of the first child that is in the directory's own mount, with the number of its permissions.
    common: Option<(u32, Common)>,
    /// Whether a child may be in another mount than the directory.
    mounts_below: bool,
}

impl<'a> Places<'a> {
    fn new(directory: &'a AlluxioPath, mounts: &'a MountTable) -> Option<Self> {
        let row = mounts.of(directory)?;
        let mounts_below = mounts.below(directory).next().is_some();
        Some(Places { directory, mounts, row, common: None, mounts_below })
    }

    /// `None` for a path longer than any that can be asked for, which renames can make.
    fn of(&mut self, inode: &Inode, namespace: &Namespace) -> Option<Place<'a>> {
        let name = inode.name.as_str();
        if base(self.directory).len() + 1 + name.len() > PATH_BYTES_MAX {
            return None;
        }
        let perm = inode.perm(namespace);
        if self.mounts_below
            && let Ok(child) = self.directory.join(name)
            && let Some(row) = self.mounts.at(&child)
        {
            let words = Words::of(child_path(self.directory, name), row.info.ufs_uri.clone(), perm);
            return Some(Place { words: Some(words), row });
        }
        let (common_perm, common) = self.common.get_or_insert_with(|| {
            let ufs_directory = self.row.info.ufs_path(self.directory).unwrap_or_default();
            let (owner, group) = (perm.owner.clone(), perm.group.clone());
            let directory = self.directory.clone();
            (inode.record.perm, Common { directory, ufs_directory, owner, group })
        });
        let alike = *common_perm == inode.record.perm
            || (common.owner == perm.owner && common.group == perm.group);
        let words = (!alike).then(|| {
            let ufs_path = join_uri(&common.ufs_directory, name);
            Words::of(child_path(self.directory, name), ufs_path, perm)
        });
        Some(Place { words, row: self.row })
    }
}

/// A walk over a subtree, parents before children, in order of name. Holds no lock between steps;
/// each step is a consistent page, the walk as a whole is not a snapshot. A directory that goes
/// away while the walk is in it ends like an empty one.
#[derive(Debug)]
pub struct Walk {
    namespace: Arc<Namespace>,
    who: Identity,
    policy: Policy,
    now: UnixMillis,
    first: Option<Seen<FileStatus>>,
    /// Directories that the walk is in, from the top down.
    open: Vec<Open>,
    seen: JournalSeq,
}

#[derive(Debug)]
struct Open {
    path: AlluxioPath,
    page: std::vec::IntoIter<FileStatus>,
    seq: JournalSeq,
    next: Option<String>,
    started: bool,
}

impl Walk {
    /// Highest position that the walk depends on so far: of what it showed, and of directories that
    /// went away before it came to them.
    pub fn seen(&self) -> JournalSeq {
        self.seen
    }

    fn enter(&mut self, status: &FileStatus) {
        if let (true, Ok(path)) = (status.is_directory(), AlluxioPath::parse(&status.path)) {
            self.open.push(Open {
                path,
                page: Vec::new().into_iter(),
                seq: JournalSeq::default(),
                next: None,
                started: false,
            });
        }
    }

    /// Fills the page of the lowest open directory; whether there is one.
    fn turn(&mut self) -> Result<bool, Refusal> {
        let context = Context { now: self.now, who: &self.who, policy: &self.policy };
        let Some(open) = self.open.last_mut() else { return Ok(false) };
        let listed = self.namespace.list(&open.path, open.next.as_deref(), WALK_PAGE, &context);
        match listed {
            Ok(Seen { value, seq }) => {
                self.seen = self.seen.max(seq);
                open.page = value.entries.into_iter();
                open.seq = seq;
                open.next = value.next;
                open.started = true;
                Ok(true)
            }
            Err(refusal) => {
                self.seen = self.seen.max(refusal.seen);
                self.open.pop();
                match refusal.error {
                    Error::PathNotFound { .. } | Error::NotADirectory { .. } => Ok(true),
                    _ => Err(refusal),
                }
            }
        }
    }
}

impl Iterator for Walk {
    type Item = Result<Seen<FileStatus>, Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(first) = self.first.take() {
            self.enter(&first.value);
            return Some(Ok(first));
        }
        loop {
            let open = self.open.last_mut()?;
            if let Some(value) = open.page.next() {
                let seq = open.seq;
                self.enter(&value);
                return Some(Ok(Seen { value, seq }));
            }
            if open.started && open.next.is_none() {
                self.open.pop();
                continue;
            }
            match self.turn() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(refusal) => return Some(Err(refusal)),
            }
        }
    }
}
