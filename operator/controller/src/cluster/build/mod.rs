//! All objects of a cluster, from what was validated. Pure: the same cluster gives the same bytes.

pub mod etcd;
pub mod fuse;
pub mod master;
pub mod monitoring;
pub mod network;
pub mod pod;
pub mod worker;

use super::config::{Configs, Rendered};
use super::names::{Component, Names};
use super::validate::ValidCluster;
use crate::desired::{Desired, Key};
use crate::error::Error;
use alluxio_operator_api::cluster::OperationMode;
use k8s_openapi::api::apps::v1::{DaemonSet, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Resource;
use kube::api::ApiResource;
use serde_json::{Value, json};

/// The kinds that a cluster's objects have, for lists and for the removal of what is no longer wanted.
pub fn kinds() -> Vec<ApiResource> {
    vec![
        ApiResource::erase::<ServiceAccount>(&()),
        ApiResource::erase::<ConfigMap>(&()),
        ApiResource::erase::<Service>(&()),
        ApiResource::erase::<StatefulSet>(&()),
        ApiResource::erase::<DaemonSet>(&()),
        ApiResource::erase::<PodDisruptionBudget>(&()),
        ApiResource::erase::<NetworkPolicy>(&()),
    ]
}

/// What a cluster is made of.
#[derive(Debug, Clone)]
pub struct Built {
    /// All but workloads: they come first, and changing them restarts nothing.
    pub support: Vec<Desired>,
    /// What only an API server with Prometheus' operator takes.
    pub monitoring: Vec<Desired>,
    /// The managed etcd.
    pub etcd: Option<Desired>,
    /// The masters.
    pub master: Desired,
    /// The workers: those without an override, then those of each.
    pub workers: Vec<Desired>,
    /// The agents.
    pub fuse: Option<Desired>,
}

impl Built {
    /// Keys of everything.
    pub fn keys(&self) -> Vec<Key> {
        let workloads =
            self.etcd.iter().chain([&self.master]).chain(&self.workers).chain(&self.fuse);
        let support = self.support.iter().chain(&self.monitoring);
        support.chain(workloads).map(|desired| desired.key().clone()).collect()
    }
}

/// Makes objects of one cluster.
pub(crate) struct Builder<'a> {
    pub(crate) cluster: &'a ValidCluster,
}

/// Builds everything.
///
/// **Errors**: `NotStored`, never for a validated cluster.
pub fn build(cluster: &ValidCluster) -> Result<Built, Error> {
    let builder = Builder { cluster };
    let spec = &cluster.spec;
    let mut support = Vec::new();
    for component in [Component::Etcd, Component::Master, Component::Worker, Component::Fuse] {
        if component == Component::Etcd && cluster.managed_etcd().is_none() {
            continue;
        }
        support.push(builder.service_account(component)?);
    }
    let Configs { master, workers, fuse, client } = &cluster.configs;
    support.push(builder.config_map(Some(Component::Master), "", master)?);
    for (over, config) in workers {
        support.push(builder.config_map(Some(Component::Worker), over, config)?);
    }
    support.push(builder.config_map(Some(Component::Fuse), "", fuse)?);
    support.push(builder.config_map(None, "", client)?);
    if cluster.managed_etcd().is_some() {
        support.push(etcd::members(&builder)?);
    }
    support.extend(network::services(&builder)?);
    support.extend(network::budgets(&builder)?);
    support.extend(network::policies(&builder)?);
    support.extend(monitoring::dashboards(&builder)?);
    let etcd = cluster.managed_etcd().map(|etcd| etcd::stateful_set(&builder, etcd)).transpose()?;
    let runs = spec.operation.mode != OperationMode::Stopped;
    Ok(Built {
        support,
        monitoring: monitoring::objects(&builder)?,
        etcd,
        master: master::stateful_set(&builder)?,
        workers: worker::all(&builder)?,
        fuse: (spec.fuse.enabled && runs).then(|| fuse::daemon_set(&builder)).transpose()?,
    })
}

impl Builder<'_> {
    pub(crate) fn names(&self) -> &Names {
        &self.cluster.names
    }

    /// An object of this cluster: with namespace, labels and owner.
    pub(crate) fn object<K>(
        &self,
        name: &str,
        component: Option<Component>,
        body: Value,
    ) -> Result<Desired, Error>
    where
        K: Resource<DynamicType = ()>,
    {
        self.object_of(ApiResource::erase::<K>(&()), name, component, body)
    }

    /// The same of a kind that no type of ours stands for.
    pub(crate) fn object_of(
        &self,
        resource: ApiResource,
        name: &str,
        component: Option<Component>,
        mut body: Value,
    ) -> Result<Desired, Error> {
        let names = self.names();
        body["metadata"]["name"] = Value::from(name);
        body["metadata"]["namespace"] = Value::from(names.namespace.as_str());
        let mut labels = names.labels(component);
        labels.insert("app.kubernetes.io/version".into(), self.cluster.version.clone());
        Desired::of_json(resource, body, Some(&names.owner), &labels)
    }

    fn service_account(&self, component: Component) -> Result<Desired, Error> {
        // No role of ours speaks to the API server.
        let body = json!({"automountServiceAccountToken": false});
        self.object::<ServiceAccount>(&self.names().of(component), Some(component), body)
    }

    /// The name of a ConfigMap, which changes with what is in it.
    pub(crate) fn config_map_name(
        &self,
        component: Option<Component>,
        over: &str,
        config: &Rendered,
    ) -> String {
        let cluster = &self.names().cluster;
        match (component, over) {
            // Programs of users know it by this name.
            (None, _) => format!("{cluster}-client"),
            (Some(component), "") => format!("{cluster}-{}-{}", component.suffix(), config.hash),
            (Some(component), over) => {
                format!("{cluster}-{}-{over}-{}", component.suffix(), config.hash)
            }
        }
    }

    fn config_map(
        &self,
        component: Option<Component>,
        over: &str,
        config: &Rendered,
    ) -> Result<Desired, Error> {
        let name = self.config_map_name(component, over, config);
        let mut body = json!({"data": {"alluxio-site.properties": config.text}});
        if component.is_some() {
            body["immutable"] = Value::from(true);
        }
        self.object::<ConfigMap>(&name, component, body)
    }
}
