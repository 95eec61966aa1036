//! Numbers of one worker. Counters of the block store and of the data server are copied over once
//! a second, together with the gauges.

use alluxio_blockstore::BlockStore;
use alluxio_datapath::server::ServerCounters;
use alluxio_telemetry::Metrics;
use alluxio_types::Code;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Handles of a worker's metrics.
pub struct WorkerMetrics {
    pub(crate) reads_cached: IntCounter,
    pub(crate) reads_filling: IntCounter,
    pub(crate) reads_uncached: IntCounter,
    pub(crate) read_cached_bytes: IntCounter,
    pub(crate) read_filling_bytes: IntCounter,
    pub(crate) fetched_ufs_bytes: IntCounter,
    pub(crate) fetched_peer_bytes: IntCounter,
    pub(crate) written_bytes: IntCounter,
    pub(crate) uploaded_bytes: IntCounter,
    pub(crate) scrubbed_bytes: IntCounter,
    pub(crate) blocks_cached: IntCounter,
    pub(crate) blocks_written: IntCounter,
    pub(crate) files_persisted: IntCounter,
    pub(crate) cache_requests_rejected: IntCounter,
    pub(crate) registrations: IntCounter,
    pub(crate) heartbeats: IntCounterVec,
    fetch_failures: IntCounterVec,
    capacity: IntGaugeVec,
    used: IntGaugeVec,
    blocks: IntGauge,
    lost_dirs: IntGauge,
    queue: IntGauge,
    in_flight: IntGauge,
    connections: IntGauge,
    leases: IntGauge,
    copied: Vec<Copied>,
    server: OnceLock<Arc<ServerCounters>>,
}

/// A counter that is kept elsewhere.
struct Copied {
    counter: IntCounter,
    read: fn(&BlockStore, &ServerCounters) -> u64,
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

type Source = (&'static str, &'static str, fn(&BlockStore, &ServerCounters) -> u64);

const COPIED: [Source; 14] = [
    ("blocks_evicted_total", "Blocks removed to make room", |s, _| s.stats().evicted.get()),
    ("blocks_demoted_total", "Blocks moved to a lower tier to make room", |s, _| {
        s.stats().demoted.get()
    }),
    ("blocks_promoted_total", "Blocks moved to a higher tier", |s, _| s.stats().promoted.get()),
    ("blocks_corrupt_total", "Blocks dropped because a checksum failed", |s, _| {
        s.stats().corrupt.get()
    }),
    ("blocks_vanished_total", "Blocks dropped because their file was gone", |s, _| {
        s.stats().vanished.get()
    }),
    ("blocks_lost_total", "Blocks lost with their directory", |s, _| s.stats().lost.get()),
    ("moved_bytes_total", "Bytes copied between tiers", |s, _| s.stats().moved_bytes.get()),
    ("space_requests_refused_total", "Requests for room that nothing could satisfy", |s, _| {
        s.stats().refused.get()
    }),
    ("requests_lent_total", "Reads answered by a descriptor", |_, c| load(&c.reads_lent)),
    ("requests_streamed_total", "Reads answered by bytes", |_, c| load(&c.reads_streamed)),
    ("sent_bytes_total", "Bytes of blocks sent", |_, c| load(&c.bytes_sent)),
    ("received_bytes_total", "Bytes of blocks received", |_, c| load(&c.bytes_received)),
    ("requests_refused_total", "Data requests refused", |_, c| load(&c.refusals)),
    ("connections_refused_total", "Data connections turned away", |_, c| {
        load(&c.connections_refused)
    }),
];

impl WorkerMetrics {
    /// Registers all of them.
    ///
    /// **Errors**: when they are registered already.
    pub fn register(m: &Metrics) -> Result<Self, prometheus::Error> {
        let copied = COPIED
            .iter()
            .map(|(name, help, read)| Ok(Copied { counter: m.counter(name, help)?, read: *read }))
            .collect::<Result<_, prometheus::Error>>()?;
        let reads =
            m.counters("read_requests_total", "Reads by where the bytes were", &["source"])?;
        let read_bytes =
            m.counters("read_bytes_total", "Bytes asked for, by where they were", &["source"])?;
        let fetched =
            m.counters("fetched_bytes_total", "Bytes brought here, by source", &["source"])?;
        Ok(WorkerMetrics {
            reads_cached: reads.with_label_values(&["cache"]),
            reads_filling: reads.with_label_values(&["filling"]),
            reads_uncached: reads.with_label_values(&["uncached"]),
            read_cached_bytes: read_bytes.with_label_values(&["cache"]),
            read_filling_bytes: read_bytes.with_label_values(&["filling"]),
            fetched_ufs_bytes: fetched.with_label_values(&["ufs"]),
            fetched_peer_bytes: fetched.with_label_values(&["worker"]),
            written_bytes: m.counter("written_bytes_total", "Bytes of blocks written here")?,
            uploaded_bytes: m.counter("uploaded_bytes_total", "Bytes sent to under stores")?,
            scrubbed_bytes: m
                .counter("scrubbed_bytes_total", "Bytes of idle blocks read and found sound")?,
            blocks_cached: m.counter("blocks_cached_total", "Blocks fetched and kept")?,
            blocks_written: m.counter("blocks_written_total", "Blocks written by clients")?,
            files_persisted: m
                .counter("files_persisted_total", "Files written to the UFS later")?,
            cache_requests_rejected: m.counter(
                "cache_requests_rejected_total",
                "Wishes to cache a block that found every slot taken",
            )?,
            registrations: m.counter("registrations_total", "Registrations with the master")?,
            heartbeats: m.counters("heartbeats_total", "Heartbeats, by outcome", &["outcome"])?,
            fetch_failures: m.counters("fetch_errors_total", "Failed fetches", &["code"])?,
            capacity: m.gauges("capacity_bytes", "Bytes a tier may hold", &["tier"])?,
            used: m.gauges("used_bytes", "Bytes a tier holds", &["tier"])?,
            blocks: m.gauge("stored_blocks", "Blocks here")?,
            lost_dirs: m.gauge("lost_dirs", "Storage directories out of service")?,
            queue: m.gauge("cache_queue_entries", "Background caching, waiting and at work")?,
            in_flight: m.gauge("blocks_in_flight", "Blocks on their way here")?,
            connections: m.gauge("data_connections", "Connections of the data protocol")?,
            leases: m.gauge("held_leases", "Leases held by clients")?,
            copied,
            server: OnceLock::new(),
        })
    }

    pub(crate) fn watch_server(&self, counters: Arc<ServerCounters>) {
        // Set once, by the only start.
        let _ = self.server.set(counters);
    }

    pub(crate) fn fetch_failed(&self, code: Code) {
        self.fetch_failures.with_label_values(&[code.name()]).inc();
    }

    /// Leases that clients hold now.
    pub(crate) fn leases(&self) -> u64 {
        self.server.get().map_or(0, |counters| load(&counters.leases))
    }

    /// Grows with every use by a client.
    pub(crate) fn activity(&self) -> u64 {
        let reads = [&self.reads_cached, &self.reads_filling, &self.reads_uncached];
        reads.iter().map(|reads| reads.get()).sum::<u64>() + self.written_bytes.get()
    }

    /// Copies what is counted elsewhere.
    pub(crate) fn refresh(&self, store: &BlockStore, queued: usize, in_flight: usize) {
        let usage = store.usage();
        for tier in &usage.tiers {
            let alias = [tier.alias.0.as_str()];
            self.capacity.with_label_values(&alias).set(tier.capacity_bytes as i64);
            self.used.with_label_values(&alias).set(tier.used_bytes as i64);
        }
        self.blocks.set(usage.block_count as i64);
        self.lost_dirs.set(usage.lost_dirs.len() as i64);
        self.queue.set(queued as i64);
        self.in_flight.set(in_flight as i64);
        let Some(counters) = self.server.get() else { return };
        self.connections.set(load(&counters.connections) as i64);
        self.leases.set(load(&counters.leases) as i64);
        for copied in &self.copied {
            let now = (copied.read)(store, counters);
            copied.counter.inc_by(now.saturating_sub(copied.counter.get()));
        }
    }
}
