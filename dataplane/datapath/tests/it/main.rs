//! The data protocol over real sockets, against a worker in miniature.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod abuse;
mod golden;
mod reading;
mod support;
mod writing;
