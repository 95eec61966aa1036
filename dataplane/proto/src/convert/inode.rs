//! Inodes of a checkpoint as bytes, with no message in between: there may be a hundred million of them,
//! and copying four texts for each would cost more than all the rest. The bytes are those of
//! `alluxio.journal.v1.Inode`, to the last bit.

use super::journal::{
    EntryError, kind_from_pb, kind_to_pb, malformed, mode_from_pb, persistence_from_pb,
    persistence_to_pb, ttl_action_from_pb, ttl_action_to_pb, xattrs_from_pb, xattrs_to_pb,
};
use crate::v1::journal::inode::Xattr;
use alluxio_types::{InodeId, InodeRecord, Quota, UnixMillis};
use bytes::BufMut;
use prost::encoding::{self, DecodeContext, WireType};

/// Something that sees the fields of an inode in the order of their numbers: those that are not as a
/// reader would find them anyway.
#[expect(clippy::ptr_arg, reason = "prost's encoder takes a String")]
trait Fields {
    fn number(&mut self, tag: u32, value: u64);
    fn text(&mut self, tag: u32, value: &String);
    fn xattr(&mut self, tag: u32, value: &Xattr);

    fn unless_zero(&mut self, tag: u32, value: u64) {
        if value != 0 {
            self.number(tag, value);
        }
    }

    fn unless_empty(&mut self, tag: u32, value: &String) {
        if !value.is_empty() {
            self.text(tag, value);
        }
    }
}

fn walk(record: &InodeRecord, to: &mut impl Fields) {
    // All of them by name: a new field does not compile until it is written.
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
    } = record;
    to.unless_zero(1, id.0);
    to.unless_zero(2, parent.0);
    to.unless_empty(3, name);
    to.unless_zero(4, kind_to_pb(*kind) as u64);
    to.unless_empty(5, owner);
    to.unless_empty(6, group);
    to.unless_zero(7, mode.0.into());
    to.unless_zero(8, created.0);
    to.unless_zero(9, modified.0);
    to.unless_zero(10, accessed.0);
    to.unless_zero(11, *length);
    to.unless_zero(12, *block_size_bytes);
    to.unless_zero(13, (*completed).into());
    to.unless_zero(14, (*pinned).into());
    to.unless_zero(15, persistence_to_pb(*persistence) as u64);
    to.unless_empty(16, &fingerprint.0);
    if let Some(ttl_ms) = ttl_ms {
        to.number(17, *ttl_ms);
    }
    to.unless_zero(18, ttl_action_to_pb(*ttl_action) as u64);
    to.unless_zero(19, (*replication_min).into());
    if let Some(max) = replication_max {
        to.number(20, (*max).into());
    }
    to.unless_zero(21, (*children_loaded).into());
    xattrs_to_pb(xattr).for_each(|one| to.xattr(22, &one));
    to.unless_empty(23, target);
    if let Some(bytes) = quota.bytes {
        to.number(24, bytes);
    }
    if let Some(inodes) = quota.inodes {
        to.number(25, inodes);
    }
}

struct Length(usize);

impl Fields for Length {
    fn number(&mut self, tag: u32, value: u64) {
        self.0 += encoding::uint64::encoded_len(tag, &value);
    }

    fn text(&mut self, tag: u32, value: &String) {
        self.0 += encoding::string::encoded_len(tag, value);
    }

    fn xattr(&mut self, tag: u32, value: &Xattr) {
        self.0 += encoding::message::encoded_len(tag, value);
    }
}

struct Bytes<'a, B>(&'a mut B);

impl<B: BufMut> Fields for Bytes<'_, B> {
    fn number(&mut self, tag: u32, value: u64) {
        encoding::uint64::encode(tag, &value, self.0);
    }

    fn text(&mut self, tag: u32, value: &String) {
        encoding::string::encode(tag, value, self.0);
    }

    fn xattr(&mut self, tag: u32, value: &Xattr) {
        encoding::message::encode(tag, value, self.0);
    }
}

/// Bytes of the message.
pub(super) fn encoded_len(record: &InodeRecord) -> usize {
    let mut length = Length(0);
    walk(record, &mut length);
    length.0
}

/// Appends the message, without its length.
pub(super) fn encode(record: &InodeRecord, out: &mut impl BufMut) {
    walk(record, &mut Bytes(out));
}

/// Reads the message that is all of `bytes` into `record`, whatever that held.
///
/// **Errors**: `Malformed`, `BadField`; `record` is then of no use.
pub(super) fn decode(record: &mut InodeRecord, mut bytes: &[u8]) -> Result<(), EntryError> {
    let InodeRecord { name, owner, group, fingerprint, target, .. } = record;
    [name, owner, group, &mut fingerprint.0, target].into_iter().for_each(String::clear);
    let context = DecodeContext::default();
    let (mut seen, mut xattrs) = (Numbers::default(), Vec::new());
    while !bytes.is_empty() {
        let (tag, wire) = encoding::decode_key(&mut bytes).map_err(malformed)?;
        let text = match tag {
            3 => Some(&mut record.name),
            5 => Some(&mut record.owner),
            6 => Some(&mut record.group),
            16 => Some(&mut record.fingerprint.0),
            23 => Some(&mut record.target),
            _ => None,
        };
        match (text, tag) {
            (Some(text), _) => encoding::string::merge(wire, text, &mut bytes, context.clone()),
            (None, 22) => {
                encoding::message::merge_repeated(wire, &mut xattrs, &mut bytes, context.clone())
            }
            (None, 1..=21 | 24..=25) => seen.merge(tag, wire, &mut bytes, context.clone()),
            (None, _) => encoding::skip_field(wire, tag, &mut bytes, context.clone()),
        }
        .map_err(malformed)?;
    }
    record.xattr = xattrs_from_pb(xattrs);
    seen.into_record(record)
}

/// The fields that are numbers, by their tags.
#[derive(Default)]
struct Numbers {
    value: [u64; 26],
    present: u32,
}

impl Numbers {
    fn merge(
        &mut self,
        tag: u32,
        wire: WireType,
        bytes: &mut &[u8],
        context: DecodeContext,
    ) -> Result<(), prost::DecodeError> {
        self.present |= 1 << tag;
        encoding::uint64::merge(wire, &mut self.value[tag as usize], bytes, context)
    }

    fn option(&self, tag: u32) -> Option<u64> {
        (self.present & 1 << tag != 0).then(|| self.value[tag as usize])
    }

    /// A field of 32 bits: a reader drops what is above them, as the protocol says.
    #[expect(clippy::cast_possible_truncation, reason = "that is its purpose")]
    const fn narrow(&self, tag: usize) -> u32 {
        self.value[tag] as u32
    }

    fn into_record(self, record: &mut InodeRecord) -> Result<(), EntryError> {
        let value = &self.value;
        record.id = InodeId(value[1]);
        record.parent = InodeId(value[2]);
        record.kind = kind_from_pb(self.narrow(4).cast_signed())?;
        record.mode = mode_from_pb(self.narrow(7))?;
        record.created = UnixMillis(value[8]);
        record.modified = UnixMillis(value[9]);
        record.accessed = UnixMillis(value[10]);
        record.length = value[11];
        record.block_size_bytes = value[12];
        record.completed = value[13] != 0;
        record.pinned = value[14] != 0;
        record.persistence = persistence_from_pb(self.narrow(15).cast_signed())?;
        record.ttl_ms = self.option(17);
        record.ttl_action = ttl_action_from_pb(self.narrow(18).cast_signed())?;
        record.replication_min = self.narrow(19);
        record.replication_max = self.option(20).map(|_| self.narrow(20));
        record.children_loaded = value[21] != 0;
        record.quota = Quota { bytes: self.option(24), inodes: self.option(25) };
        Ok(())
    }
}
