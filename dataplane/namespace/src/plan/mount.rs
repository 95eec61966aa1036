//! Stores appear, change and leave.

use super::Planner;
use crate::request::{Mount, Unmount, UpdateMount};
use crate::{Error, Outcome, Plan, Refusal};
use alluxio_types::{Access, AlluxioPath, Entry, FileKind, MountId, MountInfo, PersistenceState};

impl Planner<'_> {
    pub(super) fn mount(self, request: &Mount) -> Result<Plan, Refusal> {
        let path = &request.path;
        let Some(parent_path) = path.parent() else {
            return self.refuse(Error::AlreadyExists { path: path.clone() });
        };
        let walked = self.walk(path)?;
        if walked.complete() {
            return self.refuse(Error::AlreadyExists { path: path.clone() });
        }
        if walked.components - walked.depth > 1 {
            return self.refuse(Error::PathNotFound { path: parent_path });
        }
        self.need(&walked.at, Access::WRITE, &parent_path)?;
        self.need_room(walked.at.container, 1)?;
        if let Some(row) = self.mounts.overlapping(&request.ufs_uri) {
            self.see(row.seq);
            return self.refuse(Error::UfsOverlap {
                uri: request.ufs_uri.clone(),
                other_uri: row.info.ufs_uri.clone(),
                other: row.info.path.clone(),
            });
        }
        // Mount ids share the containers of inodes, so that none is ever used twice: workers keep
        // what they know of a mount by its id.
        let id = MountId(self.new_id()?.container());
        let mode = request.facts.as_ref().and_then(|facts| facts.mode);
        let mut record = self.new_record(FileKind::Directory, walked.at.id(), path.name(), mode)?;
        if let Some(facts) = &request.facts {
            record.owner = facts.owner.clone().unwrap_or(record.owner);
            record.group = facts.group.clone().unwrap_or(record.group);
        }
        record.persistence = PersistenceState::Persisted;
        record.pinned = self.inode(&walked.at)?.record.pinned();
        let info = MountInfo {
            id,
            path: path.clone(),
            ufs_uri: request.ufs_uri.clone(),
            read_only: request.read_only,
            shared: request.shared,
            options: request.options.clone(),
        };
        let entries = vec![Entry::Create(Box::new(record)), Entry::Mount(info)];
        self.done(entries, Outcome::Mounted(id))
    }

    pub(super) fn update_mount(self, request: &UpdateMount) -> Result<Plan, Refusal> {
        let row = self.mount_at(&request.path)?;
        match request.path.is_root() {
            true if !self.checker.is_superuser() => {
                return self.refuse(self.checker.not_superuser("update the mount", &request.path));
            }
            true => {}
            false => self.need_parent(&request.path)?,
        }
        let info = MountInfo {
            read_only: request.read_only,
            shared: request.shared,
            options: request.options.clone(),
            ..row
        };
        let id = info.id;
        self.done(vec![Entry::UpdateMount(info)], Outcome::Mounted(id))
    }

    pub(super) fn unmount(self, request: &Unmount) -> Result<Plan, Refusal> {
        let path = &request.path;
        if path.is_root() {
            return self.refuse(Error::Root { what: "unmounted" });
        }
        let info = self.mount_at(path)?;
        self.need_parent(path)?;
        if let Some(below) = self.mounts.below(path).next() {
            self.see(below.seq);
            let mount = below.info.path.clone();
            return self.refuse(Error::MountPointBelow { path: path.clone(), mount });
        }
        let walked = self.walk_to(path)?;
        // Whoever may unmount may unmount everything below, whatever its modes say.
        let mut removed = Vec::new();
        self.each_below(&walked.at, |below| {
            removed.extend((!below.is_directory()).then(|| below.id()));
            Ok(())
        })?;
        let entries = vec![
            Entry::Delete { id: walked.at.id(), modified: self.context.now },
            Entry::Unmount { id: info.id },
        ];
        self.done_removing(entries, Outcome::Done, removed)
    }

    fn mount_at(&self, path: &AlluxioPath) -> Result<MountInfo, Refusal> {
        match self.mounts.at(path) {
            Some(row) => {
                self.see(row.seq);
                Ok(MountInfo::clone(&row.info))
            }
            None => {
                self.see(self.walk(path)?.seen);
                self.refuse(Error::NotAMountPoint { path: path.clone() })
            }
        }
    }

    fn need_parent(&self, path: &AlluxioPath) -> Result<(), Refusal> {
        let walked = self.walk_to(path)?;
        let parent = path.parent().unwrap_or_else(AlluxioPath::root);
        self.need(&walked.parent, Access::WRITE, &parent)
    }
}
