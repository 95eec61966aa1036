//! Masters in this process, asked over gRPC.
#![expect(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

#[macro_use]
mod support;

mod backup;
mod failover;
mod on_etcd;
mod serving;
mod shared_journal;
