//! The master role: the primary of the cluster's metadata.
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
//! Reading order: [`start`], [`core`], [`writer`], [`gate`], [`recover`], `sync`, `ops`,
//! [`workers`], [`services`], [`backup`].

pub mod backup;
pub mod core;
pub mod error;
pub mod gate;
pub mod identity;
pub mod metrics;
mod ops;
pub mod recover;
pub mod services;
pub mod start;
mod sync;
mod tasks;
mod ufs_table;
pub mod workers;
pub mod writer;

pub use core::Property;
pub use error::{MasterError, StartError};
pub use start::{Deps, Handle, start};
