//! A worker from outside: real sockets on loopback, a real directory as under store, a scripted
//! master.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod admin;
mod bond;
mod gated_ufs;
mod master;
mod reading;
mod support;
mod tokens;
mod writing;
