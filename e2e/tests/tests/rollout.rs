//! Changes of a running cluster: a new version and back, one that cannot be had, and edits of the specification. A client
//! works all the time and must not notice.

mod client;

use alluxio_e2e_harness::{Cluster, LIMIT, Namespace, images};
use alluxio_e2e_tests::{Installed, operator_log, pods_of};
use alluxio_operator_api::AlluxioCluster;
use alluxio_operator_api::cluster::ClusterPhase;
use client::Client;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::ResourceExt;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The second version's tag.
const NEXT: &str = "0.2.0";
/// A rollout of three masters and two workers on two cores.
const ROLLOUT: Duration = Duration::from_secs(150);

const CLUSTER: &str = "
apiVersion: alluxio.dev/v1alpha1
kind: AlluxioCluster
metadata: {name: demo}
spec:
  coordination:
    leaseSeconds: 5
    etcd:
      managed:
        replicas: 1
        allowDataLoss: true
        storage: {emptyDir: {}}
        resources: {requests: {cpu: 10m, memory: 64Mi}}
  master:
    replicas: 3
    journal: {type: Etcd, allowDataLoss: true, storage: {emptyDir: {}}}
    resources: {requests: {cpu: 10m, memory: 64Mi}}
  worker:
    nodeSelector: {alluxio-e2e/workers: \"yes\"}
    resources: {requests: {cpu: 10m, memory: 64Mi}}
    tieredStore:
      levels:
        - {alias: MEM, medium: MEM, memory: {quota: 64Mi}}
        - {alias: SSD, medium: SSD, hostPath: {dirs: [{path: /mnt/cache, quota: 1Gi}]}}
  fuse: {enabled: false}
";

/// A cluster that is ready, with a client that works.
struct Stand {
    namespace: Namespace,
    client: Client,
}

impl Stand {
    async fn start(cluster: &'static Cluster, purpose: &str) -> Stand {
        alluxio_e2e_tests::images::etcd(cluster).unwrap();
        let installed = Installed::install(cluster, &["csi.enabled=false", "operator.replicas=1"]);
        let image = installed.unwrap().image;
        cluster
            .kubectl(&["label", "nodes", "--all", "--overwrite", "alluxio-e2e/workers=yes"])
            .unwrap();
        let namespace = cluster.namespace(purpose).await.unwrap();
        namespace.apply(CLUSTER).unwrap();
        ready(cluster, &namespace, LIMIT).await;
        let client = Client::start(cluster, &namespace, &image).await;
        Stand { namespace, client }
    }

    fn clusters(&self) -> Api<AlluxioCluster> {
        self.namespace.api()
    }

    async fn change(&self, spec: Value) {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.clusters().patch("demo", &PatchParams::default(), &patch).await.unwrap();
    }

    async fn pods(&self, component: &str) -> Vec<Pod> {
        pods_of(&self.namespace, component).await.unwrap()
    }

    /// Images that the pods of the cluster run.
    async fn images(&self) -> BTreeSet<String> {
        let mut images = BTreeSet::new();
        for component in ["master", "worker"] {
            for pod in self.pods(component).await {
                let containers = pod.spec.unwrap().containers;
                images.extend(containers.into_iter().filter_map(|container| container.image));
            }
        }
        images
    }

    async fn events(&self, reason: &str) -> Vec<String> {
        let events: Api<Event> = self.namespace.api();
        let events = events.list(&ListParams::default()).await.unwrap();
        let told = events.items.into_iter().filter(|event| event.reason.as_deref() == Some(reason));
        told.filter_map(|event| event.message).collect()
    }
}

/// Waits until the status is of the newest specification, and all is as wanted.
async fn ready(cluster: &Cluster, namespace: &Namespace, limit: Duration) -> AlluxioCluster {
    let is_ready = |cluster: &AlluxioCluster| {
        let status = cluster.status.as_ref();
        status.is_some_and(|status| {
            status.phase == Some(ClusterPhase::Ready)
                && status.observed_generation == cluster.metadata.generation
        })
    };
    match namespace.wait("demo", "it is ready", limit, is_ready).await {
        Ok(ready) => ready,
        Err(error) => panic!("{error:#}\noperator: {}", operator_log(cluster)),
    }
}

fn condition(cluster: &AlluxioCluster, type_: &str) -> Option<(String, String, String)> {
    let conditions = &cluster.status.as_ref()?.conditions;
    let found = conditions.iter().find(|condition| condition.type_ == type_)?;
    Some((found.status.clone(), found.reason.clone(), found.message.clone()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_goes_forward_and_back_and_a_bad_one_stops_at_once() {
    let Some(cluster) = Cluster::shared() else { return };
    let next = images::provide(cluster, "alluxio", NEXT).unwrap();
    let mut stand = Stand::start(cluster, "rollout").await;
    let first = stand.images().await;
    assert_eq!(first.len(), 1, "{first:?}");
    stand.client.work();

    let started = Instant::now();
    stand.change(json!({"version": NEXT})).await;
    let upgraded = ready(cluster, &stand.namespace, ROLLOUT).await;
    println!("upgrade: {:.1} s", started.elapsed().as_secs_f64());
    assert_eq!(stand.images().await, BTreeSet::from([next]));
    let version = upgraded.status.unwrap().version.unwrap();
    assert_eq!((version.deployed.as_deref(), version.target), (Some(NEXT), None));
    let hand_overs = stand.events("LeaderHandOver").await;
    assert!(!hand_overs.is_empty(), "the primary is not simply killed");

    let started = Instant::now();
    let back = first.first().unwrap().rsplit_once(':').unwrap().1.to_owned();
    // `dev` is no version of the API: the tag is said as such.
    stand.change(json!({"image": {"tag": back}})).await;
    ready(cluster, &stand.namespace, ROLLOUT).await;
    println!("and back: {:.1} s", started.elapsed().as_secs_f64());
    assert_eq!(stand.images().await, first);

    stand.change(json!({"image": {"tag": "0.9.9", "pullPolicy": "Never"}})).await;
    let blocked = |cluster: &AlluxioCluster| {
        condition(cluster, "UpgradeBlocked")
            .is_some_and(|(status, reason, _)| status == "True" && reason == "ImagePull")
    };
    let wait = stand.namespace.wait("demo", "the upgrade is blocked", LIMIT, blocked);
    let stuck: AlluxioCluster = wait.await.unwrap();
    let (_, _, message) = condition(&stuck, "UpgradeBlocked").unwrap();
    assert!(message.contains("0.9.9"), "{message}");
    let ready_masters = stuck.status.unwrap().masters.unwrap().ready;
    assert_eq!(ready_masters, 2, "one standby was tried, and no more");
    let mut running = stand.images().await;
    running.retain(|image| !first.contains(image));
    assert_eq!(running.len(), 1, "{running:?}");
    stand.change(json!({"image": {"tag": back, "pullPolicy": null}})).await;
    ready(cluster, &stand.namespace, ROLLOUT).await;

    let report = stand.client.stop();
    println!("client: {report}");
    stand.namespace.end(LIMIT).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes minutes: cargo xtask soak runs it"]
async fn edits_are_carried_out_while_clients_work() {
    let Some(cluster) = Cluster::shared() else { return };
    let mut stand = Stand::start(cluster, "edits").await;
    stand.client.work();

    // More room: workers restart one after the other, and say so.
    let levels = json!([
        {"alias": "MEM", "medium": "MEM", "memory": {"quota": "64Mi"}},
        {"alias": "SSD", "medium": "SSD", "hostPath": {"dirs": [{"path": "/mnt/cache", "quota": "2Gi"}]}},
    ]);
    stand.change(json!({"worker": {"tieredStore": {"levels": levels}}})).await;
    let grown = ready(cluster, &stand.namespace, ROLLOUT).await;
    let status = grown.status.unwrap();
    let workers = i64::from(status.workers.unwrap().ready);
    assert_eq!(status.capacity.unwrap().total_bytes, workers * ((64 << 20) + (2 << 30)));

    // One node less, and back.
    let node = stand.pods("worker").await[0].spec.clone().unwrap().node_name.unwrap();
    let count = i32::try_from(workers).unwrap();
    for (label, wanted) in [("alluxio-e2e/workers-", count - 1), ("alluxio-e2e/workers=yes", count)]
    {
        cluster.kubectl(&["label", "node", &node, "--overwrite", label]).unwrap();
        let counted = |cluster: &AlluxioCluster| {
            let status = cluster.status.as_ref();
            let workers = status.and_then(|status| status.workers.as_ref());
            workers.is_some_and(|workers| (workers.desired, workers.ready) == (wanted, wanted))
        };
        stand.namespace.wait("demo", label, LIMIT, counted).await.unwrap();
    }

    // Properties of all roles.
    stand.change(json!({"properties": {"alluxio.user.block.size.bytes.default": "8MB"}})).await;
    ready(cluster, &stand.namespace, ROLLOUT).await;
    let seen = stand.client.run(&["getConf", "alluxio.user.block.size.bytes.default"]).unwrap();
    assert!(seen.contains("8MB"), "{seen}");

    // Masters and etcd: fewer, and more.
    for (masters, members) in [(1, 1), (3, 3), (3, 1)] {
        let started = Instant::now();
        stand
            .change(json!({
                "master": {"replicas": masters},
                "coordination": {"etcd": {"managed": {"replicas": members}}},
            }))
            .await;
        let changed = |cluster: &AlluxioCluster| {
            cluster.status.as_ref().is_some_and(|status| {
                let etcd = status.coordination.as_ref().and_then(|etcd| etcd.members);
                status.phase == Some(ClusterPhase::Ready)
                    && status.observed_generation == cluster.metadata.generation
                    && status.masters.as_ref().is_some_and(|now| now.ready == masters)
                    && etcd == Some(members)
            })
        };
        let what = format!("{masters} masters and {members} members of etcd");
        if let Err(error) = stand.namespace.wait("demo", &what, ROLLOUT, changed).await {
            panic!("{error:#}\noperator: {}", operator_log(cluster));
        }
        println!("{what}: {:.1} s", started.elapsed().as_secs_f64());
        assert_eq!(stand.pods("master").await.len(), usize::try_from(masters).unwrap());
        let etcd: Vec<String> =
            stand.pods("etcd").await.iter().map(ResourceExt::name_any).collect();
        assert_eq!(etcd.len(), usize::try_from(members).unwrap(), "{etcd:?}");
    }
    let report = stand.client.stop();
    println!("client: {report}");
    stand.namespace.end(LIMIT).await.unwrap();
}
