//! The operator as the process that its image runs, against a real API server with the installed roles and no nodes.
//!
//! Reading order: [`stand`] (the API server, the process), [`load`] (many objects), [`scale`] (what they cost),
//! [`played`] (an operator whose masters are played), [`paused`] (one that was stopped, and goes on after its time).

#![expect(clippy::unwrap_used, reason = "helpers of a test fail as the test does")]

mod load;
mod paused;
mod played;
mod scale;
mod stand;
