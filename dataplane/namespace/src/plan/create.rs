//! New files and directories.

use super::Planner;
use super::quota::Bill;
use crate::inode::Brief;
use crate::request::{BLOCK_SIZE_BYTES_MAX, CreateDirectory, CreateFile};
use crate::resolve::{Walked, prefix};
use crate::{Error, Outcome, Plan, Refusal};
use alluxio_types::{
    Access, AlluxioPath, Entry, FileKind, InodeId, InodeRecord, PersistenceState, QuotaUsage,
    WriteType,
};

/// Where a new inode goes, after the missing directories on its way.
pub(super) struct Place {
    pub(super) entries: Vec<Entry>,
    pub(super) parent: InodeId,
    /// Container of the directory that existed.
    directory: u64,
    /// Container of the file that goes first.
    replaced: Option<u64>,
    /// Whether the directory that existed is pinned: its new children are too.
    pinned: bool,
    /// The group of the directory that existed when its set-group-id bit says that new children have it too.
    group: Option<String>,
}

impl Place {
    /// What a new inode has from its directory.
    pub(super) fn inherit(&self, record: &mut InodeRecord) {
        if let Some(group) = &self.group {
            record.group.clone_from(group);
            if record.kind == FileKind::Directory {
                record.mode.0 |= SET_GROUP_ID;
            }
        }
        match record.kind {
            FileKind::File => inherit_pin(record, self.pinned),
            FileKind::Directory | FileKind::Symlink => record.pinned = self.pinned,
        }
    }
}

/// `S_ISGID`.
const SET_GROUP_ID: u16 = 0o2000;

impl Planner<'_> {
    pub(super) fn create_file(self, request: &CreateFile) -> Result<Plan, Refusal> {
        let path = &request.path;
        self.check_file_words(request)?;
        let walked = self.walk(path)?;
        self.need_writable(path)?;
        let mut removed = Vec::new();
        let mut place = if walked.complete() {
            self.overwrite(request, &walked, &mut removed)?
        } else {
            self.make_way(path, &walked, request.recursive, request.write_type)?
        };
        let mut record =
            self.new_record(FileKind::File, place.parent, path.name(), request.mode)?;
        record.block_size_bytes = request.block_size_bytes;
        record.ttl_ms = request.ttl_ms;
        record.ttl_action = request.ttl_action;
        record.replication_min = request.replication_min;
        record.replication_max = request.replication_max;
        record.xattr = request.xattr.clone();
        place.inherit(&mut record);
        let id = record.id;
        place.entries.push(Entry::Create(Box::new(record)));
        let lent = self.replaced_by(request.replaces, place.directory)?;
        self.need_quota_for(&place, 0, lent)?;
        self.done_removing(place.entries, Outcome::Inode { id, created: true }, removed)
    }

    pub(super) fn create_directory(self, request: &CreateDirectory) -> Result<Plan, Refusal> {
        let path = &request.path;
        self.check_mode(request.mode)?;
        let walked = self.walk(path)?;
        if walked.complete() {
            if request.allow_exists && walked.at.node.is_some() {
                let id = walked.at.id();
                return self.done(Vec::new(), Outcome::Inode { id, created: false });
            }
            return self.refuse(Error::AlreadyExists { path: path.clone() });
        }
        self.need_writable(path)?;
        let mut place = self.make_way(path, &walked, request.recursive, request.write_type)?;
        let mut record =
            self.new_record(FileKind::Directory, place.parent, path.name(), request.mode)?;
        record.ttl_ms = request.ttl_ms;
        record.ttl_action = request.ttl_action;
        record.persistence = directory_state(request.write_type);
        record.children_loaded = record.persistence != PersistenceState::Persisted;
        place.inherit(&mut record);
        let id = record.id;
        place.entries.push(Entry::Create(Box::new(record)));
        self.need_quota_for(&place, 0, None)?;
        self.done(place.entries, Outcome::Inode { id, created: true })
    }

    fn check_file_words(&self, request: &CreateFile) -> Result<(), Refusal> {
        self.check_mode(request.mode)?;
        self.check_block_size(request.block_size_bytes)?;
        self.check_xattrs(&request.xattr, &request.path)?;
        self.check_replication(request.replication_min, request.replication_max)
    }

    pub(super) fn check_mode(&self, mode: Option<alluxio_types::Mode>) -> Result<(), Refusal> {
        match mode {
            Some(mode) if mode.0 > 0o7777 => self.refuse(Error::BadMode { mode: mode.0 }),
            _ => Ok(()),
        }
    }

    pub(super) fn check_block_size(&self, bytes: u64) -> Result<(), Refusal> {
        if (1..=BLOCK_SIZE_BYTES_MAX).contains(&bytes) {
            return Ok(());
        }
        self.refuse(Error::BadBlockSize { bytes, max: BLOCK_SIZE_BYTES_MAX })
    }

    pub(super) fn check_replication(&self, min: u32, max: Option<u32>) -> Result<(), Refusal> {
        match max {
            Some(max) if min > max => self.refuse(Error::BadReplication { min, max }),
            _ => Ok(()),
        }
    }

    /// The way to a path that does not exist: entries for the missing directories.
    pub(super) fn make_way(
        &self,
        path: &AlluxioPath,
        walked: &Walked,
        recursive: bool,
        write_type: WriteType,
    ) -> Result<Place, Refusal> {
        let missing = walked.components - walked.depth;
        if missing > 1 && !recursive {
            let path = path.parent().unwrap_or_else(AlluxioPath::root);
            return self.refuse(Error::PathNotFound { path });
        }
        if !self.checker.allows(self.namespace, &walked.at, Access::WRITE) {
            let at = prefix(path, walked.depth);
            return self.refuse(self.checker.denied(Access::WRITE, &at));
        }
        self.need_room(walked.at.container, 1)?;
        let mut place = self.place_in(&walked.at)?;
        for name in path.components().skip(walked.depth).take(missing - 1) {
            let mut record = self.new_record(FileKind::Directory, place.parent, name, None)?;
            record.persistence = directory_state(write_type);
            record.children_loaded = record.persistence != PersistenceState::Persisted;
            place.inherit(&mut record);
            place.parent = record.id;
            place.entries.push(Entry::Create(Box::new(record)));
        }
        Ok(place)
    }

    /// The way to a path that exists: its file goes first.
    fn overwrite(
        &self,
        request: &CreateFile,
        walked: &Walked,
        removed: &mut Vec<InodeId>,
    ) -> Result<Place, Refusal> {
        let path = &request.path;
        if walked.at.node.is_some() {
            return self.refuse(match request.overwrite {
                true => Error::IsADirectory { path: path.clone() },
                false => Error::AlreadyExists { path: path.clone() },
            });
        }
        if !request.overwrite {
            return self.refuse(Error::AlreadyExists { path: path.clone() });
        }
        let parent = path.parent().unwrap_or_else(AlluxioPath::root);
        self.need(&walked.parent, Access::WRITE, &parent)?;
        removed.push(walked.at.id());
        let mut place = self.place_in(&walked.parent)?;
        place.replaced = Some(walked.at.container);
        place.entries.push(Entry::Delete { id: walked.at.id(), modified: self.context.now });
        Ok(place)
    }

    /// Refuses when quotas do not allow what a place's entries make, `bytes` long; the room of `lent` counts as
    /// free.
    pub(super) fn need_quota_for(
        &self,
        place: &Place,
        bytes: u64,
        lent: Option<u64>,
    ) -> Result<(), Refusal> {
        let made = place.entries.iter().filter(|entry| matches!(entry, Entry::Create(_)));
        let mut bill = Bill::default();
        let usage = QuotaUsage { bytes, inodes: made.count() as u64 };
        self.charge(&mut bill, place.directory, usage, 1);
        if let Some(replaced) = place.replaced {
            self.charge(&mut bill, place.directory, self.usage_of(replaced), -1);
        }
        self.need_quota(&bill, lent)
    }

    /// A place in a directory that exists.
    fn place_in(&self, directory: &Brief) -> Result<Place, Refusal> {
        let inode = self.inode(directory)?;
        let perm = inode.perm(self.namespace);
        let group = (perm.mode.0 & SET_GROUP_ID != 0).then(|| perm.group.clone());
        let pinned = inode.record.pinned();
        Ok(Place {
            entries: Vec::new(),
            parent: directory.id(),
            directory: directory.container,
            replaced: None,
            pinned,
            group,
        })
    }
}

/// Where a new directory is: a through-type has made it in the UFS.
fn directory_state(write_type: WriteType) -> PersistenceState {
    if write_type.is_through() {
        PersistenceState::Persisted
    } else {
        PersistenceState::NotPersisted
    }
}

/// A new child of a pinned directory is pinned, and a pinned file has a copy.
pub(super) fn inherit_pin(record: &mut InodeRecord, pinned: bool) {
    if pinned {
        record.pinned = true;
        record.replication_min = record.replication_min.max(1);
        record.replication_max = record.replication_max.map(|max| max.max(1));
    }
}
