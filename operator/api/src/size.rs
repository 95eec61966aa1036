//! Sizes of storage, as Kubernetes writes them: `10Gi`, `800G`, `1.5Ti`.
//!
//! The API server checks them (the rule stands in the schema), and this file reads them the same way: parts of a
//! byte are rounded up, and no size ever passes through a floating-point number.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// Longest text of a size. The API server needs a bound to know what its rules may cost.
const TEXT_BYTES_MAX: u32 = 32;
/// What the API server checks of every size. (Its `isInteger` is of no use: it says no to 100Ti.)
const RULE: &str = "isQuantity(string(self)) && quantity(string(self)).isGreaterThan(quantity('0')) \
                    && quantity(string(self)).isLessThan(quantity('8Ei'))";
/// What it says otherwise.
const MESSAGE: &str = "must be a size above 0 and below 8Ei, such as 10Gi or 800G";

/// A number of bytes above 0, as a Kubernetes quantity.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Size(Quantity);

/// A text that is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a size: it {MESSAGE}")]
pub struct BadSize {
    /// What was given.
    pub text: String,
}

impl Size {
    /// Shape: digits, perhaps a fraction, and `Ki`…`Ei`, `k`…`E`, or `e<exponent>`. Not checked yet.
    pub fn new(text: impl Into<String>) -> Self {
        Size(Quantity(text.into()))
    }

    /// That many bytes, with the largest binary unit that says it exactly.
    pub fn from_bytes(bytes: u64) -> Self {
        const UNITS: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
        let step = (bytes.trailing_zeros() / 10).min(6) as usize;
        let step = if bytes == 0 { 0 } else { step };
        Size(Quantity(format!("{}{}", bytes >> (10 * step), UNITS[step])))
    }

    /// Bytes.
    ///
    /// **Errors**: what is no quantity, is 0 or negative, or does not fit in 63 bits.
    pub fn bytes(&self) -> Result<u64, BadSize> {
        parse(&self.0.0).ok_or_else(|| BadSize { text: self.0.0.clone() })
    }

    /// As Kubernetes' own types have it.
    pub fn quantity(&self) -> &Quantity {
        &self.0
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.0)
    }
}

impl fmt::Debug for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl JsonSchema for Size {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "maxLength": TEXT_BYTES_MAX,
            "x-kubernetes-validations": [{ "rule": RULE, "message": MESSAGE }],
        })
    }
}

fn parse(text: &str) -> Option<u64> {
    if text.len() > TEXT_BYTES_MAX as usize {
        return None;
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    let number_ends = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(number_ends);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let digits: u128 = format!("0{whole}{fraction}").parse().ok()?;
    let (multiplier, divisor) = scale(unit)?;
    let divisor = divisor.checked_mul(10u128.checked_pow(fraction.len() as u32)?)?;
    let scaled = digits.checked_mul(multiplier)?;
    // Kubernetes takes anything above for 2^63 - 1, so that itself is beyond, too.
    let bytes = i64::try_from(scaled.div_ceil(divisor)).ok()?;
    (0 < bytes && bytes < i64::MAX).then_some(bytes as u64)
}

/// What a unit multiplies with and divides by.
fn scale(unit: &str) -> Option<(u128, u128)> {
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    if let Some(step) = binary.iter().position(|name| *name == unit) {
        return Some((1 << (10 * (step + 1)), 1));
    }
    let decimal = ["", "k", "M", "G", "T", "P", "E"];
    if let Some(step) = decimal.iter().position(|name| *name == unit) {
        return Some((10u128.pow(3 * step as u32), 1));
    }
    let small = ["m", "u", "n"];
    if let Some(step) = small.iter().position(|name| *name == unit) {
        return Some((1, 10u128.pow(3 * (step as u32 + 1))));
    }
    let exponent: i32 = unit.strip_prefix(['e', 'E'])?.parse().ok()?;
    let power = 10u128.checked_pow(exponent.unsigned_abs())?;
    Some(if exponent < 0 { (1, power) } else { (power, 1) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_read_as_kubernetes_reads_them() {
        let cases = [
            ("1", 1),
            ("10Gi", 10 << 30),
            ("800G", 800_000_000_000),
            ("1.5Gi", 3 << 29),
            (".5Ki", 512),
            ("3.k", 3000),
            ("1e3", 1000),
            ("2E3", 2000),
            ("1500m", 2),
            ("2000m", 2),
            ("+7", 7),
            ("8Ei", 0),
            ("9E", 9_000_000_000_000_000_000),
            ("0", 0),
            ("-1", 0),
            ("", 0),
            (".", 0),
            ("1.2.3", 0),
            ("1 Gi", 0),
            ("1gi", 0),
            ("0.1Ki", 103),
            ("1n", 1),
            ("100Ti", 100 << 40),
            ("1Pi", 1 << 50),
            ("1e400", 0),
            ("99999999999999999999999999999999", 0),
        ];
        for (text, bytes) in cases {
            assert_eq!(Size::new(text).bytes().unwrap_or(0), bytes, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bytes in 1u64..i64::MAX as u64) {
            prop_assert_eq!(Size::from_bytes(bytes).bytes(), Ok(bytes));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            if let Ok(bytes) = Size::new(text).bytes() {
                prop_assert!(bytes > 0 && bytes < i64::MAX as u64);
            }
        }
    }
}
