//! The composition root: which roles run in this process, each wired to one machine, one
//! configuration, its own metrics.
//!
//! It must not know: what a role does once it runs. Nothing here is global but what `main` hands
//! in; ten clusters fit in one process.
//!
//! Main types: [`Process`] (configuration, log and machine of a process), [`start_master`],
//! [`start_worker`], [`local::start`] (a whole cluster in this process), [`command`] (the
//! subcommands of the binary that belong to roles).
//!
//! Reading order: [`process`], [`master`], [`worker`], [`format`](mod@format), [`local`],
//! [`csi`], [`command`].

pub mod command;
pub mod csi;
pub mod error;
pub mod format;
mod journal_metrics;
pub mod local;
pub mod master;
pub mod process;
pub mod secondary;
pub mod shared_folder;
mod signals;
pub mod worker;

pub use error::NodeError;
pub use master::start_master;
pub use process::Process;
pub use worker::start_worker;

/// Nothing that serves users is built with bugs in it.
const _: () = assert!(!alluxio_host::planted::POSSIBLE, "only the simulator has planted bugs");

/// Version of the binary, as masters and workers tell it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
