//! Readers beside the writer: they never panic, never see half of a change, and never a path that
//! did not exist.

use crate::support::{Tree, path};
use alluxio_namespace::{Context, CreateFile, Delete, Error, Namespace, Policy, Rename};
use alluxio_types::{Identity, UnixMillis};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Runs `read` in threads while `write` runs, at least once after it has begun. Returns the number
/// of reads.
fn beside(
    namespace: &Arc<Namespace>,
    read: impl Fn(&Arc<Namespace>, &Context<'_>) + Sync,
    write: impl FnOnce(),
) -> u64 {
    let (stop, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    let (who, policy) = (Identity::new("root", []), Policy::default());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let context = Context { now: UnixMillis(0), who: &who, policy: &policy };
                loop {
                    read(namespace, &context);
                    reads.fetch_add(1, Ordering::Relaxed);
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
        write();
        stop.store(true, Ordering::Relaxed);
    });
    reads.into_inner()
}

#[test]
fn a_directory_that_moves_back_and_forth_is_always_in_one_place() {
    let mut tree = Tree::new();
    tree.file("/a/d/x/f");
    tree.mkdir("/b");
    let namespace = Arc::clone(&tree.namespace);
    let expected = namespace.resolve(&path("/a/d/x/f"), &tree.context()).unwrap().value;
    let read = |namespace: &Arc<Namespace>, _: &Context<'_>| {
        let status = namespace.status_by_id(expected).unwrap().value;
        assert!(["/a/d/x/f", "/b/d/x/f"].contains(&&*status.path), "{}", status.path);
        assert_eq!((status.length, &*status.name), (100, "f"));
    };
    let reads = beside(&namespace, read, || {
        for _ in 0..5_000 {
            for (source, target) in [("/a/d", "/b/d"), ("/b/d", "/a/d")] {
                let (source, target) = (path(source), path(target));
                tree.change(Rename { source, target, replace: false, expected: None }).unwrap();
            }
        }
    });
    assert!(reads > 0);
    tree.check();
}

/// `/p/m` holds `one` before each exchange and `two` after it, and both names are in two levels:
/// a path made of the old upper and the new lower half never exists.
#[test]
fn a_walk_never_joins_the_old_half_of_a_path_with_the_new_half() {
    let mut tree = Tree::new();
    tree.mkdir("/p/m");
    tree.mkdir("/q");
    tree.file("/only-in-q");
    let namespace = Arc::clone(&tree.namespace);
    // The file is under m only while m is in q.
    let read = |namespace: &Arc<Namespace>, context: &Context<'_>| {
        let impossible = namespace.status(&path("/p/m/only-in-q"), context);
        let Err(refusal) = impossible else { panic!("a path that never existed was found") };
        assert!(matches!(refusal.error, Error::PathNotFound { .. }), "{refusal}");
    };
    beside(&namespace, read, || {
        for _ in 0..3_000 {
            for (source, target) in [
                ("/p/m", "/q/m"),
                ("/only-in-q", "/q/m/only-in-q"),
                ("/q/m/only-in-q", "/only-in-q"),
                ("/q/m", "/p/m"),
            ] {
                let (source, target) = (path(source), path(target));
                tree.change(Rename { source, target, replace: false, expected: None }).unwrap();
            }
        }
    });
    tree.check();
}

#[test]
fn an_overwritten_file_is_never_missing() {
    let mut tree = Tree::new();
    tree.file("/d/f");
    let namespace = Arc::clone(&tree.namespace);
    let read = |namespace: &Arc<Namespace>, context: &Context<'_>| {
        let status = namespace.status(&path("/d/f"), context).unwrap().value;
        assert_eq!(status.completed, status.length == 100, "a torn record: {status:?}");
    };
    beside(&namespace, read, || {
        for _ in 0..5_000 {
            let request = CreateFile { overwrite: true, ..CreateFile::new(path("/d/f")) };
            let plan = tree.change(request).unwrap();
            let id = crate::support::id_of(&plan);
            tree.complete(id, 100, alluxio_types::PersistenceState::NotPersisted);
        }
    });
    tree.check();
}

#[test]
fn listings_and_walks_beside_creates_deletes_and_a_checkpoint_hold_together() {
    let mut tree = Tree::new();
    for i in 0..300 {
        tree.file(&format!("/keep/{i:03}"));
    }
    let namespace = Arc::clone(&tree.namespace);
    let read = |namespace: &Arc<Namespace>, context: &Context<'_>| {
        let page = namespace.list(&path("/keep"), None, usize::MAX, context).unwrap().value;
        let names: Vec<&str> = page.entries.iter().map(|status| &*status.name).collect();
        assert!(names.windows(2).all(|two| two[0] < two[1]), "out of order");
        assert_eq!(names.iter().filter(|name| name.len() == 3).count(), 300);
        for status in namespace.walk(&path("/"), context).unwrap() {
            let status = status.unwrap().value;
            assert!(status.path.ends_with(&status.name));
        }
        if let Ok(mut checkpoint) = namespace.begin_checkpoint() {
            // Begun beside the writer, which the master never does: its content is not judged.
            while !checkpoint.step(64).is_empty() {}
        }
    };
    beside(&namespace, read, || {
        for i in 0..2_000 {
            tree.file(&format!("/keep/{i}-more"));
            tree.file(&format!("/gone/{i}/x/y"));
            let path = match i % 3 {
                0 => path(&format!("/keep/{i}-more")),
                1 => path(&format!("/gone/{i}")),
                _ => path("/gone"),
            };
            tree.change(Delete {
                path,
                recursive: true,
                alluxio_only: false,
                delete_mount_points: false,
                expected: None,
            })
            .unwrap();
        }
    });
    tree.check();
}
