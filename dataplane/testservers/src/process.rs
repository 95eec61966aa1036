//! Child processes that end with us.

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::BuildHasher;
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to start: a JVM on a busy machine with two cores needs 20 s.
pub const START_LIMIT: Duration = Duration::from_secs(120);

/// A server and its directory.
pub struct Server {
    child: Child,
    /// Its end is what ends the server; also the way to send it commands.
    stdin: Option<ChildStdin>,
    log: PathBuf,
    dir: tempfile::TempDir,
}

impl Server {
    /// Runs `command`, which MUST end when its standard input does, with its output in a log file
    /// in `dir`.
    pub fn start(mut command: Command, dir: tempfile::TempDir) -> Server {
        let log = dir.path().join("server.log");
        let file = File::create(&log).expect("a file can be made in a new directory");
        let copy = file.try_clone().expect("a descriptor can be copied");
        let spawned = command.stdin(Stdio::piped()).stdout(file).stderr(copy).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let stdin = child.stdin.take();
        Server { child, stdin, log, dir }
    }

    /// A command that runs `program` and kills it when standard input ends.
    pub fn supervised(program: &Path) -> Command {
        let mut command = Command::new("sh");
        command.arg("-c").arg(r#""$@" & cat >/dev/null; kill -9 $!; wait"#).arg("sh").arg(program);
        command
    }

    /// The server's directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Processes that a [`Server::supervised`] command runs: none after they ended.
    pub fn children(&self) -> Vec<u32> {
        let supervisor = self.child.id();
        let path = format!("/proc/{supervisor}/task/{supervisor}/children");
        let children = std::fs::read_to_string(path).unwrap_or_default();
        // `cat`, which waits for the end of the pipe, is a child too.
        let is_server = |id: &u32| {
            let name = std::fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
            name.trim() != "cat"
        };
        children.split_whitespace().filter_map(|id| id.parse().ok()).filter(is_server).collect()
    }

    /// Waits until `ready` yields something, looking at the log as it grows.
    ///
    /// **Panics** with the log when the server ends, or after [`START_LIMIT`].
    pub fn wait_until<T>(&mut self, ready: impl Fn(&str) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            let log = self.log_text();
            if let Some(value) = ready(&log) {
                return value;
            }
            let ended = self.child.try_wait().expect("our child can be asked");
            let late = start.elapsed() > START_LIMIT;
            assert!(ended.is_none() && !late, "the server did not start ({ended:?}):\n{log}");
            // Polling: nothing tells that a port is open.
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Sends one line to the server.
    pub fn send(&mut self, line: &str) {
        use std::io::Write;
        let stdin = self.stdin.as_mut().expect("taken only on drop");
        writeln!(stdin, "{line}").expect("the server reads its commands");
    }

    /// The last 64 KiB of what the server printed.
    pub fn log_text(&self) -> String {
        const TAIL: u64 = 64 * 1024;
        let mut text = Vec::new();
        if let Ok(mut file) = File::open(&self.log) {
            let length = file.metadata().map_or(0, |metadata| metadata.len());
            if file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).is_ok() {
                // An unreadable log is an empty log: the caller decides by what it finds.
                let _ = file.read_to_end(&mut text);
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // The end of the pipe ends it; waiting keeps its directory from being removed under it.
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on right now, for a server that will listen on it again after a
/// restart.
///
/// It lies below the range from which the system takes ports for outgoing connections. A port of that
/// range may be lost while its server is down, and a client that retries there can even be connected to
/// itself: a TCP socket that is given the port it connects to as its own answers to itself.
///
/// **Panics** when there is none.
pub fn free_port() -> u16 {
    const FIRST: u16 = 20_000;
    let end = first_outgoing_port().max(FIRST + 1);
    // Test processes run side by side: each begins to look somewhere else.
    let start = RandomState::new().hash_one(std::process::id());
    let span = u64::from(end - FIRST);
    let candidates = (0..span).map(|step| FIRST + (start.wrapping_add(step) % span) as u16);
    let mut free =
        candidates.filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    free.next().expect("loopback has free ports")
}

fn first_outgoing_port() -> u16 {
    /// What Linux takes unless told otherwise.
    const USUAL: u16 = 32_768;
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let first = range.ok().and_then(|range| range.split_whitespace().next()?.parse().ok());
    first.unwrap_or(USUAL)
}

/// The whole answer of a web server to one question, head included.
///
/// **Errors**: when there is none within that time.
pub fn web_page(server: SocketAddrV4, path: &str, within: Duration) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&server.into(), within)?;
    stream.set_read_timeout(Some(within))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
