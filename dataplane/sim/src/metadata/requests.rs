//! Requests: mostly sensible, on few names, so that they meet.

use crate::Dice;
use alluxio_namespace::{
    CompleteFile, Context, CreateDirectory, CreateFile, CreateSymlink, Delete, Exchange, Format,
    LoadMetadata, Mount, Namespace, Policy, Rename, Request, SetAttributes, SetPersistence,
    UfsFacts, Unmount, UpdateMount, WrittenAttributes,
};
use alluxio_types::{
    AlluxioPath, FileKind, Fingerprint, Identity, InodeId, JournalSeq, Mode, MountOptions,
    PersistenceState, TtlAction, UnixMillis, WriteType, XattrStrategy, XattrUpdate, Xattrs,
};
use std::collections::BTreeMap;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "a-name-of-more-letters"];
const MODES: [u16; 6] = [0o755, 0o777, 0o700, 0o644, 0o000, 0o1777];

/// Weights, in the order of [`Requests::next`].
const KINDS: [u64; 14] = [14, 8, 12, 8, 8, 6, 2, 2, 2, 8, 4, 3, 3, 3];
const STRATEGIES: [XattrStrategy; 7] = [
    XattrStrategy::Truncate,
    XattrStrategy::UnionReplace,
    XattrStrategy::UnionPreserve,
    XattrStrategy::DeleteKeys,
    XattrStrategy::Create,
    XattrStrategy::Replace,
    XattrStrategy::Remove,
];

/// Makes requests, and knows what earlier ones were about.
pub(super) struct Requests {
    weights: [u64; 14],
    depth_max: u64,
    names: usize,
    policy: Policy,
}

impl Requests {
    pub(super) fn new(dice: &Dice) -> Self {
        Requests {
            weights: dice.mix(KINDS),
            depth_max: dice.between(1, 5),
            names: dice.index(NAMES.len()) + 1,
            policy: Policy { permission_enabled: dice.chance(80), ..Policy::default() },
        }
    }

    pub(super) fn format() -> Request {
        Format {
            cluster_id: "sim".into(),
            ufs_uri: "/ufs".into(),
            read_only: false,
            shared: false,
            options: MountOptions::default(),
            root_mode: Some(Mode(0o777)),
        }
        .into()
    }

    pub(super) fn context<'a>(&'a self, now: UnixMillis, who: &'a Identity) -> Context<'a> {
        Context { now, who, policy: &self.policy }
    }

    pub(super) fn caller(&self, dice: &Dice) -> Identity {
        match dice.below(5) {
            0 => Identity::new("ann", ["staff".to_owned()]),
            1 => Identity::new("bob", ["staff".to_owned(), "dev".to_owned()]),
            _ => Identity::new("root", ["wheel".to_owned()]),
        }
    }

    pub(super) fn path(&self, dice: &Dice) -> AlluxioPath {
        let mut path = AlluxioPath::root();
        for _ in 0..dice.between(u64::from(dice.chance(95)), self.depth_max) {
            path = path.join(self.name(dice)).expect("short names, few of them");
        }
        path
    }

    fn name(&self, dice: &Dice) -> &'static str {
        NAMES[..self.names][dice.index(self.names)]
    }

    /// An id that was probably given out.
    pub(super) fn id(&self, dice: &Dice) -> InodeId {
        InodeId::from_container(dice.below(dice.between(2, 400)))
    }

    /// A file or directory that is there, if chance finds one.
    fn existing(&self, dice: &Dice, tree: &Namespace) -> InodeId {
        for _ in 0..8 {
            let id = self.id(dice);
            if tree.path_of(id).is_ok() {
                return id;
            }
        }
        InodeId::ROOT
    }

    /// A request, sensible or not.
    pub(super) fn next(&self, dice: &Dice, tree: &Namespace) -> Request {
        let path = self.path(dice);
        match dice.weighted(&self.weights) {
            0 => self.create_file(dice, path),
            1 => CreateDirectory {
                recursive: dice.chance(70),
                allow_exists: dice.chance(30),
                mode: self.mode(dice),
                write_type: write_type(dice),
                ..CreateDirectory::new(path)
            }
            .into(),
            2 => CompleteFile {
                replaces: None,
                id: self.existing(dice, tree),
                length: dice.below(300),
                persistence: *dice.pick(&PersistenceState::ALL),
                fingerprint: fingerprint(dice),
                attributes: WrittenAttributes {
                    owner: dice.chance(10).then(|| "somebody".to_owned()),
                    group: dice.chance(10).then(|| "others".to_owned()),
                    mode: self.mode(dice),
                    accessed: dice.chance(20).then(|| UnixMillis(dice.below(1 << 40))),
                    modified: dice.chance(20).then(|| UnixMillis(dice.below(1 << 40))),
                },
            }
            .into(),
            3 => Delete {
                path,
                recursive: dice.chance(60),
                alluxio_only: dice.chance(20),
                delete_mount_points: dice.chance(20),
                expected: self.expected(dice, tree),
            }
            .into(),
            4 => Rename { source: path, target: self.path(dice), replace: false, expected: None }
                .into(),
            5 => self.set_attributes(dice, path),
            6 => Mount {
                path,
                ufs_uri: format!("s3://bucket{}/dir", dice.below(4)),
                read_only: dice.chance(20),
                shared: dice.chance(50),
                options: options(dice),
                facts: None,
            }
            .into(),
            7 => UpdateMount {
                path: self.mount_point(dice, tree),
                read_only: dice.chance(20),
                shared: dice.chance(50),
                options: options(dice),
            }
            .into(),
            8 => Unmount { path: self.mount_point(dice, tree) }.into(),
            9 => self.load(dice, tree, path),
            10 => SetPersistence {
                id: self.existing(dice, tree),
                state: *dice.pick(&PersistenceState::ALL),
                fingerprint: fingerprint(dice),
            }
            .into(),
            11 => Exchange { source: path, target: self.path(dice) }.into(),
            12 => CreateSymlink { path, target: self.path(dice).to_string() }.into(),
            _ => Request::RecordAccess((0..dice.below(4)).map(|_| self.id(dice)).collect()),
        }
    }

    fn mode(&self, dice: &Dice) -> Option<Mode> {
        dice.chance(30).then(|| Mode(*dice.pick(&MODES)))
    }

    fn expected(&self, dice: &Dice, tree: &Namespace) -> Option<InodeId> {
        dice.chance(5).then(|| self.existing(dice, tree))
    }

    fn mount_point(&self, dice: &Dice, tree: &Namespace) -> AlluxioPath {
        let mounts = tree.mounts();
        dice.pick(&mounts).path.clone()
    }

    fn create_file(&self, dice: &Dice, path: AlluxioPath) -> Request {
        CreateFile {
            replaces: None,
            recursive: dice.chance(70),
            overwrite: dice.chance(40),
            mode: self.mode(dice),
            block_size_bytes: dice.between(1, 64),
            ttl_ms: dice.chance(20).then(|| dice.below(1000)),
            ttl_action: *dice.pick(&[TtlAction::Free, TtlAction::Delete, TtlAction::DeleteAlluxio]),
            replication_min: u32::from(dice.chance(20)),
            replication_max: dice.chance(20).then_some(2),
            xattr: xattrs(dice),
            write_type: write_type(dice),
            path,
        }
        .into()
    }

    fn set_attributes(&self, dice: &Dice, path: AlluxioPath) -> Request {
        let person = |dice: &Dice| (*dice.pick(&["root", "ann", "bob"])).to_owned();
        SetAttributes {
            path: Some(path),
            recursive: dice.chance(30),
            owner: dice.chance(15).then(|| person(dice)),
            group: dice.chance(15).then(|| "staff".to_owned()),
            mode: self.mode(dice),
            pinned: dice.chance(25).then(|| dice.chance(50)),
            ttl_ms: dice.chance(25).then(|| dice.chance(50).then(|| dice.below(1000))),
            ttl_action: dice.chance(10).then_some(TtlAction::Delete),
            replication_min: dice.chance(15).then_some(1),
            replication_max: dice.chance(15).then(|| dice.chance(50).then_some(3)),
            accessed: None,
            modified: None,
            xattr: dice
                .chance(25)
                .then(|| XattrUpdate { values: xattrs(dice), strategy: *dice.pick(&STRATEGIES) }),
            expected: None,
        }
        .into()
    }

    fn load(&self, dice: &Dice, tree: &Namespace, directory: AlluxioPath) -> Request {
        let facts = |name: &str| UfsFacts {
            name: name.to_owned(),
            kind: if dice.chance(70) { FileKind::File } else { FileKind::Directory },
            length: dice.below(300),
            modified: dice.chance(80).then(|| UnixMillis(1_700_000_000_000 + dice.below(3000))),
            owner: dice.chance(20).then(|| "ann".to_owned()),
            group: None,
            mode: self.mode(dice),
            fingerprint: fingerprint(dice),
        };
        let missing_directories = directory
            .components()
            .skip(dice.index(3))
            .map(|name| UfsFacts { kind: FileKind::Directory, ..facts(name) })
            .collect();
        let applied = tree.applied().0;
        LoadMetadata {
            missing_directories: if dice.chance(40) { missing_directories } else { Vec::new() },
            directory,
            expected: None,
            looked_at: JournalSeq(applied.saturating_sub(dice.below(dice.between(1, 6)))),
            children: (0..dice.below(4)).map(|_| facts(self.name(dice))).collect(),
            vanished: (0..dice.below(2)).map(|_| self.name(dice).to_owned()).collect(),
            complete: dice.chance(60),
            block_size_bytes: dice.between(1, 64),
        }
        .into()
    }
}

fn write_type(dice: &Dice) -> WriteType {
    *dice.pick(WriteType::ALL)
}

fn fingerprint(dice: &Dice) -> Fingerprint {
    Fingerprint(match dice.below(4) {
        0 => String::new(),
        1 => format!("object;len={};etag={:032x}", dice.below(300), dice.below(3)),
        2 => format!("hdfs;len={};mtime={}", dice.below(300), 1_700_000_000_000 + dice.below(9)),
        _ => format!("odd\u{1}{}ü", dice.below(3)),
    })
}

fn options(dice: &Dice) -> MountOptions {
    let rows = (0..dice.below(2)).map(|i| (format!("key{i}"), dice.below(9).to_string()));
    MountOptions(rows.collect::<BTreeMap<_, _>>())
}

fn xattrs(dice: &Dice) -> Xattrs {
    let names = ["user.a", "user.b", "trusted.c"].into_iter().filter(|_| dice.chance(15));
    names.map(|name| (name.to_owned(), vec![0; dice.below(9) as usize])).collect()
}
