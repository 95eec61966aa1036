//! What removes cached data from nodes: on each node of the workers one pod that is ready when it has. Data in claims goes
//! with them, and memory with its pod.

use super::{Builder, worker};
use crate::cluster::names::Component;
use crate::desired::Desired;
use crate::error::Error;
use alluxio_operator_api::cluster::WorkerKind;
use alluxio_operator_api::cluster::worker::NodeOverride;
use k8s_openapi::api::apps::v1::DaemonSet;
use serde_json::{Value, json};

/// Where the directory is mounted that holds the directory of this cluster's sockets.
const SOCKETS: &str = "/sockets";

pub(super) fn all(builder: &Builder<'_>) -> Result<Vec<Desired>, Error> {
    let spec = &builder.cluster.spec;
    if spec.worker.kind != WorkerKind::DaemonSet {
        return Ok(Vec::new());
    }
    let sockets = spec.worker.short_circuit.enabled;
    let on_nodes = |over: &Option<&NodeOverride>| {
        sockets || worker::store(builder, *over).levels.iter().any(|l| l.host_path.is_some())
    };
    worker::groups(builder).filter(on_nodes).map(|over| daemon_set(builder, over)).collect()
}

/// The workers' pods with the same directories, configuration and nodes, and another program.
fn daemon_set(builder: &Builder<'_>, over: Option<&NodeOverride>) -> Result<Desired, Error> {
    let names = builder.names();
    let component = Component::Cleanup;
    let short_circuit = &builder.cluster.spec.worker.short_circuit;
    let mut pod = worker::pod(builder, over, worker::affinity(builder, over));
    let selector = worker::select(builder, component, over, &mut pod);
    // A directory that is mounted itself could not be removed.
    for volume in pod["spec"]["volumes"].as_array_mut().into_iter().flatten() {
        if volume["name"] == "socket" {
            volume["hostPath"]["path"] = Value::from(short_circuit.host_dir.as_str());
        }
    }
    let container = &mut pod["spec"]["containers"][0];
    for mount in container["volumeMounts"].as_array_mut().into_iter().flatten() {
        if mount["name"] == "socket" {
            mount["mountPath"] = Value::from(SOCKETS);
        }
    }
    for field in ["startupProbe", "readinessProbe", "livenessProbe", "ports"] {
        if let Some(container) = container.as_object_mut() {
            container.remove(field);
        }
    }
    container["resources"] = json!({"requests": {"cpu": "10m", "memory": "32Mi"}});
    let socket = format!(
        "-Dalluxio.worker.data.server.domain.socket.address={SOCKETS}/{}",
        names.short_uid()
    );
    let run = |name: &str, arguments: [&str; 2], container: &Value| {
        let mut container = container.clone();
        container["name"] = Value::from(name);
        container["args"] = json!([arguments[0], arguments[1], socket]);
        container
    };
    let removes = run("cleanup", ["formatWorker", "-r"], container);
    // The pod is ready once the work is done, and has to stay for that to be seen.
    let waits = run("done", ["formatWorker", "-w"], container);
    pod["spec"]["initContainers"] = json!([removes]);
    pod["spec"]["containers"] = json!([waits]);
    pod["spec"]["terminationGracePeriodSeconds"] = Value::from(5);
    let body = json!({"spec": {
        "selector": {"matchLabels": selector},
        "template": pod,
    }});
    let name = worker::name(builder, component, over);
    builder.object::<DaemonSet>(&name, Some(component), body)
}
