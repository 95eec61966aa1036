//! A cluster with a Dataset on a store in the same Kubernetes: what tests of volumes begin with.

use crate::{App, Installed, S3, operator_log, pods_of};
use alluxio_e2e_harness::{Cluster, LIMIT, Namespace};
use alluxio_operator_api::cluster::ClusterPhase;
use alluxio_operator_api::dataset::DatasetPhase;
use alluxio_operator_api::{AlluxioCluster, Dataset};
use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Name of the `AlluxioCluster`.
pub const NAME: &str = "demo";
/// Name of the Dataset, and so of its claim.
pub const DATASET: &str = "data";
/// Folder of the store that the Dataset shows.
pub const FOLDER: &str = "files";
/// Files in it, called and filled as [`pattern`](crate::pattern) says.
pub const FILES: u64 = 12;
/// Bytes of each: three blocks.
pub const FILE_BYTES: u64 = (2 << 20) + 12_345;
/// Ports where roles show their metrics.
const WEB: [(&str, u16); 3] = [("master", 19999), ("worker", 30000), ("fuse-agent", 49999)];

/// All of it.
pub struct Stand {
    /// The Kubernetes.
    pub cluster: &'static Cluster,
    /// Where everything is but the chart.
    pub namespace: Namespace,
    /// The data plane's image.
    pub image: String,
    /// The store.
    pub s3: S3,
    /// Names of the nodes, in order.
    pub nodes: Vec<String>,
    /// From the apply of cluster and Dataset until the Dataset was ready.
    pub ready_after: Duration,
}

/// The masters, as a part of the specification.
pub enum Masters {
    /// One, with its journal in a folder that goes with the pod.
    One,
    /// Three, with an etcd of three members on volumes of the nodes' disks.
    Three,
}

impl Stand {
    /// Installs the chart, starts and fills the store on the first node, and applies cluster and Dataset at once.
    ///
    /// **Errors**: what did not get ready, with what the operator logged.
    pub async fn start(cluster: &'static Cluster, masters: &Masters) -> Result<Stand> {
        Self::start_with(cluster, masters, &[]).await
    }

    /// The same, with further values of the chart (`key=value`).
    ///
    /// **Errors**: as of [`Stand::start`].
    pub async fn start_with(
        cluster: &'static Cluster,
        masters: &Masters,
        values: &[&str],
    ) -> Result<Stand> {
        let image =
            Installed::install(cluster, &[&["operator.replicas=1"], values].concat())?.image;
        let namespace = cluster.namespace("volumes").await?;
        let nodes = crate::nodes(cluster).await?;
        let s3 = S3::start(cluster, &namespace, &nodes[0]).await?;
        App::fill(&namespace, &s3, &nodes[0], FOLDER, FILES, FILE_BYTES).await?;
        if matches!(masters, Masters::Three) {
            crate::images::etcd(cluster)?;
            crate::disks::provide(cluster, &nodes)?;
        }
        let started = Instant::now();
        namespace.apply(&manifests(masters, &s3))?;
        let ready = namespace.wait(DATASET, "it is ready", LIMIT, is_ready).await;
        let ready_after = started.elapsed();
        ready.with_context(|| what_the_operator_says(cluster, &namespace))?;
        let stand = Stand { cluster, namespace, image, s3, nodes, ready_after };
        stand.all_ready().await?;
        Ok(stand)
    }

    /// Waits until the cluster has all that it shall have.
    ///
    /// **Errors**: with what the operator logged.
    pub async fn all_ready(&self) -> Result<()> {
        let is_ready = |cluster: &AlluxioCluster| {
            cluster.status.as_ref().is_some_and(|status| status.phase == Some(ClusterPhase::Ready))
        };
        let ready = self.namespace.wait(NAME, "it is ready", LIMIT, is_ready).await;
        ready.with_context(|| what_the_operator_says(self.cluster, &self.namespace))?;
        Ok(())
    }

    /// Pods of one part of the cluster (`master`, `worker`, `fuse-agent`, `etcd`), by the node that they are on.
    ///
    /// **Errors**: what the API server says.
    pub async fn pods(&self, component: &str) -> Result<Vec<Pod>> {
        let mut pods = pods_of(&self.namespace, component).await?;
        pods.sort_by_key(node_of);
        Ok(pods)
    }

    /// The pod of a DaemonSet that is on a node.
    ///
    /// **Errors**: when there is none.
    pub async fn pod_on(&self, component: &str, node: &str) -> Result<String> {
        let pods = self.pods(component).await?;
        let pod = pods.iter().find(|pod| node_of(pod) == node);
        Ok(pod.with_context(|| format!("no {component} on {node}"))?.name_any())
    }

    /// The sum of a metric over its labels, at one pod of a part. `name` may name one of them: `x_total{source="ufs"}`.
    ///
    /// **Errors**: when it can't be asked.
    pub fn metric(&self, component: &str, pod: &str, name: &str) -> Result<f64> {
        let port = WEB.iter().find(|(part, _)| *part == component).context("its port")?.1;
        let namespace = self.namespace.name();
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy/metrics");
        let text = self.cluster.kubectl(&["get", "--raw", &path])?;
        Ok(sum_of(&text, name))
    }

    /// The same, of all pods of a part by their nodes.
    ///
    /// **Errors**: when one can't be asked.
    pub async fn metrics(&self, component: &str, name: &str) -> Result<BTreeMap<String, f64>> {
        let mut all = BTreeMap::new();
        for pod in self.pods(component).await? {
            all.insert(node_of(&pod), self.metric(component, &pod.name_any(), name)?);
        }
        Ok(all)
    }
}

/// Whether a Dataset is ready.
fn is_ready(dataset: &Dataset) -> bool {
    dataset.status.as_ref().is_some_and(|status| status.phase == Some(DatasetPhase::Ready))
}

/// The node that a pod is on; empty for none.
pub fn node_of(pod: &Pod) -> String {
    pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default()
}

/// The values of all lines of one metric: with the labels that `name` has, and whatever others.
fn sum_of(text: &str, name: &str) -> f64 {
    let (name, labels) = name.split_once('{').unwrap_or((name, "}"));
    let labels = labels.trim_end_matches('}');
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let is_it = rest.starts_with([' ', '{']) && rest.contains(labels);
        is_it.then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
    });
    values.sum()
}

fn what_the_operator_says(cluster: &Cluster, namespace: &Namespace) -> String {
    let objects = namespace.kubectl(&["get", "alluxioclusters,datasets", "-o", "yaml"]);
    format!("{objects:?}\n{}\noperator: {}", namespace.surroundings(), operator_log(cluster))
}

fn manifests(masters: &Masters, s3: &S3) -> String {
    let endpoint = &s3.endpoint;
    let small = "resources: {requests: {cpu: 10m, memory: 32Mi}}";
    let masters = match masters {
        Masters::One => format!(
            "master:
    replicas: 1
    journal: {{type: Folder, allowDataLoss: true, storage: {{emptyDir: {{}}}}}}
    {small}"
        ),
        Masters::Three => format!(
            "coordination:
    etcd: {{managed: {{storage: {{persistentVolumeClaim: {{size: 1Gi, storageClassName: {}}}}}, {small}}}}}
  master:
    replicas: 3
    journal: {{type: Etcd, allowDataLoss: true, storage: {{emptyDir: {{}}}}}}
    {small}",
            crate::disks::CLASS
        ),
    };
    format!(
        "
apiVersion: alluxio.dev/v1alpha1
kind: AlluxioCluster
metadata: {{name: {NAME}}}
spec:
  properties: {{alluxio.user.block.size.bytes.default: 1MB}}
  {masters}
  worker:
    {small}
    tieredStore:
      levels:
      - {{alias: SSD, medium: SSD, hostPath: {{dirs: [{{path: /mnt/cache, quota: 1Gi}}]}}}}
  fuse: {{{small}}}
---
apiVersion: alluxio.dev/v1alpha1
kind: Dataset
metadata: {{name: {DATASET}}}
spec:
  clusterRef: {{name: {NAME}}}
  accessModes: [ReadWriteMany]
  mounts:
  - name: files
    uri: s3://{bucket}/{FOLDER}
    readOnly: false
    s3: {{endpoint: {endpoint:?}, region: us-east-1, pathStyle: true}}
    credentials: {{secretRef: {{name: {secret}}}}}
",
        bucket = crate::s3::BUCKET,
        secret = crate::s3::SECRET,
    )
}

#[cfg(test)]
mod tests {
    use super::sum_of;

    #[test]
    fn a_metric_is_summed_over_its_labels_and_is_not_another_that_begins_alike() {
        let text =
            "# HELP a_total A\na_total{x=\"1\"} 2\na_total{x=\"2\"} 3\na_total_more 7\nb 1\n";
        assert_eq!(sum_of(text, "a_total"), 5.0);
        assert_eq!(sum_of(text, "a_total{x=\"2\"}"), 3.0);
        assert_eq!(sum_of(text, "b"), 1.0);
        assert_eq!(sum_of(text, "c"), 0.0);
    }
}
