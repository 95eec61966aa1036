//! What happens on a connection.

use crate::abi::opcode;
use std::sync::atomic::{AtomicU64, Ordering};

/// Operations that are counted one by one; the protocol's numbers are below.
const OPERATIONS: usize = 64;

/// What happened on a connection since it runs.
#[derive(Debug)]
pub struct Counters {
    operations: [AtomicU64; OPERATIONS],
    errors: AtomicU64,
    not_wanted: AtomicU64,
    resent: AtomicU64,
}

/// [`Counters`] at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Requests by operation, in the protocol's order; those that never came are left out.
    pub operations: Vec<(&'static str, u64)>,
    /// Replies that were errors, `ENOENT` of lookups too.
    pub errors: u64,
    /// Replies that nobody waited for any more.
    pub not_wanted: u64,
    /// Requests that the kernel gave out again.
    pub resent: u64,
}

impl Default for Counters {
    fn default() -> Self {
        Counters {
            operations: std::array::from_fn(|_| AtomicU64::new(0)),
            errors: AtomicU64::new(0),
            not_wanted: AtomicU64::new(0),
            resent: AtomicU64::new(0),
        }
    }
}

impl Counters {
    pub(crate) fn received(&self, opcode: u32, resent: bool) {
        if let Some(counter) = self.operations.get(opcode as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        if resent {
            self.resent.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn answered(&self, error: i32) {
        if error != 0 {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn not_wanted(&self) {
        self.not_wanted.fetch_add(1, Ordering::Relaxed);
    }

    /// All of them now.
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let operations = (0u32..).zip(&self.operations);
        Counts {
            operations: operations
                .map(|(opcode, counter)| (name_of(opcode), read(counter)))
                .filter(|(_, count)| *count > 0)
                .collect(),
            errors: read(&self.errors),
            not_wanted: read(&self.not_wanted),
            resent: read(&self.resent),
        }
    }
}

fn name_of(code: u32) -> &'static str {
    match code {
        opcode::LOOKUP => "lookup",
        opcode::FORGET | opcode::BATCH_FORGET => "forget",
        opcode::GETATTR => "getattr",
        opcode::SETATTR => "setattr",
        opcode::READLINK => "readlink",
        opcode::MKNOD => "mknod",
        opcode::MKDIR => "mkdir",
        opcode::UNLINK => "unlink",
        opcode::RMDIR => "rmdir",
        opcode::RENAME | opcode::RENAME2 => "rename",
        opcode::OPEN => "open",
        opcode::READ => "read",
        opcode::WRITE => "write",
        opcode::STATFS => "statfs",
        opcode::RELEASE => "release",
        opcode::FSYNC => "fsync",
        opcode::SETXATTR => "setxattr",
        opcode::GETXATTR => "getxattr",
        opcode::LISTXATTR => "listxattr",
        opcode::REMOVEXATTR => "removexattr",
        opcode::SYMLINK => "symlink",
        opcode::LINK => "link",
        opcode::FLUSH => "flush",
        opcode::OPENDIR => "opendir",
        opcode::READDIR => "readdir",
        opcode::READDIRPLUS => "readdirplus",
        opcode::RELEASEDIR => "releasedir",
        opcode::FSYNCDIR => "fsyncdir",
        opcode::ACCESS => "access",
        opcode::CREATE => "create",
        opcode::INTERRUPT => "interrupt",
        opcode::FALLOCATE => "fallocate",
        opcode::LSEEK => "lseek",
        _ => "other",
    }
}
