//! `kubectl alluxio` against a real API server, without nodes: what it shows, its exit codes, and that no secret leaves the
//! cluster with it.

#![expect(clippy::unwrap_used, reason = "helpers of a test fail as the test does")]

use alluxio_e2e_harness::{ControlPlane, Identity, Namespace};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const CANARY: &str = "c4n4ry8t2Zq";

/// Objects with secrets where they should be, and where they should not.
const OBJECTS: &str = "
apiVersion: alluxio.dev/v1alpha1
kind: AlluxioCluster
metadata: {name: demo}
spec:
  coordination: {etcd: {managed: {replicas: 1}}}
  worker:
    tieredStore:
      levels:
        - {alias: MEM, medium: MEM, memory: {quota: 1Gi}}
---
apiVersion: alluxio.dev/v1alpha1
kind: Dataset
metadata: {name: train}
spec:
  clusterRef: {name: demo}
  mounts: [{name: train, uri: 's3://bucket/train'}]
---
apiVersion: v1
kind: Secret
metadata: {name: store, labels: {app.kubernetes.io/part-of: alluxio}}
stringData: {s3a.secretKey: CANARY}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: demo-client, labels: {app.kubernetes.io/part-of: alluxio}}
data:
  alluxio-site.properties: |
    alluxio.user.file.writetype.default=CACHE_THROUGH
    alluxio.master.mount.table.root.option.aws.secretKey=CANARY
---
apiVersion: v1
kind: ConfigMap
metadata: {name: somebodys}
data: {anything: CANARY}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: default}
---
apiVersion: v1
kind: Pod
metadata:
  name: demo-master-0
  labels: {app.kubernetes.io/part-of: alluxio, app.kubernetes.io/managed-by: alluxio-operator}
  annotations: {kubectl.kubernetes.io/last-applied-configuration: 'CANARY'}
spec:
  automountServiceAccountToken: false
  containers:
    - name: master
      image: registry.example/alluxio
      args: [master, --etcd-password=CANARY, 's3://user:CANARY@store/bucket']
      env:
        - {name: AWS_SECRET_ACCESS_KEY, value: CANARY}
        - {name: ALLUXIO_ETCD_USERNAME, value: reader}
---
apiVersion: v1
kind: Event
metadata: {name: told}
involvedObject: {kind: Dataset, name: train, namespace: NAMESPACE}
reason: MountFailed
type: Warning
message: 'GET https://store/a?X-Amz-Signature=CANARY refused'
";

struct Stand {
    plane: ControlPlane,
    namespace: Namespace,
    dir: tempfile::TempDir,
}

impl Stand {
    async fn start() -> Stand {
        let plane = ControlPlane::start().await.unwrap();
        let crds =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../crds").display().to_string();
        plane.kubectl(&["apply", "--server-side", "-f", &crds]).unwrap();
        let wait = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"];
        plane.kubectl(&wait).unwrap();
        let client = plane.client(&Identity::Admin).await.unwrap();
        let namespace = Namespace::create(&client, &plane.kubeconfig(), "plugin").await.unwrap();
        Stand { plane, namespace, dir: tempfile::tempdir().unwrap() }
    }

    /// The program, in the namespace.
    fn run(&self, words: &[&str]) -> Output {
        let mut plugin = Command::new(env!("CARGO_BIN_EXE_kubectl-alluxio"));
        plugin.args(words).env("KUBECONFIG", self.plane.kubeconfig()).current_dir(&self.dir);
        plugin.output().unwrap()
    }

    fn tell(&self, kind: &str, name: &str, status: &str) {
        let patch = format!("{{\"status\": {status}}}");
        let words = ["patch", kind, name, "--subresource=status", "--type=merge", "-p", &patch];
        self.namespace.kubectl(&words).unwrap();
    }
}

fn text(output: &Output) -> String {
    let all = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&all).into_owned()
}

const BROKEN: &str = r#"{"phase": "Degraded",
    "masters": {"desired": 1, "ready": 1, "updated": 1,
        "leader": {"pod": "demo-master-0", "term": 3, "since": "2026-01-01T00:00:00Z"}},
    "workers": {"desired": 2, "ready": 1, "updated": 2},
    "capacity": {"totalBytes": 2147483648, "usedBytes": 1073741824},
    "conditions": [
        {"type": "Ready", "status": "False", "reason": "CrashLoop", "message": "x", "lastTransitionTime": "2026-01-01T00:00:00Z"},
        {"type": "WorkersReady", "status": "False", "reason": "CrashLoop", "message": "pod demo-worker-b: it ended with 1", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn status_shows_what_there_is_and_what_is_wrong() {
    let stand = Stand::start().await;
    let name = stand.namespace.name();
    let empty = stand.run(&["status", "-n", name]);
    assert_eq!(empty.status.code(), Some(0), "{}", text(&empty));
    assert!(text(&empty).contains("-A looks in all of them"), "{}", text(&empty));
    stand.namespace.apply(&OBJECTS.replace("NAMESPACE", name)).unwrap();
    stand.tell("alluxiocluster", "demo", BROKEN);
    let broken = stand.run(&["status", "-A"]);
    assert_eq!(broken.status.code(), Some(1), "{}", text(&broken));
    let told = text(&broken);
    for part in [
        "demo-master-0",
        "1/2",
        "1.00GB",
        "2.00GB",
        "WorkersReady=False (CrashLoop): pod demo-worker-b",
        "does it run?",
    ] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
    let well = r#"{"phase": "Ready", "conditions": null}"#;
    stand.tell("alluxiocluster", "demo", well);
    stand.tell("dataset", "train", well);
    let fine = stand.run(&["status", "-n", name, "--json"]);
    assert_eq!(fine.status.code(), Some(0), "{}", text(&fine));
    let value: Value = serde_json::from_slice(&fine.stdout).unwrap();
    assert_eq!(value["clusters"][0]["status"]["phase"], "Ready");
    assert_eq!(value["complaints"].as_array().map(Vec::len), Some(0));

    let nobody = stand.run(&["top", "-n", "default", "--once"]);
    assert_eq!(nobody.status.code(), Some(255));
    assert!(
        text(&nobody).contains("no AlluxioCluster in the namespace default"),
        "{}",
        text(&nobody)
    );
    let wrong = stand.run(&["status", "--nmaespace", "x"]);
    assert_eq!(wrong.status.code(), Some(255));
    let away = stand.run(&["status", "--kubeconfig", "/nowhere"]);
    assert_eq!(away.status.code(), Some(255));
    assert!(text(&away).contains("/nowhere"), "{}", text(&away));
}

#[tokio::test(flavor = "multi_thread")]
async fn diagnose_collects_everything_but_secrets() {
    let stand = Stand::start().await;
    let name = stand.namespace.name();
    let objects = OBJECTS.replace("NAMESPACE", name).replace("CANARY", CANARY);
    stand.namespace.apply(&objects).unwrap();
    let done = stand.run(&["diagnose", "-n", name, "-o", "found.tar.gz"]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done));
    let files = unpack(&stand.dir.path().join("found.tar.gz"));
    let place = format!("found/objects/{name}");
    for file in ["alluxioclusters", "datasets", "pods", "configmaps", "events"] {
        assert!(files.contains_key(&format!("{place}/{file}.json")), "{:?}", files.keys());
    }
    for (file, text) in &files {
        assert!(!text.contains(CANARY), "{file} has a secret: {text}");
    }
    let pods = &files[&format!("{place}/pods.json")];
    assert!(pods.contains("demo-master-0") && pods.contains("reader"), "{pods}");
    assert!(files[&format!("{place}/configmaps.json")].contains("CACHE_THROUGH"));
    assert!(files[&format!("{place}/events.json")].contains("MountFailed"));
    let again = stand.run(&["diagnose", "-n", name, "-o", "found.tar.gz"]);
    assert_eq!(again.status.code(), Some(255));
    assert!(text(&again).contains("is there already"), "{}", text(&again));
    // Nobody has even asked for them.
    let requests = stand.plane.requests().unwrap();
    let asked: Vec<_> = requests
        .iter()
        .filter(|request| request.resource == "secrets" && request.namespace == name)
        .filter(|request| !request.agent.starts_with("kubectl/"))
        .collect();
    assert!(asked.is_empty(), "{asked:?}");
}

/// Texts by name.
fn unpack(archive: &Path) -> BTreeMap<String, String> {
    let file = flate2::read::GzDecoder::new(File::open(archive).unwrap());
    let mut archive = tar::Archive::new(file);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        (name, std::io::read_to_string(&mut entry).unwrap())
    });
    entries.collect()
}
