//! Spans of time, as Kubernetes writes them: `30s`, `10m`, `1h30m`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// Shape of a span: up to four parts of a number and a unit.
const PATTERN: &str = r"^([0-9]{1,6}([.][0-9]{1,3})?(ms|s|m|h)){1,4}$";
const TEXT_BYTES_MAX: u32 = 48;
const RULE: &str = "duration(self) > duration('0s')";
const MESSAGE: &str = "must be a span of time above 0, such as 30s, 10m or 1h30m";

/// A span of time above 0. The text is kept as it was written.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Period(String);

/// A text that is not a span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a span of time: it {MESSAGE}")]
pub struct BadPeriod {
    /// What was given.
    pub text: String,
}

impl Period {
    /// Not checked yet.
    pub fn new(text: impl Into<String>) -> Self {
        Period(text.into())
    }

    /// How long it is, exactly.
    ///
    /// **Errors**: what the API server would not have accepted.
    pub fn duration(&self) -> Result<Duration, BadPeriod> {
        parse(&self.0)
            .filter(|span| !span.is_zero())
            .ok_or_else(|| BadPeriod { text: self.0.clone() })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Period {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": TEXT_BYTES_MAX,
            "pattern": PATTERN,
            "x-kubernetes-validations": [{ "rule": RULE, "message": MESSAGE }],
        })
    }
}

fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut micros = 0u64;
    let mut parts = 0;
    while !rest.is_empty() {
        let number_ends = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(number_ends);
        // `ms` first: `m` is the beginning of it.
        let (unit, unit_micros) =
            [("ms", 1_000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000)]
                .into_iter()
                .find(|(unit, _)| after.starts_with(unit))?;
        micros = micros.checked_add(part_micros(number, unit_micros)?)?;
        rest = &after[unit.len()..];
        parts += 1;
    }
    (1..=4).contains(&parts).then(|| Duration::from_micros(micros))
}

fn part_micros(number: &str, unit_micros: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let fits =
        |digits: &str, most: usize| (1..=most).contains(&digits.len()) && !digits.contains('.');
    if !fits(whole, 6) || !fits(fraction, 3) {
        return None;
    }
    // Thousandths of the unit: every unit has a whole number of microseconds in a thousandth.
    let thousandths: u64 = format!("{whole}{fraction:0<3}").parse().ok()?;
    Some(thousandths * (unit_micros / 1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans_are_read_exactly() {
        let cases = [
            ("30s", Some(30_000)),
            ("10m", Some(600_000)),
            ("1h30m", Some(5_400_000)),
            ("1.5h", Some(5_400_000)),
            ("250ms", Some(250)),
            ("0s", None),
            ("0h0m", None),
            ("-1s", None),
            ("10", None),
            ("10 m", None),
            ("1d", None),
            ("1.s", None),
            (".5s", None),
            ("1s1s1s1s1s", None),
            ("1234567s", None),
            ("", None),
        ];
        for (text, millis) in cases {
            let read = Period::new(text).duration().ok().map(|span| span.as_millis());
            assert_eq!(read, millis, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[0-9smh.]{0,24}") {
            if let Ok(span) = Period::new(text).duration() {
                prop_assert!(!span.is_zero());
            }
        }
    }
}
