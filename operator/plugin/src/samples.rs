//! Metrics of a process, as Prometheus' text has them.

use std::collections::BTreeMap;

/// Values by name and labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Samples {
    values: BTreeMap<String, f64>,
}

impl Samples {
    /// Reads a text. Lines that are none of a metric are left out.
    pub(crate) fn parse(text: &str) -> Samples {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let values = lines.filter_map(|line| {
            // A label's value may hold blanks, and braces.
            let end = line.rfind('}').map_or_else(|| line.find(' '), |brace| Some(brace + 1))?;
            let (name, value) = line.split_at(end);
            let value = value.split_whitespace().next()?.parse().ok()?;
            Some((name.to_owned(), value))
        });
        Samples { values: values.collect() }
    }

    /// The sum of all series of that name that have a label, `key="value"`; empty: all.
    pub(crate) fn sum(&self, name: &str, label: &str) -> f64 {
        let found = self.values.iter().filter(|(series, _)| {
            series.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
                && series.contains(label)
        });
        found.map(|(_, value)| value).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP a_total A\n# TYPE a_total counter\na_total{x=\"1 }\"} 2\na_total{x=\"2\"} 3.5\n\
                        a_total_more 7\nb 1 1700000000\nnonsense\n";

    #[test]
    fn series_are_summed_by_name_and_label() {
        let samples = Samples::parse(TEXT);
        assert_eq!(samples.sum("a_total", ""), 5.5);
        assert_eq!(samples.sum("a_total", "x=\"2\""), 3.5);
        assert_eq!(samples.sum("b", ""), 1.0);
        assert_eq!(samples.sum("c", ""), 0.0);
    }
}
