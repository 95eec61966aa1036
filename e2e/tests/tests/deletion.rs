//! Deletions end, in whatever order people do them, and leave nothing: no object, and no directory on a node.

use alluxio_e2e_harness::{Cluster, LIMIT};
use alluxio_e2e_tests::stand::{DATASET, Masters, NAME, Stand};
use alluxio_e2e_tests::{App, SYSTEM, operator_log};
use alluxio_operator_api::operation::DataLoad;
use alluxio_operator_api::{AlluxioCluster, Dataset};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

const LOAD: &str = "
apiVersion: alluxio.dev/v1alpha1
kind: DataLoad
metadata: {name: load}
spec: {datasetRef: {name: data}}
";
/// Where the nodes keep what the clusters of these tests cache, and their sockets.
const NODE_FOLDERS: [&str; 2] = ["/mnt/cache", "/run/alluxio"];

impl Deletions {
    /// A cluster whose Dataset is loaded, so that there is something on the nodes, and used by a pod.
    async fn start(cluster: &'static Cluster) -> Deletions {
        let before = on_nodes(cluster);
        // Whose agent is gone is waited for as long.
        let values = ["csi.keeper.aloneSeconds=10"];
        let stand = Stand::start_with(cluster, &Masters::One, &values).await.unwrap();
        stand.namespace.apply(LOAD).unwrap();
        let loaded = |load: &DataLoad| {
            let phase = serde_json::to_value(load).unwrap()["status"]["phase"].clone();
            phase == "Succeeded"
        };
        stand.namespace.wait("load", "it is done", LIMIT, loaded).await.unwrap();
        let node = stand.nodes[0].clone();
        let app = App::load(&stand.namespace, "app", &node, DATASET, &[]);
        let app = app.await.unwrap();
        assert!(on_nodes(cluster).len() > before.len(), "the nodes have cached something");
        Deletions { stand, app, before }
    }

    fn delete(&self, kind: &str, name: &str) {
        self.stand.namespace.kubectl(&["delete", kind, name, "--wait=false"]).unwrap();
    }

    /// Waits until cluster, Dataset and load are gone, and looks for what is left.
    async fn all_ends(self, what: &str) {
        let begun = Instant::now();
        let namespace = &self.stand.namespace;
        namespace.wait_until_gone::<DataLoad>("load", LIMIT).await.unwrap();
        if let Err(error) = namespace.wait_until_gone::<Dataset>(DATASET, LIMIT).await {
            panic!("{error:#}\n{}", operator_log(self.stand.cluster));
        }
        if let Err(error) = namespace.wait_until_gone::<AlluxioCluster>(NAME, LIMIT).await {
            panic!("{error:#}\n{}", operator_log(self.stand.cluster));
        }
        println!("{what}: gone after {:.1} s", begun.elapsed().as_secs_f64());
        self.nothing_is_left().await;
        self.stand.namespace.end(LIMIT).await.unwrap();
    }

    async fn nothing_is_left(&self) {
        let cluster = self.stand.cluster;
        let deadline = Instant::now() + LIMIT;
        loop {
            // What the garbage collector takes goes a moment later than its owner.
            let mut left = (ours(cluster), on_nodes(cluster));
            left.1.retain(|path| !self.before.contains(path));
            if left.0.is_empty() && left.1.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "left: {left:?}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

struct Deletions {
    stand: Stand,
    app: App,
    /// What was on the nodes before: a namespace that went as a whole leaves its cache.
    before: Vec<String>,
}

/// All objects that operators have made, of every kind that can be listed.
fn ours(cluster: &Cluster) -> Vec<String> {
    let kinds = cluster.kubectl(&["api-resources", "--verbs=list", "-o", "name"]).unwrap();
    // Events are history, and metrics of nodes are served by nobody here.
    let kinds: Vec<&str> = kinds.lines().filter(|kind| !kind.starts_with("events")).collect();
    let made = "app.kubernetes.io/managed-by=alluxio-operator";
    let every = ["get", &kinds.join(","), "-A", "-l", made, "-o", "name", "--ignore-not-found"];
    cluster.kubectl(&every).unwrap().lines().map(str::to_owned).collect()
}

/// What clusters have left on the nodes.
fn on_nodes(cluster: &Cluster) -> Vec<String> {
    let nodes = cluster.nodes().unwrap();
    let mut left = Vec::new();
    for node in 1..=nodes.nodes() {
        for folder in NODE_FOLDERS {
            let find = nodes.node_command(node, "find");
            // Directories only: sockets of the chart's own processes are in the same place.
            let output = find
                .unwrap()
                .args([folder, "-mindepth", "1", "-maxdepth", "1", "-type", "d"])
                .output()
                .unwrap();
            let found = String::from_utf8_lossy(&output.stdout).into_owned();
            left.extend(found.lines().map(|path| format!("node {node}: {path}")));
        }
    }
    left
}

async fn blocked<K>(stand: &Stand, name: &str)
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + Send
        + serde::de::DeserializeOwned
        + serde::Serialize
        + 'static,
{
    let is_blocked = |object: &K| {
        let object = serde_json::to_value(object).unwrap();
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|c| c["type"] == "DeletionBlocked" && c["status"] == "True")
    };
    let wait = stand.namespace.wait(name, "it says what blocks its deletion", LIMIT, is_blocked);
    wait.await.unwrap();
}

/// One at a time: each looks for what is left anywhere.
static TURN: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn from_the_wrong_end_what_is_needed_is_waited_for() {
    let _turn = TURN.lock().await;
    let Some(cluster) = Cluster::shared() else { return };
    let wrong = Deletions::start(cluster).await;
    wrong.delete("alluxiocluster", NAME);
    blocked::<AlluxioCluster>(&wrong.stand, NAME).await;
    wrong.delete("secret", alluxio_e2e_tests::s3::SECRET);
    wrong.delete("dataset", DATASET);
    blocked::<Dataset>(&wrong.stand, DATASET).await;
    wrong.delete("dataload", "load");
    let seen = wrong.app.stop(&wrong.stand.namespace).await.unwrap();
    assert_eq!(seen.errors, 0, "who works on a volume that is deleted goes on: {seen:?}");
    wrong.app.remove(&wrong.stand.namespace).await.unwrap();
    wrong.all_ends("cluster, secret, dataset, load, pod").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes minutes: cargo xtask soak runs it"]
async fn what_is_deleted_while_the_operator_is_away_goes_when_it_is_back() {
    let _turn = TURN.lock().await;
    let Some(cluster) = Cluster::shared() else { return };
    let alone = Deletions::start(cluster).await;
    alone.app.remove(&alone.stand.namespace).await.unwrap();
    let scale = |replicas: &str| {
        let to = format!("--replicas={replicas}");
        let operator = "deployment/alluxio-operator";
        cluster.kubectl(&["scale", "--namespace", SYSTEM, operator, &to]).unwrap();
    };
    scale("0");
    alone.delete("dataload", "load");
    alone.delete("dataset", DATASET);
    alone.delete("alluxiocluster", NAME);
    scale("1");
    alone.all_ends("all at once, without the operator").await;
}

/// With a pod that works on a volume whose agent, workers, masters and store all go at the same time.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes minutes: cargo xtask soak runs it"]
async fn a_whole_namespace_goes() {
    let _turn = TURN.lock().await;
    let Some(cluster) = Cluster::shared() else { return };
    let whole = Deletions::start(cluster).await;
    let begun = Instant::now();
    let surroundings = whole.stand.namespace.name().to_owned();
    if let Err(error) = whole.stand.namespace.end(LIMIT).await {
        let left = cluster.kubectl(&["get", "pods,pvc,ads,ac", "-o", "wide", "-n", &surroundings]);
        panic!("{error:#}\n{left:?}");
    }
    println!("namespace: gone after {:.1} s", begun.elapsed().as_secs_f64());
    let deadline = Instant::now() + LIMIT;
    while !ours(cluster).is_empty() {
        assert!(Instant::now() < deadline, "left: {:?}", ours(cluster));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
