//! etcd and the API server on loopback: for tests of what the API accepts, and of controllers that need
//! no pods. Needs neither root nor packages but openssl.

use crate::components::{Settings, Wishes};
use crate::process::output;
use crate::programs::{component, require};
use alluxio_testservers::process::{Server, free_port, web_page};
use anyhow::{Context, Result};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A control plane that ends with its owner, however that ends.
pub struct ControlPlane {
    settings: Settings,
    // In the order in which they end.
    _controllers: Option<Server>,
    _api_server: Server,
    _etcd: Server,
    _dir: tempfile::TempDir,
}

impl ControlPlane {
    /// etcd and the API server, ready.
    ///
    /// **Errors**: when the programs aren't built. **Panics** when one does not start within two minutes.
    pub fn start(wishes: &Wishes) -> Result<ControlPlane> {
        Self::start_parts(wishes, false)
    }

    /// The controller manager too: garbage collection, DaemonSets, tokens of service accounts, …
    ///
    /// **Errors**, **Panics**: as [`ControlPlane::start`].
    pub fn start_with_controllers(wishes: &Wishes) -> Result<ControlPlane> {
        Self::start_parts(wishes, true)
    }

    fn start_parts(wishes: &Wishes, with_controllers: bool) -> Result<ControlPlane> {
        let dir = tempfile::tempdir().context("a folder for a control plane")?;
        let ports = [free_port(), free_port(), free_port()];
        let settings = Settings::create(dir.path(), "127.0.0.1", ports, wishes)?;
        let mut etcd = start("etcd", settings.etcd())?;
        let client = SocketAddrV4::new(Ipv4Addr::LOCALHOST, ports[1]);
        etcd.wait_until(|_| {
            let answer = web_page(client, "/health", Duration::from_secs(5)).unwrap_or_default();
            answer.contains("\"health\":\"true\"").then_some(())
        });
        let arguments = settings.api_server("127.0.0.1", with_controllers);
        let mut api_server = start("kube-apiserver", arguments)?;
        let admin = settings.kubeconfig("admin");
        api_server.wait_until(|log| {
            // Asked only once it listens: each question is a process.
            log.contains("Serving securely").then_some(())?;
            kubectl(&admin, &["get", "--raw=/readyz"]).ok()
        });
        let mut controllers = None;
        if with_controllers {
            controllers =
                Some(start("kube-controller-manager", settings.controller_manager(free_port()))?);
        }
        Ok(ControlPlane {
            settings,
            _controllers: controllers,
            _api_server: api_server,
            _etcd: etcd,
            _dir: dir,
        })
    }

    /// Where everything is.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What the API server has said.
    pub fn log(&self) -> String {
        self._api_server.log_text()
    }

    /// Runs kubectl as the admin and gives what it printed.
    ///
    /// **Errors**: with what it said, when it fails.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        kubectl(&self.settings.kubeconfig("admin"), arguments)
    }
}

fn start(name: &str, arguments: Vec<String>) -> Result<Server> {
    let mut command = Server::supervised(&require(component(name))?);
    command.args(arguments);
    Ok(Server::start(command, tempfile::tempdir()?))
}

/// Runs kubectl with this kubeconfig and gives what it printed.
///
/// **Errors**: with what it said, when it fails.
pub fn kubectl(kubeconfig: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(require(component("kubectl"))?);
    command.arg("--kubeconfig").arg(kubeconfig).args(arguments);
    // Its cache lies in the home folder, and would be of clusters that are gone.
    command.env("KUBECACHEDIR", kubeconfig.with_file_name("kubectl-cache"));
    output(&mut command)
}
