//! Agents: on each node one, which serves the mounts of pods. Its mounts outlive it, by the keeper that the chart
//! installs; a new agent asks the old one for them, so one more pod on each node is how agents are replaced.

use super::Builder;
use super::pod::{PodParts, fact};
use crate::cluster::config::{FUSE_WEB_PORT, NODE_DIR, SESSIONS_DIR, SOCKET_DIR};
use crate::cluster::names::Component;
use crate::desired::Desired;
use crate::error::Error;
use alluxio_operator_api::cluster::FuseUpdatePolicy;
use k8s_openapi::api::apps::v1::DaemonSet;
use serde_json::json;

const REQUESTS: &[(&str, &str)] = &[("cpu", "200m"), ("memory", "512Mi")];

pub(super) fn daemon_set(builder: &Builder<'_>) -> Result<Desired, Error> {
    let cluster = builder.cluster;
    let fuse = &cluster.spec.fuse;
    let component = Component::Fuse;
    let name = builder.names().of(component);
    let mut volumes = vec![
        json!({"name": "node", "hostPath": {"path": NODE_DIR, "type": "DirectoryOrCreate"}}),
        json!({"name": "sessions", "hostPath": {"path": SESSIONS_DIR, "type": "DirectoryOrCreate"}}),
        json!({"name": "dev-fuse", "hostPath": {"path": "/dev/fuse", "type": "CharDevice"}}),
    ];
    let mut mounts = vec![
        json!({"name": "node", "mountPath": NODE_DIR}),
        // What is mounted in it is seen by the node, and by the CSI driver's pod.
        json!({"name": "sessions", "mountPath": SESSIONS_DIR, "mountPropagation": "Bidirectional"}),
        json!({"name": "dev-fuse", "mountPath": "/dev/fuse"}),
    ];
    let short_circuit = &cluster.spec.worker.short_circuit;
    if short_circuit.enabled {
        let path = format!("{}/{}", short_circuit.host_dir, builder.names().short_uid());
        volumes.push(
            json!({"name": "socket", "hostPath": {"path": path, "type": "DirectoryOrCreate"}}),
        );
        mounts.push(json!({"name": "socket", "mountPath": SOCKET_DIR, "readOnly": true}));
    }
    let pod = builder.pod(PodParts {
        component,
        args: vec!["fuse".into(), "agent".into()],
        config: (&cluster.configs.fuse, ""),
        ports: vec![("web", FUSE_WEB_PORT)],
        web_port: FUSE_WEB_PORT,
        env: vec![
            fact("NODE_NAME", "spec.nodeName"),
            json!({"name": "ALLUXIO_LOCALITY_NODE", "value": "$(NODE_NAME)"}),
        ],
        volumes,
        mounts,
        init: Vec::new(),
        settings: &fuse.pods,
        requests: REQUESTS,
        more_memory: 0,
        // mount(2), and passing open files to the kernel, need it.
        security: json!({"privileged": true, "runAsUser": 0, "runAsGroup": 0, "readOnlyRootFilesystem": true}),
        grace_seconds: 30,
        more: json!({"priorityClassName": "system-node-critical", "hostPID": true}),
    });
    let strategy = match fuse.update.policy {
        FuseUpdatePolicy::Manual => json!({"type": "OnDelete"}),
        FuseUpdatePolicy::Smooth => json!({
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": fuse.update.max_unavailable, "maxUnavailable": 0},
        }),
    };
    let body = json!({"spec": {
        "selector": {"matchLabels": builder.names().selector(component)},
        "updateStrategy": strategy,
        "template": pod,
    }});
    builder.object::<DaemonSet>(&name, Some(component), body)
}
