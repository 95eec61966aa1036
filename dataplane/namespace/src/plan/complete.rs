//! A file is written; a file's bytes are safe somewhere else; files were opened.

use super::Planner;
use crate::request::{CompleteFile, SetPersistence};
use crate::{Error, Outcome, Plan, Refusal};
use alluxio_types::file::block_count;
use alluxio_types::id::BLOCKS_PER_FILE_MAX;
use alluxio_types::{Access, AttributeChanges, Entry, InodeId};

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
        let entry = Entry::Complete {
            id: request.id,
            length,
            modified: self.context.now,
            persistence: request.persistence,
            fingerprint: request.fingerprint.clone(),
        };
        self.done(vec![entry], Outcome::Inode { id: request.id, created: false })
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
