//! An etcd cluster of one or three members.

use crate::cache;
use crate::process::{Server, free_port, web_page};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long members may take to agree on a leader: a busy machine with two cores needs seconds.
const LEADER_LIMIT: Duration = Duration::from_secs(60);

/// A running cluster. Its members sync their disks as in production.
pub struct Etcd {
    members: Vec<Member>,
    _dir: tempfile::TempDir,
}

/// One member.
struct Member {
    name: String,
    client_port: u16,
    peer_port: u16,
    /// Where health and metrics are, when the client port asks for certificates.
    metrics_port: Option<u16>,
    data: PathBuf,
    extra: Vec<String>,
    /// `None` while it is down.
    server: Option<Server>,
}

impl Member {
    /// The port that answers plain HTTP.
    fn open_port(&self) -> u16 {
        self.metrics_port.unwrap_or(self.client_port)
    }
}

impl Etcd {
    /// Starts `members` (1 or 3) on free ports and waits until they serve.
    ///
    /// **Panics** when etcd is not installed, or does not start.
    pub fn start(members: usize) -> Etcd {
        Self::start_with(members, &[])
    }

    /// The same with further arguments for every member.
    pub fn start_with(members: usize, extra: &[&str]) -> Etcd {
        Self::start_members(members, extra, false)
    }

    /// The same with TLS for clients; `extra` names the certificates.
    pub fn start_secured(members: usize, extra: &[&str]) -> Etcd {
        Self::start_members(members, extra, true)
    }

    fn start_members(members: usize, extra: &[&str], secured: bool) -> Etcd {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let members = (0..members)
            .map(|index| Member {
                name: format!("m{index}"),
                client_port: free_port(),
                peer_port: free_port(),
                metrics_port: secured.then(free_port),
                data: dir.path().join(format!("m{index}")),
                extra: extra.iter().map(|arg| (*arg).to_owned()).collect(),
                server: None,
            })
            .collect();
        let mut etcd = Etcd { members, _dir: dir };
        for index in 0..etcd.members.len() {
            etcd.spawn(index);
        }
        (0..etcd.members.len()).for_each(|index| etcd.wait_until_healthy(index));
        etcd
    }

    /// `host:port` of every member's client port.
    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(|member| format!("127.0.0.1:{}", member.client_port)).collect()
    }

    /// Kills a member as a power cut would, but for its disk.
    pub fn kill(&mut self, index: usize) {
        self.signal(index, "KILL");
        self.members[index].server = None;
    }

    /// Starts a killed member again, with the data it left.
    pub fn restart(&mut self, index: usize) {
        self.spawn(index);
    }

    /// Freezes a member: it answers nothing and does not know it.
    pub fn pause(&self, index: usize) {
        self.signal(index, "STOP");
    }

    /// Ends [`Etcd::pause`].
    pub fn resume(&self, index: usize) {
        self.signal(index, "CONT");
    }

    /// The member that leads now.
    ///
    /// **Panics** when none does within a minute.
    pub fn leader(&self) -> usize {
        let start = Instant::now();
        while start.elapsed() < LEADER_LIMIT {
            let leads = |member: &Member| {
                let metrics = ask(member.open_port(), "/metrics").unwrap_or_default();
                metrics.lines().any(|line| line == "etcd_server_is_leader 1")
            };
            if let Some(index) = self.members.iter().position(leads) {
                return index;
            }
            // Polling: nothing tells of an election.
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("etcd has no leader");
    }

    /// Waits until a member serves, which needs a majority.
    ///
    /// **Panics** with its log when that takes too long.
    pub fn wait_until_healthy(&mut self, index: usize) {
        let member = &mut self.members[index];
        let port = member.open_port();
        let server = member.server.as_mut().expect("the member was started");
        server.wait_until(|_| {
            let answer = ask(port, "/health").unwrap_or_default();
            answer.contains("\"health\":\"true\"").then_some(())
        });
    }

    fn spawn(&mut self, index: usize) {
        let peer = |member: &Member| format!("http://127.0.0.1:{}", member.peer_port);
        let cluster: Vec<String> =
            self.members.iter().map(|m| format!("{}={}", m.name, peer(m))).collect();
        let program = cache::require(cache::etcd(), "etcd");
        let member = &mut self.members[index];
        let scheme = if member.metrics_port.is_some() { "https" } else { "http" };
        let client = format!("{scheme}://127.0.0.1:{}", member.client_port);
        let mut command = Server::supervised(&program);
        command
            .args(["--name", &member.name, "--data-dir"])
            .arg(&member.data)
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer(member)])
            .args(["--initial-advertise-peer-urls", &peer(member)])
            .args(["--initial-cluster", &cluster.join(",")])
            .args(["--initial-cluster-token", "alluxio-tests", "--log-level", "warn"])
            .args(&member.extra);
        if let Some(port) = member.metrics_port {
            command.args(["--listen-metrics-urls", &format!("http://127.0.0.1:{port}")]);
        }
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        member.server = Some(Server::start(command, dir));
    }

    /// Sends a signal to the etcd process itself, which is the child of its supervisor.
    fn signal(&self, index: usize, signal: &str) {
        let member = &self.members[index];
        let server = member.server.as_ref().expect("the member is up");
        for child in server.children() {
            let sent =
                Command::new("kill").arg(format!("-{signal}")).arg(child.to_string()).status();
            assert!(sent.is_ok_and(|status| status.success()), "cannot signal {child}");
        }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        // A frozen process would not notice that it should end before it is killed; it is, but its
        // supervisor may have been frozen by a test that failed half way.
        for index in 0..self.members.len() {
            if self.members[index].server.is_some() {
                self.resume(index);
            }
        }
    }
}

fn ask(port: u16, path: &str) -> std::io::Result<String> {
    web_page(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port), path, Duration::from_secs(5))
}
