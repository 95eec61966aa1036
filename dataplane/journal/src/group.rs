//! Records that become durable together, where the journal is no file of this machine.

use crate::error::Damage;
use crate::record::{self, Parsed};
use crate::{EntryBatch, JournalError, Record};
use alluxio_types::{JournalSeq, Term};
use std::ops::ControlFlow;
use std::path::PathBuf;

/// A group is closed when it has this many bytes: etcd takes requests of 1.5 MiB, and an object store
/// takes one of 1 MiB hardly longer than a small one.
pub(crate) const GROUP_BYTES: usize = 1 << 20;

/// Records that become durable in one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) term: Term,
    pub(crate) first: JournalSeq,
    pub(crate) last: JournalSeq,
    pub(crate) records: Vec<u8>,
}

impl Group {
    pub(crate) fn entries(&self) -> u64 {
        self.last.0 + 1 - self.first.0
    }
}

/// Cuts batches into groups, in order. A term begins a group of its own.
pub(crate) fn groups(batches: &[(Term, EntryBatch)]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (term, batch) in batches {
        for (seq, payload) in batch.iter() {
            let open = groups.last_mut().filter(|group| {
                let bytes = group.records.len() + payload.len() + record::HEADER_BYTES + 8;
                group.term == *term && bytes <= GROUP_BYTES
            });
            let group = match open {
                Some(group) => group,
                None => {
                    let (term, records) = (*term, Vec::new());
                    groups.push(Group { term, first: seq, last: seq, records });
                    groups.last_mut().expect("pushed just now")
                }
            };
            record::frame(&mut group.records, *term, seq, payload);
            group.last = seq;
        }
    }
    groups
}

/// Visits the records of a group; returns the position after the last one, and whether the visitor
/// broke off. `records` are the pieces and what follows the header.
pub(crate) fn visit(
    key: &str,
    records: &[u8],
    first: JournalSeq,
    from: JournalSeq,
    visit: &mut dyn FnMut(Record<'_>) -> Result<ControlFlow<()>, JournalError>,
) -> Result<(JournalSeq, bool), JournalError> {
    let (mut at, mut expected) = (0, first);
    while at < records.len() {
        let Parsed::Record { term, seq, payload, size, .. } = record::parse(&records[at..]) else {
            return Err(corrupt(key, at, Damage::Record));
        };
        if seq != expected {
            return Err(corrupt(key, at, Damage::Order { found: seq, expected }));
        }
        expected = seq.next();
        if seq >= from && visit(Record { seq, term, payload })?.is_break() {
            return Ok((expected, true));
        }
        at += size;
    }
    Ok((expected, false))
}

pub(crate) fn corrupt(key: &str, offset: usize, what: Damage) -> JournalError {
    JournalError::Corrupt { file: PathBuf::from(key), offset: offset as u64, what }
}
