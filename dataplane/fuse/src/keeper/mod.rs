//! The keeper: a tiny process that holds the descriptors of mounts, so that a mount outlives its server.
//!
//! A connection to the kernel lives while anybody has a descriptor of it. Whoever serves mounts gives every
//! descriptor, and a few bytes that say what was agreed on, to each keeper there is before it reads from
//! them; who comes after it gets them back. A keeper knows nothing of what it holds: it never reads from a
//! descriptor, so it has no reason to fail or to be replaced.
//!
//! **Fence.** What a server reads while it is being killed would be lost to the next one. A keeper gives a
//! session only when the connection that put it there is at its end, which is when the last thread of the
//! process is gone.
//!
//! The same server runs as a process of its own (`alluxio fuse-keeper`) and inside of others, which then are
//! one more holder.
//!
//! Reading order: [`protocol`] (pure), [`store`] (pure), `wire` (descriptors on a socket), [`server`],
//! [`client`], [`command`].

pub mod client;
pub mod command;
pub mod key;
pub mod protocol;
pub mod server;
pub mod store;
mod wire;

pub use client::{Client, ClientError};
pub use key::{BadKey, Key};
pub use server::{ALONE_LIMIT, Running, Server, ServerError};

/// Longest blob of a session, in bytes.
pub const BLOB_BYTES_MAX: usize = 16 << 10;
/// Most descriptors of a session: the one that was mounted, and 64 clones.
pub const DESCRIPTORS_MAX: usize = 65;
/// Most sessions: as many as one list in one message can name.
pub const SESSIONS_MAX: usize = 512;
