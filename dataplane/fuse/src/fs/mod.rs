//! The namespace of a cluster as a file system.
//!
//! What needs no waiting (reads of blocks that are open here and in memory, writes into a draft, closing
//! of what has not changed) is answered on the thread that read it. Everything else is a task, so that a
//! slow master or worker holds up nobody else.
//!
//! Reading order: [`nodes`], [`handles`], [`names`] (who), [`lookup`] (names and attributes), [`list`],
//! [`read`], [`draft`] and [`write`], [`change`] (names that come and go, attributes that change), [`link`],
//! [`xattr`], [`privilege`], [`room`]; then what
//! outlives the process: [`record`], [`ledger`], [`replay`].

mod change;
mod draft;
mod handles;
mod ledger;
mod leftovers;
mod link;
mod list;
mod lookup;
mod names;
mod nodes;
mod privilege;
mod read;
mod record;
mod replay;
mod room;
mod running;
mod write;
mod xattr;

use crate::abi::{Header, Operation, ROOT_NODE, UNIQUE_RESEND};
use crate::errno::Errno;
use crate::filesystem::FileSystem;
use crate::options::Commit;
use crate::session::{Control, PATIENCE, Reply, Request, Wait};
use alluxio_client::{ClientError, FileSystem as Client};
use alluxio_config::ClientConfig;
use alluxio_host::Host;
use alluxio_host::waiting::may_wait;
use alluxio_types::{AlluxioPath, Code, Coded};
pub use draft::StagingError;
use draft::{Inherited, Staging};
use handles::Handles;
pub use ledger::{Ledger, LedgerError};
use names::{Names, People, User};
use nodes::{Nodes, Place};
pub use record::{KeptNode, KeptWay};
use room::Range;
use running::Running;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// How a mount behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is shown at the mount point.
    pub root: AlluxioPath,
    /// How long the kernel believes attributes.
    pub attr_valid: Duration,
    /// How long it believes names.
    pub entry_valid: Duration,
    /// Whether blocks of this host may be read past us.
    pub passthrough: bool,
    /// Folder of drafts: files that are being written lie there until they are versions. What a process
    /// before us has left there is gone on with; a folder that another one is using is not touched.
    pub staging: PathBuf,
    /// Whether `close` waits for the journal.
    pub commit: Commit,
}

/// What there was before this process served a mount.
#[derive(Debug, Default)]
pub struct Past {
    /// How many have served it.
    pub generation: u64,
    /// What they have kept for us, and we keep for who comes after.
    pub ledger: Ledger,
    /// The same for all who serve one mount, and no other mount; 0 for one that nobody goes on with. Changes
    /// are named by it, so that masters know one that is repeated.
    pub salt: u64,
}

/// All of a mount but its connection. Cheap to clone.
#[derive(Clone)]
pub struct AlluxioFs {
    core: Arc<Core>,
}

/// What all operations share.
struct Core {
    host: Host,
    config: ClientConfig,
    own: Client,
    own_uid: u32,
    runtime: Handle,
    control: Control,
    settings: Settings,
    /// Off once the kernel has refused it for good.
    passthrough: AtomicBool,
    /// Opens that it reads past us.
    passed: AtomicU64,
    names: Names,
    nodes: Mutex<Nodes>,
    ledger: Ledger,
    generation: u64,
    salt: u64,
    handles: Mutex<Handles>,
    users: Mutex<HashMap<Arc<User>, Client>>,
    people: People,
    running: Running,
    usage: Mutex<Option<(Duration, crate::abi::StatFs)>>,
    staging: Arc<Staging>,
    /// Room for commits that nobody waits for.
    commits: Arc<Semaphore>,
    inherited: Inherited,
    /// By the monotonic clock.
    begun_at: Duration,
}

/// Why a mount does not come up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// No folder for drafts.
    #[error(transparent)]
    Staging(#[from] StagingError),
}

/// The nodes, while nobody else has them. What was changed of them is in the ledger before anybody else sees
/// it, and before any reply tells of it.
struct NodesGuard<'a> {
    nodes: MutexGuard<'a, Nodes>,
    ledger: &'a Ledger,
}

impl Deref for NodesGuard<'_> {
    type Target = Nodes;

    fn deref(&self) -> &Nodes {
        &self.nodes
    }
}

impl DerefMut for NodesGuard<'_> {
    fn deref_mut(&mut self) -> &mut Nodes {
        &mut self.nodes
    }
}

impl Drop for NodesGuard<'_> {
    fn drop(&mut self) {
        for number in self.nodes.take_touched() {
            match self.nodes.kept(number) {
                Some(kept) => self.ledger.node(kept),
                None => self.ledger.node_gone(number),
            }
        }
    }
}

/// Users that are remembered with their connections; more than that, and all are forgotten once.
const USERS_MAX: usize = 256;

/// Who asks, and about what.
#[derive(Debug, Clone, Copy)]
struct Caller {
    uid: u32,
    /// `None` when it is not known any more.
    gid: Option<u32>,
    /// 0 when it has no number here.
    pid: u32,
    node: u64,
    /// Whether the kernel asks again, because a process before us did not answer.
    resent: bool,
}

impl Caller {
    /// A user who has asked for something before.
    fn of(uid: u32, node: u64) -> Self {
        Caller { uid, gid: None, pid: 0, node, resent: false }
    }
}

impl AlluxioFs {
    /// A file system on the cluster of `config`. Must be called inside a tokio runtime, which runs what
    /// takes its time.
    ///
    /// **Errors**: as connecting a client, and when there is no folder for drafts.
    pub fn new(
        config: ClientConfig,
        host: Host,
        control: Control,
        settings: Settings,
    ) -> Result<Self, StartError> {
        Self::with_past(config, host, control, settings, Past::default())
    }

    /// The same for a mount that others have served before.
    ///
    /// **Errors**: as [`AlluxioFs::new`].
    pub fn with_past(
        config: ClientConfig,
        host: Host,
        control: Control,
        settings: Settings,
        past: Past,
    ) -> Result<Self, StartError> {
        let own = Client::connect_with_lines(config.clone(), host.clone())?;
        let (staging, left) = Staging::open(&settings.staging)?;
        let mut nodes = Nodes::default();
        past.ledger.nodes().into_iter().for_each(|kept| nodes.restore(kept));
        let fs = AlluxioFs {
            core: Arc::new(Core {
                own,
                own_uid: rustix::process::geteuid().as_raw(),
                runtime: Handle::current(),
                passthrough: AtomicBool::new(settings.passthrough),
                passed: AtomicU64::new(0),
                names: Names::default(),
                nodes: Mutex::new(nodes),
                ledger: past.ledger,
                generation: past.generation,
                salt: past.salt,
                handles: Mutex::new(Handles::of_generation(staging.generation())),
                users: Mutex::default(),
                people: People::default(),
                running: Running::default(),
                usage: Mutex::default(),
                staging,
                commits: Arc::new(Semaphore::new(draft::COMMITS_MAX)),
                inherited: Inherited::default(),
                begun_at: host.clock.monotonic(),
                host,
                config,
                control,
                settings,
            }),
        };
        fs.core.take_up(left);
        fs.core.runtime.spawn(Core::look_after_drafts(Arc::downgrade(&fs.core)));
        Ok(fs)
    }

    /// Opens that the kernel reads past us, so far.
    pub fn passed(&self) -> u64 {
        self.core.passed.load(Ordering::Relaxed)
    }

    /// Waits until nothing is on its way to the journal any more. For the end of a mount.
    pub async fn finish(&self) {
        self.core.arrive().await;
    }

    /// Nodes that are remembered.
    pub fn node_count(&self) -> usize {
        self.core.nodes().len()
    }
}

impl Core {
    fn nodes(&self) -> NodesGuard<'_> {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        NodesGuard { nodes, ledger: &self.ledger }
    }

    fn handles(&self) -> MutexGuard<'_, Handles> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(self: &Arc<Self>, number: u64, lookups: u64) {
        let mut nodes = self.nodes();
        let left = nodes.forget(number, lookups);
        if let Some(backing) = left.backing {
            self.control.close_backing(backing);
        }
        if left.hidden {
            let core = self.clone();
            self.runtime.spawn(async move { core.drop_hidden(number).await });
        }
        if let Some(node) = nodes.get(number)
            && node.lookups == 0
            && let Some(draft) = &node.draft
        {
            draft.forget_handles();
        }
    }

    /// The client that acts for a user. The kernel itself, and whoever runs us, is us.
    fn client(&self, caller: Caller) -> Result<Client, Errno> {
        if caller.uid == self.own_uid {
            return Ok(self.own.clone());
        }
        let now = self.host.clock.monotonic();
        let user = self.people.of(caller, now);
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = users.get(&user) {
            return Ok(client.clone());
        }
        let mut config = self.config.clone();
        config.security.login_user = self.names.user(user.uid);
        config.security.login_groups =
            user.groups.iter().map(|gid| self.names.group(*gid)).collect();
        let client = Client::connect_with_lines(config, self.host.clone());
        let client = client.map_err(|error| failed("connect for a user", &error))?;
        if users.len() >= USERS_MAX {
            users.clear();
        }
        users.insert(user, client.clone());
        Ok(client)
    }

    /// The same, for what may be answered before the journal has it.
    fn quick(&self, caller: Caller) -> Result<Client, Errno> {
        let client = self.client(caller)?;
        Ok(if self.settings.commit == Commit::Background { client.early() } else { client })
    }

    /// The path of a node.
    async fn path(&self, node: u64) -> Result<AlluxioPath, Errno> {
        let place = self.nodes().place(node);
        let (mut path, names) = match place {
            Place::Known(names) => (self.settings.root.clone(), names),
            Place::Gone => return Err(Errno::STALE),
            Place::Unknown(inode, names) => {
                let path = self.own.path_of(inode).await;
                let path = path.map_err(|error| match error.code() {
                    Code::NotFound => Errno::STALE,
                    _ => failed("find a node", &error),
                })?;
                if !path.starts_with(&self.settings.root) {
                    return Err(Errno::STALE);
                }
                (path, names)
            }
        };
        for name in names {
            path = path.join(&name).map_err(|_| Errno::NAMETOOLONG)?;
        }
        Ok(path)
    }

    /// The path of a name in a directory.
    async fn path_below(&self, parent: u64, name: &str) -> Result<AlluxioPath, Errno> {
        let path = self.path(parent).await?;
        path.join(name).map_err(|_| Errno::NAMETOOLONG)
    }

    fn passes(&self) -> bool {
        self.passthrough.load(Ordering::Relaxed)
    }
}

/// The number for an error; those that are nobody's fault but ours are logged.
fn failed(what: &str, error: &ClientError) -> Errno {
    let errno = Errno::of_error(error);
    if errno == Errno::IO {
        tracing::warn!(what, %error, "a request of the kernel fails");
    } else {
        tracing::debug!(what, %error, "a request of the kernel is refused");
    }
    errno
}

/// A name; those of a namespace are text.
fn text(name: &OsStr) -> Result<&str, Errno> {
    name.to_str().ok_or(Errno::INVAL)
}

impl AlluxioFs {
    /// Answers later what only asks: who does not want to wait any more gets `EINTR`.
    fn ask<F>(&self, reply: Reply, work: F)
    where
        F: Future<Output = Result<Vec<u8>, Errno>> + Send + 'static,
    {
        let core = self.core.clone();
        let unique = reply.unique();
        let stopped = self.core.running.enter(unique);
        self.begin(reply.try_wait(), async move {
            let result = running::unless_stopped(work, stopped).await;
            core.running.leave(unique);
            reply.send_result(result);
        });
    }

    /// Answers later what changes something: it is carried out to its end.
    fn change<F>(&self, reply: Reply, work: F)
    where
        F: Future<Output = Result<Vec<u8>, Errno>> + Send + 'static,
    {
        self.begin(reply.try_wait(), async move { reply.send_result(work.await) });
    }

    /// Carries work out: on this thread as far as `wait` allows, the rest as a task.
    fn begin<F>(&self, wait: Option<Wait>, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut work = Box::pin(work);
        let Some(wait) = wait else {
            self.core.runtime.spawn(work);
            return;
        };
        let inside = self.core.runtime.enter();
        // Nobody needs to be woken: what is not over is polled anew, as a task.
        let mut context = Context::from_waker(Waker::noop());
        let poll = || may_wait(PATIENCE, || work.as_mut().poll(&mut context));
        // As in a task, a panic is the end of this request, not of the thread. It is answered when it is dropped.
        let polled = std::panic::catch_unwind(AssertUnwindSafe(poll));
        drop(inside);
        let Ok((polled, enough)) = polled else { return };
        if !enough {
            wait.was_in_vain();
        }
        drop(wait);
        if polled.is_pending() {
            self.core.runtime.spawn(work);
        }
    }

    /// Goes on once the node has no privileges any more.
    fn unprivileged<F>(&self, caller: Caller, reply: Reply, go_on: F)
    where
        F: FnOnce(&Self, Reply) + Send + 'static,
    {
        let fs = self.clone();
        self.core.runtime.spawn(async move {
            match fs.core.drop_privileges(caller).await {
                Ok(()) => go_on(&fs, reply),
                Err(errno) => reply.error(errno),
            }
        });
    }

    fn dispatch(&self, header: Header, request: Request, reply: Reply) {
        let resent = header.unique & UNIQUE_RESEND != 0;
        let Header { uid, gid, pid, node, .. } = header;
        let caller = Caller { uid, gid: Some(gid), pid, node, resent };
        // It was parsed once already.
        let Ok((_, operation)) = request.parse() else { return reply.error(Errno::INVAL) };
        match operation {
            Operation::Lookup { .. }
            | Operation::GetAttr { .. }
            | Operation::Access { .. }
            | Operation::StatFs => self.serve_lookup(caller, operation, reply),
            Operation::OpenDir { .. }
            | Operation::ReadDir(_)
            | Operation::ReadDirPlus(_)
            | Operation::ReleaseDir { .. } => self.serve_list(caller, operation, reply),
            Operation::Open { kill_privileges: true, flags }
                if self.core.reduced_mode(caller.node).is_some() =>
            {
                self.unprivileged(caller, reply, move |fs, reply| fs.open(caller, flags, reply));
            }
            Operation::Open { flags, .. } => self.open(caller, flags, reply),
            Operation::Read(at) => self.read(caller, at, request, reply),
            Operation::Release { handle, .. } => self.release(caller, handle, reply),
            Operation::Write(at)
                if at.kill_privileges && self.core.reduced_mode(caller.node).is_some() =>
            {
                self.unprivileged(caller, reply, move |fs, reply| fs.write(caller, request, reply));
            }
            Operation::Write(_) => self.write(caller, request, reply),
            Operation::Flush { handle } => self.flush(caller, handle, false, reply),
            Operation::Fsync { handle, .. } => self.flush(caller, handle, true, reply),
            Operation::FsyncDir { .. } => self.sync_directory(caller, reply),
            Operation::Fallocate { handle, offset, length, mode } => {
                self.allocate(caller, handle, (Range { offset, length }, mode), reply);
            }
            Operation::Lseek { handle, offset, whence } => {
                self.seek(caller, handle, (offset, whence), reply);
            }
            Operation::ReadLink => {
                let core = self.core.clone();
                self.ask(reply, async move { core.read_link(caller).await });
            }
            Operation::GetXattr { .. } | Operation::ListXattr { .. } => {
                self.serve_xattr(caller, operation, reply);
            }
            _ => self.serve_change(caller, operation, reply),
        }
    }
}

impl FileSystem for AlluxioFs {
    fn serve(&self, request: Request, reply: Reply) {
        match request.parse() {
            Ok((header, _)) => self.dispatch(header, request, reply),
            Err(_) => reply.error(Errno::INVAL),
        }
    }

    fn interrupt(&self, unique: u64) {
        self.core.running.stop(unique);
    }

    fn forget(&self, node: u64, lookups: u64) {
        if node != ROOT_NODE {
            self.core.forget(node, lookups);
        }
    }
}
