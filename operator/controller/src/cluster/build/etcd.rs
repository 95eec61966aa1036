//! The managed etcd: a StatefulSet of one, three or five members. Members of a cluster that is there already join
//! it; the operator adds and removes them, one at a time (`membership`).
//!
//! The list of members stands in a ConfigMap that members read when they start: another list must not restart those that
//! run.

use super::Builder;
use super::master::{spread, storage, when};
use super::pod::{fact, plain_security};
use crate::cluster::config::ETCD_PORT;
use crate::cluster::membership::{PEER_PORT, peer_url};
use crate::cluster::names::Component;
use crate::desired::Desired;
use crate::error::Error;
use alluxio_operator_api::cluster::ManagedEtcd;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

const METRICS_PORT: u16 = 2381;

pub(super) fn stateful_set(builder: &Builder<'_>, etcd: &ManagedEtcd) -> Result<Desired, Error> {
    let cluster = builder.cluster;
    let component = Component::Etcd;
    let names = builder.names();
    let name = names.of(component);
    let image = &cluster.etcd_image;
    let (claim, volume) = storage("data", &etcd.storage, &names.cache_folder());
    let mut volumes: Vec<Value> = volume.into_iter().collect();
    volumes.push(json!({"name": "tmp", "emptyDir": {}}));
    // Without the version of Alluxio: a new one is no reason to restart etcd.
    let labels = names.labels(Some(component));
    let mut pod = json!({
        "metadata": {"labels": labels},
        "spec": {
            "serviceAccountName": name,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": 30,
            "securityContext": {"fsGroup": 1000},
            "containers": [container(builder, etcd)],
            "volumes": volumes,
        },
    });
    if !image.pull_secrets.is_empty() {
        let secrets: Vec<Value> =
            image.pull_secrets.iter().map(|name| json!({"name": name})).collect();
        pod["spec"]["imagePullSecrets"] = Value::from(secrets);
    }
    crate::merge::strategic(&mut pod["spec"], &spread(builder, component));
    builder.place(&mut pod, &etcd.pods);
    let mut body = json!({"spec": {
        "replicas": cluster.etcd_members,
        "serviceName": name,
        "podManagementPolicy": "Parallel",
        // One after the other, each when the one before is ready.
        "updateStrategy": {"type": "RollingUpdate"},
        "selector": {"matchLabels": names.selector(component)},
        "template": pod,
        "persistentVolumeClaimRetentionPolicy": {
            "whenDeleted": when(cluster.spec.deletion_policy.journal),
            "whenScaled": "Delete",
        },
    }});
    if let Some(claim) = claim {
        body["spec"]["volumeClaimTemplates"] = json!([claim]);
    }
    builder.object::<StatefulSet>(&name, Some(component), body)
}

/// What a member finds when it starts: all of its fellows by the names that their pods will have.
pub(super) fn members(builder: &Builder<'_>) -> Result<Desired, Error> {
    let cluster = builder.cluster;
    let name = builder.names().of(Component::Etcd);
    let members: Vec<String> = (0..cluster.etcd_members)
        .map(|ordinal| format!("{name}-{ordinal}={}", peer_url(builder.names(), ordinal)))
        .collect();
    let state = if cluster.etcd_formed { "existing" } else { "new" };
    let body =
        json!({"data": {"initial-cluster": members.join(","), "initial-cluster-state": state}});
    builder.object::<ConfigMap>(&name, Some(Component::Etcd), body)
}

fn of_config(variable: &str, config_map: &str, key: &str) -> Value {
    json!({"name": variable, "valueFrom": {"configMapKeyRef": {"name": config_map, "key": key}}})
}

fn arguments(builder: &Builder<'_>) -> Vec<String> {
    let names = builder.names();
    let name = names.of(Component::Etcd);
    let host = format!("$(POD_NAME).{name}.{}.svc", names.namespace);
    vec![
        "--name=$(POD_NAME)".to_owned(),
        // Directories of nodes may be shared by members.
        "--data-dir=/data/$(POD_NAME)".to_owned(),
        format!("--listen-client-urls=http://0.0.0.0:{ETCD_PORT}"),
        format!("--advertise-client-urls=http://{host}:{ETCD_PORT}"),
        format!("--listen-peer-urls=http://0.0.0.0:{PEER_PORT}"),
        format!("--initial-advertise-peer-urls=http://{host}:{PEER_PORT}"),
        format!("--listen-metrics-urls=http://0.0.0.0:{METRICS_PORT}"),
        format!("--initial-cluster-token={}", names.uid),
        "--auto-compaction-mode=revision".to_owned(),
        "--auto-compaction-retention=1000".to_owned(),
        "--quota-backend-bytes=8589934592".to_owned(),
        "--logger=zap".to_owned(),
    ]
}

fn container(builder: &Builder<'_>, etcd: &ManagedEtcd) -> Value {
    let image = &builder.cluster.etcd_image;
    let name = builder.names().of(Component::Etcd);
    let mut security = plain_security();
    security["runAsUser"] = Value::from(1000);
    security["runAsGroup"] = Value::from(1000);
    security["runAsNonRoot"] = Value::from(true);
    let default = json!({"requests": {"cpu": "100m", "memory": "256Mi"}});
    let resources = etcd.pods.resources.as_ref().map_or(default, |resources| json!(resources));
    let probe = |path: &str| {
        json!({
            "httpGet": {"path": path, "port": METRICS_PORT},
            "periodSeconds": 2, "failureThreshold": 5, "timeoutSeconds": 3,
        })
    };
    json!({
        "name": "etcd",
        "image": image.reference,
        "imagePullPolicy": image.pull_policy,
        "command": ["etcd"],
        "args": arguments(builder),
        "env": [
            fact("POD_NAME", "metadata.name"),
            of_config("ETCD_INITIAL_CLUSTER", &name, "initial-cluster"),
            of_config("ETCD_INITIAL_CLUSTER_STATE", &name, "initial-cluster-state"),
        ],
        "ports": [
            {"name": "client", "containerPort": ETCD_PORT},
            {"name": "peer", "containerPort": PEER_PORT},
            {"name": "metrics", "containerPort": METRICS_PORT},
        ],
        "resources": resources,
        "volumeMounts": [
            {"name": "data", "mountPath": "/data"},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
        "securityContext": security,
        "readinessProbe": probe("/readyz"),
        "livenessProbe": {
            "httpGet": {"path": "/livez", "port": METRICS_PORT},
            "periodSeconds": 10, "failureThreshold": 6, "timeoutSeconds": 5,
            "initialDelaySeconds": 30,
        },
    })
}
