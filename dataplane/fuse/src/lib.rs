//! The POSIX mount: the kernel's FUSE on one side, the client of a cluster on the other.
//!
//! The session loop is ours, down to the bytes, because a mount has to outlive its server: a live
//! descriptor can be [adopted](session::Connection::adopt) by a new process, which learns from the kernel what is
//! still unanswered. Whatever a file system tells the kernel must therefore be derivable anew: node
//! numbers come from inode ids, handles are a convenience, nothing essential lives in this process only.
//!
//! It must not know: how a UFS is reached, what a frame looks like. Only this crate knows errno and the
//! kernel's structures.
//!
//! Reading order: [`abi`] (bytes), `sys` (the kernel's calls that need `unsafe`), [`mount`] (mount
//! points), [`session`] (the loop), [`filesystem`] (the seam), [`null`] (a file system for measuring
//! the loop), [`errno`], [`fs`] (the namespace as a file system), [`options`] and [`command`] (the command
//! line); then what makes mounts outlive us: [`keeper`] (holds descriptors), [`agent`] (serves all mounts of
//! a machine).

pub mod abi;
pub mod agent;
pub mod command;
pub mod errno;
pub mod filesystem;
pub mod fs;
pub mod keeper;
mod limits;
pub mod lockfile;
pub mod mount;
pub mod null;
pub mod options;
pub mod session;
mod sys;

pub use errno::Errno;
pub use filesystem::FileSystem;
pub use mount::{Mounted, Options};
pub use session::{Connection, Negotiated, Reply, Request, Session, SessionError, Wish};
