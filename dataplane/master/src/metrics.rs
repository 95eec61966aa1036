//! What a master counts. Names as in the catalogue of metrics: `alluxio_master_<thing>_<unit>`.

use prometheus::{IntCounter, IntGauge, Registry};

/// Handles of one master's metrics.
#[derive(Clone)]
pub struct MasterMetrics {
    /// Changes that wait to be planned.
    pub writer_queue_depth: IntGauge,
    /// Journal entries written.
    pub entries: IntCounter,
    /// Files and directories in the namespace.
    pub inodes: IntGauge,
    /// Memory of the namespace.
    pub inode_bytes: IntGauge,
    /// Last position that is durable.
    pub journal_committed: IntGauge,
    /// Position of the newest checkpoint.
    pub journal_checkpoint: IntGauge,
    /// 1 for the primary, 0 for a standby.
    pub primary: IntGauge,
    /// Term of the primary that wrote last.
    pub term: IntGauge,
    /// Entries that the primary has durable and this standby does not have yet.
    pub journal_lag: IntGauge,
    /// Standbys that stay with this primary.
    pub standbys: IntGauge,
    /// Elections that this master won and served after.
    pub elections: IntCounter,
    /// Workers that send heartbeats.
    pub workers_live: IntGauge,
    /// Workers that fell silent.
    pub workers_lost: IntGauge,
    /// Bytes that all tiers of all live workers may hold.
    pub capacity_bytes: IntGauge,
    /// Bytes that they hold.
    pub used_bytes: IntGauge,
    /// Cached copies of blocks that the master knows.
    pub block_replicas: IntGauge,
    /// Paths compared with their under store.
    pub syncs: IntCounter,
    /// Comparisons that failed.
    pub sync_failures: IntCounter,
}

impl MasterMetrics {
    /// Registers all of them.
    ///
    /// **Errors**: when they are registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(format!("alluxio_master_{name}"), help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(format!("alluxio_master_{name}"), help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        Ok(MasterMetrics {
            writer_queue_depth: gauge("writer_queue_entries", "Changes that wait to be planned")?,
            entries: counter("journal_entries_total", "Journal entries written")?,
            inodes: gauge("namespace_inodes", "Files and directories")?,
            inode_bytes: gauge("namespace_bytes", "Memory of the namespace")?,
            journal_committed: gauge("journal_committed_entries", "Last durable position")?,
            journal_checkpoint: gauge(
                "journal_checkpoint_entries",
                "Newest checkpoint's position",
            )?,
            primary: gauge("primary", "1 for the primary, 0 for a standby")?,
            term: gauge("term_number", "Term of the primary that wrote last")?,
            journal_lag: gauge("journal_lag_entries", "Durable entries not applied here yet")?,
            standbys: gauge("standbys", "Standbys that stay with this primary")?,
            elections: counter("elections_total", "Elections that this master won")?,
            workers_live: gauge("workers_live", "Workers that send heartbeats")?,
            workers_lost: gauge("workers_lost", "Workers that fell silent")?,
            capacity_bytes: gauge("capacity_bytes", "Room in all tiers of live workers")?,
            used_bytes: gauge("used_bytes", "Bytes in all tiers of live workers")?,
            block_replicas: gauge("block_replicas", "Known cached copies of blocks")?,
            syncs: counter("metadata_syncs_total", "Paths compared with their under store")?,
            sync_failures: counter("metadata_sync_failures_total", "Comparisons that failed")?,
        })
    }
}
