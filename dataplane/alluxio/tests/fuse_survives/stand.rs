//! A cluster, two keepers and an agent, as processes, and the programs that use the mount.

use crate::load::{self, DOOMED_BYTES, FILES, Kind, NAMES};
use alluxio_client::{CreateDirectoryOptions, CreateFileOptions};
use alluxio_fuse::mount::{self, Unmount};
use alluxio_testkit::{ProcessCluster, Server};
use alluxio_testservers::process::free_port;
use alluxio_types::AlluxioPath;
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

struct Program {
    child: Child,
    log: PathBuf,
}

pub(crate) struct Stand {
    programs: Vec<Program>,
    agent: Option<Server>,
    keepers: [Option<Child>; 2],
    web_port: u16,
    /// When something was killed, and what.
    kills: Vec<(u64, &'static str)>,
    cluster: ProcessCluster,
}

impl Stand {
    /// `None` where mounting is not allowed.
    pub(crate) fn start() -> Option<Self> {
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
        ];
        let mut cluster = ProcessCluster::start(binary(), &properties).unwrap();
        cluster.start_worker(1).unwrap();
        std::fs::create_dir(cluster.dir().join("point")).unwrap();
        let mut stand = Stand {
            programs: Vec::new(),
            agent: None,
            keepers: [None, None],
            web_port,
            kills: Vec::new(),
            cluster,
        };
        stand.fill();
        stand.start_keeper(0);
        stand.start_keeper(1);
        stand.start_agent();
        let output = stand.alluxio(&["fuse", "mount", "/", stand.point().to_str().unwrap()]);
        let impossible = ["needs root", "/dev/fuse"].iter().any(|why| output.contains(why));
        if impossible {
            assert!(std::env::var_os("CI").is_none(), "cannot mount: {output}");
            say(&format!("not tested: {output}"));
            return None;
        }
        assert!(output.contains("is mounted at"), "{output}");
        Some(stand)
    }

    fn fill(&self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let client = self.cluster.client().unwrap();
        let path = |text: &str| AlluxioPath::parse(text).unwrap();
        runtime.block_on(async {
            for (number, length) in FILES.into_iter().enumerate() {
                let options = CreateFileOptions { recursive: true, ..Default::default() };
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
        let mut command = self.cluster.command(&["fuse-keeper", "--socket"]);
        let child = command.arg(self.keeper_socket(number)).spawn().unwrap();
        self.keepers[number] = Some(child);
        let socket = self.keeper_socket(number);
        until("a keeper", || alluxio_fuse::keeper::Client::connect(&socket).is_ok());
    }

    pub(crate) fn kill_keeper(&mut self, number: usize) {
        let mut child = self.keepers[number].take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
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

    fn agent_log(&self) -> PathBuf {
        self.cluster.dir().join("logs/agent.log")
    }

    pub(crate) fn start_agent(&mut self) {
        let (conf, log) = (self.cluster.conf_dir(), self.agent_log());
        self.agent = Some(Server::start(binary(), "fuse agent", &conf, &log).unwrap());
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
        self.start_program_at(kind, seed, &self.point());
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

    /// The longest stall of each program after each kill.
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
        let at = |part: usize| longest[(longest.len() * part / 100).min(longest.len() - 1)];
        say(&format!(
            "{} kills, {} programs, {operations} operations, no error; stalls: median {} ms, p99 {} ms, \
             longest {} ms",
            self.kills.len(),
            programs.len(),
            at(50),
            at(99),
            at(100),
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
        for keeper in self.keepers.iter_mut().filter_map(Option::take) {
            let mut keeper = keeper;
            let _ = keeper.kill();
            let _ = keeper.wait();
        }
        // The agent may have mounted anew meanwhile.
        for row in mount::table().unwrap_or_default() {
            if row.path.starts_with(self.cluster.dir()) {
                let _ = mount::unmount(&row.path, Unmount::Force);
            }
        }
    }
}
