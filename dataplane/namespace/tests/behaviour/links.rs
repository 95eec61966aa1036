//! Symbolic links, exchanged names, and the set-group-id bit of directories.

use crate::support::{Tree, path};
use alluxio_namespace::{CreateDirectory, CreateFile, CreateSymlink, Exchange, SetAttributes};
use alluxio_types::path::TARGET_BYTES_MAX;
use alluxio_types::{Code, Coded, FileKind, Identity, Mode, PersistenceState};

fn link(at: &str, target: &str) -> CreateSymlink {
    CreateSymlink { path: path(at), target: target.into() }
}

fn exchange(source: &str, target: &str) -> Exchange {
    Exchange { source: path(source), target: path(target) }
}

fn chmod(at: &str, mode: u16, recursive: bool) -> SetAttributes {
    let (path, mode) = (Some(path(at)), Some(Mode(mode)));
    SetAttributes { path, mode, recursive, ..SetAttributes::default() }
}

#[test]
fn a_link_holds_a_path_that_nobody_here_follows() {
    let mut tree = Tree::new();
    tree.mkdir("/d");
    tree.file("/d/f");
    tree.change(link("/d/l", "../d")).unwrap();
    let status = tree.status("/d/l").unwrap();
    assert_eq!(
        (status.kind, status.target.as_str(), status.length),
        (FileKind::Symlink, "../d", 4)
    );
    assert_eq!((status.mode, status.completed), (Mode(0o777), true));
    assert_eq!(status.persistence, PersistenceState::NotPersisted);
    assert!(status.blocks.is_empty());
    assert_eq!(tree.status("/d/l/f").unwrap_err().code(), Code::NotADirectory);
    for (at, target, wanted) in [
        ("/d/l", "x", Code::AlreadyExists),
        ("/d/f/l", "x", Code::NotADirectory),
        ("/no/l", "x", Code::NotFound),
        ("/x", "", Code::InvalidArgument),
        ("/x", "a\0b", Code::InvalidArgument),
        ("/x", &"x".repeat(TARGET_BYTES_MAX + 1), Code::InvalidArgument),
    ] {
        assert_eq!(tree.refused(link(at, target)).code(), wanted, "{at}");
    }
    tree.change(link("/x", &"x".repeat(TARGET_BYTES_MAX))).unwrap();
    // A recursive change of modes passes links by; their directory takes them along when it is freed or goes.
    tree.change(chmod("/d", 0o700, true)).unwrap();
    assert_eq!(tree.status("/d/l").unwrap().mode, Mode(0o777));
    assert_eq!(tree.status("/d/f").unwrap().mode, Mode(0o700));
    tree.who = Identity::new("ann", []);
    assert_eq!(tree.refused(link("/y", "x")).code(), Code::PermissionDenied);
    tree.check();
}

#[test]
fn names_are_exchanged_in_one_change_whatever_they_are() {
    let mut tree = Tree::new();
    let (file, directory) = (tree.file("/f"), tree.mkdir("/a/d"));
    tree.file("/a/d/below");
    let plan = tree.change(exchange("/f", "/a/d")).unwrap();
    assert!(plan.removed.is_empty());
    assert_eq!((tree.status("/f").unwrap().id, tree.status("/a/d").unwrap().id), (directory, file));
    assert!(tree.exists("/f/below"));
    assert_eq!(tree.names("/"), ["a", "f"]);
    for (one, other, wanted) in [
        ("/a", "/a/d", Code::InvalidArgument),
        ("/a/d", "/a", Code::InvalidArgument),
        ("/a", "/no", Code::NotFound),
        ("/", "/a", Code::InvalidArgument),
    ] {
        assert_eq!(tree.refused(exchange(one, other)).code(), wanted, "{one} {other}");
    }
    assert!(tree.change(exchange("/f", "/f")).unwrap().entries.is_empty());
    // A store has no such change, and has something of this directory.
    tree.persisted_file("/s/stored");
    assert_eq!(tree.refused(exchange("/f", "/s")).code(), Code::InvalidArgument);
    assert_eq!(tree.refused(exchange("/s/stored", "/f")).code(), Code::InvalidArgument);
    tree.check();
}

#[test]
fn new_names_in_a_set_group_id_directory_have_its_group() {
    let mut tree = Tree::new();
    tree.mkdir("/d");
    let group = SetAttributes {
        path: Some(path("/d")),
        group: Some("staff".into()),
        mode: Some(Mode(0o2777)),
        ..SetAttributes::default()
    };
    tree.change(group).unwrap();
    tree.who = Identity::new("ann", ["guests".into()]);
    let way = CreateDirectory { recursive: true, ..CreateDirectory::new(path("/d/a/b")) };
    tree.change(way).unwrap();
    tree.change(CreateFile { mode: Some(Mode(0o644)), ..CreateFile::new(path("/d/a/f")) }).unwrap();
    let of = |at: &str| {
        let status = tree.status(at).unwrap();
        (status.owner, status.group, status.mode.0)
    };
    assert_eq!(of("/d/a"), ("ann".into(), "staff".into(), 0o2755));
    assert_eq!(of("/d/a/b"), ("ann".into(), "staff".into(), 0o2755));
    assert_eq!(of("/d/a/f"), ("ann".into(), "staff".into(), 0o644));
    tree.check();
}
