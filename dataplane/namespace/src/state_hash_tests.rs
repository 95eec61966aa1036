use super::*;
use alluxio_types::{
    Fingerprint, InodeId, Mode, MountId, MountOptions, OperationId, Quota, UnixMillis,
};
use std::collections::BTreeMap;

fn inode() -> InodeRecord {
    InodeRecord {
        id: InodeId(0x0012_34FF_FFFF),
        parent: InodeId(0x0000_01FF_FFFF),
        name: "a file with a name".into(),
        kind: FileKind::File,
        owner: "ann".into(),
        group: "staff".into(),
        mode: Mode(0o640),
        created: UnixMillis(1_700_000_000_000),
        modified: UnixMillis(1_700_000_000_001),
        accessed: UnixMillis(1_700_000_000_002),
        length: 1 << 33,
        block_size_bytes: 64 << 20,
        completed: true,
        pinned: true,
        persistence: PersistenceState::Persisted,
        fingerprint: Fingerprint("etag".into()),
        ttl_ms: Some(0),
        ttl_action: TtlAction::Delete,
        replication_min: 2,
        replication_max: Some(3),
        children_loaded: false,
        xattr: Default::default(),
        target: String::new(),
        quota: Quota::default(),
    }
}

fn records() -> Vec<CheckpointRecord> {
    let path = |path: &str| AlluxioPath::parse(path).unwrap();
    let options = BTreeMap::from([("s3a.secretKey".to_owned(), "hush".to_owned())]);
    vec![
        CheckpointRecord::Cluster { cluster_id: "c".into(), formatted: UnixMillis(7) },
        CheckpointRecord::NextContainer(9),
        CheckpointRecord::Mount(MountInfo {
            id: MountId(1),
            path: path("/"),
            ufs_uri: "s3://bucket".into(),
            read_only: true,
            shared: false,
            options: MountOptions(options),
        }),
        CheckpointRecord::Intent(Box::new(Intent {
            id: 5,
            operation: Some(OperationId(1 << 70)),
            inode: InodeId(3),
            path: path("/from"),
            change: IntendedChange::Rename { target: path("/to") },
        })),
        CheckpointRecord::Answered {
            operation: OperationId(4),
            answer: Answer::Inode { id: InodeId(8), created: true },
        },
        CheckpointRecord::Answered {
            operation: OperationId(5),
            answer: Answer::Done { removed: 2 },
        },
        CheckpointRecord::Inode(Box::new(inode())),
    ]
}

fn hash(records: &[CheckpointRecord]) -> u64 {
    let mut hash = StateHash::new();
    records.iter().for_each(|record| hash.add(record));
    hash.finish()
}

/// Stored checkpoints and backups hold this hash. When this test fails because the same records hash
/// differently, `KIND` has to count up with the number here.
#[test]
fn the_hash_of_a_state_is_the_same_for_ever() {
    assert_eq!((StateHash::KIND, hash(&records())), (2, GOLDEN));
}

const GOLDEN: u64 = 4_512_118_321_519_491_148;

#[test]
fn order_counts_among_answers_only() {
    let mut other = records();
    other.swap(0, 6);
    other.swap(1, 3);
    assert_eq!(hash(&records()), hash(&other));
    let (one, two) = (records().remove(4), records().remove(5));
    assert_ne!(hash(&[one.clone(), two.clone()]), hash(&[two, one]));
}

#[test]
fn every_field_of_an_inode_counts() {
    type Change = fn(&mut InodeRecord);
    let changes: [Change; 23] = [
        |inode| inode.id.0 += 1,
        |inode| inode.parent.0 += 1,
        |inode| inode.name.push('\0'),
        |inode| inode.kind = FileKind::Directory,
        |inode| inode.owner = "bob".into(),
        |inode| inode.group.clear(),
        |inode| inode.mode.0 ^= 1,
        |inode| inode.created.0 += 1,
        |inode| inode.modified.0 += 1,
        |inode| inode.accessed.0 += 1,
        |inode| inode.length = 0,
        |inode| inode.block_size_bytes += 1,
        |inode| inode.completed = false,
        |inode| inode.pinned = false,
        |inode| inode.persistence = PersistenceState::Lost,
        |inode| inode.fingerprint.0.push('x'),
        |inode| inode.ttl_ms = None,
        |inode| inode.ttl_action = TtlAction::Free,
        |inode| inode.replication_min += 1,
        |inode| inode.replication_max = None,
        |inode| inode.children_loaded = true,
        |inode| inode.quota.bytes = Some(0),
        |inode| inode.quota.inodes = Some(0),
    ];
    let of = |inode: InodeRecord| hash_of(&CheckpointRecord::Inode(Box::new(inode)));
    let mut seen = vec![of(inode())];
    for change in changes {
        let mut changed = inode();
        change(&mut changed);
        seen.push(of(changed));
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), changes.len() + 1);
    // Neighbours do not run into each other.
    let (mut one, mut two) = (inode(), inode());
    (one.owner, one.group) = ("ab".into(), "c".into());
    (two.owner, two.group) = ("a".into(), "bc".into());
    assert_ne!(of(one), of(two));
}
