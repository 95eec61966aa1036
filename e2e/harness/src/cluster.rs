//! The cluster with nodes that the tests of one program share.

use crate::audit::{self, Request};
use crate::namespace::Namespace;
use crate::plane::{Identity, Wishes, config};
use alluxio_e2e_kube as real;
use anyhow::{Context, Result, bail};
use kube::Client;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Names the kubeconfig of a cluster that tests shall use. Not `KUBECONFIG`: tests must not run on
/// whatever cluster somebody happens to work with.
pub const KUBECONFIG: &str = "ALLUXIO_E2E_KUBECONFIG";
/// How many nodes a cluster of the tests' own has; 2 unless set.
pub const NODES: &str = "ALLUXIO_E2E_NODES";

/// A cluster whose nodes run pods.
pub struct Cluster {
    /// `None` for somebody's.
    own: Option<real::Cluster>,
    kubeconfig: PathBuf,
}

impl Cluster {
    /// The cluster of this process: made when first asked for, ended with the process.
    ///
    /// `None`, with a line that says so, for who may not make one: without root, outside of continuous
    /// integration.
    ///
    /// **Panics** when it can't be made; the message says what to do.
    pub fn shared() -> Option<&'static Cluster> {
        Cluster::shared_of(1)
    }

    /// The same, with as many nodes at least, if it is made here.
    ///
    /// **Panics** as [`Cluster::shared`].
    pub fn shared_of(nodes: usize) -> Option<&'static Cluster> {
        static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
        SHARED.get_or_init(|| Cluster::open(nodes)).as_ref()
    }

    #[expect(clippy::print_stderr, reason = "a test that can't test says so")]
    fn open(nodes: usize) -> Option<Cluster> {
        if let Some(kubeconfig) = std::env::var_os(KUBECONFIG) {
            return Some(Cluster { own: None, kubeconfig: PathBuf::from(kubeconfig) });
        }
        let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
        if !is_root() && !in_ci {
            eprintln!("not tested: a cluster with nodes needs root, or {KUBECONFIG}");
            return None;
        }
        let cluster =
            Cluster::start_of(nodes).unwrap_or_else(|error| panic!("no cluster: {error:#}"));
        Some(cluster)
    }

    /// A cluster of this test's own, for those that break it. Ends with its owner.
    ///
    /// **Errors**: when it can't be made; the message says what to do.
    pub fn start() -> Result<Cluster> {
        Cluster::start_of(1)
    }

    /// The same, with as many nodes at least.
    ///
    /// **Errors**: as of [`Cluster::start`].
    pub fn start_of(at_least: usize) -> Result<Cluster> {
        let nodes = std::env::var(NODES).unwrap_or_else(|_| "2".to_owned());
        let nodes: usize =
            nodes.parse().with_context(|| format!("{NODES}={nodes}: not a number"))?;
        let nodes = nodes.max(at_least);
        let id = std::process::id();
        // Unique on this machine, and removed at the end.
        let state = tempfile::Builder::new().prefix("alluxio-kube-").tempdir()?.keep();
        let name = state.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let options = real::Options {
            name: format!("{id}-{}", name.trim_start_matches("alluxio-kube-.")),
            state,
            nodes,
            watched: true,
            wishes: Wishes { users: Vec::new(), audit: true },
        };
        let own = real::Cluster::start(&options, &|line| say(line))?;
        let kubeconfig = own.kubeconfig();
        Ok(Cluster { own: Some(own), kubeconfig })
    }

    /// The admin's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A client, of the runtime that asks.
    ///
    /// **Errors**: for an account that doesn't exist.
    pub async fn client(&self, identity: &Identity) -> Result<Client> {
        Ok(Client::try_from(config(&self.kubeconfig, identity).await?)?)
    }

    /// A namespace for one test.
    ///
    /// **Errors**: what the API server says.
    pub async fn namespace(&self, purpose: &str) -> Result<Namespace> {
        let client = self.client(&Identity::Admin).await?;
        Namespace::create(&client, &self.kubeconfig, purpose).await
    }

    /// Gives an image (an OCI archive) to every node.
    ///
    /// **Errors**: for somebody's cluster, which takes images from registries only; and with what
    /// containerd says.
    pub fn load_image(&self, archive: &Path) -> Result<()> {
        match &self.own {
            Some(cluster) => cluster.import(archive),
            None => bail!(
                "images can't be put into the cluster of {KUBECONFIG}: push {} to a registry that it \
                 pulls from",
                archive.display()
            ),
        }
    }

    /// This machine's nodes, to break them.
    ///
    /// **Errors**: for somebody's cluster.
    pub fn nodes(&self) -> Result<&real::Cluster> {
        self.own.as_ref().with_context(|| {
            format!("this test breaks nodes; it needs a cluster of its own: unset {KUBECONFIG}")
        })
    }

    /// Runs kubectl as the admin and gives what it printed.
    ///
    /// **Errors**: with what it said, when it fails.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        real::control_plane::kubectl(&self.kubeconfig, arguments)
    }

    /// What the API server was asked since it started, in order.
    ///
    /// **Errors**: for somebody's cluster.
    pub fn requests(&self) -> Result<Vec<Request>> {
        audit::read(&self.nodes()?.audit_log(), audit::Mark::default())
    }
}

fn is_root() -> bool {
    std::fs::read_dir("/root").is_ok()
}

#[expect(
    clippy::print_stderr,
    reason = "what takes seconds says so; cargo shows it for failed tests"
)]
fn say(line: &str) {
    eprintln!("{line}");
}
