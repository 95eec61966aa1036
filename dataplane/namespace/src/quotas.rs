//! How much is at and below each directory that has a quota. Derived from the records, and kept with every
//! change, so that asking whether something still fits costs a climb to the root and nothing else. Without any
//! quota it costs one look at a counter.
//!
//! An inode counts in every directory with a quota on its way up, and a directory in its own. Sub-trees are
//! walked where nothing cheaper is exact: when a quota is new, when a directory moves from below one quota to
//! below another, and after a restore.

use crate::Seen;
use crate::inode::Brief;
use crate::namespace::{Namespace, SHARDS, Stop, shard_of};
use crate::permission::Checker;
use crate::resolve::prefix;
use crate::table::ids::{read, write};
use crate::table::record::Record;
use crate::{Context, Refusal};
use alluxio_types::{AlluxioPath, InodeId, Quota, QuotaStatus, QuotaUsage};
use std::collections::BTreeMap;
use std::sync::RwLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One directory with a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) quota: Quota,
    pub(crate) usage: QuotaUsage,
}

/// Directories with a quota, by container. The lock is taken last, and nothing is taken under it.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    rows: RwLock<BTreeMap<u64, Row>>,
    /// Number of rows.
    len: AtomicUsize,
}

impl Quotas {
    pub(crate) fn is_empty(&self) -> bool {
        self.len.load(Ordering::Acquire) == 0
    }

    pub(crate) fn get(&self, container: u64) -> Option<Row> {
        read(&self.rows).get(&container).copied()
    }

    pub(crate) fn all(&self) -> BTreeMap<u64, Row> {
        read(&self.rows).clone()
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<u64, Row>)) {
        let mut rows = write(&self.rows);
        change(&mut rows);
        self.len.store(rows.len(), Ordering::Release);
    }

    fn set(&self, container: u64, row: Row) {
        self.change(|rows| {
            rows.insert(container, row);
        });
    }

    pub(crate) fn remove(&self, container: u64) {
        if !self.is_empty() {
            self.change(|rows| {
                rows.remove(&container);
            });
        }
    }

    /// Counts something in (1) or out (-1) at the directories `at`. Sums wrap as those of all files do: no
    /// tree is that large, and what is counted in is counted out.
    pub(crate) fn count(&self, at: &[u64], usage: QuotaUsage, sign: i8) {
        if at.is_empty() || usage == QuotaUsage::default() {
            return;
        }
        self.change(|rows| {
            for container in at {
                let Some(row) = rows.get_mut(container) else { continue };
                let add = |to: &mut u64, by: u64| {
                    *to = if sign > 0 { to.wrapping_add(by) } else { to.wrapping_sub(by) };
                };
                add(&mut row.usage.bytes, usage.bytes);
                add(&mut row.usage.inodes, usage.inodes);
            }
        });
    }
}

/// What one inode counts.
pub(crate) fn usage_of(record: &Record) -> QuotaUsage {
    let bytes = if record.completed() { record.length() } else { 0 };
    QuotaUsage { bytes, inodes: 1 }
}

fn add(to: &mut QuotaUsage, more: QuotaUsage) {
    to.bytes = to.bytes.wrapping_add(more.bytes);
    to.inodes = to.inodes.wrapping_add(more.inodes);
}

/// Everything here but the last function is for the writer, who alone may rely on what one lock after the
/// other shows.
impl Namespace {
    /// The directories with a quota that an inode in `directory` counts at, from there up.
    pub(crate) fn quotas_above(&self, directory: u64) -> Vec<u64> {
        if self.quotas.is_empty() {
            return Vec::new();
        }
        let (mut found, mut at) = (Vec::new(), directory);
        loop {
            if self.quotas.get(at).is_some() {
                found.push(at);
            }
            if at == InodeId::ROOT.container() {
                return found;
            }
            at = self.parent_of(at);
        }
    }

    /// The directory that holds an inode.
    ///
    /// **Panics** when there is no such inode.
    pub(crate) fn parent_of(&self, container: u64) -> u64 {
        let location = self.ids.get(container).unwrap_or_else(|| {
            panic!("container {container} is on the way to the root, and does not exist")
        });
        let shard = self.shard(location.shard());
        shard.nodes.at(shard.records.at(location.slot()).parent).container
    }

    /// What an inode and all below it count.
    pub(crate) fn usage_of_tree(&self, container: u64) -> QuotaUsage {
        match self.quotas.get(container) {
            Some(row) => row.usage,
            None => self.walk_usage(container),
        }
    }

    fn walk_usage(&self, container: u64) -> QuotaUsage {
        let Some(location) = self.ids.get(container) else { return QuotaUsage::default() };
        let top = *self.shard(location.shard()).records.at(location.slot());
        let mut sum = usage_of(&top);
        let mut open: Vec<_> = top.node().map(|node| (container, node)).into_iter().collect();
        while let Some((container, node)) = open.pop() {
            let shard = self.shard(shard_of(container));
            let names = shard.nodes.at(node);
            for slot in shard.children_after(names, None, usize::MAX) {
                let record = shard.records.at(slot);
                add(&mut sum, usage_of(record));
                open.extend(record.node().map(|node| (record.container.get(), node)));
            }
        }
        sum
    }

    /// Gives a directory another quota. Its record has it already.
    pub(crate) fn set_quota(&self, container: u64, quota: Quota) {
        if quota.is_none() {
            return self.quotas.remove(container);
        }
        let usage = self.usage_of_tree(container);
        self.quotas.set(container, Row { quota, usage });
    }

    /// A directory with a quota came with its record; [`Namespace::count_quotas`] must follow.
    pub(crate) fn note_quota(&self, container: u64, quota: Quota) {
        if !quota.is_none() {
            self.quotas.set(container, Row { quota, usage: QuotaUsage::default() });
        }
    }

    /// Counts all of them anew.
    pub(crate) fn count_quotas(&self) {
        for (container, Row { quota, .. }) in self.quotas.all() {
            self.quotas.set(container, Row { quota, usage: self.walk_usage(container) });
        }
    }

    /// An inode moves from one directory to another: what is at and below it with it.
    pub(crate) fn move_usage(&self, container: u64, from: u64, to: u64) {
        let (from, to) = (self.quotas_above(from), self.quotas_above(to));
        if from == to {
            return;
        }
        let usage = self.usage_of_tree(container);
        self.quotas.count(&from, usage, -1);
        self.quotas.count(&to, usage, 1);
    }

    /// Compares what is kept with what is there.
    ///
    /// **Errors**: the first contradiction, in words.
    pub(crate) fn check_quotas(&self) -> Result<(), String> {
        let rows = self.quotas.all();
        let mut quotas = 0;
        for at in 0..SHARDS {
            let shard = self.shard(at);
            for (slot, record) in shard.records.iter() {
                let (quota, container) = (shard.rare(slot).quota, record.container.get());
                let kept = rows.get(&container).map(|row| row.quota).unwrap_or_default();
                if kept != quota {
                    return Err(format!("{}: quota {quota:?} is kept as {kept:?}", record.id()));
                }
                if !quota.is_none() && !record.is_directory() {
                    return Err(format!("{}: a file has a quota", record.id()));
                }
                quotas += usize::from(!quota.is_none());
            }
        }
        if quotas != rows.len() || rows.is_empty() != self.quotas.is_empty() {
            return Err(format!("{quotas} directories with a quota, {} are kept", rows.len()));
        }
        for (container, row) in rows {
            let usage = self.walk_usage(container);
            if usage != row.usage {
                return Err(format!("container {container} uses {usage:?}, kept {:?}", row.usage));
            }
        }
        Ok(())
    }

    /// The directories with a quota that `path` counts at, the nearest first: a directory's own, then those
    /// above it. Needs `x` on all directories above it.
    pub fn quotas_of(
        &self,
        path: &AlluxioPath,
        context: &Context<'_>,
    ) -> Result<Seen<Vec<QuotaStatus>>, Refusal> {
        let checker = Checker::new(self, context);
        self.consistent(|| {
            // Before the rows: what they have seen is at most this.
            let seen = self.applied().0;
            let walked = self.walk_to(path, &checker)?;
            if self.quotas.is_empty() {
                return Ok(Seen::new(Vec::new(), seen.max(walked.seen)));
            }
            let mut found = Vec::new();
            let Brief { mut container, .. } = walked.at;
            for depth in (0..=walked.depth).rev() {
                if let Some(Row { quota, usage }) = self.quotas.get(container) {
                    found.push(QuotaStatus { path: prefix(path, depth), quota, usage });
                }
                if depth > 0 {
                    let parent =
                        |shard: &crate::table::shard::Shard, at: crate::table::ids::Location| {
                            let parent = shard.records.at(at.slot()).parent;
                            shard.nodes.get(parent).map(|node| node.container)
                        };
                    let id = InodeId::from_container(container);
                    container = self.by_id(id, parent)?.ok_or(Stop::Gone)?;
                }
            }
            Ok(Seen::new(found, seen.max(walked.seen)))
        })
    }
}
