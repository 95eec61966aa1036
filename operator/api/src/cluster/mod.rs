//! `AlluxioCluster`: masters, workers, and the agents that show files to pods.
//!
//! Reading order: this file (the specification), [`coordination`], [`master`], [`worker`], [`fuse`], [`status`],
//! [`phase`].

pub mod coordination;
pub mod fuse;
pub mod master;
pub mod phase;
pub mod status;
pub mod worker;

pub use coordination::{Coordination, Etcd, EtcdTls, ExternalEtcd, ManagedEtcd};
pub use fuse::{Fuse, FuseUpdate, FuseUpdatePolicy};
pub use master::{Journal, JournalType, Master, MasterPorts, RestoreFrom};
pub use phase::ClusterPhase;
pub use status::{AlluxioClusterStatus, ClusterCondition};
pub use worker::{Worker, WorkerKind};

use crate::closed::words;
use crate::period::Period;
use crate::pod::Image;
use crate::reference::AllowedNamespaces;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A cluster of Alluxio: masters that keep the namespace, workers that cache data on their nodes, and on each
/// node an agent that shows files to pods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "alluxio.dev", version = "v1alpha1", kind = "AlluxioCluster", namespaced,
    plural = "alluxioclusters", singular = "alluxiocluster", shortname = "ac", category = "alluxio",
    status = "AlluxioClusterStatus", derive = "PartialEq",
    validation = crate::rules::name(),
    scale(
        spec_replicas_path = ".spec.worker.replicas",
        status_replicas_path = ".status.workers.ready",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase", description = "What the cluster does, in one word"),
    printcolumn(name = "Masters", type_ = "integer", json_path = ".status.masters.ready", description = "Masters that are ready"),
    printcolumn(name = "Workers", type_ = "integer", json_path = ".status.workers.ready", description = "Workers that are ready"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version.deployed", description = "Version that all pods run"),
    printcolumn(name = "Leader", type_ = "string", json_path = ".status.masters.leader.pod", priority = 1, description = "Master that serves"),
    printcolumn(name = "Capacity", type_ = "integer", json_path = ".status.capacity.totalBytes", priority = 1, description = "Bytes that the workers can cache"),
    printcolumn(name = "Used", type_ = "integer", json_path = ".status.capacity.usedBytes", priority = 1, description = "Bytes that they hold"),
    printcolumn(name = "Datasets", type_ = "integer", json_path = ".status.datasetCount", priority = 1, description = "Datasets that are bound to it"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
)]
#[x_kube(
    validation = Rule::new("self.master.journal.type != 'Folder' || self.master.replicas == 1")
        .message("a journal in a folder has one master: set master.replicas to 1, or use journal type Etcd"),
    validation = Rule::new("(self.master.journal.type == 'Etcd') == has(self.coordination)")
        .message("journal type Etcd needs coordination.etcd, and journal type Folder goes without coordination"),
    validation = Rule::new("has(self.coordination) == has(oldSelf.coordination)")
        .message(
            "coordination cannot be added or removed: the journal would be left behind; make a \
             backup and restore it into a new cluster",
        ),
)]
pub struct AlluxioClusterSpec {
    /// Version of Alluxio to run. When not given, a new cluster gets the operator's own, and stays at it until a
    /// version is given. A change is a rolling upgrade, or a rollback to the version before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = r"^[0-9]+[.][0-9]+[.][0-9]+(-[0-9A-Za-z.-]+)?$"))]
    pub version: Option<String>,
    /// Image of masters, workers and agents. A change is a rolling upgrade.
    #[serde(default)]
    pub image: Image,
    /// Whether the operator works on the cluster.
    #[serde(default)]
    pub operation: Operation,
    /// Where masters are elected and the journal is shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coordination: Option<Coordination>,
    /// The masters.
    #[serde(default)]
    pub master: Master,
    /// The workers.
    pub worker: Worker,
    /// What shows files to pods.
    #[serde(default)]
    pub fuse: Fuse,
    /// Properties of Alluxio for all roles, by their usual names. Those that the operator sets itself are
    /// refused. A change restarts pods, one after the other.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::properties")]
    pub properties: BTreeMap<String, String>,
    /// What the processes log. A change restarts pods, one after the other.
    #[serde(default)]
    pub logging: Logging,
    /// Objects for Prometheus and Grafana.
    #[serde(default)]
    pub metrics: Metrics,
    /// Who may speak to the pods.
    #[serde(default)]
    pub network_policy: NetworkPolicy,
    /// Whose Datasets may be bound to the cluster.
    #[serde(default)]
    pub allowed_dataset_namespaces: AllowedNamespaces,
    /// What stays when the cluster is deleted. It can still be changed while that happens.
    #[serde(default)]
    pub deletion_policy: ClusterDeletionPolicy,
}

/// Whether the operator works on the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Running: it does. Paused: it changes nothing, and only tells what it sees. Stopped: no pods run; journal and
    /// cached data stay.
    #[serde(default)]
    pub mode: OperationMode,
}

words! {
    /// Whether the operator works on the cluster.
    #[derive(Default)]
    OperationMode {
        /// It does.
        #[default]
        Running,
        /// It changes nothing.
        Paused,
        /// It keeps all pods away.
        Stopped,
    }
}

/// What the processes log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Logging {
    /// The most detailed level that is logged.
    #[serde(default = "Logging::default_level")]
    pub level: LogLevel,
    /// JSON for machines, TEXT for people.
    #[serde(default = "Logging::default_format")]
    pub format: LogFormat,
}

impl Logging {
    fn default_level() -> LogLevel {
        LogLevel::INFO
    }

    fn default_format() -> LogFormat {
        LogFormat::JSON
    }
}

impl Default for Logging {
    fn default() -> Self {
        Logging { level: Self::default_level(), format: Self::default_format() }
    }
}

words! {
    /// Levels of logging, as `alluxio.log.level` has them.
    LogLevel {
        /// A person must act.
        ERROR,
        /// Something is degraded.
        WARN,
        /// Changes of state.
        INFO,
        /// Each request.
        DEBUG,
        /// Each frame.
        TRACE,
    }
}

words! {
    /// Shapes of log lines, as `alluxio.log.format` has them.
    LogFormat {
        /// One object a line.
        JSON,
        /// For people.
        TEXT,
    }
}

/// Objects for Prometheus and Grafana. Where the cluster does not know their kind, they are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// A ServiceMonitor, which tells Prometheus to ask every role.
    #[serde(default)]
    pub service_monitor: Monitoring,
    /// A PrometheusRule with alerts.
    #[serde(default)]
    pub prometheus_rule: Monitoring,
    /// ConfigMaps with Grafana's dashboards.
    #[serde(default)]
    pub dashboards: Monitoring,
}

/// One kind of object for monitoring.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Monitoring {
    /// Whether it is made.
    #[serde(default)]
    pub enabled: bool,
    /// Labels that it gets, by which it is found: `release: prometheus`, `grafana_dashboard: "1"`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::labels")]
    pub labels: BTreeMap<String, String>,
}

/// Who may speak to the pods.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicy {
    /// Whether NetworkPolicies are made that let in clients on the ports of masters and workers, and only the
    /// masters to etcd.
    #[serde(default)]
    pub enabled: bool,
}

/// What stays when the cluster is deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterDeletionPolicy {
    /// Cached data: claims of workers, and what lies in directories of the nodes. What stays is found again by a cluster of
    /// the same name.
    #[serde(default = "ClusterDeletionPolicy::default_cache")]
    pub cache: Keep,
    /// The journal: claims of the masters and of the managed etcd. Keys in an etcd of others always stay. A new cluster
    /// of the same name goes on with a journal that was kept.
    #[serde(default = "ClusterDeletionPolicy::default_journal")]
    pub journal: Keep,
    /// After this time pods that do not go (their nodes are gone, mounts hang) are waited for no longer. It never bounds
    /// the wait for Datasets that are still bound.
    #[serde(default = "ClusterDeletionPolicy::default_timeout")]
    pub timeout: Period,
}

impl ClusterDeletionPolicy {
    fn default_cache() -> Keep {
        Keep::Delete
    }

    fn default_journal() -> Keep {
        Keep::Retain
    }

    fn default_timeout() -> Period {
        Period::new("10m")
    }
}

impl Default for ClusterDeletionPolicy {
    fn default() -> Self {
        ClusterDeletionPolicy {
            cache: Self::default_cache(),
            journal: Self::default_journal(),
            timeout: Self::default_timeout(),
        }
    }
}

words! {
    /// What becomes of something.
    Keep {
        /// It goes.
        Delete,
        /// It stays.
        Retain,
    }
}
