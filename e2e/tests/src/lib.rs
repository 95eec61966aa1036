//! The product on a real Kubernetes: what the tests in `tests/` have in common.
//!
//! It must not know: how the operator or the data plane do their work; only what users see of them.
//!
//! - [`Installed`]: the chart, installed from this checkout with images that were built of it.
//! - [`S3`]: a store in the cluster.
//! - [`App`]: pods that use volumes, and tell what they saw.
//!
//! - [`Stand`]: a cluster with a Dataset on that store.
//!
//! Reading order: this file, [`images`], [`s3`], [`app`], [`pattern`], [`disks`], [`stand`].

pub mod app;
pub mod disks;
pub mod images;
pub mod pattern;
pub mod s3;
pub mod stand;

pub use app::App;
pub use s3::S3;
pub use stand::Stand;

use alluxio_e2e_harness::Cluster;
use alluxio_e2e_harness::Identity;
use alluxio_e2e_kube::programs;
use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use std::path::PathBuf;
use std::process::Command;

/// Where the chart is installed.
pub const SYSTEM: &str = "alluxio-system";

/// Names of the nodes, in order.
///
/// **Errors**: what the API server says.
pub async fn nodes(cluster: &Cluster) -> Result<Vec<String>> {
    let nodes: Api<Node> = Api::all(cluster.client(&Identity::Admin).await?);
    let nodes = nodes.list(&ListParams::default()).await?;
    let mut names: Vec<String> = nodes.iter().map(ResourceExt::name_any).collect();
    names.sort();
    Ok(names)
}

/// An installed chart.
pub struct Installed {
    /// The data plane's image, as pods name it.
    pub image: String,
}

impl Installed {
    /// Builds the images, gives them to the nodes, and installs the chart with further `values` (`key=value`).
    ///
    /// **Errors**: with what helm said.
    pub fn install(cluster: &Cluster, values: &[&str]) -> Result<Installed> {
        let image = alluxio_e2e_harness::images::provide(cluster, "alluxio", "dev")?;
        let operator = alluxio_e2e_harness::images::provide(cluster, "alluxio-operator", "dev")?;
        let chart = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../charts/alluxio");
        let mut sets = Vec::new();
        for (key, image) in [("image", &image), ("operator.image", &operator)] {
            let (repository, tag) = image.rsplit_once(':').context("an image has a tag")?;
            sets.push(format!("{key}.repository={repository}"));
            sets.push(format!("{key}.tag={tag}"));
        }
        sets.extend(values.iter().map(|value| (*value).to_owned()));
        let mut helm = Command::new(programs::require(programs::helm())?);
        helm.args(["upgrade", "--install", "alluxio"]).arg(chart);
        helm.args(["--namespace", SYSTEM, "--create-namespace"]);
        for set in &sets {
            helm.args(["--set", set]);
        }
        helm.env("KUBECONFIG", cluster.kubeconfig());
        let output = helm.output().context("helm")?;
        if !output.status.success() {
            bail!("helm: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(Installed { image })
    }
}
