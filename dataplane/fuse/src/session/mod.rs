//! The loop: requests of one connection, read on several threads, answered from anywhere.
//!
//! Every thread reads from a clone of its own, into buffers that are resident: the kernel copies
//! through them, and a page that it had to fault in while the process is being killed would end the
//! request with `EIO`. A request that ends in `ENOENT` when it is answered was given up, or was given
//! out again by the kernel after a [resend](crate::abi::UNIQUE_RESEND): normal, and counted.

mod buffers;
mod channel;
mod connection;
mod counters;
mod life;
mod negotiate;
mod request;
mod run;
mod wait;

pub use buffers::Buffer;
pub use connection::{Before, Connection, Control};
pub use counters::{Counters, Counts};
pub use negotiate::{Negotiated, Wish};
pub use request::{Reply, Request};
pub use run::Session;
pub use wait::{PATIENCE, Wait};

use std::io;

/// Why a connection does not come up, or ends.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// A call of the device failed.
    #[error("{what}: {source}")]
    Device {
        /// What was tried.
        what: &'static str,
        /// How it failed.
        #[source]
        source: io::Error,
    },
    /// A kernel that cannot give out again what a server before us has read and not answered.
    #[error(
        "the kernel cannot resend requests (Linux 6.9 can), and the server before did not end in order"
    )]
    NoResend,
    /// A protocol that we do not speak.
    #[error("the kernel speaks FUSE {major}.{minor}; 7.31 (Linux 5.4) or newer is needed")]
    TooOld {
        /// Its version.
        major: u32,
        /// Its minor version.
        minor: u32,
    },
    /// The first request was none that a connection begins with.
    #[error("the connection did not begin with FUSE_INIT")]
    NotInit,
    /// The connection is over: unmounted, or given up by the kernel.
    #[error("the kernel has given the connection up")]
    Dead,
    /// State of another build, or of something else.
    #[error("what was saved of the connection cannot be read: {why}")]
    BadState {
        /// What is wrong with it.
        why: &'static str,
    },
}

impl SessionError {
    fn device(what: &'static str) -> impl FnOnce(io::Error) -> SessionError {
        move |source| SessionError::Device { what, source }
    }
}
