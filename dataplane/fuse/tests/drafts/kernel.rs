//! The kernel's side of a connection, on a socket: it sends requests, and gives out again what a server
//! that is gone has not answered.

use alluxio_fuse::fs::{AlluxioFs, Settings};
use alluxio_fuse::options::Commit;
use alluxio_fuse::session::{Connection, Negotiated, Session};
use alluxio_host::Host;
use alluxio_testkit::LocalCluster;
use alluxio_types::{AlluxioPath, FileStatus};
use rustix::net::{AddressFamily, SendFlags, Shutdown, SocketFlags, SocketType};
use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Longest time that an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Set in the number of a request that is given out again.
const RESENT: u64 = 1 << 63;
/// The root of the mount.
const ROOT: u64 = 1;

const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const SETATTR: u32 = 4;
const UNLINK: u32 = 10;
const OPEN: u32 = 14;
const READ: u32 = 15;
const WRITE: u32 = 16;
const RELEASE: u32 = 18;
const FSYNC: u32 = 20;
const FLUSH: u32 = 25;
const CREATE: u32 = 35;
const RENAME2: u32 = 45;

/// An answer: its body, or an errno.
pub(crate) type Answer = Result<Vec<u8>, i32>;

/// A process that serves the mount.
pub(crate) struct Server {
    runtime: Runtime,
    session: Session,
    socket: OwnedFd,
}

/// A cluster, a kernel, and the process between them.
pub(crate) struct World {
    cluster: Option<LocalCluster>,
    runtime: Runtime,
    client: alluxio_client::FileSystem,
    server: Option<Server>,
    socket: OwnedFd,
    staging: PathBuf,
    commit: Commit,
    unique: u64,
    pending: BTreeMap<u64, Vec<u8>>,
    answers: HashMap<u64, Answer>,
}

/// A file that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) node: u64,
    pub(crate) handle: u64,
}

fn pair() -> (OwnedFd, OwnedFd) {
    let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    rustix::net::socketpair(family, kind, SocketFlags::CLOEXEC, None).unwrap()
}

fn negotiated() -> Negotiated {
    Negotiated {
        minor: 45,
        features: alluxio_fuse::abi::feature::HAS_RESEND,
        max_readahead: 1 << 20,
        max_write: 1 << 17,
        max_background: 64,
        stack_depth: 0,
    }
}

impl Server {
    /// It is gone, with all that it has not told the kernel.
    pub(crate) fn kill(self) {
        rustix::net::shutdown(&self.socket, Shutdown::Both).unwrap();
        self.runtime.shutdown_timeout(PATIENCE);
        self.session.wait();
    }
}

/// A server, and the other end of what is its device.
pub(crate) fn serve_on(
    cluster: &LocalCluster,
    staging: &Path,
    negotiated: Negotiated,
    commit: Commit,
) -> (Server, OwnedFd) {
    let (ours, theirs) = pair();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let socket = theirs.as_fd().try_clone_to_owned().unwrap();
    let connection = Connection::adopt(theirs, Vec::new(), negotiated).unwrap();
    let settings = Settings {
        root: AlluxioPath::root(),
        attr_valid: Duration::from_secs(1),
        entry_valid: Duration::from_secs(1),
        passthrough: false,
        staging: staging.to_owned(),
        commit,
    };
    let inside = runtime.enter();
    let config = cluster.config().client().unwrap();
    let fs = AlluxioFs::new(config, Host::real(), connection.control(), settings).unwrap();
    drop(inside);
    let session = connection.run(Arc::new(fs), 8).unwrap();
    (Server { runtime, session, socket }, ours)
}

impl World {
    pub(crate) fn new(commit: Commit, properties: &[(&str, &str)]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let small = [
            ("alluxio.worker.ramdisk.size", "256MB"),
            ("alluxio.user.block.size.bytes.default", "64KB"),
        ];
        let properties = small.iter().chain(properties).copied();
        let cluster = runtime.block_on(LocalCluster::with(1, properties)).unwrap();
        let staging = cluster.dir().join("staging");
        let inside = runtime.enter();
        let client = cluster.client().unwrap();
        drop(inside);
        let (server, socket) = serve_on(&cluster, &staging, negotiated(), commit);
        let mut world = World {
            cluster: Some(cluster),
            runtime,
            client,
            server: Some(server),
            socket,
            staging,
            commit,
            unique: 0,
            pending: BTreeMap::new(),
            answers: HashMap::new(),
        };
        assert!(world.hear(PATIENCE));
        world
    }

    pub(crate) fn staging(&self) -> &Path {
        &self.staging
    }

    /// The process is gone, with all that it had not told the kernel.
    pub(crate) fn kill(&mut self) {
        let Some(server) = self.server.take() else { return };
        server.kill();
        // What it had said before counts.
        while self.hear(Duration::ZERO) {}
    }

    /// Another process goes on.
    pub(crate) fn go_on(&mut self) {
        let cluster = self.cluster.as_ref().unwrap();
        let (server, socket) = serve_on(cluster, &self.staging, negotiated(), self.commit);
        (self.server, self.socket) = (Some(server), socket);
        // Its first word asks for what was not answered.
        assert!(self.hear(PATIENCE));
    }

    pub(crate) fn restart(&mut self) {
        self.kill();
        self.go_on();
    }

    fn send(&self, bytes: &[u8]) {
        rustix::net::send(&self.socket, bytes, SendFlags::empty()).unwrap();
    }

    fn resend(&mut self) {
        for (unique, request) in &mut self.pending {
            request[8..16].copy_from_slice(&(unique | RESENT).to_ne_bytes());
        }
        for request in self.pending.values() {
            self.send(request);
        }
    }

    /// Hears one word of the server; `false` when there is none, or when it is gone.
    fn hear(&mut self, within: Duration) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let timeout = Timespec { tv_sec: within.as_secs() as i64, tv_nsec: 0 };
        let mut polled = [PollFd::new(&self.socket, PollFlags::IN)];
        if poll(&mut polled, Some(&timeout)).unwrap() == 0 {
            return false;
        }
        let mut bytes = vec![0; 1 << 20];
        let length = rustix::io::read(&self.socket, &mut bytes).unwrap_or(0);
        if length == 0 {
            return false;
        }
        let error = i32::from_ne_bytes(bytes[4..8].try_into().unwrap());
        let unique = u64::from_ne_bytes(bytes[8..16].try_into().unwrap());
        if unique == 0 {
            assert_eq!(error, 7, "the only notice is that of a server that goes on");
            self.resend();
            return true;
        }
        let body = bytes[16..length].to_vec();
        let unique = unique & !RESENT;
        if self.pending.remove(&unique).is_some() {
            self.answers.insert(unique, if error == 0 { Ok(body) } else { Err(-error) });
        }
        true
    }

    /// Sends a request; its answer is for [`World::answer`].
    pub(crate) fn ask(&mut self, opcode: u32, node: u64, body: &[&[u8]]) -> u64 {
        self.unique += 2;
        let body = body.concat();
        let mut bytes = ((40 + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(opcode.to_ne_bytes());
        for word in [self.unique, node] {
            bytes.extend(word.to_ne_bytes());
        }
        for word in [0u32, 0, 1, 0] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(body);
        self.send(&bytes);
        if opcode != FORGET {
            self.pending.insert(self.unique, bytes);
        }
        self.unique
    }

    pub(crate) fn answer(&mut self, unique: u64) -> Answer {
        loop {
            if let Some(answer) = self.answers.remove(&unique) {
                return answer;
            }
            assert!(self.hear(PATIENCE), "no answer");
        }
    }

    pub(crate) fn ask_create(&mut self, name: &str) -> u64 {
        let words = [(libc::O_RDWR | libc::O_EXCL) as u32, 0o100_644, 0o022, 0];
        self.ask(CREATE, ROOT, &[&words.map(u32::to_ne_bytes).concat(), name.as_bytes(), b"\0"])
    }

    pub(crate) fn create(&mut self, name: &str) -> Open {
        let unique = self.ask_create(name);
        created(&self.answer(unique).unwrap())
    }

    pub(crate) fn ask_open(&mut self, node: u64, flags: i32) -> u64 {
        self.ask(OPEN, node, &[&(flags as u32).to_ne_bytes(), &[0; 4]])
    }

    pub(crate) fn open(&mut self, node: u64, flags: i32) -> Open {
        let unique = self.ask_open(node, flags);
        Open { node, handle: word(&self.answer(unique).unwrap(), 0) }
    }

    pub(crate) fn ask_write(&mut self, open: Open, at: u64, bytes: &[u8]) -> u64 {
        let head = [open.handle.to_ne_bytes(), at.to_ne_bytes()].concat();
        let length = (bytes.len() as u32).to_ne_bytes();
        self.ask(WRITE, open.node, &[&head, &length, &[0; 20], bytes])
    }

    pub(crate) fn write(&mut self, open: Open, at: u64, bytes: &[u8]) {
        let unique = self.ask_write(open, at, bytes);
        self.answer(unique).unwrap();
    }

    pub(crate) fn read(&mut self, open: Open, at: u64, size: u32) -> Vec<u8> {
        let head = [open.handle.to_ne_bytes(), at.to_ne_bytes()].concat();
        let unique = self.ask(READ, open.node, &[&head, &size.to_ne_bytes(), &[0; 20]]);
        self.answer(unique).unwrap()
    }

    pub(crate) fn ask_flush(&mut self, open: Open) -> u64 {
        self.ask(FLUSH, open.node, &[&open.handle.to_ne_bytes(), &[0; 16]])
    }

    pub(crate) fn flush(&mut self, open: Open) {
        let unique = self.ask_flush(open);
        self.answer(unique).unwrap();
    }

    pub(crate) fn ask_fsync(&mut self, open: Open) -> u64 {
        self.ask(FSYNC, open.node, &[&open.handle.to_ne_bytes(), &[0; 8]])
    }

    pub(crate) fn ask_release(&mut self, open: Open) -> u64 {
        self.ask(RELEASE, open.node, &[&open.handle.to_ne_bytes(), &[0; 16]])
    }

    pub(crate) fn close(&mut self, open: Open) {
        self.flush(open);
        let unique = self.ask_release(open);
        self.answer(unique).unwrap();
    }

    pub(crate) fn ask_set_length(&mut self, node: u64, length: u64) -> u64 {
        let mut body = vec![0; 88];
        body[..4].copy_from_slice(&(1u32 << 3).to_ne_bytes());
        body[16..24].copy_from_slice(&length.to_ne_bytes());
        self.ask(SETATTR, node, &[&body])
    }

    pub(crate) fn set_modified(&mut self, node: u64, seconds: u64) {
        let mut body = vec![0; 88];
        body[..4].copy_from_slice(&(1u32 << 5).to_ne_bytes());
        body[40..48].copy_from_slice(&seconds.to_ne_bytes());
        let unique = self.ask(SETATTR, node, &[&body]);
        self.answer(unique).unwrap();
    }

    /// Length of a node.
    pub(crate) fn length(&mut self, node: u64) -> u64 {
        let unique = self.ask(GETATTR, node, &[&[0; 16]]);
        word(&self.answer(unique).unwrap(), 16 + 8)
    }

    pub(crate) fn lookup(&mut self, name: &str) -> Result<u64, i32> {
        let unique = self.ask(LOOKUP, ROOT, &[name.as_bytes(), b"\0"]);
        self.answer(unique).map(|body| word(&body, 0))
    }

    pub(crate) fn ask_unlink(&mut self, name: &str) -> u64 {
        self.ask(UNLINK, ROOT, &[name.as_bytes(), b"\0"])
    }

    pub(crate) fn unlink(&mut self, name: &str) {
        let unique = self.ask_unlink(name);
        self.answer(unique).unwrap();
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        let head = [ROOT.to_ne_bytes(), [0; 8]].concat();
        let names = [from.as_bytes(), b"\0", to.as_bytes(), b"\0"].concat();
        let unique = self.ask(RENAME2, ROOT, &[&head, &names]);
        self.answer(unique).unwrap();
    }

    /// The kernel forgets all lookups of a node.
    pub(crate) fn forget(&mut self, node: u64) {
        self.ask(FORGET, node, &[&(1u64 << 32).to_ne_bytes()]);
    }

    /// Bytes as other clients see them; `None` while nobody can read them.
    pub(crate) fn get(&self, name: &str) -> Option<Vec<u8>> {
        let path = AlluxioPath::parse(&format!("/{name}")).unwrap();
        self.runtime.block_on(async {
            let mut reader = self.client.open_file(&path, &Default::default()).await.ok()?;
            Some(reader.read_to_end().await.unwrap())
        })
    }

    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let path = AlluxioPath::parse(&format!("/{name}")).unwrap();
        self.runtime.block_on(async {
            let mut writer = self.client.create_file(&path, &Default::default()).await.unwrap();
            writer.write(bytes).await.unwrap();
            writer.close().await.unwrap();
        });
    }

    /// Another client deletes it.
    pub(crate) fn delete(&self, name: &str) {
        let path = AlluxioPath::parse(&format!("/{name}")).unwrap();
        self.runtime.block_on(self.client.delete(&path, &Default::default())).unwrap();
    }

    pub(crate) fn status(&self, name: &str) -> Option<FileStatus> {
        let path = AlluxioPath::parse(&format!("/{name}")).unwrap();
        self.runtime.block_on(self.client.get_status(&path, &Default::default())).ok()
    }

    /// Names as other clients see them, hidden ones too.
    pub(crate) fn names(&self) -> Vec<String> {
        let root = AlluxioPath::root();
        let listed = self.runtime.block_on(self.client.list_status(&root, &Default::default()));
        listed.unwrap().into_iter().map(|status| status.name).collect()
    }

    /// Waits until something is so.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = std::time::Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed() < PATIENCE, "{what}: {:?}", self.names());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill();
        if let Some(cluster) = self.cluster.take() {
            self.runtime.block_on(cluster.stop());
        }
    }
}

pub(crate) fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Node and handle in the answer to a creation: an entry of 128 bytes comes first.
pub(crate) fn created(body: &[u8]) -> Open {
    Open { node: word(body, 0), handle: word(body, 128) }
}
