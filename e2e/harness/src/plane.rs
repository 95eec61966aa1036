//! A control plane of a test's own, and clients for it.

use crate::audit::{self, Mark, Request};
use alluxio_e2e_kube as real;
use anyhow::{Context, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::path::{Path, PathBuf};

pub use alluxio_e2e_kube::components::Wishes;

/// Whom a client speaks as.
#[derive(Debug, Clone)]
pub enum Identity {
    /// Who may do everything.
    Admin,
    /// Any user with any groups, whom the admin impersonates: what they may do is decided as for themselves.
    User(String, Vec<String>),
    /// A service account, by namespace and name, with a token of its own. It must exist.
    Account(String, String),
}

/// etcd and the API server on loopback, which end with their owner.
pub struct ControlPlane {
    inner: real::ControlPlane,
    _folder: tempfile::TempDir,
}

impl ControlPlane {
    /// Starts one, which takes some seconds. It writes down what it is asked ([`ControlPlane::requests`]).
    ///
    /// **Errors**: when the programs aren't built: the message says how. **Panics** when they don't start.
    pub async fn start() -> Result<ControlPlane> {
        Self::start_with(|wishes| real::ControlPlane::start(&wishes)).await
    }

    /// The same with the controller manager: owners' garbage collection, namespaces' ends, DaemonSets, …
    ///
    /// **Errors**, **Panics**: as [`ControlPlane::start`].
    pub async fn start_with_controllers() -> Result<ControlPlane> {
        Self::start_with(|wishes| real::ControlPlane::start_with_controllers(&wishes)).await
    }

    async fn start_with(
        start: impl FnOnce(Wishes) -> Result<real::ControlPlane> + Send + 'static,
    ) -> Result<ControlPlane> {
        let wishes = Wishes { users: Vec::new(), audit: true };
        // It waits for processes.
        let inner = tokio::task::spawn_blocking(move || start(wishes)).await??;
        Ok(ControlPlane { inner, _folder: tempfile::tempdir()? })
    }

    /// The admin's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.inner.settings().kubeconfig("admin")
    }

    /// A client.
    ///
    /// **Errors**: for an account that doesn't exist.
    pub async fn client(&self, identity: &Identity) -> Result<Client> {
        Ok(Client::try_from(self.config(identity).await?)?)
    }

    /// What a client is made of; [`write_kubeconfig`] makes a file of the same.
    ///
    /// **Errors**: for an account that doesn't exist.
    pub async fn config(&self, identity: &Identity) -> Result<Config> {
        config(&self.kubeconfig(), identity).await
    }

    /// Runs kubectl as the admin and gives what it printed.
    ///
    /// **Errors**: with what it said, when it fails.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.inner.kubectl(arguments)
    }

    /// What the API server was asked since it started, in order.
    ///
    /// **Errors**: when its log can't be read.
    pub fn requests(&self) -> Result<Vec<Request>> {
        self.requests_since(Mark::default())
    }

    /// What it was asked from a moment on.
    ///
    /// **Errors**: when its log can't be read.
    pub fn requests_since(&self, mark: Mark) -> Result<Vec<Request>> {
        audit::read(&self.inner.settings().audit_log(), mark)
    }

    /// This moment, for [`ControlPlane::requests_since`].
    ///
    /// **Errors**: when its log can't be read.
    pub fn mark(&self) -> Result<Mark> {
        audit::end(&self.inner.settings().audit_log())
    }

    /// The API server's own log.
    pub fn log(&self) -> String {
        self.inner.log()
    }
}

/// A client's configuration for one identity, from the admin's kubeconfig.
///
/// **Errors**: when the file can't be read, or the account doesn't exist.
pub async fn config(kubeconfig: &Path, identity: &Identity) -> Result<Config> {
    let file = identify(kubeconfig, identity)?;
    Ok(Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?)
}

/// Writes a kubeconfig for one identity, for programs of the test. Only its owner can read it.
///
/// **Errors**: when the files can't be read or written, or the account doesn't exist.
pub fn write_kubeconfig(admin: &Path, identity: &Identity, to: &Path) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let text = serde_json::to_vec(&identify(admin, identity)?)?;
    let options =
        std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(to);
    options.with_context(|| to.display().to_string())?.write_all(&text)?;
    Ok(())
}

fn identify(kubeconfig: &Path, identity: &Identity) -> Result<Kubeconfig> {
    let mut file = Kubeconfig::read_from(kubeconfig)
        .with_context(|| format!("cannot read {}", kubeconfig.display()))?;
    let user = file.auth_infos.first_mut().and_then(|named| named.auth_info.as_mut());
    let user = user.with_context(|| format!("{} has no user", kubeconfig.display()))?;
    match identity {
        Identity::Admin => {}
        Identity::User(name, groups) => {
            user.impersonate = Some(name.clone());
            user.impersonate_groups = Some(groups.clone());
        }
        Identity::Account(namespace, name) => {
            let arguments = ["create", "token", name, "--namespace", namespace];
            let token = real::control_plane::kubectl(kubeconfig, &arguments)?;
            user.token = Some(token.trim().to_owned().into());
        }
    }
    Ok(file)
}
