//! New names.

use super::Planner;
use super::quota::Bill;
use crate::inode::Inode;
use crate::request::{Exchange, Rename};
use crate::{Error, Outcome, Plan, Refusal};
use alluxio_types::{Access, AlluxioPath, Entry, PersistenceState};

impl Planner<'_> {
    pub(super) fn rename(self, request: &Rename) -> Result<Plan, Refusal> {
        let (source, target) = (&request.source, &request.target);
        let Some(source_parent) = source.parent() else {
            return self.refuse(Error::Root { what: "renamed" });
        };
        let Some(target_parent) = target.parent() else {
            return self.refuse(Error::AlreadyExists { path: target.clone() });
        };
        let from = self.walk_to(source)?;
        self.need_expected(request.expected, &from.at, source)?;
        if source == target {
            let id = from.at.id();
            return self.done(Vec::new(), Outcome::Inode { id, created: false });
        }
        if target.starts_with(source) {
            let (source_path, target) = (source.clone(), target.clone());
            return self.refuse(Error::IntoItself { source_path, target });
        }
        self.need_same_mount(source, target)?;
        let to = self.walk(target)?;
        if to.complete() && !request.replace {
            return self.refuse(Error::AlreadyExists { path: target.clone() });
        }
        if !to.complete() && to.components - to.depth > 1 {
            return self.refuse(Error::PathNotFound { path: target_parent });
        }
        let (mut entries, mut removed) = (Vec::new(), Vec::new());
        let parent = if to.complete() { &to.parent } else { &to.at };
        self.need(&from.parent, Access::WRITE, &source_parent)?;
        self.need(parent, Access::WRITE, &target_parent)?;
        let modified = self.context.now;
        if to.complete() {
            self.need_replaceable(&self.inode(&from.at)?, &self.inode(&to.at)?, target)?;
            if to.at.node.is_none() {
                removed.push(to.at.id());
            }
            entries.push(Entry::Delete { id: to.at.id(), modified });
        }
        self.need_room(parent.container, 1)?;
        let replaced = to.complete().then_some(to.at.container);
        self.need_quota_to_move(
            &[(from.at.container, from.parent.container, parent.container)],
            replaced,
        )?;
        let (id, name) = (from.at.id(), target.name().to_owned());
        entries.push(Entry::Rename { id, parent: parent.id(), name, modified });
        self.done_removing(entries, Outcome::Inode { id, created: false }, removed)
    }

    /// Two names change their inodes: three renames, by way of a name that nobody has.
    pub(super) fn exchange(self, request: &Exchange) -> Result<Plan, Refusal> {
        let (source, target) = (&request.source, &request.target);
        let (Some(source_parent), Some(target_parent)) = (source.parent(), target.parent()) else {
            return self.refuse(Error::Root { what: "exchanged" });
        };
        let (from, to) = (self.walk_to(source)?, self.walk_to(target)?);
        let (id, other) = (from.at.id(), to.at.id());
        if id == other {
            return self.done(Vec::new(), Outcome::Inode { id, created: false });
        }
        if target.starts_with(source) || source.starts_with(target) {
            let (source_path, target) = (source.clone(), target.clone());
            return self.refuse(Error::IntoItself { source_path, target });
        }
        self.need_same_mount(source, target)?;
        self.need_same_mount(target, source)?;
        self.need(&from.parent, Access::WRITE, &source_parent)?;
        self.need(&to.parent, Access::WRITE, &target_parent)?;
        self.need_only_here(&self.inode(&from.at)?, source)?;
        self.need_only_here(&self.inode(&to.at)?, target)?;
        self.need_room(from.parent.container, 1)?;
        self.need_room(to.parent.container, 1)?;
        let (here, there) = (from.parent.id(), to.parent.id());
        let moves = [
            (id.container(), here.container(), there.container()),
            (other.container(), there.container(), here.container()),
        ];
        self.need_quota_to_move(&moves, None)?;
        let between = format!(".exchange-{id}");
        if self.child_of(&from.parent, &between)?.is_some() {
            let path = source_parent.join(&between).unwrap_or(source_parent);
            return self.refuse(Error::AlreadyExists { path });
        }
        let rename = |id, parent, name: &str| Entry::Rename {
            id,
            parent,
            name: name.to_owned(),
            modified: self.context.now,
        };
        let entries = vec![
            rename(id, here, &between),
            rename(other, here, source.name()),
            rename(id, there, target.name()),
        ];
        self.done(entries, Outcome::Inode { id, created: false })
    }

    /// Refuses moves, each of an inode from one directory to another, that quotas do not allow; where the first
    /// goes to, `replaced` is taken away.
    fn need_quota_to_move(
        &self,
        moves: &[(u64, u64, u64)],
        replaced: Option<u64>,
    ) -> Result<(), Refusal> {
        let mut bill = Bill::default();
        for &(moved, from, to) in moves {
            // The common case, which need not know how much it is.
            if self.namespace.quotas_above(from) == self.namespace.quotas_above(to) {
                continue;
            }
            let usage = self.usage_of(moved);
            self.charge(&mut bill, from, usage, -1);
            self.charge(&mut bill, to, usage, 1);
        }
        if let (Some(replaced), Some(&(_, _, to))) = (replaced, moves.first()) {
            self.charge(&mut bill, to, self.usage_of(replaced), -1);
        }
        self.need_quota(&bill, None)
    }

    /// Refuses what an under store has, or has something of.
    fn need_only_here(&self, inode: &Inode, path: &AlluxioPath) -> Result<(), Refusal> {
        let check = |inode: &Inode| match is_only_here(inode) {
            true => Ok(()),
            false => self.refuse(Error::InUfs { path: path.clone() }),
        };
        check(inode)?;
        if inode.is_directory() {
            self.each_below(&inode.brief, check)?;
        }
        Ok(())
    }

    /// The target may go for the source: of the same kind, empty, and in no under store, nor the source.
    fn need_replaceable(
        &self,
        source: &Inode,
        target: &Inode,
        path: &AlluxioPath,
    ) -> Result<(), Refusal> {
        let path = || path.clone();
        match (source.is_directory(), target.is_directory()) {
            (false, true) => return self.refuse(Error::IsADirectory { path: path() }),
            (true, false) => return self.refuse(Error::NotADirectory { path: path() }),
            _ => {}
        }
        self.see_names(target)?;
        let children = self.children_of(target)?;
        if children > 0 {
            return self.refuse(Error::NotEmpty { path: path(), children });
        }
        if self.mounts.at(&path()).is_some() || !is_only_here(source) || !is_only_here(target) {
            return self.refuse(Error::AlreadyExists { path: path() });
        }
        Ok(())
    }

    /// Both in one writable mount, and no mount point moves.
    fn need_same_mount(&self, source: &AlluxioPath, target: &AlluxioPath) -> Result<(), Refusal> {
        if self.mounts.at(source).is_some() {
            let path = source.clone();
            return self.refuse(Error::IsAMountPoint { path, what: "renamed" });
        }
        if let Some(row) = self.mounts.below(source).next() {
            let mount = row.info.path.clone();
            return self.refuse(Error::MountPointBelow { path: source.clone(), mount });
        }
        let (from, to) = (self.need_writable(source)?, self.need_writable(target)?);
        if from.info.id != to.info.id {
            let (source_path, target) = (source.clone(), target.clone());
            return self.refuse(Error::AcrossMounts { source_path, target });
        }
        Ok(())
    }
}

/// Whether no under store has a part in an inode itself.
fn is_only_here(inode: &Inode) -> bool {
    matches!(inode.record.persistence(), PersistenceState::NotPersisted | PersistenceState::Lost)
}
