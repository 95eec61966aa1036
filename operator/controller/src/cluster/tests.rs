//! A small cluster, for the tests of all steps.

use super::names::Names;
use super::validate::Defaults;
use alluxio_operator_api::AlluxioCluster;
use kube::Resource;

/// The smallest one that a user writes.
pub(crate) const SAMPLE: &str = r#"
{
  "apiVersion": "alluxio.dev/v1alpha1",
  "kind": "AlluxioCluster",
  "metadata": {"name": "demo", "namespace": "cache", "uid": "0f8fad5b-d9cb-469f-a165-70867728950e", "generation": 1},
  "spec": {
    "coordination": {"etcd": {"managed": {"replicas": 3}}},
    "worker": {"tieredStore": {"levels": [
      {"alias": "MEM", "medium": "MEM", "memory": {"quota": "8Gi"}},
      {"alias": "SSD", "medium": "SSD", "hostPath": {"dirs": [{"path": "/mnt/nvme0", "quota": "800Gi"}]}}
    ]}}
  }
}
"#;

pub(crate) fn sample() -> AlluxioCluster {
    serde_json::from_str(SAMPLE).unwrap()
}

pub(crate) fn names() -> Names {
    let cluster = sample();
    Names {
        cluster: "demo".into(),
        namespace: "cache".into(),
        uid: cluster.metadata.uid.clone().unwrap(),
        owner: cluster.controller_owner_ref(&()).unwrap(),
    }
}

pub(crate) fn defaults() -> Defaults {
    Defaults {
        repository: "registry.example/alluxio".into(),
        version: "0.1.0".into(),
        pull_policy: "IfNotPresent".into(),
        etcd_image: "registry.example/etcd:v3.6.4".into(),
    }
}
