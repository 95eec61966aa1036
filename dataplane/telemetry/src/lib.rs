//! What a process says of itself: metrics, logs, health.
//!
//! - [`Metrics`]: one registry per role, handed in by value; names are checked.
//! - [`Readiness`]: conditions that a role reports, and that `/readyz` answers with.
//! - [`admin`]: the HTTP server with `/metrics`, `/healthz`, `/readyz`, `/log-level`.
//! - [`trace`]: the tracing subscriber, the one global of a process; only `main` installs it.
//!
//! It must not know: what any role does. Roles register their own handles in their `metrics.rs`.
//!
//! Reading order: [`registry`], [`names`], [`process`], [`health`], [`admin`], [`trace`].

pub mod admin;
pub mod health;
pub mod names;
pub mod process;
pub mod registry;
pub mod trace;

pub use admin::{AdminError, AdminHandle, AdminServer};
pub use health::Readiness;
pub use names::BadName;
pub use registry::Metrics;
pub use trace::{LogControl, LogTarget, TraceError};
