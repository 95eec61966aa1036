//! A cluster in the process of the test.

use alluxio_client::FileSystem;
use alluxio_config::{Config, Sources};
use alluxio_host::Host;
use alluxio_node::Process;
use alluxio_node::local::{self, LocalOptions, Ports};
use alluxio_node::process::Invocation;
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// How long running calls may take to end when a cluster stops.
const PATIENCE: Duration = Duration::from_secs(5);

/// A master and workers in this process, on a temporary folder.
pub struct LocalCluster {
    running: local::LocalCluster,
    options: LocalOptions,
    properties: Vec<(String, String)>,
    dir: TempDir,
}

impl LocalCluster {
    /// A cluster with one worker and nothing configured.
    ///
    /// **Errors**: why it does not start.
    pub async fn start() -> anyhow::Result<Self> {
        Self::with(1, std::iter::empty::<(&str, &str)>()).await
    }

    /// A cluster with so many workers and these properties.
    ///
    /// **Errors**: why it does not start.
    pub async fn with<K: Into<String>, V: Into<String>>(
        workers: u16,
        properties: impl IntoIterator<Item = (K, V)>,
    ) -> anyhow::Result<Self> {
        let dir = TempDir::with_prefix("alluxio-test-")?;
        let options = LocalOptions {
            dir: dir.path().join("cluster"),
            ports: Ports::Auto,
            workers,
            ufs: None,
        };
        let properties: Vec<(String, String)> =
            properties.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        let running = run(&options, &properties).await?;
        Ok(LocalCluster { running, options, properties, dir })
    }

    /// A client of it.
    ///
    /// **Errors**: as [`FileSystem::connect`].
    pub fn client(&self) -> anyhow::Result<FileSystem> {
        Ok(FileSystem::connect(self.running.config().client()?, Host::real())?)
    }

    /// The configuration that reaches it.
    pub fn config(&self) -> &Config {
        self.running.config()
    }

    /// A folder of the test, gone with the cluster.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The folder that is mounted at `/`.
    pub fn root_ufs(&self) -> PathBuf {
        self.options.dir.join("underFSStorage")
    }

    /// The roles.
    pub fn roles(&self) -> &local::LocalCluster {
        &self.running
    }

    /// Stops all roles in order and starts them again on what they left, at the same addresses where
    /// those are still free.
    ///
    /// **Errors**: why it does not start again.
    pub async fn restart(self) -> anyhow::Result<Self> {
        let LocalCluster { running, options, properties, dir } = self;
        running.stop(PATIENCE).await;
        let running = run(&options, &properties).await?;
        Ok(LocalCluster { running, options, properties, dir })
    }

    /// Stops all roles in order.
    pub async fn stop(self) {
        self.running.stop(PATIENCE).await;
    }
}

async fn run(
    options: &LocalOptions,
    properties: &[(String, String)],
) -> anyhow::Result<local::LocalCluster> {
    let invocation =
        Invocation { environment: Default::default(), definitions: properties.to_vec() };
    let config = local::configure(&invocation, options)?;
    local::start(&Process::embedded(config), options).await.context("local cluster")
}

/// The configuration of a client of a site file, with nothing from this process's environment.
///
/// **Errors**: what is wrong with the file.
pub fn config_of(site_file: &Path) -> anyhow::Result<Config> {
    use alluxio_config::source::SiteFile;
    let sources =
        Sources::process(std::iter::empty()).with_site_file(SiteFile::At(site_file.into()));
    Ok(Config::load(sources)?)
}
