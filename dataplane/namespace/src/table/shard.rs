//! One shard: the records of all inodes whose *parent* hashes here, and the nodes (indexes of
//! names) of all directories whose *own id* hashes here. A directory's names and the records they
//! lead to are therefore in one shard, and a lookup or a page of a listing needs one lock.

use super::children::Children;
use super::compact::U48;
use super::index::Index;
use super::pool::{Pool, PoolRef};
use super::record::{Rare, Record};
use super::slab::{Slab, Vacant};
use alluxio_host::TableMemory;
use alluxio_types::InodeId;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::AtomicU32;

/// What a directory knows of its names.
pub(crate) struct Node {
    /// The directory; [`VACANT`] for nobody.
    pub(crate) container: u64,
    pub(crate) children: Children,
    /// Journal position of the last change of a name in here: what a miss depends on.
    pub(crate) changed: u64,
    /// Journal position of the last time a name left.
    pub(crate) removed: u64,
}

const VACANT: u64 = u64::MAX;

impl Vacant for Node {
    fn vacant() -> Self {
        Node {
            container: VACANT,
            children: Children::new(TableMemory::heap()),
            changed: 0,
            removed: 0,
        }
    }

    fn is_vacant(&self) -> bool {
        self.container == VACANT
    }
}

/// One shard. See the module's page.
pub(crate) struct Shard {
    memory: TableMemory,
    hasher: FixedState,
    pub(crate) records: Slab<Record>,
    pool: Pool,
    names: Index,
    pub(crate) nodes: Slab<Node>,
    rare: HashMap<u32, Rare, FixedState>,
    /// While a checkpoint is taken: records below this position are copied. Changed under a shared
    /// lock by the checkpoint, read under an exclusive one by the writer.
    pub(crate) copied: AtomicU32,
}

fn hash(hasher: &FixedState, node: u32, name: &[u8]) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write_u32(node);
    hasher.write(name);
    hasher.finish()
}

/// The name of a record.
fn name_of<'a>(records: &Slab<Record>, pool: &'a Pool, slot: u32) -> &'a [u8] {
    let record = records.at(slot);
    let len = record.name_len() + record.print_len();
    &pool.get(PoolRef(record.bytes), len)[..record.name_len()]
}

impl Shard {
    /// An empty shard. `seed` decides where names lie in the index, and nothing that anybody sees.
    pub(crate) fn new(memory: &TableMemory, seed: u64) -> Self {
        Shard {
            memory: memory.clone(),
            hasher: FixedState::with_seed(seed),
            records: Slab::new(memory.clone()),
            pool: Pool::new(memory.clone()),
            names: Index::new(memory.clone()),
            nodes: Slab::new(memory.clone()),
            rare: HashMap::default(),
            copied: AtomicU32::default(),
        }
    }

    /// The record of `name` in the directory whose node is at `node`.
    pub(crate) fn find(&self, node: u32, name: &str) -> Option<u32> {
        let name = name.as_bytes();
        self.names.find(hash(&self.hasher, node, name), |slot| {
            self.records.at(slot).parent == node && name_of(&self.records, &self.pool, slot) == name
        })
    }

    /// The node at that position, if it is still that directory's.
    pub(crate) fn node(&self, at: u32, container: u64) -> Option<&Node> {
        self.nodes.get(at).filter(|node| node.container == container)
    }

    /// The record at that position, if it is still that inode's.
    pub(crate) fn record(&self, slot: u32, container: u64) -> Option<&Record> {
        self.records.get(slot).filter(|record| record.container.get() == container)
    }

    pub(crate) fn name(&self, slot: u32) -> &str {
        std::str::from_utf8(name_of(&self.records, &self.pool, slot))
            .expect("names come in as text")
    }

    /// The packed fingerprint.
    pub(crate) fn print(&self, slot: u32) -> &[u8] {
        let record = self.records.at(slot);
        let name_len = record.name_len();
        let len = name_len + record.print_len();
        &self.pool.get(PoolRef(record.bytes), len)[name_len..]
    }

    pub(crate) fn rare(&self, slot: u32) -> Rare {
        if !self.records.at(slot).has_rare() {
            return Rare::default();
        }
        self.rare.get(&slot).cloned().unwrap_or_default()
    }

    pub(crate) fn set_rare(&mut self, slot: u32, rare: Rare) {
        let record = self.records.at_mut(slot);
        if rare.is_default() {
            if record.has_rare() {
                record.set_has_rare(false);
                self.rare.remove(&slot);
            }
        } else {
            record.set_has_rare(true);
            self.rare.insert(slot, rare);
        }
    }

    /// Replaces name and packed fingerprint. The indexes are the caller's.
    fn set_bytes(&mut self, slot: u32, name: &[u8], shape: u32, print: &[u8]) {
        let record = self.records.at_mut(slot);
        let old_len = record.name_len() + record.print_len();
        if old_len > 0 {
            self.pool.remove(PoolRef(record.bytes), old_len);
        }
        let at = if print.is_empty() {
            self.pool.insert(name)
        } else {
            self.pool.insert(&[name, print].concat())
        };
        record.bytes = at.0;
        record.shape = shape;
        record.set_lens(name.len(), print.len());
    }

    /// Sets the packed fingerprint, keeps the name.
    pub(crate) fn set_print(&mut self, slot: u32, shape: u32, print: &[u8]) {
        let name = name_of(&self.records, &self.pool, slot).to_vec();
        self.set_bytes(slot, &name, shape, print);
    }

    /// Puts a record that has no name yet into the table. Not in any index.
    pub(crate) fn insert(
        &mut self,
        record: Record,
        name: &str,
        shape: u32,
        print: &[u8],
        rare: Rare,
    ) -> u32 {
        let slot = self.records.insert(record);
        self.set_bytes(slot, name.as_bytes(), shape, print);
        self.set_rare(slot, rare);
        slot
    }

    /// Puts a record into the indexes of the directory at `node`.
    ///
    /// **Panics** when the name is taken.
    pub(crate) fn link(&mut self, node: u32, slot: u32, seq: u64) {
        self.link_hash(node, slot);
        let Shard { records, pool, nodes, .. } = self;
        let of = |slot| name_of(records, pool, slot);
        let node = nodes.at_mut(node);
        node.children.insert(slot, of(slot), of);
        node.changed = seq;
    }

    fn link_hash(&mut self, node: u32, slot: u32) {
        self.records.at_mut(slot).parent = node;
        let Shard { records, pool, names, hasher, .. } = self;
        let name = name_of(records, pool, slot);
        let hash_of = |slot| hash(hasher, records.at(slot).parent, name_of(records, pool, slot));
        let same =
            |other| records.at(other).parent == node && name_of(records, pool, other) == name;
        let of_name = hash(hasher, node, name);
        let taken = names.find(of_name, same).is_some();
        assert!(!taken, "{:?} is twice in one directory", String::from_utf8_lossy(name));
        names.insert(of_name, slot, hash_of);
    }

    /// As [`Shard::link`] for a restore: [`Shard::sort`] must follow.
    pub(crate) fn link_unsorted(&mut self, node: u32, slot: u32) {
        self.link_hash(node, slot);
        self.nodes.at_mut(node).children.push_unsorted(slot);
    }

    pub(crate) fn sort(&mut self) {
        let Shard { records, pool, nodes, .. } = self;
        for at in 0..nodes.high() {
            nodes.at_mut(at).children.sort(|slot| name_of(records, pool, slot));
        }
    }

    /// Takes a record out of the indexes of its directory.
    pub(crate) fn unlink(&mut self, slot: u32, seq: u64) {
        self.unlink_hash(slot);
        let Shard { records, pool, nodes, .. } = self;
        let of = |slot| name_of(records, pool, slot);
        let node = nodes.at_mut(records.at(slot).parent);
        node.children.remove(of(slot), of);
        node.changed = seq;
        node.removed = seq;
    }

    /// As [`Shard::unlink`] when the directory's node is gone already.
    pub(crate) fn unlink_hash(&mut self, slot: u32) {
        let Shard { records, pool, names, hasher, .. } = self;
        let of_name = hash(hasher, records.at(slot).parent, name_of(records, pool, slot));
        assert!(names.remove(of_name, slot), "record {slot} is not in the index of names");
    }

    /// Takes the record out of the table. It must not be in an index.
    pub(crate) fn remove(&mut self, slot: u32) -> Removed {
        let print = self.print(slot).to_vec();
        let rare = self.rare(slot);
        self.set_rare(slot, Rare::default());
        let record = self.records.remove(slot);
        let len = record.name_len() + print.len();
        self.pool.remove(PoolRef(record.bytes), len);
        Removed { record, print, rare }
    }

    /// Takes a directory's node out of the table and returns the records in it, which are still in
    /// the index of names.
    pub(crate) fn remove_node(&mut self, node: u32) -> Vec<u32> {
        let gone = self.nodes.remove(node);
        gone.children.after(None, |slot| name_of(&self.records, &self.pool, slot)).collect()
    }

    /// A new, empty directory's node.
    pub(crate) fn insert_node(&mut self, id: InodeId, changed: u64) -> u32 {
        let children = Children::new(self.memory.clone());
        self.nodes.insert(Node { container: id.container(), children, changed, removed: 0 })
    }

    /// The records in the directory at `node` whose names come after `name`, in order.
    pub(crate) fn children_after(&self, node: &Node, name: Option<&str>, limit: usize) -> Vec<u32> {
        let of = |slot| name_of(&self.records, &self.pool, slot);
        node.children.after(name.map(str::as_bytes), of).take(limit).collect()
    }

    /// Renames a record in place. It must be out of the indexes.
    pub(crate) fn rename(&mut self, slot: u32, name: &str) {
        let print = self.print(slot).to_vec();
        let shape = self.records.at(slot).shape;
        self.set_bytes(slot, name.as_bytes(), shape, &print);
    }

    pub(crate) fn touch(&mut self, slot: u32, seq: u64) {
        assert!(seq <= U48::MAX, "the journal is longer than 2^48 entries");
        self.records.at_mut(slot).seq = U48::saturating(seq);
    }

    /// Number of entries in the index of names.
    pub(crate) fn linked(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let rare: usize = self.rare.values().map(Rare::memory_bytes).sum();
        let nodes: usize = self.nodes.iter().map(|(_, node)| node.children.memory_bytes()).sum();
        self.records.memory_bytes()
            + self.pool.memory_bytes()
            + self.names.memory_bytes()
            + self.nodes.memory_bytes()
            + nodes
            + self.rare.allocation_size()
            + rare
    }
}

/// A record that left its shard, with what belongs to it.
pub(crate) struct Removed {
    pub(crate) record: Record,
    pub(crate) print: Vec<u8>,
    pub(crate) rare: Rare,
}
