//! Objects of the kinds of Prometheus' operator: made where there are such kinds, quietly left out where not.

#![expect(clippy::unwrap_used, reason = "helpers of a test fail as the test does")]

use crate::stand::{OPERATOR, Stand, small};
use alluxio_e2e_harness::{LIMIT, Namespace, monitoring_kinds};
use alluxio_operator_api::AlluxioCluster;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

fn monitored(cluster: &AlluxioCluster, status: &str, reason: &str) -> bool {
    cluster.status.iter().flat_map(|status| &status.conditions).any(|condition| {
        condition.type_ == "Monitored" && condition.status == status && condition.reason == reason
    })
}

/// Changes something that nobody of us wants to know, so that the walk begins again.
async fn touch(namespace: &Namespace, note: &str) {
    let note = json!({"metadata": {"annotations": {"somebody.example/note": note}}});
    let api: Api<AlluxioCluster> = namespace.api();
    api.patch("demo", &PatchParams::default(), &Patch::Merge(note)).await.unwrap();
}

/// Requests of the operator for these kinds.
fn asked(stand: &Stand) -> usize {
    let requests = stand.plane.requests().unwrap();
    let ours = requests.iter().filter(|request| request.user == OPERATOR);
    ours.filter(|request| request.group == "monitoring.coreos.com").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn monitors_and_rules_are_made_where_there_are_such_kinds() {
    let stand = Stand::start().await.unwrap();
    let namespace = stand.namespace("monitored").await.unwrap();
    let all = "spec:\n  metrics: {serviceMonitor: {enabled: true}, prometheusRule: {enabled: true}, dashboards: {enabled: true}}\n";
    namespace.apply(&small("demo").replace("spec:\n", all)).unwrap();
    let operator = stand.operator_of(&namespace, None).await.unwrap();
    namespace
        .wait("demo", "it says what is missing", LIMIT, |cluster: &AlluxioCluster| {
            monitored(cluster, "False", "NotFound")
        })
        .await
        .unwrap();
    // All else is made as ever.
    namespace.wait("demo-fuse", "it is made", LIMIT, |_: &DaemonSet| true).await.unwrap();
    let maps = "demo-dashboard-overview";
    namespace.wait(maps, "it is made", LIMIT, |_: &ConfigMap| true).await.unwrap();
    operator.quiet().await;
    let (writes, before) = (operator.writes(), asked(&stand));
    for round in 0..3 {
        touch(&namespace, &round.to_string()).await;
        operator.walked_again().await;
    }
    assert_eq!(operator.writes(), writes, "{}", stand.writes_of_operator());
    // One look at each kind in each walk; some walks may be due by themselves.
    let more = asked(&stand) - before;
    assert!((3..=30).contains(&more), "{more} requests in three walks");

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kinds.yaml");
    std::fs::write(&file, monitoring_kinds()).unwrap();
    stand.plane.kubectl(&["apply", "--server-side", "-f", &file.display().to_string()]).unwrap();
    let wait = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"];
    stand.plane.kubectl(&wait).unwrap();
    touch(&namespace, "kinds are there").await;
    namespace
        .wait("demo", "they are made", LIMIT, |cluster: &AlluxioCluster| {
            monitored(cluster, "True", "AsWanted")
        })
        .await
        .unwrap();
    for object in ["servicemonitor/demo", "podmonitor/demo-fuse", "prometheusrule/demo"] {
        namespace.kubectl(&["get", object]).unwrap();
    }
    operator.quiet().await;
    let writes = operator.writes();
    touch(&namespace, "again").await;
    operator.walked_again().await;
    assert_eq!(operator.writes(), writes, "{}", stand.writes_of_operator());
    operator.stop().await;
    let requests = stand.plane.requests().unwrap();
    let refused: Vec<_> =
        requests.iter().filter(|request| request.user == OPERATOR && request.code == 403).collect();
    assert!(refused.is_empty(), "the installed roles are not enough: {refused:?}");
}
