//! Reads: by path, by id, lists and walks. All take `&self` and run beside the writer.

use crate::{Context, Namespace, Refusal};
use alluxio_types::{Access, AlluxioPath, FileStatus, InodeId, JournalSeq, MountInfo, UnixMillis};
use std::sync::Arc;

/// A value and the highest journal position it depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen<T> {
    /// What was read.
    pub value: T,
    /// The reply may leave when this is committed.
    pub seq: JournalSeq,
}

/// Part of a listing.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// In order of name (bytes); the file itself when the path is a file.
    pub entries: Vec<FileStatus>,
    /// Where the next page starts: pass it as `start_after`. `None` at the end.
    pub next: Option<String>,
    /// Whether all names that the UFS has there were loaded once.
    pub children_loaded: bool,
}

/// How much of a path exists: what the master needs to decide whether to ask the UFS.
#[derive(Debug, Clone, PartialEq)]
pub struct Lookup {
    /// The status, when the whole path exists.
    pub found: Option<FileStatus>,
    /// The lowest directory on the way that exists (the path's parent when it exists itself).
    pub directory: AlluxioPath,
    /// Its id.
    pub directory_id: InodeId,
    /// Whether all names that the UFS has in `directory` were loaded once.
    pub children_loaded: bool,
    /// Components of the path below `directory` that do not exist.
    pub missing: Vec<String>,
    /// The mount that the path belongs to.
    pub mount: Arc<MountInfo>,
}

/// What a `free` may drop.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FreeCandidates {
    /// Files whose cached blocks can go.
    pub files: Vec<InodeId>,
    /// Pinned ones among them (only when forced): they must be unpinned first.
    pub pinned: Vec<InodeId>,
}

/// A walk over a subtree, parents before children, in order of name. Holds no lock between steps;
/// each step is a consistent page, the walk as a whole is not a snapshot.
#[derive(Debug)]
pub struct Walk {
    _namespace: Arc<Namespace>,
}

impl Iterator for Walk {
    type Item = Result<Seen<FileStatus>, Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        todo!()
    }
}

impl Namespace {
    /// The status of a path, without locations. Needs `x` on all directories above it.
    pub fn status(
        &self,
        path: &AlluxioPath,
        context: &Context<'_>,
    ) -> Result<Seen<FileStatus>, Refusal> {
        let _ = (path, context);
        todo!()
    }

    /// The status of an inode. No permission check: ids are for those who got them from a checked
    /// call, and for the master itself.
    pub fn status_by_id(&self, id: InodeId) -> Result<Seen<FileStatus>, Refusal> {
        let _ = id;
        todo!()
    }

    /// The id of a path. Needs `x` on all directories above it.
    pub fn resolve(
        &self,
        path: &AlluxioPath,
        context: &Context<'_>,
    ) -> Result<Seen<InodeId>, Refusal> {
        let _ = (path, context);
        todo!()
    }

    /// How much of a path exists. Needs `x` on the directories that do.
    pub fn lookup(
        &self,
        path: &AlluxioPath,
        context: &Context<'_>,
    ) -> Result<Seen<Lookup>, Refusal> {
        let _ = (path, context);
        todo!()
    }

    /// The path of an inode.
    pub fn path_of(&self, id: InodeId) -> Result<Seen<AlluxioPath>, Refusal> {
        let _ = id;
        todo!()
    }

    /// Whether the caller may do all of `access` to a path.
    pub fn check_access(
        &self,
        path: &AlluxioPath,
        access: Access,
        context: &Context<'_>,
    ) -> Result<Seen<InodeId>, Refusal> {
        let _ = (path, access, context);
        todo!()
    }

    /// Up to `limit` children of a directory whose names come after `start_after`. Needs `r` on it.
    /// For a file, the page is the file itself.
    pub fn list(
        &self,
        path: &AlluxioPath,
        start_after: Option<&str>,
        limit: usize,
        context: &Context<'_>,
    ) -> Result<Seen<Page>, Refusal> {
        let _ = (path, start_after, limit, context);
        todo!()
    }

    /// A walk over `path` and all below it. Directories that the caller may not read yield their
    /// refusal in place of their children.
    pub fn walk(
        self: &Arc<Self>,
        path: &AlluxioPath,
        context: &Context<'_>,
    ) -> Result<Walk, Refusal> {
        let _ = (path, context);
        todo!()
    }

    /// Files at or below `path` that a `free` may drop. Needs `w` on the path.
    ///
    /// **Errors**: `NotEmpty` for a directory without `recursive`; `NotPersisted`, `Pinned`
    /// without `forced`; `Incomplete` never: incomplete files are skipped.
    pub fn free_candidates(
        &self,
        path: &AlluxioPath,
        recursive: bool,
        forced: bool,
        context: &Context<'_>,
    ) -> Result<Seen<FreeCandidates>, Refusal> {
        let _ = (path, recursive, forced, context);
        todo!()
    }

    /// The mount that a path belongs to; `None` before `Format`.
    pub fn mount_of(&self, path: &AlluxioPath) -> Option<Arc<MountInfo>> {
        let _ = path;
        todo!()
    }

    /// All mounts, by path.
    pub fn mounts(&self) -> Vec<Arc<MountInfo>> {
        todo!()
    }

    /// The path that shows `uri`, when a mount shows it.
    pub fn path_of_ufs(&self, uri: &str) -> Option<AlluxioPath> {
        let _ = uri;
        todo!()
    }

    /// Pinned files, in order of id: what workers must not evict.
    pub fn pinned_files(&self) -> Vec<InodeId> {
        todo!()
    }

    /// Files on the list of what must reach the UFS, in order of id.
    pub fn to_be_persisted(&self) -> Vec<InodeId> {
        todo!()
    }

    /// Up to `limit` inodes whose time to live is over at `now`, the oldest first.
    pub fn expired(&self, now: UnixMillis, limit: usize) -> Vec<InodeId> {
        let _ = (now, limit);
        todo!()
    }
}
