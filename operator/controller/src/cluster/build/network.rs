//! Services, disruption budgets, and who may speak to whom.

use super::Builder;
use crate::cluster::config::ETCD_PORT;
use crate::cluster::membership::PEER_PORT;
use crate::cluster::names::Component;
use crate::desired::Desired;
use crate::error::Error;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde_json::{Value, json};

pub(super) fn services(builder: &Builder<'_>) -> Result<Vec<Desired>, Error> {
    let spec = &builder.cluster.spec;
    let ports = &spec.master.ports;
    let mut services =
        vec![headless(builder, Component::Master, &[("rpc", ports.rpc), ("web", ports.web)])?];
    let ports = &spec.worker.ports;
    services.push(headless(
        builder,
        Component::Worker,
        &[("rpc", ports.rpc), ("data", ports.data), ("web", ports.web)],
    )?);
    if builder.cluster.managed_etcd().is_some() {
        let ports = [("client", ETCD_PORT), ("peer", PEER_PORT), ("metrics", 2381)];
        services.push(headless(builder, Component::Etcd, &ports)?);
    }
    Ok(services)
}

/// Names for pods, whether they are ready or not: members have to find each other before they are.
fn headless(
    builder: &Builder<'_>,
    component: Component,
    ports: &[(&str, u16)],
) -> Result<Desired, Error> {
    let ports: Vec<Value> = ports
        .iter()
        .map(|(name, port)| json!({"name": name, "port": port, "targetPort": name}))
        .collect();
    let body = json!({"spec": {
        "clusterIP": "None",
        "publishNotReadyAddresses": true,
        "selector": builder.names().selector(component),
        "ports": ports,
    }});
    builder.object::<Service>(&builder.names().of(component), Some(component), body)
}

/// So many of `replicas` may be away that a majority stays; `None` where none may, which would only block drains.
fn spare(replicas: i32) -> Option<i32> {
    (replicas > 2).then_some((replicas - 1) / 2)
}

pub(super) fn budgets(builder: &Builder<'_>) -> Result<Vec<Desired>, Error> {
    let etcd = builder.cluster.managed_etcd().map(|etcd| (Component::Etcd, etcd.replicas));
    let masters = builder.cluster.spec.master.replicas;
    // A standby takes over at once: with two masters one may go.
    let masters = (masters > 1).then_some((Component::Master, masters.max(3)));
    let mut budgets = Vec::new();
    for (component, replicas) in etcd.into_iter().chain(masters) {
        let Some(spare) = spare(replicas) else { continue };
        let body = json!({"spec": {
            "maxUnavailable": spare,
            "selector": {"matchLabels": builder.names().selector(component)},
        }});
        let name = builder.names().of(component);
        budgets.push(builder.object::<PodDisruptionBudget>(&name, Some(component), body)?);
    }
    Ok(budgets)
}

pub(super) fn policies(builder: &Builder<'_>) -> Result<Vec<Desired>, Error> {
    let spec = &builder.cluster.spec;
    if !spec.network_policy.enabled {
        return Ok(Vec::new());
    }
    let tcp = |ports: &[u16]| -> Vec<Value> {
        ports.iter().map(|port| json!({"protocol": "TCP", "port": port})).collect()
    };
    let from = |components: &[Component]| -> Vec<Value> {
        let pods = components.iter().map(|component| {
            json!({"podSelector": {"matchLabels": builder.names().selector(*component)}})
        });
        pods.collect()
    };
    let masters = &spec.master.ports;
    let workers = &spec.worker.ports;
    let mut wanted = vec![
        (Component::Master, json!([{"ports": tcp(&[masters.rpc, masters.web])}])),
        (Component::Worker, json!([{"ports": tcp(&[workers.rpc, workers.data, workers.web])}])),
    ];
    if builder.cluster.managed_etcd().is_some() {
        let mut clients_of_etcd = from(&[Component::Master, Component::Etcd]);
        // The operator, which may be in another namespace, looks after the list of members.
        clients_of_etcd.push(json!({
            "namespaceSelector": {},
            "podSelector": {"matchLabels": {
                "app.kubernetes.io/name": "alluxio", "app.kubernetes.io/component": "operator",
            }},
        }));
        wanted.push((
            Component::Etcd,
            json!([
                {"ports": tcp(&[ETCD_PORT]), "from": clients_of_etcd},
                {"ports": tcp(&[PEER_PORT]), "from": from(&[Component::Etcd])},
                {"ports": tcp(&[2381])},
            ]),
        ));
    }
    wanted
        .into_iter()
        .map(|(component, ingress)| {
            let body = json!({"spec": {
                "podSelector": {"matchLabels": builder.names().selector(component)},
                "policyTypes": ["Ingress"],
                "ingress": ingress,
            }});
            builder.object::<NetworkPolicy>(&builder.names().of(component), Some(component), body)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::spare;

    #[test]
    fn a_majority_stays() {
        let spares: Vec<_> = (1..=5).map(spare).collect();
        assert_eq!(spares, [None, None, Some(1), Some(1), Some(2)]);
    }
}
