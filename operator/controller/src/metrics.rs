//! What the operator counts.

use alluxio_operator_api::cluster::ClusterPhase;
use alluxio_operator_api::dataset::DatasetPhase;
use alluxio_telemetry::Metrics;
use http::Method;
use prometheus::{HistogramVec, IntCounterVec, IntGauge, IntGaugeVec};
use std::time::Duration;

/// Its metrics. Cloning is cheap and shares them.
#[derive(Clone)]
pub struct OperatorMetrics {
    reconciles: IntCounterVec,
    reconcile_seconds: HistogramVec,
    writes: IntCounterVec,
    requests: IntCounterVec,
    objects: IntGaugeVec,
    /// 1 while this process leads.
    pub leads: IntGauge,
}

impl OperatorMetrics {
    /// Registers them; `metrics` is of role `operator`.
    ///
    /// **Errors**: when they are registered already.
    pub fn register(metrics: &Metrics) -> Result<Self, prometheus::Error> {
        Ok(OperatorMetrics {
            reconciles: metrics.counters(
                "reconciles_total",
                "Objects that were brought nearer to what is wanted, by controller and outcome",
                &["controller", "outcome"],
            )?,
            reconcile_seconds: metrics.seconds_by(
                "reconcile_duration_seconds",
                "Time of one reconcile",
                &["controller"],
            )?,
            writes: metrics.counters(
                "writes_total",
                "Objects that were written, by kind and verb",
                &["kind", "verb"],
            )?,
            requests: metrics.counters(
                "api_requests_total",
                "Requests to the Kubernetes API, by method and status (0: none came)",
                &["method", "code"],
            )?,
            objects: metrics.gauges(
                "objects",
                "Clusters and Datasets, by kind and phase; 0 of an operator that does not act",
                &["kind", "phase"],
            )?,
            leads: metrics.gauge("leads", "1 while this operator is the one that acts")?,
        })
    }

    /// Metrics that nobody reads.
    #[expect(clippy::missing_panics_doc, reason = "a new registry takes every name once")]
    pub fn noop() -> Self {
        Self::register(&Metrics::new("operator")).expect("the registry is new")
    }

    /// A reconcile ended.
    pub fn reconciled(&self, controller: &str, ok: bool, took: Duration) {
        let outcome = if ok { "ok" } else { "failed" };
        self.reconciles.with_label_values(&[controller, outcome]).inc();
        self.reconcile_seconds.with_label_values(&[controller]).observe(took.as_secs_f64());
    }

    /// Shows how many objects of each kind are in each phase, from the kind and phase of every one.
    pub fn show_objects(&self, all: &[(&'static str, String)]) {
        let phases = |names: Vec<&'static str>, kind: &'static str| {
            names.into_iter().map(move |phase| (kind, phase))
        };
        let clusters = ClusterPhase::ALL.iter().map(|phase| phase.name()).collect();
        let datasets = DatasetPhase::ALL.iter().map(|phase| phase.name()).collect();
        // Also those that nothing is in, so that a series never stays at what was.
        for (kind, phase) in phases(clusters, "AlluxioCluster").chain(phases(datasets, "Dataset")) {
            let count = all.iter().filter(|one| one.0 == kind && one.1 == phase).count();
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.objects.with_label_values(&[kind, phase]).set(count);
        }
    }

    /// An object was written.
    pub fn wrote(&self, kind: &str, verb: &str) {
        self.writes.with_label_values(&[kind, verb]).inc();
    }

    /// A request was answered.
    pub(crate) fn requested(&self, method: &Method, code: u16) {
        self.requests.with_label_values(&[method.as_str(), &code.to_string()]).inc();
    }

    /// All reconciles so far.
    pub fn reconciles(&self) -> u64 {
        use prometheus::core::Collector;
        let families = self.reconciles.collect();
        let all = families.iter().flat_map(|family| family.get_metric());
        all.map(|metric| metric.get_counter().get_value() as u64).sum()
    }

    /// All writes so far.
    pub fn writes(&self) -> u64 {
        use prometheus::core::Collector;
        let families = self.writes.collect();
        let all = families.iter().flat_map(|family| family.get_metric());
        // Counters count whole things.
        all.map(|metric| metric.get_counter().get_value() as u64).sum()
    }
}
