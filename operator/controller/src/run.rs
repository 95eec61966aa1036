//! Starts the controllers, and ends with the lease.

use crate::apply::Applier;
use crate::cluster::admin::ClusterAdmin;
use crate::cluster::names::MANAGED_BY;
use crate::cluster::validate::Defaults;
use crate::cluster::{self, ClusterContext};
use crate::dataset::admin::DatasetAdmin;
use crate::dataset::fenced::FencedAdmin;
use crate::dataset::memory::Memory;
use crate::dataset::names::{DATASET, DATASET_NAMESPACE};
use crate::dataset::{self, DatasetContext};
use crate::election::{Election, ElectionConfig, Lost};
use crate::events::Events;
use crate::fence::{Fence, FenceLayer};
use crate::metrics::OperatorMetrics;
use crate::operation::kinds::Operation;
use crate::operation::scheduled::SCHEDULE_UID;
use crate::operation::{self, OperationContext};
use crate::stores::Stores;
use alluxio_operator_api::{AlluxioCluster, DataEvict, DataLoad, Dataset, MetadataBackup};
use futures::StreamExt;
use futures::future::{BoxFuture, join_all};
use k8s_openapi::api::apps::v1::{DaemonSet, StatefulSet};
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod, Service,
};
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
/// How often the phases of objects are counted, from what is watched.
const COUNTED_EVERY: Duration = Duration::from_secs(15);

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
    admins: Admins,
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
    let fenced: Arc<dyn DatasetAdmin> = Arc::new(FencedAdmin::new(admins.dataset, fence.clone()));
    let admins = Admins { dataset: fenced, ..admins };
    let work = controllers(&client, &config, admins, &metrics);
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

/// What the controllers speak to clusters with.
#[derive(Clone)]
pub struct Admins {
    /// For clusters.
    pub cluster: Arc<dyn ClusterAdmin>,
    /// For Datasets and operations on them.
    pub dataset: Arc<dyn DatasetAdmin>,
}

/// The controllers of clusters and of Datasets in one namespace, or in all; their stores are known before they run.
struct Watches {
    clusters: Controller<DeserializeGuard<AlluxioCluster>>,
    datasets: Controller<DeserializeGuard<Dataset>>,
}

/// All controllers, in all namespaces.
async fn controllers(
    client: &Client,
    config: &OperatorConfig,
    admins: Admins,
    metrics: &OperatorMetrics,
) {
    let scopes: Vec<Option<&str>> = match config.namespaces.is_empty() {
        true => vec![None],
        false => config.namespaces.iter().map(|name| Some(name.as_str())).collect(),
    };
    let watches: Vec<Watches> = scopes
        .iter()
        .map(|scope| Watches {
            clusters: controller(client, *scope),
            datasets: controller(client, *scope),
        })
        .collect();
    let stores = Stores::new(
        watches.iter().map(|watches| watches.clusters.store()).collect(),
        watches.iter().map(|watches| watches.datasets.store()).collect(),
    );
    let events = Events::new(client.clone(), config.instance.clone());
    let clusters_context = Arc::new(ClusterContext {
        applier: Applier::new(client.clone(), cluster::MANAGER, metrics.clone()),
        admin: admins.cluster,
        events: events.clone(),
        defaults: config.defaults.clone(),
        metrics: metrics.clone(),
        stores: stores.clone(),
        failures: Default::default(),
    });
    let datasets_context = Arc::new(DatasetContext {
        applier: Applier::new(client.clone(), dataset::MANAGER, metrics.clone()),
        admin: admins.dataset,
        events: events.clone(),
        defaults: config.defaults.clone(),
        metrics: metrics.clone(),
        stores: stores.clone(),
        runner: Arc::default(),
        memory: Memory::default(),
        failures: Default::default(),
    });
    let operations_context = Arc::new(OperationContext {
        datasets: datasets_context.clone(),
        events,
        metrics: metrics.clone(),
        failures: Default::default(),
    });
    let mut all = Vec::new();
    for (scope, watches) in scopes.into_iter().zip(watches) {
        all.push(clusters(client, scope, watches.clusters, clusters_context.clone()));
        all.push(datasets(client, scope, watches.datasets, datasets_context.clone()));
        all.push(operations::<DataLoad>(client, scope, operations_context.clone()));
        all.push(operations::<DataEvict>(client, scope, operations_context.clone()));
        all.push(operations::<MetadataBackup>(client, scope, operations_context.clone()));
    }
    tokio::select! {
        _ = join_all(all) => {}
        () = count(&stores, metrics) => {}
    }
}

/// Shows for ever how many objects there are in which phase.
async fn count(stores: &Stores, metrics: &OperatorMetrics) {
    stores.ready().await;
    loop {
        metrics.show_objects(&stores.phases());
        tokio::time::sleep(COUNTED_EVERY).await;
    }
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

/// Objects that this operator made.
fn ours() -> watcher::Config {
    watcher::Config::default().labels(&format!("app.kubernetes.io/managed-by={MANAGED_BY}"))
}

fn controller<K>(client: &Client, namespace: Option<&str>) -> Controller<DeserializeGuard<K>>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let api: Api<DeserializeGuard<K>> = scoped(client, namespace);
    Controller::new(api, watcher::Config::default())
        .with_config(ControllerConfig::default().concurrency(CONCURRENCY).debounce(DEBOUNCE))
}

/// Failures of reconciles are logged where they are counted; these are of watches and of objects that went.
fn quiet<T, E: std::fmt::Display>(outcome: Result<T, E>) -> std::future::Ready<()> {
    if let Err(error) = outcome {
        tracing::debug!(%error, "a controller's queue");
    }
    std::future::ready(())
}

fn clusters(
    client: &Client,
    namespace: Option<&str>,
    controller: Controller<DeserializeGuard<AlluxioCluster>>,
    context: Arc<ClusterContext>,
) -> BoxFuture<'static, ()> {
    // Of what was made, only the metadata is watched: a change is all that matters.
    let controller = controller
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
    Box::pin(controller.run(cluster::reconcile, cluster::on_error, context).for_each(quiet))
}

fn datasets(
    client: &Client,
    namespace: Option<&str>,
    controller: Controller<DeserializeGuard<Dataset>>,
    context: Arc<DatasetContext>,
) -> BoxFuture<'static, ()> {
    let stores = context.stores.clone();
    let volumes: Api<PartialObjectMeta<PersistentVolume>> = Api::all(client.clone());
    let controller = controller
        .owns::<PartialObjectMeta<PersistentVolumeClaim>>(scoped(client, namespace), ours())
        .watches(volumes, ours(), |volume| {
            let label = |name: &str| volume.labels().get(name).cloned();
            let (dataset, here) = (label(DATASET)?, label(DATASET_NAMESPACE)?);
            Some(ObjectRef::new(&dataset).within(&here))
        })
        // A cluster that begins to serve, or changes, is all of its Datasets' business.
        .watches(
            scoped::<PartialObjectMeta<AlluxioCluster>>(client, namespace),
            watcher::Config::default(),
            move |cluster| {
                let (name, of) = (cluster.name_any(), cluster.namespace().unwrap_or_default());
                stores.datasets(|dataset| {
                    let here = dataset.namespace().unwrap_or_default();
                    let reference = dataset.spec.cluster_ref.as_ref()?;
                    let meant = reference.name == name && reference.namespace_or(&here) == of;
                    meant.then(|| ObjectRef::new(&dataset.name_any()).within(&here))
                })
            },
        );
    Box::pin(controller.run(dataset::reconcile, dataset::on_error, context).for_each(quiet))
}

fn operations<K: Operation>(
    client: &Client,
    namespace: Option<&str>,
    context: Arc<OperationContext>,
) -> BoxFuture<'static, ()> {
    // Runs are owned by the operation whose schedule made them.
    let runs = watcher::Config::default().labels(SCHEDULE_UID);
    let controller = controller::<K>(client, namespace)
        .owns::<PartialObjectMeta<K>>(scoped(client, namespace), runs);
    Box::pin(
        controller
            .run(operation::reconcile::<K>, operation::on_error::<K>, context)
            .for_each(quiet),
    )
}
