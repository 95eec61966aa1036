//! Answers to changes that their clients named: who asks again under the same id, because the first
//! answer was lost, gets that answer and no second change. Journaled with the change, so a new
//! primary knows them too.

use crate::state_hash::OrderedHash;
use crate::table::ids::{read, write};
use alluxio_types::{Answer, OperationId};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::RwLock;

/// Answers remembered, as in the reference; the oldest go first. 48 bytes each and 6 in the index:
/// 5.4 MB when full.
pub(crate) const ANSWERS_MAX: usize = 100_000;

/// The remembered answers.
#[derive(Debug)]
pub(crate) struct Answers {
    ring: RwLock<Ring>,
}

impl Default for Answers {
    fn default() -> Self {
        Answers { ring: RwLock::new(Ring::new(ANSWERS_MAX)) }
    }
}

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) operation: OperationId,
    pub(crate) answer: Answer,
    /// Position that the answer depends on; 0 when it came with a checkpoint.
    pub(crate) seq: u64,
}

#[derive(Debug)]
struct Ring {
    limit: usize,
    rows: VecDeque<Row>,
    /// Number of rows that have left: the name of a row is its place plus this, and wraps.
    gone: u32,
    /// Names of rows by the hash of their operation.
    index: HashTable<u32>,
}

fn hash_of(operation: OperationId) -> u64 {
    FixedState::with_seed(2).hash_one(operation)
}

impl Ring {
    fn new(limit: usize) -> Self {
        Ring { limit, rows: VecDeque::new(), gone: 0, index: HashTable::new() }
    }

    fn get(&self, operation: OperationId) -> Option<&Row> {
        let (rows, gone) = (&self.rows, self.gone);
        let row = |name: u32| &rows[name.wrapping_sub(gone) as usize];
        let is_it = |name: &u32| row(*name).operation == operation;
        self.index.find(hash_of(operation), is_it).map(|name| row(*name))
    }

    /// A second answer to one operation is not taken: the first one stands.
    fn push(&mut self, new: Row) {
        if self.get(new.operation).is_some() {
            return;
        }
        if self.rows.len() == self.limit
            && let Some(oldest) = self.rows.front()
        {
            let (hash, name) = (hash_of(oldest.operation), self.gone);
            if let Ok(found) = self.index.find_entry(hash, |other| *other == name) {
                found.remove();
            }
            self.rows.pop_front();
            self.gone = self.gone.wrapping_add(1);
        }
        let len = u32::try_from(self.rows.len()).expect("far fewer than 2^32 answers are kept");
        let name = self.gone.wrapping_add(len);
        self.rows.push_back(new);
        let (rows, gone) = (&self.rows, self.gone);
        let hash = |name: &u32| hash_of(rows[name.wrapping_sub(gone) as usize].operation);
        self.index.insert_unique(hash_of(new.operation), name, hash);
    }
}

impl Answers {
    pub(crate) fn get(&self, operation: OperationId) -> Option<Row> {
        read(&self.ring).get(operation).copied()
    }

    pub(crate) fn push(&self, operation: OperationId, answer: Answer, seq: u64) {
        write(&self.ring).push(Row { operation, answer, seq });
    }

    /// All of them, oldest first.
    pub(crate) fn all(&self) -> Vec<(OperationId, Answer)> {
        read(&self.ring).rows.iter().map(|row| (row.operation, row.answer)).collect()
    }

    /// A hash of all of them and their order, which decides who is forgotten first.
    pub(crate) fn hash(&self) -> u64 {
        let mut hash = OrderedHash::default();
        for row in &read(&self.ring).rows {
            hash.add(row.operation, row.answer);
        }
        hash.finish()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let ring = read(&self.ring);
        ring.rows.capacity() * size_of::<Row>() + ring.index.capacity() * 6
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alluxio_types::InodeId;

    fn row(number: u128) -> Row {
        let answer = Answer::Done { removed: number as u64 };
        Row { operation: OperationId(number << 64 | number), answer, seq: 0 }
    }

    #[test]
    fn the_oldest_answers_are_forgotten_and_the_others_found() {
        let mut ring = Ring::new(5);
        // Names of rows wrap.
        ring.gone = u32::MAX - 7;
        for number in 0..40 {
            ring.push(row(number));
            for known in 0..=number {
                let found = ring.get(row(known).operation).map(|row| row.answer);
                let wanted = (number - known < 5).then_some(row(known).answer);
                assert_eq!(found, wanted, "{known} of {number}");
            }
        }
        assert_eq!((ring.rows.len(), ring.index.len()), (5, 5));
    }

    #[test]
    fn the_first_answer_stands_and_the_hash_knows_the_order() {
        let (one, two) = (Answers::default(), Answers::default());
        let made = Answer::Inode { id: InodeId(5), created: true };
        for (answers, order) in [(&one, [1, 2]), (&two, [2, 1])] {
            for id in order {
                answers.push(OperationId(id), made, 9);
            }
        }
        assert_ne!(one.hash(), two.hash());
        one.push(OperationId(1), Answer::Done { removed: 0 }, 10);
        assert_eq!(one.get(OperationId(1)).map(|row| (row.answer, row.seq)), Some((made, 9)));
        assert_eq!(one.all().len(), 2);
    }
}
