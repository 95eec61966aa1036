//! Files and directories go away.

use super::Planner;
use crate::inode::Inode;
use crate::request::Delete;
use crate::{Error, Outcome, Plan, Refusal};
use alluxio_types::{Access, AlluxioPath, Entry, InodeId};

impl Planner<'_> {
    pub(super) fn delete(self, request: &Delete) -> Result<Plan, Refusal> {
        let path = &request.path;
        let Some(parent_path) = path.parent() else {
            return self.refuse(Error::Root { what: "deleted" });
        };
        let walked = self.walk_to(path)?;
        self.need_expected(request.expected, &walked.at, path)?;
        self.need(&walked.parent, Access::WRITE, &parent_path)?;
        if !request.alluxio_only {
            self.need_writable(path)?;
        }
        let inode = self.inode(&walked.at)?;
        self.see_names(&inode)?;
        let children = self.children_of(&inode)?;
        if children > 0 && !request.recursive {
            return self.refuse(Error::NotEmpty { path: path.clone(), children });
        }
        let mut mounts = Vec::new();
        for row in self.mounts.at(path).into_iter().chain(self.mounts.below(path)) {
            self.see(row.seq);
            if !request.delete_mount_points {
                let mount = row.info.path.clone();
                return self.refuse(match mount == *path {
                    true => Error::IsAMountPoint { path: mount, what: "deleted; unmount it" },
                    false => Error::MountPointBelow { path: path.clone(), mount },
                });
            }
            mounts.push(Entry::Unmount { id: row.info.id });
        }
        let (removed, deleted) = self.removable(&inode, path)?;
        let mut entries = vec![Entry::Delete { id: inode.id(), modified: self.context.now }];
        entries.append(&mut mounts);
        let plan = self.done_removing(entries, Outcome::Done, removed)?;
        Ok(Plan { deleted, ..plan })
    }

    /// Number of children of a directory; 0 for a file.
    pub(super) fn children_of(&self, inode: &Inode) -> Result<u64, Refusal> {
        let Some(node) = inode.brief.node else { return Ok(0) };
        let container = inode.brief.container;
        let shard = self.namespace.shard(crate::namespace::shard_of(container));
        Ok(shard.node(node, container).map_or(0, |node| node.children.len()))
    }

    /// Notes that the decision depends on what names a directory has.
    pub(super) fn see_names(&self, inode: &Inode) -> Result<(), Refusal> {
        if let Some(node) = inode.brief.node {
            let container = inode.brief.container;
            let shard = self.namespace.shard(crate::namespace::shard_of(container));
            self.see(shard.node(node, container).map_or(0, |node| node.changed));
        }
        Ok(())
    }

    /// The files at and below an inode, and how many inodes there are. Checks that the caller may take the names out of every
    /// directory there.
    pub(super) fn removable(
        &self,
        inode: &Inode,
        path: &AlluxioPath,
    ) -> Result<(Vec<InodeId>, u64), Refusal> {
        if !inode.is_directory() {
            return Ok((vec![inode.id()], 1));
        }
        let access = Access::WRITE.and(Access::EXECUTE);
        let need = |directory: &Inode| {
            if self.checker.is_superuser()
                || self.checker.allows(self.namespace, &directory.brief, access)
                || self.children_of(directory)? == 0
            {
                return Ok(());
            }
            let at = match directory.id() == inode.id() {
                true => path.clone(),
                false => self.path_of(directory.id())?,
            };
            self.refuse(self.checker.denied(access, &at))
        };
        need(inode)?;
        let (mut files, mut inodes) = (Vec::new(), 1);
        self.each_below(&inode.brief, |below| {
            inodes += 1;
            if below.is_directory() {
                return need(below);
            }
            files.push(below.id());
            Ok(())
        })?;
        Ok((files, inodes))
    }
}
