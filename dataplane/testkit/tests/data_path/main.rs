//! Reading and writing through real roles: local and remote, with failing workers, changing files,
//! full tiers and rotten blocks.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cluster;
mod failing;
mod reading;
mod writing;
