//! Facts about mounted under stores.

use crate::{AlluxioPath, MountId};
use std::collections::BTreeMap;
use std::fmt;

/// Per-mount options, named as in the configuration reference (`s3a.accessKeyId`, …).
/// Values may be credentials: `Debug` prints names only.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct MountOptions(pub BTreeMap<String, String>);

impl fmt::Debug for MountOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// One row of the mount table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountInfo {
    /// Its id.
    pub id: MountId,
    /// Where it is mounted.
    pub path: AlluxioPath,
    /// What is mounted: a URI, or an absolute local path. No trailing slash, unless it is `/`.
    pub ufs_uri: String,
    /// Whether changes below it are refused.
    pub read_only: bool,
    /// Whether everybody may use it, whatever the store says of owners.
    pub shared: bool,
    /// Options for the store.
    pub options: MountOptions,
}

impl MountInfo {
    /// The id of the root mount.
    pub const ROOT_ID: MountId = MountId(1);

    /// The URI of `path` in this mount's store; `None` when `path` is not below the mount point.
    pub fn ufs_path(&self, path: &AlluxioPath) -> Option<String> {
        let rest = path.relative_to(&self.path)?;
        Some(join_uri(&self.ufs_uri, rest))
    }
}

/// `base` with `rest` (no leading slash, may be empty) below it.
pub fn join_uri(base: &str, rest: &str) -> String {
    if rest.is_empty() {
        return base.to_owned();
    }
    let slash = if base.ends_with('/') { "" } else { "/" };
    // Not by `format!`: listings do this for every name.
    let mut joined = String::with_capacity(base.len() + slash.len() + rest.len());
    joined.extend([base, slash, rest]);
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_below_a_mount_lead_into_its_store() {
        let mount = MountInfo {
            id: MountId(2),
            path: AlluxioPath::parse("/data/s3").unwrap(),
            ufs_uri: "s3://bucket/dir".into(),
            read_only: false,
            shared: false,
            options: MountOptions(BTreeMap::from([("s3a.secretKey".into(), "hush".into())])),
        };
        let below = AlluxioPath::parse("/data/s3/a/b").unwrap();
        assert_eq!(mount.ufs_path(&below).unwrap(), "s3://bucket/dir/a/b");
        assert_eq!(mount.ufs_path(&mount.path).unwrap(), "s3://bucket/dir");
        assert_eq!(mount.ufs_path(&AlluxioPath::parse("/data/s30").unwrap()), None);
        assert!(!format!("{mount:?}").contains("hush"));
    }
}
