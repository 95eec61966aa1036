//! Our images: the same bytes again, and containers of them start.

use alluxio_e2e_harness::{Cluster, LIMIT, images};
use k8s_openapi::api::core::v1::Pod;

fn ended(pod: &Pod) -> Option<i32> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.first()?.state.as_ref()?.terminated.as_ref().map(|state| state.exit_code)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_runs_the_image_of_the_data_plane_without_any_rights() {
    let Some(cluster) = Cluster::shared() else { return };
    let image = images::provide(cluster, "alluxio", "dev").unwrap();
    let namespace = cluster.namespace("image").await.unwrap();
    // As its own user, on a root that can't be written, with nothing that the level "restricted" forbids.
    cluster
        .kubectl(&[
            "label",
            "namespace",
            namespace.name(),
            "pod-security.kubernetes.io/enforce=restricted",
        ])
        .unwrap();
    namespace
        .apply(&format!(
            "
apiVersion: v1
kind: Pod
metadata: {{name: version}}
spec:
  restartPolicy: Never
  securityContext: {{runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
  - name: c
    image: {image}
    args: [version]
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {{drop: [ALL]}}
"
        ))
        .unwrap();
    let pod = namespace
        .wait("version", "the container to end", LIMIT, |pod: &Pod| ended(pod).is_some())
        .await
        .unwrap();
    let log = namespace.kubectl(&["logs", "version"]).unwrap();
    assert_eq!(ended(&pod), Some(0), "{log}");
    assert!(log.contains(env!("CARGO_PKG_VERSION")), "{log}");
    namespace.end(LIMIT).await.unwrap();
}
