//! How the components of the control plane are called.

use crate::credentials::{ADMINS, Authority, Usage, Users, write_kubeconfig};
use anyhow::Result;
use std::fs;
use std::path::{Path, PathBuf};

/// Network of the cluster's Services.
pub const SERVICES: &str = "10.96.0.0/16";
/// The address at which pods reach the API server.
const API_SERVICE: &str = "10.96.0.1";

/// What is asked of a control plane.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// Users beside the admin, with their groups. The API server learns them when it starts.
    pub users: Vec<(String, Vec<String>)>,
    /// Whether it writes down who asked for what ([`Settings::audit_log`]).
    pub audit: bool,
}

/// Where the parts of one control plane are, and who may speak to them.
#[derive(Debug)]
pub struct Settings {
    dir: PathBuf,
    authority: Authority,
    users: Users,
    address: String,
    api_port: u16,
    etcd_port: u16,
    etcd_peer_port: u16,
    audit: bool,
}

impl Settings {
    /// Writes certificates, users and the admin's kubeconfig into `dir`.
    pub(crate) fn create(
        dir: &Path,
        address: &str,
        [api_port, etcd_port, etcd_peer_port]: [u16; 3],
        wishes: &Wishes,
    ) -> Result<Settings> {
        fs::create_dir_all(dir.join("log"))?;
        let authority = Authority::create(dir.join("pki"))?;
        let users = Users::create(dir.join("tokens.csv"))?;
        let (dir, address) = (dir.to_owned(), address.to_owned());
        let audit = wishes.audit;
        let settings =
            Settings { dir, authority, users, address, api_port, etcd_port, etcd_peer_port, audit };
        let mut names: Vec<String> = ["localhost", "kubernetes", "kubernetes.default"]
            .into_iter()
            .chain(["kubernetes.default.svc", "kubernetes.default.svc.cluster.local"])
            .map(|name| format!("DNS:{name}"))
            .collect();
        names.extend(["IP:127.0.0.1".to_owned(), format!("IP:{API_SERVICE}")]);
        names.push(format!("IP:{}", settings.address));
        settings.authority.issue("apiserver", "/CN=kube-apiserver", &names, Usage::Server)?;
        // kubelets take certificates only. Their authorization asks the API server, which knows the group.
        let subject = format!("/O={ADMINS}/CN=kube-apiserver");
        let client = ["DNS:kube-apiserver".to_owned()];
        settings.authority.issue("apiserver-client", &subject, &client, Usage::Client)?;
        settings.add_user("admin", &[ADMINS])?;
        settings.add_user("system:kube-controller-manager", &[])?;
        settings.add_user("system:kube-scheduler", &[])?;
        settings.add_user("system:kube-proxy", &[])?;
        for (name, groups) in &wishes.users {
            let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
            settings.add_user(name, &groups)?;
        }
        if wishes.audit {
            fs::write(settings.dir.join("audit.yaml"), AUDIT_POLICY)?;
        }
        Ok(settings)
    }

    /// Adds a user with a kubeconfig; only before the API server starts.
    pub(crate) fn add_user(&self, name: &str, groups: &[&str]) -> Result<()> {
        let token = self.users.add(name, groups)?;
        write_kubeconfig(&self.kubeconfig(name), &self.url(), &self.authority, &token)
    }

    /// The kubeconfig of a user.
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.dir.join(format!("{}.kubeconfig", user.replace(':', "-")))
    }

    /// Where the API server is for whoever shares its network.
    pub fn url(&self) -> String {
        format!("https://{}:{}", self.address, self.api_port)
    }

    /// The folder of everything.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Certificates.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// One JSON object a line, when it was wished for.
    pub fn audit_log(&self) -> PathBuf {
        self.dir.join("audit.log")
    }

    /// The log of a component.
    pub fn log(&self, component: &str) -> PathBuf {
        self.dir.join("log").join(format!("{component}.log"))
    }

    /// Arguments of etcd.
    pub(crate) fn etcd(&self) -> Vec<String> {
        let client = format!("http://127.0.0.1:{}", self.etcd_port);
        let peer = format!("http://127.0.0.1:{}", self.etcd_peer_port);
        vec![
            "--name=e2e".into(),
            format!("--data-dir={}", self.dir.join("etcd").display()),
            // What this etcd holds is worth nothing after the test.
            "--unsafe-no-fsync".into(),
            "--log-level=warn".into(),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=e2e={peer}"),
        ]
    }

    /// Arguments of the API server. `accounts`: whether pods get tokens, which needs the controller manager.
    pub(crate) fn api_server(&self, bind: &str, accounts: bool) -> Vec<String> {
        let pki = |name: &str| self.dir.join("pki").join(name).display().to_string();
        let mut args = vec![
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            format!("--bind-address={bind}"),
            format!("--secure-port={}", self.api_port),
            format!("--advertise-address={}", self.address),
            format!("--service-cluster-ip-range={SERVICES}"),
            "--allow-privileged=true".into(),
            "--authorization-mode=Node,RBAC".into(),
            format!("--client-ca-file={}", pki("ca.crt")),
            format!("--tls-cert-file={}", pki("apiserver.crt")),
            format!("--tls-private-key-file={}", pki("apiserver.key")),
            format!("--kubelet-client-certificate={}", pki("apiserver-client.crt")),
            format!("--kubelet-client-key={}", pki("apiserver-client.key")),
            "--kubelet-preferred-address-types=InternalIP".into(),
            format!("--token-auth-file={}", self.users.file().display()),
            "--service-account-issuer=https://kubernetes.default.svc".into(),
            format!("--service-account-key-file={}", pki("accounts.key")),
            format!("--service-account-signing-key-file={}", pki("accounts.key")),
            format!("--cert-dir={}", pki("")),
            // Webhooks are called at the addresses of their pods: no kube-proxy runs beside the API server.
            "--enable-aggregator-routing=true".into(),
            "--profiling=false".into(),
        ];
        if self.address == "127.0.0.1" {
            // A loopback address can't be an endpoint, and nobody asks for one without nodes.
            args.push("--endpoint-reconciler-type=none".into());
        }
        if !accounts {
            args.push("--disable-admission-plugins=ServiceAccount".into());
        }
        if self.audit {
            args.push(format!("--audit-policy-file={}", self.dir.join("audit.yaml").display()));
            args.push(format!("--audit-log-path={}", self.audit_log().display()));
            args.push("--audit-log-mode=blocking".into());
            // Never begun anew: a test reads all of it.
            args.push("--audit-log-maxsize=100000".into());
        }
        args
    }

    /// Arguments of the controller manager.
    pub(crate) fn controller_manager(&self, port: u16) -> Vec<String> {
        let mut args = self.of_component("system:kube-controller-manager", port);
        args.extend([
            "--use-service-account-credentials=true".into(),
            format!(
                "--service-account-private-key-file={}",
                self.authority.accounts_key().display()
            ),
            format!("--root-ca-file={}", self.authority.certificate().display()),
            // Tests lose nodes and wait for it: half of the usual time, and claims are bound at once.
            "--node-monitor-grace-period=20s".into(),
            "--pvclaimbinder-sync-period=2s".into(),
        ]);
        args
    }

    /// Arguments of the scheduler.
    pub(crate) fn scheduler(&self, port: u16) -> Vec<String> {
        self.of_component("system:kube-scheduler", port)
    }

    fn of_component(&self, user: &str, port: u16) -> Vec<String> {
        let config = self.kubeconfig(user).display().to_string();
        vec![
            format!("--kubeconfig={config}"),
            format!("--authentication-kubeconfig={config}"),
            format!("--authorization-kubeconfig={config}"),
            "--leader-elect=false".into(),
            "--bind-address=127.0.0.1".into(),
            format!("--secure-port={port}"),
            format!("--cert-dir={}", self.dir.join("pki").display()),
            "--profiling=false".into(),
        ]
    }
}

/// Who did what to which object, without the objects: those may be secrets.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
";
