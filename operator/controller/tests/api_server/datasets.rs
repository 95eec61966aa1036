//! Datasets and operations against a real API server; masters and stores are played.

#![expect(clippy::unwrap_used, reason = "helpers of a test fail as the test does")]

use super::stand::{OPERATOR, Stand, small};
use alluxio_e2e_harness::{LIMIT, Namespace};
use alluxio_operator_api::cluster::ClusterPhase;
use alluxio_operator_api::dataset::DatasetPhase;
use alluxio_operator_api::operation::OperationPhase;
use alluxio_operator_api::{AlluxioCluster, DataLoad, Dataset};
use alluxio_operator_controller::cluster::admin::{
    AdminError, ClusterAdmin, ClusterView, MasterView, Target,
};
use alluxio_operator_controller::cluster::membership::{Change, Member};
use alluxio_operator_controller::dataset::played::Played;
use alluxio_operator_controller::run::Admins;
use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Event, PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;
use std::sync::Arc;

/// A cluster whose first master serves.
struct Serving {
    address: String,
}

#[async_trait]
impl ClusterAdmin for Serving {
    async fn view(&self, _: &Target) -> ClusterView {
        let master = MasterView {
            address: self.address.clone(),
            primary: true,
            standby: false,
            version: "0.1.0".into(),
            lag: 0,
        };
        ClusterView {
            cluster_id: Some("id-of-the-journal".into()),
            masters: vec![master],
            term: 1,
            ..ClusterView::default()
        }
    }

    async fn transfer(&self, _: &Target, to: &str) -> Result<(), AdminError> {
        Err(AdminError(format!("there is no {to}")))
    }

    async fn etcd_members(&self, _: &[String]) -> Option<Vec<Member>> {
        None
    }

    async fn etcd_change(&self, _: &[String], _: &Change) -> Result<(), AdminError> {
        Err(AdminError("there is no etcd".into()))
    }
}

const DATASET: &str = "
apiVersion: v1
kind: Secret
metadata: {name: s3}
stringData: {access: AK, secret: canary-old}
---
apiVersion: alluxio.dev/v1alpha1
kind: Dataset
metadata: {name: train}
spec:
  clusterRef: {name: demo}
  mounts:
    - name: data
      uri: 's3://bucket/train'
      credentials:
        secretRef: {name: s3, keys: {s3a.accessKeyId: access, s3a.secretKey: secret}}
";

async fn poke(namespace: &Namespace, round: &str) {
    let note = json!({"metadata": {"annotations": {"somebody.example/note": round}}});
    let api: Api<Dataset> = namespace.api();
    api.patch("train", &PatchParams::default(), &Patch::Merge(note)).await.unwrap();
}

fn is(phase: DatasetPhase) -> impl Fn(&Dataset) -> bool {
    move |dataset| dataset.status.as_ref().and_then(|status| status.phase) == Some(phase)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_lives_from_its_mount_to_its_end() {
    let stand = Stand::start_with_controllers().await.unwrap();
    let namespace = stand.namespace("dataset").await.unwrap();
    let name = namespace.name().to_owned();
    let played = Arc::new(Played::default());
    played.accept_key("canary-old");
    let directory = format!("/datasets/{name}/train");
    played.file(&format!("{directory}/a"), 10, 0, true);
    let address = format!("demo-master-0.demo-master.{name}.svc:19998");
    let admins = Admins { cluster: Arc::new(Serving { address }), dataset: played.clone() };
    namespace.apply(&small("demo")).unwrap();
    let operator = stand.operator_with(&namespace, admins).await.unwrap();

    serves(&namespace).await;
    namespace.apply(DATASET).unwrap();
    let dataset =
        namespace.wait("train", "it is ready", LIMIT, is(DatasetPhase::Ready)).await.unwrap();
    let status = dataset.status.unwrap();
    assert_eq!(status.path.as_deref(), Some(directory.as_str()));
    assert_eq!(status.ufs.as_ref().map(|ufs| ufs.file_count), Some(1));
    assert_eq!(played.table()[0].2["s3a.secretKey"], "canary-old");
    let volume = status.volume.clone().unwrap();
    let volumes: Api<PersistentVolume> = Api::all(stand.client());
    let bound = volumes.get(volume.pv_name.as_deref().unwrap()).await.unwrap();
    let claim = bound.spec.as_ref().unwrap().claim_ref.clone().unwrap();
    assert_eq!((claim.name.as_deref(), claim.namespace.as_deref()), (Some("train"), Some(&*name)));

    // Once it is as wanted, nothing is written and nothing is sent.
    operator.quiet().await;
    let before = (operator.writes(), played.pushes());
    for round in ["1", "2"] {
        poke(&namespace, round).await;
        operator.walked_again().await;
    }
    assert_eq!((operator.writes(), played.pushes()), before, "{}", stand.writes_of_operator());

    rotates(&namespace, &played).await;
    loads(&namespace, &played).await;
    let datasets: Api<Dataset> = namespace.api();
    let events: Api<Event> = namespace.api();
    let told = format!(
        "{:?} {:?}",
        datasets.get("train").await.unwrap(),
        events.list(&ListParams::default()).await.unwrap().items
    );
    assert!(told.contains("CredentialsRotated") && !told.contains("canary"), "{told}");

    datasets.delete("train", &DeleteParams::default()).await.unwrap();
    namespace.wait_until_gone::<Dataset>("train", LIMIT).await.unwrap();
    namespace.wait_until_gone::<PersistentVolumeClaim>("train", LIMIT).await.unwrap();
    assert!(played.table().is_empty());
    let ours = ListParams::default().labels("app.kubernetes.io/managed-by=alluxio-operator");
    assert!(volumes.list(&ours).await.unwrap().items.is_empty());
    operator.stop().await;
    let requests = stand.plane.requests().unwrap();
    let refused: Vec<_> =
        requests.iter().filter(|request| request.user == OPERATOR && request.code == 403).collect();
    assert!(refused.is_empty(), "the installed roles are not enough: {refused:?}");
    let listed = requests.iter().any(|request| {
        request.user == OPERATOR && request.resource == "secrets" && request.verb != "get"
    });
    assert!(!listed, "Secrets are read by name only");
}

/// Without nodes no pod gets ready by itself.
async fn serves(namespace: &Namespace) {
    namespace.wait("demo-master-0", "it is made", LIMIT, |_: &Pod| true).await.unwrap();
    let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    let pods: Api<Pod> = namespace.api();
    let params = PatchParams::default();
    pods.patch_status("demo-master-0", &params, &Patch::Merge(ready)).await.unwrap();
    namespace
        .wait("demo", "a master serves", LIMIT, |cluster: &AlluxioCluster| {
            let status = cluster.status.as_ref();
            status.is_some_and(|status| {
                status.phase != Some(ClusterPhase::Pending)
                    && status.masters.as_ref().is_some_and(|masters| masters.leader.is_some())
            })
        })
        .await
        .unwrap();
}

/// New credentials that the store refuses change nothing for who reads, and are told without their values.
async fn rotates(namespace: &Namespace, played: &Played) {
    let params = PatchParams::default();
    let new = json!({"stringData": {"secret": "canary-wrong"}});
    let secrets: Api<k8s_openapi::api::core::v1::Secret> = namespace.api();
    secrets.patch("s3", &params, &Patch::Merge(new)).await.unwrap();
    poke(namespace, "3").await;
    namespace.wait("train", "it is degraded", LIMIT, is(DatasetPhase::Degraded)).await.unwrap();
    assert_eq!(played.table()[0].2["s3a.secretKey"], "canary-old");
    played.accept_key("canary-new");
    let new = json!({"stringData": {"secret": "canary-new"}});
    secrets.patch("s3", &params, &Patch::Merge(new)).await.unwrap();
    poke(namespace, "4").await;
    namespace.wait("train", "it is ready again", LIMIT, is(DatasetPhase::Ready)).await.unwrap();
    assert_eq!(played.table()[0].2["s3a.secretKey"], "canary-new");
}

/// A load of the Dataset's one file.
async fn loads(namespace: &Namespace, played: &Played) {
    let directory = format!("/datasets/{}/train", namespace.name());
    namespace
        .apply(
            "
apiVersion: alluxio.dev/v1alpha1
kind: DataLoad
metadata: {name: once}
spec: {datasetRef: {name: train}}
",
        )
        .unwrap();
    let done = namespace
        .wait("once", "it is done", LIMIT, |load: &DataLoad| {
            let status = load.status.as_ref();
            status.and_then(|status| status.run.phase) == Some(OperationPhase::Succeeded)
        })
        .await
        .unwrap();
    let progress = done.status.unwrap().progress.unwrap();
    assert_eq!((progress.files_done, progress.percent.as_deref()), (1, Some("100%")));
    assert_eq!(played.cached(&format!("{directory}/a")), 100);
}
