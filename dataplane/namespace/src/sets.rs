//! Files that somebody asks for as a group: pinned ones, those that must reach the UFS, and inodes
//! with an end of life. Derived from the records; kept so that nobody has to scan for them.

use crate::table::ids::{read, write};
use crate::table::record::{Rare, Record};
use alluxio_types::{InodeId, PersistenceState, UnixMillis};
use std::collections::BTreeSet;
use std::sync::RwLock;

/// The groups. Ordered by container, so every answer has one order.
#[derive(Debug, Default)]
pub(crate) struct Sets {
    pinned: RwLock<BTreeSet<u64>>,
    to_be_persisted: RwLock<BTreeSet<u64>>,
    expiry: RwLock<BTreeSet<(u64, u64)>>,
}

/// What a record has to do with the groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Membership {
    container: u64,
    pinned: bool,
    to_be_persisted: bool,
    expires: Option<u64>,
}

impl Membership {
    pub(crate) fn of(record: &Record, rare: &Rare) -> Self {
        Membership {
            container: record.container.get(),
            pinned: record.pinned() && !record.is_directory(),
            to_be_persisted: record.persistence() == PersistenceState::ToBePersisted
                && !record.is_directory(),
            expires: rare.ttl_ms.map(|ttl| record.created.get().saturating_add(ttl)),
        }
    }
}

fn change<T: Ord>(set: &RwLock<BTreeSet<T>>, before: Option<T>, after: Option<T>) {
    if before == after {
        return;
    }
    let mut set = write(set);
    before.map(|item| set.remove(&item));
    after.map(|item| set.insert(item));
}

impl Sets {
    /// Moves an inode from what it was (`None`: new) to what it is (`None`: gone).
    pub(crate) fn update(&self, before: Option<Membership>, after: Option<Membership>) {
        if before == after {
            return;
        }
        let pinned = |m: Membership| m.pinned.then_some(m.container);
        change(&self.pinned, before.and_then(pinned), after.and_then(pinned));
        let to_be = |m: Membership| m.to_be_persisted.then_some(m.container);
        change(&self.to_be_persisted, before.and_then(to_be), after.and_then(to_be));
        let expiry = |m: Membership| m.expires.map(|at| (at, m.container));
        change(&self.expiry, before.and_then(expiry), after.and_then(expiry));
    }

    pub(crate) fn counts(&self) -> (u64, u64) {
        (read(&self.pinned).len() as u64, read(&self.to_be_persisted).len() as u64)
    }

    pub(crate) fn pinned(&self) -> Vec<InodeId> {
        read(&self.pinned).iter().map(|&at| InodeId::from_container(at)).collect()
    }

    pub(crate) fn to_be_persisted(&self) -> Vec<InodeId> {
        read(&self.to_be_persisted).iter().map(|&at| InodeId::from_container(at)).collect()
    }

    pub(crate) fn expired(&self, now: UnixMillis, limit: usize) -> Vec<InodeId> {
        read(&self.expiry)
            .range(..(now.0.saturating_add(1), 0))
            .take(limit)
            .map(|&(_, container)| InodeId::from_container(container))
            .collect()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        // A B-tree of 8-byte keys is about two thirds full.
        (read(&self.pinned).len() + read(&self.to_be_persisted).len()) * 12
            + read(&self.expiry).len() * 24
    }
}
