//! Turning facts into lines and JSON. Pure: no IO, no clock; everything here is tested by the text
//! it makes.

pub mod cluster;
pub mod date;
pub mod entry;
pub mod file;
pub mod json;
pub mod metrics;
pub mod mount;
pub mod quorum;
pub mod quota;
pub mod table;

use alluxio_types::ByteSize;

/// A size as `26B` or `1.50KB` when people read it, else as a plain number.
pub fn size(bytes: u64, human: bool) -> String {
    if human { ByteSize(bytes).to_string() } else { bytes.to_string() }
}

/// A size that may be unknown, which Alluxio writes as `-1B`.
pub fn size_or_unknown(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "-1B".to_owned(), |bytes| ByteSize(bytes).to_string())
}

/// `part` of `whole` in percent, rounded down; all of nothing is 100.
pub fn percent(part: u64, whole: u64) -> u64 {
    if whole == 0 { 100 } else { (u128::from(part) * 100 / u128::from(whole)) as u64 }
}

/// Pads to `width`, and to one blank when the text is too long for it.
pub fn left(text: &str, width: usize) -> String {
    let blanks = width.saturating_sub(text.chars().count()).max(1);
    format!("{text}{}", " ".repeat(blanks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_neither_overflow_nor_divide_by_zero() {
        assert_eq!(percent(0, 0), 100);
        assert_eq!(percent(1, 3), 33);
        assert_eq!(percent(u64::MAX, u64::MAX), 100);
    }

    #[test]
    fn a_long_word_keeps_its_distance() {
        assert_eq!(left("ab", 4), "ab  ");
        assert_eq!(left("abcdef", 4), "abcdef ");
    }
}
