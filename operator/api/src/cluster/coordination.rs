//! Where masters are elected and the journal is shared: etcd.

use crate::pod::{Image, PodSettings};
use crate::reference::LocalRef;
use crate::storage::Storage;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Where masters are elected and the journal is shared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Coordination {
    /// etcd: of others, or made and looked after by the operator.
    pub etcd: Etcd,
    /// How long a primary stays elected after its last sign of life, in seconds. Standbys normally take over within
    /// one second; this is the last resort. A change restarts the masters, one after the other.
    #[serde(default = "Coordination::default_lease_seconds")]
    #[schemars(range(min = 2, max = 60))]
    pub lease_seconds: i32,
}

impl Coordination {
    fn default_lease_seconds() -> i32 {
        5
    }
}

/// Exactly one of its fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.external) != has(self.managed)")
        .message("etcd is exactly one of external and managed"),
    validation = Rule::new("has(self.external) == has(oldSelf.external)")
        .message(
            "external and managed cannot be exchanged: the journal would be left behind; make a \
             backup and restore it into a new cluster",
        ),
)]
pub struct Etcd {
    /// An etcd that is there already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalEtcd>,
    /// One that the operator makes for this cluster alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<ManagedEtcd>,
}

/// An etcd that is there already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.endpoints.all(e, e.startsWith('https://')) || self.endpoints.all(e, e.startsWith('http://'))")
        .message("endpoints must be all https:// or all http://"),
    validation = Rule::new("!has(self.tls) || self.endpoints.all(e, e.startsWith('https://'))")
        .message("tls needs endpoints that begin with https://"),
    validation = Rule::new("has(self.clusterName) == has(oldSelf.clusterName) && (!has(self.clusterName) || self.clusterName == oldSelf.clusterName)")
        .message(
            "clusterName cannot change: the journal would be left behind; make a backup and restore \
             it into a new cluster",
        ),
)]
pub struct ExternalEtcd {
    /// URLs of its members: `https://etcd-0.etcd:2379`. A change restarts pods, one after the other.
    #[schemars(
        length(min = 1, max = 9),
        inner(length(max = 253), regex(pattern = r"^https?://[A-Za-z0-9.\[\]:-]+:[0-9]{1,5}$"))
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub endpoints: Vec<String>,
    /// All keys lie below `/<clusterName>/`; `<namespace>.<name>` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9._-]+$"))]
    pub cluster_name: Option<String>,
    /// How https:// is spoken; with the authorities of the image when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<EtcdTls>,
    /// A Secret with the keys `username` and `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_secret_ref: Option<LocalRef>,
}

/// How TLS is spoken to etcd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EtcdTls {
    /// A Secret with `ca.crt` (authorities that may sign etcd's certificate), or `tls.crt` and `tls.key` (the
    /// certificate that is shown to etcd), or all three.
    pub secret_ref: LocalRef,
    /// Name that must stand in etcd's certificate, when it is not the host of the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub server_name: Option<String>,
}

/// An etcd that the operator makes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.storage.emptyDir) || self.allowDataLoss")
    .message("emptyDir loses the journal when the pods go; set allowDataLoss: true if that may happen"))]
pub struct ManagedEtcd {
    /// Members: 1, 3 or 5. They are added and removed one by one.
    #[serde(default = "ManagedEtcd::default_replicas")]
    #[schemars(extend("enum" = [1, 3, 5]))]
    pub replicas: i32,
    /// Image of etcd; the operator's default when not given.
    #[serde(default)]
    pub image: Image,
    /// Where each member keeps its data.
    #[serde(default = "ManagedEtcd::default_storage")]
    pub storage: Storage,
    /// Whether storage may be one that loses the journal.
    #[serde(default)]
    pub allow_data_loss: bool,
    /// The pods.
    #[serde(flatten)]
    pub pods: PodSettings,
}

impl ManagedEtcd {
    fn default_replicas() -> i32 {
        3
    }

    fn default_storage() -> Storage {
        Storage::claim("8Gi")
    }
}
