//! gRPC plumbing in both directions: finding the primary master, retrying, deadlines, who calls,
//! and serving with a counter for every request.
//!
//! It must not know: what the calls mean. Retry lives here and in `ufs` only; whoever calls above
//! never loops.
//!
//! Reading order: [`error`], [`auth`], [`retry`], [`primary`], [`scout`], [`etcd`], [`peer`], [`server`],
//! `line` (a faster way for single calls), [`named`](mod@named).

pub mod auth;
pub mod error;
pub mod etcd;
mod every;
mod line;
pub mod metrics;
pub mod named;
pub mod peer;
pub mod primary;
pub mod retry;
pub mod scout;
pub mod server;
mod verdict;

pub use auth::{Caller, Early, GroupNames, UserName};
pub use error::RpcError;
pub use line::client::Transport;
pub use metrics::ServerMetrics;
pub use named::named;
pub use peer::Peers;
pub use primary::{HostPort, How, Primary, not_primary};
pub use retry::{Repeat, RetryPolicy};
pub use scout::{Directory, Scout, Sighting};
pub use server::{RpcServer, serve};

/// Largest message that either side accepts, in bytes. Lists and block reports are cut into
/// batches far below it; a peer that sends more is refused before it is buffered.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;
