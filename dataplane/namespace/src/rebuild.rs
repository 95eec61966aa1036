//! From a checkpoint and the entries after it to a tree that goes on.

use crate::{Foundation, Namespace, Restorer, StateHash};
use alluxio_types::{CheckpointRecord, Entry, JournalSeq};
use std::sync::Arc;

/// A tree that is built from a checkpoint, or from nothing, and then changed by entries.
#[derive(Debug)]
pub struct Rebuild {
    foundation: Foundation,
    tree: Tree,
    hash: StateHash,
}

#[derive(Debug)]
enum Tree {
    Nothing,
    Restoring(Box<Restorer>),
    Whole(Arc<Namespace>),
}

impl Rebuild {
    /// Nothing yet; the tree will lie on `foundation`.
    pub fn on(foundation: &Foundation) -> Self {
        let (foundation, tree) = (foundation.clone(), Tree::Nothing);
        Rebuild { foundation, tree, hash: StateHash::new() }
    }

    /// Forgets everything.
    pub fn restart(&mut self) {
        self.tree = Tree::Nothing;
        self.hash = StateHash::new();
    }

    /// Takes one record of the checkpoint.
    pub fn record(&mut self, record: &CheckpointRecord) {
        self.hash.add(record);
        if !matches!(self.tree, Tree::Restoring(_)) {
            self.tree = Tree::Restoring(Box::new(Restorer::on(&self.foundation)));
        }
        if let Tree::Restoring(restorer) = &mut self.tree {
            restorer.push(record);
        }
    }

    /// The hash of the records taken since the last restart, of kind [`StateHash::KIND`].
    pub fn state_hash(&self) -> u64 {
        self.hash.finish()
    }

    /// Applies the entry at `seq`. Positions grow by one, so a checkpoint stands just before the first.
    pub fn entry(&mut self, seq: JournalSeq, entry: &Entry) {
        if !matches!(self.tree, Tree::Whole(_)) {
            self.at(JournalSeq(seq.0 - 1));
        }
        if let Tree::Whole(namespace) = &self.tree {
            namespace.apply(seq, entry);
        }
    }

    /// The tree, which is as it was after entry `last`.
    pub fn at(&mut self, last: JournalSeq) -> Arc<Namespace> {
        if let Tree::Whole(namespace) = &self.tree {
            return namespace.clone();
        }
        let whole = match std::mem::replace(&mut self.tree, Tree::Nothing) {
            Tree::Restoring(restorer) => Arc::new(restorer.finish(last)),
            Tree::Nothing | Tree::Whole(_) => Arc::new(Namespace::on(&self.foundation)),
        };
        self.tree = Tree::Whole(whole.clone());
        whole
    }
}

impl Default for Rebuild {
    fn default() -> Self {
        Self::on(&Foundation::default())
    }
}
