//! `alluxio-operator run`.

use alluxio_config::Config;
use alluxio_host::Host;
use alluxio_operator_controller::cluster::remote::RemoteAdmin;
use alluxio_operator_controller::cluster::validate::Defaults;
use alluxio_operator_controller::election::ElectionConfig;
use alluxio_operator_controller::metrics::OperatorMetrics;
use alluxio_operator_controller::run::{Admins, OperatorConfig, fenced_client};
use alluxio_telemetry::{AdminServer, LogTarget, Metrics, Readiness, trace};
use anyhow::{Context, bail};
use clap::Args;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Readiness: the API server answered.
const CONNECTED: &str = "connected";

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Namespaces to work in; without it, all of them
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    watch_namespaces: Vec<String>,
    /// Where metrics and health are served
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    metrics_address: String,
    /// Name of the lease by which one of several operators acts
    #[arg(long, default_value = "alluxio-operator", value_name = "NAME")]
    lease_name: String,
    /// How long the lease lasts, in seconds
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(5..=300))]
    lease_seconds: u64,
    /// Act without a lease: there is no other operator
    #[arg(long)]
    no_election: bool,
    /// Image of masters, workers and agents where a cluster names none: REPOSITORY[:TAG]
    #[arg(long, default_value = "alluxio", value_name = "IMAGE")]
    data_plane_image: String,
    /// Image of etcd where a cluster names none
    #[arg(long, default_value = "localhost/etcd:v3.6.4", value_name = "IMAGE")]
    etcd_image: String,
    /// Pull policy where a cluster names none
    #[arg(long, default_value = "IfNotPresent", value_parser = ["Always", "IfNotPresent", "Never"])]
    pull_policy: String,
    /// Namespace of the lease
    #[arg(long, env = "POD_NAMESPACE", default_value = "default", value_name = "NAME")]
    pod_namespace: String,
    /// Who this process is, in the lease and in events
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pod_name: Option<String>,
}

impl RunArguments {
    fn defaults(&self) -> Defaults {
        // A registry may have a port: only what follows the last slash can be a tag.
        let name = self.data_plane_image.rfind('/').map_or(0, |slash| slash + 1);
        let tag = self.data_plane_image[name..].find(':').map(|colon| name + colon);
        let (repository, version) = match tag {
            Some(colon) => (&self.data_plane_image[..colon], &self.data_plane_image[colon + 1..]),
            None => (self.data_plane_image.as_str(), env!("CARGO_PKG_VERSION")),
        };
        Defaults {
            repository: repository.to_owned(),
            version: version.to_owned(),
            pull_policy: self.pull_policy.clone(),
            etcd_image: self.etcd_image.clone(),
        }
    }
}

pub(crate) fn run(arguments: RunArguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(arguments))
}

async fn serve(arguments: RunArguments) -> anyhow::Result<()> {
    let general = Config::of(Vec::<(String, String)>::new())?.general()?;
    let directives = std::env::var("RUST_LOG").ok();
    let log = trace::install(&general, LogTarget::Server, directives.as_deref())?;
    // Before any connection is made; another library may have been faster with the same one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let registry = Metrics::new("operator");
    let metrics = OperatorMetrics::register(&registry)?;
    let readiness = Readiness::waiting_for(&[CONNECTED]);
    let (host, port) = arguments
        .metrics_address
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse().ok()?)))
        .with_context(|| {
            format!("--metrics-address {}: no HOST:PORT", arguments.metrics_address)
        })?;
    let admin = AdminServer { metrics: registry, readiness: readiness.clone(), log };
    let admin = admin.start(&Host::real().net, host, port, axum::Router::new()).await?;
    let cluster = kube::Config::infer().await.context("no cluster is configured")?;
    let (client, fence) = fenced_client(cluster, &metrics)?;
    connect(&client).await;
    readiness.ready(CONNECTED);
    let identity = arguments
        .pod_name
        .clone()
        .unwrap_or_else(|| format!("alluxio-operator-{}", std::process::id()));
    let election = (!arguments.no_election).then(|| ElectionConfig {
        namespace: arguments.pod_namespace.clone(),
        name: arguments.lease_name.clone(),
        identity: identity.clone(),
        duration: Duration::from_secs(arguments.lease_seconds),
    });
    let config = OperatorConfig {
        namespaces: arguments.watch_namespaces.clone(),
        election,
        defaults: arguments.defaults(),
        instance: Some(identity),
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let remote = Arc::new(RemoteAdmin::default());
    let admins = Admins { cluster: remote.clone(), dataset: remote };
    let lost =
        alluxio_operator_controller::run::run(client, fence, config, admins, metrics, stop).await;
    admin.stop().await;
    match lost {
        // The next process begins with nothing that this one had half done.
        Some(lost) => bail!("{lost}; this process ends"),
        None => Ok(()),
    }
}

/// Waits until the API server answers: an operator that ends at once only makes a join storm worse.
async fn connect(client: &kube::Client) {
    let mut pause = Duration::from_millis(500);
    loop {
        match client.apiserver_version().await {
            Ok(version) => {
                tracing::info!(version = version.git_version, "connected to the API server");
                return;
            }
            Err(error) => tracing::warn!(%error, "the API server does not answer"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(30));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: RunArguments,
    }

    fn defaults(image: &str) -> Defaults {
        Line::parse_from(["run", "--data-plane-image", image]).arguments.defaults()
    }

    #[test]
    fn an_image_is_a_repository_and_perhaps_a_tag() {
        let tagged = defaults("registry.example:5000/cache/alluxio:1.2.3");
        assert_eq!(tagged.repository, "registry.example:5000/cache/alluxio");
        assert_eq!(tagged.version, "1.2.3");
        let bare = defaults("registry.example:5000/alluxio");
        assert_eq!(bare.repository, "registry.example:5000/alluxio");
        assert_eq!(bare.version, env!("CARGO_PKG_VERSION"));
    }
}
