//! One role's metrics.

use crate::names::{self, BadName};
use crate::process::ProcessCollector;
use prometheus::proto::MetricType;
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

/// The metrics of one role in one process. Cloning is cheap and shares them.
///
/// Names are `alluxio_<role>_<thing>_<unit>`, counters with `_total` behind; the maker functions
/// here put the first two words in front.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    role: &'static str,
}

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleKind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

/// A metric at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its full name.
    pub name: String,
    /// `label=value`, joined by commas.
    pub labels: String,
    /// How it behaves.
    pub kind: SampleKind,
    /// Its value; the sum of a distribution.
    pub value: f64,
    /// Number of observations of a distribution; 0 for the others.
    pub count: u64,
}

/// Seconds, from 50 µs to 13 s in steps of 4: a call over loopback to a call that gives up.
const SECONDS_BUCKETS: [f64; 10] =
    [50e-6, 200e-6, 800e-6, 3.2e-3, 12.8e-3, 51.2e-3, 204.8e-3, 819.2e-3, 3.2768, 13.1072];

impl Metrics {
    /// An empty registry for `role` (`master`, `worker`, `client`, …), with the metrics of the
    /// process in it.
    pub fn new(role: &'static str) -> Self {
        let registry = Registry::new();
        registry
            .register(Box::new(ProcessCollector::new()))
            .expect("the registry is new, so no name is taken");
        Metrics { registry, role }
    }

    /// The role in the names.
    pub fn role(&self) -> &'static str {
        self.role
    }

    /// The registry itself, for crates that make their own handles.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    fn opts(&self, name: &str, help: &str) -> Opts {
        Opts::new(format!("alluxio_{}_{name}", self.role), help)
    }

    /// A counter; `name` without prefix, as `blocks_evicted_total`.
    ///
    /// **Errors**: a name that is taken or has characters that are not allowed; likewise below.
    pub fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        let counter = IntCounter::with_opts(self.opts(name, help))?;
        self.registry.register(Box::new(counter.clone()))?;
        Ok(counter)
    }

    /// Counters by label; labels are small enums.
    pub fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, prometheus::Error> {
        let counters = IntCounterVec::new(self.opts(name, help), labels)?;
        self.registry.register(Box::new(counters.clone()))?;
        Ok(counters)
    }

    /// A gauge; `name` as `queue_entries`.
    pub fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        let gauge = IntGauge::with_opts(self.opts(name, help))?;
        self.registry.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }

    /// Gauges by label.
    pub fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntGaugeVec, prometheus::Error> {
        let gauges = IntGaugeVec::new(self.opts(name, help), labels)?;
        self.registry.register(Box::new(gauges.clone()))?;
        Ok(gauges)
    }

    /// A histogram of durations; `name` ends in `_seconds`.
    pub fn seconds(&self, name: &str, help: &str) -> Result<Histogram, prometheus::Error> {
        let opts = HistogramOpts::from(self.opts(name, help)).buckets(SECONDS_BUCKETS.to_vec());
        let histogram = Histogram::with_opts(opts)?;
        self.registry.register(Box::new(histogram.clone()))?;
        Ok(histogram)
    }

    /// Histograms of durations by label.
    pub fn seconds_by(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<HistogramVec, prometheus::Error> {
        let opts = HistogramOpts::from(self.opts(name, help)).buckets(SECONDS_BUCKETS.to_vec());
        let histograms = HistogramVec::new(opts, labels)?;
        self.registry.register(Box::new(histograms.clone()))?;
        Ok(histograms)
    }

    /// Everything in Prometheus' text format.
    pub fn text(&self) -> String {
        let mut out = Vec::new();
        // Encoding into memory fails only for a family without metrics, and gather drops those.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut out);
        String::from_utf8(out).unwrap_or_default()
    }

    /// Everything as values, in order of name and labels.
    pub fn samples(&self) -> Vec<Sample> {
        let mut samples = Vec::new();
        for family in self.registry.gather() {
            let kind = match family.get_field_type() {
                MetricType::COUNTER => SampleKind::Counter,
                MetricType::HISTOGRAM | MetricType::SUMMARY => SampleKind::Histogram,
                MetricType::GAUGE | MetricType::UNTYPED => SampleKind::Gauge,
            };
            for metric in family.get_metric() {
                let labels = metric.get_label().iter();
                let labels = labels.map(|label| format!("{}={}", label.name(), label.value()));
                let histogram = metric.get_histogram();
                let (value, count) = match kind {
                    SampleKind::Counter => (metric.get_counter().get_value(), 0),
                    SampleKind::Gauge => (metric.get_gauge().get_value(), 0),
                    SampleKind::Histogram => {
                        (histogram.get_sample_sum(), histogram.get_sample_count())
                    }
                };
                samples.push(Sample {
                    name: family.name().to_owned(),
                    labels: labels.collect::<Vec<_>>().join(","),
                    kind,
                    value,
                    count,
                });
            }
        }
        samples
    }

    /// What breaks the naming rules. Each role's tests assert that there is nothing; families whose
    /// labels were never used are not seen, so touch them first.
    pub fn bad_names(&self) -> Vec<BadName> {
        names::check(&self.registry.gather())
    }
}
