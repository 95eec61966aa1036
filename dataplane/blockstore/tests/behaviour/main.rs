//! The block store from outside, on a real disk.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod model;
mod recovery;
mod store;
mod support;
