//! Dates in the pattern of `alluxio.user.date.format.pattern`, which is Java's.
//!
//! **Source**: the pattern letters of `java.text.SimpleDateFormat`.

use alluxio_types::UnixMillis;
use jiff::{Timestamp, Zoned, tz::TimeZone};

/// Writes points in time the way the user configured.
pub struct DateFormat {
    pattern: String,
    zone: TimeZone,
}

impl DateFormat {
    /// That pattern, in the time zone of this machine.
    pub fn new(pattern: &str) -> Self {
        DateFormat { pattern: pattern.to_owned(), zone: TimeZone::system() }
    }

    /// That pattern, in UTC.
    pub fn utc(pattern: &str) -> Self {
        DateFormat { pattern: pattern.to_owned(), zone: TimeZone::UTC }
    }

    /// The point in time as text. Letters that the pattern language has and we do not are left out.
    pub fn text(&self, at: UnixMillis) -> String {
        let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
        let stamp = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX);
        render(&self.pattern, &stamp.to_zoned(self.zone.clone()))
    }
}

fn render(pattern: &str, at: &Zoned) -> String {
    let mut out = String::new();
    let letters: Vec<char> = pattern.chars().collect();
    let mut i = 0;
    while i < letters.len() {
        let letter = letters[i];
        if letter == '\'' {
            i = quoted(&letters, i, &mut out);
            continue;
        }
        let width = letters[i..].iter().take_while(|c| **c == letter).count();
        if letter.is_ascii_alphabetic() {
            out.push_str(&field(letter, width, at));
        } else {
            out.extend(std::iter::repeat_n(letter, width));
        }
        i += width;
    }
    out
}

/// Copies what stands between quotes; two quotes are one. Returns the place after it.
fn quoted(letters: &[char], start: usize, out: &mut String) -> usize {
    if letters.get(start + 1) == Some(&'\'') {
        out.push('\'');
        return start + 2;
    }
    let mut i = start + 1;
    while i < letters.len() {
        if letters[i] == '\'' {
            if letters.get(i + 1) != Some(&'\'') {
                return i + 1;
            }
            i += 1;
        }
        out.push(letters[i]);
        i += 1;
    }
    i
}

fn field(letter: char, width: usize, at: &Zoned) -> String {
    let number = |n: i64| format!("{n:0width$}");
    let hour12 = match at.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    match letter {
        'y' if width == 2 => format!("{:02}", at.year().rem_euclid(100)),
        'y' => number(at.year().into()),
        'M' if width >= 4 => at.strftime("%B").to_string(),
        'M' if width == 3 => at.strftime("%b").to_string(),
        'M' => number(at.month().into()),
        'd' => number(at.day().into()),
        'H' => number(at.hour().into()),
        'h' => number(hour12.into()),
        'm' => number(at.minute().into()),
        's' => number(at.second().into()),
        'S' => number(at.millisecond().into()),
        'a' => (if at.hour() < 12 { "AM" } else { "PM" }).to_owned(),
        'E' if width >= 4 => at.strftime("%A").to_string(),
        'E' => at.strftime("%a").to_string(),
        'z' => at.strftime("%Z").to_string(),
        'Z' => at.strftime("%z").to_string(),
        'X' => at.strftime("%:z").to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_patterns_are_followed() {
        // 2026-11-21 07:05:09.042 UTC, a Saturday.
        let at = UnixMillis(1_795_244_709_042);
        for (pattern, want) in [
            ("MM-dd-yyyy HH:mm:ss:SSS", "11-21-2026 07:05:09:042"),
            ("yyyy-MM-dd'T'HH:mm:ss", "2026-11-21T07:05:09"),
            ("EEE, d MMM yy h:mm a", "Sat, 21 Nov 26 7:05 AM"),
            ("''yy 'o''clock'", "'26 o'clock"),
        ] {
            assert_eq!(DateFormat::utc(pattern).text(at), want, "{pattern}");
        }
    }

    #[test]
    fn the_far_future_does_not_panic() {
        assert!(!DateFormat::utc("yyyy").text(UnixMillis(u64::MAX)).is_empty());
    }
}
