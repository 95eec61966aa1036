//! Quotas of directories.

use crate::support::{Tree, id_of, path};
use alluxio_namespace::{
    CompleteFile, CreateDirectory, CreateFile, CreateSymlink, Delete, Error, Exchange, Finish,
    Intend, LoadMetadata, Rename, Request, SetQuota, UfsFacts, WrittenAttributes,
};
use alluxio_types::{
    Code, Coded, FileKind, Fingerprint, Identity, IntendedChange, Intent, PersistenceState, Quota,
    QuotaKind, QuotaUsage,
};

fn bound(tree: &mut Tree, at: &str, bytes: Option<u64>, inodes: Option<u64>) {
    let request = SetQuota { path: path(at), bytes: Some(bytes), inodes: Some(inodes) };
    tree.change(request).unwrap();
}

fn usage(tree: &Tree, at: &str) -> (u64, u64) {
    let all = tree.namespace.quotas_of(&path(at), &tree.context()).unwrap().value;
    let QuotaUsage { bytes, inodes } = all[0].usage;
    assert_eq!(all[0].path.as_str(), at);
    (bytes, inodes)
}

fn rename(source: &str, target: &str, replace: bool) -> Rename {
    Rename { source: path(source), target: path(target), replace, expected: None }
}

fn complete(tree: &mut Tree, at: &str, length: u64) -> Result<(), Error> {
    let id = tree.create(at);
    let request = CompleteFile {
        replaces: None,
        id,
        length,
        persistence: PersistenceState::NotPersisted,
        fingerprint: Fingerprint::default(),
        attributes: WrittenAttributes::default(),
    };
    tree.change(request).map(|_| ()).map_err(|refusal| refusal.error)
}

#[test]
fn a_file_that_does_not_fit_is_refused_by_name_and_number() {
    let mut tree = Tree::new();
    tree.mkdir("/v/sub");
    bound(&mut tree, "/v", Some(1000), None);
    complete(&mut tree, "/v/sub/a", 600).unwrap();
    let error = complete(&mut tree, "/v/sub/b", 401).unwrap_err();
    assert_eq!(
        error,
        Error::QuotaExceeded {
            directory: path("/v"),
            kind: QuotaKind::Bytes,
            limit: 1000,
            used: 600,
            more: 401,
        }
    );
    assert_eq!(error.code(), Code::QuotaExceeded);
    assert!(error.to_string().contains("directory /v is exceeded"), "{error}");
    complete(&mut tree, "/v/sub/c", 400).unwrap();
    // Elsewhere nothing is bounded.
    complete(&mut tree, "/other", 5000).unwrap();
    assert_eq!(usage(&tree, "/v"), (1000, 5));
    tree.check();
}

#[test]
fn the_directory_itself_is_one_of_its_inodes() {
    let mut tree = Tree::new();
    tree.mkdir("/v");
    bound(&mut tree, "/v", None, Some(1));
    let refused = [
        Request::from(CreateFile::new(path("/v/f"))),
        CreateDirectory::new(path("/v/d")).into(),
        CreateSymlink { path: path("/v/l"), target: "x".into() }.into(),
    ];
    for request in refused {
        assert_eq!(tree.refused(request).code(), Code::QuotaExceeded);
    }
    bound(&mut tree, "/v", None, Some(3));
    let deep = CreateFile { recursive: true, ..CreateFile::new(path("/v/a/b/f")) };
    assert_eq!(tree.refused(deep).code(), Code::QuotaExceeded);
    tree.create("/v/a/f");
    assert_eq!(usage(&tree, "/v"), (0, 3));
    // In place of a file there is room for a file.
    let over = CreateFile { overwrite: true, ..CreateFile::new(path("/v/a/f")) };
    tree.change(over).unwrap();
    tree.check();
}

#[test]
fn nested_quotas_hold_all_and_the_nearest_comes_first() {
    let mut tree = Tree::new();
    tree.mkdir("/a/b/c");
    bound(&mut tree, "/a", Some(100), None);
    bound(&mut tree, "/a/b", Some(200), Some(9));
    bound(&mut tree, "/", None, Some(50));
    let all = tree.namespace.quotas_of(&path("/a/b/c"), &tree.context()).unwrap().value;
    let paths: Vec<_> = all.iter().map(|quota| quota.path.as_str()).collect();
    assert_eq!(paths, ["/a/b", "/a", "/"]);
    assert_eq!(all[0].quota, Quota { bytes: Some(200), inodes: Some(9) });
    assert_eq!((all[1].bytes_left(), all[1].inodes_left()), (Some(100), None));
    let error = complete(&mut tree, "/a/b/c/f", 150).unwrap_err();
    assert!(matches!(error, Error::QuotaExceeded { directory, .. } if directory == path("/a")));
    tree.check();
}

#[test]
fn a_rename_takes_usage_along_and_only_new_quotas_count() {
    let mut tree = Tree::new();
    tree.mkdir("/a/in");
    tree.mkdir("/b");
    for at in ["/a/in/x", "/a/in/y"] {
        complete(&mut tree, at, 100).unwrap();
    }
    bound(&mut tree, "/a", Some(150), None);
    bound(&mut tree, "/b", Some(150), None);
    assert_eq!(usage(&tree, "/a"), (200, 4));
    // Within one quota, although it is exceeded.
    tree.change(rename("/a/in/x", "/a/x", false)).unwrap();
    tree.change(rename("/a/x", "/a/in/x", false)).unwrap();
    assert_eq!(tree.refused(rename("/a/in", "/b/in", false)).code(), Code::QuotaExceeded);
    bound(&mut tree, "/b", Some(200), Some(4));
    tree.change(rename("/a/in", "/b/in", false)).unwrap();
    assert_eq!((usage(&tree, "/a"), usage(&tree, "/b")), ((0, 1), (200, 4)));
    // What makes room for itself may come.
    complete(&mut tree, "/new", 100).unwrap();
    tree.change(rename("/new", "/b/in/x", true)).unwrap();
    tree.change(Delete {
        path: path("/b/in"),
        recursive: true,
        alluxio_only: false,
        delete_mount_points: false,
        expected: None,
    })
    .unwrap();
    assert_eq!(usage(&tree, "/b"), (0, 1));
    tree.check();
}

#[test]
fn exchanged_sub_trees_exchange_their_usage() {
    let mut tree = Tree::new();
    for (at, length) in [("/a/one/f", 70), ("/b/two/f", 30)] {
        complete(&mut tree, at, length).unwrap();
    }
    bound(&mut tree, "/b", Some(60), None);
    let exchange = Exchange { source: path("/a/one"), target: path("/b/two") };
    assert_eq!(tree.refused(exchange.clone()).code(), Code::QuotaExceeded);
    bound(&mut tree, "/b", Some(70), None);
    bound(&mut tree, "/a/one", Some(70), None);
    tree.change(exchange).unwrap();
    assert_eq!(usage(&tree, "/b/two"), (70, 2));
    let above = tree.namespace.quotas_of(&path("/b"), &tree.context()).unwrap().value;
    assert_eq!(above[0].usage, QuotaUsage { bytes: 70, inodes: 3 });
    tree.check();
}

#[test]
fn what_the_store_has_counts_and_is_never_refused() {
    let mut tree = Tree::new();
    tree.mkdir("/v");
    bound(&mut tree, "/v", Some(5), Some(1));
    let children = ["f", "g"].map(|name| UfsFacts {
        name: name.into(),
        kind: FileKind::File,
        length: 10,
        modified: None,
        owner: None,
        group: None,
        mode: None,
        fingerprint: Fingerprint("memory;version=1".into()),
    });
    let load = LoadMetadata {
        directory: path("/v"),
        missing_directories: Vec::new(),
        expected: None,
        looked_at: tree.namespace.applied(),
        children: children.into(),
        vanished: Vec::new(),
        complete: true,
        block_size_bytes: 4,
    };
    tree.change(load).unwrap();
    assert_eq!(usage(&tree, "/v"), (20, 3));
    assert_eq!(tree.refused(CreateFile::new(path("/v/h"))).code(), Code::QuotaExceeded);
    tree.check();
}

#[test]
fn what_the_store_did_already_is_done_here_too() {
    let mut tree = Tree::new();
    let id = tree.persisted_file("/f");
    tree.mkdir("/v");
    let change = IntendedChange::Rename { target: path("/v/f") };
    tree.change(Intend(Intent { id: 1, operation: None, inode: id, path: path("/f"), change }))
        .unwrap();
    bound(&mut tree, "/v", Some(0), Some(1));
    assert_eq!(tree.refused(rename("/f", "/v/f", false)).code(), Code::QuotaExceeded);
    let change = Some(Box::new(rename("/f", "/v/f", false).into()));
    tree.change(Finish { intent: 1, change }).unwrap();
    assert_eq!(usage(&tree, "/v"), (100, 2));
    tree.check();
}

#[test]
fn only_the_superuser_sets_a_quota_and_only_of_a_directory() {
    let mut tree = Tree::new();
    let id = tree.mkdir("/v");
    tree.file("/f");
    let on_file = SetQuota { path: path("/f"), bytes: Some(Some(1)), inodes: None };
    assert!(matches!(tree.refused(on_file), Error::NotADirectory { .. }));
    let set = SetQuota { path: path("/v"), bytes: Some(Some(1)), inodes: None };
    let who = std::mem::replace(&mut tree.who, Identity::new("ann", []));
    assert!(matches!(tree.refused(set.clone()), Error::NotSuperuser { .. }));
    tree.who = who;
    assert_eq!(id_of(&tree.change(set.clone()).unwrap()), id);
    // Again it changes nothing, and each bound goes by itself.
    assert!(tree.change(set.clone()).unwrap().entries.is_empty());
    tree.change(SetQuota { bytes: None, inodes: Some(Some(7)), ..set.clone() }).unwrap();
    let quotas = tree.namespace.quotas_of(&path("/v"), &tree.context()).unwrap().value;
    assert_eq!(quotas[0].quota, Quota { bytes: Some(1), inodes: Some(7) });
    tree.change(SetQuota { bytes: Some(None), inodes: Some(None), ..set }).unwrap();
    assert!(tree.namespace.quotas_of(&path("/v"), &tree.context()).unwrap().value.is_empty());
    tree.check();
}

#[test]
fn what_fits_can_be_written_anew_beside_itself() {
    let mut tree = Tree::new();
    tree.mkdir("/v");
    complete(&mut tree, "/v/f", 80).unwrap();
    bound(&mut tree, "/v", Some(100), Some(2));
    let old = tree.status("/v/f").unwrap().id;
    for turn in 0..3 {
        let beside = path("/v/.next");
        assert_eq!(tree.refused(CreateFile::new(beside.clone())).code(), Code::QuotaExceeded);
        let replaces = Some(tree.status("/v/f").unwrap().id);
        let next = CreateFile { replaces, ..CreateFile::new(beside) };
        let id = id_of(&tree.change(next.clone()).unwrap());
        let request = |length| CompleteFile {
            id,
            length,
            persistence: PersistenceState::NotPersisted,
            fingerprint: Fingerprint::default(),
            replaces,
            attributes: WrittenAttributes::default(),
        };
        assert_eq!(tree.refused(request(101)).code(), Code::QuotaExceeded);
        tree.change(request(90 + turn)).unwrap();
        // Nobody gets the same room twice.
        let again = CreateFile { path: path("/v/.again"), ..next };
        assert_eq!(tree.refused(again).code(), Code::QuotaExceeded);
        tree.change(rename("/v/.next", "/v/f", true)).unwrap();
        assert_eq!(usage(&tree, "/v"), (90 + turn, 2));
    }
    // A file that is gone, or is elsewhere, lends no room.
    tree.file("/elsewhere");
    for replaces in [old, tree.status("/elsewhere").unwrap().id] {
        let next = CreateFile { replaces: Some(replaces), ..CreateFile::new(path("/v/.next")) };
        assert_eq!(tree.refused(next).code(), Code::QuotaExceeded);
    }
    tree.check();
}
