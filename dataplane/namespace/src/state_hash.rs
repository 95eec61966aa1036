//! The state hash of a tree, computed from a checkpoint's records as they pass by.

use crate::answers;
use crate::checkpoint::hash_of;
use crate::permission::Checker;
use crate::{Context, Namespace, Refusal};
use alluxio_types::{AlluxioPath, CheckpointRecord};

/// Adds up the records of one checkpoint. All of them, in the order in which [`crate::Checkpoint::step`]
/// gives them, make what [`Namespace::state_hash`] says of the same tree.
pub struct StateHash {
    sum: u64,
    /// Answers count with their order, all else without.
    answers: answers::OrderedHash,
}

impl Default for StateHash {
    fn default() -> Self {
        StateHash { sum: 0, answers: answers::OrderedHash::new() }
    }
}

impl StateHash {
    /// How the hash is computed: it counts up whenever the same tree would get another hash, so that a
    /// hash that an older version stored is not compared with one of this version.
    pub const KIND: u32 = 1;

    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one record.
    pub fn add(&mut self, record: &CheckpointRecord) {
        match record {
            CheckpointRecord::Answered { operation, answer } => {
                self.answers.add(*operation, *answer);
            }
            _ => self.sum = self.sum.wrapping_add(hash_of(record)),
        }
    }

    /// The hash of all that was taken.
    pub fn finish(&self) -> u64 {
        self.sum.wrapping_add(self.answers.finish())
    }
}

impl Namespace {
    /// Refuses a caller who is not the superuser.
    ///
    /// **Errors**: `NotSuperuser`; `what` says in two words what was not allowed on the whole tree.
    pub fn require_superuser(
        &self,
        context: &Context<'_>,
        what: &'static str,
    ) -> Result<(), Refusal> {
        let checker = Checker::new(self, context);
        if checker.is_superuser() {
            return Ok(());
        }
        let error = checker.not_superuser(what, &AlluxioPath::root());
        Err(Refusal::new(error, self.applied()))
    }
}
