//! Where a component keeps its files.

use crate::size::Size;
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// One place for files: exactly one of its fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.persistentVolumeClaim), has(self.hostPath), has(self.emptyDir)].filter(x, x).size() == 1")
        .message("storage is exactly one of persistentVolumeClaim, hostPath and emptyDir"),
    validation = Rule::new("has(self.persistentVolumeClaim) == has(oldSelf.persistentVolumeClaim) && has(self.hostPath) == has(oldSelf.hostPath) && has(self.emptyDir) == has(oldSelf.emptyDir)")
        .message(
            "the kind of storage cannot change: what is stored would be left behind; make a backup and \
             restore it into a new cluster",
        ),
)]
pub struct Storage {
    /// A claim for each pod, which outlives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<Claim>,
    /// A directory of the node. A pod that moves to another node does not find it: name the nodes with nodeSelector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_path: Option<HostPath>,
    /// A directory that goes when the pod is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<EmptyDir>,
}

impl Storage {
    /// A claim of that size, of the default class.
    pub fn claim(size: &str) -> Self {
        let claim = Claim { size: Size::new(size), storage_class_name: None };
        Storage { persistent_volume_claim: Some(claim), host_path: None, empty_dir: None }
    }
}

/// A PersistentVolumeClaim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("quantity(string(self.size)).compareTo(quantity(string(oldSelf.size))) >= 0")
        .message("size can grow, not shrink"),
    validation = Rule::new("has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)")
        .message(
            "storageClassName cannot change: claims stay in their class; make another cluster",
        ),
)]
pub struct Claim {
    /// How large. It can grow where the storage class lets volumes grow.
    pub size: Size,
    /// Storage class; the default one when not given, none (volumes made by hand) when empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub storage_class_name: Option<String>,
}

/// A directory of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.path == oldSelf.path").message(
    "path cannot change: what is stored would be left behind; make a backup and restore it into a \
     new cluster"
))]
pub struct HostPath {
    /// Absolute path. It is made when it is missing.
    pub path: HostDir,
}

/// A directory that lives as long as its pod.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmptyDir {
    /// Kubernetes ends a pod that stores more; no limit when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_limit: Option<Size>,
}

/// Path of a directory of a node that we may fill.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostDir(String);

impl HostDir {
    /// Not checked yet.
    pub fn new(path: impl Into<String>) -> Self {
        HostDir(path.into())
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for HostDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Directories that belong to the system, the kubelet or the container runtime: nothing of ours goes there.
const SYSTEM_RULE: &str = "self == '/dev/shm' || self.startsWith('/dev/shm/') || \
    !['/bin', '/boot', '/dev', '/etc', '/home', '/lib', '/lib32', '/lib64', '/proc', '/root', '/sbin', '/sys', '/usr', \
    '/var/lib/kubelet', '/var/lib/containerd', '/var/lib/containers', '/var/lib/docker', '/var/lib/etcd', '/run/containerd', \
    '/var/run', '/var/log'].exists(p, self == p || self.startsWith(p + '/'))";

impl JsonSchema for HostDir {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "HostDir".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 200,
            "x-kubernetes-validations": [
                {
                    "rule": "self.matches('^(/[A-Za-z0-9._-]+)+$') && !self.contains('..')",
                    "message": "must be an absolute path of letters, digits, '.', '_' and '-', without '..' and without '/' at its end",
                },
                { "rule": SYSTEM_RULE, "message": "must not be a directory of the system, the kubelet or the container runtime" },
            ],
        })
    }
}
