//! Deciding: a request becomes entries, or a refusal. Reads the tree and changes nothing.
//!
//! Only the writer plans, and nothing changes while it does, so what a plan has read still holds
//! when its entries are applied.

mod attributes;
mod complete;
mod create;
mod delete;
mod format;
mod intent;
mod link;
mod load;
mod mount;
mod quota;
mod rename;
mod xattr;

use crate::inode::{Brief, Inode};
use crate::mount_table::{MountTable, Row};
use crate::namespace::{Namespace, Stop, shard_of};
use crate::permission::Checker;
use crate::resolve::{Walked, refuse};
use crate::table::ids::SLOTS_MAX;
use crate::table::record::FINGERPRINT_BYTES_MAX;
use crate::{Context, Error, Outcome, Plan, Refusal, Request};
use alluxio_types::{
    Access, AlluxioPath, Entry, FileKind, Fingerprint, InodeId, InodeRecord, JournalSeq, Mode,
    PersistenceState, Quota, TtlAction,
};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Containers have 40 bits.
const CONTAINERS_MAX: u64 = 1 << 40;
/// Inodes read at once while a subtree is looked at.
const SUBTREE_PAGE: usize = 1024;

pub(crate) fn plan(
    namespace: &Namespace,
    request: &Request,
    context: &Context<'_>,
) -> Result<Plan, Refusal> {
    plan_with(Planner::new(namespace, context), request)
}

fn plan_with(planner: Planner<'_>, request: &Request) -> Result<Plan, Refusal> {
    match request {
        Request::Format(request) => planner.format(request),
        Request::CreateFile(request) => planner.create_file(request),
        Request::CreateDirectory(request) => planner.create_directory(request),
        Request::CreateSymlink(request) => planner.create_symlink(request),
        Request::CompleteFile(request) => planner.complete_file(request),
        Request::Delete(request) => planner.delete(request),
        Request::Rename(request) => planner.rename(request),
        Request::Exchange(request) => planner.exchange(request),
        Request::SetAttributes(request) => planner.set_attributes(request),
        Request::SetQuota(request) => planner.set_quota(request),
        Request::Mount(request) => planner.mount(request),
        Request::UpdateMount(request) => planner.update_mount(request),
        Request::Unmount(request) => planner.unmount(request),
        Request::LoadMetadata(request) => planner.load_metadata(request),
        Request::SetPersistence(request) => planner.set_persistence(request),
        Request::RecordAccess(ids) => planner.record_access(ids),
        Request::Intend(request) => planner.intend(request),
        Request::Finish(request) => planner.finish(request),
    }
}

/// One decision in the making.
struct Planner<'a> {
    namespace: &'a Namespace,
    context: &'a Context<'a>,
    checker: Checker<'a>,
    mounts: Arc<MountTable>,
    /// Highest position seen so far.
    seen: Cell<u64>,
    /// Next container to give out.
    next_container: Cell<u64>,
    /// Whether quotas are a reason to refuse.
    bounded: bool,
}

impl<'a> Planner<'a> {
    fn new(namespace: &'a Namespace, context: &'a Context<'a>) -> Self {
        Planner {
            namespace,
            context,
            checker: Checker::new(namespace, context),
            mounts: namespace.mount_table(),
            seen: Cell::new(0),
            next_container: Cell::new(namespace.counters.next_container.load(Ordering::Relaxed)),
            bounded: true,
        }
    }

    /// Notes that the decision depends on that position.
    fn see(&self, seq: u64) {
        self.seen.set(self.seen.get().max(seq));
    }

    fn refuse<T>(&self, error: Error) -> Result<T, Refusal> {
        Err(refuse(error, self.seen.get()))
    }

    fn done(self, entries: Vec<Entry>, outcome: Outcome) -> Result<Plan, Refusal> {
        self.done_removing(entries, outcome, Vec::new())
    }

    fn done_removing(
        self,
        entries: Vec<Entry>,
        outcome: Outcome,
        removed: Vec<InodeId>,
    ) -> Result<Plan, Refusal> {
        Ok(Plan { entries, outcome, removed, deleted: 0, seen: JournalSeq(self.seen.get()) })
    }

    /// Nothing goes away under the only writer.
    fn settled<T>(&self, read: Result<T, Stop>) -> Result<T, Refusal> {
        match read {
            Ok(value) => Ok(value),
            Err(Stop::Refused(refusal)) => {
                self.see(refusal.seen.0);
                self.refuse(refusal.error)
            }
            Err(Stop::Gone) => unreachable!("only the writer removes, and the writer is planning"),
        }
    }

    fn walk(&self, path: &AlluxioPath) -> Result<Walked, Refusal> {
        let walked = self.settled(self.namespace.walk_path(path, &self.checker))?;
        self.see(walked.seen);
        Ok(walked)
    }

    /// Walks to the end of a path.
    fn walk_to(&self, path: &AlluxioPath) -> Result<Walked, Refusal> {
        let walked = self.walk(path)?;
        if walked.complete() {
            Ok(walked)
        } else {
            self.refuse(Error::PathNotFound { path: path.clone() })
        }
    }

    fn inode(&self, brief: &Brief) -> Result<Inode, Refusal> {
        self.settled(self.namespace.inode(brief))
    }

    fn inode_by_id(&self, id: InodeId) -> Result<Inode, Refusal> {
        let inode = self.settled(self.namespace.by_id(id, Inode::of))?;
        self.see(inode.brief.seq);
        Ok(inode)
    }

    /// The path of an inode, for a refusal's text.
    fn path_of(&self, id: InodeId) -> Result<AlluxioPath, Refusal> {
        self.settled(self.namespace.climb(id)).map(|(path, _)| path)
    }

    fn need(&self, inode: &Brief, access: Access, path: &AlluxioPath) -> Result<(), Refusal> {
        if self.checker.allows(self.namespace, inode, access) {
            Ok(())
        } else {
            self.refuse(self.checker.denied(access, path))
        }
    }

    /// The mount that a path belongs to.
    fn mount_of(&self, path: &AlluxioPath) -> Result<&Row, Refusal> {
        match self.mounts.of(path) {
            Some(row) => {
                self.see(row.seq);
                Ok(row)
            }
            None => self.refuse(Error::NotFormatted),
        }
    }

    fn need_writable(&self, path: &AlluxioPath) -> Result<&Row, Refusal> {
        let row = self.mount_of(path)?;
        if row.info.read_only {
            let mount = row.info.path.clone();
            return self.refuse(Error::ReadOnlyMount { path: path.clone(), mount });
        }
        Ok(row)
    }

    /// Refuses when the inode is not the one that the caller looked at.
    fn need_expected(
        &self,
        expected: Option<InodeId>,
        found: &Brief,
        path: &AlluxioPath,
    ) -> Result<(), Refusal> {
        match expected {
            Some(expected) if expected != found.id() => {
                self.refuse(Error::Moved { path: path.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Refuses when a directory's shard cannot take `more` records.
    fn need_room(&self, directory: u64, more: u64) -> Result<(), Refusal> {
        let used = u64::from(self.namespace.shard(shard_of(directory)).records.high());
        // Freed places are used again, so `high` counts too many; at 2^28 that hardly matters.
        if used + more >= u64::from(SLOTS_MAX) {
            let limit = u64::from(SLOTS_MAX);
            return self.refuse(Error::Full { what: "room in the directory's shard", limit });
        }
        Ok(())
    }

    fn need_fingerprint(&self, fingerprint: &Fingerprint) -> Result<(), Refusal> {
        if fingerprint.0.len() > FINGERPRINT_BYTES_MAX {
            return self.refuse(Error::TooLarge {
                what: "length of the fingerprint in bytes",
                value: fingerprint.0.len() as u64,
                max: FINGERPRINT_BYTES_MAX as u64,
            });
        }
        Ok(())
    }

    fn new_id(&self) -> Result<InodeId, Refusal> {
        let container = self.next_container.get();
        if container >= CONTAINERS_MAX {
            return self.refuse(Error::Full { what: "inode id", limit: CONTAINERS_MAX });
        }
        self.next_container.set(container + 1);
        Ok(InodeId::from_container(container))
    }

    /// A new inode of the caller's, with all defaults.
    fn new_record(
        &self,
        kind: FileKind,
        parent: InodeId,
        name: &str,
        mode: Option<Mode>,
    ) -> Result<InodeRecord, Refusal> {
        let (open, completed) = match kind {
            FileKind::File => (Mode(0o666), false),
            FileKind::Directory | FileKind::Symlink => (Mode(0o777), true),
        };
        let now = self.context.now;
        Ok(InodeRecord {
            id: self.new_id()?,
            parent,
            name: name.to_owned(),
            kind,
            owner: self.context.who.user.clone(),
            group: self.context.who.primary_group().to_owned(),
            mode: mode.unwrap_or_else(|| open.masked(self.context.policy.umask)),
            created: now,
            modified: now,
            accessed: now,
            length: 0,
            block_size_bytes: 0,
            completed,
            pinned: false,
            persistence: PersistenceState::NotPersisted,
            fingerprint: Fingerprint::default(),
            ttl_ms: None,
            ttl_action: TtlAction::Free,
            replication_min: 0,
            replication_max: None,
            children_loaded: false,
            xattr: Default::default(),
            target: String::new(),
            quota: Quota::default(),
        })
    }

    /// Calls `visit` with every inode below a directory, parents first.
    fn each_below(
        &self,
        directory: &Brief,
        mut visit: impl FnMut(&Inode) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let mut open = vec![*directory];
        while let Some(directory) = open.pop() {
            self.each_child(&directory, |child| {
                visit(child)?;
                if child.is_directory() {
                    open.push(child.brief);
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Calls `visit` with every child of a directory, in order of name.
    fn each_child(
        &self,
        directory: &Brief,
        mut visit: impl FnMut(&Inode) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let mut after: Option<String> = None;
        loop {
            let page = self.namespace.children_after(directory, after.as_deref(), SUBTREE_PAGE);
            let (children, changed) = self.settled(page)?;
            self.see(changed);
            for child in &children {
                self.see(child.brief.seq);
                visit(child)?;
            }
            match children.last() {
                Some(last) if children.len() == SUBTREE_PAGE => after = Some(last.name.clone()),
                _ => return Ok(()),
            }
        }
    }
}
