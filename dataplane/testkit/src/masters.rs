//! Several masters on a real etcd, as processes that can be killed, frozen and cut off.

use crate::Server;
use crate::local::config_of;
use crate::processes::bare_command;
use alluxio_client::blocking::FileSystem;
use alluxio_config::properties;
use alluxio_host::Host;
use alluxio_testservers::process::{free_port, web_page};
use alluxio_testservers::{Callers, Etcd, Proxy};
use anyhow::{Context, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// How long a master may take to answer a question about its metrics.
const METRICS_WITHIN: Duration = Duration::from_secs(1);

/// Lines of every log that are printed when a test fails.
const LINES_AT_FAILURE: usize = 25;

/// What lies between the masters, etcd and the clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Nothing: they talk to each other directly.
    Direct,
    /// Proxies, which can be cut.
    Proxies,
}

/// Masters numbered from 0, and the etcd that they share.
pub struct Masters {
    binary: PathBuf,
    nodes: Vec<Node>,
    etcd: Etcd,
    dir: TempDir,
}

struct Node {
    /// Where its servers listen.
    itself: Ipv4Addr,
    rpc_port: u16,
    web_port: u16,
    /// From it to the members of etcd.
    to_etcd: Vec<Proxy>,
    /// From others to it.
    from_others: Option<Proxy>,
    conf: PathBuf,
    /// `None` while it is down.
    server: Option<Server>,
}

impl Masters {
    /// Starts an etcd of `members` and `count` masters with a new journal in it.
    ///
    /// **Errors**: what a process says when it does not start.
    ///
    /// **Panics** when etcd does not start.
    pub fn start(
        binary: &Path,
        (members, count): (usize, usize),
        network: Network,
        extra: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let dir = TempDir::with_prefix("alluxio-test-")?;
        fs::create_dir(dir.path().join("ufs"))?;
        let etcd = Etcd::start(members);
        let nodes = (0..count).map(|number| Node::new(number, network, &etcd, dir.path()));
        let nodes = nodes.collect();
        let mut masters = Masters { binary: binary.to_owned(), nodes, etcd, dir };
        for number in 0..count {
            masters.write_site_file(number, extra)?;
            let mut format = bare_command(binary, &masters.nodes[number].conf);
            let formatted = format.arg("formatMaster").output()?;
            ensure!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stderr));
        }
        (0..count).try_for_each(|number| masters.start_master(number))?;
        Ok(masters)
    }

    fn write_site_file(&self, number: usize, extra: &[(&str, &str)]) -> anyhow::Result<()> {
        let node = &self.nodes[number];
        let endpoints = match node.to_etcd.as_slice() {
            [] => self.etcd.endpoints(),
            proxies => proxies.iter().map(Proxy::address).collect(),
        };
        let show = |sub: &str| self.dir.path().join(sub).display().to_string();
        let own = |key: &str| format!("alluxio.master.{key}");
        let mut all = BTreeMap::from([
            ("alluxio.work.dir".to_owned(), show("")),
            ("alluxio.conf.dir".to_owned(), node.conf.display().to_string()),
            (own("mount.table.root.ufs"), show("ufs")),
            (own("hostname"), Ipv4Addr::LOCALHOST.to_string()),
            (own("bind.host"), node.itself.to_string()),
            (own("rpc.port"), node.rpc_port.to_string()),
            (own("web.port"), node.web_port.to_string()),
            (own("rpc.addresses"), self.addresses().join(",")),
            (own("journal.type"), "ETCD".to_owned()),
            (own("journal.folder"), show(&format!("journal-{number}"))),
            (own("worker.connect.wait.time"), "0".to_owned()),
            ("alluxio.etcd.endpoints".to_owned(), endpoints.join(",")),
            ("alluxio.cluster.name".to_owned(), "failover".to_owned()),
        ]);
        all.extend(extra.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let lines = all.iter().map(|(key, value)| properties::write_line(key, value) + "\n");
        fs::create_dir_all(&node.conf)?;
        fs::write(node.conf.join("alluxio-site.properties"), lines.collect::<String>())?;
        Ok(())
    }

    /// The folder of everything but etcd's.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.nodes.len()
    }

    /// The etcd.
    pub fn etcd(&mut self) -> &mut Etcd {
        &mut self.etcd
    }

    /// `host:port` of every master, as clients know them.
    pub fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.rpc_port)).collect()
    }

    /// `host:port` where every master listens, behind all proxies.
    pub fn own_addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|node| format!("{}:{}", node.itself, node.rpc_port)).collect()
    }

    /// Starts a master, always at the same address, and waits until it follows the journal.
    ///
    /// **Errors**: what it says when it does not start.
    pub fn start_master(&mut self, number: usize) -> anyhow::Result<()> {
        let log = self.log_of(number);
        let node = &mut self.nodes[number];
        node.server = Some(Server::start(&self.binary, "master", &node.conf, &log)?);
        Ok(())
    }

    fn log_of(&self, number: usize) -> PathBuf {
        self.dir.path().join(format!("master-{number}.log"))
    }

    fn server(&self, number: usize) -> anyhow::Result<&Server> {
        self.nodes[number].server.as_ref().with_context(|| format!("master {number} is down"))
    }

    /// Kills a master in the middle of whatever it does, and waits for its end.
    ///
    /// **Errors**: that it is down.
    pub fn kill(&mut self, number: usize) -> anyhow::Result<()> {
        let server = self.nodes[number].server.take();
        server.with_context(|| format!("master {number} is down"))?.kill()
    }

    /// Asks a master to stop, and waits for its end.
    ///
    /// **Errors**: that it is down, that it fails.
    pub fn stop(&mut self, number: usize) -> anyhow::Result<()> {
        let server = self.nodes[number].server.take();
        let status = server.with_context(|| format!("master {number} is down"))?.terminate()?;
        ensure!(status.success(), "master {number} ended with {status}");
        Ok(())
    }

    /// Freezes a master.
    ///
    /// **Errors**: that it is down.
    pub fn pause(&self, number: usize) -> anyhow::Result<()> {
        self.server(number)?.pause()
    }

    /// Ends [`Masters::pause`].
    ///
    /// **Errors**: that it is down.
    pub fn resume(&self, number: usize) -> anyhow::Result<()> {
        self.server(number)?.resume()
    }

    /// Cuts a master off from etcd.
    pub fn cut_from_etcd(&self, number: usize) {
        self.nodes[number].to_etcd.iter().for_each(Proxy::partition);
    }

    /// Cuts a master off from those masters that want to talk to it.
    pub fn cut_from_masters(&self, number: usize) {
        self.door(number).partition_from(Callers::Others);
    }

    /// Cuts a master off from the clients in this process.
    pub fn cut_from_clients(&self, number: usize) {
        self.door(number).partition_from(Callers::ThisProcess);
    }

    /// Ends every cut at a master.
    pub fn heal(&self, number: usize) {
        let node = &self.nodes[number];
        node.to_etcd.iter().chain(&node.from_others).for_each(Proxy::heal);
    }

    /// The proxy that others reach it through.
    fn door(&self, number: usize) -> &Proxy {
        let proxy = self.nodes[number].from_others.as_ref();
        proxy.expect("only a cluster with proxies is cut apart")
    }

    /// A value among a master's metrics, if it answers.
    pub fn metric(&self, number: usize, name: &str) -> Option<i64> {
        let node = &self.nodes[number];
        let page =
            web_page(SocketAddrV4::new(node.itself, node.web_port), "/metrics", METRICS_WITHIN)
                .ok()?;
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line?.trim().parse().ok()
    }

    /// The master that says that it is the primary, if one does.
    pub fn primary(&self) -> Option<usize> {
        let up = (0..self.count()).filter(|number| self.nodes[*number].server.is_some());
        { up }.find(|number| self.metric(*number, "alluxio_master_primary") == Some(1))
    }

    /// A client of all masters.
    ///
    /// **Errors**: what is wrong with its configuration.
    pub fn client(&self) -> anyhow::Result<FileSystem> {
        let conf = self.dir.path().join("conf-client");
        let addresses = self.addresses().join(",");
        let line = properties::write_line("alluxio.master.rpc.addresses", &addresses);
        fs::create_dir_all(&conf)?;
        let file = conf.join("alluxio-site.properties");
        fs::write(&file, line + "\n")?;
        Ok(FileSystem::connect(config_of(&file)?.client()?, Host::real())?)
    }
}

impl Drop for Masters {
    #[expect(
        clippy::print_stderr,
        reason = "there is nowhere else where a failed test can tell why"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The folder goes with the test that failed, and somebody will want to know why it did.
            for number in 0..self.count() {
                let log = fs::read_to_string(self.log_of(number)).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                let last = lines[lines.len().saturating_sub(LINES_AT_FAILURE)..].join("\n");
                eprintln!("the log of master {number} ends with\n{last}");
            }
        }
        // A frozen process would be killed as well, but its proxies would wait for it.
        self.nodes.iter().filter_map(|node| node.server.as_ref()).for_each(|server| {
            let _ = server.resume();
        });
    }
}

impl Node {
    fn new(number: usize, network: Network, etcd: &Etcd, dir: &Path) -> Node {
        let (rpc_port, web_port) = (free_port(), free_port());
        let conf = dir.join(format!("conf-{number}"));
        let (itself, to_etcd, from_others) = match network {
            Network::Direct => (Ipv4Addr::LOCALHOST, Vec::new(), None),
            Network::Proxies => {
                // The proxy has the address that everybody knows, and the master another one of this
                // machine with the same port.
                let itself = Ipv4Addr::new(127, 0, 1, 1);
                let to_etcd = etcd.endpoints().iter().map(|member| Proxy::to(member)).collect();
                let proxy = Proxy::on(rpc_port, &format!("{itself}:{rpc_port}"));
                (itself, to_etcd, Some(proxy))
            }
        };
        Node { itself, rpc_port, web_port, to_etcd, from_others, conf, server: None }
    }
}
