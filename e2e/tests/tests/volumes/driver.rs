//! The deployed CSI driver: the tests of Kubernetes for all drivers, and what is left when pods go in bad moments.

use crate::on_stand;
use alluxio_e2e_harness::LIMIT;
use alluxio_e2e_harness::namespace::is_ready;
use alluxio_e2e_tests::App;
use alluxio_e2e_tests::stand::{DATASET, NAME, Stand};
use alluxio_testservers::cache;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams};
use std::process::Stdio;
use std::time::Instant;

/// Where the chart's driver listens.
const ENDPOINT: &str = "unix:///var/lib/kubelet/plugins/csi.alluxio.dev/csi.sock";
/// Specifications that ran when this was written; fewer are a mistake of this test.
const RUN_MIN: &str = "Ran ";
/// Pods that start while kubelets restart.
const PODS: usize = 4;

/// Mounts of a node that are ours.
fn mounts(stand: &Stand, number: usize) -> Vec<String> {
    let mut cat = stand.cluster.nodes().unwrap().node_command(number, "cat").unwrap();
    let output = cat.arg("/proc/self/mountinfo").stdin(Stdio::null()).output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    table.lines().filter(|line| line.contains(" fuse")).map(str::to_owned).collect()
}

fn has_failed(pod: &Pod) -> bool {
    pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Failed"))
}

/// A controller of this chart's image beside the deployed driver: in the chart it comes with sidecars that nobody
/// has here. Its socket's path on the node.
async fn controller(stand: &Stand) -> String {
    let image = &stand.image;
    let node = &stand.nodes[0];
    stand
        .namespace
        .apply(&format!(
            "
apiVersion: v1
kind: Pod
metadata: {{name: controller}}
spec:
  nodeName: {node}
  terminationGracePeriodSeconds: 1
  securityContext: {{runAsUser: 1000, fsGroup: 1000}}
  containers:
  - name: controller
    image: {image}
    args: [csi, controller, --endpoint=unix:///csi/csi.sock]
    env: [{{name: ALLUXIO_SECURITY_LOGIN_USERNAME, value: root}}]
    readinessProbe: {{httpGet: {{path: /readyz, port: 30010}}, periodSeconds: 1}}
    volumeMounts: [{{name: socket, mountPath: /csi}}, {{name: conf, mountPath: /etc/alluxio}}]
  volumes:
  - {{name: socket, emptyDir: {{}}}}
  - {{name: conf, configMap: {{name: {NAME}-client}}}}
"
        ))
        .unwrap();
    let pod = stand.namespace.wait_until_ready("controller").await.unwrap();
    let uid = pod.metadata.uid.unwrap();
    format!("unix:///var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~empty-dir/socket/csi.sock")
}

#[test]
fn csi_sanity_passes_on_the_deployed_driver() {
    on_stand(async |stand: &Stand| {
        let Ok(nodes) = stand.cluster.nodes() else { return };
        let controller = controller(stand).await;
        let program = cache::require(cache::csi_sanity(), "csi-sanity");
        let before = mounts(stand, 1);
        let mut sanity = nodes.node_command(1, &program.display().to_string()).unwrap();
        // Where the kubelet has such folders, which the driver's pod sees.
        let folder = "/var/lib/kubelet/plugins/kubernetes.io/csi";
        sanity
            .args(["--csi.endpoint", ENDPOINT, "--csi.controllerendpoint", &controller])
            .args(["--csi.mountdir", &format!("{folder}/sanity-mount")])
            .args(["--csi.stagingdir", &format!("{folder}/sanity-staging")])
            .args(["--csi.testvolumesize", "10737418240"])
            .args(["--csi.testvolumeexpandsize", "21474836480", "--ginkgo.no-color"]);
        let output = sanity.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains(RUN_MIN), "{said}");
        assert_eq!(mounts(stand, 1), before, "no mount is left");
        stand.namespace.kubectl(&["delete", "pod", "controller"]).unwrap();
    });
}

#[test]
#[ignore = "it takes minutes: cargo xtask soak runs it"]
fn nothing_is_left_mounted_when_kubelets_restart_while_pods_come_and_go() {
    on_stand(async |stand: &Stand| {
        let Ok(nodes) = stand.cluster.nodes() else { return };
        let (number, node) = (2, &stand.nodes[1]);
        let start = |name: &str| {
            let arguments = ["load", "/data", "--seconds", "600"];
            App::start(&stand.namespace, name, node, DATASET, &arguments).unwrap()
        };
        let apps: Vec<App> = (0..PODS).map(|count| start(&format!("early-{count}"))).collect();
        nodes.restart_kubelet(number).unwrap();
        for app in &apps {
            // One whose container was being started when the kubelet was killed has failed, and is not tried again.
            let over = |pod: &Pod| is_ready(pod) || has_failed(pod);
            let what = "the pod to run or to have failed";
            stand.namespace.wait(&app.name, what, LIMIT, over).await.unwrap();
        }
        // Others come while these go, and the kubelet with them.
        let late: Vec<App> = (0..PODS).map(|count| start(&format!("late-{count}"))).collect();
        let pods: Api<Pod> = stand.namespace.api();
        for app in &apps {
            pods.delete(&app.name, &DeleteParams::default()).await.unwrap();
        }
        nodes.restart_kubelet(number).unwrap();
        for app in &late {
            app.remove(&stand.namespace).await.unwrap();
        }
        for app in &apps {
            stand.namespace.wait_until_gone::<Pod>(&app.name, LIMIT).await.unwrap();
        }
        let users = pods.list(&ListParams::default().labels("app")).await.unwrap().items;
        let names: Vec<_> = users.iter().filter_map(|pod| pod.metadata.name.as_deref()).collect();
        assert_eq!(names, ["s3"], "nobody uses the claim");
        let deadline = Instant::now() + LIMIT;
        loop {
            let left = mounts(stand, number);
            if left.is_empty() {
                break;
            }
            assert!(Instant::now() < deadline, "left on {node}: {left:#?}");
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    });
}
