//! New names.

use super::Planner;
use crate::request::Rename;
use crate::{Error, Outcome, Plan, Refusal};
use alluxio_types::{Access, AlluxioPath, Entry};

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
        if to.complete() {
            return self.refuse(Error::AlreadyExists { path: target.clone() });
        }
        if to.components - to.depth > 1 {
            return self.refuse(Error::PathNotFound { path: target_parent });
        }
        self.need(&from.parent, Access::WRITE, &source_parent)?;
        self.need(&to.at, Access::WRITE, &target_parent)?;
        self.need_room(to.at.container, 1)?;
        let id = from.at.id();
        let entry = Entry::Rename {
            id,
            parent: to.at.id(),
            name: target.name().to_owned(),
            modified: self.context.now,
        };
        self.done(vec![entry], Outcome::Inode { id, created: false })
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
