//! The worker role: serves blocks over the data protocol, fetches missing ones from the UFS or from
//! another worker exactly once, writes files through to the UFS, and tells the master what it has.
//!
//! ```text
//!  client ──data protocol──▶ serve/{read,write} ──▶ blockstore
//!                                  │ miss               ▲
//!                                  ▼                    │ fill
//!                                fetch ──▶ source ──▶ another worker, or ufs
//!  cli ────gRPC────────────▶ serve/admin, persist
//!  master ◀──gRPC── master_link (register, heartbeat; commands ride on the replies)
//! ```
//!
//! It must not know: names of the namespace (it knows block ids, and UFS paths it is told), who may
//! read what (the master decided before it handed out a location), other workers' control planes.
//!
//! Reading order: [`start`](mod@start), [`error`], [`metrics`], `core`, `serve`, `fetch`, `source`,
//! `persist`, `mounts`, `pins`, `kept`, `master_link`, `upkeep`, `scrub`.

mod bond;
mod core;
pub mod error;
mod fetch;
mod kept;
mod master_link;
mod memory_tier;
pub mod metrics;
mod mounts;
mod persist;
mod pins;
mod scrub;
mod serve;
mod settings;
mod source;
pub mod start;
mod tokens;
mod upkeep;

pub use bond::Bond;
pub use error::{StartError, Stopped, WorkerError};
pub use start::{Deps, Handle, start};
