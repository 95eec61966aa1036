//! A file is written; a file's bytes are safe somewhere else; files were opened.

use super::Planner;
use super::quota::Bill;
use crate::inode::Inode;
use crate::request::{CompleteFile, SetPersistence};
use crate::{Error, Outcome, Plan, Refusal};
use alluxio_types::file::block_count;
use alluxio_types::id::BLOCKS_PER_FILE_MAX;
use alluxio_types::{Access, AttributeChanges, Entry, InodeId, QuotaUsage};

impl Planner<'_> {
    pub(super) fn complete_file(self, request: &CompleteFile) -> Result<Plan, Refusal> {
        let inode = self.inode_by_id(request.id)?;
        if inode.is_directory() {
            return self.refuse(Error::IsADirectory { path: self.path_of(request.id)? });
        }
        if inode.record.completed() {
            return self.refuse(Error::AlreadyCompleted { path: self.path_of(request.id)? });
        }
        if !self.checker.owns(self.namespace, &inode.brief) {
            self.need(&inode.brief, Access::WRITE, &self.path_of(request.id)?)?;
        }
        self.need_fingerprint(&request.fingerprint)?;
        let (length, block_size) = (request.length, inode.record.block_size.get());
        if block_count(length, block_size) > BLOCKS_PER_FILE_MAX {
            let max = BLOCKS_PER_FILE_MAX;
            return self.refuse(Error::TooManyBlocks { length, block_size, max });
        }
        let parent = self.namespace.parent_of(request.id.container());
        let lent = self.replaced_by(request.replaces, parent)?;
        let mut bill = Bill::default();
        self.charge(&mut bill, parent, QuotaUsage { bytes: length, inodes: 0 }, 1);
        self.need_quota(&bill, lent)?;
        let attributes = self.attributes_of_written(request, &inode)?;
        let complete = Entry::Complete {
            id: request.id,
            length,
            modified: request.attributes.modified.unwrap_or(self.context.now),
            persistence: request.persistence,
            fingerprint: request.fingerprint.clone(),
        };
        let entries = std::iter::once(complete).chain(attributes).collect();
        self.done(entries, Outcome::Inode { id: request.id, created: false })
    }

    /// The entry for attributes that a file gets as it is completed, when any of them changes.
    fn attributes_of_written(
        &self,
        request: &CompleteFile,
        inode: &Inode,
    ) -> Result<Option<Entry>, Refusal> {
        let wanted = &request.attributes;
        self.check_principals([&wanted.owner, &wanted.group])?;
        self.check_mode(wanted.mode)?;
        let mut changes = AttributeChanges {
            owner: wanted.owner.clone(),
            group: wanted.group.clone(),
            mode: wanted.mode,
            accessed: wanted.accessed,
            ..AttributeChanges::default()
        };
        self.drop_what_is_there(inode, &mut changes);
        if changes.owner.is_some() && !self.checker.is_superuser() {
            let path = self.path_of(request.id)?;
            return self.refuse(self.checker.not_superuser("change the owner of", &path));
        }
        let owns = self.checker.owns(self.namespace, &inode.brief);
        if (changes.group.is_some() || changes.mode.is_some()) && !owns {
            let path = self.path_of(request.id)?;
            return self.refuse(self.checker.not_owner("change its group or mode", &path));
        }
        let changed = changes != AttributeChanges::default();
        Ok(changed.then_some(Entry::SetAttributes { id: request.id, changes }))
    }

    pub(super) fn set_persistence(self, request: &SetPersistence) -> Result<Plan, Refusal> {
        let inode = self.inode_by_id(request.id)?;
        self.need_fingerprint(&request.fingerprint)?;
        if !inode.record.completed() {
            return self.refuse(Error::Incomplete { path: self.path_of(request.id)? });
        }
        let outcome = Outcome::Inode { id: request.id, created: false };
        if inode.record.persistence() == request.state
            && inode.fingerprint(self.namespace) == request.fingerprint
        {
            return self.done(Vec::new(), outcome);
        }
        let entry = Entry::SetPersistence {
            id: request.id,
            state: request.state,
            fingerprint: request.fingerprint.clone(),
        };
        self.done(vec![entry], outcome)
    }

    pub(super) fn record_access(self, ids: &[InodeId]) -> Result<Plan, Refusal> {
        let accessed = self.context.now;
        let entries = ids
            .iter()
            .filter(|id| {
                let known = self.namespace.by_id(**id, |shard, location| {
                    shard.records.at(location.slot()).accessed.get()
                });
                known.is_ok_and(|before| before < accessed.0)
            })
            .map(|&id| Entry::SetAttributes {
                id,
                changes: AttributeChanges {
                    accessed: Some(accessed),
                    ..AttributeChanges::default()
                },
            })
            .collect();
        self.done(entries, Outcome::Done)
    }
}
