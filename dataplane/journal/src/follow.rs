//! Reading along: how a standby hears of what the primary appends.

use crate::{Commits, JournalError, JournalStore, Record};
use alluxio_types::{JournalSeq, Term};
use async_trait::async_trait;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Entries with consecutive positions, as they are stored, in one allocation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    bytes: Vec<u8>,
    /// Position, term, and end in `bytes`.
    items: Vec<(JournalSeq, Term, usize)>,
}

impl Records {
    /// Adds a copy of `record` behind the others.
    pub fn push(&mut self, record: Record<'_>) {
        debug_assert!(self.last().is_none_or(|last| record.seq == last.next()));
        self.bytes.extend_from_slice(record.payload);
        self.items.push((record.seq, record.term, self.bytes.len()));
    }

    /// The entries, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        let starts = std::iter::once(0).chain(self.items.iter().map(|(_, _, end)| *end));
        starts.zip(&self.items).map(|(start, &(seq, term, end))| Record {
            seq,
            term,
            payload: &self.bytes[start..end],
        })
    }

    /// Position of the first entry.
    pub fn first(&self) -> Option<JournalSeq> {
        self.items.first().map(|(seq, _, _)| *seq)
    }

    /// Position of the last entry.
    pub fn last(&self) -> Option<JournalSeq> {
        self.items.last().map(|(seq, _, _)| *seq)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Bytes of all entries, without framing.
    pub fn encoded_bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// What came next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// Durable entries that continue where the last ones ended; never empty.
    Entries(Records),
    /// The entries from here on were dropped before they were read: a checkpoint covers them. Load
    /// the journal anew ([`JournalStore::load`]) and follow from where that ends.
    Compacted {
        /// First position that is gone.
        from: JournalSeq,
    },
}

/// Reads along behind whoever appends, in this process or in another.
#[async_trait]
pub trait Follower: Send {
    /// Waits for what comes next.
    ///
    /// **Errors**: `Corrupt`; `Gap` when entries are missing that no checkpoint covers; `Io`, `Unreachable`
    /// and the like, after which the same call may be tried again: nothing is skipped. `Closed`.
    /// **Cancel safety**: may be dropped at any time; nothing is skipped.
    async fn next(&mut self) -> Result<Followed, JournalError>;
}

/// Bytes of entries that one [`Follower::next`] returns, or one entry: a few milliseconds of applying.
pub(crate) const FOLLOW_BYTES: usize = 1 << 20;

/// Follows a store of this process through its own commits.
pub(crate) struct CommitFollower<S> {
    pub(crate) store: Arc<S>,
    pub(crate) commits: Commits,
    pub(crate) next: JournalSeq,
}

#[async_trait]
impl<S: JournalStore> Follower for CommitFollower<S> {
    async fn next(&mut self) -> Result<Followed, JournalError> {
        if let Err(cause) = self.commits.wait_for(self.next).await {
            return Err(JournalError::Failed { cause });
        }
        let (store, from) = (self.store.clone(), self.next);
        let read = tokio::task::spawn_blocking(move || {
            let mut records = Records::default();
            let result = store.read(from, &mut |record| {
                records.push(record);
                match records.encoded_bytes() < FOLLOW_BYTES {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            });
            result.map(|_| records)
        });
        match read.await.map_err(|_| JournalError::Closed)? {
            Ok(records) => {
                self.next = records.last().map_or(self.next, JournalSeq::next);
                Ok(Followed::Entries(records))
            }
            Err(JournalError::Gap { from: gone, .. }) if gone == from => {
                Ok(Followed::Compacted { from })
            }
            Err(error) => Err(error),
        }
    }
}
