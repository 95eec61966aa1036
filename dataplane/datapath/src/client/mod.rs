//! The asking end: connections, kept in a pool; blocks that are read in place; streams; sessions.
//!
//! It owns sockets and frames. Which worker to ask, and what to do when it fails, is the caller's.

mod connection;
mod local;
mod pool;
mod session;
mod stream;

pub use local::{LocalBlock, lies_in_memory};
pub use pool::{ClientOptions, DataClient, Target};
pub use session::{OpenedForWrite, Session};
pub use stream::RemoteStream;

/// How a worker answered a read.
#[derive(Debug)]
pub enum Reading {
    /// The block is here: read it in place.
    Local(LocalBlock),
    /// The bytes of the range come over the connection.
    Stream(Box<RemoteStream>),
}
