//! An inode outside its shard: copies of records, and the way from and to the journal's words.

use crate::namespace::Namespace;
use crate::table::compact::{U48, U64};
use crate::table::ids::Location;
use crate::table::record::{Perm, Rare, Record, time};
use crate::table::shard::Shard;
use alluxio_types::{FileKind, Fingerprint, InodeId, InodeRecord, Mode, UnixMillis};

/// The part of a record that a walk needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Brief {
    pub(crate) location: Location,
    pub(crate) container: u64,
    pub(crate) seq: u64,
    pub(crate) perm: u32,
    /// Position of a directory's node in the shard of its own id; `None` for a file.
    pub(crate) node: Option<u32>,
}

impl Brief {
    pub(crate) fn of(shard: &Shard, location: Location) -> Self {
        let record = shard.records.at(location.slot());
        Brief {
            location,
            container: record.container.get(),
            seq: record.seq.get(),
            perm: record.perm,
            node: record.node(),
        }
    }

    pub(crate) fn id(&self) -> InodeId {
        InodeId::from_container(self.container)
    }
}

/// A whole inode, copied out of its shard.
#[derive(Clone)]
pub(crate) struct Inode {
    pub(crate) brief: Brief,
    pub(crate) record: Record,
    pub(crate) name: String,
    pub(crate) rare: Rare,
    print: Vec<u8>,
}

impl Inode {
    /// Copies the record at `location`.
    pub(crate) fn of(shard: &Shard, location: Location) -> Self {
        let slot = location.slot();
        let record = *shard.records.at(slot);
        Inode {
            brief: Brief::of(shard, location),
            record,
            name: shard.name(slot).to_owned(),
            rare: shard.rare(slot),
            print: shard.print(slot).to_vec(),
        }
    }

    pub(crate) fn id(&self) -> InodeId {
        self.brief.id()
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.record.is_directory()
    }

    pub(crate) fn kind(&self) -> FileKind {
        kind_of(&self.record, &self.rare)
    }

    pub(crate) fn perm<'a>(&self, namespace: &'a Namespace) -> &'a Perm {
        namespace.perms.get(self.record.perm)
    }

    pub(crate) fn fingerprint(&self, namespace: &Namespace) -> Fingerprint {
        let Record { shape, modified, .. } = self.record;
        let text =
            namespace.shapes.unpack(shape, &self.print, self.record.length(), modified.get());
        Fingerprint(text)
    }
}

/// What a record is. A link has a target, and nothing else has one.
fn kind_of(record: &Record, rare: &Rare) -> FileKind {
    match (record.is_directory(), &rare.target) {
        (true, _) => FileKind::Directory,
        (false, Some(_)) => FileKind::Symlink,
        (false, None) => FileKind::File,
    }
}

/// Writes the record at `slot`, whose directory is `parent`, into `to` in the journal's words. The texts
/// that were there lend their room.
pub(crate) fn write_record(
    namespace: &Namespace,
    shard: &Shard,
    slot: u32,
    parent: u64,
    to: &mut InodeRecord,
) {
    let record = shard.records.at(slot);
    let (perm, rare) = (namespace.perms.get(record.perm), shard.rare(slot));
    let (length, modified) = (record.length(), record.modified.get());
    let InodeRecord { name, owner, group, fingerprint, target, .. } = to;
    target.clear();
    target.push_str(rare.target.as_deref().unwrap_or_default());
    shard.name(slot).clone_into(name);
    perm.owner.clone_into(owner);
    perm.group.clone_into(group);
    let print = &mut fingerprint.0;
    namespace.shapes.unpack_into(print, record.shape, shard.print(slot), length, modified);
    *to = InodeRecord {
        id: record.id(),
        parent: InodeId::from_container(parent),
        name: std::mem::take(name),
        kind: kind_of(record, &rare),
        owner: std::mem::take(owner),
        group: std::mem::take(group),
        mode: perm.mode,
        created: UnixMillis(record.created.get()),
        modified: UnixMillis(modified),
        accessed: UnixMillis(record.accessed.get()),
        length,
        block_size_bytes: record.block_size.get(),
        completed: record.completed(),
        pinned: record.pinned(),
        persistence: record.persistence(),
        fingerprint: Fingerprint(std::mem::take(print)),
        ttl_ms: rare.ttl_ms,
        ttl_action: rare.ttl_action,
        replication_min: rare.replication_min,
        replication_max: rare.replication_max,
        children_loaded: record.children_loaded(),
        xattr: rare.xattr,
        target: std::mem::take(target),
        quota: rare.quota,
    };
}

/// The record at `slot` in the journal's words; see [`write_record`].
pub(crate) fn record_at(
    namespace: &Namespace,
    shard: &Shard,
    slot: u32,
    parent: u64,
) -> InodeRecord {
    let mut record = InodeRecord::blank();
    write_record(namespace, shard, slot, parent, &mut record);
    record
}

/// A record that is ready to go into a shard.
pub(crate) struct NewRecord<'a> {
    pub(crate) record: Record,
    pub(crate) name: &'a str,
    pub(crate) shape: u32,
    print: Vec<u8>,
    pub(crate) rare: Rare,
}

impl<'a> NewRecord<'a> {
    /// From the journal's words. Numbers that the record cannot hold (times beyond the year 10889,
    /// block sizes beyond 256 TiB, which `plan` refuses) are cut.
    pub(crate) fn of(namespace: &Namespace, from: &'a InodeRecord, seq: u64) -> Self {
        let mut record = Record::new(from.id, from.kind == FileKind::Directory);
        record.seq = U48::saturating(seq);
        record.created = time(from.created);
        record.modified = time(from.modified);
        record.accessed = time(from.accessed);
        record.block_size = U48::saturating(from.block_size_bytes);
        record.perm = namespace.intern_perm(&from.owner, &from.group, from.mode);
        record.set_completed(from.completed);
        record.set_pinned(from.pinned);
        record.set_persistence(from.persistence);
        record.set_children_loaded(from.children_loaded);
        if from.kind != FileKind::Directory {
            record.set_length(from.length);
        }
        let (shape, print) =
            namespace.shapes.pack(&from.fingerprint.0, record.length(), record.modified.get());
        let rare = Rare {
            ttl_ms: from.ttl_ms,
            ttl_action: from.ttl_action,
            replication_min: from.replication_min,
            replication_max: from.replication_max,
            xattr: from.xattr.clone(),
            target: (from.kind == FileKind::Symlink).then(|| from.target.as_str().into()),
            quota: from.quota,
        };
        NewRecord { record, name: &from.name, shape, print, rare }
    }

    pub(crate) fn insert_into(&self, shard: &mut Shard) -> u32 {
        shard.insert(self.record, self.name, self.shape, &self.print, self.rare.clone())
    }
}

impl Namespace {
    pub(crate) fn intern_perm(&self, owner: &str, group: &str, mode: Mode) -> u32 {
        let same = |perm: &Perm| perm.owner == owner && perm.group == group && perm.mode == mode;
        let make = || Perm { owner: owner.to_owned(), group: group.to_owned(), mode };
        self.perms.intern(&(owner, group, mode), same, make)
    }
}

// Lengths are full 64 bits; everything else that is a number of the file system fits in 48.
const _: () = assert!(size_of::<U64>() == 8 && size_of::<U48>() == 6);
