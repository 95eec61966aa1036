//! Listings: pages of the master, turned when the kernel asks for more.
//!
//! **Cookies.** The cookie of a name is its inode's container plus 3: unique, and the same whatever else
//! comes and goes. A listing that goes on behind a name begins after it in the order of names, so a
//! cookie is good for as long as its inode exists, in another handle and after a restart of ours too.
//! A name that is gone is only found while the handle still has it in its window.

use super::handles::Handle;
use super::{AlluxioFs, Caller, Core, failed};
use crate::abi::{DirectoryPage, Entry, Opened, Operation, ReadAt};
use crate::errno::Errno;
use crate::session::Reply;
use alluxio_client::{ListStatusOptions, Listing as Pages};
use alluxio_types::{Code, Coded, FileKind, FileStatus, InodeId};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// Cookies of `.` and `..`.
const DOT: u64 = 1;
const DOT_DOT: u64 = 2;
/// Names that a handle remembers behind the position of its listing: two pages of the kernel's largest
/// reply, so that one that goes back a little, as `rm -r` does, needs no new listing.
const WINDOW: usize = 8192;
/// `d_type`.
const KIND_DIRECTORY: u32 = 4;
const KIND_FILE: u32 = 8;
const KIND_SYMLINK: u32 = 10;

/// Names that stand for open files that have no name any more.
pub(super) const HIDDEN_PREFIX: &str = ".fuse_hidden";

/// An open directory.
pub(crate) struct Listing {
    caller: Caller,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What was delivered last, or was fetched and not delivered.
    window: VecDeque<FileStatus>,
    /// Cookie that the window begins behind.
    begins: u64,
    pages: Option<Pages>,
    /// Whether the end is in the window.
    ended: bool,
}

fn cookie(id: InodeId) -> u64 {
    id.container() + 3
}

fn kind(status: &FileStatus) -> u32 {
    match status.kind {
        FileKind::Directory => KIND_DIRECTORY,
        FileKind::File => KIND_FILE,
        FileKind::Symlink => KIND_SYMLINK,
    }
}

impl Listing {
    pub(super) fn new(caller: Caller) -> Arc<Self> {
        Arc::new(Listing { caller, state: Mutex::default() })
    }

    /// A page from behind `at.offset` on.
    async fn page(&self, core: &Core, at: ReadAt, plus: bool) -> Result<Vec<u8>, Errno> {
        let mut page = DirectoryPage::new(at.size);
        if at.offset == 0 && !add_dot(core, self.caller, &mut page, ".", DOT, plus) {
            return Ok(Vec::new());
        }
        if at.offset <= DOT && !add_dot(core, self.caller, &mut page, "..", DOT_DOT, plus) {
            return Ok(page.bytes().to_vec());
        }
        let mut state = self.state.lock().await;
        let mut index = state.seek(core, self.caller, at.offset.max(DOT_DOT)).await?;
        while let Some(status) = state.at(index).await? {
            index += 1;
            if status.name.starts_with(HIDDEN_PREFIX) {
                continue;
            }
            if !add(core, self.caller, &mut page, status, plus) {
                break;
            }
        }
        Ok(page.bytes().to_vec())
    }
}

impl State {
    /// Index in the window of what comes behind the cookie.
    async fn seek(&mut self, core: &Core, caller: Caller, behind: u64) -> Result<usize, Errno> {
        if self.pages.is_some() {
            if self.begins == behind {
                return Ok(0);
            }
            let found = self.window.iter().position(|status| cookie(status.id) == behind);
            if let Some(found) = found {
                return Ok(self.trim(found + 1));
            }
        }
        let path = core.path(caller.node).await?;
        let mut options = ListStatusOptions { without_blocks: true, ..Default::default() };
        if behind > DOT_DOT {
            let inode = InodeId::from_container(behind - 3);
            match core.own.path_of(inode).await {
                Ok(last) if last.parent().as_ref() == Some(&path) => {
                    last.name().clone_into(&mut options.start_after);
                }
                // It is gone, or elsewhere, and nobody knows where it was: some names come twice.
                Ok(_) => {}
                Err(error) if error.code() == Code::NotFound => {}
                Err(error) => return Err(failed("go on with a listing", &error)),
            }
        }
        let pages = core.client(caller)?.iterate_status(&path, &options).await;
        self.pages = Some(pages.map_err(|error| failed("list", &error))?);
        self.window.clear();
        (self.begins, self.ended) = (behind, false);
        Ok(0)
    }

    /// Forgets what lies far behind; returns where `index` is then.
    fn trim(&mut self, index: usize) -> usize {
        let far = index.saturating_sub(WINDOW);
        for _ in 0..far {
            if let Some(status) = self.window.pop_front() {
                self.begins = cookie(status.id);
            }
        }
        index - far
    }

    async fn at(&mut self, index: usize) -> Result<Option<&FileStatus>, Errno> {
        while self.window.len() <= index && !self.ended {
            let next = match &mut self.pages {
                Some(pages) => pages.next().await,
                None => Ok(None),
            };
            match next {
                Ok(Some(status)) => self.window.push_back(status),
                Ok(None) => self.ended = true,
                Err(error) => {
                    // The next request begins a new one behind its cookie.
                    self.pages = None;
                    return Err(failed("list", &error));
                }
            }
        }
        Ok(self.window.get(index))
    }
}

fn add_dot(
    core: &Core,
    caller: Caller,
    page: &mut DirectoryPage,
    name: &str,
    cookie: u64,
    plus: bool,
) -> bool {
    if !plus {
        return page.push(name, caller.node, cookie, KIND_DIRECTORY);
    }
    let attr = core.nodes().get(caller.node).map(|node| node.attr).unwrap_or_default();
    let attr = crate::abi::Attr { ino: caller.node, mode: libc::S_IFDIR | 0o755, ..attr };
    // Node 0: the kernel knows these two.
    let (entry_valid, attr_valid) = (Duration::ZERO, Duration::ZERO);
    page.push_entry(name, &Entry { node: 0, attr, entry_valid, attr_valid }, cookie, KIND_DIRECTORY)
}

fn add(
    core: &Core,
    caller: Caller,
    page: &mut DirectoryPage,
    status: &FileStatus,
    plus: bool,
) -> bool {
    let cookie = cookie(status.id);
    if !plus {
        let ino = core.nodes().ino(status.id);
        return page.push(&status.name, ino, cookie, kind(status));
    }
    let own = caller.uid == core.own_uid;
    let entry = core.entry_seen(caller.node, &status.name, status, own);
    let added = page.push_entry(&status.name, &entry, cookie, kind(status));
    if !added {
        core.nodes().forget(entry.node, 1);
    }
    added
}

impl AlluxioFs {
    /// Waits until the names of a directory are durable.
    pub(super) fn sync_directory(&self, caller: Caller, reply: Reply) {
        let core = self.core.clone();
        self.change(reply, async move {
            let path = core.path(caller.node).await?;
            // An answer that has seen them is not given before.
            let options =
                ListStatusOptions { limit: 1, without_blocks: true, ..Default::default() };
            let listed = core.own.list_status(&path, &options).await;
            listed.map_err(|error| failed("sync a directory", &error))?;
            Ok(Vec::new())
        });
    }

    pub(super) fn serve_list(&self, caller: Caller, operation: Operation<'_>, reply: Reply) {
        let (at, plus) = match operation {
            Operation::OpenDir { .. } => {
                let listing = Handle::Listing(Listing::new(caller));
                let handle = self.core.handles().insert(listing);
                return reply.ok(&Opened { handle, ..Opened::default() }.reply());
            }
            Operation::ReleaseDir { handle } => {
                self.core.handles().remove(handle);
                return reply.ok(&[]);
            }
            Operation::ReadDir(at) => (at, false),
            Operation::ReadDirPlus(at) => (at, true),
            _ => return reply.error(Errno::NOSYS),
        };
        let known = self.core.handles().get(at.handle);
        let listing = match known {
            Some(Handle::Listing(listing)) => listing,
            // Opened before our time.
            _ => {
                let listing = Listing::new(caller);
                self.core.handles().insert_at(at.handle, Handle::Listing(listing.clone()));
                listing
            }
        };
        let core = self.core.clone();
        self.ask(reply, async move { listing.page(&core, at, plus).await });
    }
}
