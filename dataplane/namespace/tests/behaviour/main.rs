//! What callers of the namespace may rely on.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod concurrency;
mod links;
mod load;
mod model;
mod operations;
mod ops;
mod quotas;
mod replace;
mod support;
mod xattr;
