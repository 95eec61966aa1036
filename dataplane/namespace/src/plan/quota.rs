//! Quotas of directories: new ones, and whether a change stays within those there are.

use super::Planner;
use crate::inode::Inode;
use crate::request::SetQuota;
use crate::{Error, Outcome, Plan, Refusal};
use alluxio_types::{AlluxioPath, AttributeChanges, Entry, InodeId, QuotaKind, QuotaUsage};
use std::collections::BTreeMap;

/// What a change brings to directories with a quota, and takes from them.
#[derive(Debug, Default)]
pub(super) struct Bill {
    /// Bytes and inodes, by container.
    rows: BTreeMap<u64, (i128, i128)>,
}

impl Planner<'_> {
    pub(super) fn set_quota(self, request: &SetQuota) -> Result<Plan, Refusal> {
        let path = &request.path;
        let walked = self.walk_to(path)?;
        if !self.checker.is_superuser() {
            return self.refuse(self.checker.not_superuser("set the quota of", path));
        }
        let inode = self.inode(&walked.at)?;
        if !inode.is_directory() {
            return self.refuse(Error::NotADirectory { path: path.clone() });
        }
        let mut quota = inode.rare.quota;
        quota.bytes = request.bytes.unwrap_or(quota.bytes);
        quota.inodes = request.inodes.unwrap_or(quota.inodes);
        let mut entries = Vec::new();
        if quota != inode.rare.quota {
            let changes = AttributeChanges { quota: Some(quota), ..AttributeChanges::default() };
            entries.push(Entry::SetAttributes { id: inode.id(), changes });
        }
        self.done(entries, Outcome::Inode { id: inode.id(), created: false })
    }

    /// Adds to the bill what comes into (1) or leaves (-1) a directory.
    pub(super) fn charge(&self, bill: &mut Bill, directory: u64, usage: QuotaUsage, sign: i128) {
        for container in self.namespace.quotas_above(directory) {
            let (bytes, inodes) = bill.rows.entry(container).or_default();
            *bytes += sign * i128::from(usage.bytes);
            *inodes += sign * i128::from(usage.inodes);
        }
    }

    /// What an inode with all below it counts. Walks a directory, unless nobody asks.
    pub(super) fn usage_of(&self, container: u64) -> QuotaUsage {
        match self.namespace.quotas.is_empty() {
            true => QuotaUsage::default(),
            false => self.namespace.usage_of_tree(container),
        }
    }

    /// The container of a file in `directory` that another one is to replace, if there is such a file.
    pub(super) fn replaced_by(
        &self,
        replaces: Option<InodeId>,
        directory: u64,
    ) -> Result<Option<u64>, Refusal> {
        let Some(id) = replaces else { return Ok(None) };
        match self.namespace.by_id(id, Inode::of) {
            Ok(inode) => {
                self.see(inode.brief.seq);
                let beside = self.namespace.parent_of(id.container()) == directory;
                Ok((beside && !inode.is_directory()).then_some(id.container()))
            }
            // Somebody removed it, so it takes no room.
            Err(_) => Ok(None),
        }
    }

    /// Refuses what would bring more into a directory than its quota allows. What takes as much as it brings is
    /// allowed everywhere.
    ///
    /// The room of `lent`, a file that is going to be replaced soon, counts as free. It is no excuse for being above
    /// a bound, as what leaves with the change itself is: else somebody could announce to replace the same file
    /// again and again, and never do it.
    pub(super) fn need_quota(&self, bill: &Bill, lent: Option<u64>) -> Result<(), Refusal> {
        if !self.bounded {
            return Ok(());
        }
        let room = lent.map(|lent| self.usage_of(lent)).unwrap_or_default();
        for (&container, &(bytes, inodes)) in &bill.rows {
            let Some(row) = self.namespace.quotas.get(container) else { continue };
            let bounds = [
                (QuotaKind::Bytes, row.quota.bytes, row.usage.bytes, room.bytes, bytes),
                (QuotaKind::Inodes, row.quota.inodes, row.usage.inodes, room.inodes, inodes),
            ];
            for (kind, limit, used, room, more) in bounds {
                let Some(limit) = limit else { continue };
                if more > 0 && i128::from(used) + more > i128::from(limit) + i128::from(room) {
                    let more = u64::try_from(more).unwrap_or(u64::MAX);
                    let id = InodeId::from_container(container);
                    // A path that became too long to be asked for is named by its root.
                    let directory = self.path_of(id).unwrap_or_else(|_| AlluxioPath::root());
                    // Usage is what every change before this one has left.
                    self.see(self.namespace.applied().0);
                    return self.refuse(Error::QuotaExceeded {
                        directory,
                        kind,
                        limit,
                        used,
                        more,
                    });
                }
            }
        }
        Ok(())
    }
}
