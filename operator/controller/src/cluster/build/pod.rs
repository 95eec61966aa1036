//! What the pods of all components have in common.

use super::Builder;
use crate::cluster::config::{CONF_DIR, Rendered, WORK_DIR};
use crate::cluster::names::Component;
use crate::merge;
use alluxio_operator_api::pod::{PodSettings, Resources};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The parts of a pod that a component chooses.
pub(crate) struct PodParts<'a> {
    pub(crate) component: Component,
    /// Arguments of the program.
    pub(crate) args: Vec<String>,
    /// Its configuration, and the override that it belongs to.
    pub(crate) config: (&'a Rendered, &'a str),
    /// Name and number of each port.
    pub(crate) ports: Vec<(&'static str, u16)>,
    /// The port with `/readyz` and `/healthz`.
    pub(crate) web_port: u16,
    pub(crate) env: Vec<Value>,
    pub(crate) volumes: Vec<Value>,
    pub(crate) mounts: Vec<Value>,
    pub(crate) init: Vec<Value>,
    pub(crate) settings: &'a PodSettings,
    /// What is asked for when the user says nothing.
    pub(crate) requests: &'a [(&'static str, &'static str)],
    /// Memory that tiers in memory add, in bytes.
    pub(crate) more_memory: u64,
    pub(crate) security: Value,
    /// Seconds between SIGTERM and SIGKILL.
    pub(crate) grace_seconds: i64,
    /// More fields of the pod's specification.
    pub(crate) more: Value,
}

/// A container that may do nothing that root may, but own files.
pub(crate) fn plain_security() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    })
}

fn probe(port: u16, path: &str, period: i64, failures: i64) -> Value {
    json!({
        "httpGet": {"path": path, "port": port},
        "periodSeconds": period, "failureThreshold": failures, "timeoutSeconds": 3,
    })
}

/// An environment variable with a fact of the pod.
pub(crate) fn fact(name: &str, path: &str) -> Value {
    json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}})
}

impl Builder<'_> {
    /// A pod template.
    pub(crate) fn pod(&self, parts: PodParts<'_>) -> Value {
        let component = parts.component;
        let names = self.names();
        let mut labels = names.labels(Some(component));
        labels.insert("app.kubernetes.io/version".into(), self.cluster.version.clone());
        let (config, over) = parts.config;
        let config_map = self.config_map_name(Some(component), over, config);
        let mut volumes = vec![
            json!({"name": "conf", "configMap": {"name": config_map}}),
            json!({"name": "work", "emptyDir": {}}),
            json!({"name": "tmp", "emptyDir": {}}),
        ];
        volumes.extend(parts.volumes);
        let mut mounts = vec![
            json!({"name": "conf", "mountPath": CONF_DIR, "readOnly": true}),
            json!({"name": "work", "mountPath": WORK_DIR}),
            json!({"name": "tmp", "mountPath": "/tmp"}),
        ];
        mounts.extend(parts.mounts);
        let image = &self.cluster.image;
        let mut init = parts.init;
        for container in &mut init {
            container["image"] = Value::from(image.reference.as_str());
            container["imagePullPolicy"] = Value::from(image.pull_policy.as_str());
            container["volumeMounts"] = Value::from(mounts.clone());
            container["env"] = Value::from(parts.env.clone());
            container["securityContext"] = parts.security.clone();
        }
        let ports: Vec<Value> = parts
            .ports
            .iter()
            .map(|(name, port)| json!({"name": name, "containerPort": port}))
            .collect();
        let mut pod = json!({
            "metadata": {"labels": labels},
            "spec": {
                "serviceAccountName": names.of(component),
                "automountServiceAccountToken": false,
                "enableServiceLinks": false,
                "terminationGracePeriodSeconds": parts.grace_seconds,
                "containers": [{
                    "name": component.label(),
                    "image": image.reference,
                    "imagePullPolicy": image.pull_policy,
                    "args": parts.args,
                    "env": parts.env,
                    "ports": ports,
                    "resources": resources(parts.settings.resources.as_ref(), parts.requests, parts.more_memory),
                    "volumeMounts": mounts,
                    "securityContext": parts.security,
                    // A journal may be long: a start has ten minutes before anybody gives up on it.
                    "startupProbe": probe(parts.web_port, "/healthz", 1, 600),
                    "readinessProbe": probe(parts.web_port, "/readyz", 2, 3),
                    "livenessProbe": probe(parts.web_port, "/healthz", 10, 6),
                }],
                "volumes": volumes,
            },
        });
        if !init.is_empty() {
            pod["spec"]["initContainers"] = Value::from(init);
        }
        if !image.pull_secrets.is_empty() {
            let secrets: Vec<Value> =
                image.pull_secrets.iter().map(|name| json!({"name": name})).collect();
            pod["spec"]["imagePullSecrets"] = Value::from(secrets);
        }
        merge::strategic(&mut pod["spec"], &parts.more);
        self.place(&mut pod, parts.settings);
        pod
    }

    /// Where pods run, and the user's own changes, which have the last word.
    pub(crate) fn place(&self, pod: &mut Value, settings: &PodSettings) {
        if !settings.node_selector.is_empty() {
            let selector = pod["spec"].get_mut("nodeSelector").map(Value::take);
            let mut all = match selector {
                Some(Value::Object(all)) => all,
                _ => Map::new(),
            };
            let own = settings.node_selector.iter();
            all.extend(own.map(|(key, value)| (key.clone(), Value::from(value.as_str()))));
            pod["spec"]["nodeSelector"] = Value::Object(all);
        }
        if !settings.tolerations.is_empty() {
            pod["spec"]["tolerations"] = json!(settings.tolerations);
        }
        if let Some(over) = &settings.pod_overrides {
            merge::strategic(pod, over);
        }
    }
}

/// Requests and limits: the user's, or else `requests` without limits; memory that holds cached data comes on top of
/// both, since the kernel counts it as the container's.
fn resources(
    users: Option<&Resources>,
    requests: &[(&'static str, &'static str)],
    more_memory: u64,
) -> Value {
    let (mut asked, mut limits) = match users {
        Some(users) => (text(&users.requests), text(&users.limits)),
        None => (
            requests
                .iter()
                .map(|(name, amount)| ((*name).to_owned(), (*amount).to_owned()))
                .collect(),
            BTreeMap::new(),
        ),
    };
    if more_memory > 0 {
        for amounts in [&mut asked, &mut limits] {
            if let Some(memory) = amounts.get_mut("memory") {
                *memory = add_bytes(memory, more_memory);
            }
        }
        asked.entry("memory".to_owned()).or_insert_with(|| canonical(more_memory));
    }
    let mut all = Map::new();
    for (name, amounts) in [("requests", asked), ("limits", limits)] {
        if !amounts.is_empty() {
            all.insert(name.to_owned(), json!(amounts));
        }
    }
    Value::Object(all)
}

fn text(
    amounts: &BTreeMap<String, k8s_openapi::apimachinery::pkg::api::resource::Quantity>,
) -> BTreeMap<String, String> {
    amounts.iter().map(|(name, amount)| (name.clone(), amount.0.clone())).collect()
}

/// A number of bytes as the API server writes it: with the largest binary unit that says it exactly.
pub(crate) fn canonical(bytes: u64) -> String {
    alluxio_operator_api::Size::from_bytes(bytes).to_string()
}

fn add_bytes(amount: &str, more: u64) -> String {
    match alluxio_operator_api::Size::new(amount).bytes() {
        Ok(bytes) => canonical(bytes.saturating_add(more)),
        // The API server refuses it, and says why.
        Err(_) => amount.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_memory_counts_in_requests_and_limits() {
        let users: Resources = serde_json::from_value(json!({
            "requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}
        }))
        .unwrap();
        assert_eq!(
            resources(Some(&users), &[], 8 << 30),
            json!({"requests": {"cpu": "1", "memory": "9Gi"}, "limits": {"memory": "10Gi"}})
        );
        assert_eq!(
            resources(None, &[("cpu", "100m")], 1 << 20),
            json!({"requests": {"cpu": "100m", "memory": "1Mi"}})
        );
        assert_eq!(resources(None, &[], 0), json!({}));
    }
}
