//! Reads of one inode.

use super::Seen;
use crate::inode::Inode;
use crate::mount_table::{MountTable, Row};
use crate::namespace::{Namespace, Stop, shard_of};
use crate::permission::Checker;
use crate::resolve::{prefix, refuse};
use crate::table::record::Perm;
use crate::{Context, Error, Refusal};
use alluxio_types::file::{block_count, block_length};
use alluxio_types::{
    Access, AlluxioPath, BlockInfo, FileStatus, InodeId, MountInfo, PersistenceState, UnixMillis,
};
use std::sync::Arc;

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

/// Where an inode is.
pub(crate) struct Place<'a> {
    /// `None` leaves them empty in the status.
    pub(crate) words: Option<Words>,
    pub(crate) row: &'a Row,
}

/// Where an inode is and whose, in words.
pub(crate) struct Words {
    path: String,
    ufs_path: String,
    owner: String,
    group: String,
}

impl Words {
    pub(crate) fn of(path: String, ufs_path: String, perm: &Perm) -> Self {
        Words { path, ufs_path, owner: perm.owner.clone(), group: perm.group.clone() }
    }
}

/// The blocks of a file, without locations.
pub fn blocks_of(status: &FileStatus) -> Vec<BlockInfo> {
    if !status.is_file() || !status.completed || status.block_size_bytes == 0 {
        return Vec::new();
    }
    let (length, size) = (status.length, status.block_size_bytes);
    (0..block_count(length, size))
        .map(|index| BlockInfo {
            id: status.id.block(index),
            length: block_length(length, size, index),
            offset: index * size,
            locations: Vec::new(),
        })
        .collect()
}

impl Namespace {
    /// The status of a path, with blocks but without locations. Needs `x` on all directories above
    /// it.
    pub fn status(
        &self,
        path: &AlluxioPath,
        context: &Context<'_>,
    ) -> Result<Seen<FileStatus>, Refusal> {
        let checker = Checker::new(self, context);
        self.consistent(|| {
            let walked = self.walk_to(path, &checker)?;
            let inode = self.inode(&walked.at)?;
            let (mut status, seen) = self.describe_at(inode, path, &self.mount_table())?;
            status.blocks = blocks_of(&status);
            checker.hide(&mut status);
            Ok(Seen::new(status, seen.max(walked.seen)))
        })
    }

    /// The status of an inode, with blocks but without locations. No permission check: ids are for
    /// those who got them from a checked call, and for the master itself.
    pub fn status_by_id(&self, id: InodeId) -> Result<Seen<FileStatus>, Refusal> {
        self.consistent(|| {
            let (path, on_the_way) = self.climb(id)?;
            let inode = self.by_id(id, Inode::of)?;
            let (mut status, seen) = self.describe_at(inode, &path, &self.mount_table())?;
            status.blocks = blocks_of(&status);
            Ok(Seen::new(status, seen.max(on_the_way)))
        })
    }

    /// Where the bytes of a file are safe; `None` when there is no such inode. One look at its
    /// record, without its path: for those who ask for many.
    pub fn persistence_by_id(&self, id: InodeId) -> Option<PersistenceState> {
        let look = || self.by_id(id, |shard, at| shard.records.at(at.slot()).persistence());
        self.consistent(look).ok()
    }

    /// The id of a path. Needs `x` on all directories above it.
    pub fn resolve(
        &self,
        path: &AlluxioPath,
        context: &Context<'_>,
    ) -> Result<Seen<InodeId>, Refusal> {
        let checker = Checker::new(self, context);
        self.consistent(|| {
            let walked = self.walk_to(path, &checker)?;
            Ok(Seen::new(walked.at.id(), walked.seen))
        })
    }

    /// How much of a path exists. Needs `x` on the directories that do.
    pub fn lookup(
        &self,
        path: &AlluxioPath,
        context: &Context<'_>,
    ) -> Result<Seen<Lookup>, Refusal> {
        let checker = Checker::new(self, context);
        self.consistent(|| {
            let walked = self.walk_path(path, &checker)?;
            let mounts = self.mount_table();
            let row = mounts.of(path).ok_or_else(|| self.not_formatted())?;
            let mut seen = walked.seen.max(row.seq);
            let found = if walked.complete() {
                let inode = self.inode(&walked.at)?;
                let (mut status, at) = self.describe_at(inode, path, &mounts)?;
                status.blocks = blocks_of(&status);
                checker.hide(&mut status);
                seen = seen.max(at);
                Some(status)
            } else {
                None
            };
            let (directory, depth) = match walked.complete() {
                true => (walked.parent, walked.depth.saturating_sub(1)),
                false => (walked.at, walked.depth),
            };
            if directory.node.is_none() {
                let error = Error::NotADirectory { path: prefix(path, depth) };
                return Err(refuse(error, seen).into());
            }
            let children_loaded = self.inode(&directory)?.record.children_loaded();
            Ok(Seen::new(
                Lookup {
                    found,
                    directory: prefix(path, depth),
                    directory_id: directory.id(),
                    children_loaded,
                    missing: path.components().skip(walked.depth).map(str::to_owned).collect(),
                    mount: Arc::clone(&row.info),
                },
                seen,
            ))
        })
    }

    /// The path of an inode.
    pub fn path_of(&self, id: InodeId) -> Result<Seen<AlluxioPath>, Refusal> {
        self.consistent(|| self.climb(id).map(|(path, seen)| Seen::new(path, seen)))
    }

    /// Whether the caller may do all of `access` to a path; its id.
    ///
    /// **Errors**: `PermissionDenied`, and those of [`Namespace::resolve`].
    pub fn check_access(
        &self,
        path: &AlluxioPath,
        access: Access,
        context: &Context<'_>,
    ) -> Result<Seen<InodeId>, Refusal> {
        let checker = Checker::new(self, context);
        self.consistent(|| {
            let walked = self.walk_to(path, &checker)?;
            if !checker.allows(self, &walked.at, access) {
                return Err(refuse(checker.denied(access, path), walked.seen).into());
            }
            Ok(Seen::new(walked.at.id(), walked.seen))
        })
    }

    /// The mount that a path belongs to; `None` before `Format`.
    pub fn mount_of(&self, path: &AlluxioPath) -> Option<Arc<MountInfo>> {
        self.mount_table().of(path).map(|row| Arc::clone(&row.info))
    }

    /// All mounts, by path.
    pub fn mounts(&self) -> Vec<Arc<MountInfo>> {
        self.mount_table().rows().map(|row| Arc::clone(&row.info)).collect()
    }

    /// The path that shows `uri`, when a mount shows it.
    pub fn path_of_ufs(&self, uri: &str) -> Option<AlluxioPath> {
        self.mount_table().path_of(uri)
    }

    /// Pinned files, in order of id: what workers must not evict.
    pub fn pinned_files(&self) -> Vec<InodeId> {
        self.sets.pinned()
    }

    /// Files on the list of what must reach the UFS, in order of id.
    pub fn to_be_persisted(&self) -> Vec<InodeId> {
        self.sets.to_be_persisted()
    }

    /// Up to `limit` inodes whose time to live is over at `now`, the oldest first.
    pub fn expired(&self, now: UnixMillis, limit: usize) -> Vec<InodeId> {
        self.sets.expired(now, limit)
    }

    pub(crate) fn not_formatted(&self) -> Refusal {
        Refusal::new(Error::NotFormatted, self.applied())
    }

    /// The status of a copied inode, without blocks, and the position that it depends on.
    pub(crate) fn describe_at(
        &self,
        inode: Inode,
        path: &AlluxioPath,
        mounts: &MountTable,
    ) -> Result<(FileStatus, u64), Stop> {
        let row = mounts.of(path).ok_or_else(|| self.not_formatted())?;
        let ufs_path = row.info.ufs_path(path).unwrap_or_default();
        let words = Words::of(path.as_str().to_owned(), ufs_path, inode.perm(self));
        self.describe(inode, Place { words: Some(words), row })
    }

    /// As [`Namespace::describe_at`], for whoever has worked out the paths.
    pub(crate) fn describe(
        &self,
        inode: Inode,
        place: Place<'_>,
    ) -> Result<(FileStatus, u64), Stop> {
        let Place { words, row } = place;
        let record = &inode.record;
        let mut seen = inode.brief.seq.max(row.seq);
        let length = match record.node() {
            None => record.length(),
            // The record first, then the names: the writer goes the other way round, so whoever
            // sees the new modification time sees the position that brought it.
            Some(node) => {
                let shard = self.shard(shard_of(inode.brief.container));
                let node = shard.node(node, inode.brief.container).ok_or(Stop::Gone)?;
                seen = seen.max(node.changed);
                node.children.len()
            }
        };
        let mode = inode.perm(self).mode;
        // Without words it is in the middle of its mount.
        let mount_point = words.as_ref().is_some_and(|words| row.info.path.as_str() == words.path);
        let none = String::new;
        let (path, ufs_path, owner, group) = match words {
            Some(words) => (words.path, words.ufs_path, words.owner, words.group),
            None => (none(), none(), none(), none()),
        };
        let status = FileStatus {
            id: inode.id(),
            kind: inode.kind(),
            fingerprint: inode.fingerprint(self),
            mount_point,
            name: inode.name,
            path,
            ufs_path,
            length,
            block_size_bytes: record.block_size.get(),
            created: UnixMillis(record.created.get()),
            modified: UnixMillis(record.modified.get()),
            accessed: UnixMillis(record.accessed.get()),
            completed: record.completed(),
            pinned: record.pinned(),
            persistence: record.persistence(),
            mount_id: row.info.id,
            owner,
            group,
            mode,
            ttl_ms: inode.rare.ttl_ms,
            ttl_action: inode.rare.ttl_action,
            replication_min: inode.rare.replication_min,
            replication_max: inode.rare.replication_max,
            xattr: inode.rare.xattr,
            target: inode.rare.target.map_or_else(String::new, |target| (*target).to_owned()),
            blocks: Vec::new(),
            in_alluxio_percent: 0,
            in_memory_percent: 0,
        };
        Ok((status, seen))
    }
}
