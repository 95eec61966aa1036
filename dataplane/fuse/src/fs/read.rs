//! Opening, reading and closing.

use super::handles::Handle;
use super::nodes::Way;
use super::{AlluxioFs, Caller, Core, failed, running};
use crate::abi::{Opened, ReadAt, open_flag};
use crate::errno::Errno;
use crate::session::{Reply, Request};
use alluxio_client::{FileReader, OpenFileOptions};
use alluxio_datapath::client::LocalBlock;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Whether an open wants to change the file.
pub(super) fn writes(flags: u32) -> bool {
    let flags = flags as i32;
    flags & libc::O_ACCMODE != libc::O_RDONLY || flags & libc::O_TRUNC != 0
}

impl Core {
    /// A reader of what the node is.
    ///
    /// **Errors**: `ESTALE` when the file was replaced, so that the kernel looks the name up again.
    pub(super) async fn reader(&self, caller: Caller) -> Result<Arc<FileReader>, Errno> {
        let path = self.path(caller.node).await?;
        let client = self.client(caller)?;
        let reader = client.open_file(&path, &OpenFileOptions::default()).await;
        let reader = reader.map_err(|error| failed("open", &error))?;
        let inode = self.nodes().get(caller.node).map(|node| node.inode);
        if inode.is_some_and(|inode| inode != reader.status().id) {
            return Err(Errno::STALE);
        }
        Ok(Arc::new(reader))
    }

    async fn open_to_read(&self, caller: Caller) -> Result<Vec<u8>, Errno> {
        if let Some(draft) = self.join_draft(caller.node) {
            draft.opened();
            self.count_open(caller.node);
            let handle = self.handles().insert(Handle::Draft(draft));
            return Ok(Opened { handle, flags: open_flag::KEEP_CACHE, backing: 0 }.reply());
        }
        let reader = self.reader(caller).await?;
        let backing = match self.pass_again(caller.node) {
            Some(backing) => Some(backing),
            None => {
                let block = if self.passes() { self.block_of(&reader).await } else { None };
                block.and_then(|block| self.pass(caller.node, block))
            }
        };
        let handle = self.handles().insert(Handle::Reader(reader));
        Ok(match backing {
            Some(backing) => {
                self.passed.fetch_add(1, Ordering::Relaxed);
                Opened { handle, flags: open_flag::PASSTHROUGH, backing }.reply()
            }
            None => {
                self.count_open(caller.node);
                // An inode is one version for ever, so its pages stay good.
                Opened { handle, flags: open_flag::KEEP_CACHE, backing: 0 }.reply()
            }
        })
    }

    /// Where a handle reads now. What this mount writes is seen by who had the file open before, as POSIX
    /// says; what others write is not. `None` when it has to be opened anew.
    pub(super) fn current(&self, node: u64, handle: Option<Handle>) -> Option<Handle> {
        let reader = match &handle {
            Some(Handle::Reader(reader)) => reader,
            // Opened before our time.
            None => return self.draft_of(node).map(Handle::Draft),
            _ => return handle,
        };
        let nodes = self.nodes();
        let Some(node) = nodes.get(node) else { return handle };
        match &node.draft {
            Some(draft) => Some(Handle::Draft(draft.clone())),
            None if node.inode == reader.status().id => handle,
            None => None,
        }
    }

    /// The only block of a file, if it lies here.
    async fn block_of(&self, reader: &FileReader) -> Option<LocalBlock> {
        match reader.whole_in_place().await {
            Ok(block) => block,
            Err(error) => {
                tracing::debug!(%error, "a block is not passed through");
                None
            }
        }
    }

    /// Counts one more open that goes through us.
    pub(super) fn count_open(&self, number: u64) {
        let mut nodes = self.nodes();
        let node = nodes.meet(number);
        match &mut node.way {
            Way::Cached { opens } | Way::Passed { opens, .. } => *opens += 1,
            Way::Closed => {
                node.way = Way::Cached { opens: 1 };
                nodes.touch(number);
            }
        }
    }

    /// One more open of a node that the kernel reads past us: it takes no other way, and no other file, while
    /// any handle is open.
    fn pass_again(&self, number: u64) -> Option<u32> {
        match &mut self.nodes().get_mut(number)?.way {
            Way::Passed { opens, backing, .. } => {
                *opens += 1;
                Some(*backing)
            }
            _ => None,
        }
    }

    /// Has the kernel read a block past us, if the node is not open in another way; counts the open.
    fn pass(&self, number: u64, block: LocalBlock) -> Option<u32> {
        let mut nodes = self.nodes();
        let node = nodes.meet(number);
        let backing = match &mut node.way {
            _ if node.draft.is_some() => None,
            Way::Cached { .. } => None,
            Way::Passed { opens, backing, .. } => {
                *opens += 1;
                Some(*backing)
            }
            Way::Closed => match self.control.open_backing(block.descriptor()) {
                Ok(backing) => {
                    node.way = Way::Passed { opens: 1, backing, _block: Some(block) };
                    Some(backing)
                }
                Err(errno) => {
                    if self.passthrough.swap(false, Ordering::Relaxed) {
                        tracing::warn!(%errno, "the kernel passes no reads through; they go through us");
                    }
                    None
                }
            },
        };
        nodes.touch(number);
        backing
    }

    /// Counts one open less.
    pub(super) fn uncount_open(&self, number: u64) {
        let mut nodes = self.nodes();
        let Some(node) = nodes.get_mut(number) else { return };
        let last = match &mut node.way {
            Way::Cached { opens } | Way::Passed { opens, .. } => {
                *opens = opens.saturating_sub(1);
                *opens == 0 && !node.is_from_before()
            }
            Way::Closed => false,
        };
        if last {
            nodes.touch(number);
            let Some(node) = nodes.get_mut(number) else { return };
            if let Way::Passed { backing, .. } = std::mem::take(&mut node.way) {
                self.control.close_backing(backing);
            }
            nodes.drop_unused(number);
        }
    }
}

impl AlluxioFs {
    pub(super) fn open(&self, caller: Caller, flags: u32, reply: Reply) {
        let core = self.core.clone();
        if writes(flags) {
            self.change(reply, async move { core.open_to_write(caller, flags).await });
        } else {
            self.ask(reply, async move { core.open_to_read(caller).await });
        }
    }

    pub(super) fn read(&self, caller: Caller, at: ReadAt, request: Request, reply: Reply) {
        let known = self.core.current(caller.node, self.core.handles().get(at.handle));
        // The request is read: its memory is free for the reply, and resident.
        let mut buffer = request.into_buffer();
        let size = (at.size as usize).min(buffer.len());
        match &known {
            Some(Handle::Reader(reader)) => {
                if let Ok(Some(count)) = reader.try_read_at(&mut buffer[..size], at.offset) {
                    return reply.ok(&buffer[..count]);
                }
            }
            Some(Handle::Draft(draft)) => {
                if let Some(read) = draft.try_read(&mut buffer[..size], at.offset) {
                    return match read {
                        Ok(count) => reply.ok(&buffer[..count]),
                        Err(errno) => reply.error(errno),
                    };
                }
            }
            _ => {}
        }
        let core = self.core.clone();
        let unique = reply.unique();
        let stopped = core.running.enter(unique);
        self.core.runtime.spawn(async move {
            let work = async {
                let reader = match known {
                    Some(Handle::Reader(reader)) => reader,
                    Some(Handle::Draft(draft)) => {
                        core.load_draft(caller.node, &draft).await?;
                        return draft
                            .try_read(&mut buffer[..size], at.offset)
                            .unwrap_or(Err(Errno::IO));
                    }
                    // Opened before our time, or before this mount replaced the bytes.
                    _ => {
                        let reader = core.reader(caller).await?;
                        core.handles().renew(at.handle, Handle::Reader(reader.clone()));
                        reader
                    }
                };
                let read = reader.read_at(&mut buffer[..size], at.offset).await;
                read.map_err(|error| failed("read", &error))
            };
            let result = running::unless_stopped(work, stopped).await;
            core.running.leave(unique);
            match result {
                Ok(count) => reply.ok(&buffer[..count]),
                Err(errno) => reply.error(errno),
            }
        });
    }

    pub(super) fn release(&self, caller: Caller, handle: u64, reply: Reply) {
        let known = self.core.handles().remove(handle);
        // Opened before our time.
        let dead = || self.core.draft_of(caller.node).map(Handle::Draft);
        let core = self.core.clone();
        match known.or_else(dead) {
            Some(Handle::Draft(draft)) if core.close_here(caller.node, &draft) => {
                core.uncount_open(caller.node);
                core.drop_hidden_later(caller.node);
                reply.ok(&[]);
            }
            Some(Handle::Draft(draft)) => self.change(reply, async move {
                core.close_draft(caller.node, &draft).await;
                core.uncount_open(caller.node);
                core.drop_hidden(caller.node).await;
                Ok(Vec::new())
            }),
            known => {
                if known.is_some() {
                    core.uncount_open(caller.node);
                }
                core.drop_hidden_later(caller.node);
                reply.ok(&[]);
            }
        }
    }
}
