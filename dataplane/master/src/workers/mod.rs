//! Workers and what they hold: soft state, rebuilt from registrations and heartbeats, never
//! journaled.

pub mod locations;
pub mod registry;

pub use locations::Locations;
pub use registry::{Expired, Heartbeat, HeartbeatReply, Registration, Workers};
