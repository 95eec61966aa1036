//! For Prometheus' operator and for Grafana: monitors of every role, rules, dashboards. Only who asks for them gets
//! them, and the kinds of Prometheus' operator only where the API server knows them.

use super::Builder;
use crate::cluster::names::{CLUSTER_UID, Component};
use crate::desired::Desired;
use crate::error::Error;
use crate::monitoring::dashboards::{self, About};
use crate::monitoring::grafana::{self, Owner};
use crate::monitoring::{CLUSTER_LABEL, Scope, alerts};
use alluxio_operator_api::cluster::{AlluxioClusterSpec, Monitoring};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ApiResource;
use serde_json::{Value, json};

/// By which Grafana's sidecar finds dashboards, unless it is told otherwise.
const DASHBOARD_LABEL: (&str, &str) = ("grafana_dashboard", "1");

fn kind(name: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: "monitoring.coreos.com".to_owned(),
        version: "v1".to_owned(),
        api_version: "monitoring.coreos.com/v1".to_owned(),
        kind: name.to_owned(),
        plural: plural.to_owned(),
    }
}

fn service_monitor() -> ApiResource {
    kind("ServiceMonitor", "servicemonitors")
}

fn pod_monitor() -> ApiResource {
    kind("PodMonitor", "podmonitors")
}

fn prometheus_rule() -> ApiResource {
    kind("PrometheusRule", "prometheusrules")
}

/// The kinds of Prometheus' operator. An API server may have them or not.
pub fn kinds() -> [ApiResource; 3] {
    [service_monitor(), pod_monitor(), prometheus_rule()]
}

/// Whether somebody wants objects of [`kinds`].
pub fn is_wanted(spec: &AlluxioClusterSpec) -> bool {
    spec.metrics.service_monitor.enabled || spec.metrics.prometheus_rule.enabled
}

/// Objects of [`kinds`].
pub(super) fn objects(builder: &Builder<'_>) -> Result<Vec<Desired>, Error> {
    let spec = &builder.cluster.spec;
    let names = builder.names();
    let metrics = &spec.metrics;
    let mut all = Vec::new();
    if metrics.service_monitor.enabled {
        let labels = &metrics.service_monitor;
        // Services of all components have one of these two ports.
        let endpoints = json!([
            {"port": "web", "relabelings": relabelings(builder, "service")},
            {"port": "metrics", "relabelings": relabelings(builder, "service")},
        ]);
        let body = json!({
            "selector": {"matchLabels": {CLUSTER_UID: names.uid}},
            "endpoints": endpoints,
        });
        all.push(labelled(builder, service_monitor(), &names.cluster, None, labels, body)?);
        if spec.fuse.enabled {
            let fuse = Component::Fuse;
            // Agents have no Service: nobody calls them by name.
            let body = json!({
                "selector": {"matchLabels": names.selector(fuse)},
                "podMetricsEndpoints": [
                    {"port": "web", "relabelings": relabelings(builder, "pod")},
                ],
            });
            all.push(labelled(builder, pod_monitor(), &names.of(fuse), Some(fuse), labels, body)?);
        }
    }
    if metrics.prometheus_rule.enabled {
        let labels = &metrics.prometheus_rule;
        let body = json!({"groups": alerts::groups(alerts::CLUSTER, &scope(builder))});
        all.push(labelled(builder, prometheus_rule(), &names.cluster, None, labels, body)?);
    }
    Ok(all)
}

fn scope(builder: &Builder<'_>) -> Scope {
    let names = builder.names();
    Scope::Cluster { namespace: names.namespace.clone(), name: names.cluster.clone() }
}

/// Labels that rules and dashboards choose by, beside those that Prometheus' operator puts on.
fn relabelings(builder: &Builder<'_>, of: &str) -> Value {
    let component = format!("__meta_kubernetes_{of}_label_app_kubernetes_io_component");
    json!([
        {"targetLabel": CLUSTER_LABEL, "replacement": builder.names().cluster},
        {"sourceLabels": [component], "targetLabel": "component"},
        {"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node"},
    ])
}

fn labelled(
    builder: &Builder<'_>,
    resource: ApiResource,
    name: &str,
    component: Option<Component>,
    users: &Monitoring,
    spec: Value,
) -> Result<Desired, Error> {
    let body = json!({"metadata": {"labels": users.labels}, "spec": spec});
    builder.object_of(resource, name, component, body)
}

/// Dashboards, which every API server takes.
pub(super) fn dashboards(builder: &Builder<'_>) -> Result<Vec<Desired>, Error> {
    let wanted = &builder.cluster.spec.metrics.dashboards;
    if !wanted.enabled {
        return Ok(Vec::new());
    }
    let names = builder.names();
    let owner = Owner {
        namespace: names.namespace.clone(),
        name: names.cluster.clone(),
        id: names.short_uid().to_owned(),
    };
    let mut labels = wanted.labels.clone();
    let (key, value) = DASHBOARD_LABEL;
    labels.entry(key.to_owned()).or_insert_with(|| value.to_owned());
    let clusters = dashboards::ALL.iter().filter(|one| one.about == About::Cluster);
    clusters
        .map(|one| {
            let name = format!("{}-dashboard-{}", names.cluster, one.name);
            // Grafana's sidecar writes all of them into one folder.
            let file = format!("alluxio-{}-{}-{}.json", names.namespace, names.cluster, one.name);
            let text = grafana::dashboard(one, Some(&owner)).to_string();
            let body = json!({"metadata": {"labels": labels}, "data": {file: text}});
            builder.object::<ConfigMap>(&name, None, body)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::cluster::build::build;
    use crate::cluster::tests::{defaults, names, sample};
    use crate::cluster::validate::validate;
    use crate::desired::Desired;
    use alluxio_operator_api::AlluxioCluster;

    fn built(change: impl FnOnce(&mut AlluxioCluster)) -> (Vec<Desired>, Vec<Desired>) {
        let mut cluster = sample();
        change(&mut cluster);
        let valid = validate(names(), &cluster, &defaults()).unwrap();
        let built = build(&valid).unwrap();
        let maps = built.support.into_iter().filter(|one| one.key().name.contains("dashboard"));
        (built.monitoring, maps.collect())
    }

    fn names_of(all: &[Desired]) -> Vec<String> {
        all.iter().map(|one| one.key().to_string()).collect()
    }

    #[test]
    fn nothing_is_made_unasked() {
        let (objects, dashboards) = built(|_| {});
        assert_eq!((objects.len(), dashboards.len()), (0, 0));
    }

    #[test]
    fn every_role_is_monitored_under_the_users_labels() {
        let (objects, _) = built(|cluster| {
            let metrics = &mut cluster.spec.metrics;
            metrics.service_monitor.enabled = true;
            metrics.service_monitor.labels.insert("release".into(), "prometheus".into());
            metrics.prometheus_rule.enabled = true;
        });
        assert_eq!(
            names_of(&objects),
            [
                "ServiceMonitor cache/demo",
                "PodMonitor cache/demo-fuse",
                "PrometheusRule cache/demo"
            ]
        );
        for monitor in &objects[..2] {
            assert_eq!(monitor.body()["metadata"]["labels"]["release"], "prometheus");
        }
        assert_eq!(objects[2].body()["metadata"]["labels"].get("release"), None);
        let (objects, _) = built(|cluster| {
            cluster.spec.metrics.service_monitor.enabled = true;
            cluster.spec.fuse.enabled = false;
        });
        assert_eq!(names_of(&objects), ["ServiceMonitor cache/demo"]);
    }

    #[test]
    fn grafana_finds_dashboards_by_the_usual_label_or_the_users() {
        let (_, maps) = built(|cluster| cluster.spec.metrics.dashboards.enabled = true);
        assert_eq!(
            names_of(&maps),
            [
                "ConfigMap cache/demo-dashboard-overview",
                "ConfigMap cache/demo-dashboard-masters",
                "ConfigMap cache/demo-dashboard-workers",
                "ConfigMap cache/demo-dashboard-volumes",
            ]
        );
        for map in &maps {
            assert_eq!(map.body()["metadata"]["labels"]["grafana_dashboard"], "1");
        }
        let (_, maps) = built(|cluster| {
            let dashboards = &mut cluster.spec.metrics.dashboards;
            dashboards.enabled = true;
            dashboards.labels.insert("grafana_dashboard".into(), "yes".into());
        });
        assert_eq!(maps[0].body()["metadata"]["labels"]["grafana_dashboard"], "yes");
    }
}
