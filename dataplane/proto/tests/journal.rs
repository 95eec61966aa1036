//! Journal entries and checkpoint items: every value comes back, any bytes end in order, and the
//! stored bytes of every version are read for ever.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use alluxio_proto::convert::journal::{
    ENTRY_BYTES_MAX, EntryError, decode_checkpoint_record, decode_checkpoint_record_into,
    decode_entry, encode_checkpoint_record, encode_entry,
};
use alluxio_proto::v1::journal as pb;
use alluxio_types::{
    AlluxioPath, Answer, AttributeChanges, CheckpointRecord, Entry, FileKind, Fingerprint, InodeId,
    InodeRecord, IntendedChange, Intent, Mode, MountId, MountInfo, MountOptions, OperationId,
    PersistenceState, Quota, TtlAction, UnixMillis, Xattrs,
};
use proptest::option::of;
use proptest::prelude::*;
use prost::Message;
use std::collections::BTreeMap;
use std::path::PathBuf;

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,20}"
}

fn kind() -> impl Strategy<Value = FileKind> {
    prop_oneof![Just(FileKind::File), Just(FileKind::Directory), Just(FileKind::Symlink)]
}

fn xattrs() -> impl Strategy<Value = BTreeMap<String, Vec<u8>>> {
    proptest::collection::btree_map(text(), any::<Vec<u8>>(), 0..3)
}

fn persistence() -> impl Strategy<Value = PersistenceState> {
    proptest::sample::select(PersistenceState::ALL.to_vec())
}

fn ttl_action() -> impl Strategy<Value = TtlAction> {
    proptest::sample::select(vec![TtlAction::Free, TtlAction::Delete, TtlAction::DeleteAlluxio])
}

fn inode() -> impl Strategy<Value = InodeRecord> {
    let names = (text(), text(), text(), text());
    let enums = (kind(), persistence(), ttl_action());
    let numbers = any::<[u64; 7]>();
    let rest = (any::<u16>(), any::<[bool; 3]>(), of(any::<u64>()), any::<u32>(), of(any::<u32>()));
    let more = (xattrs(), text(), quota());
    (names, enums, numbers, rest, more).prop_map(
        |(names, (kind, persistence, ttl_action), n, (mode, flags, ttl_ms, min, max), more)| {
            InodeRecord {
                id: InodeId(n[0]),
                parent: InodeId(n[1]),
                name: names.0,
                kind,
                owner: names.1,
                group: names.2,
                mode: Mode(mode),
                created: UnixMillis(n[2]),
                modified: UnixMillis(n[3]),
                accessed: UnixMillis(n[4]),
                length: n[5],
                block_size_bytes: n[6],
                completed: flags[0],
                pinned: flags[1],
                persistence,
                fingerprint: Fingerprint(names.3),
                ttl_ms,
                ttl_action,
                replication_min: min,
                replication_max: max,
                children_loaded: flags[2],
                xattr: more.0.into_iter().collect(),
                target: more.1,
                quota: more.2,
            }
        },
    )
}

fn mount() -> impl Strategy<Value = MountInfo> {
    let options = proptest::collection::btree_map("[a-z.]{1,8}", text(), 0..4);
    let path = "(/[a-z]{1,5}){0,4}";
    (any::<u64>(), path, text(), any::<[bool; 2]>(), options).prop_map(
        |(id, path, ufs_uri, flags, options)| MountInfo {
            id: MountId(id),
            path: if path.is_empty() {
                AlluxioPath::root()
            } else {
                AlluxioPath::parse(&path).unwrap()
            },
            ufs_uri,
            read_only: flags[0],
            shared: flags[1],
            options: MountOptions(options),
        },
    )
}

fn quota() -> impl Strategy<Value = Quota> {
    (of(any::<u64>()), of(any::<u64>())).prop_map(|(bytes, inodes)| Quota { bytes, inodes })
}

fn changes() -> impl Strategy<Value = AttributeChanges> {
    (
        (of(text()), of(text()), of(any::<u16>()), of(any::<bool>())),
        (of(of(any::<u64>())), of(ttl_action()), of(any::<u32>()), of(of(any::<u32>()))),
        (of(any::<u64>()), of(any::<u64>()), of(any::<bool>()), of(quota())),
        proptest::collection::btree_map(text(), of(any::<Vec<u8>>()), 0..3),
    )
        .prop_map(|(a, b, c, xattr)| AttributeChanges {
            owner: a.0,
            group: a.1,
            mode: a.2.map(Mode),
            pinned: a.3,
            ttl_ms: b.0,
            ttl_action: b.1,
            replication_min: b.2,
            replication_max: b.3,
            accessed: c.0.map(UnixMillis),
            modified: c.1.map(UnixMillis),
            children_loaded: c.2,
            xattr,
            quota: c.3,
        })
}

fn answered() -> impl Strategy<Value = (OperationId, Answer)> {
    let answer = prop_oneof![
        any::<u64>().prop_map(|removed| Answer::Done { removed }),
        any::<(u64, bool)>().prop_map(|(id, created)| Answer::Inode { id: InodeId(id), created }),
        any::<u64>().prop_map(|id| Answer::Mounted(MountId(id))),
    ];
    (any::<u128>().prop_map(OperationId), answer)
}

fn intent() -> impl Strategy<Value = Intent> {
    let path = || "(/[a-z]{1,9}){1,4}".prop_map(|text| AlluxioPath::parse(&text).unwrap());
    let change = prop_oneof![
        any::<(bool, bool)>().prop_map(|(recursive, delete_mount_points)| {
            IntendedChange::Delete { recursive, delete_mount_points }
        }),
        path().prop_map(|target| IntendedChange::Rename { target }),
    ];
    (any::<u64>(), of(any::<u128>()), any::<u64>(), path(), change).prop_map(
        |(id, operation, inode, path, change)| Intent {
            id,
            operation: operation.map(OperationId),
            inode: InodeId(inode),
            path,
            change,
        },
    )
}

fn single_entry() -> impl Strategy<Value = Entry> {
    let id = || any::<u64>().prop_map(InodeId);
    let time = || any::<u64>().prop_map(UnixMillis);
    let fingerprint = || text().prop_map(Fingerprint);
    prop_oneof![
        (text(), time()).prop_map(|(cluster_id, at)| Entry::Format { cluster_id, at }),
        inode().prop_map(|record| Entry::Create(Box::new(record))),
        (id(), any::<u64>(), time(), persistence(), fingerprint()).prop_map(
            |(id, length, modified, persistence, fingerprint)| Entry::Complete {
                id,
                length,
                modified,
                persistence,
                fingerprint
            }
        ),
        (id(), time()).prop_map(|(id, modified)| Entry::Delete { id, modified }),
        (id(), id(), text(), time()).prop_map(|(id, parent, name, modified)| Entry::Rename {
            id,
            parent,
            name,
            modified
        }),
        (id(), changes()).prop_map(|(id, changes)| Entry::SetAttributes { id, changes }),
        (id(), persistence(), fingerprint()).prop_map(|(id, state, fingerprint)| {
            Entry::SetPersistence { id, state, fingerprint }
        }),
        mount().prop_map(Entry::Mount),
        mount().prop_map(Entry::UpdateMount),
        any::<u64>().prop_map(|id| Entry::Unmount { id: MountId(id) }),
        any::<u64>().prop_map(|next| Entry::ReserveContainers { next }),
        answered().prop_map(|(operation, answer)| Entry::Answered { operation, answer }),
        intent().prop_map(|intent| Entry::Intent(Box::new(intent))),
        any::<u64>().prop_map(|id| Entry::IntentEnd { id }),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    prop_oneof![
        8 => single_entry(),
        1 => proptest::collection::vec(single_entry(), 0..5).prop_map(Entry::Group),
    ]
}

fn record() -> impl Strategy<Value = CheckpointRecord> {
    prop_oneof![
        (text(), any::<u64>()).prop_map(|(cluster_id, at)| CheckpointRecord::Cluster {
            cluster_id,
            formatted: UnixMillis(at)
        }),
        any::<u64>().prop_map(CheckpointRecord::NextContainer),
        mount().prop_map(CheckpointRecord::Mount),
        answered().prop_map(|(operation, answer)| CheckpointRecord::Answered { operation, answer }),
        intent().prop_map(|intent| CheckpointRecord::Intent(Box::new(intent))),
        inode().prop_map(|inode| CheckpointRecord::Inode(Box::new(inode))),
    ]
}

fn encoded(entry: &Entry) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_entry(entry, &mut bytes);
    bytes
}

fn item_of(inode: &InodeRecord) -> Option<pb::checkpoint_item::Item> {
    let mut bytes = Vec::new();
    encode_checkpoint_record(&CheckpointRecord::Inode(Box::new(inode.clone())), &mut bytes);
    pb::CheckpointItem::decode_length_delimited(&bytes[..]).unwrap().item
}

/// The bytes with their length before them.
fn delimited(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::encode_varint(bytes.len() as u64, &mut out);
    out.extend_from_slice(bytes);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_entry_comes_back(entry in entry()) {
        let bytes = encoded(&entry);
        prop_assert!(!bytes.is_empty());
        prop_assert_eq!(decode_entry(&bytes).unwrap(), entry);
    }

    #[test]
    fn checkpoint_records_come_back_in_order(
        records in proptest::collection::vec(record(), 0..6)
    ) {
        let mut bytes = Vec::new();
        records.iter().for_each(|record| encode_checkpoint_record(record, &mut bytes));
        let mut rest = &bytes[..];
        for record in records {
            prop_assert_eq!(decode_checkpoint_record(&mut rest).unwrap(), record);
        }
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn inodes_of_a_checkpoint_are_the_messages_of_the_protocol(record in inode()) {
        let record = CheckpointRecord::Inode(Box::new(record));
        let mut bytes = Vec::new();
        encode_checkpoint_record(&record, &mut bytes);
        let message = pb::CheckpointItem::decode_length_delimited(&bytes[..]).unwrap();
        prop_assert_eq!(message.encode_length_delimited_to_vec(), bytes);
    }

    #[test]
    fn inodes_that_no_version_wrote_are_judged_as_entries_are(
        inode in inode(), at in any::<u32>(), flip in any::<u8>(), extra in any::<[u8; 3]>(),
    ) {
        let mut inode = match item_of(&inode) {
            Some(pb::checkpoint_item::Item::Inode(inode)) => inode.encode_to_vec(),
            other => panic!("{other:?}"),
        };
        let at = at as usize % inode.len();
        inode[at] ^= flip;
        inode.extend(extra);
        // As a checkpoint's item, and as the entry of a creation: field 4, and field 2.
        let delimited = |tag: u8| [vec![tag], delimited(&inode)].concat();
        let item = decode_checkpoint_record(&mut &self::delimited(&delimited(4 << 3 | 2))[..]);
        match (item, decode_entry(&delimited(2 << 3 | 2))) {
            (Ok(CheckpointRecord::Inode(item)), Ok(Entry::Create(entry))) => {
                prop_assert_eq!(item, entry);
            }
            (Err(_), Err(_)) => {}
            (item, entry) => panic!("{item:?}, but {entry:?}"),
        }
    }

    #[test]
    fn a_record_may_take_the_room_of_another(old in record(), new in record()) {
        let mut bytes = Vec::new();
        encode_checkpoint_record(&new, &mut bytes);
        let mut taken = old;
        decode_checkpoint_record_into(&mut taken, &mut &bytes[..]).unwrap();
        prop_assert_eq!(taken, new);
    }

    #[test]
    fn any_bytes_end_in_order(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_entry(&bytes);
        let mut rest = &bytes[..];
        while !rest.is_empty() && decode_checkpoint_record(&mut rest).is_ok() {}
    }

    #[test]
    fn damaged_entries_end_in_order(entry in entry(), at in any::<u32>(), flip in 1u8..) {
        let mut bytes = encoded(&entry);
        let at = at as usize % bytes.len();
        bytes[at] ^= flip;
        let _ = decode_entry(&bytes);
        let _ = decode_entry(&bytes[..at]);
    }
}

#[test]
fn what_no_version_wrote_is_refused() {
    assert_eq!(decode_entry(&[]), Err(EntryError::UnknownKind));
    // Field 999: a kind of entry from the future.
    assert_eq!(decode_entry(&[0xba, 0x3e, 0]), Err(EntryError::UnknownKind));
    let too_large = vec![0; ENTRY_BYTES_MAX + 1];
    assert!(matches!(decode_entry(&too_large), Err(EntryError::TooLarge { .. })));
    // Create of an inode of kind 7, with all else absent.
    let error = decode_entry(&[0x12, 2, 0x20, 7]).unwrap_err();
    assert_eq!(error, EntryError::BadField { field: "kind", value: "7".into() });
    let group = Entry::Group(vec![Entry::Group(Vec::new())]);
    assert!(matches!(decode_entry(&encoded(&group)), Err(EntryError::BadField { .. })));
    let mut length_beyond_the_end: &[u8] = &[0xff, 0xff, 0xff, 0x7f, 1];
    assert!(decode_checkpoint_record(&mut length_beyond_the_end).is_err());
}

/// One inode with every field set to something that is not its default.
fn full_inode() -> InodeRecord {
    InodeRecord {
        id: InodeId::from_container(7),
        parent: InodeId::from_container(3),
        name: "part-0000 ä.parquet".into(),
        kind: FileKind::File,
        owner: "ann".into(),
        group: "staff".into(),
        mode: Mode(0o1640),
        created: UnixMillis(1_700_000_000_001),
        modified: UnixMillis(1_700_000_000_002),
        accessed: UnixMillis(1_700_000_000_003),
        length: 1 << 40,
        block_size_bytes: 64 << 20,
        completed: true,
        pinned: true,
        persistence: PersistenceState::Persisted,
        fingerprint: Fingerprint("1099511627776-1700000000002-etag".into()),
        ttl_ms: Some(0),
        ttl_action: TtlAction::DeleteAlluxio,
        replication_min: 2,
        replication_max: Some(0),
        children_loaded: true,
        xattr: Xattrs::default(),
        target: String::new(),
        quota: Quota::default(),
    }
}

/// What later versions added to an inode.
fn linked_inode() -> InodeRecord {
    InodeRecord {
        kind: FileKind::Symlink,
        xattr: Xattrs::from_iter([
            ("user.empty".into(), Vec::new()),
            ("user.ä".into(), vec![0, 1, 255]),
        ]),
        target: "../elsewhere".into(),
        ..full_inode()
    }
}

fn full_mount() -> MountInfo {
    MountInfo {
        id: MountId(4),
        path: AlluxioPath::parse("/data/s3").unwrap(),
        ufs_uri: "s3://bucket/dir".into(),
        read_only: true,
        shared: true,
        options: MountOptions(BTreeMap::from([
            ("s3a.accessKeyId".into(), "key".into()),
            ("alluxio.underfs.s3.endpoint".into(), "http://localhost:9000".into()),
        ])),
    }
}

fn golden_entries() -> Vec<(&'static str, Entry)> {
    let id = InodeId::from_container(7);
    let at = UnixMillis(1_700_000_000_004);
    let operation = OperationId(0xfeed << 64 | 0xbeef);
    let made = Answer::Inode { id, created: true };
    let empty = AttributeChanges::default();
    let all = AttributeChanges {
        owner: Some("bob".into()),
        group: Some(String::new()),
        mode: Some(Mode(0)),
        pinned: Some(false),
        ttl_ms: Some(Some(1000)),
        ttl_action: Some(TtlAction::Delete),
        replication_min: Some(0),
        replication_max: Some(Some(5)),
        accessed: Some(at),
        modified: Some(at),
        children_loaded: Some(false),
        xattr: BTreeMap::new(),
        quota: None,
    };
    let taken_away = AttributeChanges {
        ttl_ms: Some(None),
        replication_max: Some(None),
        ..AttributeChanges::default()
    };
    vec![
        ("format", Entry::Format { cluster_id: "c0ffee".into(), at }),
        ("create", Entry::Create(Box::new(full_inode()))),
        (
            "complete",
            Entry::Complete {
                id,
                length: 5,
                modified: at,
                persistence: PersistenceState::ToBePersisted,
                fingerprint: Fingerprint("5-1".into()),
            },
        ),
        ("delete", Entry::Delete { id, modified: at }),
        ("rename", Entry::Rename { id, parent: InodeId::ROOT, name: "new".into(), modified: at }),
        ("set_attributes_none", Entry::SetAttributes { id, changes: empty }),
        ("set_attributes_all", Entry::SetAttributes { id, changes: all }),
        ("set_attributes_taken_away", Entry::SetAttributes { id, changes: taken_away }),
        (
            "set_persistence",
            Entry::SetPersistence {
                id,
                state: PersistenceState::Lost,
                fingerprint: Fingerprint::default(),
            },
        ),
        ("mount", Entry::Mount(full_mount())),
        ("update_mount", Entry::UpdateMount(full_mount())),
        ("unmount", Entry::Unmount { id: MountId(4) }),
        ("reserve_containers", Entry::ReserveContainers { next: 4096 }),
        ("answered_done", Entry::Answered { operation, answer: Answer::Done { removed: 3 } }),
        ("answered_inode", Entry::Answered { operation, answer: made }),
        ("answered_mount", Entry::Answered { operation, answer: Answer::Mounted(MountId(4)) }),
        (
            "group",
            Entry::Group(vec![
                Entry::Delete { id, modified: at },
                Entry::Create(Box::new(full_inode())),
            ]),
        ),
    ]
}

fn golden_links() -> Vec<(&'static str, Entry)> {
    let id = InodeId::from_container(7);
    let xattr = BTreeMap::from([
        ("user.a".to_owned(), Some(vec![0, 255])),
        ("user.empty".to_owned(), Some(Vec::new())),
        ("user.gone".to_owned(), None),
    ]);
    let changes = AttributeChanges { xattr, ..AttributeChanges::default() };
    let quota = |quota| Entry::SetAttributes {
        id,
        changes: AttributeChanges { quota: Some(quota), ..AttributeChanges::default() },
    };
    vec![
        ("create_link", Entry::Create(Box::new(linked_inode()))),
        ("set_attributes_xattr", Entry::SetAttributes { id, changes }),
        ("set_attributes_quota", quota(Quota { bytes: Some(0), inodes: Some(1 << 40) })),
        ("set_attributes_quota_gone", quota(Quota::default())),
    ]
}

fn golden_intents() -> Vec<(&'static str, Entry)> {
    let path = |text| AlluxioPath::parse(text).unwrap();
    let operation = Some(OperationId(0xfeed << 64 | 0xbeef));
    let inode = InodeId::from_container(7);
    let change = IntendedChange::Delete { recursive: true, delete_mount_points: true };
    let delete = Intent { id: 9, operation, inode, path: path("/a"), change };
    let change = IntendedChange::Rename { target: path("/b/c") };
    let rename = Intent { operation: None, change, ..delete.clone() };
    vec![
        ("intent_delete", Entry::Intent(Box::new(delete))),
        ("intent_rename", Entry::Intent(Box::new(rename))),
        ("intent_end", Entry::IntentEnd { id: 9 }),
    ]
}

fn golden_records() -> Vec<CheckpointRecord> {
    vec![
        CheckpointRecord::Cluster {
            cluster_id: "c0ffee".into(),
            formatted: UnixMillis(1_700_000_000_000),
        },
        CheckpointRecord::NextContainer(4096),
        CheckpointRecord::Mount(full_mount()),
        CheckpointRecord::Inode(Box::new(full_inode())),
    ]
}

fn golden_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/journal/v1")
}

/// The stored bytes; written anew only when asked to, and then a reviewer sees the change.
fn golden(name: &str, bytes: &[u8]) -> Vec<u8> {
    let path = golden_dir().join(format!("{name}.bin"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, bytes).unwrap();
    }
    std::fs::read(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; UPDATE_GOLDEN=1 writes new files", path.display())
    })
}

#[test]
fn stored_entries_are_read_and_written_as_ever() {
    let all = [golden_entries(), golden_links(), golden_intents()];
    for (name, entry) in all.into_iter().flatten() {
        let stored = golden(&format!("entry_{name}"), &encoded(&entry));
        assert_eq!(decode_entry(&stored).unwrap(), entry, "{name}");
        assert_eq!(encoded(&entry), stored, "{name}: the stored form has changed");
    }
}

/// Inodes of the first version had no attributes with names, and were no links.
#[test]
fn a_stored_link_of_a_checkpoint_is_read_and_written_as_ever() {
    let record = CheckpointRecord::Inode(Box::new(linked_inode()));
    let mut bytes = Vec::new();
    encode_checkpoint_record(&record, &mut bytes);
    let stored = golden("checkpoint_link", &bytes);
    assert_eq!(bytes, stored, "the stored form has changed");
    assert_eq!(decode_checkpoint_record(&mut &stored[..]).unwrap(), record);
}

/// Inodes of earlier versions had no quota.
#[test]
fn a_stored_quota_of_a_checkpoint_is_read_and_written_as_ever() {
    let quota = Quota { bytes: Some(1 << 40), inodes: Some(0) };
    let inode = InodeRecord { kind: FileKind::Directory, quota, ..full_inode() };
    let record = CheckpointRecord::Inode(Box::new(inode));
    let mut bytes = Vec::new();
    encode_checkpoint_record(&record, &mut bytes);
    let stored = golden("checkpoint_quota", &bytes);
    assert_eq!(bytes, stored, "the stored form has changed");
    assert_eq!(decode_checkpoint_record(&mut &stored[..]).unwrap(), record);
}

/// Checkpoints of the first version had no answers; those of today are read beside them.
#[test]
fn a_stored_answer_of_a_checkpoint_is_read_and_written_as_ever() {
    let operation = OperationId(0xfeed << 64 | 0xbeef);
    let record = CheckpointRecord::Answered { operation, answer: Answer::Done { removed: 0 } };
    let mut bytes = Vec::new();
    encode_checkpoint_record(&record, &mut bytes);
    let stored = golden("checkpoint_answered", &bytes);
    assert_eq!(bytes, stored, "the stored form has changed");
    assert_eq!(decode_checkpoint_record(&mut &stored[..]).unwrap(), record);
}

#[test]
fn a_stored_checkpoint_is_read_and_written_as_ever() {
    let mut bytes = Vec::new();
    golden_records().iter().for_each(|record| encode_checkpoint_record(record, &mut bytes));
    let stored = golden("checkpoint", &bytes);
    assert_eq!(bytes, stored, "the stored form has changed");
    let mut rest = &stored[..];
    for record in golden_records() {
        assert_eq!(decode_checkpoint_record(&mut rest).unwrap(), record);
    }
    assert!(rest.is_empty());
}
