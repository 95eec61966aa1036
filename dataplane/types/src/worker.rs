//! Facts about workers and their storage.

use crate::{UnixMillis, WorkerId};
use std::fmt;

/// Name of a storage tier: `MEM`, `SSD`, `HDD` or the user's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TierAlias(pub String);

impl TierAlias {
    /// A tier with that name.
    pub fn new(name: impl Into<String>) -> Self {
        TierAlias(name.into())
    }
}

impl fmt::Display for TierAlias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Kind of device behind a directory of a tier.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MediumType(pub String);

/// How to reach a worker.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct WorkerAddress {
    /// Host name that clients use, and compare with their own to find a local worker.
    pub host: String,
    /// Port of the control plane (gRPC).
    pub rpc_port: u16,
    /// Port of the data protocol.
    pub data_port: u16,
    /// Port of metrics and health.
    pub web_port: u16,
    /// Unix domain socket of the data protocol; empty when there is none.
    pub domain_socket_path: String,
}

/// Use of one tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierUsage {
    /// Its name.
    pub alias: TierAlias,
    /// Bytes it may hold.
    pub capacity_bytes: u64,
    /// Bytes it holds.
    pub used_bytes: u64,
}

/// Whether the master counts on a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WorkerState {
    /// Heartbeats arrive.
    Live,
    /// None arrived for `alluxio.master.worker.timeout`.
    Lost,
}

/// What the master knows of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerInfo {
    /// Its id.
    pub id: WorkerId,
    /// How to reach it.
    pub address: WorkerAddress,
    /// Live or lost.
    pub state: WorkerState,
    /// Tiers from the top down.
    pub tiers: Vec<TierUsage>,
    /// When it was last heard.
    pub last_heartbeat: UnixMillis,
    /// When it registered.
    pub started: UnixMillis,
    /// Number of blocks it holds.
    pub block_count: u64,
    /// Version of its binary.
    pub version: String,
}

impl WorkerInfo {
    /// Bytes that all its tiers may hold.
    pub fn capacity_bytes(&self) -> u64 {
        self.tiers.iter().map(|tier| tier.capacity_bytes).sum()
    }

    /// Bytes that all its tiers hold.
    pub fn used_bytes(&self) -> u64 {
        self.tiers.iter().map(|tier| tier.used_bytes).sum()
    }
}
