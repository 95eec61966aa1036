//! Encoded entries on their way in.

use alluxio_proto::convert::journal::encode_entry;
use alluxio_types::{Entry, JournalSeq};

/// Entries with consecutive positions, encoded, in one allocation.
#[derive(Debug, Clone)]
pub struct EntryBatch {
    first: JournalSeq,
    bytes: Vec<u8>,
    /// End of each entry in `bytes`.
    ends: Vec<u32>,
}

impl EntryBatch {
    /// An empty batch whose first entry will have position `first`, which must not be 0.
    pub fn new(first: JournalSeq) -> Self {
        debug_assert!(first.0 > 0, "positions start at 1");
        EntryBatch { first, bytes: Vec::new(), ends: Vec::new() }
    }

    /// Encodes one entry behind the others; returns its position.
    pub fn push(&mut self, entry: &Entry) -> JournalSeq {
        encode_entry(entry, &mut self.bytes);
        self.end()
    }

    /// Adds one entry that is encoded already; returns its position.
    ///
    /// **Panics** when `entry` is empty, which no encoded entry is.
    pub fn push_encoded(&mut self, entry: &[u8]) -> JournalSeq {
        assert!(!entry.is_empty(), "an encoded entry has bytes");
        self.bytes.extend_from_slice(entry);
        self.end()
    }

    fn end(&mut self) -> JournalSeq {
        let end = u32::try_from(self.bytes.len()).expect("a batch is far below 4 GiB");
        self.ends.push(end);
        JournalSeq(self.first.0 + self.ends.len() as u64 - 1)
    }

    /// Position of the first entry.
    pub fn first(&self) -> JournalSeq {
        self.first
    }

    /// Position of the last entry; the one before `first` when the batch is empty.
    pub fn last(&self) -> JournalSeq {
        JournalSeq(self.first.0 + self.ends.len() as u64 - 1)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all entries, without framing.
    pub fn encoded_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The entries with their positions.
    pub fn iter(&self) -> impl Iterator<Item = (JournalSeq, &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).enumerate().map(|(index, (start, &end))| {
            let seq = JournalSeq(self.first.0 + index as u64);
            (seq, &self.bytes[start as usize..end as usize])
        })
    }
}
