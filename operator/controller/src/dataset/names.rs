//! Where a Dataset is in the cluster's namespace, and what its objects are called.
//!
//! A Dataset is the directory `/datasets/<namespace>/<name>`; its mounts lie at their paths below that, and one whose
//! path is `/` is that directory itself. Nothing else of the namespace is touched.

use crate::cluster::names::{CLUSTER_UID, MANAGED_BY};
use crate::error::Error;
use alluxio_operator_api::Dataset;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};
use std::collections::BTreeMap;

/// Directory of all Datasets.
pub const DATASETS: &str = "/datasets";
/// Label with the UID of the Dataset, on every object.
pub const DATASET_UID: &str = "alluxio.dev/dataset-uid";
/// Label with its name.
pub const DATASET: &str = "alluxio.dev/dataset";
/// Label with its namespace, on objects that have none.
pub const DATASET_NAMESPACE: &str = "alluxio.dev/dataset-namespace";

/// Names, labels and owner of one Dataset's objects.
#[derive(Debug, Clone)]
pub struct Names {
    /// The Dataset's name, 40 letters at most.
    pub dataset: String,
    /// Its namespace.
    pub namespace: String,
    /// Its UID.
    pub uid: String,
    /// What the garbage collector knows its objects by.
    pub owner: OwnerReference,
    /// Name of the claim.
    pub claim: String,
}

impl Names {
    /// Of a stored Dataset.
    ///
    /// **Errors**: `NotStored`.
    pub fn of(dataset: &Dataset) -> Result<Self, Error> {
        let name = dataset.metadata.name.clone().ok_or(Error::NotStored("name"))?;
        Ok(Names {
            claim: dataset.spec.volume.name.clone().unwrap_or_else(|| name.clone()),
            dataset: name,
            namespace: dataset.metadata.namespace.clone().ok_or(Error::NotStored("namespace"))?,
            uid: dataset.uid().ok_or(Error::NotStored("uid"))?,
            owner: dataset.controller_owner_ref(&()).ok_or(Error::NotStored("uid"))?,
        })
    }

    /// Directory of a Dataset that has mounts.
    pub fn directory(&self) -> String {
        format!("{DATASETS}/{}/{}", self.namespace, self.dataset)
    }

    /// Name of the PersistentVolume, which no other Dataset ever has.
    pub fn volume(&self) -> String {
        format!("alluxio-{}-{}-{}", self.namespace, self.dataset, short(&self.uid))
    }

    /// Labels of an object.
    pub fn labels(&self, cluster_uid: &str) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("app.kubernetes.io/name".to_owned(), "alluxio".to_owned()),
            ("app.kubernetes.io/part-of".to_owned(), "alluxio".to_owned()),
            ("app.kubernetes.io/managed-by".to_owned(), MANAGED_BY.to_owned()),
            (CLUSTER_UID.to_owned(), cluster_uid.to_owned()),
            (DATASET.to_owned(), self.dataset.clone()),
            (DATASET_NAMESPACE.to_owned(), self.namespace.clone()),
            (DATASET_UID.to_owned(), self.uid.clone()),
        ])
    }
}

/// The first eight letters of a UID: for names that must be short and not used twice.
pub fn short(uid: &str) -> &str {
    uid.get(..8).unwrap_or(uid)
}

/// A path of a Dataset in the cluster's namespace. `path` is as the API has it: clean, `/` for the whole.
pub fn below(directory: &str, path: &str) -> String {
    match path {
        "/" => directory.to_owned(),
        path => format!("{directory}{path}"),
    }
}

/// The path in a Dataset of something in the cluster's namespace.
pub fn within<'a>(directory: &str, path: &'a str) -> &'a str {
    match path.strip_prefix(directory) {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    }
}

/// Whether `path` is `directory` or lies below it.
pub fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_that_begin_alike_are_not_below_each_other() {
        assert!(is_below("/datasets/a/b", "/datasets/a/b"));
        assert!(is_below("/datasets/a/b/c", "/datasets/a/b"));
        assert!(!is_below("/datasets/a/bc", "/datasets/a/b"));
        assert_eq!(within("/datasets/a/b", "/datasets/a/bc"), "/datasets/a/bc");
    }

    proptest! {
        #[test]
        fn paths_go_there_and_back(parts in prop::collection::vec("[a-z]{1,3}", 0..4)) {
            let path = format!("/{}", parts.join("/"));
            let there = below("/datasets/a/b", &path);
            prop_assert!(is_below(&there, "/datasets/a/b"));
            prop_assert_eq!(within("/datasets/a/b", &there), path);
        }
    }
}
