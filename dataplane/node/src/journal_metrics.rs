//! What the journal does, as metrics of its master.

use alluxio_journal::{CheckpointInfo, Flush, JournalError, Observer};
use alluxio_telemetry::Metrics;
use prometheus::{Histogram, IntCounter, IntGauge};
use std::time::Duration;

/// Hears the journal's news and counts them.
pub(crate) struct JournalMetrics {
    flush_seconds: Histogram,
    flushed_entries: IntCounter,
    flushed_bytes: IntCounter,
    queue_entries: IntGauge,
    queue_full: IntCounter,
    checkpoint_seconds: Histogram,
    checkpoint_bytes: IntGauge,
    stalls: IntCounter,
    failures: IntCounter,
}

impl JournalMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| metrics.counter(name, help);
        Ok(JournalMetrics {
            flush_seconds: metrics.seconds(
                "journal_flush_seconds",
                "Time of one group commit: its write and its sync",
            )?,
            flushed_entries: counter("journal_flushed_entries_total", "Entries made durable")?,
            flushed_bytes: counter("journal_flushed_bytes_total", "Journal bytes made durable")?,
            queue_entries: metrics
                .gauge("journal_queue_entries", "Entries that wait for the next group commit")?,
            queue_full: counter(
                "journal_queue_full_total",
                "Appends that had to wait because the queue was full",
            )?,
            checkpoint_seconds: metrics
                .seconds("journal_checkpoint_seconds", "Time to write a checkpoint")?,
            checkpoint_bytes: metrics
                .gauge("journal_checkpoint_bytes", "Size of the newest checkpoint")?,
            stalls: counter(
                "journal_stalls_total",
                "Looks at a full disk while changes wait for room",
            )?,
            failures: counter(
                "journal_failures_total",
                "Failed writes and syncs; after one, the process has to start again",
            )?,
        })
    }
}

impl Observer for JournalMetrics {
    fn flushed(&self, flush: &Flush) {
        self.flush_seconds.observe(flush.took.as_secs_f64());
        self.flushed_entries.inc_by(flush.entries);
        self.flushed_bytes.inc_by(flush.bytes);
    }

    fn queue_depth(&self, entries: u64) {
        self.queue_entries.set(i64::try_from(entries).unwrap_or(i64::MAX));
    }

    fn queue_full(&self) {
        self.queue_full.inc();
    }

    fn checkpointed(&self, checkpoint: &CheckpointInfo, took: Duration) {
        self.checkpoint_seconds.observe(took.as_secs_f64());
        self.checkpoint_bytes.set(i64::try_from(checkpoint.length_bytes).unwrap_or(i64::MAX));
    }

    fn stalled(&self, _error: &JournalError) {
        self.stalls.inc();
    }

    fn failed(&self, _error: &JournalError) {
        self.failures.inc();
    }
}
