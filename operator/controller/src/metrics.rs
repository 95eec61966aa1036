//! What the operator counts.

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
    /// Objects of the operator's kinds, by kind and phase.
    pub objects: IntGaugeVec,
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
                "Objects of the operator's kinds, by kind and phase",
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
