//! The master role: the primary of the cluster's metadata, and the standbys behind it.
//!
//! It owns the namespace and decides every change of it in one writer; it knows which workers hold
//! which blocks; it asks under stores about metadata, never about data. It never calls a worker:
//! commands ride on heartbeat replies. It must not know: block bytes, tiers' directories, the
//! data protocol.
//!
//! ```text
//! services (gRPC) ──► ops ──► sync ──► under store
//!                      │ └──► namespace (reads) ──┐
//!                      └────► writer ─► journal ─► gate ─► reply
//! ```
//!
//! A process is a standby or the primary by turns: `cycle` builds a standby, lets it read along until it
//! is elected, makes the primary from it, and begins anew when the term is lost. Only the gRPC server
//! and its port stay.
//!
//! Reading order: [`start`], [`role`], `cycle`, `standby`, `link`, `primary`, `peers`; then [`core`],
//! [`writer`], [`gate`], [`recover`], `metastore`, `sync`, `ops`, [`workers`], [`services`], [`backup`],
//! [`secondary`].

pub mod backup;
mod block_keys;
pub mod core;
mod cycle;
pub mod error;
mod fetch;
pub mod gate;
pub mod identity;
mod link;
mod metastore;
pub mod metrics;
mod newest;
mod ops;
mod peers;
mod primary;
pub mod recover;
pub mod role;
pub mod secondary;
pub mod services;
mod standby;
pub mod start;
mod sync;
mod tasks;
mod ufs_table;
pub mod workers;
pub mod writer;

pub use core::Property;
pub use error::{MasterError, StartError};
pub use role::{OpenJournal, OpenedJournal};
pub use start::{Deps, Handle, bind, start};
