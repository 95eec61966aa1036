//! What masters say of themselves and of each other.

use crate::error::ClientError;
use crate::options::MasterAddress;
use alluxio_types::UnixMillis;

/// What a master is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MasterRole {
    /// It serves.
    Primary,
    /// It reads along.
    Standby,
    /// It reads its journal, or stops.
    Starting,
    /// Elected, and unable to prove it at the moment.
    Suspended,
    /// Configured, and not heard of.
    Lost,
}

/// One master of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterState {
    /// Where it is.
    pub address: MasterAddress,
    /// What it is.
    pub role: MasterRole,
    /// Newest term in its tree; of a primary, its own.
    pub term: u64,
    /// Last entry in its tree.
    pub applied_seq: u64,
    /// Entries that are durable and not in its tree yet.
    pub lag: u64,
    /// The newest checkpoint that it holds.
    pub checkpoint: Option<CheckpointFacts>,
    /// Version of its binary; empty when it is lost.
    pub version: String,
}

/// A checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckpointFacts {
    /// Last entry that it covers.
    pub seq: u64,
    /// When it was written; zero when that is not known.
    pub created: UnixMillis,
    /// Size of its file.
    pub length_bytes: u64,
}

/// What came of asking one master.
#[derive(Debug)]
pub struct MasterAnswer {
    /// The `host:port` that was asked.
    pub address: String,
    /// Its answer.
    pub view: Result<QuorumView, ClientError>,
}

/// What one master knows of all masters and of etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumView {
    /// Itself.
    pub itself: Option<MasterState>,
    /// `host:port` of the primary as the election knows it; empty while there is none.
    pub leader: String,
    /// That primary's term.
    pub leader_term: u64,
    /// Kind of journal.
    pub journal_type: String,
    /// `alluxio.cluster.name`, where etcd is used.
    pub cluster_name: String,
    /// Of a primary: every master that it knows.
    pub states: Vec<MasterState>,
    /// Members of etcd.
    pub etcd: Vec<EtcdMember>,
}

/// A member of etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdMember {
    /// Its name.
    pub name: String,
    /// Its number, as etcd's own tools write it: hexadecimal.
    pub id: String,
    /// Where it serves.
    pub client_urls: Vec<String>,
    /// Whether it answered, has a leader and no alarm.
    pub healthy: bool,
    /// Whether it leads.
    pub leader: bool,
    /// Whether it has no vote.
    pub learner: bool,
    /// Its version.
    pub version: String,
    /// Size of its file.
    pub db_bytes: u64,
    /// Term of etcd's own election.
    pub raft_term: u64,
    /// Last entry of etcd's own log.
    pub raft_index: u64,
    /// What is wrong with it.
    pub problems: Vec<String>,
}

/// One metric of a master.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricValue {
    /// Its name.
    pub name: String,
    /// `label=value`, joined by commas.
    pub labels: String,
    /// `COUNTER`, `GAUGE` or `HISTOGRAM`.
    pub kind: String,
    /// Its value; the sum of a histogram.
    pub value: f64,
    /// Observations of a histogram.
    pub count: u64,
}
