//! Requests of who writes: making files, opening them, writing, syncing.

use super::draft::{Draft, Place};
use super::handles::Handle;
use super::nodes::{Way, node_of};
use super::{AlluxioFs, Caller, Core, failed};
use crate::abi::{Entry, Opened, Operation, ROOT_NODE, open_flag, write_reply};
use crate::errno::Errno;
use crate::session::{Reply, Request};
use alluxio_client::{CreateFileOptions, GetStatusOptions, OpenFileOptions};
use alluxio_types::{Access, AlluxioPath, FileStatus, Mode};
use std::sync::Arc;
use std::time::Duration;

impl Core {
    pub(super) fn now(&self) -> Duration {
        Duration::from_millis(self.host.clock.now().0)
    }

    /// The draft of a node, with one user more.
    pub(super) fn join_draft(&self, node: u64) -> Option<Arc<Draft>> {
        let nodes = self.nodes();
        let draft = nodes.get(node)?.draft.clone()?;
        draft.enter();
        Some(draft)
    }

    /// The draft of a node.
    pub(super) fn draft_of(&self, node: u64) -> Option<Arc<Draft>> {
        self.nodes().get(node)?.draft.clone()
    }

    /// Makes `draft` that of the node, with one user more; another one that came first
    /// wins. Whether it is `draft`.
    fn adopt_draft(&self, number: u64, draft: Draft) -> Result<(Arc<Draft>, bool), Errno> {
        let mut nodes = self.nodes();
        if nodes.get(number).is_some_and(|node| matches!(node.way, Way::Passed { .. })) {
            // Opened since it was looked at.
            nodes.supersede(number);
            return Err(Errno::STALE);
        }
        let node = nodes.get_mut(number).ok_or(Errno::STALE)?;
        if let Some(first) = &node.draft {
            let first = first.clone();
            first.enter();
            draft.discard();
            return Ok((first, false));
        }
        let draft = Arc::new(draft);
        draft.enter();
        node.draft = Some(draft.clone());
        Ok((draft, true))
    }

    /// The draft of a node, made if need be, with one user more.
    pub(super) async fn draft(&self, caller: Caller) -> Result<Arc<Draft>, Errno> {
        self.draft_as(caller, true).await
    }

    /// The draft of a handle that a process before us gave out: the caller was checked when it was opened.
    async fn draft_of_dead(&self, caller: Caller, handle: u64) -> Result<Arc<Draft>, Errno> {
        if let Some(draft) = self.draft_of(caller.node) {
            return Ok(draft);
        }
        let draft = self.draft_as(Caller { uid: self.own_uid, ..caller }, false).await?;
        draft.opened();
        self.inherit(caller.node, &draft);
        self.count_open(caller.node);
        self.handles().insert_at(handle, Handle::Draft(draft.clone()));
        Ok(draft)
    }

    async fn draft_as(&self, caller: Caller, check: bool) -> Result<Arc<Draft>, Errno> {
        if let Some(draft) = self.join_draft(caller.node) {
            return Ok(draft);
        }
        {
            // The kernel would send writes to the block itself, and mixes no ways.
            let mut nodes = self.nodes();
            if nodes.get(caller.node).is_some_and(|node| matches!(node.way, Way::Passed { .. })) {
                nodes.supersede(caller.node);
                return Err(Errno::STALE);
            }
        }
        let path = self.path(caller.node).await?;
        if check {
            let allowed = self.client(caller)?.check_access(&path, Access::WRITE).await;
            allowed.map_err(|error| failed("open for writing", &error))?;
        }
        let status = self.own.get_status(&path, &GetStatusOptions::default()).await;
        let status = status.map_err(|error| failed("open for writing", &error))?;
        let place = self.place_of(caller.node, &path, &status).await?;
        let length = status.length;
        let base = self.own.open_status(status, &OpenFileOptions::default());
        let base = base.map_err(|error| failed("open for writing", &error))?;
        let draft = Draft::of_existing(&self.staging, caller, place, Arc::new(base), length)?;
        Ok(self.adopt_draft(caller.node, draft)?.0)
    }

    /// Where a node is, which is learned if it is from before our time.
    async fn place_of(
        &self,
        number: u64,
        path: &AlluxioPath,
        status: &FileStatus,
    ) -> Result<Place, Errno> {
        let known = self.nodes().get(number).map(|node| {
            let (parent, name, inode) = (node.parent, node.name.clone(), node.inode);
            Place { node: number, parent, name, inode, attr: node.attr }
        });
        if let Some(place) = known {
            return if place.inode == status.id { Ok(place) } else { Err(Errno::STALE) };
        }
        let parent = match path.parent().filter(|parent| *parent != self.settings.root) {
            None => ROOT_NODE,
            Some(parent) => {
                let options = GetStatusOptions::default();
                let parent = self.own.get_status(&parent, &options).await;
                node_of(parent.map_err(|error| failed("open for writing", &error))?.id)
            }
        };
        let attr = self.attr(status);
        let name = path.name().to_owned();
        // The kernel knows it, by how many lookups is not known.
        let learned = self.nodes().learn_as(number, (parent, &name), status.id, attr);
        if !learned {
            return Err(Errno::STALE);
        }
        Ok(Place { node: number, parent, name, inode: status.id, attr })
    }

    pub(super) async fn open_to_write(&self, caller: Caller, flags: u32) -> Result<Vec<u8>, Errno> {
        let opened = self.open_draft(caller, flags).await?;
        Ok(opened.reply())
    }

    async fn open_draft(&self, caller: Caller, flags: u32) -> Result<Opened, Errno> {
        let draft = self.draft(caller).await?;
        if flags as i32 & libc::O_TRUNC != 0
            && let Err(errno) = self.set_length(caller.node, &draft, 0).await
        {
            self.leave_draft(caller.node, &draft).await;
            return Err(errno);
        }
        draft.opened();
        self.count_open(caller.node);
        let handle = self.handles().insert(Handle::Draft(draft));
        Ok(Opened { handle, flags: open_flag::KEEP_CACHE, backing: 0 })
    }

    /// Makes a file and opens it.
    pub(super) async fn create(
        &self,
        caller: Caller,
        name: &str,
        flags: u32,
        mode: u32,
    ) -> Result<Vec<u8>, Errno> {
        if let Some(reply) = self.created_before(caller, name) {
            return Ok(reply);
        }
        let path = self.path_below(caller.node, name).await?;
        let start = self.start_create(caller, name, mode)?;
        let operation = Some(start.operation);
        let options =
            CreateFileOptions { mode: Some(mode_of(mode)), operation, ..Default::default() };
        // The journal has the name before the file is complete, at the latest: until then it may as well be lost.
        let client = self.client(caller)?.early();
        let status = match client.create_file(&path, &options).await {
            Ok(writer) => writer.detach(),
            Err(error) => {
                start.give_up();
                let errno = failed("create", &error);
                if errno == Errno::EXIST && flags as i32 & libc::O_EXCL == 0 {
                    let status = self.status(caller, &path).await?;
                    let entry = self.entry(caller.node, name, &status);
                    let opened =
                        self.open_draft(Caller { node: entry.node, ..caller }, flags).await;
                    return Ok(entry.reply_opened(&opened?));
                }
                return Err(errno);
            }
        };
        let entry = self.entry(caller.node, name, &status);
        let Entry { node, attr, .. } = entry;
        let place =
            Place { node, parent: caller.node, name: name.to_owned(), inode: status.id, attr };
        let draft = Draft::of_new(start, place, status)?;
        let (draft, is_first) = self.adopt_draft(node, draft)?;
        if is_first {
            draft.opened_first();
        } else {
            draft.opened();
        }
        self.count_open(node);
        let handle = self.handles().insert(Handle::Draft(draft));
        let opened = Opened { handle, flags: open_flag::KEEP_CACHE, backing: 0 };
        Ok(entry.reply_opened(&opened))
    }
}

/// Permission bits of a mode.
pub(super) fn mode_of(mode: u32) -> Mode {
    Mode((mode & 0o7777) as u16)
}

impl AlluxioFs {
    pub(super) fn write(&self, caller: Caller, request: Request, reply: Reply) {
        let Ok((_, Operation::Write(at))) = request.parse() else {
            return reply.error(Errno::INVAL);
        };
        let handle = at.handle;
        let known = match self.core.handles().get(handle) {
            Some(Handle::Draft(draft)) => Some(draft),
            Some(_) => {
                tracing::warn!(node = caller.node, "a write to a file that is not open for it");
                return reply.error(Errno::IO);
            }
            // Opened before our time.
            None => self.core.draft_of(caller.node),
        };
        let now = self.core.now();
        let end = at.offset.saturating_add(at.data.len() as u64);
        if let Some(draft) = known.as_ref().filter(|draft| draft.may_reach(end)) {
            draft.touch(self.core.host.clock.monotonic());
            if let Err(errno) = draft.take_failure() {
                return reply.error(errno);
            }
            match draft.try_write(at.data, at.offset, now) {
                Some(Ok(())) => {
                    self.core.send_ahead(caller.node, draft);
                    return reply.ok(&write_reply(at.data.len() as u32));
                }
                Some(Err(errno)) => return reply.error(errno),
                None => {}
            }
        }
        let core = self.core.clone();
        self.change(reply, async move {
            let draft = match known {
                Some(draft) => draft,
                None => core.draft_of_dead(caller, handle).await?,
            };
            if !draft.may_reach(end) {
                core.need_room(caller.node, &draft, end).await?;
            }
            core.load_draft(caller.node, &draft).await?;
            let Ok((_, Operation::Write(at))) = request.parse() else { return Err(Errno::INVAL) };
            draft.try_write(at.data, at.offset, now).unwrap_or(Err(Errno::IO))?;
            Ok(write_reply(at.data.len() as u32))
        });
    }

    /// The draft that a handle leads to, also one that a process before us gave out.
    pub(super) fn draft_behind(&self, node: u64, handle: u64) -> Option<Arc<Draft>> {
        match self.core.handles().get(handle) {
            Some(Handle::Draft(draft)) => Some(draft),
            Some(_) => None,
            None => self.core.draft_of(node),
        }
    }

    /// Makes a version of what was written: for `fsync` it is durable, for `close` it may be on its way.
    pub(super) fn flush(&self, caller: Caller, handle: u64, sync: bool, reply: Reply) {
        let Some(draft) = self.draft_behind(caller.node, handle) else { return reply.ok(&[]) };
        draft.touch(self.core.host.clock.monotonic());
        let later = self.core.commits_later() && !sync;
        match draft.take_failure() {
            Err(errno) => return reply.error(errno),
            Ok(()) if !draft.is_due() => return reply.ok(&[]),
            Ok(()) if later && self.core.try_commit_later(caller.node, &draft) => {
                return reply.ok(&[]);
            }
            Ok(()) => {}
        }
        let core = self.core.clone();
        // Many bytes are copied by a task: the thread that has read the request has others to serve.
        let wait = reply.try_wait().filter(|_| draft.is_short());
        self.begin(wait, async move {
            let done = async {
                if later {
                    core.commit_later(caller.node, &draft).await
                } else {
                    core.commit(caller.node, &draft).await?;
                    draft.take_failure()
                }
            };
            reply.send_result(done.await.map(|()| Vec::new()));
        });
    }
}
