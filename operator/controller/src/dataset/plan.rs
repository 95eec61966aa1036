//! What has to happen to mounts, from what is wanted and what the master has. Pure.
//!
//! A mount at or below the directory of a Dataset is the operator's when the Dataset's mark is on it, or when it shows
//! the wanted store at the wanted path: then an operator that died between mounting and marking finds it again. All
//! others are somebody else's and are not touched.

use super::admin::MountRow;
use super::names::is_below;
use super::options::Wanted;
use alluxio_config::ufs;
use std::collections::{BTreeMap, BTreeSet};

/// Steps, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountPlan {
    /// Mounts that go, the deepest first.
    pub unmount: Vec<String>,
    /// Mounts that are made: indices of what is wanted, those above others first.
    pub mount: Vec<usize>,
    /// Mounts that get other options, credentials or the mark.
    pub update: Vec<usize>,
    /// Mounts of somebody else where one is wanted, with what is there.
    pub conflicts: BTreeMap<usize, String>,
}

impl MountPlan {
    /// Whether nothing has to be done, or can be.
    pub fn is_done(&self) -> bool {
        self.unmount.is_empty() && self.mount.is_empty() && self.update.is_empty()
    }
}

/// `known` are versions of credentials that the master has, by the names of mounts; with `again`, credentials are
/// sent even if it has them: the object was changed, and what is taken from a Secret may be something else.
pub fn plan(
    wanted: &[Wanted],
    table: &[MountRow],
    owner: &str,
    known: &BTreeMap<String, String>,
    again: bool,
) -> MountPlan {
    let at = |path: &str| wanted.iter().position(|one| one.spec.path == path);
    let shows = |row: &MountRow, one: &Wanted| same_store(&row.uri, &one.spec.uri);
    let mut plan = MountPlan::default();
    let mut going: BTreeSet<&str> = BTreeSet::new();
    let mut ours: BTreeSet<&str> = BTreeSet::new();
    for row in table {
        let index = at(&row.path);
        let right = index.is_some_and(|index| shows(row, &wanted[index]));
        // Any Dataset's mark at this place is one of this Dataset, or of one of its name that is gone.
        match (row.owner.is_some() || right, right, index) {
            (true, true, _) => drop(ours.insert(&row.path)),
            (true, false, _) => drop(going.insert(&row.path)),
            (false, _, Some(index)) => {
                let text = format!("{} is mounted at {} by somebody else", row.uri, row.path);
                plan.conflicts.insert(index, text);
            }
            (false, _, None) => {}
        }
    }
    // A mount cannot be made or taken away above others.
    let moved: Vec<&str> = wanted
        .iter()
        .map(|one| one.spec.path.as_str())
        .filter(|path| !table.iter().any(|row| row.path == **path))
        .chain(going.iter().copied())
        .collect();
    let lifted = ours
        .iter()
        .copied()
        .filter(|path| moved.iter().any(|above| path != above && is_below(path, above)));
    going.extend(lifted.collect::<Vec<_>>());
    for (index, one) in wanted.iter().enumerate() {
        let path = one.spec.path.as_str();
        let row = table.iter().find(|row| row.path == path);
        match row {
            _ if plan.conflicts.contains_key(&index) => {}
            None => plan.mount.push(index),
            Some(_) if going.contains(path) => plan.mount.push(index),
            Some(row) => {
                let newer = one.credential_version.as_ref() != known.get(&one.name)
                    || (again && one.credential_version.is_some());
                if newer || row.owner.as_deref() != Some(owner) || differs(row, one) {
                    plan.update.push(index);
                }
            }
        }
    }
    plan.mount.sort_by_key(|index| wanted[*index].spec.path.len());
    plan.unmount = going.into_iter().map(str::to_owned).collect();
    plan.unmount.sort_by_key(|path| std::cmp::Reverse(path.len()));
    plan
}

/// Whether two URIs mean one store: the master cuts slashes, and S3 has three schemes.
fn same_store(one: &str, other: &str) -> bool {
    let normal = |uri: &str| {
        let uri = uri.trim_end_matches('/');
        let local = uri.strip_prefix("file://");
        let s3 = uri.strip_prefix("s3a://").or_else(|| uri.strip_prefix("s3n://"));
        match (local, s3) {
            (Some(path), _) => path.to_owned(),
            (None, Some(rest)) => format!("s3://{rest}"),
            (None, None) => uri.to_owned(),
        }
    };
    normal(one) == normal(other)
}

/// Whether the master has other options. Of credentials only the names can be compared.
fn differs(row: &MountRow, one: &Wanted) -> bool {
    let shown = |options: BTreeMap<String, String>| -> BTreeMap<String, Option<String>> {
        let canonical = ufs::canonical_options(options).into_iter();
        canonical
            .map(|(name, value)| {
                let value = (!ufs::is_credential(&name)).then_some(value);
                (name, value)
            })
            .collect()
    };
    row.read_only != one.spec.read_only
        || shown(row.options.clone()) != shown(one.spec.options.reveal())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::admin::MountSpec;
    use crate::dataset::secret::{SecretText, StoreOptions};
    use proptest::prelude::*;

    const ROOT: &str = "/datasets/a/b";
    const UID: &str = "uid-1";

    fn want(path: &str, uri: &str) -> Wanted {
        Wanted {
            name: path.trim_matches('/').replace('/', "-"),
            spec: MountSpec {
                path: super::super::names::below(ROOT, path),
                uri: uri.into(),
                read_only: true,
                options: StoreOptions::default(),
            },
            credential_version: None,
        }
    }

    fn row(path: &str, uri: &str, owner: Option<&str>) -> MountRow {
        MountRow {
            path: super::super::names::below(ROOT, path),
            uri: uri.into(),
            read_only: true,
            options: BTreeMap::new(),
            owner: owner.map(str::to_owned),
        }
    }

    fn of(wanted: &[Wanted], table: &[MountRow]) -> MountPlan {
        plan(wanted, table, UID, &BTreeMap::new(), false)
    }

    #[test]
    fn what_is_right_is_left_alone() {
        let wanted = [want("/", "s3a://bucket/dir/")];
        let table = [row("/", "s3://bucket/dir", Some(UID))];
        assert_eq!(of(&wanted, &table), MountPlan::default());
    }

    #[test]
    fn an_unmarked_mount_of_the_same_store_is_adopted() {
        let plan = of(&[want("/", "s3://b")], &[row("/", "s3://b", None)]);
        assert_eq!(plan, MountPlan { update: vec![0], ..MountPlan::default() });
        let plan = of(&[want("/", "s3://b")], &[row("/", "s3://b", Some("an earlier one"))]);
        assert_eq!(plan, MountPlan { update: vec![0], ..MountPlan::default() });
    }

    #[test]
    fn a_mount_of_somebody_else_is_a_conflict_and_stays() {
        let table = [row("/", "hdfs://x/y", None), row("/z", "hdfs://x/z", None)];
        let plan = of(&[want("/", "s3://b")], &table);
        assert!(plan.is_done(), "{plan:?}");
        assert!(plan.conflicts[&0].contains("hdfs://x/y is mounted at /datasets/a/b"), "{plan:?}");
    }

    #[test]
    fn another_store_is_mounted_anew() {
        let plan = of(&[want("/", "s3://new")], &[row("/", "s3://old", Some(UID))]);
        assert_eq!((plan.unmount, plan.mount), (vec![ROOT.to_owned()], vec![0]));
    }

    #[test]
    fn mounts_below_one_that_changes_go_first_and_come_back_last() {
        let wanted = [want("/c", "s3://c"), want("/", "s3://new")];
        let table = [row("/", "s3://old", Some(UID)), row("/c", "s3://c", Some(UID))];
        let plan = of(&wanted, &table);
        assert_eq!(plan.unmount, ["/datasets/a/b/c", ROOT]);
        assert_eq!(plan.mount, [1, 0]);
        // The same when the one above is new.
        let plan = of(&wanted, &table[1..]);
        assert_eq!(
            (plan.unmount.as_slice(), plan.mount),
            (&["/datasets/a/b/c".to_owned()][..], vec![1, 0])
        );
    }

    #[test]
    fn options_and_credentials_are_compared() {
        let mut one = want("/", "s3://b");
        one.spec.options.plain.insert("alluxio.underfs.s3.region".into(), "eu".into());
        one.spec.options.secret.insert("s3a.secretKey".into(), SecretText::new("new".into()));
        one.credential_version = Some("8".into());
        let mut there = row("/", "s3://b", Some(UID));
        there.options.insert("alluxio.underfs.s3a.region".into(), "eu".into());
        there.options.insert("s3a.secretKey".into(), "******".into());
        let known = |version: &str| [(one.name.clone(), version.to_owned())].into();
        let wanted = [one.clone()];
        let of =
            |table: &[MountRow], version, again| plan(&wanted, table, UID, &known(version), again);
        assert!(of(&[there.clone()], "8", false).is_done());
        assert_eq!(of(&[there.clone()], "7", false).update, [0], "the Secret changed");
        assert_eq!(of(&[there.clone()], "8", true).update, [0], "the object changed");
        there.options.remove("s3a.secretKey");
        assert_eq!(of(&[there.clone()], "8", false).update, [0], "a credential is missing");
        there.read_only = false;
        assert_eq!(of(&[there], "8", false).update, [0]);
    }

    /// A master that obeys: what is left of its rules is that nothing is mounted or taken away above a mount.
    fn obey(plan: &MountPlan, wanted: &[Wanted], table: &mut Vec<MountRow>) {
        for path in &plan.unmount {
            assert!(
                !table.iter().any(|row| row.path != *path
                    && is_below(&row.path, path)
                    && row.owner.is_some())
            );
            table.retain(|row| row.path != *path);
        }
        for index in plan.mount.iter().chain(&plan.update) {
            let spec = &wanted[*index].spec;
            table.retain(|row| row.path != spec.path);
            table.push(MountRow {
                path: spec.path.clone(),
                uri: spec.uri.clone(),
                read_only: spec.read_only,
                options: spec.options.reveal(),
                owner: Some(UID.into()),
            });
        }
    }

    const PATHS: [&str; 5] = ["/", "/a", "/a/b", "/c", "/c/d"];

    proptest! {
        /// Whatever is there: one plan leads to what is wanted, a second one has nothing to do, and what belongs to
        /// somebody else is as before.
        #[test]
        fn plans_converge_and_spare_others(
            wishes in prop::collection::btree_map(0..5usize, 0..3u8, 0..4),
            there in prop::collection::btree_map(0..5usize, (0..3u8, any::<bool>()), 0..5),
        ) {
            let wanted: Vec<Wanted> = wishes.iter()
                .map(|(path, uri)| want(PATHS[*path], &format!("s3://{path}-{uri}"))).collect();
            let mut table: Vec<MountRow> = there.iter().map(|(path, (uri, ours))| {
                row(PATHS[*path], &format!("s3://{path}-{uri}"), ours.then_some(UID))
            }).collect();
            let foreign: Vec<MountRow> = table.iter()
                .filter(|row| row.owner.is_none())
                .filter(|row| !wanted.iter().any(|one| one.spec.path == row.path && one.spec.uri == row.uri))
                .cloned().collect();
            let first = of(&wanted, &table);
            obey(&first, &wanted, &mut table);
            prop_assert!(foreign.iter().all(|row| table.contains(row)));
            let second = of(&wanted, &table);
            prop_assert!(second.is_done(), "{:?}", second);
            for (index, one) in wanted.iter().enumerate() {
                let shown = table.iter().any(|row| row.path == one.spec.path && row.uri == one.spec.uri);
                prop_assert!(shown || first.conflicts.contains_key(&index));
            }
        }
    }
}
