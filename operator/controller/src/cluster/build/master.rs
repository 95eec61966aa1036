//! Masters: a StatefulSet whose pods the operator itself replaces, the primary last.

use super::Builder;
use super::pod::{PodParts, fact, plain_security};
use crate::cluster::config::{ETCD_AUTH_DIR, ETCD_TLS_DIR, JOURNAL_DIR, ROOT_DIR};
use crate::cluster::names::Component;
use crate::desired::Desired;
use crate::error::Error;
use alluxio_operator_api::cluster::{Keep, OperationMode};
use alluxio_operator_api::storage::Storage;
use k8s_openapi::api::apps::v1::StatefulSet;
use serde_json::{Value, json};

/// Masters need nothing of root.
const USER: i64 = 1000;
const REQUESTS: &[(&str, &str)] = &[("cpu", "200m"), ("memory", "512Mi")];

pub(super) fn stateful_set(builder: &Builder<'_>) -> Result<Desired, Error> {
    let cluster = builder.cluster;
    let spec = &cluster.spec;
    let master = &spec.master;
    let component = Component::Master;
    let name = builder.names().of(component);
    let host = format!("$(POD_NAME).{name}.{}.svc", builder.names().namespace);
    let mut env = vec![
        fact("POD_NAME", "metadata.name"),
        json!({"name": "ALLUXIO_MASTER_HOSTNAME", "value": host}),
    ];
    let mut volumes = vec![json!({"name": "root", "emptyDir": {}})];
    let mut mounts = vec![
        json!({"name": "root", "mountPath": ROOT_DIR}),
        json!({"name": "journal", "mountPath": JOURNAL_DIR}),
    ];
    etcd_secrets(builder, &mut env, &mut volumes, &mut mounts);
    let (claim, volume) =
        storage("journal", &master.journal.storage, &builder.names().cache_folder());
    volumes.extend(volume);
    let mut more = spread(builder, component);
    more["securityContext"] = json!({"fsGroup": USER});
    let mut security = plain_security();
    security["runAsUser"] = Value::from(USER);
    security["runAsGroup"] = Value::from(USER);
    security["runAsNonRoot"] = Value::from(true);
    let pod = builder.pod(PodParts {
        component,
        args: vec!["master".into()],
        config: (&cluster.configs.master, ""),
        ports: vec![("rpc", master.ports.rpc), ("web", master.ports.web)],
        web_port: master.ports.web,
        env,
        volumes,
        mounts,
        // Makes a journal where there is none; one that is there stays.
        init: vec![json!({"name": "format", "args": ["formatMaster", "-s"]})],
        settings: &master.pods,
        requests: REQUESTS,
        more_memory: 0,
        security,
        grace_seconds: 30,
        more,
    });
    let stopped = spec.operation.mode == OperationMode::Stopped;
    let mut body = json!({
        "spec": {
            "replicas": if stopped { 0 } else { master.replicas },
            "serviceName": name,
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "OnDelete"},
            "selector": {"matchLabels": builder.names().selector(component)},
            "template": pod,
            "persistentVolumeClaimRetentionPolicy": {
                "whenDeleted": when(spec.deletion_policy.journal),
                "whenScaled": "Retain",
            },
        },
    });
    if let Some(claim) = claim {
        body["spec"]["volumeClaimTemplates"] = json!([claim]);
    }
    builder.object::<StatefulSet>(&name, Some(component), body)
}

/// What becomes of claims, in the words of a StatefulSet.
pub(super) fn when(keep: Keep) -> &'static str {
    match keep {
        Keep::Delete => "Delete",
        Keep::Retain => "Retain",
    }
}

/// Certificates and password for an etcd of others, as files; the name of its user is no secret.
fn etcd_secrets(
    builder: &Builder<'_>,
    env: &mut Vec<Value>,
    volumes: &mut Vec<Value>,
    mounts: &mut Vec<Value>,
) {
    let coordination = builder.cluster.spec.coordination.as_ref();
    let Some(external) = coordination.and_then(|c| c.etcd.external.as_ref()) else { return };
    if let Some(tls) = &external.tls {
        volumes.push(json!({"name": "etcd-tls", "secret": {"secretName": tls.secret_ref.name}}));
        mounts.push(json!({"name": "etcd-tls", "mountPath": ETCD_TLS_DIR, "readOnly": true}));
    }
    if let Some(auth) = &external.auth_secret_ref {
        volumes.push(json!({
            "name": "etcd-auth",
            "secret": {"secretName": auth.name, "items": [{"key": "password", "path": "password"}]},
        }));
        mounts.push(json!({"name": "etcd-auth", "mountPath": ETCD_AUTH_DIR, "readOnly": true}));
        env.push(json!({
            "name": "ALLUXIO_ETCD_USERNAME",
            "valueFrom": {"secretKeyRef": {"name": auth.name, "key": "username"}},
        }));
    }
}

/// A claim template, or else a volume.
pub(super) fn storage(
    name: &str,
    storage: &Storage,
    folder: &str,
) -> (Option<Value>, Option<Value>) {
    if let Some(claim) = &storage.persistent_volume_claim {
        let mut template = json!({
            "metadata": {"name": name},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": claim.size.quantity()}},
            },
        });
        if let Some(class) = &claim.storage_class_name {
            template["spec"]["storageClassName"] = Value::from(class.as_str());
        }
        return (Some(template), None);
    }
    let volume = match (&storage.host_path, &storage.empty_dir) {
        (Some(host), _) => {
            let path = format!("{}/{folder}/{name}", host.path.as_str());
            json!({"name": name, "hostPath": {"path": path, "type": "DirectoryOrCreate"}})
        }
        (None, Some(empty)) => match &empty.size_limit {
            Some(limit) => json!({"name": name, "emptyDir": {"sizeLimit": limit.quantity()}}),
            None => json!({"name": name, "emptyDir": {}}),
        },
        (None, None) => json!({"name": name, "emptyDir": {}}),
    };
    (None, Some(volume))
}

/// On different nodes, where there are enough of them.
pub(super) fn spread(builder: &Builder<'_>, component: Component) -> Value {
    json!({
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
            "weight": 100,
            "podAffinityTerm": {
                "topologyKey": "kubernetes.io/hostname",
                "labelSelector": {"matchLabels": builder.names().selector(component)},
            },
        }]}},
    })
}
