//! The cluster with nodes: pods run, reach each other and are told from outside; nodes and kubelets can be
//! lost.

use alluxio_e2e_harness::namespace::is_ready;
use alluxio_e2e_harness::{Cluster, Identity, LIMIT, Namespace};
use alluxio_e2e_kube::images::BUSYBOX;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;

fn pod(name: &str, node: usize, command: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  nodeName: node{node}
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: {BUSYBOX}
    command: [sh, -c, {command:?}]
"
    )
}

/// Answers one line on port 8080, again and again.
const SERVE: &str = "while :; do echo hello-from-$HOSTNAME | nc -l -p 8080; done & wait";
const IDLE: &str = "sleep 1000000 & wait";

#[tokio::test(flavor = "multi_thread")]
async fn pods_reach_each_other_over_nodes_services_and_names() {
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.namespace("net").await.unwrap();
    let last = cluster.nodes().map_or(1, |cluster| cluster.nodes());
    namespace.apply(&pod("server", 1, SERVE)).unwrap();
    namespace.apply(&pod("client", last, IDLE)).unwrap();
    let service = "
apiVersion: v1
kind: Service
metadata: {name: server}
spec: {selector: {app: server}, ports: [{port: 80, targetPort: 8080}]}
";
    namespace.apply(service).unwrap();
    namespace.wait_until_ready("server").await.unwrap();
    namespace.wait_until_ready("client").await.unwrap();
    let name = format!("server.{}.svc.cluster.local", namespace.name());
    // Rules of a new Service reach nodes a moment after its pods are ready.
    let ask = format!(
        "for i in $(seq 100); do nc -w 2 {name} 80 </dev/null | grep hello && exit 0; sleep 0.1; done; exit 1"
    );
    let answer = namespace.kubectl(&["exec", "client", "--", "sh", "-c", &ask]).unwrap();
    assert_eq!(answer.trim(), "hello-from-server");
    namespace.end(LIMIT).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_cannot_start_is_explained() {
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.namespace("image").await.unwrap();
    let missing = pod("p", 1, IDLE).replace(BUSYBOX, "localhost/there-is-none:e2e");
    namespace.apply(&missing).unwrap();
    let little = std::time::Duration::from_secs(10);
    let error = namespace.wait("p", "the pod to be ready", little, is_ready).await.unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("there-is-none") && error.contains("events"), "{error}");
    namespace.end(LIMIT).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_node_comes_back_and_pods_outlive_a_kubelet() {
    if Cluster::shared().is_none() {
        return;
    }
    let Ok(nodes) = Cluster::shared().expect("asked above").nodes() else { return };
    assert!(nodes.nodes() > 0);
    let cluster = Cluster::start().unwrap();
    let nodes = cluster.nodes().unwrap();
    let victim = nodes.nodes();
    let namespace: Namespace = cluster.namespace("nodes").await.unwrap();
    namespace.apply(&pod("p", victim, IDLE)).unwrap();
    let before = namespace.wait_until_ready("p").await.unwrap();

    nodes.restart_kubelet(victim).unwrap();
    let after: Pod = namespace.wait_until_ready("p").await.unwrap();
    let started = |pod: &Pod| {
        let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.clone());
        statuses.and_then(|statuses| statuses[0].container_id.clone())
    };
    assert_eq!(started(&before), started(&after), "the container is the same");

    nodes.kill_node(victim).unwrap();
    assert!(nodes.node_command(victim, "true").is_none(), "nothing of the node is left");
    let client = cluster.client(&Identity::Admin).await.unwrap();
    let api: Api<Node> = Api::all(client);
    let name = format!("node{victim}");
    let ready = |wanted: &'static str| {
        move |node: Option<&Node>| {
            let conditions = node.and_then(|node| node.status.as_ref()?.conditions.as_ref());
            conditions.is_some_and(|conditions| {
                conditions.iter().any(|condition| {
                    condition.type_ == "Ready"
                        && (condition.status == "True") == (wanted == "ready")
                })
            })
        }
    };
    let wait = alluxio_e2e_harness::wait::wait_for;
    wait(&api, &name, "it to be missed", LIMIT, ready("lost")).await.unwrap();
    nodes.start_node(victim).unwrap();
    wait(&api, &name, "it to be back", LIMIT, ready("ready")).await.unwrap();
}
