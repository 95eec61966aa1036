//! Turns what users wish for (`AlluxioCluster`, `Dataset`, `DataLoad`, …) into what runs.
//!
//! Every controller is the same walk, in this order, and only two of its steps touch the network:
//!
//! ```text
//! dereference ─► validate ─► build ─► rollout ─► apply ─► status
//!  reads all      pure        pure      pure      writes    one patch, if anything changed
//! ```
//!
//! - [`desired`]: objects as a builder wants them; [`drift`]: whether the cluster has them so already.
//! - [`apply`]: the only code that writes objects (server-side apply), and removes what is no longer wanted.
//! - [`election`]: one of several operators acts; [`fence`]: who lost that role writes nothing more.
//! - [`cluster`], [`dataset`], [`operation`]: the kinds; [`stores`]: what they know of each other; [`seen`]: what
//!   need not be read again.
//! - [`events`], [`metrics`]: what users see of it; [`monitoring`]: alerts and dashboards.
//!
//! It must not know: how the data plane does its work. It asks masters through the client, and renders the same
//! configuration that every process checks at its start.

pub mod apply;
pub mod cluster;
pub mod dataset;
pub mod desired;
pub mod drift;
pub mod election;
pub mod error;
pub mod events;
pub mod fence;
pub mod merge;
pub mod metrics;
pub mod monitoring;
pub mod operation;
pub mod run;
pub mod seen;
pub mod stores;

pub use error::Error;
