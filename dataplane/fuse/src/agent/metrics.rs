//! What the agent counts.

use crate::session::Counts;
use alluxio_telemetry::Metrics;
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Handles of all metrics.
pub(crate) struct Tally {
    requests: IntCounterVec,
    errors: IntCounter,
    resent: IntCounter,
    unwanted: IntCounter,
    passed: IntCounter,
    sessions: IntGaugeVec,
    resumed: IntCounter,
    remounted: IntCounter,
    stall: Histogram,
    keepers: IntGauge,
    totals: Mutex<Totals>,
}

/// What the counters of sessions have been added up to.
#[derive(Debug, Default)]
struct Totals {
    /// Of sessions that are over.
    ended: Sums,
    /// What the metrics show.
    shown: Sums,
}

#[derive(Debug, Default, Clone)]
struct Sums {
    operations: BTreeMap<&'static str, u64>,
    errors: u64,
    not_wanted: u64,
    resent: u64,
    passed: u64,
}

impl Sums {
    fn add(&mut self, counts: &Counts, passed: u64) {
        self.passed += passed;
        for (name, count) in &counts.operations {
            *self.operations.entry(name).or_default() += count;
        }
        self.errors += counts.errors;
        self.not_wanted += counts.not_wanted;
        self.resent += counts.resent;
    }
}

impl Tally {
    /// **Errors**: a name that is taken.
    pub(crate) fn new(metrics: &Metrics) -> Result<Self, prometheus::Error> {
        Ok(Tally {
            requests: metrics.counters("requests_total", "Requests of the kernel", &["op"])?,
            errors: metrics.counter("errors_total", "Replies that were errors")?,
            resent: metrics.counter(
                "resent_requests_total",
                "Requests that the kernel gave out again after an agent was gone",
            )?,
            unwanted: metrics.counter(
                "unwanted_requests_total",
                "Requests that nobody waited for any more when they were answered",
            )?,
            passed: metrics.counter(
                "passthrough_files_total",
                "Opens of files that the kernel reads past the agent",
            )?,
            sessions: metrics.gauges("known_sessions", "Sessions by state", &["state"])?,
            resumed: metrics.counter(
                "resumed_sessions_total",
                "Sessions that this agent has gone on with for another one",
            )?,
            remounted: metrics.counter(
                "remounted_sessions_total",
                "Sessions that were mounted anew because the kernel had given them up",
            )?,
            stall: metrics.seconds(
                "stall_duration_seconds",
                "Time for which nobody served a session, from the end of one agent to the next",
            )?,
            keepers: metrics.gauge("keeper_connections", "Keepers that hold the mounts")?,
            totals: Mutex::default(),
        })
    }

    pub(crate) fn resumed(&self, stall: Duration) {
        self.resumed.inc();
        self.stall.observe(stall.as_secs_f64());
    }

    pub(crate) fn remounted(&self) {
        self.remounted.inc();
    }

    pub(crate) fn keepers(&self, connected: usize) {
        self.keepers.set(connected as i64);
    }

    pub(crate) fn sessions(&self, served: usize, all: usize) {
        self.sessions.with_label_values(&["serving"]).set(served as i64);
        self.sessions.with_label_values(&["dead"]).set(all.saturating_sub(served) as i64);
    }

    /// A session is over; its counters are not seen again.
    pub(crate) fn ended(&self, (counts, passed): (Counts, u64)) {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner).ended.add(&counts, passed);
    }

    /// Shows the counters of all living sessions, and how many of their opens were passed through. Returns
    /// how many they are.
    pub(crate) fn measure(&self, living: impl Iterator<Item = (Counts, u64)>) -> usize {
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now = totals.ended.clone();
        let mut sessions = 0;
        for (counts, passed) in living {
            now.add(&counts, passed);
            sessions += 1;
        }
        for (name, count) in &now.operations {
            let before = totals.shown.operations.get(name).copied().unwrap_or(0);
            self.requests.with_label_values(&[*name]).inc_by(count.saturating_sub(before));
        }
        self.errors.inc_by(now.errors.saturating_sub(totals.shown.errors));
        self.unwanted.inc_by(now.not_wanted.saturating_sub(totals.shown.not_wanted));
        self.resent.inc_by(now.resent.saturating_sub(totals.shown.resent));
        self.passed.inc_by(now.passed.saturating_sub(totals.shown.passed));
        totals.shown = now;
        sessions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_grow_over_the_end_of_a_session_and_have_good_names() {
        let metrics = Metrics::new("fuse");
        let tally = Tally::new(&metrics).unwrap();
        let counts = |reads| Counts {
            operations: vec![("read", reads)],
            errors: 1,
            not_wanted: 0,
            resent: 2,
        };
        assert_eq!(tally.measure([(counts(5), 1)].into_iter()), 1);
        tally.ended((counts(7), 2));
        tally.measure([(counts(3), 1)].into_iter());
        tally.resumed(Duration::from_millis(500));
        tally.remounted();
        tally.keepers(2);
        tally.sessions(1, 3);
        let text = metrics.text();
        for line in [
            "alluxio_fuse_requests_total{op=\"read\"} 10",
            "alluxio_fuse_errors_total 2",
            "alluxio_fuse_resent_requests_total 4",
            "alluxio_fuse_passthrough_files_total 3",
            "alluxio_fuse_known_sessions{state=\"dead\"} 2",
            "alluxio_fuse_stall_duration_seconds_sum 0.5",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert_eq!(metrics.bad_names(), []);
    }
}
