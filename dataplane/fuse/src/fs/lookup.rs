//! Names, attributes, room.

use super::nodes::{Way, ino_of, node_of};
use super::{AlluxioFs, Caller, Core, failed, text};
use crate::abi::{Attr, Entry, Operation, ROOT_NODE, StatFs, attr_reply};
use crate::errno::Errno;
use crate::options::Commit;
use crate::session::Reply;
use alluxio_client::{Freshness, GetStatusOptions};
use alluxio_types::{Access, AlluxioPath, Code, Coded, FileKind, FileStatus, UnixMillis};
use std::sync::Arc;
use std::time::Duration;

/// How long the room of a cluster is believed: `df` asks often, and it changes slowly.
const USAGE_VALID: Duration = Duration::from_secs(5);
/// How long a directory that this mount has made is believed to have only names that this mount gave it.
const KNOWN_WHOLE: Duration = Duration::from_secs(1);
/// What programs are told to read at a time.
pub(super) const IO_BYTES: u32 = 1 << 20;
/// Longest name that is given here, in bytes (Linux: `NAME_MAX`).
const NAME_BYTES_MAX: u32 = 255;
/// Unit of `statfs`.
const STATFS_BLOCK_BYTES: u32 = 4096;

/// Without what a lookup does not need.
pub(super) const STATUS: GetStatusOptions =
    GetStatusOptions { freshness: Freshness { sync: None, load: None }, without_blocks: true };

fn since_1970(at: UnixMillis) -> Duration {
    Duration::from_millis(at.0)
}

impl Core {
    /// How a status looks to `stat`.
    pub(super) fn attr(&self, status: &FileStatus) -> Attr {
        let (kind, size) = match status.kind {
            FileKind::Directory => (libc::S_IFDIR, 4096),
            FileKind::Symlink => (libc::S_IFLNK, status.length),
            FileKind::File => (libc::S_IFREG, status.length),
        };
        Attr {
            ino: node_of(status.id),
            size,
            mode: kind | u32::from(status.mode.0),
            // Of a directory, 1 says that nobody has counted those below it.
            links: 1,
            uid: self.names.uid(&status.owner),
            gid: self.names.gid(&status.group),
            accessed: since_1970(status.accessed.max(status.modified)),
            modified: since_1970(status.modified),
            block_size: IO_BYTES,
        }
    }

    /// Takes note of a status that somebody was answered, counted as one lookup.
    pub(super) fn entry(&self, parent: u64, name: &str, status: &FileStatus) -> Entry {
        self.entry_seen(parent, name, status, false)
    }

    /// The same; `own` says that the status is one of ours, not of a user.
    pub(super) fn entry_seen(
        &self,
        parent: u64,
        name: &str,
        status: &FileStatus,
        own: bool,
    ) -> Entry {
        let mut attr = self.attr(status);
        let mut nodes = self.nodes();
        let node = match nodes.written_child(parent, name) {
            Some(number) => {
                nodes.look_up(number);
                number
            }
            None => nodes.learn(parent, name, status.id, attr, 1),
        };
        attr.ino = ino_of(node);
        if let Some(known) = nodes.get(node)
            && let Some(draft) = &known.draft
        {
            attr = Attr { ino: ino_of(node), ..known.attr };
            draft.dress(&mut attr);
        }
        drop(nodes);
        self.hear_xattr(node, status, own);
        let (entry_valid, attr_valid) = (self.settings.entry_valid, self.settings.attr_valid);
        Entry { node, attr, entry_valid, attr_valid }
    }

    pub(super) async fn status(
        &self,
        caller: Caller,
        path: &AlluxioPath,
    ) -> Result<FileStatus, Errno> {
        let client = self.quick(caller)?;
        client.get_status(path, &STATUS).await.map_err(|error| failed("look up", &error))
    }

    async fn lookup(&self, caller: Caller, name: &str) -> Result<Vec<u8>, Errno> {
        let path = self.path_below(caller.node, name).await?;
        let status = match self.status(caller, &path).await {
            // Longer ones are shown when they are there, but none is made here.
            // An under store that is asked may find it too long too.
            Err(Errno::NOENT | Errno::INVAL) if name.len() > NAME_BYTES_MAX as usize => {
                return Err(Errno::NAMETOOLONG);
            }
            status => status?,
        };
        let own = caller.uid == self.own_uid;
        Ok(self.entry_seen(caller.node, name, &status, own).reply())
    }

    /// What is known of a name without asking.
    fn look_up_here(&self, parent: u64, name: &str) -> Option<Result<Entry, Errno>> {
        if let Some(entry) = self.entry_of_draft(parent, name) {
            return Some(Ok(entry));
        }
        self.is_absent(parent, name).then_some(Err(Errno::NOENT))
    }

    /// Whether a name is not there, as far as names may be believed at all.
    fn is_absent(&self, parent: u64, name: &str) -> bool {
        let (now, age) = (self.host.clock.monotonic(), self.settings.entry_valid.min(KNOWN_WHOLE));
        if self.settings.commit == Commit::Close || name.len() > NAME_BYTES_MAX as usize {
            return false;
        }
        let nodes = self.nodes();
        nodes.is_known_whole(parent, now, age) && nodes.child(parent, name).is_none()
    }

    /// A file that is being written here is what this mount says it is, until it is committed.
    fn entry_of_draft(&self, parent: u64, name: &str) -> Option<Entry> {
        let mut nodes = self.nodes();
        let node = nodes.written_child(parent, name)?;
        nodes.look_up(node);
        let known = nodes.get(node)?;
        let mut attr = Attr { ino: ino_of(node), ..known.attr };
        known.draft.as_ref()?.dress(&mut attr);
        let (entry_valid, attr_valid) = (self.settings.entry_valid, self.settings.attr_valid);
        Some(Entry { node, attr, entry_valid, attr_valid })
    }

    /// What is known of a file that is being written here.
    pub(super) fn attr_of_draft(&self, number: u64) -> Option<Attr> {
        let nodes = self.nodes();
        let node = nodes.get(number)?;
        let mut attr = Attr { ino: ino_of(number), ..node.attr };
        node.draft.as_ref()?.dress(&mut attr);
        if node.unlinked {
            attr.links = 0;
        }
        Some(attr)
    }

    /// Attributes of a node. One whose file was replaced by somebody else is stale by name; who has it open
    /// still sees what he opened.
    pub(super) async fn get_attr(&self, caller: Caller) -> Result<Attr, Errno> {
        if let Some(attr) = self.attr_of_draft(caller.node) {
            return Ok(attr);
        }
        let outcome = async {
            let path = self.path(caller.node).await?;
            self.status(Caller { uid: self.own_uid, ..caller }, &path).await
        };
        let outcome = outcome.await;
        let mut nodes = self.nodes();
        let known = nodes.get_mut(caller.node);
        let ino = ino_of(caller.node);
        match (outcome, known) {
            (Ok(status), Some(known)) if known.inode == status.id => {
                let mut attr = Attr { ino, ..self.attr(&status) };
                if let Some(draft) = &known.draft {
                    draft.dress(&mut attr);
                }
                if known.unlinked {
                    attr.links = 0;
                }
                known.attr = attr;
                Ok(attr)
            }
            (Ok(status), None) => Ok(Attr { ino, ..self.attr(&status) }),
            (Ok(_) | Err(Errno::STALE | Errno::NOENT), Some(known))
                if known.draft.is_some() || !matches!(known.way, Way::Closed) =>
            {
                let mut attr = known.attr;
                if let Some(draft) = &known.draft {
                    draft.dress(&mut attr);
                }
                Ok(attr)
            }
            (Ok(_), Some(_)) => Err(Errno::STALE),
            (Err(error), _) => Err(error),
        }
    }

    /// Room for what comes to a node: of the tightest quota that it counts at, or of the cluster.
    async fn stat_fs(&self, node: u64) -> Result<Vec<u8>, Errno> {
        let mut room = self.cluster_room().await?;
        // Of a node without a path, as one that is unlinked or not made yet, the cluster's.
        let quotas = match self.path(node).await {
            Ok(path) => match self.own.quotas(&path).await {
                Err(error) if error.code() == Code::NotFound => Vec::new(),
                quotas => quotas.map_err(|error| failed("statfs", &error))?,
            },
            Err(_) => Vec::new(),
        };
        let block = u64::from(STATFS_BLOCK_BYTES);
        if let Some(tightest) =
            quotas.iter().filter(|q| q.quota.bytes.is_some()).min_by_key(|q| q.bytes_left())
        {
            // A file of one byte counts as one byte, so part of a block is no room that is left.
            room.blocks = tightest.quota.bytes.unwrap_or_default().div_ceil(block);
            room.free = tightest.bytes_left().unwrap_or_default() / block;
        }
        if let Some(tightest) =
            quotas.iter().filter(|q| q.quota.inodes.is_some()).min_by_key(|q| q.inodes_left())
        {
            room.files = tightest.quota.inodes.unwrap_or_default();
            room.files_free = tightest.inodes_left().unwrap_or_default();
        }
        Ok(room.reply())
    }

    /// Room on all workers together, looked up now and then.
    async fn cluster_room(&self) -> Result<StatFs, Errno> {
        let now = self.host.clock.monotonic();
        let known = *self.usage.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((at, usage)) = known
            && now.saturating_sub(at) < USAGE_VALID
        {
            return Ok(usage);
        }
        let capacity = self.own.capacity().await.map_err(|error| failed("statfs", &error))?;
        let block = u64::from(STATFS_BLOCK_BYTES);
        let free = capacity.capacity_bytes.saturating_sub(capacity.used_bytes);
        let usage = StatFs {
            blocks: capacity.capacity_bytes / block,
            free: free / block,
            files: 0,
            files_free: 0,
            block_size: STATFS_BLOCK_BYTES,
            name_bytes_max: NAME_BYTES_MAX,
        };
        *self.usage.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some((now, usage));
        Ok(usage)
    }

    async fn access(&self, caller: Caller, mask: u32) -> Result<Vec<u8>, Errno> {
        let path = self.path(caller.node).await?;
        let client = self.client(caller)?;
        let access = Access((mask & 7) as u16);
        client.check_access(&path, access).await.map_err(|error| failed("access", &error))?;
        Ok(Vec::new())
    }
}

impl AlluxioFs {
    pub(super) fn serve_lookup(&self, caller: Caller, operation: Operation<'_>, reply: Reply) {
        let core: Arc<Core> = self.core.clone();
        match operation {
            Operation::Lookup { name } => match text(name) {
                Ok(name) => {
                    // Most names of who writes are known here.
                    match core.look_up_here(caller.node, name) {
                        Some(Ok(entry)) => return reply.ok(&entry.reply()),
                        Some(Err(errno)) => return reply.error(errno),
                        None => {}
                    }
                    let name = name.to_owned();
                    self.ask(reply, async move { core.lookup(caller, &name).await });
                }
                Err(_) => reply.error(Errno::NOENT),
            },
            // Programs ask after each write.
            Operation::GetAttr { .. } if let Some(attr) = core.attr_of_draft(caller.node) => {
                reply.ok(&attr_reply(&attr, core.settings.attr_valid));
            }
            Operation::GetAttr { .. } => self.ask(reply, async move {
                let valid = match caller.node {
                    ROOT_NODE => core.settings.attr_valid.min(Duration::from_secs(1)),
                    _ => core.settings.attr_valid,
                };
                Ok(attr_reply(&core.get_attr(caller).await?, valid))
            }),
            Operation::Access { mask } => {
                self.ask(reply, async move { core.access(caller, mask).await });
            }
            _ => self.ask(reply, async move { core.stat_fs(caller.node).await }),
        }
    }
}
