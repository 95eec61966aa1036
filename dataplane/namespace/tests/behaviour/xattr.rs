//! Extended attributes.

use crate::support::{Tree, path};
use alluxio_namespace::{CreateFile, Error, Rename, SetAttributes};
use alluxio_types::xattr::{XATTR_BYTES_MAX, XATTR_NAME_BYTES_MAX, XATTR_VALUE_BYTES_MAX};
use alluxio_types::{Code, Coded, Identity, XattrStrategy, XattrUpdate, Xattrs};

fn set(at: &str, strategy: XattrStrategy, values: &[(&str, &[u8])]) -> SetAttributes {
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec()));
    let xattr = Some(XattrUpdate { values: values.collect(), strategy });
    SetAttributes { path: Some(path(at)), xattr, ..SetAttributes::default() }
}

fn names(tree: &Tree, at: &str) -> Vec<String> {
    tree.status(at).unwrap().xattr.iter().map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn what_would_be_too_much_is_refused_and_changes_nothing() {
    let mut tree = Tree::new();
    tree.file("/f");
    let union = XattrStrategy::UnionReplace;
    let most = vec![7; XATTR_VALUE_BYTES_MAX];
    let long = "u".repeat(XATTR_NAME_BYTES_MAX + 1);
    for (name, value, wanted) in [
        ("", &b""[..], Code::InvalidArgument),
        ("user.\0", b"", Code::InvalidArgument),
        (&long, b"", Code::InvalidArgument),
        ("user.a", &[7; XATTR_VALUE_BYTES_MAX + 1], Code::InvalidArgument),
    ] {
        assert_eq!(tree.refused(set("/f", union, &[(name, value)])).code(), wanted, "{name:?}");
    }
    tree.change(set("/f", union, &[("user.a", &most), (&long[1..], b"")])).unwrap();
    let error = tree.refused(set("/f", union, &[("user.b", &most)]));
    assert!(matches!(error, Error::XattrsFull { max: XATTR_BYTES_MAX, .. }), "{error}");
    assert_eq!(error.code(), Code::ResourceExhausted);
    // In the place of what is there it fits.
    tree.change(set("/f", union, &[("user.a", b"1"), ("user.b", &most)])).unwrap();
    tree.check();
}

#[test]
fn names_of_the_system_are_the_superusers() {
    let mut tree = Tree::new();
    tree.file("/f");
    let union = XattrStrategy::UnionReplace;
    tree.change(set("/f", union, &[("trusted.t", b"1"), ("user.u", b"2")])).unwrap();
    let mode = SetAttributes {
        path: Some(path("/f")),
        mode: Some(alluxio_types::Mode(0o666)),
        ..SetAttributes::default()
    };
    tree.change(mode).unwrap();
    tree.who = Identity::new("ann", []);
    assert_eq!(names(&tree, "/f"), ["user.u"]);
    for name in ["trusted.t", "security.capability"] {
        assert_eq!(
            tree.refused(set("/f", union, &[(name, b"")])).code(),
            Code::PermissionDenied,
            "{name}"
        );
    }
    // What she does not see she does not take away.
    tree.change(set("/f", XattrStrategy::Truncate, &[("user.v", b"3")])).unwrap();
    tree.who = Identity::new("root", []);
    assert_eq!(names(&tree, "/f"), ["trusted.t", "user.v"]);
    let closed = SetAttributes {
        path: Some(path("/f")),
        mode: Some(alluxio_types::Mode(0o644)),
        ..SetAttributes::default()
    };
    tree.change(closed).unwrap();
    tree.who = Identity::new("ann", []);
    let error = tree.refused(set("/f", union, &[("user.v", b"4")]));
    assert_eq!(error.code(), Code::PermissionDenied, "needs w");
    tree.check();
}

#[test]
fn they_go_with_their_inode_and_with_no_other() {
    let mut tree = Tree::new();
    tree.mkdir("/d");
    tree.file("/a");
    tree.file("/b");
    let union = XattrStrategy::UnionReplace;
    tree.change(set("/a", union, &[("user.of", b"a")])).unwrap();
    tree.change(set("/b", union, &[("user.of", b"b")])).unwrap();
    tree.change(set("/d", union, &[("user.of", b"d")])).unwrap();
    let over = Rename { source: path("/a"), target: path("/b"), replace: true, expected: None };
    tree.change(over).unwrap();
    assert_eq!(tree.status("/b").unwrap().xattr.get("user.of"), Some(&b"a"[..]));
    let into = Rename { source: path("/b"), target: path("/d/b"), replace: false, expected: None };
    tree.change(into).unwrap();
    assert_eq!(tree.status("/d/b").unwrap().xattr.get("user.of"), Some(&b"a"[..]));
    assert_eq!(tree.status("/d").unwrap().xattr.get("user.of"), Some(&b"d"[..]));
    // A file that is made anew has what its maker gives it.
    let xattr = Xattrs::from_iter([("user.new".to_owned(), vec![1])]);
    let create = CreateFile { overwrite: true, xattr, ..CreateFile::new(path("/d/b")) };
    tree.change(create).unwrap();
    assert_eq!(names(&tree, "/d/b"), ["user.new"]);
    tree.check();
}

#[test]
fn a_page_of_a_listing_ends_before_it_is_too_long_for_a_message() {
    let mut tree = Tree::new();
    let most = vec![7; XATTR_VALUE_BYTES_MAX];
    for at in 0..40 {
        tree.file(&format!("/{at:02}"));
        let union = XattrStrategy::UnionReplace;
        tree.change(set(&format!("/{at:02}"), union, &[("user.a", &most)])).unwrap();
    }
    let (mut after, mut pages, mut found) = (None::<String>, 0, Vec::new());
    loop {
        let page = tree.namespace.list(&path("/"), after.as_deref(), 1000, &tree.context());
        let page = page.unwrap().value;
        found.extend(page.entries.into_iter().map(|status| status.name));
        pages += 1;
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let all: Vec<String> = (0..40).map(|at| format!("{at:02}")).collect();
    assert_eq!((found, pages), (all, 3), "17 of 64 KiB in each page");
}
