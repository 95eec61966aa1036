//! Clusters for tests: in this process ([`LocalCluster`]), and as real processes of the built binary
//! that can be killed at any moment: one master with workers ([`ProcessCluster`]), several masters on
//! a real etcd ([`Masters`]). Everything lies in a temporary folder, on free ports, and is gone when
//! the value is dropped.
//!
//! It must not know: how a role works inside. Tests talk to a cluster as everybody does, through a
//! client.
//!
//! Reading order: [`local`], [`server`], [`processes`], [`masters`].

pub mod local;
pub mod masters;
pub mod processes;
pub mod server;

pub use local::LocalCluster;
pub use masters::{Masters, Network};
pub use processes::ProcessCluster;
pub use server::Server;

use alluxio_client::ClientError;
use alluxio_types::{Code, Coded};

/// Whether nobody told what became of a change: it may have happened or not.
pub fn is_outage(error: &ClientError) -> bool {
    matches!(error.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Aborted)
}
