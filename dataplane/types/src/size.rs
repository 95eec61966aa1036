//! Byte counts and how they are written.

use std::fmt;

/// A number of bytes. Reads and prints Alluxio's units (`KB` … `EB`, 1024 apart).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// 1024 bytes.
    pub const KB: u64 = 1 << 10;
    /// 1024 KB.
    pub const MB: u64 = 1 << 20;
    /// 1024 MB.
    pub const GB: u64 = 1 << 30;

    /// Reads `26`, `64MB`, `1.5g`, `16GB`; `None` for anything else and beyond 2^64.
    ///
    /// **Source**: the configuration reference, "Types" (1024 base, no unit = bytes).
    pub fn parse(text: &str) -> Option<ByteSize> {
        let text = text.trim();
        let cut = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let unit: u64 = match text[cut..].trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kb" | "kib" => 1 << 10,
            "m" | "mb" | "mib" => 1 << 20,
            "g" | "gb" | "gib" => 1 << 30,
            "t" | "tb" | "tib" => 1 << 40,
            "p" | "pb" | "pib" => 1 << 50,
            _ => return None,
        };
        if let Ok(whole) = text[..cut].parse::<u64>() {
            return whole.checked_mul(unit).map(ByteSize);
        }
        let number: f64 = text[..cut].parse().ok()?;
        let bytes = number * unit as f64;
        (bytes < u64::MAX as f64).then_some(ByteSize(bytes as u64))
    }
}

impl fmt::Display for ByteSize {
    /// `26B`, and with two decimals from there on: `1.50KB`, `64.00MB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1024 {
            return write!(f, "{}B", self.0);
        }
        let mut value = self.0 as f64;
        let mut unit = "B";
        for next in ["KB", "MB", "GB", "TB", "PB", "EB"] {
            if value < 1024.0 {
                break;
            }
            value /= 1024.0;
            unit = next;
        }
        write!(f, "{value:.2}{unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_printed_as_users_know_them() {
        assert_eq!(ByteSize::parse("64MB"), Some(ByteSize(64 << 20)));
        assert_eq!(ByteSize::parse("1.5k"), Some(ByteSize(1536)));
        assert_eq!(ByteSize::parse("18446744073709551615"), Some(ByteSize(u64::MAX)));
        for text in ["", "MB", "-1", "5 parsecs", "99999999PB"] {
            assert_eq!(ByteSize::parse(text), None, "{text}");
        }
        assert_eq!(ByteSize(26).to_string(), "26B");
        assert_eq!(ByteSize(64 << 20).to_string(), "64.00MB");
    }
}
