//! Which store is mounted where. Immutable: the writer makes a new table for every change, and
//! readers keep the one they got.

use alluxio_types::{AlluxioPath, MountId, MountInfo};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The table, by path.
#[derive(Debug, Clone, Default)]
pub(crate) struct MountTable {
    rows: BTreeMap<String, Row>,
}

/// A mount and the journal position that last changed it.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) info: Arc<MountInfo>,
    pub(crate) seq: u64,
}

impl MountTable {
    pub(crate) fn with(mut self, info: MountInfo, seq: u64) -> Self {
        self.rows.insert(info.path.as_str().to_owned(), Row { info: Arc::new(info), seq });
        self
    }

    pub(crate) fn without(mut self, id: MountId) -> Self {
        self.rows.retain(|_, row| row.info.id != id);
        self
    }

    /// The row that a path belongs to: the longest mount point on its way.
    pub(crate) fn of(&self, path: &AlluxioPath) -> Option<&Row> {
        if self.rows.len() > 1 {
            let mut prefix = path.as_str();
            while !prefix.is_empty() {
                if let Some(row) = self.rows.get(prefix) {
                    return Some(row);
                }
                prefix = &prefix[..prefix.rfind('/').unwrap_or(0)];
            }
        }
        self.rows.get("/")
    }

    /// The row mounted exactly at a path.
    pub(crate) fn at(&self, path: &AlluxioPath) -> Option<&Row> {
        self.rows.get(path.as_str())
    }

    pub(crate) fn by_id(&self, id: MountId) -> Option<&Row> {
        self.rows.values().find(|row| row.info.id == id)
    }

    /// Rows whose mount point is strictly below a path, in order of path.
    pub(crate) fn below(&self, path: &AlluxioPath) -> impl Iterator<Item = &Row> {
        let path = path.clone();
        self.rows
            .values()
            .filter(move |row| row.info.path != path && row.info.path.starts_with(&path))
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    /// The row whose store overlaps `uri`: one is a prefix, in whole components, of the other.
    pub(crate) fn overlapping(&self, uri: &str) -> Option<&Row> {
        self.rows.values().find(|row| {
            uri_below(uri, &row.info.ufs_uri).is_some()
                || uri_below(&row.info.ufs_uri, uri).is_some()
        })
    }

    /// The path that shows `uri`: through the row with the longest matching store.
    pub(crate) fn path_of(&self, uri: &str) -> Option<AlluxioPath> {
        let (row, rest) = self
            .rows
            .values()
            .filter_map(|row| Some((row, uri_below(uri, &row.info.ufs_uri)?)))
            .max_by_key(|(row, _)| row.info.ufs_uri.len())?;
        let below = rest.split('/').filter(|part| !part.is_empty());
        let path = below.into_iter().try_fold(row.info.path.clone(), |path, part| path.join(part));
        // A nested mount hides what its parent's store has there.
        path.ok().filter(|path| self.of(path).is_some_and(|of| of.info.id == row.info.id))
    }
}

/// What of `uri` lies below `base`; `None` when it does not. A trailing slash means nothing, and a
/// local path is the same with and without `file://`.
fn uri_below<'a>(uri: &'a str, base: &str) -> Option<&'a str> {
    let uri = uri.strip_prefix("file://").unwrap_or(uri);
    let base = base.strip_prefix("file://").unwrap_or(base).trim_end_matches('/');
    let rest = uri.trim_end_matches('/').strip_prefix(base)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alluxio_types::MountOptions;

    fn table(rows: &[(&str, &str)]) -> MountTable {
        rows.iter().enumerate().fold(MountTable::default(), |table, (at, (path, uri))| {
            table.with(
                MountInfo {
                    id: MountId(at as u64 + 1),
                    path: AlluxioPath::parse(path).unwrap(),
                    ufs_uri: (*uri).to_owned(),
                    read_only: false,
                    shared: false,
                    options: MountOptions::default(),
                },
                0,
            )
        })
    }

    #[test]
    fn the_longest_mount_point_on_the_way_wins() {
        let table = table(&[("/", "/u"), ("/a", "s3://b/a"), ("/a/b/c", "s3://c")]);
        for (path, id) in [("/", 1), ("/ab", 1), ("/a", 2), ("/a/b", 2), ("/a/b/c/d", 3)] {
            let path = AlluxioPath::parse(path).unwrap();
            assert_eq!(table.of(&path).unwrap().info.id, MountId(id), "{path}");
        }
        let below: Vec<u64> =
            table.below(&AlluxioPath::parse("/a").unwrap()).map(|row| row.info.id.0).collect();
        assert_eq!(below, [3]);
    }

    #[test]
    fn stores_overlap_by_whole_components_in_both_directions() {
        let table = table(&[("/", "/u/data"), ("/s", "s3://bucket/dir/")]);
        for (uri, overlaps) in [
            ("/u", true),
            ("/u/data/x", true),
            ("file:///u/data", true),
            ("/u/data2", false),
            ("s3://bucket", true),
            ("s3://bucket/dir2", false),
            ("s3://bucket/dir", true),
            ("s3://bucket2", false),
        ] {
            assert_eq!(table.overlapping(uri).is_some(), overlaps, "{uri}");
        }
    }

    #[test]
    fn a_uri_leads_back_to_its_path_unless_a_nested_mount_hides_it() {
        let table = table(&[("/", "/u"), ("/s", "s3://bucket/dir")]);
        let back = |uri: &str| table.path_of(uri).map(|path| path.to_string());
        assert_eq!(back("s3://bucket/dir/a/b").as_deref(), Some("/s/a/b"));
        assert_eq!(back("/u/x").as_deref(), Some("/x"));
        assert_eq!(back("/u/s/x"), None);
        assert_eq!(back("s3://other"), None);
    }
}
