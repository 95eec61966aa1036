//! Workers: a DaemonSet for the nodes of a cluster, one more for each group of nodes that differs; or a StatefulSet.

use super::Builder;
use super::pod::{PodParts, canonical, fact, plain_security};
use crate::cluster::config::{SOCKET_DIR, TIERS_DIR};
use crate::cluster::names::Component;
use crate::desired::Desired;
use crate::error::Error;
use alluxio_operator_api::cluster::worker::{NodeOverride, TieredStore};
use alluxio_operator_api::cluster::{OperationMode, WorkerKind};
use alluxio_operator_api::pod::PodSettings;
use k8s_openapi::api::apps::v1::{DaemonSet, StatefulSet};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const REQUESTS: &[(&str, &str)] = &[("cpu", "500m"), ("memory", "512Mi")];
/// A node selector that no node has: how a DaemonSet is kept without pods.
const NOWHERE: &str = "alluxio.dev/stopped";

pub(super) fn all(builder: &Builder<'_>) -> Result<Vec<Desired>, Error> {
    let worker = &builder.cluster.spec.worker;
    if worker.kind == WorkerKind::StatefulSet {
        return Ok(vec![stateful_set(builder)?]);
    }
    groups(builder).map(|over| daemon_set(builder, over)).collect()
}

/// The groups of nodes that have workers: those without an override, then those of each.
pub(super) fn groups<'a>(
    builder: &Builder<'a>,
) -> impl Iterator<Item = Option<&'a NodeOverride>> + use<'a> {
    let overrides = &builder.cluster.spec.worker.node_overrides;
    [None].into_iter().chain(overrides.iter().map(Some))
}

/// What the workers of a group cache on.
pub(super) fn store<'a>(builder: &Builder<'a>, over: Option<&'a NodeOverride>) -> &'a TieredStore {
    let own = over.and_then(|over| over.tiered_store.as_ref());
    own.unwrap_or(&builder.cluster.spec.worker.tiered_store)
}

/// Labels the pods of a group, so that they are not taken for another's, and gives their selector.
pub(super) fn select(
    builder: &Builder<'_>,
    component: Component,
    over: Option<&NodeOverride>,
    pod: &mut Value,
) -> BTreeMap<String, String> {
    let mut selector = builder.names().selector(component);
    let group = over.map_or("default", |over| over.name.as_str());
    selector.insert("alluxio.dev/worker-group".to_owned(), group.to_owned());
    for (key, value) in &selector {
        pod["metadata"]["labels"][key] = Value::from(value.as_str());
    }
    selector
}

/// Directories of the node are root's. It may do nothing else that root may.
fn as_root() -> Value {
    let mut security = plain_security();
    security["runAsUser"] = Value::from(0);
    security["runAsGroup"] = Value::from(0);
    security
}

/// Of what a component has for a group.
pub(super) fn name(
    builder: &Builder<'_>,
    component: Component,
    over: Option<&NodeOverride>,
) -> String {
    let name = builder.names().of(component);
    match over {
        None => name,
        Some(over) => format!("{name}-{}", over.name),
    }
}

/// A group's own selector, and not those of the groups before it (for all others: of none).
pub(super) fn affinity(builder: &Builder<'_>, over: Option<&NodeOverride>) -> Value {
    let overrides = &builder.cluster.spec.worker.node_overrides;
    let before =
        overrides.iter().take_while(|other| over.is_none_or(|over| other.name != over.name));
    // Not (a and b) is (not a) or (not b); for several groups every way to miss each of them is a term.
    let mut terms: Vec<Vec<Value>> = vec![Vec::new()];
    for group in before {
        let misses = group
            .node_selector
            .iter()
            .map(|(key, value)| json!({"key": key, "operator": "NotIn", "values": [value]}));
        let misses: Vec<Value> = misses.collect();
        terms = terms
            .iter()
            .flat_map(|term| {
                misses.iter().map(move |miss| {
                    let mut longer = term.clone();
                    longer.push(miss.clone());
                    longer
                })
            })
            .collect();
    }
    let own: BTreeMap<String, String> =
        over.map(|over| over.node_selector.clone()).unwrap_or_default();
    for term in &mut terms {
        term.extend(
            own.iter().map(|(key, value)| json!({"key": key, "operator": "In", "values": [value]})),
        );
    }
    if terms.iter().all(Vec::is_empty) {
        return json!({});
    }
    let terms: Vec<Value> =
        terms.into_iter().map(|term| json!({"matchExpressions": term})).collect();
    json!({"affinity": {"nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}})
}

pub(super) fn pod(builder: &Builder<'_>, over: Option<&NodeOverride>, more: Value) -> Value {
    let cluster = builder.cluster;
    let worker = &cluster.spec.worker;
    let store = store(builder, over);
    let label = over.map(|over| over.name.as_str()).unwrap_or_default();
    let env = vec![
        fact("POD_IP", "status.podIP"),
        fact("NODE_NAME", "spec.nodeName"),
        json!({"name": "ALLUXIO_WORKER_HOSTNAME", "value": "$(POD_IP)"}),
        json!({"name": "ALLUXIO_LOCALITY_NODE", "value": "$(NODE_NAME)"}),
    ];
    let (mut volumes, mut mounts, memory) = tiers(store);
    if worker.short_circuit.enabled {
        let path = format!("{}/{}", worker.short_circuit.host_dir, builder.names().short_uid());
        volumes.push(
            json!({"name": "socket", "hostPath": {"path": path, "type": "DirectoryOrCreate"}}),
        );
        mounts.push(json!({"name": "socket", "mountPath": SOCKET_DIR}));
    }
    let settings = PodSettings {
        resources: over.and_then(|over| over.resources.clone()).or(worker.pods.resources.clone()),
        ..worker.pods.clone()
    };
    let mut spec = more;
    if worker.host_network {
        spec["hostNetwork"] = Value::from(true);
        spec["dnsPolicy"] = Value::from("ClusterFirstWithHostNet");
    }
    let fallback = &cluster.configs.workers[""];
    builder.pod(PodParts {
        component: Component::Worker,
        args: vec!["worker".into()],
        config: (cluster.configs.workers.get(label).unwrap_or(fallback), label),
        ports: vec![
            ("rpc", worker.ports.rpc),
            ("data", worker.ports.data),
            ("web", worker.ports.web),
        ],
        web_port: worker.ports.web,
        env,
        volumes,
        mounts,
        init: Vec::new(),
        settings: &settings,
        requests: REQUESTS,
        more_memory: memory,
        security: as_root(),
        grace_seconds: 30,
        more: spec,
    })
}

/// Volumes and mounts of the tiers, and the memory that those in memory take.
fn tiers(store: &TieredStore) -> (Vec<Value>, Vec<Value>, u64) {
    let (mut volumes, mut mounts, mut memory) = (Vec::new(), Vec::new(), 0u64);
    for (number, level) in store.levels.iter().enumerate() {
        let mut add = |index: usize, source: Option<Value>| {
            let name = format!("tier-{number}-{index}");
            mounts
                .push(json!({"name": name, "mountPath": format!("{TIERS_DIR}/{number}-{index}")}));
            if let Some(mut volume) = source {
                volume["name"] = Value::from(name);
                volumes.push(volume);
            }
        };
        if let Some(quota) = &level.memory {
            // Files take whole pages, and directories some.
            let bytes = quota.quota.bytes().unwrap_or(0);
            let limit = (bytes + bytes / 64 + (16 << 20)).next_multiple_of(1 << 20);
            memory += limit;
            add(0, Some(json!({"emptyDir": {"medium": "Memory", "sizeLimit": canonical(limit)}})));
        } else if let Some(dirs) = &level.host_path {
            for (index, dir) in dirs.dirs.iter().enumerate() {
                let source =
                    json!({"hostPath": {"path": dir.path.as_str(), "type": dirs.type_.name()}});
                add(index, Some(source));
            }
        } else if let Some(quota) = &level.empty_dir {
            add(0, Some(json!({"emptyDir": {"sizeLimit": quota.quota.quantity()}})));
        } else {
            // The claim template of a StatefulSet has the volume's name.
            add(0, None);
        }
    }
    (volumes, mounts, memory)
}

fn daemon_set(builder: &Builder<'_>, over: Option<&NodeOverride>) -> Result<Desired, Error> {
    let worker = &builder.cluster.spec.worker;
    let name = name(builder, Component::Worker, over);
    let mut more = affinity(builder, over);
    if builder.cluster.spec.operation.mode == OperationMode::Stopped {
        more["nodeSelector"] = json!({NOWHERE: "true"});
    }
    let mut template = pod(builder, over, more);
    let selector = select(builder, Component::Worker, over, &mut template);
    let body = json!({"spec": {
        "selector": {"matchLabels": selector},
        "updateStrategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": worker.update.max_unavailable, "maxSurge": 0},
        },
        "template": template,
    }});
    builder.object::<DaemonSet>(&name, Some(Component::Worker), body)
}

fn stateful_set(builder: &Builder<'_>) -> Result<Desired, Error> {
    let spec = &builder.cluster.spec;
    let name = name(builder, Component::Worker, None);
    let stopped = spec.operation.mode == OperationMode::Stopped;
    let levels = spec.worker.tiered_store.levels.iter().enumerate();
    let claims: Vec<Value> = levels
        .filter_map(|(number, level)| {
            let claim = level.volume_claim_template.as_ref()?;
            let mut template = json!({
                "metadata": {"name": format!("tier-{number}-0")},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": claim.size.quantity()}},
                },
            });
            if let Some(class) = &claim.storage_class_name {
                template["spec"]["storageClassName"] = Value::from(class.as_str());
            }
            Some(template)
        })
        .collect();
    let mut body = json!({"spec": {
        "replicas": if stopped { 0 } else { spec.worker.replicas.unwrap_or(0) },
        "serviceName": name,
        "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": builder.names().selector(Component::Worker)},
        "updateStrategy": {"type": "RollingUpdate"},
        "template": pod(builder, None, super::master::spread(builder, Component::Worker)),
        "persistentVolumeClaimRetentionPolicy": {
            "whenDeleted": super::master::when(spec.deletion_policy.cache),
            "whenScaled": "Delete",
        },
    }});
    if !claims.is_empty() {
        body["spec"]["volumeClaimTemplates"] = Value::from(claims);
    }
    builder.object::<StatefulSet>(&name, Some(Component::Worker), body)
}
