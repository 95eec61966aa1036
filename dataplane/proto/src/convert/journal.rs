//! Journal entries and checkpoint items as bytes. Golden files beside the crate hold what every
//! version has to read for ever.

use super::inode;
use crate::v1::journal as pb;
use alluxio_types::{
    AlluxioPath, Answer, AttributeChanges, CheckpointRecord, Entry, FileKind, Fingerprint, InodeId,
    InodeRecord, IntendedChange, Intent, Mode, MountId, MountInfo, MountOptions, OperationId,
    PersistenceState, Quota, TtlAction, UnixMillis, Xattrs,
};
use prost::Message;
use prost::encoding::{self, WireType};

/// Most bytes of one encoded entry: a mount with large options, or a name of the longest kind, stay
/// far below it. Decoding refuses more, so that a damaged length cannot ask for memory.
pub const ENTRY_BYTES_MAX: usize = 4 << 20;

/// Why bytes are no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// More than [`ENTRY_BYTES_MAX`].
    #[error("{length_bytes} bytes, the limit is {ENTRY_BYTES_MAX}")]
    TooLarge {
        /// How many.
        length_bytes: u64,
    },
    /// Not a message of this kind.
    #[error("malformed message: {what}")]
    Malformed {
        /// What the decoder said.
        what: String,
    },
    /// A message with nothing that this version knows inside: a later version wrote it.
    #[error("unknown kind of entry, written by a later version")]
    UnknownKind,
    /// A field has a value that this version does not know, or that makes no sense.
    #[error("field {field} has the value {value:?}")]
    BadField {
        /// Its name.
        field: &'static str,
        /// What it holds.
        value: String,
    },
}

/// Appends the bytes of `entry` to `out`. The same entry always gives the same bytes.
pub fn encode_entry(entry: &Entry, out: &mut Vec<u8>) {
    entry_to_pb(entry).encode(out).expect("a Vec grows as needed");
}

fn entry_to_pb(entry: &Entry) -> pb::JournalEntry {
    use pb::journal_entry::Entry as Pb;
    let entry = match entry {
        Entry::Format { cluster_id, at } => {
            Pb::Format(pb::FormatEntry { cluster_id: cluster_id.clone(), at_unix_ms: at.0 })
        }
        Entry::Create(record) => Pb::Create(inode_to_pb(record)),
        Entry::Complete { id, length, modified, persistence, fingerprint } => {
            Pb::Complete(pb::CompleteEntry {
                id: id.0,
                length_bytes: *length,
                modified_unix_ms: modified.0,
                persistence: persistence_to_pb(*persistence).into(),
                fingerprint: fingerprint.0.clone(),
            })
        }
        Entry::Delete { id, modified } => {
            Pb::Delete(pb::DeleteEntry { id: id.0, modified_unix_ms: modified.0 })
        }
        Entry::Rename { id, parent, name, modified } => Pb::Rename(pb::RenameEntry {
            id: id.0,
            parent: parent.0,
            name: name.clone(),
            modified_unix_ms: modified.0,
        }),
        Entry::SetAttributes { id, changes } => Pb::SetAttributes(changes_to_pb(*id, changes)),
        Entry::SetPersistence { id, state, fingerprint } => {
            Pb::SetPersistence(pb::SetPersistenceEntry {
                id: id.0,
                state: persistence_to_pb(*state).into(),
                fingerprint: fingerprint.0.clone(),
            })
        }
        Entry::Mount(mount) => Pb::Mount(mount_to_pb(mount)),
        Entry::UpdateMount(mount) => Pb::UpdateMount(mount_to_pb(mount)),
        Entry::Unmount { id } => Pb::Unmount(pb::UnmountEntry { id: id.0 }),
        Entry::ReserveContainers { next } => {
            Pb::ReserveContainers(pb::ReserveContainersEntry { next: *next })
        }
        Entry::Answered { operation, answer } => Pb::Answered(answered_to_pb(*operation, *answer)),
        Entry::Intent(intent) => Pb::Intent(intent_to_pb(intent)),
        Entry::IntentEnd { id } => Pb::IntentEnd(pb::IntentEndEntry { id: *id }),
        Entry::Group(entries) => {
            Pb::Group(pb::GroupEntry { entries: entries.iter().map(entry_to_pb).collect() })
        }
    };
    pb::JournalEntry { entry: Some(entry) }
}

/// Reads what [`encode_entry`] wrote. `bytes` may be anything at all.
///
/// **Errors**: every variant of [`EntryError`].
pub fn decode_entry(bytes: &[u8]) -> Result<Entry, EntryError> {
    entry_from_pb(decode(bytes)?)
}

fn entry_from_pb(message: pb::JournalEntry) -> Result<Entry, EntryError> {
    use pb::journal_entry::Entry as Pb;
    Ok(match message.entry.ok_or(EntryError::UnknownKind)? {
        Pb::Format(e) => Entry::Format { cluster_id: e.cluster_id, at: UnixMillis(e.at_unix_ms) },
        Pb::Create(inode) => Entry::Create(Box::new(inode_from_pb(inode)?)),
        Pb::Complete(e) => Entry::Complete {
            id: InodeId(e.id),
            length: e.length_bytes,
            modified: UnixMillis(e.modified_unix_ms),
            persistence: persistence_from_pb(e.persistence)?,
            fingerprint: Fingerprint(e.fingerprint),
        },
        Pb::Delete(e) => {
            Entry::Delete { id: InodeId(e.id), modified: UnixMillis(e.modified_unix_ms) }
        }
        Pb::Rename(e) => Entry::Rename {
            id: InodeId(e.id),
            parent: InodeId(e.parent),
            name: e.name,
            modified: UnixMillis(e.modified_unix_ms),
        },
        Pb::SetAttributes(e) => changes_from_pb(e)?,
        Pb::SetPersistence(e) => Entry::SetPersistence {
            id: InodeId(e.id),
            state: persistence_from_pb(e.state)?,
            fingerprint: Fingerprint(e.fingerprint),
        },
        Pb::Mount(mount) => Entry::Mount(mount_from_pb(mount)?),
        Pb::UpdateMount(mount) => Entry::UpdateMount(mount_from_pb(mount)?),
        Pb::Unmount(e) => Entry::Unmount { id: MountId(e.id) },
        Pb::ReserveContainers(e) => Entry::ReserveContainers { next: e.next },
        Pb::Answered(e) => {
            let (operation, answer) = answered_from_pb(e)?;
            Entry::Answered { operation, answer }
        }
        Pb::Intent(e) => Entry::Intent(Box::new(intent_from_pb(e)?)),
        Pb::IntentEnd(e) => Entry::IntentEnd { id: e.id },
        Pb::Group(e) => {
            let entries: Vec<Entry> =
                e.entries.into_iter().map(entry_from_pb).collect::<Result<_, _>>()?;
            if entries.iter().any(|entry| matches!(entry, Entry::Group(_))) {
                return Err(bad("group", "a group inside a group"));
            }
            Entry::Group(entries)
        }
    })
}

/// Number of the field of `CheckpointItem` that holds an inode.
const INODE: u32 = 4;

/// Appends the bytes of `record` to `out`, with their length before them as a varint.
pub fn encode_checkpoint_record(record: &CheckpointRecord, out: &mut Vec<u8>) {
    use pb::checkpoint_item::Item;
    let item = match record {
        CheckpointRecord::Cluster { cluster_id, formatted } => Item::Cluster(pb::FormatEntry {
            cluster_id: cluster_id.clone(),
            at_unix_ms: formatted.0,
        }),
        CheckpointRecord::NextContainer(next) => Item::NextContainer(*next),
        CheckpointRecord::Mount(mount) => Item::Mount(mount_to_pb(mount)),
        CheckpointRecord::Answered { operation, answer } => {
            Item::Answered(answered_to_pb(*operation, *answer))
        }
        CheckpointRecord::Intent(intent) => Item::Intent(intent_to_pb(intent)),
        CheckpointRecord::Inode(inode) => return encode_inode_item(inode, out),
    };
    let message = pb::CheckpointItem { item: Some(item) };
    message.encode_length_delimited(out).expect("a Vec grows as needed");
}

fn encode_inode_item(record: &InodeRecord, out: &mut Vec<u8>) {
    let length = inode::encoded_len(record);
    let item = encoding::key_len(INODE) + encoding::encoded_len_varint(length as u64) + length;
    encoding::encode_varint(item as u64, out);
    encoding::encode_key(INODE, WireType::LengthDelimited, out);
    encoding::encode_varint(length as u64, out);
    inode::encode(record, out);
}

/// Takes the first record off `bytes`, which must not be empty.
///
/// **Errors**: every variant of [`EntryError`]; `bytes` is then of no more use.
pub fn decode_checkpoint_record(bytes: &mut &[u8]) -> Result<CheckpointRecord, EntryError> {
    let mut record = CheckpointRecord::NextContainer(0);
    decode_checkpoint_record_into(&mut record, bytes)?;
    Ok(record)
}

/// As [`decode_checkpoint_record`], into `record`: an inode takes the room of the one that was there.
/// After an error `record` may be anything.
///
/// **Errors**: as [`decode_checkpoint_record`].
pub fn decode_checkpoint_record_into(
    record: &mut CheckpointRecord,
    bytes: &mut &[u8],
) -> Result<(), EntryError> {
    use pb::checkpoint_item::Item;
    let item = delimited(bytes)?;
    if let Some(inode) = inode_of(item) {
        if !matches!(record, CheckpointRecord::Inode(_)) {
            *record = CheckpointRecord::Inode(Box::new(InodeRecord::blank()));
        }
        let CheckpointRecord::Inode(record) = record else { unreachable!("just made one") };
        return inode::decode(record, inode);
    }
    let message: pb::CheckpointItem = decode(item)?;
    *record = match message.item.ok_or(EntryError::UnknownKind)? {
        Item::Cluster(e) => CheckpointRecord::Cluster {
            cluster_id: e.cluster_id,
            formatted: UnixMillis(e.at_unix_ms),
        },
        Item::NextContainer(next) => CheckpointRecord::NextContainer(next),
        Item::Mount(mount) => CheckpointRecord::Mount(mount_from_pb(mount)?),
        Item::Answered(e) => {
            let (operation, answer) = answered_from_pb(e)?;
            CheckpointRecord::Answered { operation, answer }
        }
        Item::Intent(e) => CheckpointRecord::Intent(Box::new(intent_from_pb(e)?)),
        Item::Inode(inode) => CheckpointRecord::Inode(Box::new(inode_from_pb(inode)?)),
    };
    Ok(())
}

/// Takes a length and as many bytes off `bytes`.
fn delimited<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], EntryError> {
    let length = encoding::decode_varint(bytes).map_err(malformed)?;
    let split = usize::try_from(length).ok().and_then(|length| bytes.split_at_checked(length));
    let Some((taken, rest)) = split else {
        return Err(EntryError::Malformed { what: "record beyond the end".into() });
    };
    *bytes = rest;
    Ok(taken)
}

/// The inode's message when that is all that an item holds.
fn inode_of(mut item: &[u8]) -> Option<&[u8]> {
    let (tag, wire) = encoding::decode_key(&mut item).ok()?;
    let inode = (tag == INODE && wire == WireType::LengthDelimited).then_some(item);
    let inode = delimited(&mut inode?).ok().filter(|inode| inode.len() <= ENTRY_BYTES_MAX)?;
    // Anything behind it is for the general way to judge.
    (encoding::encoded_len_varint(inode.len() as u64) + inode.len() == item.len()).then_some(inode)
}

fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, EntryError> {
    if bytes.len() > ENTRY_BYTES_MAX {
        return Err(EntryError::TooLarge { length_bytes: bytes.len() as u64 });
    }
    M::decode(bytes).map_err(malformed)
}

pub(super) fn malformed(error: prost::DecodeError) -> EntryError {
    EntryError::Malformed { what: error.to_string() }
}

pub(super) fn bad(field: &'static str, value: impl ToString) -> EntryError {
    EntryError::BadField { field, value: value.to_string() }
}

fn inode_to_pb(record: &InodeRecord) -> pb::Inode {
    pb::Inode {
        id: record.id.0,
        parent: record.parent.0,
        name: record.name.clone(),
        kind: kind_to_pb(record.kind).into(),
        owner: record.owner.clone(),
        group: record.group.clone(),
        mode: record.mode.0.into(),
        created_unix_ms: record.created.0,
        modified_unix_ms: record.modified.0,
        accessed_unix_ms: record.accessed.0,
        length_bytes: record.length,
        block_size_bytes: record.block_size_bytes,
        completed: record.completed,
        pinned: record.pinned,
        persistence: persistence_to_pb(record.persistence).into(),
        fingerprint: record.fingerprint.0.clone(),
        ttl_ms: record.ttl_ms,
        ttl_action: ttl_action_to_pb(record.ttl_action).into(),
        replication_min: record.replication_min,
        replication_max: record.replication_max,
        children_loaded: record.children_loaded,
        xattr: xattrs_to_pb(&record.xattr).collect(),
        target: record.target.clone(),
        quota_bytes: record.quota.bytes,
        quota_inodes: record.quota.inodes,
    }
}

pub(super) fn xattrs_to_pb(xattr: &Xattrs) -> impl Iterator<Item = pb::inode::Xattr> {
    let message = |(name, value): (&str, &[u8])| pb::inode::Xattr {
        name: name.to_owned(),
        value: value.to_vec().into(),
    };
    xattr.iter().map(message)
}

pub(super) fn xattrs_from_pb(all: impl IntoIterator<Item = pb::inode::Xattr>) -> Xattrs {
    all.into_iter().map(|xattr| (xattr.name, xattr.value.into())).collect()
}

fn inode_from_pb(inode: pb::Inode) -> Result<InodeRecord, EntryError> {
    Ok(InodeRecord {
        id: InodeId(inode.id),
        parent: InodeId(inode.parent),
        kind: kind_from_pb(inode.kind)?,
        mode: mode_from_pb(inode.mode)?,
        persistence: persistence_from_pb(inode.persistence)?,
        ttl_action: ttl_action_from_pb(inode.ttl_action)?,
        name: inode.name,
        owner: inode.owner,
        group: inode.group,
        created: UnixMillis(inode.created_unix_ms),
        modified: UnixMillis(inode.modified_unix_ms),
        accessed: UnixMillis(inode.accessed_unix_ms),
        length: inode.length_bytes,
        block_size_bytes: inode.block_size_bytes,
        completed: inode.completed,
        pinned: inode.pinned,
        fingerprint: Fingerprint(inode.fingerprint),
        ttl_ms: inode.ttl_ms,
        replication_min: inode.replication_min,
        replication_max: inode.replication_max,
        children_loaded: inode.children_loaded,
        xattr: xattrs_from_pb(inode.xattr),
        target: inode.target,
        quota: Quota { bytes: inode.quota_bytes, inodes: inode.quota_inodes },
    })
}

fn mount_to_pb(mount: &MountInfo) -> pb::Mount {
    pb::Mount {
        id: mount.id.0,
        path: mount.path.as_str().to_owned(),
        ufs_uri: mount.ufs_uri.clone(),
        read_only: mount.read_only,
        shared: mount.shared,
        options: mount.options.0.clone(),
    }
}

fn mount_from_pb(mount: pb::Mount) -> Result<MountInfo, EntryError> {
    Ok(MountInfo {
        id: MountId(mount.id),
        path: AlluxioPath::parse(&mount.path).map_err(|_| bad("mount.path", &mount.path))?,
        ufs_uri: mount.ufs_uri,
        read_only: mount.read_only,
        shared: mount.shared,
        options: MountOptions(mount.options),
    })
}

fn changes_to_pb(id: InodeId, changes: &AttributeChanges) -> pb::SetAttributesEntry {
    use pb::set_attributes_entry::{ReplicationMax, Ttl, Xattr};
    let xattr = changes
        .xattr
        .iter()
        .map(|(name, value)| Xattr { name: name.clone(), value: value.clone().map(Into::into) });
    pb::SetAttributesEntry {
        id: id.0,
        owner: changes.owner.clone(),
        group: changes.group.clone(),
        mode: changes.mode.map(|mode| mode.0.into()),
        pinned: changes.pinned,
        ttl: changes.ttl_ms.map(|ms| Ttl { ms }),
        ttl_action: changes.ttl_action.map_or(0, |action| ttl_action_to_pb(action).into()),
        replication_min: changes.replication_min,
        replication_max: changes.replication_max.map(|copies| ReplicationMax { copies }),
        accessed_unix_ms: changes.accessed.map(|at| at.0),
        modified_unix_ms: changes.modified.map(|at| at.0),
        children_loaded: changes.children_loaded,
        xattr: xattr.collect(),
        quota: changes
            .quota
            .map(|Quota { bytes, inodes }| pb::set_attributes_entry::Quota { bytes, inodes }),
    }
}

fn changes_from_pb(e: pb::SetAttributesEntry) -> Result<Entry, EntryError> {
    let action = e.ttl_action;
    Ok(Entry::SetAttributes {
        id: InodeId(e.id),
        changes: AttributeChanges {
            owner: e.owner,
            group: e.group,
            mode: e.mode.map(mode_from_pb).transpose()?,
            pinned: e.pinned,
            ttl_ms: e.ttl.map(|ttl| ttl.ms),
            ttl_action: (action != 0).then(|| ttl_action_from_pb(action)).transpose()?,
            replication_min: e.replication_min,
            replication_max: e.replication_max.map(|max| max.copies),
            accessed: e.accessed_unix_ms.map(UnixMillis),
            modified: e.modified_unix_ms.map(UnixMillis),
            children_loaded: e.children_loaded,
            xattr: e.xattr.into_iter().map(|x| (x.name, x.value.map(Into::into))).collect(),
            quota: e.quota.map(|quota| Quota { bytes: quota.bytes, inodes: quota.inodes }),
        },
    })
}

fn answered_to_pb(operation: OperationId, answer: Answer) -> pb::AnsweredEntry {
    use pb::answered_entry::{Answer as Pb, Inode};
    let answer = match answer {
        Answer::Done { removed } => Pb::Done(removed),
        Answer::Inode { id, created } => Pb::Inode(Inode { id: id.0, created }),
        Answer::Mounted(id) => Pb::Mounted(id.0),
    };
    let (high, low) = halves(operation);
    pb::AnsweredEntry { operation_high: high, operation_low: low, answer: Some(answer) }
}

fn intent_to_pb(intent: &Intent) -> pb::IntentEntry {
    use pb::intent_entry::{Change, Delete, Operation, Rename};
    let operation = intent.operation.map(|operation| {
        let (high, low) = halves(operation);
        Operation { high, low }
    });
    let change = match &intent.change {
        IntendedChange::Delete { recursive, delete_mount_points } => Change::Delete(Delete {
            recursive: *recursive,
            delete_mount_points: *delete_mount_points,
        }),
        IntendedChange::Rename { target } => {
            Change::Rename(Rename { target: target.as_str().to_owned() })
        }
    };
    pb::IntentEntry {
        id: intent.id,
        operation,
        inode: intent.inode.0,
        path: intent.path.as_str().to_owned(),
        change: Some(change),
    }
}

fn intent_from_pb(e: pb::IntentEntry) -> Result<Intent, EntryError> {
    use pb::intent_entry::Change;
    let parse = |field, text: &str| AlluxioPath::parse(text).map_err(|_| bad(field, text));
    Ok(Intent {
        id: e.id,
        operation: e.operation.map(|o| OperationId(u128::from(o.high) << 64 | u128::from(o.low))),
        inode: InodeId(e.inode),
        path: parse("path", &e.path)?,
        change: match e.change.ok_or(EntryError::UnknownKind)? {
            Change::Delete(delete) => IntendedChange::Delete {
                recursive: delete.recursive,
                delete_mount_points: delete.delete_mount_points,
            },
            Change::Rename(rename) => {
                IntendedChange::Rename { target: parse("target", &rename.target)? }
            }
        },
    })
}

/// The high and the low 64 bits.
fn halves(operation: OperationId) -> (u64, u64) {
    ((operation.0 >> 64) as u64, (operation.0 & u128::from(u64::MAX)) as u64)
}

fn answered_from_pb(e: pb::AnsweredEntry) -> Result<(OperationId, Answer), EntryError> {
    use pb::answered_entry::Answer as Pb;
    let operation = (u128::from(e.operation_high) << 64) | u128::from(e.operation_low);
    let answer = match e.answer.ok_or(EntryError::UnknownKind)? {
        Pb::Done(removed) => Answer::Done { removed },
        Pb::Inode(inode) => Answer::Inode { id: InodeId(inode.id), created: inode.created },
        Pb::Mounted(id) => Answer::Mounted(MountId(id)),
    };
    Ok((OperationId(operation), answer))
}

pub(super) fn mode_from_pb(mode: u32) -> Result<Mode, EntryError> {
    u16::try_from(mode).map(Mode).map_err(|_| bad("mode", mode))
}

pub(super) const fn kind_to_pb(kind: FileKind) -> pb::Kind {
    match kind {
        FileKind::File => pb::Kind::File,
        FileKind::Directory => pb::Kind::Directory,
        FileKind::Symlink => pb::Kind::Symlink,
    }
}

pub(super) fn kind_from_pb(value: i32) -> Result<FileKind, EntryError> {
    match pb::Kind::try_from(value) {
        Ok(pb::Kind::File) => Ok(FileKind::File),
        Ok(pb::Kind::Directory) => Ok(FileKind::Directory),
        Ok(pb::Kind::Symlink) => Ok(FileKind::Symlink),
        Ok(pb::Kind::Unspecified) | Err(_) => Err(bad("kind", value)),
    }
}

pub(super) const fn persistence_to_pb(state: PersistenceState) -> pb::Persistence {
    match state {
        PersistenceState::NotPersisted => pb::Persistence::NotPersisted,
        PersistenceState::ToBePersisted => pb::Persistence::ToBePersisted,
        PersistenceState::Persisted => pb::Persistence::Persisted,
        PersistenceState::Lost => pb::Persistence::Lost,
    }
}

pub(super) fn persistence_from_pb(value: i32) -> Result<PersistenceState, EntryError> {
    match pb::Persistence::try_from(value) {
        Ok(pb::Persistence::NotPersisted) => Ok(PersistenceState::NotPersisted),
        Ok(pb::Persistence::ToBePersisted) => Ok(PersistenceState::ToBePersisted),
        Ok(pb::Persistence::Persisted) => Ok(PersistenceState::Persisted),
        Ok(pb::Persistence::Lost) => Ok(PersistenceState::Lost),
        Ok(pb::Persistence::Unspecified) | Err(_) => Err(bad("persistence", value)),
    }
}

pub(super) const fn ttl_action_to_pb(action: TtlAction) -> pb::TtlAction {
    match action {
        TtlAction::Free => pb::TtlAction::Free,
        TtlAction::Delete => pb::TtlAction::Delete,
        TtlAction::DeleteAlluxio => pb::TtlAction::DeleteAlluxio,
    }
}

pub(super) fn ttl_action_from_pb(value: i32) -> Result<TtlAction, EntryError> {
    match pb::TtlAction::try_from(value) {
        Ok(pb::TtlAction::Free) => Ok(TtlAction::Free),
        Ok(pb::TtlAction::Delete) => Ok(TtlAction::Delete),
        Ok(pb::TtlAction::DeleteAlluxio) => Ok(TtlAction::DeleteAlluxio),
        Ok(pb::TtlAction::Unspecified) | Err(_) => Err(bad("ttl_action", value)),
    }
}
