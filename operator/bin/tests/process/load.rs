//! Many clusters and Datasets, and what Kubernetes would do for them if it had nodes.

use crate::stand::Stand;
use alluxio_operator_api::{AlluxioCluster, Dataset};
use futures::StreamExt;
use k8s_openapi::api::apps::v1::{DaemonSet, StatefulSet};
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, PersistentVolumeClaim, Pod, Secret};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;

/// Requests at once.
const SIDE_BY_SIDE: usize = 16;
/// Clusters in one namespace.
const OF_NAMESPACE: usize = 10;

/// How many of each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbers {
    pub(crate) clusters: usize,
    pub(crate) datasets: usize,
}

impl Numbers {
    /// From `ALLUXIO_TEST_CLUSTERS` and `ALLUXIO_TEST_DATASETS`, or few.
    pub(crate) fn asked() -> Numbers {
        let number = |name: &str, otherwise| match std::env::var(name) {
            Ok(text) => text.parse().unwrap(),
            Err(_) => otherwise,
        };
        let numbers = Numbers {
            clusters: number("ALLUXIO_TEST_CLUSTERS", 10),
            datasets: number("ALLUXIO_TEST_DATASETS", 100),
        };
        assert!(numbers.clusters > 0 && numbers.datasets > 0, "{numbers:?}");
        numbers
    }

    /// Whether they are those of an ordinary run.
    pub(crate) fn are_few(self) -> bool {
        self.clusters <= 10 && self.datasets <= 100
    }
}

fn namespace(cluster: usize) -> String {
    format!("scale-{:03}", cluster / OF_NAMESPACE)
}

/// Clusters with one master, an etcd of their own, workers and agents.
fn cluster(number: usize) -> AlluxioCluster {
    of(json!({
        "apiVersion": "alluxio.dev/v1alpha1",
        "kind": "AlluxioCluster",
        "metadata": {"name": format!("c-{number:03}"), "namespace": namespace(number)},
        "spec": {
            "coordination": {"etcd": {"managed": {"replicas": 1}}},
            "master": {"replicas": 1},
            "worker": {"tieredStore": {"levels": [
                {"alias": "MEM", "medium": "MEM", "memory": {"quota": "1Gi"}},
                {"alias": "SSD", "medium": "SSD",
                 "hostPath": {"dirs": [{"path": "/mnt/cache", "quota": "10Gi"}]}},
            ]}},
        },
    }))
}

/// Datasets with credentials, each of one of the clusters.
fn dataset(number: usize, clusters: usize) -> Dataset {
    let cluster = number % clusters;
    of(json!({
        "apiVersion": "alluxio.dev/v1alpha1",
        "kind": "Dataset",
        "metadata": {"name": format!("d-{number:05}"), "namespace": namespace(cluster)},
        "spec": {
            "clusterRef": {"name": format!("c-{cluster:03}")},
            "mounts": [{
                "name": "data", "uri": format!("s3://bucket/{number}"),
                "credentials": {"secretRef": {"name": "s3",
                    "keys": {"s3a.accessKeyId": "access", "s3a.secretKey": "secret"}}},
            }],
        },
    }))
}

fn of<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

/// Does something for each, several at once.
async fn each<T, F: Future<Output = ()>>(all: impl IntoIterator<Item = T>, work: impl Fn(T) -> F) {
    futures::stream::iter(all).for_each_concurrent(SIDE_BY_SIDE, work).await;
}

/// Puts them in.
pub(crate) async fn put(stand: &Stand, numbers: Numbers) {
    let client = &stand.admin;
    let params = PostParams::default();
    for at in (0..numbers.clusters).step_by(OF_NAMESPACE) {
        let made: Namespace = of(json!({"metadata": {"name": namespace(at)}}));
        Api::all(client.clone()).create(&params, &made).await.unwrap();
        let secret: Secret =
            of(json!({"metadata": {"name": "s3"}, "stringData": {"access": "a", "secret": "s"}}));
        Api::namespaced(client.clone(), &namespace(at)).create(&params, &secret).await.unwrap();
    }
    each(0..numbers.clusters, |number| async move {
        create(client, &cluster(number)).await;
    })
    .await;
    each(0..numbers.datasets, |number| async move {
        create(client, &dataset(number, numbers.clusters)).await;
    })
    .await;
}

async fn create<K>(client: &Client, object: &K)
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + serde::Serialize
        + DeserializeOwned
        + Clone
        + Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), &object.namespace().unwrap());
    match api.create(&PostParams::default(), object).await {
        // A pod of the StatefulSet as it was before.
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        made => drop(made.unwrap()),
    }
}

/// Whether the operator has told something of every one of them, for its newest generation.
pub(crate) async fn all_told(stand: &Stand) -> Result<(), String> {
    let clusters: Api<AlluxioCluster> = Api::all(stand.admin.clone());
    let datasets: Api<Dataset> = Api::all(stand.admin.clone());
    let all = ListParams::default();
    for cluster in clusters.list(&all).await.unwrap() {
        let seen = cluster.status.as_ref().and_then(|status| status.observed_generation);
        if seen.is_none() || seen != cluster.metadata.generation {
            return Err(format!("nothing is told of AlluxioCluster {}", cluster.name_any()));
        }
    }
    for dataset in datasets.list(&all).await.unwrap() {
        let seen = dataset.status.as_ref().and_then(|status| status.observed_generation);
        if seen.is_none() || seen != dataset.metadata.generation {
            return Err(format!("nothing is told of Dataset {}", dataset.name_any()));
        }
    }
    Ok(())
}

/// How many clusters and Datasets are in this phase.
pub(crate) async fn in_phase(stand: &Stand, phase: &str) -> (usize, usize) {
    let clusters: Api<AlluxioCluster> = Api::all(stand.admin.clone());
    let datasets: Api<Dataset> = Api::all(stand.admin.clone());
    let all = ListParams::default();
    let is = |found: Option<Value>| found.is_some_and(|found| found == phase);
    let clusters = clusters.list(&all).await.unwrap();
    let clusters = clusters.iter().filter(|cluster| is(of_status(&cluster.status)));
    let datasets = datasets.list(&all).await.unwrap();
    let datasets = datasets.iter().filter(|dataset| is(of_status(&dataset.status)));
    (clusters.count(), datasets.count())
}

fn of_status(status: &impl serde::Serialize) -> Option<Value> {
    serde_json::to_value(status).unwrap().get("phase").cloned()
}

/// Does once what Kubernetes would do with nodes: pods of StatefulSets run, DaemonSets are done, volumes are bound.
/// Returns how much there was to do.
pub(crate) async fn play_kubernetes(stand: &Stand) -> usize {
    let client = &stand.admin;
    let ours = ListParams::default().labels("app.kubernetes.io/managed-by=alluxio-operator");
    let sets: Api<StatefulSet> = Api::all(client.clone());
    let undone = sets.list(&ours).await.unwrap().items.into_iter();
    let undone: Vec<StatefulSet> = undone.filter(|set| !is_seen(set)).collect();
    let daemons: Api<DaemonSet> = Api::all(client.clone());
    let waiting = daemons.list(&ours).await.unwrap().items.into_iter();
    let waiting: Vec<DaemonSet> = waiting
        .filter(|set| {
            let seen = set.status.as_ref().and_then(|status| status.observed_generation);
            seen != set.metadata.generation
        })
        .collect();
    let claims: Api<PersistentVolumeClaim> = Api::all(client.clone());
    let loose = claims.list(&ours).await.unwrap().items.into_iter();
    let loose: Vec<PersistentVolumeClaim> = loose
        .filter(|claim| claim.status.as_ref().and_then(|s| s.phase.as_deref()) != Some("Bound"))
        .collect();
    let work = undone.len() + waiting.len() + loose.len();
    each(undone, |set| run_set(client, set)).await;
    each(waiting, |set| finish_daemons(client, set)).await;
    each(loose, |claim| bind(client, claim)).await;
    work
}

fn is_seen(set: &StatefulSet) -> bool {
    let seen = set.status.as_ref().and_then(|status| status.observed_generation);
    seen == set.metadata.generation
}

async fn tell<K>(client: &Client, object: &K, status: Value)
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + DeserializeOwned
        + Clone
        + Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), &object.namespace().unwrap());
    let patch = Patch::Merge(json!({ "status": status }));
    api.patch_status(&object.name_any(), &PatchParams::default(), &patch).await.unwrap();
}

/// All pods of a StatefulSet are there and ready.
async fn run_set(client: &Client, set: StatefulSet) {
    let spec = set.spec.clone().unwrap();
    let replicas = spec.replicas.unwrap_or(1);
    let template = spec.template;
    for ordinal in 0..replicas {
        let mut labels = template.metadata.clone().unwrap().labels.unwrap();
        labels.insert("controller-revision-hash".into(), "first".into());
        let name = format!("{}-{ordinal}", set.name_any());
        let mut spec = template.spec.clone().unwrap();
        // Claims of a template would be made with the pod.
        for claim in set.spec.iter().flat_map(|spec| spec.volume_claim_templates.iter().flatten()) {
            let volume = json!({"name": claim.name_any(), "emptyDir": {}});
            spec.volumes.get_or_insert_default().push(of(volume));
        }
        let mut pod: Pod = of(json!({"metadata": {
            "name": name, "namespace": set.namespace(), "labels": labels,
        }}));
        pod.spec = Some(spec);
        create(client, &pod).await;
        let ready =
            json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
        tell(client, &pod, ready).await;
    }
    let status = json!({
        "observedGeneration": set.metadata.generation, "replicas": replicas,
        "readyReplicas": replicas, "updatedReplicas": replicas, "currentReplicas": replicas,
        "currentRevision": "first", "updateRevision": "first",
    });
    tell(client, &set, status).await;
}

/// One node matches, and its pod is ready.
async fn finish_daemons(client: &Client, set: DaemonSet) {
    let status = json!({
        "observedGeneration": set.metadata.generation, "currentNumberScheduled": 1,
        "desiredNumberScheduled": 1, "numberReady": 1, "numberAvailable": 1,
        "updatedNumberScheduled": 1, "numberMisscheduled": 0,
    });
    tell(client, &set, status).await;
}

async fn bind(client: &Client, claim: PersistentVolumeClaim) {
    let volume = claim.spec.as_ref().unwrap().volume_name.clone().unwrap();
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let bound = Patch::Merge(json!({"status": {"phase": "Bound"}}));
    volumes.patch_status(&volume, &PatchParams::default(), &bound).await.unwrap();
    tell(client, &claim, json!({"phase": "Bound"})).await;
}
