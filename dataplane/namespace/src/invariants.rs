//! The structure checked against itself.

use crate::namespace::{Namespace, SHARDS, shard_of};
use crate::sets::Membership;
use crate::table::ids::Location;
use alluxio_types::{InodeId, PersistenceState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

impl Namespace {
    /// Checks the structure against itself; for tests and tools. The writer must rest.
    ///
    /// **Errors**: the first contradiction, in words.
    pub fn check_invariants(&self) -> Result<(), String> {
        let seen = self.check_shards()?;
        self.check_numbers(&seen)?;
        self.check_quotas()?;
        for row in self.mount_table().rows() {
            let context = crate::Context {
                now: alluxio_types::UnixMillis(0),
                who: &alluxio_types::Identity::new("", []),
                policy: &crate::Policy { permission_enabled: false, ..Default::default() },
            };
            let status = self
                .status(&row.info.path, &context)
                .map_err(|refusal| format!("mount point {}: {refusal}", row.info.path))?;
            if !status.value.is_directory() {
                return Err(format!("mount point {} is a file", row.info.path));
            }
        }
        Ok(())
    }

    /// Every record is found by its id and by its name, every name in order leads to a record, and
    /// every directory has its node. Returns all ids with their parents.
    fn check_shards(&self) -> Result<BTreeMap<u64, u64>, String> {
        let (mut parents, mut nodes) = (BTreeMap::new(), BTreeSet::new());
        let (mut linked, mut ordered) = (0, 0);
        for at in 0..SHARDS {
            let shard = self.shard(at);
            linked += shard.linked();
            for (slot, record) in shard.records.iter() {
                let container = record.container.get();
                if self.ids.get(container) != Some(Location::new(at, slot)) {
                    return Err(format!("{}: the id leads elsewhere", record.id()));
                }
                let node = shard.nodes.get(record.parent);
                let Some(node) = node else {
                    return Err(format!("{}: its directory has no names", record.id()));
                };
                let is_root = record.id() == InodeId::ROOT;
                if !is_root && shard.find(record.parent, shard.name(slot)) != Some(slot) {
                    return Err(format!("{}: the name leads elsewhere", record.id()));
                }
                if let Some(own) = record.node() {
                    nodes.insert((container, own));
                }
                if parents.insert(container, node.container).is_some() {
                    return Err(format!("{}: two records", record.id()));
                }
            }
            for (position, node) in shard.nodes.iter() {
                if shard_of(node.container) != at {
                    return Err(format!("directory {} is in a wrong shard", node.container));
                }
                let names = shard.children_after(node, None, usize::MAX);
                let sorted = names.windows(2).all(|two| shard.name(two[0]) < shard.name(two[1]));
                let own = names.iter().all(|&slot| shard.records.at(slot).parent == position);
                if !sorted || !own || names.len() as u64 != node.children.len() {
                    return Err(format!("directory {}: names are not in order", node.container));
                }
                ordered += names.len();
                if !nodes.contains(&(node.container, position)) {
                    nodes.insert((node.container, position));
                }
            }
        }
        let (records, directories) = (parents.len(), nodes.len());
        if linked != ordered || linked + usize::from(records > 0) != records {
            return Err(format!("{records} records, {linked} by hash, {ordered} in order"));
        }
        if directories as u64 != self.counters.directories.load(Ordering::Relaxed) {
            return Err(format!("{directories} directories or nodes, not as counted"));
        }
        Ok(parents)
    }

    /// Counters and groups are what the records say, and every inode hangs below the root.
    fn check_numbers(&self, parents: &BTreeMap<u64, u64>) -> Result<(), String> {
        for &container in parents.keys() {
            let (mut at, mut steps) = (container, 0);
            while at != InodeId::ROOT.container() {
                at = *parents.get(&at).ok_or(format!("container {at} has no record"))?;
                steps += 1;
                if steps > parents.len() {
                    return Err(format!("container {container} is in a circle"));
                }
            }
        }
        let (mut files, mut bytes) = (0, 0u64);
        let (mut pinned, mut to_be_persisted) = (Vec::new(), Vec::new());
        let groups = crate::sets::Sets::default();
        for at in 0..SHARDS {
            let shard = self.shard(at);
            for (slot, record) in shard.records.iter() {
                groups.update(None, Some(Membership::of(record, &shard.rare(slot))));
                if record.is_directory() {
                    continue;
                }
                files += 1;
                if record.completed() {
                    bytes = bytes.wrapping_add(record.length());
                }
                if record.pinned() {
                    pinned.push(record.id());
                }
                if record.persistence() == PersistenceState::ToBePersisted {
                    to_be_persisted.push(record.id());
                }
            }
        }
        pinned.sort();
        to_be_persisted.sort();
        let stats = self.stats();
        let end = alluxio_types::UnixMillis(u64::MAX - 1);
        let same = stats.files == files
            && stats.file_bytes == bytes
            && self.ids.len() == parents.len() as u64
            && self.pinned_files() == pinned
            && self.to_be_persisted() == to_be_persisted
            && self.expired(end, usize::MAX) == groups.expired(end, usize::MAX);
        if same { Ok(()) } else { Err(format!("counters or groups disagree: {stats:?}")) }
    }
}
