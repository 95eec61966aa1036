//! The state hash of a tree: the same on every machine, and computed from a checkpoint's records as
//! they pass by.
//!
//! **Shape**: each record is a chain of words, folded into 64 bits: a number for the kind of record, then
//! for every field that is not zero, empty or absent its number and its value. A text is its length
//! and its bytes, eight to a word, little endian. The hashes of records add up, since inodes have no order;
//! answers, which have one, are one chain. A field that is added later leaves the hash of trees alone
//! that do not use it; anything else that changes a hash counts [`StateHash::KIND`] up.

use crate::permission::Checker;
use crate::{Context, Namespace, Refusal};
use alluxio_types::{
    AlluxioPath, Answer, CheckpointRecord, FileKind, InodeRecord, IntendedChange, Intent,
    MountInfo, OperationId, PersistenceState, TtlAction,
};

/// Adds up the records of one checkpoint. All of them, in the order in which [`crate::Checkpoint::step`]
/// gives them, make what [`Namespace::state_hash`] says of the same tree.
#[derive(Debug, Clone, Default)]
pub struct StateHash {
    sum: u64,
    /// Answers count with their order, all else without.
    answers: OrderedHash,
}

impl StateHash {
    /// How the hash is computed: it counts up whenever the same tree would get another hash, so that a
    /// hash that another version stored is not compared with one of this version. 0 is nobody's.
    pub const KIND: u32 = 2;

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

/// The hash of answers in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct OrderedHash(Words);

impl OrderedHash {
    pub(crate) fn add(&mut self, operation: OperationId, answer: Answer) {
        self.0.operation(operation);
        match answer {
            Answer::Done { removed } => self.0.pair(1, removed),
            Answer::Inode { id, created } => self.0.pair(2 + u64::from(created), id.0),
            Answer::Mounted(id) => self.0.pair(4, id.0),
        }
    }

    pub(crate) fn finish(&self) -> u64 {
        self.0.0
    }
}

/// A chain of words.
#[derive(Debug, Clone, Copy, Default)]
struct Words(u64);

impl Words {
    /// Digits of e, odd: every bit of a word reaches every bit of the product's two halves.
    const FACTOR: u64 = 0xB7E1_5162_8AED_2A6B;
    /// Digits of pi: a zero is a word like others.
    const OFFSET: u64 = 0x243F_6A88_85A3_08D3;

    fn word(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_add(Self::OFFSET);
        let product = u128::from(mixed) * u128::from(Self::FACTOR);
        // The upper half is what the lower one loses.
        self.0 = (product as u64) ^ ((product >> 64) as u64).rotate_left(29);
    }

    fn pair(&mut self, number: u64, value: u64) {
        self.word(number);
        self.word(value);
    }

    /// A number; 0 is as if the field were not there.
    fn field(&mut self, number: u64, value: u64) {
        if value != 0 {
            self.pair(number, value);
        }
    }

    fn option(&mut self, number: u64, value: Option<u64>) {
        if let Some(value) = value {
            self.pair(number, value);
        }
    }

    fn text(&mut self, number: u64, text: &str) {
        self.bytes(number, text.as_bytes());
    }

    fn bytes(&mut self, number: u64, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.pair(number, bytes.len() as u64);
        for bytes in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            self.word(u64::from_le_bytes(word));
        }
    }

    fn operation(&mut self, OperationId(id): OperationId) {
        self.pair((id >> 64) as u64, id as u64);
    }
}

/// The hash of a record's content.
pub(crate) fn hash_of(record: &CheckpointRecord) -> u64 {
    let mut words = Words::default();
    match record {
        CheckpointRecord::Cluster { cluster_id, formatted } => {
            words.word(1);
            words.text(1, cluster_id);
            words.field(2, formatted.0);
        }
        CheckpointRecord::NextContainer(next) => words.pair(2, *next),
        CheckpointRecord::Mount(mount) => hash_mount(&mut words, mount),
        CheckpointRecord::Answered { operation, answer } => {
            let mut alone = OrderedHash::default();
            alone.add(*operation, *answer);
            return alone.finish();
        }
        CheckpointRecord::Intent(intent) => hash_intent(&mut words, intent),
        CheckpointRecord::Inode(inode) => hash_inode(&mut words, inode),
    }
    words.0
}

fn hash_mount(words: &mut Words, mount: &MountInfo) {
    let MountInfo { id, path, ufs_uri, read_only, shared, options } = mount;
    words.word(3);
    words.field(1, id.0);
    words.text(2, path.as_str());
    words.text(3, ufs_uri);
    words.field(4, (*read_only).into());
    words.field(5, (*shared).into());
    for (key, value) in &options.0 {
        words.text(6, key);
        words.text(7, value);
    }
}

fn hash_intent(words: &mut Words, intent: &Intent) {
    let Intent { id, operation, inode, path, change } = intent;
    words.word(4);
    words.field(1, *id);
    if let Some(operation) = operation {
        words.word(2);
        words.operation(*operation);
    }
    words.field(3, inode.0);
    words.text(4, path.as_str());
    match change {
        IntendedChange::Delete { recursive, delete_mount_points } => {
            words.pair(5, u64::from(*recursive) | u64::from(*delete_mount_points) << 1);
        }
        IntendedChange::Rename { target } => words.text(6, target.as_str()),
    }
}

fn hash_inode(words: &mut Words, inode: &InodeRecord) {
    // All of them by name: a new field does not compile until it is counted.
    let InodeRecord {
        id,
        parent,
        name,
        kind,
        owner,
        group,
        mode,
        created,
        modified,
        accessed,
        length,
        block_size_bytes,
        completed,
        pinned,
        persistence,
        fingerprint,
        ttl_ms,
        ttl_action,
        replication_min,
        replication_max,
        children_loaded,
        xattr,
        target,
        quota,
    } = inode;
    words.word(5);
    words.field(1, id.0);
    words.field(2, parent.0);
    words.text(3, name);
    words.field(4, of_kind(*kind));
    words.text(5, owner);
    words.text(6, group);
    words.field(7, mode.0.into());
    words.field(8, created.0);
    words.field(9, modified.0);
    words.field(10, accessed.0);
    words.field(11, *length);
    words.field(12, *block_size_bytes);
    words.field(13, (*completed).into());
    words.field(14, (*pinned).into());
    words.field(15, of_persistence(*persistence));
    words.text(16, &fingerprint.0);
    words.option(17, *ttl_ms);
    words.field(18, of_action(*ttl_action));
    words.field(19, (*replication_min).into());
    words.option(20, replication_max.map(u64::from));
    words.field(21, (*children_loaded).into());
    for (name, value) in xattr.iter() {
        words.text(22, name);
        words.bytes(23, value);
    }
    words.text(24, target);
    words.option(25, quota.bytes);
    words.option(26, quota.inodes);
}

fn of_kind(kind: FileKind) -> u64 {
    match kind {
        FileKind::File => 0,
        FileKind::Directory => 1,
        FileKind::Symlink => 2,
    }
}

fn of_persistence(state: PersistenceState) -> u64 {
    match state {
        PersistenceState::NotPersisted => 0,
        PersistenceState::ToBePersisted => 1,
        PersistenceState::Persisted => 2,
        PersistenceState::Lost => 3,
    }
}

fn of_action(action: TtlAction) -> u64 {
    match action {
        TtlAction::Free => 0,
        TtlAction::Delete => 1,
        TtlAction::DeleteAlluxio => 2,
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

#[cfg(test)]
#[path = "state_hash_tests.rs"]
mod tests;
