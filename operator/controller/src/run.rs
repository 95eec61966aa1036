//! Starts the controllers, and ends with the lease.

use crate::apply::Applier;
use crate::cluster::admin::ClusterAdmin;
use crate::cluster::names::MANAGED_BY;
use crate::cluster::validate::Defaults;
use crate::cluster::{self, ClusterContext};
use crate::election::{Election, ElectionConfig, Lost};
use crate::events::Events;
use crate::fence::{Fence, FenceLayer};
use crate::metrics::OperatorMetrics;
use alluxio_operator_api::{AlluxioCluster, Dataset};
use futures::StreamExt;
use futures::future::{BoxFuture, join_all};
use k8s_openapi::api::apps::v1::{DaemonSet, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use kube::api::Api;
use kube::client::ClientBuilder;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::controller::{Config as ControllerConfig, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Client, ResourceExt};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Reconciles that run at once, for each controller.
const CONCURRENCY: u16 = 8;
/// Changes of one object within this time are one.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// What an operator is started with.
pub struct OperatorConfig {
    /// Namespaces that it works in; none: all of them.
    pub namespaces: Vec<String>,
    /// The election; `None`: there is no other operator.
    pub election: Option<ElectionConfig>,
    /// Images and versions.
    pub defaults: Defaults,
    /// The name of this pod, for events.
    pub instance: Option<String>,
}

/// A client whose writes need the lease, and the fence that the election opens.
///
/// **Errors**: when the configuration of the client cannot be used.
pub fn fenced_client(
    config: kube::Config,
    metrics: &OperatorMetrics,
) -> Result<(Client, Fence), kube::Error> {
    let fence = Fence::new();
    let layer = FenceLayer::new(fence.clone(), metrics.clone());
    let client = ClientBuilder::try_from(config)?.with_layer(&layer).build();
    Ok((client, fence))
}

/// Runs until `stop` ends (`None`), or the lease is lost (`Some`): then the process must end, whatever else runs in it.
pub async fn run(
    client: Client,
    fence: Fence,
    config: OperatorConfig,
    admin: Arc<dyn ClusterAdmin>,
    metrics: OperatorMetrics,
    stop: impl Future<Output = ()> + Send,
) -> Option<Lost> {
    tokio::pin!(stop);
    let mut election =
        config.election.clone().map(|wanted| Election::new(client.clone(), wanted, fence.clone()));
    match &mut election {
        None => fence.open(),
        Some(election) => {
            tokio::select! {
                () = election.win() => {}
                () = &mut stop => return None,
            }
        }
    }
    metrics.leads.set(1);
    let work = controllers(&client, &config, admin, &metrics);
    let lost = async {
        match &mut election {
            None => std::future::pending().await,
            Some(election) => election.keep().await,
        }
    };
    let ended = tokio::select! {
        lost = lost => Some(lost),
        () = &mut stop => None,
        () = work => None,
    };
    metrics.leads.set(0);
    if let (None, Some(election)) = (ended, &mut election) {
        election.release().await;
    }
    ended
}

/// All controllers, in all namespaces.
async fn controllers(
    client: &Client,
    config: &OperatorConfig,
    admin: Arc<dyn ClusterAdmin>,
    metrics: &OperatorMetrics,
) {
    let events = Events::new(client.clone(), config.instance.clone());
    let context = Arc::new(ClusterContext {
        applier: Applier::new(client.clone(), cluster::MANAGER, metrics.clone()),
        admin,
        events,
        defaults: config.defaults.clone(),
        metrics: metrics.clone(),
        namespaces: config.namespaces.clone(),
        failures: Default::default(),
    });
    let scopes: Vec<Option<&str>> = match config.namespaces.is_empty() {
        true => vec![None],
        false => config.namespaces.iter().map(|name| Some(name.as_str())).collect(),
    };
    let all = scopes.into_iter().map(|scope| clusters(client, scope, context.clone()));
    join_all(all).await;
}

/// An API in a namespace, or in all.
pub(crate) fn scoped<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

fn clusters(
    client: &Client,
    namespace: Option<&str>,
    context: Arc<ClusterContext>,
) -> BoxFuture<'static, ()> {
    let ours =
        || watcher::Config::default().labels(&format!("app.kubernetes.io/managed-by={MANAGED_BY}"));
    let api: Api<DeserializeGuard<AlluxioCluster>> = scoped(client, namespace);
    // Of what was made, only the metadata is watched: a change is all that matters.
    let controller = Controller::new(api, watcher::Config::default())
        .with_config(ControllerConfig::default().concurrency(CONCURRENCY).debounce(DEBOUNCE))
        .owns::<PartialObjectMeta<StatefulSet>>(scoped(client, namespace), ours())
        .owns::<PartialObjectMeta<DaemonSet>>(scoped(client, namespace), ours())
        .owns::<PartialObjectMeta<Service>>(scoped(client, namespace), ours())
        .owns::<PartialObjectMeta<ConfigMap>>(scoped(client, namespace), ours())
        .watches(scoped::<PartialObjectMeta<Pod>>(client, namespace), ours(), |pod| {
            let cluster = pod.labels().get("app.kubernetes.io/instance").cloned();
            let namespace = pod.namespace().unwrap_or_default();
            cluster.map(|cluster| ObjectRef::new(&cluster).within(&namespace))
        })
        .watches(
            scoped::<DeserializeGuard<Dataset>>(client, namespace),
            watcher::Config::default(),
            |dataset| {
                let dataset = dataset.0.ok()?;
                let here = dataset.namespace().unwrap_or_default();
                let reference = dataset.spec.cluster_ref.as_ref()?;
                Some(ObjectRef::new(&reference.name).within(reference.namespace_or(&here)))
            },
        );
    let work = controller.run(cluster::reconcile, cluster::on_error, context).for_each(|outcome| {
        // Failures of reconciles are logged where they are counted; these are of watches and of objects that went.
        if let Err(error) = outcome {
            tracing::debug!(%error, "a controller's queue");
        }
        std::future::ready(())
    });
    Box::pin(work)
}
