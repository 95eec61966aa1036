//! What a process that comes later must know of a draft; pure.
//!
//! A slot has room for two versions, written in turns: one that was cut off while it was written never
//! takes the last whole one along.

use alluxio_datapath::checksum::crc32c;
use alluxio_types::{InodeId, OperationId};
use std::time::Duration;

/// Bytes of one version of a record. A name has at most 1024, everything else less than 200.
pub(super) const VERSION_BYTES: usize = 4096;
/// Bytes of a slot: two versions.
pub(super) const SLOT_BYTES: usize = 2 * VERSION_BYTES;
/// Number of the version, length of the content, checksum of all.
const HEAD_BYTES: usize = 16;
/// First byte of the content; grows with its shape.
const SHAPE: u8 = 1;

/// How far a file has come at the master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is being asked for; the answer was not heard. Nobody has it open.
    Creating,
    /// It was made here and is incomplete.
    Incomplete,
    /// It has a version.
    Complete,
    /// What was made is gone again, because a commit failed; the next one makes it anew.
    Lost,
}

/// Attributes that programs have set and the master does not know yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Wanted {
    /// Time of the last change, since 1970.
    pub(super) modified: Option<Duration>,
    /// Time of the last access, since 1970.
    pub(super) accessed: Option<Duration>,
    /// Permission bits.
    pub(super) mode: Option<u32>,
    /// Owner.
    pub(super) uid: Option<u32>,
    /// Group.
    pub(super) gid: Option<u32>,
}

/// A draft without its bytes, whose length is that of their file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::fs) struct Record {
    /// The kernel's number; 0 while the file is being asked for.
    pub(super) node: u64,
    /// The directory's, and the name there.
    pub(super) parent: u64,
    pub(super) name: String,
    /// Who opened it first: in his name it is written.
    pub(super) caller: u32,
    /// What the master knows the file as.
    pub(super) inode: InodeId,
    pub(super) stage: Stage,
    /// Whether bytes may have been written into the incomplete file. It cannot be completed by anybody
    /// else then, only replaced.
    pub(super) begun: bool,
    /// Names a version that is written beside `inode`, and the change that makes it.
    pub(super) beside: Option<OperationId>,
    /// That version, once it is there.
    pub(super) next: Option<InodeId>,
    /// Length of what the file is, as long as it is not needed here.
    pub(super) base: Option<u64>,
    /// Whether there may be bytes that no version has.
    pub(super) dirty: bool,
    /// Whether the name is gone.
    pub(super) unlinked: bool,
    /// Handles. A request that the kernel gives out again may count twice.
    pub(super) opens: u32,
    /// As shown to the kernel: mode, owner, group.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) wanted: Wanted,
    /// The name of the change that made the file.
    pub(super) operation: OperationId,
}

/// What is in a slot.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing, or a draft that is done with. The number is that of the last version.
    Free(u64),
    /// A draft, and the number of its version.
    Draft(u64, Box<Record>),
    /// Something that cannot be read.
    Damaged,
}

/// One version; `None` for a slot that is free from now on.
pub(super) fn encode(version: u64, record: Option<&Record>) -> Vec<u8> {
    let mut bytes = vec![0; HEAD_BYTES];
    if let Some(record) = record {
        content(record, &mut bytes);
    }
    let length = (bytes.len() - HEAD_BYTES) as u32;
    bytes[..8].copy_from_slice(&version.to_le_bytes());
    bytes[8..12].copy_from_slice(&length.to_le_bytes());
    let sum = crc32c(&bytes);
    bytes[12..16].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn content(record: &Record, bytes: &mut Vec<u8>) {
    let stage = match record.stage {
        Stage::Creating => 0,
        Stage::Incomplete => 1,
        Stage::Complete => 2,
        Stage::Lost => 3,
    };
    let flag = |set: bool, bit: u8| if set { 1 << bit } else { 0 };
    let flags = flag(record.begun, 0) | flag(record.dirty, 1) | flag(record.unlinked, 2);
    bytes.extend([SHAPE, stage, flags]);
    for word in [record.node, record.parent, record.inode.0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(record.next.map_or(0, |next| next.0).to_le_bytes());
    bytes.extend(record.base.map_or(0, |length| length + 1).to_le_bytes());
    for word in [record.caller, record.mode, record.uid, record.gid, record.opens] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(record.operation.0.to_le_bytes());
    bytes.extend(record.beside.map_or(0, |beside| beside.0).to_le_bytes());
    let wanted = &record.wanted;
    for time in [wanted.modified, wanted.accessed] {
        let nanos = time.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX - 1));
        bytes.extend(nanos.map_or(0, |nanos| nanos + 1).to_le_bytes());
    }
    for word in [wanted.mode, wanted.uid, wanted.gid] {
        bytes.extend(word.map_or(0, |word| u64::from(word) + 1).to_le_bytes());
    }
    bytes.extend(record.name.as_bytes());
}

/// Bytes that are eaten from the front.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*front)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.array()?))
    }

    /// A number that may be missing: kept as one more.
    fn maybe(&mut self) -> Option<Option<u64>> {
        Some(self.u64()?.checked_sub(1))
    }

    fn maybe_time(&mut self) -> Option<Option<Duration>> {
        Some(self.maybe()?.map(Duration::from_nanos))
    }

    fn maybe_u32(&mut self) -> Option<Option<u32>> {
        let number = self.maybe()?;
        number.map_or(Some(None), |number| u32::try_from(number).ok().map(Some))
    }
}

fn read(bytes: &[u8]) -> Option<Record> {
    let mut bytes = Bytes(bytes);
    let [shape, stage, flags] = bytes.array()?;
    if shape != SHAPE {
        return None;
    }
    let stage = match stage {
        0 => Stage::Creating,
        1 => Stage::Incomplete,
        2 => Stage::Complete,
        3 => Stage::Lost,
        _ => return None,
    };
    let (node, parent, inode) = (bytes.u64()?, bytes.u64()?, InodeId(bytes.u64()?));
    let next = Some(InodeId(bytes.u64()?)).filter(|next| next.0 != 0);
    let base = bytes.maybe()?;
    let (caller, mode, uid, gid) = (bytes.u32()?, bytes.u32()?, bytes.u32()?, bytes.u32()?);
    let opens = bytes.u32()?;
    let operation = OperationId(u128::from_le_bytes(bytes.array()?));
    let beside = Some(u128::from_le_bytes(bytes.array()?)).filter(|beside| *beside != 0);
    let beside = beside.map(OperationId);
    let wanted = Wanted {
        modified: bytes.maybe_time()?,
        accessed: bytes.maybe_time()?,
        mode: bytes.maybe_u32()?,
        uid: bytes.maybe_u32()?,
        gid: bytes.maybe_u32()?,
    };
    let name = std::str::from_utf8(bytes.0).ok()?.to_owned();
    let (begun, dirty, unlinked) = (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0);
    Some(Record {
        node,
        parent,
        name,
        caller,
        inode,
        stage,
        begun,
        beside,
        next,
        base,
        dirty,
        unlinked,
        opens,
        mode,
        uid,
        gid,
        wanted,
        operation,
    })
}

/// One version that is whole: its number, and its content.
fn whole(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut head = Bytes(bytes);
    let (version, length, sum) = (head.u64()?, head.u32()?, head.u32()?);
    let all = bytes.get(..HEAD_BYTES.checked_add(length as usize)?)?;
    let mut summed = all.to_vec();
    summed[12..16].fill(0);
    (version > 0 && crc32c(&summed) == sum).then_some((version, &all[HEAD_BYTES..]))
}

/// What a slot says.
pub(super) fn decode(slot: &[u8]) -> Found {
    let newest = slot.chunks(VERSION_BYTES).filter_map(whole).max_by_key(|(version, _)| *version);
    match newest {
        Some((version, [])) => Found::Free(version),
        Some((version, content)) => match read(content) {
            Some(record) => Found::Draft(version, Box::new(record)),
            None => Found::Damaged,
        },
        None if slot.iter().all(|byte| *byte == 0) => Found::Free(0),
        None => Found::Damaged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record() -> impl Strategy<Value = Record> {
        let stage = prop::sample::select(vec![
            Stage::Creating,
            Stage::Incomplete,
            Stage::Complete,
            Stage::Lost,
        ]);
        let words = (any::<[u64; 3]>(), any::<[u32; 4]>(), any::<[bool; 3]>(), any::<u128>());
        let wanted = (any::<[Option<u32>; 3]>(), any::<[Option<u32>; 2]>());
        (stage, words, wanted, "[^/\0]{1,300}", 0u64..9).prop_map(
            |(stage, (wide, narrow, flags, operation), (words, times), name, next)| Record {
                node: wide[0],
                parent: wide[1],
                name,
                caller: narrow[0],
                inode: InodeId(wide[2]),
                stage,
                begun: flags[0],
                beside: Some(OperationId(operation >> 1)).filter(|beside| beside.0 != 0),
                next: Some(InodeId(next)).filter(|next| next.0 != 0),
                base: words[1].map(u64::from),
                dirty: flags[1],
                unlinked: flags[2],
                opens: narrow[3] / 2,
                mode: narrow[1],
                uid: narrow[2],
                gid: narrow[3],
                wanted: Wanted {
                    modified: times[0].map(|nanos| Duration::from_nanos(nanos.into())),
                    accessed: times[1].map(|nanos| Duration::from_nanos(nanos.into())),
                    mode: words[0],
                    uid: words[1],
                    gid: words[2],
                },
                operation: OperationId(operation),
            },
        )
    }

    proptest! {
        #[test]
        fn a_version_that_is_cut_off_leaves_the_one_before(
            old in record(), new in record(), cut in 0usize..VERSION_BYTES,
        ) {
            let mut slot = vec![0; SLOT_BYTES];
            let (first, second) = (encode(6, Some(&old)), encode(7, Some(&new)));
            slot[..first.len()].copy_from_slice(&first);
            prop_assert_eq!(decode(&slot), Found::Draft(6, Box::new(old.clone())));
            let cut = cut.min(second.len());
            slot[VERSION_BYTES..VERSION_BYTES + cut].copy_from_slice(&second[..cut]);
            let found = decode(&slot);
            if cut < second.len() && second[cut..].iter().any(|byte| *byte != 0) {
                prop_assert_eq!(found, Found::Draft(6, Box::new(old)));
            } else {
                prop_assert_eq!(found, Found::Draft(7, Box::new(new)));
            }
            let free = encode(8, None);
            slot[..free.len()].copy_from_slice(&free);
            prop_assert_eq!(decode(&slot), Found::Free(8));
        }

        #[test]
        fn bytes_of_any_kind_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut slot = bytes;
            slot.resize(SLOT_BYTES, 0);
            prop_assert!(!matches!(decode(&slot), Found::Draft(..)));
        }
    }

    #[test]
    fn another_shape_is_damaged_and_not_misread() {
        let mut content = vec![SHAPE + 1, 0, 0];
        content.extend([0; 200]);
        let mut slot = vec![0; HEAD_BYTES];
        slot.extend(&content);
        slot[..8].copy_from_slice(&1u64.to_le_bytes());
        slot[8..12].copy_from_slice(&(content.len() as u32).to_le_bytes());
        let sum = crc32c(&slot);
        slot[12..16].copy_from_slice(&sum.to_le_bytes());
        slot.resize(SLOT_BYTES, 0);
        assert_eq!(decode(&slot), Found::Damaged);
        assert_eq!(decode(&[0; SLOT_BYTES]), Found::Free(0));
    }
}
