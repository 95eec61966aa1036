//! Masters and their journal.

use crate::closed::words;
use crate::pod::PodSettings;
use crate::reference::LocalRef;
use crate::storage::Storage;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The masters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Master {
    /// How many: one serves, the others read along and take over. A change adds or removes standbys.
    #[serde(default = "Master::default_replicas")]
    #[schemars(range(min = 1, max = 9))]
    pub replicas: i32,
    /// Where changes of the namespace are kept.
    #[serde(default)]
    pub journal: Journal,
    /// Ports. A change restarts the masters, one after the other.
    #[serde(default)]
    pub ports: MasterPorts,
    /// Properties of Alluxio for masters only. They win over those of the cluster.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::properties")]
    pub properties: BTreeMap<String, String>,
    /// The pods.
    #[serde(flatten)]
    pub pods: PodSettings,
}

impl Master {
    fn default_replicas() -> i32 {
        3
    }
}

impl Default for Master {
    fn default() -> Self {
        Master {
            replicas: Self::default_replicas(),
            journal: Journal::default(),
            ports: MasterPorts::default(),
            properties: BTreeMap::new(),
            pods: PodSettings::default(),
        }
    }
}

/// Where changes of the namespace are kept before they are acknowledged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.type == oldSelf.type").message("the type of the journal cannot change: make a backup and restore it into a new cluster"),
    validation = Rule::new("!has(self.storage.emptyDir) || self.allowDataLoss")
        .message("emptyDir loses the journal when the pods go; set allowDataLoss: true if that may happen"),
    validation = Rule::new("has(self.restoreFrom) == has(oldSelf.restoreFrom) && (!has(self.restoreFrom) || self.restoreFrom == oldSelf.restoreFrom)")
        .message(
            "restoreFrom fills a new journal and cannot be changed later; make another cluster for \
             another backup",
        ),
)]
pub struct Journal {
    /// Etcd: in etcd, for any number of masters. Folder: in a folder of one master.
    #[serde(default = "Journal::default_type", rename = "type")]
    pub type_: JournalType,
    /// A place for each master: of the journal with type Folder, of checkpoints of the namespace with type Etcd.
    #[serde(default = "Journal::default_storage")]
    pub storage: Storage,
    /// Whether storage may be one that loses the journal.
    #[serde(default)]
    pub allow_data_loss: bool,
    /// A backup that fills the journal of a new cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_from: Option<RestoreFrom>,
}

impl Journal {
    fn default_type() -> JournalType {
        JournalType::Etcd
    }

    fn default_storage() -> Storage {
        Storage::claim("10Gi")
    }
}

impl Default for Journal {
    fn default() -> Self {
        Journal {
            type_: Self::default_type(),
            storage: Self::default_storage(),
            allow_data_loss: false,
            restore_from: None,
        }
    }
}

words! {
    /// Where the journal is.
    JournalType {
        /// In etcd.
        Etcd,
        /// In a folder of one master.
        Folder,
    }
}

/// Exactly one of its fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.uri) != has(self.backupRef)")
    .message("restoreFrom is exactly one of uri and backupRef"))]
pub struct RestoreFrom {
    /// The backup's file in a store that all masters reach: `s3://bucket/backups/alluxio-journal-….gz`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024), regex(pattern = r"^[a-z][a-z0-9]*://[^ ]+$"))]
    pub uri: Option<String>,
    /// A MetadataBackup of this namespace that was completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_ref: Option<LocalRef>,
}

/// Ports of a master.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.rpc != self.web").message("ports must differ"))]
pub struct MasterPorts {
    /// For clients, workers and other masters.
    #[serde(default = "MasterPorts::default_rpc")]
    #[schemars(range(min = 1024, max = 65535))]
    pub rpc: u16,
    /// For metrics and health.
    #[serde(default = "MasterPorts::default_web")]
    #[schemars(range(min = 1024, max = 65535))]
    pub web: u16,
}

impl MasterPorts {
    fn default_rpc() -> u16 {
        19998
    }

    fn default_web() -> u16 {
        19999
    }
}

impl Default for MasterPorts {
    fn default() -> Self {
        MasterPorts { rpc: Self::default_rpc(), web: Self::default_web() }
    }
}
