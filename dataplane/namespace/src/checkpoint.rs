//! Checkpoints: the whole tree at one journal position, taken in small steps while the writer goes
//! on; and building a tree from one.
//!
//! While a checkpoint is taken, every shard has a position up to which its records are copied. The
//! writer, before it changes or removes a record above that position that is as old as the
//! checkpoint, keeps it as it was ([`Snapshot`]). A record never moves without being changed, so
//! each inode is copied exactly once: from its place, or from what was kept.

use crate::inode::{NewRecord, record_at, write_record};
use crate::namespace::{Foundation, Namespace, SHARDS, shard_of};
use crate::sets::Membership;
use crate::state_hash::hash_of;
use crate::table::ids::Location;
use crate::table::shard::Shard;
use crate::{Error, Refusal};
use alluxio_types::{CheckpointRecord, InodeId, InodeRecord, JournalSeq, MountInfo};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};

/// Places of a shard that are copied under one hold of its lock: less than 100 µs.
const STEP_SLOTS: u32 = 256;

/// What the writer keeps for the checkpoint that is being taken.
pub(crate) struct Snapshot {
    seq: u64,
    kept: BTreeMap<u64, InodeRecord>,
}

/// A checkpoint that is being taken: the tree as it was after [`Checkpoint::seq`].
///
/// The steps may run in another thread than the writer's. Each holds one shard for the time of
/// copying a few hundred records. Records that the writer changes or deletes before they were
/// copied are kept aside as they were, so the memory taken is bounded by what changes meanwhile.
/// Dropping it ends it.
#[derive(Debug)]
pub struct Checkpoint {
    namespace: Arc<Namespace>,
    seq: u64,
    head: Vec<CheckpointRecord>,
    shard: usize,
    /// What the last step gave; the next one overwrites it.
    records: Records,
}

/// A list that is filled again and again, and whose inodes keep the room of their texts.
#[derive(Debug, Default)]
struct Records {
    all: Vec<CheckpointRecord>,
    len: usize,
}

impl Records {
    /// Room for one more.
    fn next(&mut self) -> &mut CheckpointRecord {
        if self.len == self.all.len() {
            self.all.push(CheckpointRecord::NextContainer(0));
        }
        self.len += 1;
        &mut self.all[self.len - 1]
    }

    /// Room for one more inode.
    fn next_inode(&mut self) -> &mut InodeRecord {
        let record = self.next();
        if !matches!(record, CheckpointRecord::Inode(_)) {
            *record = CheckpointRecord::Inode(Box::new(InodeRecord::blank()));
        }
        match record {
            CheckpointRecord::Inode(inode) => inode,
            _ => unreachable!("it was made one"),
        }
    }
}

impl Checkpoint {
    /// The position that the checkpoint stands for.
    pub fn seq(&self) -> JournalSeq {
        JournalSeq(self.seq)
    }

    /// The next records, about `hint` of them; empty at the end. First what is no inode, then the
    /// inodes, in no order that a reader may rely on (a child may come before its parent).
    pub fn step(&mut self, hint: usize) -> &[CheckpointRecord] {
        let mut out = std::mem::take(&mut self.records);
        out.len = 0;
        self.fill(hint.max(1), &mut out);
        self.records = out;
        &self.records.all[..self.records.len]
    }

    fn fill(&mut self, hint: usize, out: &mut Records) {
        if !self.head.is_empty() {
            self.head.drain(..).for_each(|record| *out.next() = record);
            return;
        }
        while self.shard < SHARDS && out.len < hint {
            if self.copy(out) {
                self.shard += 1;
            }
        }
        if self.shard == SHARDS {
            // All is copied or kept, so nothing is kept any more.
            let mut snapshot = self.namespace.snapshot();
            if let Some(Snapshot { kept, .. }) = snapshot.as_mut() {
                while out.len < hint
                    && let Some((_, record)) = kept.pop_first()
                {
                    *out.next() = CheckpointRecord::Inode(Box::new(record));
                }
            }
        }
    }

    /// Copies some places of the current shard; whether that was its end.
    fn copy(&self, out: &mut Records) -> bool {
        let shard = self.namespace.shard(self.shard);
        let from = shard.copied.load(Ordering::Relaxed);
        let to = from.saturating_add(STEP_SLOTS).min(shard.records.high());
        {
            let snapshot = self.namespace.snapshot();
            let kept = snapshot.as_ref().map(|snapshot| &snapshot.kept);
            for slot in from..to {
                let Some(record) = shard.records.get(slot) else { continue };
                let container = record.container.get();
                let is_kept = kept.is_some_and(|kept| kept.contains_key(&container));
                if record.seq.get() <= self.seq && !is_kept {
                    let parent = shard.nodes.at(record.parent).container;
                    write_record(&self.namespace, &shard, slot, parent, out.next_inode());
                }
            }
        }
        let end = to == shard.records.high();
        // New records may still come at the end of the shard; they are younger.
        shard.copied.store(if end { u32::MAX } else { to }, Ordering::Relaxed);
        end
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        *self.namespace.snapshot() = None;
    }
}

impl Namespace {
    /// Begins a checkpoint of the tree as it is. The writer calls this between two plans; the steps
    /// may then run anywhere.
    ///
    /// **Errors**: `CheckpointRunning`.
    pub fn begin_checkpoint(self: &Arc<Self>) -> Result<Checkpoint, Refusal> {
        let seq = self.applied();
        let mut snapshot = self.snapshot();
        if snapshot.is_some() {
            return Err(Refusal::new(Error::CheckpointRunning, seq));
        }
        for at in 0..SHARDS {
            self.shard(at).copied.store(0, Ordering::Relaxed);
        }
        *snapshot = Some(Snapshot { seq: seq.0, kept: BTreeMap::new() });
        drop(snapshot);
        let mut head = self.checkpoint_head();
        // At most 100,000 of 50 bytes, copied in about a millisecond.
        head.extend(self.checkpoint_answers());
        let records = Records::default();
        Ok(Checkpoint { namespace: Arc::clone(self), seq: seq.0, head, shard: 0, records })
    }

    /// All that is neither an answer nor an inode.
    fn checkpoint_head(&self) -> Vec<CheckpointRecord> {
        let cluster = self.cluster_facts().map(|cluster| CheckpointRecord::Cluster {
            cluster_id: cluster.id,
            formatted: cluster.at,
        });
        let next = self.counters.next_container.load(Ordering::Relaxed);
        let mounts = self.mount_table();
        let mounts = mounts.rows().map(|row| CheckpointRecord::Mount(MountInfo::clone(&row.info)));
        let next = [CheckpointRecord::NextContainer(next)];
        let intents = self.intents().into_iter().map(Box::new).map(CheckpointRecord::Intent);
        cluster.into_iter().chain(next).chain(mounts).chain(intents).collect()
    }

    fn checkpoint_answers(&self) -> impl Iterator<Item = CheckpointRecord> {
        let all = self.answers.all().into_iter();
        all.map(|(operation, answer)| CheckpointRecord::Answered { operation, answer })
    }

    fn snapshot(&self) -> MutexGuard<'_, Option<Snapshot>> {
        self.snapshot.lock().expect("guards plain data, nothing panics under it")
    }

    /// Keeps a record as it is, if a checkpoint still needs it. The writer calls this with the
    /// shard in hand, before it changes the record.
    pub(crate) fn preserve(&self, shard: &Shard, location: Location) {
        let record = shard.records.at(location.slot());
        let parent = shard.nodes.at(record.parent).container;
        self.preserve_in(shard, location, parent);
    }

    /// As [`Namespace::preserve`], for a record whose directory's node is gone already.
    pub(crate) fn preserve_in(&self, shard: &Shard, location: Location, parent: u64) {
        if location.slot() < shard.copied.load(Ordering::Relaxed) {
            return;
        }
        let record = shard.records.at(location.slot());
        let mut snapshot = self.snapshot();
        let Some(Snapshot { seq, kept }) = snapshot.as_mut() else { return };
        if record.seq.get() <= *seq {
            kept.entry(record.container.get())
                .or_insert_with(|| record_at(self, shard, location.slot(), parent));
        }
    }

    /// A hash of all that is journaled, whatever the order of entries that led here. Equal trees
    /// have equal hashes. Takes time with the number of inodes; the writer must rest.
    pub fn state_hash(&self) -> u64 {
        let mut sum = self.answers.hash();
        let mut inode = Records::default();
        for record in self.checkpoint_head() {
            sum = sum.wrapping_add(hash_of(&record));
        }
        for at in 0..SHARDS {
            let shard = self.shard(at);
            for (slot, record) in shard.records.iter() {
                let parent = shard.nodes.at(record.parent).container;
                inode.len = 0;
                write_record(self, &shard, slot, parent, inode.next_inode());
                sum = sum.wrapping_add(hash_of(&inode.all[0]));
            }
        }
        sum
    }
}

/// Builds a tree from a checkpoint.
#[derive(Debug, Default)]
pub struct Restorer {
    namespace: Namespace,
    /// Directories whose node exists: its position, and whether their record was seen.
    nodes: HashMap<u64, (u32, bool), FixedState>,
}

impl Restorer {
    /// Nothing yet; the tree will lie in the heap.
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing yet.
    pub fn on(foundation: &Foundation) -> Self {
        Restorer { namespace: Namespace::on(foundation), nodes: HashMap::default() }
    }

    /// Takes one record of a checkpoint, in any order.
    ///
    /// **Panics** on a second cluster, name or inode of the same kind: the file's checksum should
    /// have told.
    pub fn push(&mut self, record: &CheckpointRecord) {
        match record {
            CheckpointRecord::Cluster { cluster_id, formatted } => {
                self.namespace.apply_format(cluster_id, *formatted);
            }
            CheckpointRecord::NextContainer(next) => {
                self.namespace.counters.next_container.fetch_max(*next, Ordering::Relaxed);
            }
            CheckpointRecord::Mount(info) => {
                let table = (*self.namespace.mount_table()).clone();
                self.namespace.set_mount_table(table.with(info.clone(), 0));
            }
            CheckpointRecord::Answered { operation, answer } => {
                self.namespace.answers.push(*operation, *answer, 0);
            }
            CheckpointRecord::Intent(intent) => self.namespace.apply_intent(intent),
            CheckpointRecord::Inode(record) => self.push_inode(record),
        }
    }

    fn node(&mut self, id: InodeId, is_record: bool) -> u32 {
        let namespace = &self.namespace;
        let (node, seen) = self.nodes.entry(id.container()).or_insert_with(|| {
            (namespace.shard_mut(shard_of(id.container())).insert_node(id, 0), false)
        });
        assert!(!(is_record && *seen), "directory {id} is twice in the checkpoint");
        *seen |= is_record;
        *node
    }

    fn push_inode(&mut self, from: &InodeRecord) {
        let mut new = NewRecord::of(&self.namespace, from, 0);
        if new.record.is_directory() {
            new.record.set_node(self.node(from.id, true));
        }
        let location = if from.id == InodeId::ROOT {
            self.namespace.insert_root(&new)
        } else {
            let node = self.node(from.parent, false);
            let at = shard_of(from.parent.container());
            let mut shard = self.namespace.shard_mut(at);
            let slot = new.insert_into(&mut shard);
            shard.link_unsorted(node, slot);
            Location::new(at, slot)
        };
        let namespace = &self.namespace;
        namespace.ids.set(from.id.container(), location);
        namespace.count(&new.record, 1);
        namespace.sets.update(None, Some(Membership::of(&new.record, &new.rare)));
        namespace.note_quota(from.id.container(), new.rare.quota);
    }

    /// The tree as it was at `seq`. Apply the journal from `seq + 1` on.
    ///
    /// **Panics** when the entries are not a whole checkpoint (a parent is missing): the file's
    /// checksum should have told.
    pub fn finish(self, seq: JournalSeq) -> Namespace {
        for (container, (_, seen)) in &self.nodes {
            assert!(seen, "the checkpoint has no record of directory container {container}");
        }
        let namespace = self.namespace;
        for at in 0..SHARDS {
            namespace.shard_mut(at).sort();
        }
        namespace.ids.tidy();
        namespace.count_quotas();
        namespace.counters.applied.store(seq.0, Ordering::Release);
        namespace.counters.removed.store(seq.0, Ordering::Release);
        namespace
    }
}
