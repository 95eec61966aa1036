//! Room and holes: `fallocate` and `SEEK_HOLE`. A draft has what its local file has; a file that is only read
//! has no holes.

use super::draft::Draft;
use super::handles::Handle;
use super::{AlluxioFs, Caller, Core};
use crate::abi::lseek_reply;
use crate::errno::Errno;
use crate::session::Reply;
use rustix::fs::{FallocateFlags, SeekFrom, fallocate, seek};
use std::fs::File;
use std::sync::Arc;
use tokio::task::block_in_place;

/// Ways to allocate that a draft knows; the others move what lies behind.
const MODES: FallocateFlags =
    FallocateFlags::KEEP_SIZE.union(FallocateFlags::PUNCH_HOLE).union(FallocateFlags::ZERO_RANGE);

/// A part of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) offset: u64,
    pub(super) length: u64,
}

impl Core {
    /// Sets room aside in the local file of a draft, or makes a hole there.
    async fn allocate(
        &self,
        node: u64,
        draft: &Arc<Draft>,
        at: Range,
        mode: u32,
    ) -> Result<(), Errno> {
        let mode = FallocateFlags::from_bits_retain(mode);
        if !MODES.contains(mode) {
            return Err(Errno::NOTSUP);
        }
        let end = at.offset.checked_add(at.length).ok_or(Errno::FBIG)?;
        if !draft.may_reach(end) {
            self.need_room(node, draft, end).await?;
        }
        self.load_draft(node, draft).await?;
        let change = |file: &File| Ok(fallocate(file, mode, at.offset, at.length)?);
        if mode == FallocateFlags::KEEP_SIZE {
            // What is only set aside is nothing that anybody sees.
            let done = block_in_place(|| change(draft.file()));
            return done.map_err(|error| Errno::of_io(&error));
        }
        let grows = !mode.contains(FallocateFlags::KEEP_SIZE);
        draft.change_file(change, if grows { end } else { 0 }, self.now())
    }

    /// The next place from `offset` on that has data, or a hole.
    async fn seek_in_draft(
        &self,
        node: u64,
        draft: &Arc<Draft>,
        offset: u64,
        data: bool,
    ) -> Result<u64, Errno> {
        self.load_draft(node, draft).await?;
        let to = if data { SeekFrom::Data(offset) } else { SeekFrom::Hole(offset) };
        // Nobody else uses the position of the file.
        let found = block_in_place(|| seek(draft.file(), to));
        found.map_err(|error| Errno::of_io(&error.into()))
    }

    /// Of a file without holes: all of it is data, and the end is the only hole.
    async fn seek_in_data(&self, caller: Caller, offset: u64, data: bool) -> Result<u64, Errno> {
        let length = self.get_attr(caller).await?.size;
        match offset < length {
            true if data => Ok(offset),
            true => Ok(length),
            false => Err(Errno::NXIO),
        }
    }
}

impl AlluxioFs {
    pub(super) fn allocate(
        &self,
        caller: Caller,
        handle: u64,
        (at, mode): (Range, u32),
        reply: Reply,
    ) {
        let known = self.draft_behind(caller.node, handle);
        let Some(draft) = known else { return reply.error(Errno::BADF) };
        let core = self.core.clone();
        self.change(reply, async move {
            core.allocate(caller.node, &draft, at, mode).await?;
            Ok(Vec::new())
        });
    }

    pub(super) fn seek(
        &self,
        caller: Caller,
        handle: u64,
        (offset, whence): (u64, u32),
        reply: Reply,
    ) {
        let data = match whence as i32 {
            libc::SEEK_DATA => true,
            libc::SEEK_HOLE => false,
            _ => return reply.error(Errno::INVAL),
        };
        let known = self.core.current(caller.node, self.core.handles().get(handle));
        let core = self.core.clone();
        self.ask(reply, async move {
            let found = match known {
                Some(Handle::Draft(draft)) => {
                    core.seek_in_draft(caller.node, &draft, offset, data).await
                }
                _ => core.seek_in_data(caller, offset, data).await,
            };
            Ok(lseek_reply(found?))
        });
    }
}
