//! Each operation, and each reason to refuse it.

use crate::support::{Tree, id_of, path};
use alluxio_namespace::{
    CompleteFile, Context, CreateDirectory, CreateFile, Delete, Error, Mount, Outcome, Policy,
    Refusal, Rename, Request, SetAttributes, SetPersistence, Unmount, UpdateMount,
    WrittenAttributes,
};
use alluxio_types::{
    Access, Code, Coded, FileKind, Fingerprint, Identity, InodeId, JournalSeq, Mode, MountOptions,
    PersistenceState, TtlAction, UnixMillis, WriteType,
};

fn delete(at: &str, recursive: bool) -> Delete {
    Delete {
        path: path(at),
        recursive,
        alluxio_only: false,
        delete_mount_points: false,
        expected: None,
    }
}

fn rename(source: &str, target: &str) -> Rename {
    Rename { source: path(source), target: path(target), replace: false, expected: None }
}

fn mount(at: &str, uri: &str) -> Mount {
    Mount {
        path: path(at),
        ufs_uri: uri.into(),
        read_only: false,
        shared: false,
        options: MountOptions::default(),
        facts: None,
    }
}

fn set(at: &str) -> SetAttributes {
    SetAttributes { path: Some(path(at)), ..SetAttributes::default() }
}

#[test]
fn nothing_works_before_format_and_format_works_once() {
    let namespace = alluxio_namespace::Namespace::new();
    let (who, policy) = (Identity::new("u", []), Policy::default());
    let context = Context { now: UnixMillis(1), who: &who, policy: &policy };
    let refused = |error: Refusal| error.error;
    assert_eq!(namespace.status(&path("/"), &context).map_err(refused), Err(Error::NotFormatted));
    let create = Request::from(CreateFile::new(path("/a")));
    assert_eq!(namespace.plan(&create, &context).map_err(refused), Err(Error::NotFormatted));
    let mut tree = Tree::new();
    assert_eq!(tree.namespace.cluster_id().as_deref(), Some("c"));
    let again = alluxio_namespace::Format {
        cluster_id: "d".into(),
        ufs_uri: "/x".into(),
        read_only: false,
        shared: false,
        options: MountOptions::default(),
        root_mode: None,
    };
    assert_eq!(tree.refused(again), Error::AlreadyFormatted { cluster_id: "c".into() });
    tree.check();
}

#[test]
fn a_new_file_has_the_callers_names_and_all_that_was_asked_for() {
    let mut tree = Tree::new();
    tree.mkdir("/d");
    let request = CreateFile {
        block_size_bytes: 10,
        ttl_ms: Some(5000),
        ttl_action: TtlAction::Delete,
        replication_min: 2,
        replication_max: Some(3),
        mode: Some(Mode(0o600)),
        ..CreateFile::new(path("/d/f"))
    };
    let id = id_of(&tree.change(request).unwrap());
    let status = tree.status("/d/f").unwrap();
    assert_eq!((status.id, status.completed, status.kind), (id, false, FileKind::File));
    assert!(status.blocks.is_empty());
    tree.complete(id, 25, PersistenceState::NotPersisted);
    let status = tree.status("/d/f").unwrap();
    assert_eq!((&*status.owner, &*status.group, status.mode), ("root", "wheel", Mode(0o600)));
    assert_eq!((status.length, status.block_size_bytes, status.completed), (25, 10, true));
    assert_eq!((status.ttl_ms, status.ttl_action), (Some(5000), TtlAction::Delete));
    assert_eq!((status.replication_min, status.replication_max), (2, Some(3)));
    assert_eq!((&*status.path, &*status.ufs_path), ("/d/f", "/ufs/d/f"));
    let blocks: Vec<_> = status.blocks.iter().map(|b| (b.id, b.length, b.offset)).collect();
    assert_eq!(blocks, [(id.block(0), 10, 0), (id.block(1), 10, 10), (id.block(2), 5, 20)]);
    assert_eq!(tree.namespace.status_by_id(id).unwrap().value, status);
    assert_eq!(tree.status("/d").unwrap().length, 1);
    assert_eq!(tree.namespace.expired(UnixMillis(0), 10), []);
    assert_eq!(tree.namespace.expired(UnixMillis(tree.now + 6000), 10), [id]);
    tree.check();
}

#[test]
fn missing_directories_are_made_only_when_asked_for() {
    let mut tree = Tree::new();
    let request = CreateFile::new(path("/a/b/f"));
    assert_eq!(tree.refused(request.clone()), Error::PathNotFound { path: path("/a/b") });
    let plan = tree
        .change(CreateFile { recursive: true, write_type: WriteType::Through, ..request })
        .unwrap();
    assert_eq!(plan.entries.len(), 3);
    assert_eq!(tree.status("/a/b").unwrap().persistence, PersistenceState::Persisted);
    assert_eq!(tree.status("/a/b").unwrap().mode, Mode(0o755));
    assert_eq!(tree.status("/a/b/f").unwrap().mode, Mode(0o644));
    let below_a_file = CreateFile { recursive: true, ..CreateFile::new(path("/a/b/f/g/h")) };
    assert_eq!(tree.refused(below_a_file), Error::NotADirectory { path: path("/a/b/f") });
    tree.check();
}

#[test]
fn create_refuses_what_makes_no_sense() {
    let mut tree = Tree::new();
    tree.file("/f");
    let new = |at| CreateFile::new(path(at));
    for (request, code) in [
        (new("/f"), Code::AlreadyExists),
        (new("/"), Code::AlreadyExists),
        (CreateFile { block_size_bytes: 0, ..new("/g") }, Code::InvalidArgument),
        (CreateFile { block_size_bytes: 1 << 48, ..new("/g") }, Code::InvalidArgument),
        (CreateFile { mode: Some(Mode(0o10000)), ..new("/g") }, Code::InvalidArgument),
        (
            CreateFile { replication_min: 2, replication_max: Some(1), ..new("/g") },
            Code::InvalidArgument,
        ),
        (CreateFile { overwrite: true, ..new("/") }, Code::IsADirectory),
    ] {
        assert_eq!(tree.refused(request.clone()).code(), code, "{request:?}");
    }
    let directory = CreateDirectory::new(path("/f"));
    assert_eq!(tree.refused(directory.clone()).code(), Code::AlreadyExists);
    let allow = CreateDirectory { allow_exists: true, ..directory };
    assert_eq!(tree.refused(allow).code(), Code::AlreadyExists);
}

#[test]
fn overwrite_replaces_a_file_by_a_new_inode_and_the_old_writer_finds_it_gone() {
    let mut tree = Tree::new();
    let old = tree.create("/f");
    let again = CreateFile { overwrite: true, ..CreateFile::new(path("/f")) };
    let plan = tree.change(again).unwrap();
    let late = CompleteFile {
        replaces: None,
        id: old,
        length: 5,
        persistence: PersistenceState::NotPersisted,
        fingerprint: Fingerprint::default(),
        attributes: WrittenAttributes::default(),
    };
    assert_eq!(tree.refused(late), Error::InodeNotFound { id: old });
    assert_eq!(plan.removed, [old]);
    assert!(id_of(&plan) > old);
    assert_eq!(tree.status("/f").unwrap().length, 0);
    assert_eq!(
        tree.namespace.status_by_id(old).unwrap_err().error,
        Error::InodeNotFound { id: old }
    );
    tree.check();
}

#[test]
fn a_directory_that_is_there_is_fine_when_allowed() {
    let mut tree = Tree::new();
    let id = tree.mkdir("/d");
    let request = CreateDirectory { allow_exists: true, ..CreateDirectory::new(path("/d")) };
    let plan = tree.change(request.clone()).unwrap();
    assert_eq!((plan.entries.len(), plan.outcome), (0, Outcome::Inode { id, created: false }));
    assert!(plan.seen > JournalSeq(0), "the answer depends on the directory's creation");
    let strict = CreateDirectory { allow_exists: false, ..request };
    assert_eq!(tree.refused(strict), Error::AlreadyExists { path: path("/d") });
    let root = CreateDirectory { allow_exists: true, ..CreateDirectory::new(path("/")) };
    assert_eq!(id_of(&tree.change(root).unwrap()), InodeId::ROOT);
}

#[test]
fn a_file_gets_attributes_as_it_is_completed_and_only_those_that_its_writer_may_set() {
    let mut tree = Tree::new();
    let complete = |id, attributes| CompleteFile {
        replaces: None,
        id,
        length: 1,
        persistence: PersistenceState::NotPersisted,
        fingerprint: Fingerprint::default(),
        attributes,
    };
    let id = tree.create("/f");
    let attributes = WrittenAttributes {
        owner: Some("ann".into()),
        group: Some("others".into()),
        mode: Some(Mode(0o600)),
        accessed: Some(UnixMillis(5)),
        modified: Some(UnixMillis(4)),
    };
    let plan = tree.change(complete(id, attributes)).unwrap();
    assert_eq!(plan.entries.len(), 2, "one group: all of it, or nothing");
    let status = tree.status("/f").unwrap();
    assert_eq!((status.owner.as_str(), status.group.as_str()), ("ann", "others"));
    assert_eq!((status.mode, status.accessed, status.modified.0), (Mode(0o600), UnixMillis(5), 4));
    // What is so already needs no entry, and no right.
    let id = tree.create("/g");
    let mode = Some(tree.status("/g").unwrap().mode);
    let plan = tree.change(complete(id, WrittenAttributes { mode, ..Default::default() })).unwrap();
    assert_eq!(plan.entries.len(), 1);
    let id = tree.create("/h");
    for (attributes, wanted) in [
        (
            WrittenAttributes { mode: Some(Mode(0o10000)), ..Default::default() },
            Code::InvalidArgument,
        ),
        (
            WrittenAttributes { group: Some(String::new()), ..Default::default() },
            Code::InvalidArgument,
        ),
    ] {
        assert_eq!(tree.refused(complete(id, attributes)).code(), wanted);
    }
    tree.check();
}

#[test]
fn complete_works_once_on_files_with_few_enough_blocks() {
    let mut tree = Tree::new();
    let small = CreateFile { block_size_bytes: 1, ..CreateFile::new(path("/f")) };
    let id = id_of(&tree.change(small).unwrap());
    let complete = |length| CompleteFile {
        replaces: None,
        id,
        length,
        persistence: PersistenceState::ToBePersisted,
        fingerprint: Fingerprint::default(),
        attributes: WrittenAttributes::default(),
    };
    assert_eq!(tree.refused(complete(1 << 24)).code(), Code::InvalidArgument);
    tree.change(complete(7)).unwrap();
    assert_eq!(tree.namespace.to_be_persisted(), [id]);
    assert_eq!(tree.refused(complete(7)), Error::AlreadyCompleted { path: path("/f") });
    let directory = tree.mkdir("/d");
    assert_eq!(
        tree.refused(CompleteFile { id: directory, ..complete(1) }).code(),
        Code::IsADirectory
    );
    let nobody = InodeId::from_container(999);
    assert_eq!(
        tree.refused(CompleteFile { id: nobody, ..complete(1) }),
        Error::InodeNotFound { id: nobody }
    );
    tree.change(SetPersistence {
        id,
        state: PersistenceState::Persisted,
        fingerprint: Fingerprint("hdfs;len=7;mtime=5".into()),
    })
    .unwrap();
    assert!(tree.namespace.to_be_persisted().is_empty());
    assert_eq!(tree.status("/f").unwrap().fingerprint.0, "hdfs;len=7;mtime=5");
    tree.check();
}

#[test]
fn delete_takes_the_subtree_and_names_its_files() {
    let mut tree = Tree::new();
    let a = tree.file("/d/a");
    let b = tree.file("/d/e/b");
    tree.mkdir("/d/e/empty");
    assert_eq!(tree.refused(delete("/", true)).code(), Code::InvalidArgument);
    assert_eq!(tree.refused(delete("/nope", true)).code(), Code::NotFound);
    assert_eq!(
        tree.refused(delete("/d", false)),
        Error::NotEmpty { path: path("/d"), children: 2 }
    );
    let wrong = Delete { expected: Some(a), ..delete("/d", true) };
    assert_eq!(tree.refused(wrong), Error::Moved { path: path("/d") });
    let mut removed = tree.change(delete("/d", true)).unwrap().removed;
    removed.sort();
    assert_eq!(removed, [a, b]);
    assert!(!tree.exists("/d"));
    let stats = tree.namespace.stats();
    assert_eq!((stats.files, stats.directories, stats.file_bytes), (0, 1, 0));
    tree.mkdir("/d/empty");
    tree.change(delete("/d/empty", false)).unwrap();
    tree.check();
}

#[test]
fn rename_moves_whole_directories_and_refuses_the_rest() {
    let mut tree = Tree::new();
    let f = tree.file("/a/b/f");
    tree.mkdir("/x");
    tree.file("/y");
    for (from, to, code) in [
        ("/", "/z", Code::InvalidArgument),
        ("/a", "/", Code::AlreadyExists),
        ("/nope", "/z", Code::NotFound),
        ("/a", "/a/b/c", Code::InvalidArgument),
        ("/a", "/x", Code::AlreadyExists),
        ("/a", "/nope/z", Code::NotFound),
        ("/a", "/y/z", Code::NotADirectory),
    ] {
        assert_eq!(tree.refused(rename(from, to)).code(), code, "{from} {to}");
    }
    assert!(tree.change(rename("/a", "/a")).unwrap().entries.is_empty());
    tree.change(rename("/a/b", "/x/c")).unwrap();
    assert_eq!(tree.status("/x/c/f").unwrap().id, f);
    assert_eq!(tree.namespace.path_of(f).unwrap().value, path("/x/c/f"));
    assert!(!tree.exists("/a/b"));
    tree.change(rename("/x/c/f", "/x/c/g")).unwrap();
    assert_eq!(tree.names("/x/c"), ["g"]);
    tree.check();
}

#[test]
fn mount_points_neither_move_nor_overlap_nor_go_by_accident() {
    let mut tree = Tree::new();
    tree.mkdir("/m");
    let id = match tree.change(mount("/m/s3", "s3://b/dir")).unwrap().outcome {
        Outcome::Mounted(id) => id,
        other => panic!("{other:?}"),
    };
    let f = tree.file("/m/s3/f");
    let status = tree.status("/m/s3/f").unwrap();
    assert_eq!((status.mount_id, &*status.ufs_path), (id, "s3://b/dir/f"));
    assert!(tree.status("/m/s3").unwrap().mount_point);
    for (request, code) in [
        (mount("/m/s3", "s3://other").into(), Code::AlreadyExists),
        (mount("/", "s3://other").into(), Code::AlreadyExists),
        (mount("/nope/x", "s3://other").into(), Code::NotFound),
        (mount("/x", "s3://b/dir/below").into(), Code::InvalidArgument),
        (mount("/x", "s3://b").into(), Code::InvalidArgument),
        (mount("/x", "/ufs/inside").into(), Code::InvalidArgument),
        (Request::from(rename("/m/s3", "/z")), Code::InvalidArgument),
        (rename("/m", "/z").into(), Code::FailedPrecondition),
        (rename("/m/s3/f", "/f").into(), Code::InvalidArgument),
        (delete("/m", true).into(), Code::FailedPrecondition),
        (delete("/m/s3", true).into(), Code::InvalidArgument),
        (Unmount { path: path("/") }.into(), Code::InvalidArgument),
        (Unmount { path: path("/m") }.into(), Code::InvalidArgument),
    ] {
        assert_eq!(tree.refused(request.clone()).code(), code, "{request:?}");
    }
    tree.change(mount("/m/s3/nested", "s3://c")).unwrap();
    assert_eq!(
        tree.refused(Unmount { path: path("/m/s3") }),
        Error::MountPointBelow { path: path("/m/s3"), mount: path("/m/s3/nested") }
    );
    tree.change(Unmount { path: path("/m/s3/nested") }).unwrap();
    assert_eq!(tree.change(Unmount { path: path("/m/s3") }).unwrap().removed, [f]);
    assert!(!tree.exists("/m/s3"));
    let again = tree.change(mount("/m/s3", "s3://b/dir")).unwrap().outcome;
    assert_ne!(again, Outcome::Mounted(id), "a mount id is never used twice");
    tree.change(Delete { delete_mount_points: true, ..delete("/m", true) }).unwrap();
    assert_eq!(tree.namespace.mounts().len(), 1);
    tree.check();
}

#[test]
fn a_read_only_mount_refuses_changes_but_not_cache_matters() {
    let mut tree = Tree::new();
    tree.change(mount("/m", "s3://b")).unwrap();
    tree.file("/m/f");
    let update = |read_only| UpdateMount {
        path: path("/m"),
        read_only,
        shared: true,
        options: MountOptions::default(),
    };
    tree.change(update(true)).unwrap();
    for request in [
        Request::from(CreateFile::new(path("/m/g"))),
        CreateDirectory::new(path("/m/d")).into(),
        delete("/m/f", false).into(),
        rename("/m/f", "/m/g").into(),
        SetAttributes { mode: Some(Mode(0o600)), ..set("/m/f") }.into(),
    ] {
        assert_eq!(tree.refused(request.clone()).code(), Code::ReadOnly, "{request:?}");
    }
    tree.change(SetAttributes { pinned: Some(true), ..set("/m/f") }).unwrap();
    tree.change(Delete { alluxio_only: true, ..delete("/m/f", false) }).unwrap();
    tree.change(update(false)).unwrap();
    tree.file("/m/g");
    tree.check();
}

#[test]
fn modes_are_checked_for_all_but_the_superuser() {
    let mut tree = Tree::new();
    tree.file("/d/f");
    tree.change(SetAttributes { mode: Some(Mode(0o700)), ..set("/d") }).unwrap();
    tree.mkdir("/open");
    tree.change(SetAttributes { mode: Some(Mode(0o777)), ..set("/open") }).unwrap();
    tree.file("/open/theirs");
    let root = std::mem::replace(&mut tree.who, Identity::new("eve", ["guests".into()]));
    for (at, access) in [("/d/f", Access::EXECUTE), ("/d", Access::READ)] {
        let context = tree.context();
        let error = match access {
            Access::READ => tree.namespace.list(&path(at), None, 10, &context).unwrap_err().error,
            _ => tree.namespace.status(&path(at), &context).unwrap_err().error,
        };
        assert_eq!(error, Error::PermissionDenied { user: "eve".into(), access, path: path("/d") });
    }
    for request in [
        Request::from(CreateFile::new(path("/g"))),
        CreateFile::new(path("/d/g")).into(),
        delete("/open", true).into(),
        rename("/open", "/x").into(),
        SetAttributes { owner: Some("eve".into()), ..set("/open/theirs") }.into(),
        SetAttributes { group: Some("guests".into()), ..set("/open/theirs") }.into(),
        SetAttributes { mode: Some(Mode(0o777)), ..set("/open/theirs") }.into(),
        SetAttributes { pinned: Some(true), ..set("/open/theirs") }.into(),
        mount("/m", "s3://x").into(),
    ] {
        assert_eq!(tree.refused(request.clone()).code(), Code::PermissionDenied, "{request:?}");
    }
    tree.file("/open/mine");
    tree.change(SetAttributes { mode: Some(Mode(0o600)), ..set("/open/mine") }).unwrap();
    tree.change(delete("/open/theirs", false)).unwrap();
    tree.policy.supergroup = "guests".into();
    assert!(tree.exists("/d/f"));
    tree.policy.supergroup = "none".into();
    assert!(!tree.exists("/d/f"));
    tree.policy.permission_enabled = false;
    assert!(tree.exists("/d/f"));
    tree.policy.permission_enabled = true;
    tree.who = root;
    tree.change(SetAttributes { owner: Some("eve".into()), ..set("/d") }).unwrap();
    assert_eq!(tree.status("/d").unwrap().owner, "eve");
    tree.check();
}

#[test]
fn a_recursive_delete_needs_write_on_every_directory_with_children() {
    let mut tree = Tree::new();
    tree.mkdir("/t");
    tree.change(SetAttributes { mode: Some(Mode(0o777)), ..set("/t") }).unwrap();
    tree.who = Identity::new("ann", []);
    tree.mkdir("/t/a/b");
    tree.file("/t/a/b/f");
    tree.change(SetAttributes { mode: Some(Mode(0o555)), ..set("/t/a/b") }).unwrap();
    assert_eq!(
        tree.refused(delete("/t/a", true)),
        Error::PermissionDenied {
            user: "ann".into(),
            access: Access::WRITE.and(Access::EXECUTE),
            path: path("/t/a/b"),
        }
    );
    tree.change(SetAttributes { mode: Some(Mode(0o755)), ..set("/t/a/b") }).unwrap();
    tree.change(delete("/t/a", true)).unwrap();
    tree.check();
}

#[test]
fn pins_go_down_the_tree_and_to_new_children() {
    let mut tree = Tree::new();
    let f = tree.file("/d/e/f");
    tree.change(SetAttributes { pinned: Some(true), ..set("/d") }).unwrap();
    assert_eq!(tree.namespace.pinned_files(), [f]);
    let g = tree.file("/d/e/g");
    assert_eq!(tree.namespace.pinned_files(), [f, g]);
    assert_eq!(tree.status("/d/e/g").unwrap().replication_min, 1);
    let plan = tree.change(SetAttributes { pinned: Some(true), ..set("/d") }).unwrap();
    assert!(plan.entries.is_empty(), "nothing changes the second time");
    tree.change(SetAttributes { pinned: Some(false), ..set("/d/e") }).unwrap();
    assert_eq!(tree.namespace.pinned_files(), []);
    assert_eq!(tree.status("/d/e/f").unwrap().replication_min, 0);
    assert!(tree.status("/d").unwrap().pinned);
    tree.check();
}

#[test]
fn replication_and_time_to_live_are_set_and_taken_away() {
    let mut tree = Tree::new();
    let id = tree.file("/f");
    let created = tree.status("/f").unwrap().created.0;
    tree.change(SetAttributes {
        ttl_ms: Some(Some(10)),
        ttl_action: Some(TtlAction::DeleteAlluxio),
        replication_max: Some(Some(4)),
        replication_min: Some(3),
        ..set("/f")
    })
    .unwrap();
    assert_eq!(tree.namespace.expired(UnixMillis(created + 10), 5), [id]);
    let low = SetAttributes { replication_max: Some(Some(2)), ..set("/f") };
    assert_eq!(tree.refused(low), Error::BadReplication { min: 3, max: 2 });
    tree.change(SetAttributes {
        ttl_ms: Some(None),
        replication_min: Some(0),
        replication_max: Some(None),
        ..set("/f")
    })
    .unwrap();
    assert_eq!(tree.namespace.expired(UnixMillis(u64::MAX), 5), []);
    assert_eq!(tree.refused(SetAttributes::default()), Error::NoPath);
    let empty = SetAttributes { owner: Some(String::new()), ..set("/f") };
    assert_eq!(tree.refused(empty).code(), Code::InvalidArgument);
    tree.change(Request::RecordAccess(vec![id, InodeId::from_container(99)])).unwrap();
    assert_eq!(tree.status("/f").unwrap().accessed.0, tree.now);
    tree.check();
}

#[test]
fn listings_are_pages_in_order_of_name() {
    let mut tree = Tree::new();
    for i in 0..2500 {
        tree.file(&format!("/d/{:04}", (i * 7) % 2500));
    }
    let (mut names, mut after) = (Vec::new(), None::<String>);
    loop {
        let context = tree.context();
        let page = tree.namespace.list(&path("/d"), after.as_deref(), 700, &context).unwrap().value;
        names.extend(page.entries.into_iter().map(|status| status.name));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(names, (0..2500).map(|i| format!("{i:04}")).collect::<Vec<_>>());
    assert_eq!(tree.names("/d/0007"), ["0007"]);
    let walked: Vec<String> = tree
        .namespace
        .walk(&path("/"), &tree.context())
        .unwrap()
        .map(|status| status.unwrap().value.path)
        .collect();
    assert_eq!((walked.len(), &*walked[0], &*walked[1], &*walked[2]), (2502, "/", "/d", "/d/0000"));
}

#[test]
fn lookup_says_how_much_of_a_path_exists() {
    let mut tree = Tree::new();
    let d = tree.mkdir("/d");
    tree.file("/d/f");
    let lookup = |tree: &Tree, at: &str| tree.namespace.lookup(&path(at), &tree.context());
    let found = lookup(&tree, "/d/f").unwrap().value;
    assert_eq!((found.directory, found.directory_id), (path("/d"), d));
    assert_eq!(found.found.unwrap().name, "f");
    let missing = lookup(&tree, "/d/x/y").unwrap().value;
    assert_eq!((missing.found, missing.directory_id), (None, d));
    assert_eq!(missing.missing, ["x", "y"]);
    assert_eq!(
        lookup(&tree, "/d/f/y").unwrap_err().error,
        Error::NotADirectory { path: path("/d/f") }
    );
    assert!(lookup(&tree, "/").unwrap().value.found.is_some());
}

#[test]
fn free_drops_what_the_ufs_has_and_nothing_else() {
    let mut tree = Tree::new();
    let a = tree.persisted_file("/d/a");
    let b = tree.persisted_file("/d/b");
    let free = |tree: &Tree, recursive, forced| {
        let found = tree.namespace.free_candidates(&path("/d"), recursive, forced, &tree.context());
        found.map(|seen| seen.value).map_err(|refusal| refusal.error)
    };
    assert_eq!(free(&tree, false, false).unwrap_err().code(), Code::NotEmpty);
    assert_eq!(free(&tree, true, false).unwrap().files, [a, b]);
    tree.change(SetAttributes { pinned: Some(true), ..set("/d/b") }).unwrap();
    assert_eq!(free(&tree, true, false), Err(Error::Pinned { path: path("/d/b") }));
    assert_eq!(free(&tree, true, true).unwrap().pinned, [b]);
    tree.create("/d/c");
    assert_eq!(free(&tree, true, true).unwrap().files, [a, b]);
    tree.file("/d/d");
    assert_eq!(free(&tree, true, true), Err(Error::NotPersisted { path: path("/d/d") }));
}

#[test]
fn answers_depend_on_the_last_entry_that_made_them_true_and_no_later_one() {
    let mut tree = Tree::new();
    tree.file("/d/old");
    let seq = |tree: &Tree| JournalSeq(tree.journal.len() as u64);
    let old = seq(&tree);
    tree.file("/d/new");
    let now = seq(&tree);
    let status = |tree: &Tree, at: &str| match tree.namespace.status(&path(at), &tree.context()) {
        Ok(seen) => seen.seq,
        Err(refusal) => refusal.seen,
    };
    assert_eq!(status(&tree, "/d/old"), old, "a new neighbour costs an old file nothing");
    assert_eq!(status(&tree, "/d/new"), now);
    assert_eq!(status(&tree, "/d"), JournalSeq(now.0 - 1), "its names changed with the create");
    tree.change(delete("/d/old", false)).unwrap();
    assert_eq!(status(&tree, "/d/old"), seq(&tree), "a miss depends on the delete");
    tree.change(rename("/d", "/e")).unwrap();
    assert_eq!(status(&tree, "/d/new"), seq(&tree));
    assert_eq!(status(&tree, "/e/new"), seq(&tree));
    let gone = tree.status("/e/new").unwrap().id;
    tree.change(delete("/e", true)).unwrap();
    assert_eq!(tree.namespace.status_by_id(gone).unwrap_err().seen, seq(&tree));
}
