//! Reads: by path, by id, lists and walks. All take `&self` and run beside the writer.

pub(crate) mod list;
pub(crate) mod status;

pub use list::{Child, Common, FreeCandidates, Listed, Page, Walk};
pub use status::Lookup;

use alluxio_types::JournalSeq;

/// A value and the highest journal position it depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen<T> {
    /// What was read.
    pub value: T,
    /// The reply may leave when this is committed.
    pub seq: JournalSeq,
}

impl<T> Seen<T> {
    pub(crate) fn new(value: T, seq: u64) -> Self {
        Seen { value, seq: JournalSeq(seq) }
    }
}
