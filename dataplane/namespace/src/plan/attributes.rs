//! Owner, group, mode, pin, time to live, replication.

use super::Planner;
use crate::inode::Inode;
use crate::request::{PRINCIPAL_BYTES_MAX, SetAttributes};
use crate::table::compact::U48;
use crate::{Error, Outcome, Plan, Refusal};
use alluxio_types::{Access, AlluxioPath, AttributeChanges, Entry, FileKind};

impl Planner<'_> {
    pub(super) fn set_attributes(self, request: &SetAttributes) -> Result<Plan, Refusal> {
        let Some(path) = &request.path else {
            return self.refuse(Error::NoPath);
        };
        self.check_words(request)?;
        if let Some(update) = &request.xattr {
            self.check_xattrs(&update.values, path)?;
        }
        let walked = self.walk_to(path)?;
        self.need_expected(request.expected, &walked.at, path)?;
        if changes_permission(request) {
            self.need_writable(path)?;
        }
        let top = self.inode(&walked.at)?;
        let mut entries = Vec::new();
        self.set_one(request, &top, path, true, &mut entries)?;
        let wide = request.recursive || request.pinned.is_some();
        if wide && top.is_directory() {
            self.each_below(&top.brief, |below| {
                self.set_one(request, below, path, false, &mut entries)
            })?;
        }
        self.done(entries, Outcome::Inode { id: top.id(), created: false })
    }

    fn check_words(&self, request: &SetAttributes) -> Result<(), Refusal> {
        self.check_mode(request.mode)?;
        self.check_principals([&request.owner, &request.group])?;
        match request.ttl_ms {
            Some(Some(value)) if value > U48::MAX => {
                self.refuse(Error::TooLarge { what: "time to live in ms", value, max: U48::MAX })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn check_principals(&self, names: [&Option<String>; 2]) -> Result<(), Refusal> {
        for name in names.into_iter().flatten() {
            if name.is_empty() || name.len() > PRINCIPAL_BYTES_MAX {
                let (name, max) = (name.clone(), PRINCIPAL_BYTES_MAX);
                return self.refuse(Error::BadPrincipal { name, max });
            }
        }
        Ok(())
    }

    /// The entry for one inode, when something changes. `top` is the one that was named; of those
    /// below it, a request that is not recursive changes the pin only.
    fn set_one(
        &self,
        request: &SetAttributes,
        inode: &Inode,
        path: &AlluxioPath,
        top: bool,
        entries: &mut Vec<Entry>,
    ) -> Result<(), Refusal> {
        let mut changes = self.changes(request, inode, path, top)?;
        // A name below is only known when it is needed for a refusal.
        let at = || if top { Ok(path.clone()) } else { self.path_of(inode.id()) };
        let owns = self.checker.owns(self.namespace, &inode.brief);
        if owns {
            // To himself he may give it.
            changes.owner.take_if(|owner| **owner == inode.perm(self.namespace).owner);
        }
        if changes.owner.is_some() && !self.checker.is_superuser() {
            return self.refuse(self.checker.not_superuser("change the owner of", &at()?));
        }
        if (changes.group.is_some() || changes.mode.is_some()) && !owns {
            return self.refuse(self.checker.not_owner("change its group or mode", &at()?));
        }
        let other = AttributeChanges {
            owner: None,
            group: None,
            mode: None,
            // Who may write may say when he did, and so may the owner.
            accessed: changes.accessed.filter(|_| !owns),
            modified: changes.modified.filter(|_| !owns),
            ..changes.clone()
        };
        if other != AttributeChanges::default()
            && !self.checker.allows(self.namespace, &inode.brief, Access::WRITE)
        {
            return self.refuse(self.checker.denied(Access::WRITE, &at()?));
        }
        self.drop_what_is_there(inode, &mut changes);
        if changes != AttributeChanges::default() {
            entries.push(Entry::SetAttributes { id: inode.id(), changes });
        }
        Ok(())
    }

    fn changes(
        &self,
        request: &SetAttributes,
        inode: &Inode,
        path: &AlluxioPath,
        top: bool,
    ) -> Result<AttributeChanges, Refusal> {
        let mut changes = AttributeChanges { pinned: request.pinned, ..Default::default() };
        if top || request.recursive {
            changes.owner.clone_from(&request.owner);
            changes.group.clone_from(&request.group);
            changes.mode = request.mode;
        }
        if top {
            changes.accessed = request.accessed;
            changes.modified = request.modified;
            changes.ttl_ms = request.ttl_ms;
            changes.ttl_action = request.ttl_action;
        }
        if let Some(update) = request.xattr.as_ref().filter(|_| top) {
            changes.xattr = self.xattr_changes(&inode.rare.xattr, update, path)?;
        }
        if !top && inode.kind() == FileKind::Symlink {
            // As `chmod -R`: what a link leads to is not below.
            changes.mode = None;
        }
        if inode.kind() != FileKind::File {
            return Ok(changes);
        }
        if top || request.recursive {
            changes.replication_min = request.replication_min;
            changes.replication_max = request.replication_max;
        }
        let min = changes.replication_min.unwrap_or(inode.rare.replication_min);
        let max = changes.replication_max.unwrap_or(inode.rare.replication_max);
        match changes.pinned {
            Some(true) if min == 0 => {
                changes.replication_min = Some(1);
                if max == Some(0) {
                    changes.replication_max = Some(Some(1));
                }
            }
            Some(false) if inode.record.pinned() && request.replication_min.is_none() => {
                changes.replication_min = Some(0);
            }
            _ => self.check_replication(min, max)?,
        }
        Ok(changes)
    }

    /// What would change nothing is not journaled.
    pub(super) fn drop_what_is_there(&self, inode: &Inode, changes: &mut AttributeChanges) {
        let perm = inode.perm(self.namespace);
        let (record, rare) = (&inode.record, &inode.rare);
        changes.owner.take_if(|owner| **owner == perm.owner);
        changes.group.take_if(|group| **group == perm.group);
        changes.mode.take_if(|mode| *mode == perm.mode);
        changes.pinned.take_if(|pinned| *pinned == record.pinned());
        changes.ttl_ms.take_if(|ttl| *ttl == rare.ttl_ms);
        changes.ttl_action.take_if(|action| *action == rare.ttl_action);
        changes.replication_min.take_if(|min| *min == rare.replication_min);
        changes.replication_max.take_if(|max| *max == rare.replication_max);
    }
}

fn changes_permission(request: &SetAttributes) -> bool {
    request.owner.is_some() || request.group.is_some() || request.mode.is_some()
}
