//! Volumes on the nodes' own disks, for what needs claims: made by hand, as an administrator does.

use alluxio_e2e_harness::Cluster;
use anyhow::{Context, Result, bail};
use std::fmt::Write as _;

/// The StorageClass.
pub const CLASS: &str = "e2e-disks";
/// So many on each node.
const EACH: usize = 2;

/// Makes the class and the volumes; bound when a pod needs them, where it runs.
///
/// **Errors**: on a cluster of others; and what the API server says.
pub fn provide(cluster: &Cluster, nodes: &[String]) -> Result<()> {
    let own = cluster.nodes()?;
    let mut manifests = format!(
        "
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{name: {CLASS}}}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
"
    );
    for (number, node) in nodes.iter().enumerate() {
        for disk in 0..EACH {
            let path = format!("/srv/disk-{disk}");
            let mut make = own.node_command(number + 1, "mkdir").context("the node is up")?;
            if !make.args(["-p", &path]).status()?.success() {
                bail!("{node}: {path} can't be made");
            }
            write!(
                manifests,
                "---
apiVersion: v1
kind: PersistentVolume
metadata: {{name: {node}-disk-{disk}}}
spec:
  capacity: {{storage: 2Gi}}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: {CLASS}
  local: {{path: {path}}}
  nodeAffinity:
    required:
      nodeSelectorTerms:
      - matchExpressions: [{{key: kubernetes.io/hostname, operator: In, values: [{node}]}}]
"
            )?;
        }
    }
    let mut file = tempfile::NamedTempFile::new()?;
    std::io::Write::write_all(&mut file, manifests.as_bytes())?;
    let path = file.path().display().to_string();
    cluster.kubectl(&["apply", "--server-side", "-f", &path])?;
    Ok(())
}
