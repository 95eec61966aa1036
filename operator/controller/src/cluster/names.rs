//! What the objects of a cluster are called, and by which labels they are found.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use std::collections::BTreeMap;

/// Who makes the objects.
pub const MANAGED_BY: &str = "alluxio-operator";
/// Label with the UID of the cluster, on every object.
pub const CLUSTER_UID: &str = "alluxio.dev/cluster-uid";

/// A part of a cluster, with pods of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// A member of the managed etcd.
    Etcd,
    /// A master.
    Master,
    /// A worker.
    Worker,
    /// What serves mounts on a node.
    Fuse,
    /// What removes cached data from nodes when the cluster goes.
    Cleanup,
}

impl Component {
    /// As in labels.
    pub fn label(self) -> &'static str {
        match self {
            Component::Etcd => "etcd",
            Component::Master => "master",
            Component::Worker => "worker",
            Component::Fuse => "fuse-agent",
            Component::Cleanup => "cleanup",
        }
    }

    /// As in names of objects.
    pub fn suffix(self) -> &'static str {
        match self {
            Component::Fuse => "fuse",
            other => other.label(),
        }
    }
}

/// Names, labels and owner of one cluster's objects.
#[derive(Debug, Clone)]
pub struct Names {
    /// The cluster's name, 40 letters at most.
    pub cluster: String,
    /// Its namespace.
    pub namespace: String,
    /// Its UID.
    pub uid: String,
    /// What the garbage collector knows its objects by.
    pub owner: OwnerReference,
}

impl Names {
    /// The name of a component's workload and service.
    pub fn of(&self, component: Component) -> String {
        format!("{}-{}", self.cluster, component.suffix())
    }

    /// The DNS name of a pod of a StatefulSet with a headless service of the same name.
    pub fn pod_host(&self, component: Component, ordinal: i32) -> String {
        let name = self.of(component);
        format!("{name}-{ordinal}.{name}.{}.svc", self.namespace)
    }

    /// The first eight letters of the UID: for names that must be short and not used twice.
    pub fn short_uid(&self) -> &str {
        self.uid.get(..8).unwrap_or(&self.uid)
    }

    /// Directory, within one that the user gave, that holds this cluster's cached data. A cluster of the same name finds
    /// it again.
    pub fn cache_folder(&self) -> String {
        format!("alluxio-{}-{}", self.namespace, self.cluster)
    }

    /// Labels by which pods are selected: these never change.
    pub fn selector(&self, component: Component) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("app.kubernetes.io/name".to_owned(), "alluxio".to_owned()),
            ("app.kubernetes.io/instance".to_owned(), self.cluster.clone()),
            ("app.kubernetes.io/component".to_owned(), component.label().to_owned()),
        ])
    }

    /// Labels of an object.
    pub fn labels(&self, component: Option<Component>) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::from([
            ("app.kubernetes.io/name".to_owned(), "alluxio".to_owned()),
            ("app.kubernetes.io/instance".to_owned(), self.cluster.clone()),
            ("app.kubernetes.io/part-of".to_owned(), "alluxio".to_owned()),
            ("app.kubernetes.io/managed-by".to_owned(), MANAGED_BY.to_owned()),
            (CLUSTER_UID.to_owned(), self.uid.clone()),
        ]);
        if let Some(component) = component {
            labels.extend(self.selector(component));
        }
        labels
    }

    /// What all objects of the cluster carry, as a selector of the API.
    pub fn label_selector(&self) -> String {
        format!("{CLUSTER_UID}={}", self.uid)
    }
}
