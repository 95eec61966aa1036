//! `fsadmin report metrics`.

use alluxio_client::MetricValue;
use alluxio_types::ByteSize;
use serde_json::{Value, json};

/// `Name  (Type: COUNTER, Value: 1,234)`, one line for each, names in one column.
pub fn lines(metrics: &[MetricValue]) -> Vec<String> {
    let names: Vec<String> = metrics.iter().map(name).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let line = |(metric, name): (&MetricValue, &String)| {
        let blanks = " ".repeat(width - name.chars().count());
        format!("{name}{blanks}  (Type: {}, Value: {})", metric.kind, value(metric))
    };
    metrics.iter().zip(&names).map(line).collect()
}

fn name(metric: &MetricValue) -> String {
    match metric.labels.is_empty() {
        true => metric.name.clone(),
        false => format!("{}{{{}}}", metric.name, metric.labels),
    }
}

fn value(metric: &MetricValue) -> String {
    let number = |value: f64| match value.fract() == 0.0 && value.abs() < 1e18 {
        true => grouped(value as i64),
        false => format!("{value:.6}"),
    };
    if metric.kind == "HISTOGRAM" {
        let mean = if metric.count == 0 { 0.0 } else { metric.value / metric.count as f64 };
        return format!("{} times, mean {mean:.6}", grouped(metric.count as i64));
    }
    let is_size = metric.name.ends_with("_bytes") || metric.name.ends_with("_bytes_total");
    match is_size && metric.value >= 0.0 {
        true => ByteSize(metric.value as u64).to_string(),
        false => number(metric.value),
    }
}

/// `1,234,567`.
fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// For machines.
pub fn json(metric: &MetricValue) -> Value {
    json!({
        "name": metric.name,
        "labels": metric.labels,
        "type": metric.kind,
        "value": metric.value,
        "count": metric.count,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(name: &str, labels: &str, kind: &str, value: f64, count: u64) -> MetricValue {
        MetricValue { name: name.into(), labels: labels.into(), kind: kind.into(), value, count }
    }

    #[test]
    fn numbers_are_grouped_and_sizes_have_units() {
        let lines = lines(&[
            metric("alluxio_master_calls_total", "op=a", "COUNTER", 1_234_567.0, 0),
            metric("alluxio_master_used_bytes", "", "GAUGE", 1536.0, 0),
            metric("alluxio_master_call_seconds", "", "HISTOGRAM", 3.0, 2),
        ]);
        let want = [
            "alluxio_master_calls_total{op=a}  (Type: COUNTER, Value: 1,234,567)",
            "alluxio_master_used_bytes         (Type: GAUGE, Value: 1.50KB)",
            "alluxio_master_call_seconds       (Type: HISTOGRAM, Value: 2 times, mean 1.500000)",
        ];
        assert_eq!(lines, want);
        assert_eq!(
            (grouped(-1000), grouped(0), grouped(100)),
            ("-1,000".into(), "0".into(), "100".into())
        );
    }
}
