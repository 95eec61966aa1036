//! What was found in the UFS becomes true in the tree.

use crate::support::{Tree, path};
use alluxio_namespace::{
    Delete, Error, LoadMetadata, LoadSummary, Mount, Outcome, Plan, Rename, SetAttributes, UfsFacts,
};
use alluxio_types::{
    FileKind, Fingerprint, JournalSeq, Mode, MountOptions, PersistenceState, UnixMillis,
};

fn facts(name: &str, kind: FileKind, version: u64) -> UfsFacts {
    UfsFacts {
        name: name.into(),
        kind,
        length: 100 * version,
        modified: Some(UnixMillis(version)),
        owner: None,
        group: None,
        mode: None,
        fingerprint: Fingerprint(format!("memory;len={};version={version}", 100 * version)),
    }
}

fn file(name: &str, version: u64) -> UfsFacts {
    facts(name, FileKind::File, version)
}

fn directory(name: &str) -> UfsFacts {
    UfsFacts { length: 0, ..facts(name, FileKind::Directory, 1) }
}

fn load(tree: &Tree, at: &str, children: Vec<UfsFacts>) -> LoadMetadata {
    LoadMetadata {
        directory: path(at),
        missing_directories: Vec::new(),
        expected: None,
        looked_at: tree.namespace.applied(),
        children,
        vanished: Vec::new(),
        complete: true,
        block_size_bytes: 64,
    }
}

fn summary(plan: &Plan) -> LoadSummary {
    match plan.outcome {
        Outcome::Loaded(summary) => summary,
        other => panic!("{other:?}"),
    }
}

fn counts(plan: &Plan) -> [u64; 4] {
    let LoadSummary { created, replaced, updated, removed, .. } = summary(plan);
    [created, replaced, updated, removed]
}

#[test]
fn names_of_a_listing_appear_once_as_persisted_inodes() {
    let mut tree = Tree::new();
    let request = load(&tree, "/", vec![file("f", 2), directory("d"), file("f", 3)]);
    assert_eq!(counts(&tree.change(request).unwrap()), [2, 0, 0, 0]);
    let status = tree.status("/f").unwrap();
    assert_eq!((status.length, status.blocks.len(), status.completed), (200, 4, true));
    assert_eq!((status.persistence, status.modified), (PersistenceState::Persisted, UnixMillis(2)));
    assert_eq!((&*status.owner, status.mode), ("root", Mode(0o644)));
    assert_eq!(tree.status("/d").unwrap().mode, Mode(0o755));
    let lookup = tree.namespace.lookup(&path("/nope"), &tree.context()).unwrap().value;
    assert!(lookup.children_loaded);
    let again = load(&tree, "/", vec![file("f", 2), directory("d")]);
    assert!(tree.change(again).unwrap().entries.is_empty(), "what is true already costs nothing");
    tree.check();
}

#[test]
fn directories_on_the_way_are_made_from_their_facts() {
    let mut tree = Tree::new();
    let mut request = load(&tree, "/a/b", vec![file("f", 1)]);
    assert_eq!(tree.refused(request.clone()), Error::PathNotFound { path: path("/a/b") });
    let owned = UfsFacts {
        owner: Some("ann".into()),
        group: Some("staff".into()),
        mode: Some(Mode(0o750)),
        ..directory("b")
    };
    request.missing_directories = vec![directory("a"), owned];
    assert_eq!(counts(&tree.change(request).unwrap()), [3, 0, 0, 0]);
    let status = tree.status("/a/b/f").unwrap();
    assert_eq!((&*status.owner, &*status.group, status.mode), ("ann", "staff", Mode(0o640)));
    tree.check();
}

#[test]
fn a_changed_file_is_a_new_inode_that_keeps_what_the_user_asked_for() {
    let mut tree = Tree::new();
    tree.change(load(&tree, "/", vec![file("f", 1)])).unwrap();
    let old = tree.status("/f").unwrap().id;
    tree.change(SetAttributes {
        path: Some(path("/f")),
        pinned: Some(true),
        ttl_ms: Some(Some(7)),
        replication_max: Some(Some(5)),
        ..SetAttributes::default()
    })
    .unwrap();
    let plan = tree.change(load(&tree, "/", vec![file("f", 2)])).unwrap();
    assert_eq!((counts(&plan), &*plan.removed), ([0, 1, 0, 0], &[old][..]));
    let new = tree.status("/f").unwrap();
    assert!(new.id > old);
    assert_eq!((new.length, new.pinned, new.ttl_ms), (200, true, Some(7)));
    assert_eq!((new.replication_min, new.replication_max), (1, Some(5)));
    tree.check();
}

#[test]
fn owner_and_mode_follow_a_store_that_has_them() {
    let mut tree = Tree::new();
    tree.change(load(&tree, "/", vec![file("f", 1)])).unwrap();
    let chowned = UfsFacts { owner: Some("eve".into()), mode: Some(Mode(0o600)), ..file("f", 1) };
    let plan = tree.change(load(&tree, "/", vec![chowned])).unwrap();
    assert_eq!((counts(&plan), plan.removed.len()), ([0, 0, 1, 0], 0));
    let status = tree.status("/f").unwrap();
    assert_eq!((&*status.owner, status.mode), ("eve", Mode(0o600)));
    tree.check();
}

#[test]
fn what_vanished_goes_and_what_only_alluxio_has_stays() {
    let mut tree = Tree::new();
    tree.change(load(&tree, "/", vec![file("f", 1), directory("d"), directory("e")])).unwrap();
    tree.change(load(&tree, "/d", vec![file("x", 1)])).unwrap();
    tree.change(load(&tree, "/e", vec![file("y", 1)])).unwrap();
    tree.file("/mine");
    tree.file("/d/mine");
    tree.create("/writing");
    let mount = Mount {
        path: path("/m"),
        ufs_uri: "s3://b".into(),
        read_only: false,
        shared: false,
        options: MountOptions::default(),
        facts: None,
    };
    tree.change(mount).unwrap();
    let plan = tree.change(load(&tree, "/", vec![])).unwrap();
    assert_eq!(counts(&plan)[3], 2, "f and e went");
    assert_eq!(plan.removed.len(), 3, "f, d/x and e/y");
    assert_eq!(tree.names("/"), ["d", "m", "mine", "writing"]);
    assert_eq!(tree.names("/d"), ["mine"]);
    assert_eq!(tree.status("/d").unwrap().persistence, PersistenceState::NotPersisted);
    tree.check();
}

#[test]
fn one_name_can_vanish_without_a_listing() {
    let mut tree = Tree::new();
    tree.change(load(&tree, "/", vec![file("f", 1), file("g", 1)])).unwrap();
    let request = LoadMetadata {
        complete: false,
        vanished: vec!["f".into(), "never".into()],
        ..load(&tree, "/", vec![])
    };
    assert_eq!(counts(&tree.change(request).unwrap()), [0, 0, 0, 1]);
    assert_eq!(tree.names("/"), ["g"]);
    tree.check();
}

#[test]
fn a_listing_that_is_older_than_a_change_here_does_not_undo_it() {
    let mut tree = Tree::new();
    tree.change(load(&tree, "/", vec![file("f", 1), file("g", 1), directory("d")])).unwrap();
    let before = load(&tree, "/", vec![file("f", 2), directory("d")]);
    // After the look: a file is written through, and one is touched.
    tree.persisted_file("/new");
    tree.change(SetAttributes {
        path: Some(path("/f")),
        pinned: Some(true),
        ..SetAttributes::default()
    })
    .unwrap();
    let plan = tree.change(before).unwrap();
    assert_eq!(counts(&plan), [0, 0, 0, 1], "only g, which nobody touched, is gone");
    assert_eq!(tree.names("/"), ["d", "f", "new"]);
    assert_eq!(tree.status("/f").unwrap().length, 100);
    // After the look: a name leaves.
    let before = load(&tree, "/", vec![file("f", 1), file("other", 1), directory("d")]);
    tree.change(Rename {
        source: path("/f"),
        target: path("/d/f"),
        replace: false,
        expected: None,
    })
    .unwrap();
    assert_eq!(tree.refused(before), Error::Moved { path: path("/") });
    let replaced = load(&tree, "/d", vec![]);
    tree.change(Delete {
        path: path("/d"),
        recursive: true,
        alluxio_only: true,
        delete_mount_points: false,
        expected: None,
    })
    .unwrap();
    let other = tree.mkdir("/d");
    let stale = LoadMetadata { expected: Some(alluxio_types::InodeId::ROOT), ..replaced };
    assert_eq!(tree.refused(stale), Error::Moved { path: path("/d") });
    let fresh = LoadMetadata { expected: Some(other), ..load(&tree, "/d", vec![file("z", 1)]) };
    assert_eq!(summary(&tree.change(fresh).unwrap()).directory, other);
    tree.check();
}

#[test]
fn a_name_that_changed_its_kind_is_replaced() {
    let mut tree = Tree::new();
    tree.change(load(&tree, "/", vec![file("a", 1), directory("b")])).unwrap();
    tree.change(load(&tree, "/b", vec![file("x", 1)])).unwrap();
    let plan = tree.change(load(&tree, "/", vec![directory("a"), file("b", 1)])).unwrap();
    assert_eq!(counts(&plan), [0, 2, 0, 0]);
    assert!(tree.status("/a").unwrap().is_directory());
    assert!(!tree.status("/b").unwrap().is_directory());
    // A directory with what only Alluxio has is not replaced.
    tree.file("/a/mine");
    tree.change(load(&tree, "/", vec![file("a", 1), file("b", 1)])).unwrap();
    assert!(tree.exists("/a/mine"));
    tree.check();
}

#[test]
fn names_that_no_path_can_have_are_refused() {
    let mut tree = Tree::new();
    for name in ["", ".", "..", "a/b", "nul\0", &"x".repeat(2000)] {
        let request = load(&tree, "/", vec![file(name, 1)]);
        assert!(matches!(tree.refused(request), Error::BadName(_)), "{name:?}");
    }
    let under_a_file = tree.file("/f");
    let request = LoadMetadata {
        expected: Some(under_a_file),
        looked_at: JournalSeq(9),
        ..load(&tree, "/f", vec![])
    };
    assert_eq!(tree.refused(request), Error::NotADirectory { path: path("/f") });
}
