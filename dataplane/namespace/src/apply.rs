//! The only place that changes the tree. Cannot fail: an entry that does not fit panics.

use crate::inode::{Inode, NewRecord};
use crate::namespace::{Cluster, Namespace, shard_of};
use crate::quotas::usage_of;
use crate::sets::Membership;
use crate::table::compact::U48;
use crate::table::ids::{Location, SLOTS_MAX};
use crate::table::record::{Record, time};
use crate::table::shard::{Removed, Shard};
use alluxio_types::{
    AttributeChanges, Entry, Fingerprint, InodeId, InodeRecord, Intent, JournalSeq,
    PersistenceState, QuotaUsage, UnixMillis,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Records of a deleted directory that are taken out under one hold of the shard's lock.
const REMOVE_STEP: usize = 1024;

/// A directory that is cut off the tree: its id, the position of its node, and the directories with a quota that
/// it counted at.
struct Detached {
    container: u64,
    node: u32,
    quotas: Arc<[u64]>,
}

fn raise(counter: &AtomicU64, to: u64) {
    counter.fetch_max(to, Ordering::AcqRel);
}

/// The one entry of a group that changes the tree, when there is just one beside an answer.
fn the_only_change(entries: &[Entry]) -> Option<&Entry> {
    let mut changes = entries.iter().filter(|entry| {
        !matches!(entry, Entry::Answered { .. } | Entry::IntentEnd { .. } | Entry::Group(_))
    });
    let only = changes.next()?;
    changes.next().is_none().then_some(only)
}

impl Namespace {
    /// Changes the tree. The only mutator, for the primary, the standby and recovery alike; only
    /// one thread calls it at a time.
    ///
    /// **Panics** when the entry does not fit the tree: the journal and the tree disagree, and a
    /// wrong primary is worse than none. Entries of a plan just made always fit.
    pub fn apply(&self, seq: JournalSeq, entry: &Entry) {
        let mut detached = Vec::new();
        if self.is_structural(entry) {
            self.change_structure(|| self.change(seq.0, entry, &mut detached));
        } else {
            self.change(seq.0, entry, &mut detached);
        }
        self.free(detached);
        self.counters.applied.store(seq.0, Ordering::Release);
    }

    /// Whether readers must not see half of it: what moves or removes directories, what changes
    /// mounts, and what removes and puts in place in one group.
    fn is_structural(&self, entry: &Entry) -> bool {
        match entry {
            Entry::Rename { .. }
            | Entry::Mount(_)
            | Entry::UpdateMount(_)
            | Entry::Unmount { .. } => true,
            Entry::Delete { id, .. } => {
                let location = self.locate(*id);
                self.shard(location.shard()).records.at(location.slot()).is_directory()
            }
            Entry::Group(entries) if let Some(only) = the_only_change(entries) => {
                self.is_structural(only)
            }
            Entry::Group(entries) => entries.iter().any(|entry| match entry {
                // Another entry of the group may have to be applied before it can be looked at.
                Entry::Delete { .. } => true,
                Entry::Format { .. }
                | Entry::Create(_)
                | Entry::Complete { .. }
                | Entry::SetAttributes { .. }
                | Entry::SetPersistence { .. }
                | Entry::ReserveContainers { .. }
                | Entry::Answered { .. }
                | Entry::Intent(_)
                | Entry::IntentEnd { .. } => false,
                Entry::Rename { .. }
                | Entry::Mount(_)
                | Entry::UpdateMount(_)
                | Entry::Unmount { .. }
                | Entry::Group(_) => true,
            }),
            Entry::Format { .. }
            | Entry::Create(_)
            | Entry::Complete { .. }
            | Entry::SetAttributes { .. }
            | Entry::SetPersistence { .. }
            | Entry::ReserveContainers { .. }
            | Entry::Answered { .. }
            | Entry::Intent(_)
            | Entry::IntentEnd { .. } => false,
        }
    }

    /// Directories that are cut off the tree, and whose content is still to be freed, are added to
    /// `detached`.
    fn change(&self, seq: u64, entry: &Entry, detached: &mut Vec<Detached>) {
        assert!(seq <= U48::MAX, "the journal is longer than 2^48 entries");
        match entry {
            Entry::Format { cluster_id, at } => self.apply_format(cluster_id, *at),
            Entry::Create(record) => self.apply_create(seq, record),
            Entry::Complete { id, length, modified, persistence, fingerprint } => {
                self.apply_complete(seq, *id, *length, *modified, (*persistence, fingerprint));
            }
            Entry::Delete { id, modified } => self.apply_delete(seq, *id, *modified, detached),
            Entry::Rename { id, parent, name, modified } => {
                self.apply_rename(seq, *id, *parent, name, *modified);
            }
            Entry::SetAttributes { id, changes } => self.apply_attributes(seq, *id, changes),
            Entry::SetPersistence { id, state, fingerprint } => {
                self.modify(*id, seq, |shard, slot| {
                    shard.records.at_mut(slot).set_persistence(*state);
                    self.set_fingerprint(shard, slot, fingerprint);
                });
            }
            Entry::Mount(info) | Entry::UpdateMount(info) => {
                raise(&self.counters.next_container, info.id.0 + 1);
                self.set_mount_table((*self.mount_table()).clone().with(info.clone(), seq));
            }
            Entry::Unmount { id } => {
                self.set_mount_table((*self.mount_table()).clone().without(*id));
            }
            Entry::ReserveContainers { next } => raise(&self.counters.next_container, *next),
            Entry::Answered { operation, answer } => {
                self.answers.push(*operation, *answer, seq);
            }
            Entry::Intent(intent) => self.apply_intent(intent),
            Entry::IntentEnd { id } => {
                self.intents.lock().expect("guards plain data, nothing panics under it").remove(id);
            }
            Entry::Group(entries) => {
                for entry in entries {
                    self.change(seq, entry, detached);
                }
            }
        }
    }

    pub(crate) fn apply_intent(&self, intent: &Intent) {
        let mut open = self.intents.lock().expect("guards plain data, nothing panics under it");
        open.insert(intent.id, intent.clone());
    }

    pub(crate) fn apply_format(&self, id: &str, at: UnixMillis) {
        let mut cluster = self.cluster.lock().expect("guards one assignment");
        assert!(cluster.is_none(), "a journal is formatted once");
        *cluster = Some(Cluster { id: id.to_owned(), at });
    }

    /// Where an inode's record is.
    ///
    /// **Panics** when there is none.
    fn locate(&self, id: InodeId) -> Location {
        self.ids
            .get(id.container())
            .unwrap_or_else(|| panic!("the journal names inode {id}, which does not exist"))
    }

    /// Position of a directory's node in the shard of its own id.
    fn node_of(&self, id: InodeId) -> u32 {
        let location = self.locate(id);
        let shard = self.shard(location.shard());
        shard
            .records
            .at(location.slot())
            .node()
            .unwrap_or_else(|| panic!("the journal puts a name into {id}, which is a file"))
    }

    fn apply_create(&self, seq: u64, from: &InodeRecord) {
        let container = from.id.container();
        assert!(self.ids.get(container).is_none(), "inode {} is created twice", from.id);
        let mut new = NewRecord::of(self, from, seq);
        if new.record.is_directory() {
            let node = self.shard_mut(shard_of(container)).insert_node(from.id, seq);
            new.record.set_node(node);
        }
        let at = shard_of(from.parent.container());
        let location = if from.id == InodeId::ROOT {
            self.insert_root(&new)
        } else {
            let node = self.node_of(from.parent);
            let mut shard = self.shard_mut(at);
            let slot = new.insert_into(&mut shard);
            assert!(slot < SLOTS_MAX, "a shard is full");
            shard.link(node, slot, seq);
            Location::new(at, slot)
        };
        self.ids.set(container, location);
        raise(&self.counters.next_container, container + 1);
        self.count(&new.record, 1);
        self.sets.update(None, Some(Membership::of(&new.record, &new.rare)));
        if from.id != InodeId::ROOT {
            let above = self.quotas_above(from.parent.container());
            self.quotas.count(&above, usage_of(&new.record), 1);
            self.raise_modified(from.parent, from.modified);
        }
        if !new.rare.quota.is_none() {
            self.set_quota(container, new.rare.quota);
        }
    }

    /// The root's record lies in the shard of the root's own names, and in no index of names.
    pub(crate) fn insert_root(&self, new: &NewRecord<'_>) -> Location {
        let at = shard_of(InodeId::ROOT.container());
        let mut shard = self.shard_mut(at);
        let slot = new.insert_into(&mut shard);
        let node = new.record.node().expect("the root is a directory");
        shard.records.at_mut(slot).parent = node;
        self.counters.root.store(u64::from(slot) + 1, Ordering::Release);
        Location::new(at, slot)
    }

    fn apply_complete(
        &self,
        seq: u64,
        id: InodeId,
        length: u64,
        modified: UnixMillis,
        (persistence, fingerprint): (PersistenceState, &Fingerprint),
    ) {
        self.modify(id, seq, |shard, slot| {
            let record = shard.records.at_mut(slot);
            assert!(!record.completed(), "file {id} is completed twice");
            self.count(record, -1);
            record.set_length(length);
            record.set_completed(true);
            record.modified = time(modified);
            record.set_persistence(persistence);
            self.count(record, 1);
            self.set_fingerprint(shard, slot, fingerprint);
        });
        // The inode itself counts since it was made.
        let above = self.quotas_above(self.parent_of(id.container()));
        self.quotas.count(&above, QuotaUsage { bytes: length, inodes: 0 }, 1);
    }

    fn apply_attributes(&self, seq: u64, id: InodeId, changes: &AttributeChanges) {
        self.modify(id, seq, |shard, slot| {
            if let Some(modified) = changes.modified {
                // The fingerprint is packed relative to the modification time.
                let location = Location::new(0, slot);
                let fingerprint = Inode::of(shard, location).fingerprint(self);
                shard.records.at_mut(slot).modified = time(modified);
                self.set_fingerprint(shard, slot, &fingerprint);
            }
            self.set_perm(shard.records.at_mut(slot), changes);
            let record = shard.records.at_mut(slot);
            changes.pinned.into_iter().for_each(|pinned| record.set_pinned(pinned));
            changes.accessed.into_iter().for_each(|at| record.accessed = time(at));
            changes.children_loaded.into_iter().for_each(|on| record.set_children_loaded(on));
            let mut rare = shard.rare(slot);
            rare.ttl_ms = changes.ttl_ms.unwrap_or(rare.ttl_ms);
            rare.ttl_action = changes.ttl_action.unwrap_or(rare.ttl_action);
            rare.replication_min = changes.replication_min.unwrap_or(rare.replication_min);
            rare.replication_max = changes.replication_max.unwrap_or(rare.replication_max);
            for (name, value) in &changes.xattr {
                rare.xattr.set(name, value.as_deref());
            }
            rare.quota = changes.quota.unwrap_or(rare.quota);
            shard.set_rare(slot, rare);
        });
        if let Some(quota) = changes.quota {
            self.set_quota(id.container(), quota);
        }
    }

    fn set_perm(&self, record: &mut Record, changes: &AttributeChanges) {
        if changes.owner.is_none() && changes.group.is_none() && changes.mode.is_none() {
            return;
        }
        let perm = self.perms.get(record.perm);
        record.perm = self.intern_perm(
            changes.owner.as_deref().unwrap_or(&perm.owner),
            changes.group.as_deref().unwrap_or(&perm.group),
            changes.mode.unwrap_or(perm.mode),
        );
    }

    fn set_fingerprint(&self, shard: &mut Shard, slot: u32, fingerprint: &Fingerprint) {
        let record = shard.records.at(slot);
        let (length, modified) = (record.length(), record.modified.get());
        let (shape, print) = self.shapes.pack(&fingerprint.0, length, modified);
        shard.set_print(slot, shape, &print);
    }

    /// Changes one inode in place, and everything that is derived from it.
    fn modify(&self, id: InodeId, seq: u64, change: impl FnOnce(&mut Shard, u32)) {
        let location = self.locate(id);
        let slot = location.slot();
        let mut shard = self.shard_mut(location.shard());
        self.preserve(&shard, location);
        let before = Membership::of(shard.records.at(slot), &shard.rare(slot));
        change(&mut shard, slot);
        shard.touch(slot, seq);
        let after = Membership::of(shard.records.at(slot), &shard.rare(slot));
        drop(shard);
        self.sets.update(Some(before), Some(after));
    }

    /// A directory's names changed at that time. Its record's position stays: only its names', which
    /// the index of names keeps, has moved, so walks through it wait for nothing.
    fn raise_modified(&self, id: InodeId, modified: UnixMillis) {
        let location = self.locate(id);
        let mut shard = self.shard_mut(location.shard());
        let record = shard.records.at(location.slot());
        if record.modified.get() < time(modified).get() {
            self.preserve(&shard, location);
            let (slot, modified) = (location.slot(), time(modified));
            if shard.records.at(slot).shape == crate::table::fingerprint::NONE {
                shard.records.at_mut(slot).modified = modified;
            } else {
                let fingerprint = Inode::of(&shard, location).fingerprint(self);
                shard.records.at_mut(slot).modified = modified;
                self.set_fingerprint(&mut shard, slot, &fingerprint);
            }
        }
    }

    fn apply_delete(
        &self,
        seq: u64,
        id: InodeId,
        modified: UnixMillis,
        detached: &mut Vec<Detached>,
    ) {
        assert!(id != InodeId::ROOT, "the root is never deleted");
        // A reader that misses the id, or anything below it, from now on waits for this entry.
        raise(&self.counters.removed, seq);
        let location = self.locate(id);
        let (removed, parent) = {
            let mut shard = self.shard_mut(location.shard());
            self.preserve(&shard, location);
            let parent = shard.nodes.at(shard.records.at(location.slot()).parent).container;
            shard.unlink(location.slot(), seq);
            (shard.remove(location.slot()), parent)
        };
        let above = self.quotas_above(parent).into();
        self.forget(&removed, &above, detached);
        self.raise_modified(InodeId::from_container(parent), modified);
    }

    /// Frees what is below directories that are cut off. No path leads there any more, and an id
    /// that still leads there finds no way up, so readers need not wait for the end.
    fn free(&self, mut detached: Vec<Detached>) {
        while let Some(Detached { container, node, quotas }) = detached.pop() {
            let at = shard_of(container);
            let slots = self.shard_mut(at).remove_node(node);
            for some in slots.chunks(REMOVE_STEP) {
                let mut shard = self.shard_mut(at);
                for &slot in some {
                    self.preserve_in(&shard, Location::new(at, slot), container);
                    shard.unlink_hash(slot);
                    self.forget(&shard.remove(slot), &quotas, &mut detached);
                }
            }
        }
    }

    /// Takes a removed record, which counted at the directories `quotas`, out of everything that is derived
    /// from it.
    fn forget(&self, removed: &Removed, quotas: &Arc<[u64]>, detached: &mut Vec<Detached>) {
        let record = &removed.record;
        self.ids.remove(record.container.get());
        self.count(record, -1);
        self.quotas.count(quotas, usage_of(record), -1);
        self.sets.update(Some(Membership::of(record, &removed.rare)), None);
        if let Some(node) = record.node() {
            self.quotas.remove(record.container.get());
            let (container, quotas) = (record.container.get(), Arc::clone(quotas));
            detached.push(Detached { container, node, quotas });
        }
    }

    fn apply_rename(
        &self,
        seq: u64,
        id: InodeId,
        parent: InodeId,
        name: &str,
        modified: UnixMillis,
    ) {
        let target_node = self.node_of(parent);
        let location = self.locate(id);
        let slot = location.slot();
        self.move_usage(id.container(), self.parent_of(id.container()), parent.container());
        let source = {
            let mut shard = self.shard_mut(location.shard());
            self.preserve(&shard, location);
            let source = shard.nodes.at(shard.records.at(slot).parent).container;
            shard.unlink(slot, seq);
            if source == parent.container() {
                shard.rename(slot, name);
                shard.touch(slot, seq);
                shard.link(target_node, slot, seq);
                drop(shard);
                self.raise_modified(parent, modified);
                return;
            }
            let Removed { mut record, print, rare, .. } = shard.remove(slot);
            drop(shard);
            record.seq = U48::saturating(seq);
            let (shape, at) = (record.shape, shard_of(parent.container()));
            let mut shard = self.shard_mut(at);
            record.set_has_rare(false);
            record.set_lens(0, 0);
            let slot = shard.insert(record, name, shape, &print, rare);
            assert!(slot < SLOTS_MAX, "a shard is full");
            shard.link(target_node, slot, seq);
            self.ids.set(id.container(), Location::new(at, slot));
            source
        };
        self.raise_modified(InodeId::from_container(source), modified);
        self.raise_modified(parent, modified);
    }

    /// Counts an inode in (1) or out (-1).
    pub(crate) fn count(&self, record: &Record, sign: i64) {
        let add = |counter: &AtomicU64, by: u64| {
            if sign > 0 {
                counter.fetch_add(by, Ordering::Relaxed);
            } else {
                counter.fetch_sub(by, Ordering::Relaxed);
            }
        };
        if record.is_directory() {
            add(&self.counters.directories, 1);
        } else {
            add(&self.counters.files, 1);
            if record.completed() {
                add(&self.counters.file_bytes, record.length());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, CreateFile, Error, Format, Policy, Request};
    use alluxio_types::{AlluxioPath, Identity, MountOptions};

    #[test]
    fn what_is_cut_off_is_gone_before_it_is_freed() {
        let namespace = Namespace::new();
        let (who, policy) = (Identity::new("root", []), Policy::default());
        let context = Context { now: UnixMillis(1), who: &who, policy: &policy };
        let format = Format {
            cluster_id: "c".into(),
            ufs_uri: "/ufs".into(),
            read_only: false,
            shared: false,
            options: MountOptions::default(),
            root_mode: None,
        };
        let path = AlluxioPath::parse("/a/b/f").unwrap();
        let create = CreateFile { recursive: true, ..CreateFile::new(path.clone()) };
        for request in [Request::from(format), create.into()] {
            let plan = namespace.plan(&request, &context).unwrap();
            namespace.apply(namespace.applied().next(), &Entry::Group(plan.entries));
        }
        let file = namespace.resolve(&path, &context).unwrap().value;
        let top = AlluxioPath::parse("/a").unwrap();
        let top = namespace.resolve(&top, &context).unwrap().value;

        let (mut detached, delete) =
            (Vec::new(), Entry::Delete { id: top, modified: UnixMillis(2) });
        namespace.change_structure(|| namespace.change(3, &delete, &mut detached));
        assert_eq!(detached.len(), 1);
        for _ in 0..2 {
            let by_path = namespace.status(&path, &context).unwrap_err();
            assert_eq!(
                (by_path.error, by_path.seen),
                (Error::PathNotFound { path: path.clone() }, JournalSeq(3))
            );
            let by_id = namespace.status_by_id(file).unwrap_err();
            assert_eq!(
                (by_id.error, by_id.seen),
                (Error::InodeNotFound { id: file }, JournalSeq(3))
            );
            namespace.free(std::mem::take(&mut detached));
        }
        namespace.check_invariants().unwrap();
        assert_eq!(namespace.stats().inodes, 1);
    }
}
