//! Starts the controllers, and ends with the lease.

use crate::apply::{Applier, Remembered, remembered_by};
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
use crate::stores::{Generations, Guarded, Known, Stores, watched};
use alluxio_operator_api::{AlluxioCluster, DataEvict, DataLoad, Dataset, MetadataBackup};
use futures::StreamExt;
use futures::future::{BoxFuture, join_all};
use k8s_openapi::api::apps::v1::{DaemonSet, StatefulSet};
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod, Service, ServiceAccount,
};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::Api;
use kube::client::ClientBuilder;
use kube::core::PartialObjectMeta;
use kube::runtime::controller::{Config as ControllerConfig, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Client, Resource, ResourceExt};
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
    clusters: Controller<Guarded<AlluxioCluster>>,
    datasets: Controller<Guarded<Dataset>>,
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
    let (mut watches, mut known_clusters, mut known_datasets) =
        (Vec::new(), Vec::new(), Vec::new());
    for scope in &scopes {
        let (clusters, known) = controller(client, *scope);
        known_clusters.push(known);
        let (datasets, known) = controller(client, *scope);
        known_datasets.push(known);
        watches.push(Watches { clusters, datasets });
    }
    let stores = Stores::new(known_clusters, known_datasets);
    let events = Events::new(client.clone(), config.instance.clone());
    let remembered = Arc::new(Remembered::default());
    let clusters_context = Arc::new(ClusterContext {
        applier: Applier::new(client.clone(), cluster::MANAGER, metrics.clone())
            .remembering(remembered.clone()),
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
        let made = (remembered.clone(), clusters_context.clone());
        all.push(clusters(client, scope, watches.clusters, made));
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

/// The label that all that this operator makes carries, with its name.
const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

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
    watcher::Config::default().labels(&format!("{MANAGED_BY_LABEL}={MANAGED_BY}"))
}

fn controller<K>(client: &Client, namespace: Option<&str>) -> (Controller<Guarded<K>>, Known<K>)
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let (changes, known) = watched(scoped(client, namespace));
    let config = ControllerConfig::default().concurrency(CONCURRENCY).debounce(DEBOUNCE);
    (Controller::for_stream(changes, known.store.clone()).with_config(config), known)
}

/// Failures of reconciles are logged where they are counted; these are of watches and of objects that went.
fn quiet<T, E: std::fmt::Display>(outcome: Result<T, E>) -> std::future::Ready<()> {
    if let Err(error) = outcome {
        tracing::debug!(%error, "a controller's queue");
    }
    std::future::ready(())
}

/// The cluster that an object was made for. What was remembered of it is read again.
fn maker<K>(
    object: PartialObjectMeta<K>,
    made: &Remembered,
) -> Option<ObjectRef<Guarded<AlluxioCluster>>>
where
    PartialObjectMeta<K>: kube::Resource,
{
    if let Some(selector) = remembered_by(&object) {
        made.changed(&selector);
    }
    let owners = object.owner_references().iter();
    let owner = owners.clone().find(|owner| owner.kind == AlluxioCluster::kind(&()))?;
    Some(ObjectRef::new(&owner.name).within(&object.namespace()?))
}

fn clusters(
    client: &Client,
    namespace: Option<&str>,
    mut controller: Controller<Guarded<AlluxioCluster>>,
    (made, context): (Arc<Remembered>, Arc<ClusterContext>),
) -> BoxFuture<'static, ()> {
    /// Every kind that clusters are made of; only the metadata comes: a change is all that matters.
    macro_rules! watch {
        ($($kind:ty),*) => { $({
            let made = made.clone();
            let api = scoped::<PartialObjectMeta<$kind>>(client, namespace);
            controller = controller.watches(api, ours(), move |object| maker(object, &made));
        })* };
    }
    watch!(
        StatefulSet,
        DaemonSet,
        Service,
        ConfigMap,
        ServiceAccount,
        PodDisruptionBudget,
        NetworkPolicy
    );
    let known = Generations::default();
    let controller = controller
        .watches(scoped::<PartialObjectMeta<Pod>>(client, namespace), ours(), |pod| {
            let cluster = pod.labels().get("app.kubernetes.io/instance").cloned();
            let namespace = pod.namespace().unwrap_or_default();
            cluster.map(|cluster| ObjectRef::new(&cluster).within(&namespace))
        })
        .watches(
            scoped::<Guarded<Dataset>>(client, namespace),
            watcher::Config::default(),
            move |dataset| {
                let dataset = dataset.0.ok().filter(|dataset| known.is_news(dataset))?;
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
    controller: Controller<Guarded<Dataset>>,
    context: Arc<DatasetContext>,
) -> BoxFuture<'static, ()> {
    let stores = context.stores.clone();
    let claims = scoped::<PartialObjectMeta<PersistentVolumeClaim>>(client, namespace);
    // Volumes are of the whole cluster; those of other namespaces are another operator's.
    let here = namespace.map(|name| {
        ours().labels(&format!("{MANAGED_BY_LABEL}={MANAGED_BY},{DATASET_NAMESPACE}={name}"))
    });
    let volumes: Api<PartialObjectMeta<PersistentVolume>> = Api::all(client.clone());
    let (memory, same_memory) = (context.clone(), context.clone());
    let controller = controller
        .watches(claims, ours(), move |claim| dataset_of(&claim, &memory.memory))
        .watches(volumes, here.unwrap_or_else(ours), move |volume| {
            dataset_of(&volume, &same_memory.memory)
        })
        // A cluster that begins to serve, or changes, is all of its Datasets' business.
        .watches(
            scoped::<PartialObjectMeta<AlluxioCluster>>(client, namespace),
            watcher::Config::default(),
            move |cluster| {
                let (name, of) = (cluster.name_any(), cluster.namespace().unwrap_or_default());
                stores.datasets(|dataset| {
                    let reference = dataset.spec.cluster_ref.as_ref()?;
                    let here = dataset.namespace().unwrap_or_default();
                    let meant = reference.name == name && reference.namespace_or(&here) == of;
                    meant.then(|| ObjectRef::new(&dataset.name_any()).within(&here))
                })
            },
        );
    Box::pin(controller.run(dataset::reconcile, dataset::on_error, context).for_each(quiet))
}

/// The Dataset that a volume or a claim was made for. What was remembered of them is read again.
fn dataset_of(object: &impl ResourceExt, memory: &Memory) -> Option<ObjectRef<Guarded<Dataset>>> {
    let label = |name: &str| object.labels().get(name);
    let (dataset, here) = (label(DATASET)?, label(DATASET_NAMESPACE)?);
    memory.volumes.changed(&Memory::key(here, dataset));
    Some(ObjectRef::new(dataset).within(here))
}

fn operations<K: Operation>(
    client: &Client,
    namespace: Option<&str>,
    context: Arc<OperationContext>,
) -> BoxFuture<'static, ()> {
    // Runs are owned by the operation whose schedule made them.
    let runs = watcher::Config::default().labels(SCHEDULE_UID);
    let (controller, _) = controller::<K>(client, namespace);
    let controller = controller.owns::<PartialObjectMeta<K>>(scoped(client, namespace), runs);
    Box::pin(
        controller
            .run(operation::reconcile::<K>, operation::on_error::<K>, context)
            .for_each(quiet),
    )
}
