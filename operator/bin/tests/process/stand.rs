//! An API server with the kinds and the roles, and operators that are processes.

use alluxio_e2e_harness::plane::write_kubeconfig;
use alluxio_e2e_harness::{ControlPlane, Identity};
use alluxio_testservers::process::{Server, free_port, web_page};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};

/// The account of the operator.
const ACCOUNT: &str = "alluxio-operator";
/// The operator, as the audit log names it.
pub(crate) const OPERATOR: &str = "system:serviceaccount:alluxio-system:alluxio-operator";

/// Questions that may go without an answer, each for 5 s.
const PATIENCE: u32 = 6;

/// One API server at a time: several on a small machine make each other wait for longer than tests do.
static TURN: Mutex<()> = Mutex::const_new(());

pub(crate) struct Stand {
    pub(crate) plane: ControlPlane,
    pub(crate) admin: kube::Client,
    dir: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Stand {
    pub(crate) async fn start() -> Stand {
        let turn = TURN.lock().await;
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let plane = ControlPlane::start().await.unwrap();
        let project = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        let path = |name: &str| project.join(name).display().to_string();
        let kubectl = |arguments: &[&str]| plane.kubectl(arguments).unwrap();
        kubectl(&["apply", "--server-side", "-f", &path("crds")]);
        kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]);
        let install = path("manifests/install.yaml");
        kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &install]);
        let admin = plane.client(&Identity::Admin).await.unwrap();
        Stand { plane, admin, dir: tempfile::tempdir().unwrap(), _turn: turn }
    }

    fn kubeconfig(&self, account: &str) -> PathBuf {
        let file = self.dir.path().join(account);
        let identity = Identity::Account("alluxio-system".into(), account.into());
        write_kubeconfig(&self.plane.kubeconfig(), &identity, &file).unwrap();
        file
    }

    /// Another account with the operator's rights, so that the audit log tells two operators apart; its name there.
    pub(crate) fn second_account(&self, name: &str) -> String {
        let kubectl = |arguments: &[&str]| self.plane.kubectl(arguments).unwrap();
        let of = format!("--serviceaccount=alluxio-system:{name}");
        let here = ["--namespace", "alluxio-system"];
        kubectl(&[&["create", "serviceaccount", name], &here[..]].concat());
        for role in ["alluxio-operator", "alluxio-operator-namespaced"] {
            let (binding, role) = (format!("{role}-{name}"), format!("--clusterrole={role}"));
            kubectl(&["create", "clusterrolebinding", &binding, &role, &of]);
        }
        let role = "--role=alluxio-operator-lease";
        kubectl(&[&["create", "rolebinding", name, role, &of], &here[..]].concat());
        format!("system:serviceaccount:alluxio-system:{name}")
    }

    /// The operator, as its image runs it.
    pub(crate) fn operator(&self, arguments: &[&str]) -> Process {
        self.operator_as(ACCOUNT, arguments)
    }

    /// The same with another account.
    pub(crate) fn operator_as(&self, account: &str, arguments: &[&str]) -> Process {
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, free_port());
        let mut command = Server::supervised(Path::new(env!("CARGO_BIN_EXE_alluxio-operator")));
        command.args(["run", "--metrics-address", &address.to_string()]).args(arguments);
        self.start_process(account, command, address)
    }

    /// Another program that is one, and serves its metrics there.
    pub(crate) fn process(&self, command: Command, address: SocketAddrV4) -> Process {
        self.start_process(ACCOUNT, command, address)
    }

    fn start_process(&self, account: &str, mut command: Command, address: SocketAddrV4) -> Process {
        command.env("KUBECONFIG", self.kubeconfig(account));
        command.env("RUST_LOG", "info,kube_client=warn");
        let mut server = Server::start(command, tempfile::tempdir().unwrap());
        server.wait_until(|_| page(address));
        Process { server, address }
    }
}

fn page(address: SocketAddrV4) -> Option<String> {
    let page = web_page(address, "/metrics", Duration::from_secs(5)).ok()?;
    page.contains("200 OK").then_some(page)
}

/// A running operator; it ends with its owner.
pub(crate) struct Process {
    server: Server,
    address: SocketAddrV4,
}

impl Process {
    /// The sum of a counter's or gauge's samples.
    ///
    /// **Panics** with its log when it does not answer.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        // A busy machine may let it wait.
        let page = (0..PATIENCE).find_map(|_| page(self.address));
        let page = page.unwrap_or_else(|| panic!("it does not answer:\n{}", self.log()));
        let samples = page.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        let values = samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum::<f64>() as u64
    }

    /// Resident memory, in bytes: now, and the most it ever was.
    pub(crate) fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
        };
        (of("VmRSS:"), of("VmHWM:"))
    }

    /// Processor time that it used, in seconds.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let fields = stat.rsplit(')').next().unwrap();
        let ticks = fields.split_whitespace().skip(11).take(2).map(|n| n.parse::<f64>().unwrap());
        // The kernel's unit for programs is a hundredth of a second everywhere.
        ticks.sum::<f64>() / 100.0
    }

    fn pid(&self) -> u32 {
        let children = self.server.children();
        *children.first().unwrap_or_else(|| panic!("it has ended:\n{}", self.log()))
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&self) -> bool {
        let children = self.server.children();
        // What has ended stays in the list until it is waited for.
        children.iter().all(|id| {
            let status = std::fs::read_to_string(format!("/proc/{id}/status"));
            status.map_or(true, |status| status.contains("State:\tZ"))
        })
    }

    /// Stops it in the middle of what it does (SIGSTOP), or lets it go on (SIGCONT).
    pub(crate) fn pause(&self, paused: bool) {
        let (signal, pid) = (if paused { "-STOP" } else { "-CONT" }, self.pid().to_string());
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// The end of what it has logged.
    pub(crate) fn log(&self) -> String {
        self.server.log_text()
    }
}
