//! The words of the kernel: what it writes to `/dev/fuse` and what it wants to read there.
//!
//! **Source**: `include/uapi/linux/fuse.h`, protocol 7.31 to 7.45. Numbers are in the order of the
//! machine. Nothing here does IO or trusts a length.

mod encode;
mod parse;

pub use encode::{
    Attr, DirectoryPage, Entry, Opened, StatFs, attr_reply, lseek_reply, write_reply,
    xattr_size_reply,
};
pub(crate) use encode::{Notice, init_reply, out_header};
pub use parse::{
    BatchForget, Header, Init, Malformed, Operation, ReadAt, SetAttr, SetTime, WriteAt, parse,
};

/// Bytes of the header of every request.
pub const IN_HEADER_BYTES: usize = 40;
/// Bytes of the header of every reply.
pub const OUT_HEADER_BYTES: usize = 16;
/// The node that a mount shows at its mount point.
pub const ROOT_NODE: u64 = 1;
/// Set in the number of a request that the kernel gives out again after
/// [`NOTIFY_RESEND`]; it must be echoed in the reply.
pub const UNIQUE_RESEND: u64 = 1 << 63;
/// Oldest minor version of protocol 7 that we speak: Linux 5.4 has it.
pub const MINOR_MIN: u32 = 31;
/// Newest minor version that we know.
pub const MINOR_MAX: u32 = 45;

/// What a side of the connection can do (`FUSE_INIT`).
pub mod feature {
    /// Reads of one file may be asked for at the same time.
    pub const ASYNC_READ: u64 = 1 << 0;
    /// Opening with `O_TRUNC` is one request.
    pub const ATOMIC_O_TRUNC: u64 = 1 << 3;
    /// More than 4 KiB in a write.
    pub const BIG_WRITES: u64 = 1 << 5;
    /// Modes come without the umask applied.
    pub const DONT_MASK: u64 = 1 << 6;
    /// Cached pages are dropped when size or time of change differ.
    pub const AUTO_INVAL_DATA: u64 = 1 << 12;
    /// Listings may carry attributes.
    pub const DO_READDIRPLUS: u64 = 1 << 13;
    /// The kernel chooses between both kinds of listing.
    pub const READDIRPLUS_AUTO: u64 = 1 << 14;
    /// Direct reads and writes of one file at the same time.
    pub const ASYNC_DIO: u64 = 1 << 15;
    /// Lookups and listings of one directory at the same time.
    pub const PARALLEL_DIROPS: u64 = 1 << 18;
    /// The server takes set-user-id bits away when a file is written.
    pub const HANDLE_KILLPRIV: u64 = 1 << 19;
    /// `max_pages` in the reply counts.
    pub const MAX_PAGES: u64 = 1 << 22;
    /// What a symbolic link holds may be kept.
    pub const CACHE_SYMLINKS: u64 = 1 << 23;
    /// Opening a directory may be answered `ENOSYS` once and for all.
    pub const NO_OPENDIR_SUPPORT: u64 = 1 << 24;
    /// The same, and each write, truncation and opening says whether it has to. The kernel then does not ask
    /// for `security.capability` before every write.
    pub const HANDLE_KILLPRIV_V2: u64 = 1 << 28;
    /// There is a second word of features.
    pub const INIT_EXT: u64 = 1 << 30;
    /// Reads may go to a file that the kernel knows, without us.
    pub const PASSTHROUGH: u64 = 1 << 37;
    /// Requests that were read and not answered can be had again.
    pub const HAS_RESEND: u64 = 1 << 39;
    /// The kernel gives the whole connection up when a reply takes too long. Never asked for: a
    /// mount must outlive its server.
    pub const REQUEST_TIMEOUT: u64 = 1 << 42;
}

/// What the reply to an open says (`FOPEN_*`).
pub mod open_flag {
    /// No page cache for this handle.
    pub const DIRECT_IO: u32 = 1 << 0;
    /// Pages of earlier opens are still good.
    pub const KEEP_CACHE: u32 = 1 << 1;
    /// The listing may be kept.
    pub const CACHE_DIR: u32 = 1 << 3;
    /// Closing needs no request.
    pub const NOFLUSH: u32 = 1 << 5;
    /// Reads go to the backing file.
    pub const PASSTHROUGH: u32 = 1 << 7;
}

/// Which attributes a [`SetAttr`] is about (`FATTR_*`).
pub(crate) mod changed {
    pub(crate) const MODE: u32 = 1 << 0;
    pub(crate) const UID: u32 = 1 << 1;
    pub(crate) const GID: u32 = 1 << 2;
    pub(crate) const SIZE: u32 = 1 << 3;
    pub(crate) const ATIME: u32 = 1 << 4;
    pub(crate) const MTIME: u32 = 1 << 5;
    pub(crate) const FH: u32 = 1 << 6;
    pub(crate) const ATIME_NOW: u32 = 1 << 7;
    pub(crate) const MTIME_NOW: u32 = 1 << 8;
    pub(crate) const KILL_SUIDGID: u32 = 1 << 11;
}

/// Set-user-id bits have to go with this write, or this opening (`FUSE_WRITE_KILL_SUIDGID`,
/// `FUSE_OPEN_KILL_SUIDGID`).
pub(crate) const WRITE_KILL_SUIDGID: u32 = 1 << 2;
pub(crate) const OPEN_KILL_SUIDGID: u32 = 1 << 0;

/// What we may tell the kernel without being asked (`FUSE_NOTIFY_*`).
pub(crate) const NOTIFY_INVAL_INODE: i32 = 2;
pub(crate) const NOTIFY_INVAL_ENTRY: i32 = 3;
pub(crate) const NOTIFY_RESEND: i32 = 7;

pub(crate) mod opcode {
    pub(crate) const LOOKUP: u32 = 1;
    pub(crate) const FORGET: u32 = 2;
    pub(crate) const GETATTR: u32 = 3;
    pub(crate) const SETATTR: u32 = 4;
    pub(crate) const READLINK: u32 = 5;
    pub(crate) const SYMLINK: u32 = 6;
    pub(crate) const MKNOD: u32 = 8;
    pub(crate) const MKDIR: u32 = 9;
    pub(crate) const UNLINK: u32 = 10;
    pub(crate) const RMDIR: u32 = 11;
    pub(crate) const RENAME: u32 = 12;
    pub(crate) const LINK: u32 = 13;
    pub(crate) const OPEN: u32 = 14;
    pub(crate) const READ: u32 = 15;
    pub(crate) const WRITE: u32 = 16;
    pub(crate) const STATFS: u32 = 17;
    pub(crate) const RELEASE: u32 = 18;
    pub(crate) const FSYNC: u32 = 20;
    pub(crate) const SETXATTR: u32 = 21;
    pub(crate) const GETXATTR: u32 = 22;
    pub(crate) const LISTXATTR: u32 = 23;
    pub(crate) const REMOVEXATTR: u32 = 24;
    pub(crate) const FLUSH: u32 = 25;
    pub(crate) const INIT: u32 = 26;
    pub(crate) const OPENDIR: u32 = 27;
    pub(crate) const READDIR: u32 = 28;
    pub(crate) const RELEASEDIR: u32 = 29;
    pub(crate) const FSYNCDIR: u32 = 30;
    pub(crate) const ACCESS: u32 = 34;
    pub(crate) const CREATE: u32 = 35;
    pub(crate) const INTERRUPT: u32 = 36;
    pub(crate) const DESTROY: u32 = 38;
    pub(crate) const BATCH_FORGET: u32 = 42;
    pub(crate) const FALLOCATE: u32 = 43;
    pub(crate) const READDIRPLUS: u32 = 44;
    pub(crate) const RENAME2: u32 = 45;
    pub(crate) const LSEEK: u32 = 46;
}
