//! The CSI driver of the chart makes itself known to every node's kubelet.

use alluxio_e2e_harness::wait::wait_for;
use alluxio_e2e_harness::{Cluster, Identity, LIMIT};
use alluxio_e2e_tests::{Installed, SYSTEM};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::storage::v1::CSINode;
use kube::api::{Api, ListParams};

const DRIVER: &str = "csi.alluxio.dev";

/// The name by which the driver knows the node, if the node's kubelet has registered it.
fn known_as(node: &CSINode) -> Option<&str> {
    let driver = node.spec.drivers.iter().find(|driver| driver.name == DRIVER)?;
    Some(&driver.node_id)
}

/// Whether all pods are there, as they shall be now, and ready.
fn is_complete(set: &DaemonSet) -> bool {
    set.status.as_ref().is_some_and(|status| {
        let wanted = status.desired_number_scheduled;
        wanted > 0
            && status.observed_generation == set.metadata.generation
            && status.updated_number_scheduled == Some(wanted)
            && status.number_ready == wanted
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kubelet_registers_the_driver() {
    let Some(cluster) = Cluster::shared() else { return };
    // The driver needs no operator.
    Installed::install(cluster, &["operator.replicas=0"]).unwrap();
    let client = cluster.client(&Identity::Admin).await.unwrap();
    let sets: Api<DaemonSet> = Api::namespaced(client.clone(), SYSTEM);
    for name in ["alluxio-csi-node", "alluxio-fuse-keeper"] {
        let complete = |set: Option<&DaemonSet>| set.is_some_and(is_complete);
        if let Err(error) = wait_for(&sets, name, "its pods to be ready", LIMIT, complete).await {
            let said = cluster.kubectl(&[
                "logs",
                "--namespace",
                SYSTEM,
                "-l",
                "app.kubernetes.io/component=csi-node",
                "--tail=40",
            ]);
            panic!("{error:#}\nthe driver: {said:?}");
        }
    }
    let nodes: Api<Node> = Api::all(client.clone());
    let nodes = nodes.list(&ListParams::default()).await.unwrap();
    let names: Vec<String> = nodes.into_iter().filter_map(|node| node.metadata.name).collect();
    assert!(!names.is_empty());
    let csi_nodes: Api<CSINode> = Api::all(client);
    for name in &names {
        let told = "the driver to be registered";
        let known = |node: Option<&CSINode>| node.and_then(known_as).is_some();
        let node = wait_for(&csi_nodes, name, told, LIMIT, known).await.unwrap();
        assert_eq!(node.as_ref().and_then(known_as), Some(name.as_str()));
    }
}
