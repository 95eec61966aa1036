//! Renames onto what is there.

use crate::support::{Tree, path};
use alluxio_namespace::Rename;
use alluxio_types::{Code, Coded, PersistenceState};

fn over(source: &str, target: &str) -> Rename {
    Rename { source: path(source), target: path(target), replace: true, expected: None }
}

#[test]
fn a_file_or_an_empty_directory_goes_in_the_same_change() {
    let mut tree = Tree::new();
    let (moved, gone) = (tree.file("/a"), tree.file("/b"));
    let plan = tree.change(over("/a", "/b")).unwrap();
    assert_eq!((plan.removed.as_slice(), plan.entries.len()), (&[gone][..], 2));
    assert_eq!(tree.status("/b").unwrap().id, moved);
    tree.mkdir("/d");
    tree.mkdir("/e");
    tree.file("/e/f");
    for (from, to, wanted) in [
        ("/b", "/d", Code::IsADirectory),
        ("/d", "/b", Code::NotADirectory),
        ("/d", "/e", Code::NotEmpty),
    ] {
        assert_eq!(tree.refused(over(from, to)).code(), wanted, "{from} onto {to}");
    }
    tree.change(over("/e", "/d")).unwrap();
    assert!(tree.exists("/d/f") && !tree.exists("/e"));
    // Nothing there: a plain rename.
    tree.change(over("/b", "/c")).unwrap();
    assert_eq!(tree.status("/c").unwrap().id, moved);
    tree.check();
}

#[test]
fn what_an_under_store_has_is_not_replaced_in_one_change() {
    let mut tree = Tree::new();
    tree.persisted_file("/stored");
    tree.file("/cached");
    assert_eq!(tree.refused(over("/cached", "/stored")).code(), Code::AlreadyExists);
    assert_eq!(tree.refused(over("/stored", "/cached")).code(), Code::AlreadyExists);
    assert_eq!(tree.status("/stored").unwrap().persistence, PersistenceState::Persisted);
    tree.check();
}
