//! The product on a real Kubernetes: what the tests in `tests/` have in common.
//!
//! It must not know: how the operator or the data plane do their work; only what users see of them.
//!
//! - [`Installed`]: the chart, installed from this checkout with images that were built of it.
//! - [`S3`]: a store in the cluster.
//! - [`App`]: pods that use volumes, and tell what they saw.
//!
//! - [`Stand`]: a cluster with a Dataset on that store.
//! - [`plugin`]: `kubectl alluxio`, built from this checkout.
//! - [`prometheus`]: a real Prometheus that scrapes what monitors name.
//!
//! Reading order: this file, [`images`], [`s3`], [`app`], [`pattern`], [`disks`], [`stand`].

pub mod app;
pub mod disks;
pub mod images;
pub mod pattern;
pub mod prometheus;
pub mod s3;
pub mod stand;

pub use app::App;
pub use s3::S3;
pub use stand::Stand;

use alluxio_e2e_harness::{Cluster, Identity, Namespace};
use alluxio_e2e_kube::programs;
use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{Node, Pod};
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

/// What the operator logged last, for who explains a failure.
pub fn operator_log(cluster: &Cluster) -> String {
    let label = "app.kubernetes.io/component=operator";
    let log = cluster.kubectl(&["logs", "--namespace", SYSTEM, "-l", label, "--tail=60"]);
    log.unwrap_or_else(|error| error.to_string())
}

/// Pods of one part of a cluster (`master`, `worker`, `fuse-agent`, `etcd`).
///
/// **Errors**: what the API server says.
pub async fn pods_of(namespace: &Namespace, component: &str) -> Result<Vec<Pod>> {
    let label = format!("app.kubernetes.io/component={component}");
    let pods: Api<Pod> = namespace.api();
    Ok(pods.list(&ListParams::default().labels(&label)).await?.items)
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

/// kubectl with the plugin `alluxio`, which is built for it.
///
/// **Errors**: when it can't be built.
pub fn plugin(cluster: &Cluster) -> Result<Command> {
    let tests = std::env::current_exe()?;
    let debug = tests.ancestors().find(|dir| dir.ends_with("debug"));
    let debug = debug.context("tests lie below the target folder")?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--package", "alluxio-operator-plugin"]);
    cargo.env("CARGO_TARGET_DIR", debug.parent().context("debug lies in the target folder")?);
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().context("cargo")?;
    if !output.status.success() {
        bail!("the plugin: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let kubectl = programs::require(programs::component("kubectl"))?;
    let kubectl_dir = kubectl.parent().context("kubectl lies in a folder")?;
    let mut path = vec![debug.to_owned(), kubectl_dir.to_owned()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let mut command = Command::new(&kubectl);
    command.env("PATH", std::env::join_paths(path)?).env("KUBECONFIG", cluster.kubeconfig());
    command.arg("alluxio");
    Ok(command)
}
