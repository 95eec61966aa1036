//! A cluster, two keepers and an agent, as processes, and the programs that use the mount.

use crate::load::{self, DOOMED_BYTES, FILES, Kind, NAMES};
use crate::volume::Volume;
use alluxio_client::{CreateDirectoryOptions, CreateFileOptions};
use alluxio_fuse::mount::{self, Unmount};
use alluxio_testkit::{ProcessCluster, Server};
use alluxio_testservers::mounts;
use alluxio_testservers::process::free_port;
use alluxio_types::{AlluxioPath, WriteType};
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_alluxio"))
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Waits for something to be so.
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "{what} takes too long");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[expect(clippy::print_stderr, reason = "what a test has measured, and why it has not")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// Who holds the descriptors besides the agent.
enum Holder {
    Keeper(Child),
    /// The node plugin of CSI, which has one in it.
    Plugin(Server),
}

impl Holder {
    fn kill(self) {
        match self {
            Holder::Keeper(mut child) => {
                child.kill().unwrap();
                child.wait().unwrap();
            }
            Holder::Plugin(server) => server.kill().unwrap(),
        }
    }
}

struct Program {
    child: Child,
    log: PathBuf,
}

pub(crate) struct Stand {
    programs: Vec<Program>,
    agent: Option<Server>,
    keepers: [Option<Holder>; 2],
    /// Whether the second keeper is in the node plugin.
    plugin: bool,
    /// Where programs find the mount.
    place: PathBuf,
    web_port: u16,
    /// When something was killed, and what.
    kills: Vec<(u64, &'static str)>,
    cluster: ProcessCluster,
}

impl Stand {
    /// `None` where mounting is not allowed.
    pub(crate) fn start() -> Option<Self> {
        let mut stand = Stand::holders(false);
        stand.start_agent();
        let output = stand.alluxio(&["fuse", "mount", "/", stand.point().to_str().unwrap()]);
        let impossible = ["needs root", "/dev/fuse"].iter().any(|why| output.contains(why));
        if impossible {
            mounts::not_tested(output);
            return None;
        }
        assert!(output.contains("is mounted at"), "{output}");
        Some(stand)
    }

    /// The same, with the node plugin as the second keeper, and nothing mounted.
    pub(crate) fn start_with_plugin() -> Option<Self> {
        // The other way to mount tells whether it is possible.
        drop(Stand::start()?);
        let mut stand = Stand::holders(true);
        stand.start_agent();
        Some(stand)
    }

    /// A volume in a pod, which programs use from now on.
    pub(crate) fn publish(&mut self) -> Volume {
        let volume = Volume::publish(&self.dir().join("csi.sock"), self.dir());
        self.place.clone_from(&volume.target);
        volume
    }

    fn holders(plugin: bool) -> Self {
        let web_port = free_port();
        let web = web_port.to_string();
        let properties = [
            ("alluxio.user.block.size.bytes.default", "1MB"),
            ("alluxio.worker.ramdisk.size", "256MB"),
            ("alluxio.fuse.agent.socket", "${alluxio.work.dir}/agent.sock"),
            (
                "alluxio.fuse.keeper.sockets",
                "${alluxio.work.dir}/keeper-0.sock,${alluxio.work.dir}/keeper-1.sock",
            ),
            ("alluxio.fuse.mount.options", "attr_timeout=0.2,entry_timeout=0.2"),
            ("alluxio.fuse.agent.drain.time", "2s"),
            ("alluxio.fuse.web.bind.host", "127.0.0.1"),
            ("alluxio.fuse.web.port", web.as_str()),
            ("alluxio.csi.endpoint", "unix://${alluxio.work.dir}/csi.sock"),
            ("alluxio.csi.keeper.socket", "${alluxio.work.dir}/keeper-1.sock"),
            ("alluxio.csi.registration.dir", ""),
            ("alluxio.csi.web.bind.host", "127.0.0.1"),
            ("alluxio.csi.web.port", "0"),
        ];
        let mut cluster = ProcessCluster::start(binary(), &properties).unwrap();
        cluster.start_worker(1).unwrap();
        std::fs::create_dir(cluster.dir().join("point")).unwrap();
        let mut stand = Stand {
            programs: Vec::new(),
            agent: None,
            keepers: [None, None],
            plugin,
            place: cluster.dir().join("point"),
            web_port,
            kills: Vec::new(),
            cluster,
        };
        stand.fill();
        stand.start_keeper(0);
        stand.start_keeper(1);
        stand
    }

    fn fill(&self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let client = self.cluster.client().unwrap();
        let path = |text: &str| AlluxioPath::parse(text).unwrap();
        runtime.block_on(async {
            for (number, length) in FILES.into_iter().enumerate() {
                // Also in the under store: what is read has to outlive any worker.
                let write_type = Some(WriteType::CacheThrough);
                let options =
                    CreateFileOptions { recursive: true, write_type, ..Default::default() };
                let at = path(&format!("/data/f{number}"));
                let mut writer = client.create_file(&at, &options).await.unwrap();
                writer.write(&load::content(number, 0, length)).await.unwrap();
                writer.close().await.unwrap();
            }
            for number in 0..4 {
                let options = CreateFileOptions { recursive: true, ..Default::default() };
                let at = path(&format!("/doomed/{number}"));
                let mut writer = client.create_file(&at, &options).await.unwrap();
                writer.write(&load::content(number, 0, DOOMED_BYTES)).await.unwrap();
                writer.close().await.unwrap();
            }
            let options = CreateDirectoryOptions { recursive: true, ..Default::default() };
            for number in 0..NAMES {
                let at = path(&format!("/many/{}", load::name(number)));
                client.create_directory(&at, &options).await.unwrap();
            }
        });
        runtime.shutdown_background();
    }

    /// Names in a directory of the namespace, as other clients see them.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let client = self.cluster.client().unwrap();
        let path = AlluxioPath::parse(path).unwrap();
        let listed = runtime.block_on(client.list_status(&path, &Default::default())).unwrap();
        runtime.shutdown_background();
        listed.into_iter().map(|status| status.name).collect()
    }

    pub(crate) fn alluxio(&self, arguments: &[&str]) -> String {
        let output = self.cluster.alluxio(arguments).unwrap();
        let (out, err) = (&output.stdout, &output.stderr);
        format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
    }

    /// Takes all copies of what is below a path from the workers.
    pub(crate) fn free(&self, path: &str) {
        let output = self.alluxio(&["fs", "free", path]);
        assert!(output.contains("freed"), "{output}");
    }

    /// Kills a worker and starts it again, with what its disk has kept.
    pub(crate) fn restart_worker(&mut self, number: u32) {
        self.cluster.kill_worker(number).unwrap();
        self.start_worker(number);
    }

    pub(crate) fn start_worker(&mut self, number: u32) {
        self.cluster.start_worker(number).unwrap();
    }

    pub(crate) fn restart_master(&mut self) {
        self.cluster.kill_master().unwrap();
        self.cluster.start_master().unwrap();
    }

    /// Kills the master and a worker at the same time, and starts them again.
    pub(crate) fn restart_master_and_worker(&mut self, number: u32) {
        self.cluster.kill_master().unwrap();
        self.cluster.kill_worker(number).unwrap();
        self.cluster.start_master().unwrap();
        self.start_worker(number);
    }

    pub(crate) fn point(&self) -> PathBuf {
        self.cluster.dir().join("point")
    }

    fn keeper_socket(&self, number: usize) -> PathBuf {
        self.cluster.dir().join(format!("keeper-{number}.sock"))
    }

    /// Where the agent has mounted the only session.
    pub(crate) fn session_mount(&self) -> PathBuf {
        let dir = self.cluster.dir().join("fuse-sessions");
        let mut names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        names.find(|path| path.is_dir()).unwrap().join("mnt")
    }

    pub(crate) fn start_keeper(&mut self, number: usize) {
        self.keepers[number] = Some(match (number, self.plugin) {
            (1, true) => Holder::Plugin(self.server("csi node", "plugin")),
            _ => {
                let mut command = self.cluster.command(&["fuse-keeper", "--socket"]);
                Holder::Keeper(command.arg(self.keeper_socket(number)).spawn().unwrap())
            }
        });
        let socket = self.keeper_socket(number);
        until("a keeper", || alluxio_fuse::keeper::Client::connect(&socket).is_ok());
    }

    pub(crate) fn kill_keeper(&mut self, number: usize) {
        self.keepers[number].take().unwrap().kill();
    }

    pub(crate) fn restart_keeper(&mut self, number: usize) {
        self.kill_keeper(number);
        self.start_keeper(number);
    }

    /// Asks the agent to end, and waits until it has.
    pub(crate) fn terminate_agent(&mut self) {
        assert!(self.agent.take().unwrap().terminate().unwrap().success());
    }

    /// The agent answers nobody, and does not know it.
    pub(crate) fn freeze_agent(&mut self) -> Server {
        let agent = self.agent.take().unwrap();
        agent.pause().unwrap();
        agent
    }

    pub(crate) fn agent_socket(&self) -> PathBuf {
        self.cluster.dir().join("agent.sock")
    }

    pub(crate) fn dir(&self) -> &Path {
        self.cluster.dir()
    }

    /// What is mounted below the folder of this test.
    pub(crate) fn mounts(&self) -> Vec<PathBuf> {
        let rows = mount::table().unwrap().into_iter().map(|row| row.path);
        rows.filter(|path| path.starts_with(self.cluster.dir())).collect()
    }

    fn server(&self, role: &str, log: &str) -> Server {
        let log = self.cluster.dir().join(format!("logs/{log}.log"));
        Server::start(binary(), role, &self.cluster.conf_dir(), &log).unwrap()
    }

    pub(crate) fn start_agent(&mut self) {
        self.agent = Some(self.server("fuse agent", "agent"));
    }

    pub(crate) fn kill_agent(&mut self) {
        self.agent.take().unwrap().kill().unwrap();
    }

    pub(crate) fn restart_agent(&mut self) {
        self.kill_agent();
        self.start_agent();
    }

    /// A second agent comes and takes over; the first one ends by itself.
    pub(crate) fn replace_agent(&mut self) {
        let old = self.agent.take().unwrap();
        self.start_agent();
        drop(old);
    }

    /// A line of the agent's metrics.
    pub(crate) fn metric(&self, name: &str) -> Option<u64> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.web_port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        line.trim().parse().ok()
    }

    /// Does something to the processes when all is well, after a pause.
    pub(crate) fn after(
        &mut self,
        pause: Duration,
        what: &'static str,
        then: impl FnOnce(&mut Self),
    ) {
        std::thread::sleep(pause);
        self.check_programs();
        self.await_keepers(2);
        self.kills.push((now_ms(), what));
        then(self);
    }

    pub(crate) fn start_program(&mut self, kind: Kind, seed: u64) {
        self.start_program_at(kind, seed, &self.place.clone());
    }

    pub(crate) fn start_program_at(&mut self, kind: Kind, seed: u64, at: &Path) {
        let log = self.cluster.dir().join(format!("logs/program-{seed}.log"));
        let out = File::create(&log).unwrap();
        let child = load::start(kind, seed, at, &self.stop_file(), out);
        self.programs.push(Program { child, log });
    }

    /// Waits until every program says that it has begun.
    pub(crate) fn await_programs(&mut self) {
        for program in &self.programs {
            until("a program", || {
                std::fs::read_to_string(&program.log).unwrap().contains(load::BEGUN)
            });
        }
        self.check_programs();
    }

    /// Ends all programs.
    pub(crate) fn stop_readers(&mut self) {
        File::create(self.stop_file()).unwrap();
        for program in &mut self.programs {
            until("the end of a program", || program.child.try_wait().unwrap().is_some());
        }
        self.programs.clear();
    }

    /// Waits until the agent has so many keepers.
    pub(crate) fn await_keepers(&self, count: u64) {
        let begun = Instant::now();
        while self.metric("alluxio_fuse_keeper_connections") != Some(count) {
            let tail = || self.agent.as_ref().map(Server::tail).unwrap_or_default();
            assert!(begun.elapsed() < PATIENCE, "no {count} keepers: {}", tail());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn stop_file(&self) -> PathBuf {
        self.cluster.dir().join("stop")
    }

    pub(crate) fn check_programs(&mut self) {
        for program in &mut self.programs {
            if let Some(status) = program.child.try_wait().unwrap() {
                let text = std::fs::read_to_string(&program.log).unwrap();
                let agent = self.agent.as_ref().map(Server::tail).unwrap_or_default();
                panic!("a program ended with {status}: {text}\n{agent}");
            }
        }
    }

    /// Reads everything once, in a process that cannot be waited for for ever.
    pub(crate) fn probe(&self, at: &Path) -> Result<(), String> {
        let log = self.cluster.dir().join("logs/probe.log");
        let out = File::create(&log).unwrap();
        let mut child = load::start(Kind::Once, 1, at, &self.stop_file(), out);
        let begun = Instant::now();
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break status,
                None if begun.elapsed() > Duration::from_secs(20) => {
                    let _ = child.kill();
                    return Err("it hangs".into());
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let text = std::fs::read_to_string(&log).unwrap();
        if status.success() && load::read(&text).is_some() { Ok(()) } else { Err(text) }
    }

    /// Ends all programs, and tells what they saw.
    pub(crate) fn finish_programs(&mut self) {
        self.check_programs();
        File::create(self.stop_file()).unwrap();
        let begun = Instant::now();
        let (mut operations, mut stalls) = (0, Vec::new());
        for program in &mut self.programs {
            let status = loop {
                match program.child.try_wait().unwrap() {
                    Some(status) => break status,
                    None => assert!(begun.elapsed() < PATIENCE, "a program hangs"),
                }
                std::thread::sleep(Duration::from_millis(5));
            };
            let text = std::fs::read_to_string(&program.log).unwrap();
            let seen = load::read(&text);
            assert!(status.success() && seen.is_some(), "{status}: {text}");
            let seen = seen.unwrap();
            assert!(seen.operations > 0, "a program did nothing");
            operations += seen.operations;
            stalls.push(seen.stalls);
        }
        self.tell(operations, &stalls);
        self.programs.clear();
    }

    /// The longest stall of each program after each kill, and before the first one: what the machine is good for.
    fn tell(&self, operations: u64, programs: &[Vec<load::Stall>]) {
        let mut longest = Vec::new();
        for (index, (at, _)) in self.kills.iter().enumerate() {
            let end = self.kills.get(index + 1).map_or(u64::MAX, |(next, _)| *next);
            for stalls in programs {
                let here =
                    stalls.iter().filter(|(begun, long)| begun + long >= *at && *begun < end);
                longest.push(here.map(|(_, long)| *long).max().unwrap_or(0));
            }
        }
        longest.sort_unstable();
        let first = self.kills.first().map_or(u64::MAX, |(at, _)| *at);
        let quiet = |stalls: &Vec<load::Stall>| {
            let here = stalls.iter().filter(|(begun, long)| begun + long < first);
            here.map(|(_, long)| *long).max().unwrap_or(0)
        };
        let mut before: Vec<u64> = programs.iter().map(quiet).collect();
        before.sort_unstable();
        let at = |part: usize| longest[(longest.len() * part / 100).min(longest.len() - 1)];
        say(&format!(
            "{} kills, {} programs, {operations} operations, no error; stalls: median {} ms, p99 {} ms, \
             longest {} ms; before the first kill: median {} ms, longest {} ms",
            self.kills.len(),
            programs.len(),
            at(50),
            at(99),
            at(100),
            before[before.len() / 2],
            before[before.len() - 1],
        ));
    }

    pub(crate) fn stat(&self) -> String {
        self.alluxio(&["fuse", "stat"])
    }

    /// How often the session was gone on with, as the agent tells.
    pub(crate) fn resumed(&self) -> u64 {
        let text = self.stat();
        let rest = text.split_once("resumed ").map(|(_, rest)| rest).unwrap_or_default();
        rest.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0)
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        // First the mounts: nobody can wait for a server then.
        for row in mount::table().unwrap_or_default() {
            if row.path.starts_with(self.cluster.dir()) {
                let _ = mount::unmount(&row.path, Unmount::Force);
            }
        }
        for program in &mut self.programs {
            let _ = program.child.kill();
            let _ = program.child.wait();
        }
        drop(self.agent.take());
        self.keepers.iter_mut().filter_map(Option::take).for_each(Holder::kill);
        // The agent may have mounted anew meanwhile.
        for row in mount::table().unwrap_or_default() {
            if row.path.starts_with(self.cluster.dir()) {
                let _ = mount::unmount(&row.path, Unmount::Force);
            }
        }
    }
}
