//! `alluxio bench …`: our figures beside what the machine can do, in one run.

use crate::error::CliError;
use crate::screen::Screen;
use alluxio_config::{Config, HostPort};
use std::path::{Path, PathBuf};
use std::pin::Pin;

/// A future that a trait object returns.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What an embedded cluster should be.
#[derive(Debug, Clone)]
pub struct ClusterRequest {
    /// Its folder. A folder of an earlier cluster brings that one back.
    pub dir: PathBuf,
    /// Number of workers.
    pub workers: u16,
    /// Configuration on top of everything else.
    pub settings: Vec<(String, String)>,
}

/// Starts clusters in this process. The binary has one; this crate knows no servers.
pub trait Starter: Send + Sync {
    /// Starts a cluster on free ports; it serves when the future ends. The text of an error is for
    /// people.
    fn start(&self, request: ClusterRequest)
    -> Boxed<'_, Result<Box<dyn EmbeddedCluster>, String>>;
}

/// A cluster in this process.
pub trait EmbeddedCluster: Send + Sync {
    /// The configuration that reaches it.
    fn config(&self) -> &Config;

    /// Stops it; its folder stays.
    fn stop(self: Box<Self>) -> Boxed<'static, ()>;
}

/// What benchmarks may use of the binary.
#[derive(Clone, Copy)]
pub(crate) struct Means<'a> {
    pub(crate) starter: Option<&'a dyn Starter>,
    pub(crate) program: Option<&'a Path>,
}

/// Benchmarks.
#[derive(Debug, Clone, clap::Subcommand)]
#[command(rename_all = "kebab-case")]
pub enum BenchCommand {
    /// Read a cached file from one end to the other
    Read,
}

impl BenchCommand {
    pub(crate) async fn run(
        &self,
        _config: &Config,
        _masters: Vec<HostPort>,
        means: Means<'_>,
        _screen: &Screen,
    ) -> Result<(), CliError> {
        let _ = (means.starter, means.program);
        Err(CliError::Unavailable("bench is not built yet".to_owned()))
    }
}
