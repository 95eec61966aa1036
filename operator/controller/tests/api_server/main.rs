//! The controllers against a real API server, with the rights of the installed roles and no nodes: what they write is
//! accepted, nothing is written twice, and a death at any write leaves nothing that the next operator does not mend.

mod datasets;
mod monitoring;
mod stand;

use alluxio_e2e_harness::LIMIT;
use alluxio_operator_api::AlluxioCluster;
use alluxio_operator_api::cluster::ClusterPhase;
use futures::StreamExt;
use k8s_openapi::api::apps::v1::{DaemonSet, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use stand::{OPERATOR, Stand, small};
use std::collections::BTreeMap;
use std::time::Duration;

/// Deaths at once.
const SIDE_BY_SIDE: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_made_and_then_left_alone() {
    let stand = Stand::start().await.unwrap();
    let namespace = stand.namespace("made").await.unwrap();
    namespace.apply(&small("demo")).unwrap();
    let operator = stand.operator().await.unwrap();
    for name in ["demo-etcd", "demo-master"] {
        let sets: Api<StatefulSet> = namespace.api();
        namespace.wait(name, "it is made", LIMIT, |_: &StatefulSet| true).await.unwrap();
        assert!(sets.get(name).await.unwrap().metadata.owner_references.is_some());
    }
    for name in ["demo-worker", "demo-fuse"] {
        namespace.wait(name, "it is made", LIMIT, |_: &DaemonSet| true).await.unwrap();
    }
    namespace.wait("demo-master", "it is made", LIMIT, |_: &Service| true).await.unwrap();
    namespace
        .wait("demo", "its status is told", LIMIT, |cluster: &AlluxioCluster| {
            cluster.status.as_ref().is_some_and(|status| {
                status.phase == Some(ClusterPhase::Provisioning)
                    && status.observed_generation == cluster.metadata.generation
            })
        })
        .await
        .unwrap();
    operator.quiet().await;
    let before = operator.writes();
    // Something that nobody of us wants to know changes, and the walk begins again.
    for round in 0..3 {
        let note =
            json!({"metadata": {"annotations": {"somebody.example/note": round.to_string()}}});
        let api: Api<AlluxioCluster> = namespace.api();
        api.patch("demo", &PatchParams::default(), &Patch::Merge(note)).await.unwrap();
        operator.walked_again().await;
    }
    assert_eq!(operator.writes(), before, "{}", stand.writes_of_operator());
    operator.stop().await;
    let requests = stand.plane.requests().unwrap();
    let refused: Vec<_> =
        requests.iter().filter(|request| request.user == OPERATOR && request.code == 403).collect();
    assert!(refused.is_empty(), "the installed roles are not enough: {refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_change_comes_back_and_what_is_theirs_stays() {
    let stand = Stand::start().await.unwrap();
    let namespace = stand.namespace("drift").await.unwrap();
    namespace.apply(&small("demo")).unwrap();
    let operator = stand.operator_of(&namespace, None).await.unwrap();
    namespace.wait("demo-fuse", "it is made", LIMIT, |_: &DaemonSet| true).await.unwrap();
    let services: Api<Service> = namespace.api();
    let theirs = json!({
        "metadata": {"labels": {"team": "storage"}},
        "spec": {"publishNotReadyAddresses": false},
    });
    services.patch("demo-master", &PatchParams::default(), &Patch::Merge(theirs)).await.unwrap();
    let service = namespace
        .wait("demo-master", "our field is back", LIMIT, |service: &Service| {
            service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses) == Some(true)
        })
        .await
        .unwrap();
    assert_eq!(service.metadata.labels.unwrap()["team"], "storage");
    services.delete("demo-worker", &DeleteParams::default()).await.unwrap();
    namespace.wait("demo-worker", "it is made again", LIMIT, |_: &Service| true).await.unwrap();
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_property_is_named_and_nothing_is_made() {
    let stand = Stand::start().await.unwrap();
    let namespace = stand.namespace("wrong").await.unwrap();
    let wrong = small("demo")
        .replace("spec:\n", "spec:\n  properties: {alluxio.user.block.size.bytes.defualt: 64MB}\n");
    namespace.apply(&wrong).unwrap();
    let operator = stand.operator_of(&namespace, None).await.unwrap();
    let cluster = namespace
        .wait("demo", "it is refused", LIMIT, |cluster: &AlluxioCluster| {
            cluster.status.as_ref().is_some_and(|status| status.phase == Some(ClusterPhase::Failed))
        })
        .await
        .unwrap();
    let conditions = cluster.status.unwrap().conditions;
    let valid = conditions.iter().find(|condition| condition.type_ == "SpecValid").unwrap();
    assert_eq!((valid.status.as_str(), valid.reason.as_str()), ("False", "PropertyRefused"));
    assert!(valid.message.contains("alluxio.user.block.size.bytes.default"), "{}", valid.message);
    let sets: Api<StatefulSet> = namespace.api();
    assert!(sets.list(&Default::default()).await.unwrap().items.is_empty());
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_at_any_write_is_mended_by_the_next_operator() {
    let stand = Stand::start().await.unwrap();
    let whole = stand.namespace("whole").await.unwrap();
    whole.apply(&small("demo")).unwrap();
    let operator = stand.operator_of(&whole, None).await.unwrap();
    whole.wait("demo-fuse", "it is made", LIMIT, |_: &DaemonSet| true).await.unwrap();
    operator.quiet().await;
    let writes = operator.writes();
    operator.stop().await;
    let wanted = stand.objects(&whole).await.unwrap();
    assert!(writes > 8 && wanted.len() > 8, "{writes} {wanted:#?}");
    let deaths = (1..=writes).flat_map(|at| [(at, false), (at, true)]);
    futures::stream::iter(deaths)
        .for_each_concurrent(SIDE_BY_SIDE, |death| die_and_mend(&stand, death, &wanted))
        .await;
}

/// An operator dies before or after its write number so-and-so, and the next one makes what is `wanted`.
#[expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]
async fn die_and_mend(stand: &Stand, death: (u64, bool), wanted: &BTreeMap<String, Value>) {
    let namespace = stand.namespace("death").await.unwrap();
    namespace.apply(&small("demo")).unwrap();
    let mut operator = stand.operator_of(&namespace, Some(death)).await.unwrap();
    operator.died().await;
    operator.stop().await;
    let next = stand.operator_of(&namespace, None).await.unwrap();
    namespace.wait("demo-fuse", "it is made", LIMIT, |_: &DaemonSet| true).await.unwrap();
    next.quiet().await;
    next.stop().await;
    let found = stand.objects(&namespace).await.unwrap();
    assert_eq!(&found, wanted, "after a death at write {death:?}");
    stand.remove(namespace).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_pods_goes_at_once_and_one_with_a_dataset_waits() {
    let stand = Stand::start_with_controllers().await.unwrap();
    let namespace = stand.namespace("gone").await.unwrap();
    namespace.apply(&small("demo")).unwrap();
    let operator = stand.operator_of(&namespace, None).await.unwrap();
    namespace.wait("demo-fuse", "it is made", LIMIT, |_: &DaemonSet| true).await.unwrap();
    namespace
        .apply(
            "
apiVersion: alluxio.dev/v1alpha1
kind: Dataset
metadata: {name: train}
spec:
  clusterRef: {name: demo}
  mounts: [{name: train, uri: 's3://bucket/train'}]
",
        )
        .unwrap();
    let clusters: Api<AlluxioCluster> = namespace.api();
    clusters.delete("demo", &DeleteParams::default()).await.unwrap();
    let cluster =
        namespace
            .wait("demo", "it says what holds it up", LIMIT, |cluster: &AlluxioCluster| {
                cluster.status.iter().flat_map(|status| &status.conditions).any(|condition| {
                    condition.type_ == "DeletionBlocked" && condition.status == "True"
                })
            })
            .await
            .unwrap();
    let told = format!("{:?}", cluster.status.unwrap().conditions);
    assert!(told.contains("DatasetsExist") && told.contains("/train"), "{told}");
    let force = json!({"metadata": {"annotations": {"alluxio.dev/force": cluster.metadata.uid}}});
    clusters.patch("demo", &PatchParams::default(), &Patch::Merge(force)).await.unwrap();
    namespace.wait_until_gone::<AlluxioCluster>("demo", LIMIT).await.unwrap();
    namespace.wait_until_gone::<Service>("demo-master", LIMIT).await.unwrap();
    let deadline = tokio::time::Instant::now() + LIMIT;
    let maps: Api<ConfigMap> = namespace.api();
    let ours =
        kube::api::ListParams::default().labels("app.kubernetes.io/managed-by=alluxio-operator");
    while !maps.list(&ours).await.unwrap().items.is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "something is left");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    operator.stop().await;
}
