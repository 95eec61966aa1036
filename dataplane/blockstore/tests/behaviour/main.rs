//! The block store from outside, on a real disk.

mod model;
mod recovery;
mod store;
mod support;
