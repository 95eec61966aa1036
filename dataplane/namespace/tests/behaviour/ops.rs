//! Random changes for the model.

use alluxio_types::{XattrStrategy, Xattrs};
use proptest::prelude::*;

/// A change.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Create { at: String, recursive: bool, overwrite: bool, complete: bool, persisted: bool },
    Mkdir { at: String, recursive: bool, allow_exists: bool },
    Delete { at: String, recursive: bool, mounts: bool },
    Rename { from: String, to: String },
    Exchange { from: String, to: String },
    Link { at: String, target: u8 },
    Xattr { at: String, strategy: XattrStrategy, values: Xattrs },
    Pin { at: String, pinned: bool },
    Ttl { at: String, ttl: Option<u64> },
    Load { at: String, names: Vec<(String, bool, u64)> },
    Mount { at: String, uri: u8 },
    Unmount { at: String },
    Quota { at: String, bytes: Option<u64>, inodes: Option<u64> },
}

fn names() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned)
}

fn paths() -> impl Strategy<Value = String> {
    prop::collection::vec(names(), 1..4).prop_map(|names| format!("/{}", names.join("/")))
}

fn xattrs() -> impl Strategy<Value = (XattrStrategy, Xattrs)> {
    let strategies = vec![
        XattrStrategy::Truncate,
        XattrStrategy::UnionReplace,
        XattrStrategy::UnionPreserve,
        XattrStrategy::DeleteKeys,
        XattrStrategy::Create,
        XattrStrategy::Replace,
        XattrStrategy::Remove,
    ];
    let names = prop::sample::select(vec!["user.a", "user.b", "trusted.c"]);
    let values = prop::collection::vec((names.prop_map(str::to_owned), any::<Vec<u8>>()), 0..3);
    (prop::sample::select(strategies), values.prop_map(Xattrs::from_iter))
}

fn bounds(max: u64) -> impl Strategy<Value = Option<u64>> {
    prop::option::of(0..max)
}

/// Changes on a few names, so that they meet.
pub(crate) fn ops() -> impl Strategy<Value = Op> {
    let flag = any::<bool>;
    prop_oneof![
        4 => (paths(), flag(), flag(), flag(), flag()).prop_map(
            |(at, recursive, overwrite, complete, persisted)| Op::Create {
                at, recursive, overwrite, complete, persisted
            }
        ),
        3 => (paths(), flag(), flag())
            .prop_map(|(at, recursive, allow_exists)| Op::Mkdir { at, recursive, allow_exists }),
        2 => (paths(), flag(), flag())
            .prop_map(|(at, recursive, mounts)| Op::Delete { at, recursive, mounts }),
        3 => (paths(), paths()).prop_map(|(from, to)| Op::Rename { from, to }),
        2 => (paths(), paths()).prop_map(|(from, to)| Op::Exchange { from, to }),
        2 => (paths(), any::<u8>()).prop_map(|(at, target)| Op::Link { at, target }),
        2 => (paths(), xattrs())
            .prop_map(|(at, (strategy, values))| Op::Xattr { at, strategy, values }),
        1 => (paths(), flag()).prop_map(|(at, pinned)| Op::Pin { at, pinned }),
        1 => (paths(), prop::option::of(1u64..9)).prop_map(|(at, ttl)| Op::Ttl { at, ttl }),
        3 => (
            prop_oneof![Just("/".to_owned()), paths()],
            prop::collection::vec((names(), flag(), 1u64..3), 0..4),
        )
            .prop_map(|(at, names)| Op::Load { at, names }),
        1 => (paths(), 0u8..2).prop_map(|(at, uri)| Op::Mount { at, uri }),
        1 => paths().prop_map(|at| Op::Unmount { at }),
        2 => (paths(), bounds(400), bounds(6))
            .prop_map(|(at, bytes, inodes)| Op::Quota { at, bytes, inodes }),
    ]
}
