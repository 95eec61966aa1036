//! Drafts: files that are being written.
//!
//! A draft is a local file without a name that has the whole content; reads and writes at any position go
//! there. At `close` and `fsync` it becomes a version of the file, through the client, as the mount's write
//! type says: a new file is completed, an existing one is replaced by a file that was written beside it,
//! so nobody ever sees half of it. What exists already is copied into the draft when it is first needed.

use super::handles::Handle;
use super::list::HIDDEN_PREFIX;
use super::nodes::Way;
use super::{AlluxioFs, Caller, Core, failed};
use crate::abi::{Attr, Opened, Operation, open_flag, write_reply};
use crate::errno::Errno;
use crate::session::{Reply, Request};
use alluxio_client::{
    CreateFileOptions, DeleteOptions, FileReader, FileWriter, GetStatusOptions, OpenFileOptions,
    SetAttributeOptions,
};
use alluxio_types::{Access, AlluxioPath, FileStatus, Mode, UnixMillis};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::block_in_place;

/// Bytes that are copied at a time between a draft and the cluster.
const COPY_BYTES: usize = 1 << 20;

/// A file that is being written. All who have it open share it.
pub(crate) struct Draft {
    /// Who opened it first: in his name it is written.
    caller: Caller,
    file: File,
    state: Mutex<State>,
    work: AsyncMutex<Work>,
}

#[derive(Debug)]
struct State {
    length: u64,
    /// Whether the file has the content already.
    loaded: bool,
    /// Counts changes; what was committed last is `committed`.
    changed: u64,
    committed: u64,
    /// Whether the master has a version of the file at all.
    complete: bool,
    /// Time of the last change, since 1970.
    modified: Option<Duration>,
    /// A time that a program has set since.
    wanted: Option<Duration>,
    /// Handles.
    opens: u32,
}

struct Work {
    /// The file as the master knows it, incomplete, before the first commit.
    writer: Option<FileWriter>,
    /// What there was before.
    base: Option<Arc<FileReader>>,
}

impl Draft {
    fn new(
        core: &Core,
        caller: Caller,
        length: u64,
        writer: Option<FileWriter>,
        base: Option<Arc<FileReader>>,
    ) -> Result<Self, Errno> {
        let file = nameless(core).map_err(|error| {
            let folder = core.settings.staging.display().to_string();
            tracing::error!(folder, %error, "no draft can be made");
            Errno::of_io(&error)
        })?;
        let state = State {
            length,
            loaded: length == 0,
            changed: 0,
            committed: 0,
            complete: writer.is_none(),
            modified: None,
            wanted: None,
            opens: 0,
        };
        let work = AsyncMutex::new(Work { writer, base });
        Ok(Draft { caller, file, state: Mutex::new(state), work })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One handle more. Under the lock of the nodes, so that nobody takes the draft away meanwhile.
    pub(super) fn enter(&self) {
        self.state().opens += 1;
    }

    /// Shows what the master does not know yet.
    pub(super) fn dress(&self, attr: &mut Attr) {
        let state = self.state();
        attr.size = state.length;
        if let Some(modified) = state.wanted.or(state.modified) {
            attr.modified = modified;
        }
    }

    /// Sets the time of the last change, if there is one that the master does not know yet.
    pub(super) fn set_modified(&self, at: Duration) -> bool {
        let mut state = self.state();
        let pending = state.changed != state.committed || !state.complete;
        if pending {
            state.wanted = Some(at);
        }
        pending
    }

    /// Reads without waiting for the cluster; `None` before the content is here.
    pub(super) fn try_read(&self, into: &mut [u8], offset: u64) -> Option<Result<usize, Errno>> {
        let length = {
            let state = self.state();
            if !state.loaded {
                return None;
            }
            state.length
        };
        let wanted = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = wanted.min(into.len());
        Some(match self.file.read_exact_at(&mut into[..wanted], offset) {
            Ok(()) => Ok(wanted),
            Err(error) => Err(Errno::of_io(&error)),
        })
    }

    /// Writes without waiting for the cluster; `None` before the content is here.
    fn try_write(&self, bytes: &[u8], offset: u64, now: Duration) -> Option<Result<(), Errno>> {
        if !self.state().loaded {
            return None;
        }
        let written = self.file.write_all_at(bytes, offset);
        let mut state = self.state();
        if written.is_ok() {
            state.length = state.length.max(offset + bytes.len() as u64);
        }
        state.changed += 1;
        (state.modified, state.wanted) = (Some(now), None);
        Some(written.map_err(|error| Errno::of_io(&error)))
    }

    /// Brings the content here.
    pub(super) async fn load(&self) -> Result<(), Errno> {
        let work = self.work.lock().await;
        self.load_locked(&work).await
    }

    async fn load_locked(&self, work: &Work) -> Result<(), Errno> {
        if self.state().loaded {
            return Ok(());
        }
        let Some(base) = &work.base else { return Err(Errno::IO) };
        let mut buffer = vec![0; COPY_BYTES];
        let mut at = 0;
        loop {
            let read = base.read_at(&mut buffer, at).await;
            let count = read.map_err(|error| failed("copy into a draft", &error))?;
            if count == 0 {
                break;
            }
            let written = block_in_place(|| self.file.write_all_at(&buffer[..count], at));
            written.map_err(|error| Errno::of_io(&error))?;
            at += count as u64;
        }
        self.state().loaded = true;
        Ok(())
    }

    /// Cuts or extends.
    pub(super) async fn set_length(&self, length: u64, now: Duration) -> Result<(), Errno> {
        let work = self.work.lock().await;
        if length > 0 {
            self.load_locked(&work).await?;
        }
        block_in_place(|| self.file.set_len(length)).map_err(|error| Errno::of_io(&error))?;
        let mut state = self.state();
        (state.length, state.loaded) = (length, true);
        state.changed += 1;
        (state.modified, state.wanted) = (Some(now), None);
        Ok(())
    }

    /// Gives all of it to a writer, and completes the file.
    async fn fill(&self, mut writer: FileWriter, length: u64) -> Result<FileStatus, Errno> {
        let mut buffer = vec![0; COPY_BYTES];
        let mut at = 0;
        while at < length {
            let count = usize::try_from(length - at).unwrap_or(COPY_BYTES).min(COPY_BYTES);
            let read = block_in_place(|| self.file.read_exact_at(&mut buffer[..count], at));
            read.map_err(|error| Errno::of_io(&error))?;
            let written = writer.write(&buffer[..count]).await;
            written.map_err(|error| failed("write", &error))?;
            at += count as u64;
        }
        writer.close().await.map_err(|error| failed("complete a file", &error))
    }
}

/// A file in the staging folder that is gone when it is closed, and when we are.
fn nameless(core: &Core) -> io::Result<File> {
    use rustix::fs::{Mode as Bits, OFlags};
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let fd = rustix::fs::open(&core.settings.staging, flags, Bits::RUSR | Bits::WUSR)?;
    Ok(fd.into())
}

impl Core {
    pub(super) fn now(&self) -> Duration {
        Duration::from_millis(self.host.clock.now().0)
    }

    /// The draft of a node, with one handle more.
    pub(super) fn join_draft(&self, node: u64) -> Option<Arc<Draft>> {
        let nodes = self.nodes();
        let draft = nodes.get(node)?.draft.clone()?;
        draft.enter();
        Some(draft)
    }

    /// Makes `draft` that of the node, with one handle; another one that came first wins.
    fn adopt_draft(&self, number: u64, draft: Draft) -> Result<Arc<Draft>, Errno> {
        let mut nodes = self.nodes();
        if nodes.get(number).is_some_and(|node| matches!(node.way, Way::Passed { .. })) {
            // Opened since it was looked at.
            nodes.supersede(number);
            return Err(Errno::STALE);
        }
        let node = nodes.get_mut(number).ok_or(Errno::STALE)?;
        let draft = node.draft.get_or_insert_with(|| Arc::new(draft)).clone();
        draft.enter();
        Ok(draft)
    }

    /// The draft of a node, made if need be, with one handle more.
    pub(super) async fn draft(&self, caller: Caller) -> Result<Arc<Draft>, Errno> {
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
        let client = self.client(caller)?;
        let allowed = client.check_access(&path, Access::WRITE).await;
        allowed.map_err(|error| failed("open for writing", &error))?;
        let status = self.own.get_status(&path, &GetStatusOptions::default()).await;
        let status = status.map_err(|error| failed("open for writing", &error))?;
        let inode = self.nodes().get(caller.node).map(|node| node.inode);
        if inode.is_some_and(|inode| inode != status.id) {
            return Err(Errno::STALE);
        }
        let length = status.length;
        let base = self.own.open_status(status, &OpenFileOptions::default());
        let base = base.map_err(|error| failed("open for writing", &error))?;
        let draft = Draft::new(self, caller, length, None, Some(Arc::new(base)))?;
        self.adopt_draft(caller.node, draft)
    }

    pub(super) async fn open_to_write(&self, caller: Caller, flags: u32) -> Result<Vec<u8>, Errno> {
        let opened = self.open_draft(caller, flags).await?;
        Ok(opened.reply())
    }

    async fn open_draft(&self, caller: Caller, flags: u32) -> Result<Opened, Errno> {
        let draft = self.draft(caller).await?;
        if flags as i32 & libc::O_TRUNC != 0
            && let Err(errno) = draft.set_length(0, self.now()).await
        {
            self.leave_draft(caller, &draft).await;
            return Err(errno);
        }
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
        let path = self.path_below(caller.node, name).await?;
        let options = CreateFileOptions { mode: Some(mode_of(mode)), ..Default::default() };
        let writer = match self.client(caller)?.create_file(&path, &options).await {
            Ok(writer) => writer,
            Err(error) => {
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
        let status = writer.status().clone();
        let draft = Draft::new(self, caller, 0, Some(writer), None)?;
        let entry = self.entry(caller.node, name, &status);
        let draft = self.adopt_draft(entry.node, draft)?;
        self.count_open(entry.node);
        let handle = self.handles().insert(Handle::Draft(draft));
        let opened = Opened { handle, flags: open_flag::KEEP_CACHE, backing: 0 };
        Ok(entry.reply_opened(&opened))
    }

    /// Makes what was written a version of the file.
    pub(super) async fn commit(&self, node: u64, draft: &Draft) -> Result<(), Errno> {
        let mut work = draft.work.lock().await;
        let (changed, length) = {
            let state = draft.state();
            if state.changed == state.committed && work.writer.is_none() {
                return Ok(());
            }
            (state.changed, state.length)
        };
        if self.nodes().get(node).is_none_or(|node| node.unlinked) {
            // Nobody can ever find it.
            if let Some(writer) = work.writer.take() {
                writer.cancel().await;
            }
            draft.state().committed = changed;
            return Ok(());
        }
        let status = match work.writer.take() {
            Some(writer) => draft.fill(writer, length).await?,
            None => self.replace(node, draft, length).await?,
        };
        let wanted = {
            let mut state = draft.state();
            (state.committed, state.complete) = (changed, true);
            state.wanted.take()
        };
        self.nodes().rebind(node, status.id);
        if let Some(at) = wanted {
            self.set_modified(draft.caller, node, at).await;
        }
        Ok(())
    }

    /// Writes a file beside the one that there is, and puts it in its place.
    async fn replace(&self, node: u64, draft: &Draft, length: u64) -> Result<FileStatus, Errno> {
        let path = self.path(node).await?;
        let client = self.client(draft.caller)?;
        let there = self.own.get_status(&path, &GetStatusOptions::default()).await.ok();
        let known = self.nodes().get(node).map_or(0o644, |node| node.attr.mode);
        let mode = there.as_ref().map_or(mode_of(known), |status| status.mode);
        let beside = self.beside(&path)?;
        let options = CreateFileOptions {
            mode: Some(mode),
            length_hint: Some(length),
            block_size_bytes: there.as_ref().map(|status| status.block_size_bytes),
            ..Default::default()
        };
        let writer = client.create_file(&beside, &options).await;
        let writer = writer.map_err(|error| failed("write a new version", &error))?;
        let status = draft.fill(writer, length).await?;
        if let Some(there) = &there {
            self.keep_owner(&beside, there, &status).await;
        }
        if let Err(errno) = self.rename_over(&client, &beside, &path).await {
            let options = DeleteOptions::default();
            if let Err(error) = client.delete(&beside, &options).await {
                tracing::warn!(%beside, %error, "a version that was not put in place stays");
            }
            return Err(errno);
        }
        Ok(status)
    }

    /// A name that nobody has, in the same directory.
    pub(super) fn beside(&self, path: &AlluxioPath) -> Result<AlluxioPath, Errno> {
        let parent = path.parent().ok_or(Errno::INVAL)?;
        let name = format!("{HIDDEN_PREFIX}{:016x}", self.host.entropy.next_u64());
        parent.join(&name).map_err(|_| Errno::NAMETOOLONG)
    }

    async fn keep_owner(&self, path: &AlluxioPath, old: &FileStatus, new: &FileStatus) {
        if (&old.owner, &old.group) == (&new.owner, &new.group) {
            return;
        }
        let changes = SetAttributeOptions {
            owner: Some(old.owner.clone()),
            group: Some(old.group.clone()),
            ..Default::default()
        };
        if let Err(error) = self.own.set_attribute(path, &changes).await {
            tracing::debug!(%path, %error, "a new version has another owner than the old one");
        }
    }

    async fn set_modified(&self, caller: Caller, node: u64, at: Duration) {
        let millis = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        let changes =
            SetAttributeOptions { modified: Some(UnixMillis(millis)), ..Default::default() };
        let set = async {
            let path = self.path(node).await?;
            let set = self.client(caller)?.set_attribute(&path, &changes).await;
            set.map_err(|error| failed("set the time of change", &error))
        };
        if let Err(errno) = set.await {
            tracing::debug!(%errno, "a time of change is not kept");
        }
    }

    /// One handle less; the last one commits what `flush` did not.
    pub(super) async fn leave_draft(&self, caller: Caller, draft: &Arc<Draft>) {
        let last = {
            let mut state = draft.state();
            state.opens -= 1;
            state.opens == 0
        };
        if !last {
            return;
        }
        if let Err(errno) = self.commit(caller.node, draft).await {
            tracing::warn!(%errno, "a file that is closed is not written");
        }
        let mut nodes = self.nodes();
        if let Some(node) = nodes.get_mut(caller.node)
            && node.draft.as_ref().is_some_and(|there| Arc::ptr_eq(there, draft))
            && draft.state().opens == 0
        {
            draft.dress(&mut node.attr);
            node.draft = None;
            nodes.drop_unused(caller.node);
        }
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
        let Some(Handle::Draft(draft)) = self.core.handles().get(at.handle) else {
            tracing::warn!(node = caller.node, "a write to a file that is not open for it");
            return reply.error(Errno::IO);
        };
        let now = self.core.now();
        match draft.try_write(at.data, at.offset, now) {
            Some(Ok(())) => return reply.ok(&write_reply(at.data.len() as u32)),
            Some(Err(errno)) => return reply.error(errno),
            None => {}
        }
        self.change(reply, async move {
            draft.load().await?;
            let Ok((_, Operation::Write(at))) = request.parse() else { return Err(Errno::INVAL) };
            draft.try_write(at.data, at.offset, now).unwrap_or(Err(Errno::IO))?;
            Ok(write_reply(at.data.len() as u32))
        });
    }

    pub(super) fn flush(&self, caller: Caller, handle: u64, reply: Reply) {
        let known = self.core.handles().get(handle);
        let Some(Handle::Draft(draft)) = known else { return reply.ok(&[]) };
        let core = self.core.clone();
        self.change(reply, async move {
            core.commit(caller.node, &draft).await?;
            Ok(Vec::new())
        });
    }
}
