//! The rules for metric names: `alluxio_<role>_<thing>_<unit>[_total]`.

use prometheus::proto::{MetricFamily, MetricType};

/// A metric that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("metric {name}: {rule}")]
pub struct BadName {
    /// Its full name.
    pub name: String,
    /// The rule.
    pub rule: &'static str,
}

/// Last words that say what is counted. Base units first, then things that are counted in ones.
const UNITS: &[&str] = &[
    "seconds",
    "bytes",
    "ratio",
    "info",
    "requests",
    "calls",
    "blocks",
    "files",
    "inodes",
    "entries",
    "workers",
    "sessions",
    "leases",
    "segments",
    "checkpoints",
    "errors",
    "retries",
    "heartbeats",
    "connections",
    "frames",
    "hits",
    "misses",
    "evictions",
    "mounts",
    "healthy",
    "unhealthy",
    "paths",
    "tasks",
    "dirs",
    "moves",
    "timestamp",
    "term",
    "seq",
    "batches",
    "registrations",
    "elections",
];

/// Labels that would grow without bound.
const UNBOUNDED_LABELS: &[&str] =
    &["path", "user", "inode", "block", "file", "id", "error", "message", "host", "address"];

/// Names that Prometheus' own conventions fix.
const STANDARD_PREFIX: &str = "process_";

/// Everything that breaks a rule.
pub fn check(families: &[MetricFamily]) -> Vec<BadName> {
    families.iter().flat_map(check_family).collect()
}

fn check_family(family: &MetricFamily) -> Vec<BadName> {
    let name = family.name();
    let mut bad = Vec::new();
    let mut fault = |rule| bad.push(BadName { name: name.to_owned(), rule });
    if name.starts_with(STANDARD_PREFIX) {
        return bad;
    }
    let is_counter = family.get_field_type() == MetricType::COUNTER;
    let words: Vec<&str> = name.split('_').collect();
    if words.len() < 4 || words[0] != "alluxio" {
        fault("must be alluxio_<role>_<thing>_<unit>");
    }
    let base = name.strip_suffix("_total");
    match (is_counter, base) {
        (true, None) => fault("a counter ends in _total"),
        (false, Some(_)) => fault("only a counter ends in _total"),
        _ => {}
    }
    let words: Vec<&str> = base.unwrap_or(name).split('_').collect();
    // `blocks_evicted_total` and `requests_in_flight` count things too: any word may be the unit.
    if !words.iter().skip(2).any(|word| UNITS.contains(word)) {
        fault("must name its unit, like seconds, bytes or blocks");
    }
    if words.iter().any(|word| ["ms", "millis", "micros", "kb", "mb", "percent"].contains(word)) {
        fault("uses a unit that is not a base unit (seconds, bytes, ratio)");
    }
    if family.help().trim().is_empty() {
        fault("must have a help text");
    }
    let labels = family.get_metric().iter().flat_map(|metric| metric.get_label());
    if labels.into_iter().any(|label| UNBOUNDED_LABELS.contains(&label.name())) {
        fault("has a label without bound");
    }
    bad
}

#[cfg(test)]
mod tests {
    use crate::Metrics;

    #[test]
    fn good_names_pass_and_each_rule_catches_its_fault() {
        let metrics = Metrics::new("worker");
        metrics.counter("blocks_evicted_total", "Blocks evicted").unwrap();
        metrics.seconds("read_duration_seconds", "Time of a read").unwrap();
        metrics
            .counters("read_bytes_total", "Bytes read", &["source"])
            .unwrap()
            .with_label_values(&["local"])
            .inc();
        assert_eq!(metrics.bad_names(), []);
        metrics.counter("blocks_lost", "Blocks lost").unwrap();
        metrics.gauge("queue_entries_total", "Entries").unwrap();
        metrics.gauge("wait_ms", "Wait").unwrap();
        metrics.gauges("open_files", "Files", &["path"]).unwrap().with_label_values(&["/a"]).set(1);
        let found: Vec<String> = metrics.bad_names().iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "metric alluxio_worker_blocks_lost: a counter ends in _total",
                "metric alluxio_worker_open_files: has a label without bound",
                "metric alluxio_worker_queue_entries_total: only a counter ends in _total",
                "metric alluxio_worker_wait_ms: must name its unit, like seconds, bytes or blocks",
                "metric alluxio_worker_wait_ms: uses a unit that is not a base unit (seconds, \
                 bytes, ratio)",
            ]
        );
    }

    #[test]
    fn a_name_can_be_taken_only_once() {
        let metrics = Metrics::new("worker");
        metrics.counter("blocks_evicted_total", "Blocks evicted").unwrap();
        assert!(metrics.counter("blocks_evicted_total", "Blocks evicted").is_err());
    }
}
