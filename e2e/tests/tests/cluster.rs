//! From `helm install` and one `AlluxioCluster` to a cluster that serves, and back to nothing.

use alluxio_e2e_harness::{Cluster, LIMIT};
use alluxio_e2e_tests::{Installed, operator_log};
use alluxio_operator_api::AlluxioCluster;
use alluxio_operator_api::cluster::ClusterPhase;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams};
use std::time::{Duration, Instant};

const CLUSTER: &str = "
apiVersion: alluxio.dev/v1alpha1
kind: AlluxioCluster
metadata: {name: demo}
spec:
  master:
    replicas: 1
    journal:
      type: Folder
      allowDataLoss: true
      storage: {emptyDir: {}}
    resources: {requests: {cpu: 10m, memory: 64Mi}}
  worker:
    resources: {requests: {cpu: 10m, memory: 64Mi}}
    tieredStore:
      levels:
        - {alias: MEM, medium: MEM, memory: {quota: 128Mi}}
        - {alias: SSD, medium: SSD, hostPath: {dirs: [{path: /mnt/cache, quota: 1Gi}]}}
  fuse: {enabled: false}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_gets_ready_and_goes() {
    let Some(cluster) = Cluster::shared() else { return };
    Installed::install(cluster, &["csi.enabled=false", "operator.replicas=1"]).unwrap();
    let namespace = cluster.namespace("cluster").await.unwrap();
    let started = Instant::now();
    namespace.apply(CLUSTER).unwrap();
    let ready = namespace
        .wait("demo", "it is ready", LIMIT, |cluster: &AlluxioCluster| {
            let status = cluster.status.as_ref();
            status.is_some_and(|status| status.phase == Some(ClusterPhase::Ready))
        })
        .await;
    let ready = match ready {
        Ok(ready) => ready,
        Err(error) => {
            panic!("{error:#}\noperator: {}", operator_log(cluster));
        }
    };
    println!("from apply to Ready: {:.1} s", started.elapsed().as_secs_f64());
    let status = ready.status.unwrap();
    let workers = status.workers.unwrap();
    assert!(workers.ready > 0 && workers.ready == workers.desired, "{workers:?}");
    let capacity = status.capacity.unwrap();
    let each = (128 << 20) + (1 << 30);
    assert_eq!(capacity.total_bytes, each * i64::from(workers.ready));
    assert!(status.cluster_id.is_some());
    let report = namespace
        .kubectl(&["exec", "demo-master-0", "--", "/usr/bin/alluxio", "fsadmin", "report"])
        .unwrap();
    assert!(report.contains("Live Workers: "), "{report}");

    let clusters: Api<AlluxioCluster> = namespace.api();
    clusters.delete("demo", &DeleteParams::default()).await.unwrap();
    namespace.wait_until_gone::<AlluxioCluster>("demo", LIMIT).await.unwrap();
    let pods: Api<Pod> = namespace.api();
    let deadline = Instant::now() + LIMIT;
    while !pods.list(&ListParams::default()).await.unwrap().items.is_empty() {
        assert!(Instant::now() < deadline, "pods are left: {}", namespace.surroundings());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    namespace.end(LIMIT).await.unwrap();
}
