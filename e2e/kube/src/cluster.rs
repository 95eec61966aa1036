//! A cluster with nodes: started, found again, ended.

use crate::components::{SERVICES, Settings, Wishes};
use crate::control_plane::kubectl;
use crate::node::{self, FOLDERS, NETWORK};
use crate::process::{Identity, child_of, output, start, start_alone, wait_for};
use crate::programs::{component, coredns, missing_packages, pause, require};
use crate::{images, process};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a part may take to start on a busy machine with two cores.
const START_LIMIT: Duration = Duration::from_secs(120);
/// Most nodes: their networks are numbered with one digit.
pub const NODES_MAX: usize = 9;
/// Watches that one user may have; two kubelets need more than the usual 128.
const INOTIFY_INSTANCES: u64 = 1024;

/// What is asked of a cluster.
#[derive(Debug, Clone)]
pub struct Options {
    /// Names its control group: clusters side by side need different ones.
    pub name: String,
    /// Its folder; made anew, and removed at the end. Not below `/run`, which each node has for itself.
    pub state: PathBuf,
    /// 1 to [`NODES_MAX`].
    pub nodes: usize,
    /// Whether it ends with this process.
    pub watched: bool,
    /// Of its control plane.
    pub wishes: Wishes,
}

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    state: PathBuf,
    name: String,
    nodes: usize,
    launcher: Identity,
    /// The first process, in the cluster's namespaces.
    init: u32,
    watcher: Option<Child>,
}

impl Cluster {
    /// Starts one and waits until its nodes are ready.
    ///
    /// **Errors**: without root, programs or packages (it says what to do), when the folder is a running
    /// cluster's, and when a part doesn't start (with its log).
    pub fn start(options: &Options, say: &dyn Fn(&str)) -> Result<Cluster> {
        check(options)?;
        let begin = Instant::now();
        let state = &options.state;
        if state.exists() {
            // What a cluster left that was killed from outside.
            fs::remove_dir_all(state)?;
        }
        fs::create_dir_all(state.join("images"))?;
        raise_inotify(say)?;
        let address = format!("{NETWORK}.1");
        let settings = Settings::create(state, &address, [6443, 2379, 2380], &options.wishes)?;
        for number in 1..=options.nodes {
            let name = node::name(number);
            settings.add_user(&format!("system:node:{name}"), &["system:nodes"])?;
            node::write_settings(&settings, number, &cgroup(&options.name))?;
        }
        images::write_all(&state.join("images"))?;
        let cluster = launch(options, &settings)?;
        let started = cluster.start_parts(&settings, say, begin);
        if let Err(error) = started {
            let _ = cluster.stop();
            return Err(error);
        }
        Ok(cluster)
    }

    /// The cluster in this folder, if one runs.
    pub fn find(state: &Path) -> Option<Cluster> {
        let record: Value =
            serde_json::from_slice(&fs::read(state.join("cluster.json")).ok()?).ok()?;
        let number = |key: &str| record[key].as_u64();
        let launcher =
            Identity { id: number("launcher")?.try_into().ok()?, started: number("started")? };
        let cluster = Cluster {
            state: state.to_owned(),
            name: record["name"].as_str()?.to_owned(),
            nodes: number("nodes")?.try_into().ok()?,
            launcher,
            init: child_of(launcher.id)?,
            watcher: None,
        };
        launcher.runs().then_some(cluster)
    }

    /// Ends it, and removes all it made.
    ///
    /// **Errors**: when something of it is left.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        if let Some(mut watcher) = self.watcher.take() {
            // The end of its standard input is the sign; it cleans up.
            drop(watcher.stdin.take());
            watcher.wait()?;
        } else {
            self.launcher.kill();
            let mut clean = Command::new("sh");
            clean.arg(self.state.join("clean.sh")).current_dir("/");
            output(clean.env("STATE", &self.state).env("CGROUP", cgroup(&self.name)))?;
        }
        if self.state.exists() {
            bail!("{} could not be removed", self.state.display());
        }
        Ok(())
    }

    /// The admin's kubeconfig, which works on this machine.
    pub fn kubeconfig(&self) -> PathBuf {
        self.state.join("config")
    }

    /// How many nodes it was started with.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Its folder: logs, certificates, kubeconfigs.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// One JSON object a line, when it was wished for.
    pub fn audit_log(&self) -> PathBuf {
        self.state.join("audit.log")
    }

    /// Runs kubectl as the admin and gives what it printed.
    ///
    /// **Errors**: with what it said, when it fails.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        kubectl(&self.kubeconfig(), arguments)
    }

    /// A command in the network of the control plane, which reaches pods and Services.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.init.to_string(), "--net", "--pid", "--mount", "--"]);
        command.arg(program);
        command
    }

    /// A command on a node. `None` while the node is down.
    pub fn node_command(&self, number: usize, program: &str) -> Option<Command> {
        let init = self.node_init(number)?;
        let mut command = Command::new("nsenter");
        command.args(["--target", &init.to_string()]);
        command.args(["--mount", "--net", "--pid", "--uts", "--ipc", "--", program]);
        Some(command)
    }

    /// Ends a node with all its processes and mounts, as a power cut would. Its disk stays.
    ///
    /// **Errors**: when it hasn't ended after two minutes.
    pub fn kill_node(&self, number: usize) -> Result<()> {
        let Some(identity) = self.node_init(number).and_then(Identity::of) else { return Ok(()) };
        identity.kill();
        // The first process ends last: the kernel waits for all others.
        let log = self.log(&node::name(number));
        wait_for("the node's end", START_LIMIT, &log, || (!identity.runs()).then_some(()))
    }

    /// Starts a node that was killed, with the disk it left.
    ///
    /// **Errors**: when it doesn't start.
    pub fn start_node(&self, number: usize) -> Result<()> {
        self.boot_node(number)?;
        self.join_node(number)?;
        self.keep_kubelet(number)
    }

    /// Starts the kubelet again until it stays, as a machine does: it ends while containerd still reads what containers
    /// it had.
    fn keep_kubelet(&self, number: usize) -> Result<()> {
        let name = node::name(number);
        let file = self.state.join(&name).join("kubelet.pid");
        wait_for("the kubelet", START_LIMIT, &self.log(&format!("{name}-kubelet")), || {
            let id = fs::read_to_string(&file).ok()?.trim().parse().ok()?;
            if Identity::of(id).is_none() {
                self.start_kubelet(number).ok()?;
            }
            let mut ask = self.node_command(number, "/bin/busybox")?;
            output(ask.args(["wget", "-q", "-O", "-", "http://127.0.0.1:10248/healthz"])).ok()
        })?;
        Ok(())
    }

    /// The node's namespaces, and containerd in them.
    fn boot_node(&self, number: usize) -> Result<()> {
        let name = node::name(number);
        let namespace = format!("/run/netns/{name}");
        let mut command = self.command(Path::new("nsenter"));
        command
            .arg(format!("--net={namespace}"))
            .args(["--", "unshare", "--mount", "--uts", "--pid", "--ipc", "--fork"])
            .args(["--kill-child", "--mount-proc", "--propagation", "private", "--", "sh"])
            .arg(self.state.join("node.sh"))
            .env("STATE", &self.state)
            .env("NODE", &name)
            .env("CGROUP", format!("{}/{name}", cgroup(&self.name)))
            .env("FOLDERS", FOLDERS.join(" "))
            .env("PAUSE", require(pause())?);
        let log = self.log(&name);
        let waiter = start_alone(&mut command, &log)?;
        // nsenter waits for unshare, unshare for the node's first process.
        let init = wait_for(&name, START_LIMIT, &log, || child_of(child_of(waiter)?))?;
        let identity = Identity::of(init)
            .with_context(|| format!("{name} has ended: {}", process::tail(&log)))?;
        fs::write(self.state.join(&name).join("pid"), format!("{init} {}", identity.started))?;
        Ok(())
    }

    /// What makes it a node of the cluster; the API server must be there.
    fn join_node(&self, number: usize) -> Result<()> {
        let name = node::name(number);
        wait_for("containerd", START_LIMIT, &self.log(&format!("{name}-containerd")), || {
            output(self.node_command(number, "ctr")?.arg("version")).ok()
        })?;
        self.start_kubelet(number)?;
        self.start_proxy(number)
    }

    /// Ends a node's kubelet and starts another; pods stay.
    ///
    /// **Errors**: when the node is down.
    pub fn restart_kubelet(&self, number: usize) -> Result<()> {
        let file = self.state.join(node::name(number)).join("kubelet.pid");
        let id: u32 = fs::read_to_string(&file)?.trim().parse().context("the kubelet's id")?;
        let kubelet = child_of(id).and_then(Identity::of).context("the kubelet does not run")?;
        kubelet.kill();
        self.start_kubelet(number)
    }

    fn start_kubelet(&self, number: usize) -> Result<()> {
        let name = node::name(number);
        let dir = self.state.join(&name);
        let program = require(component("kubelet"))?.display().to_string();
        let kubelet = self.node_command(number, &program);
        let mut kubelet = kubelet.with_context(|| format!("{name} is down"))?;
        kubelet
            .arg(format!("--config={}", dir.join("kubelet.json").display()))
            .arg(format!(
                "--kubeconfig={}",
                self.state.join(format!("system-node-{name}.kubeconfig")).display()
            ))
            .arg(format!("--hostname-override={name}"))
            .arg(format!("--node-ip={}", node::address(number)))
            .args(["--root-dir=/var/lib/kubelet", "--cert-dir=/var/lib/kubelet/pki"]);
        let id = start_alone(&mut kubelet, &self.log(&format!("{name}-kubelet")))?;
        fs::write(dir.join("kubelet.pid"), id.to_string())?;
        Ok(())
    }

    fn start_proxy(&self, number: usize) -> Result<()> {
        let name = node::name(number);
        let program = require(component("kube-proxy"))?.display().to_string();
        let mut proxy =
            self.node_command(number, &program).with_context(|| format!("{name} is down"))?;
        let settings = self.state.join(&name).join("proxy.json");
        proxy.arg(format!("--config={}", settings.display()));
        start_alone(&mut proxy, &self.log(&format!("{name}-proxy")))?;
        Ok(())
    }

    /// Imports an OCI archive on every node that is up.
    ///
    /// **Errors**: with what containerd says.
    pub fn import(&self, archive: &Path) -> Result<()> {
        for number in 1..=self.nodes {
            let Some(mut ctr) = self.node_command(number, "ctr") else { continue };
            ctr.args(["--namespace", "k8s.io", "images", "import", "-"]);
            let file = File::open(archive);
            let file = file.with_context(|| format!("cannot read {}", archive.display()))?;
            let output = ctr.stdin(file).output()?;
            if !output.status.success() {
                bail!(
                    "{}: containerd of {} does not take it: {}",
                    archive.display(),
                    node::name(number),
                    String::from_utf8_lossy(&output.stderr).trim()
                );
            }
        }
        Ok(())
    }

    /// The log of a part.
    pub fn log(&self, part: &str) -> PathBuf {
        self.state.join("log").join(format!("{part}.log"))
    }

    fn node_init(&self, number: usize) -> Option<u32> {
        let record = fs::read_to_string(self.state.join(node::name(number)).join("pid")).ok()?;
        let (id, started) = record.split_once(' ')?;
        let identity = Identity { id: id.parse().ok()?, started: started.parse().ok()? };
        identity.runs().then_some(identity.id)
    }

    fn start_parts(&self, settings: &Settings, say: &dyn Fn(&str), begin: Instant) -> Result<()> {
        let part = |name: &str, arguments: Vec<String>| -> Result<()> {
            let mut command = self.command(&require(component(name))?);
            start_alone(command.args(arguments), &self.log(name))?;
            Ok(())
        };
        part("etcd", settings.etcd())?;
        part("kube-apiserver", settings.api_server("0.0.0.0", true))?;
        self.make_networks()?;
        let port = wait_for("a listener on loopback", START_LIMIT, &self.log("gate"), || {
            let log = fs::read_to_string(self.log("gate")).ok()?;
            let line = log.lines().find(|line| line.contains("listening on"))?;
            line.rsplit_once(':')?.1.trim().parse::<u16>().ok()
        })?;
        let inner = fs::read_to_string(settings.kubeconfig("admin"))?;
        let outer = inner.replace(&settings.url(), &format!("https://127.0.0.1:{port}"));
        // Made by copying: the mode, for its owner only, stays.
        fs::copy(settings.kubeconfig("admin"), self.kubeconfig())?;
        fs::write(self.kubeconfig(), outer)?;
        // Nodes start containerd meanwhile.
        for number in 1..=self.nodes {
            self.boot_node(number)?;
        }
        wait_for("the API server", START_LIMIT, &self.log("kube-apiserver"), || {
            self.kubectl(&["get", "--raw=/readyz"]).ok()
        })?;
        say(&format!("API server ready after {:.1} s", begin.elapsed().as_secs_f64()));
        part("kube-controller-manager", settings.controller_manager(10257))?;
        part("kube-scheduler", settings.scheduler(10259))?;
        self.start_dns(settings)?;
        for number in 1..=self.nodes {
            self.join_node(number)?;
        }
        for image in fs::read_dir(self.state.join("images"))? {
            self.import(&image?.path())?;
        }
        wait_for("nodes to be ready", START_LIMIT, &self.log("node1-kubelet"), || {
            let nodes = self.kubectl(&["get", "nodes", "--no-headers"]).ok()?;
            let ready = nodes.lines().filter(|line| line.contains(" Ready ")).count();
            (ready == self.nodes).then_some(())
        })?;
        wait_for("the default account", START_LIMIT, &self.log("kube-controller-manager"), || {
            self.kubectl(&["get", "serviceaccount", "default"]).ok()
        })?;
        say(&format!("{} nodes ready after {:.1} s", self.nodes, begin.elapsed().as_secs_f64()));
        Ok(())
    }

    /// A network for each node, joined to the control plane's by the bridge; fixed routes for pods.
    fn make_networks(&self) -> Result<()> {
        let mut script = String::from("set -e\n");
        for number in 1..=self.nodes {
            let (name, address) = (node::name(number), node::address(number));
            script += &format!(
                "ip netns add {name}\n\
                 ip link add {name} type veth peer name eth0 netns {name}\n\
                 ip link set {name} master br0 up\n\
                 ip -n {name} link set lo up\n\
                 ip -n {name} addr add {address}/24 dev eth0\n\
                 ip -n {name} link set eth0 up\n\
                 ip -n {name} route add default via {NETWORK}.1\n\
                 ip route add {} via {address}\n",
                node::pods(number)
            );
            for other in (1..=self.nodes).filter(|other| *other != number) {
                let (pods, via) = (node::pods(other), node::address(other));
                script += &format!("ip -n {name} route add {pods} via {via}\n");
            }
        }
        // Who asks for a Service from here goes through a node, whose kube-proxy knows it.
        script += &format!("ip route add {SERVICES} via {}\n", node::address(1));
        let mut command = self.command(Path::new("sh"));
        output(command.args(["-c", &script])).context("the networks of nodes")?;
        Ok(())
    }

    /// A process beside the API server, not a pod: nodes ask it at the bridge's address.
    fn start_dns(&self, settings: &Settings) -> Result<()> {
        let corefile = format!(
            ".:53 {{\n bind {NETWORK}.1\n errors\n cache 5\n ready 127.0.0.1:8181\n \
             kubernetes cluster.local in-addr.arpa {{\n  kubeconfig {} e2e\n  pods insecure\n  ttl 5\n }}\n}}\n",
            settings.kubeconfig("admin").display()
        );
        let file = self.state.join("Corefile");
        fs::write(&file, corefile)?;
        let mut command = self.command(&require(coredns())?);
        start_alone(command.arg("-conf").arg(file), &self.log("coredns"))?;
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.watcher.is_some() {
            // Nobody is left to tell; what stays behind is a folder.
            let _ = self.end();
        }
    }
}

fn cgroup(name: &str) -> String {
    format!("alluxio-e2e-{name}")
}

fn check(options: &Options) -> Result<()> {
    let root = output(Command::new("id").arg("-u"))?;
    if root.trim() != "0" {
        bail!("a cluster with nodes needs root (namespaces, mounts): run this with sudo");
    }
    let missing = missing_packages();
    if !missing.is_empty() {
        bail!("packages are missing: run `apt-get install {}`", missing.join(" "));
    }
    for program in [component("kube"), coredns(), pause()] {
        require(program)?;
    }
    if options.nodes == 0 || options.nodes > NODES_MAX {
        bail!("{} nodes: 1 to {NODES_MAX} are possible", options.nodes);
    }
    if options.state.starts_with("/run") {
        bail!("{}: each node has a /run of its own, name another folder", options.state.display());
    }
    if Cluster::find(&options.state).is_some() {
        bail!("a cluster runs in {} already", options.state.display());
    }
    Ok(())
}

fn launch(options: &Options, settings: &Settings) -> Result<Cluster> {
    let state = &options.state;
    for (name, text) in [
        ("launch.sh", include_str!("../scripts/launch.sh")),
        ("init.sh", include_str!("../scripts/init.sh")),
        ("clean.sh", include_str!("../scripts/clean.sh")),
        ("node.sh", include_str!("../scripts/node.sh")),
    ] {
        fs::write(state.join(name), text)?;
    }
    let mut command = Command::new("sh");
    command
        .arg(state.join("launch.sh"))
        .current_dir("/")
        .env("STATE", state)
        .env("CGROUP", cgroup(&options.name))
        .env("ADDRESS", format!("{NETWORK}.1"))
        .env("PAUSE", require(pause())?)
        .env("WATCHED", if options.watched { "1" } else { "0" });
    command.stdin(if options.watched { Stdio::piped() } else { Stdio::null() });
    let log = settings.log("init");
    let child = start(&mut command, &log)?;
    let ready = wait_for("the cluster's network", START_LIMIT, &log, || {
        state.join("network.ready").exists().then_some(())?;
        let id = fs::read_to_string(state.join("launcher.pid")).ok()?.trim().parse().ok()?;
        Some((Identity::of(id)?, child_of(id)?))
    });
    let (launcher, init) = ready?;
    let record = json!({
        "name": options.name,
        "nodes": options.nodes,
        "launcher": launcher.id,
        "started": launcher.started,
    });
    fs::write(state.join("cluster.json"), record.to_string())?;
    Ok(Cluster {
        state: state.clone(),
        name: options.name.clone(),
        nodes: options.nodes,
        launcher,
        init,
        watcher: options.watched.then_some(child),
    })
}

/// The one setting of the machine that is changed: it is not per namespace.
fn raise_inotify(say: &dyn Fn(&str)) -> Result<()> {
    let file = Path::new("/proc/sys/fs/inotify/max_user_instances");
    let have: u64 = fs::read_to_string(file)?.trim().parse().unwrap_or_default();
    if have < INOTIFY_INSTANCES {
        say(&format!("raising fs.inotify.max_user_instances from {have} to {INOTIFY_INSTANCES}"));
        fs::write(file, INOTIFY_INSTANCES.to_string())?;
    }
    Ok(())
}
