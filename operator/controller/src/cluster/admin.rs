//! What the operator asks a cluster's masters, behind a trait: the real one is the client of the data plane, another
//! one plays a cluster in tests.

use super::membership::{Change, Member};
use async_trait::async_trait;
use std::collections::BTreeMap;

/// A master, as it and the others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterView {
    /// `host:port`, as it was configured.
    pub address: String,
    /// Whether it serves.
    pub primary: bool,
    /// Whether it answers and reads along.
    pub standby: bool,
    /// Its version.
    pub version: String,
    /// Entries that it still has to read.
    pub lag: u64,
}

/// One tier of all workers together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TierView {
    /// Bytes that it may hold.
    pub capacity_bytes: u64,
    /// Bytes that it holds.
    pub used_bytes: u64,
}

/// A member of etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdView {
    /// Its name.
    pub name: String,
    /// Whether it answers.
    pub healthy: bool,
}

/// What a cluster says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterView {
    /// Its identity, as its journal has it; `None` while nobody serves.
    pub cluster_id: Option<String>,
    /// Masters that answered or that others know.
    pub masters: Vec<MasterView>,
    /// The primary's term.
    pub term: u64,
    /// Workers that are registered.
    pub workers: usize,
    /// By alias.
    pub tiers: BTreeMap<String, TierView>,
    /// Members of etcd, as the masters see them.
    pub etcd: Vec<EtcdView>,
}

impl ClusterView {
    /// The master that serves.
    pub fn primary(&self) -> Option<&MasterView> {
        self.masters.iter().find(|master| master.primary)
    }
}

/// The masters of a cluster did not do what they were asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AdminError(pub String);

/// How to reach a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// Properties of a client: where the masters are.
    pub properties: String,
}

/// What masters are asked. Every call ends within a bounded time.
#[async_trait]
pub trait ClusterAdmin: Send + Sync {
    /// What the cluster says of itself; a cluster that does not answer is an empty view.
    async fn view(&self, target: &Target) -> ClusterView;

    /// Lets the primary hand its office to another master.
    ///
    /// **Errors**: that it did not.
    async fn transfer(&self, target: &Target, to: &str) -> Result<(), AdminError>;

    /// The list of members of a managed etcd, which answers at any of `endpoints`; `None` when it does not.
    async fn etcd_members(&self, endpoints: &[String]) -> Option<Vec<Member>>;

    /// Changes that list.
    ///
    /// **Errors**: that it was not changed: a majority would not be left, or a new member has not caught up.
    async fn etcd_change(&self, endpoints: &[String], change: &Change) -> Result<(), AdminError>;
}
