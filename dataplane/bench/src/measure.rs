//! Rounds, medians, ratios, and how they are shown.

use crate::command::Shared;
use serde_json::json;

/// What a figure counts, and how people read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Bytes per second.
    BytesPerSecond,
    /// Operations per second.
    OpsPerSecond,
    /// Seconds; less is better.
    Seconds,
    /// Bytes; less is better.
    Bytes,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::BytesPerSecond => "bytes/s",
            Unit::OpsPerSecond => "op/s",
            Unit::Seconds => "s",
            Unit::Bytes => "bytes",
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Unit::BytesPerSecond => format!("{:.2} GiB/s", value / (1u64 << 30) as f64),
            Unit::OpsPerSecond if value >= 10_000.0 => format!("{:.1} k/s", value / 1000.0),
            Unit::OpsPerSecond => format!("{value:.0} /s"),
            Unit::Seconds if value < 1.0 => format!("{:.2} ms", value * 1000.0),
            Unit::Seconds => format!("{value:.2} s"),
            Unit::Bytes if value >= (1 << 20) as f64 => {
                format!("{:.1} MiB", value / (1 << 20) as f64)
            }
            Unit::Bytes => format!("{value:.1} B"),
        }
    }
}

/// What a figure shall reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    /// At least this share of the limit beside it.
    Ratio(f64),
    /// At least this value.
    AtLeast(f64),
    /// At most this value.
    AtMost(f64),
}

/// The figures of one variant: ours and the limit's, round by round.
pub(crate) struct Series {
    bench: &'static str,
    variant: String,
    unit: Unit,
    ours: Vec<f64>,
    limit: Vec<f64>,
    limit_name: &'static str,
    targets: Vec<Target>,
}

impl Series {
    /// An empty series. `limit_name` says what the limit is; empty when there is none.
    pub(crate) fn new(
        bench: &'static str,
        variant: impl Into<String>,
        unit: Unit,
        limit_name: &'static str,
    ) -> Self {
        let variant = variant.into();
        let (ours, limit, targets) = (Vec::new(), Vec::new(), Vec::new());
        Series { bench, variant, unit, ours, limit, limit_name, targets }
    }

    /// With something to reach; may be called again.
    pub(crate) fn target(mut self, target: Target) -> Self {
        self.targets.push(target);
        self
    }

    /// One round with its limit.
    pub(crate) fn round(&mut self, ours: f64, limit: f64) {
        self.ours.push(ours);
        self.limit.push(limit);
    }

    /// One round that has nothing to be compared with.
    pub(crate) fn alone(&mut self, ours: f64) {
        self.ours.push(ours);
    }

    /// Median of the rounds' ratios: pairs of one round share the machine's mood.
    fn ratio(&self) -> Option<f64> {
        if self.limit.len() != self.ours.len() || self.limit.is_empty() {
            return None;
        }
        let ratio = |(ours, limit): (&f64, &f64)| match self.unit {
            Unit::BytesPerSecond | Unit::OpsPerSecond => ours / limit,
            Unit::Seconds | Unit::Bytes => limit / ours,
        };
        Some(median(self.ours.iter().zip(&self.limit).map(ratio).collect()))
    }

    /// Whether a target is reached; `None` where there is nothing to tell by.
    fn reaches(&self, target: Target) -> Option<bool> {
        let value = median(self.ours.clone());
        match target {
            Target::Ratio(least) => Some(self.ratio()? >= least),
            Target::AtLeast(least) => Some(value >= least),
            Target::AtMost(most) => Some(value <= most),
        }
    }

    /// The targets and whether they are met, for people; empty when there are none.
    fn verdict(&self) -> String {
        let words = self.targets.iter().map(|&target| {
            let wanted = match target {
                Target::Ratio(least) => format!("≥ {least:.2}"),
                Target::AtLeast(least) => format!("≥ {}", self.unit.show(least)),
                Target::AtMost(most) => format!("≤ {}", self.unit.show(most)),
            };
            match self.reaches(target) {
                Some(true) => format!("{wanted} met"),
                Some(false) => format!("{wanted} MISSED"),
                None => format!("{wanted} unknown"),
            }
        });
        words.collect::<Vec<_>>().join(", ")
    }

    /// Shows it: a line for people, or one object for programs.
    pub(crate) fn report(&self, shared: &Shared) {
        let value = median(self.ours.clone());
        let limit = (!self.limit.is_empty()).then(|| median(self.limit.clone()));
        if shared.json {
            let line = json!({
                "bench": self.bench,
                "variant": self.variant,
                "value": value,
                "unit": self.unit.name(),
                "limit": limit,
                "ratio": self.ratio(),
                "n": self.ours.len(),
            });
            shared.say(&line.to_string());
            return;
        }
        let spread = spread(&self.ours);
        let beside = match (limit, self.ratio()) {
            (Some(limit), Some(ratio)) => {
                format!("{ratio:5.2} of {} ({})", self.unit.show(limit), self.limit_name)
            }
            _ => String::new(),
        };
        let line = format!(
            "{:<12} {:<27} {:>13} ±{:>3.0}%  {beside:<48} {}",
            self.bench,
            self.variant,
            self.unit.show(value),
            spread * 100.0,
            self.verdict()
        );
        shared.say(line.trim_end());
    }
}

/// The middle value; 0 for none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Half the distance between least and most, as a share of the median.
fn spread(values: &[f64]) -> f64 {
    let middle = median(values.to_vec());
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    if middle > 0.0 { (most - least) / 2.0 / middle } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_the_median_of_the_rounds_ratios() {
        let mut series = Series::new("b", "v", Unit::OpsPerSecond, "l");
        for (ours, limit) in [(1.0, 2.0), (9.0, 10.0), (8.0, 10.0)] {
            series.round(ours, limit);
        }
        assert_eq!(series.ratio(), Some(0.8));
        let mut time = Series::new("b", "v", Unit::Seconds, "l");
        time.round(2.0, 1.0);
        assert_eq!(time.ratio(), Some(0.5));
        time.alone(3.0);
        assert_eq!(time.ratio(), None);
    }

    #[test]
    fn a_target_is_met_by_the_ratio_or_by_the_value_as_it_says() {
        let mut rate = Series::new("b", "v", Unit::OpsPerSecond, "l")
            .target(Target::Ratio(0.9))
            .target(Target::AtLeast(100.0));
        rate.round(95.0, 100.0);
        assert_eq!(rate.verdict(), "≥ 0.90 met, ≥ 100 /s MISSED");
        let mut time = Series::new("b", "v", Unit::Seconds, "")
            .target(Target::AtMost(1.0))
            .target(Target::Ratio(1.0));
        time.alone(0.5);
        assert_eq!(time.verdict(), "≤ 1.00 s met, ≥ 1.00 unknown");
    }
}
