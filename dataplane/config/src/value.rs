//! Checking and normalizing one value.

use crate::general::HostPort;
use crate::spec::Kind;
use alluxio_types::{ByteSize, parse_duration};

/// The value in the one form that readers parse, or `None` when it is not of that kind. Enum and
/// class values become their declared word, booleans lower case; everything is trimmed.
pub(crate) fn normalize(kind: &Kind, text: &str) -> Option<String> {
    let text = text.trim();
    match kind {
        Kind::Bool => ["true", "false"]
            .into_iter()
            .find(|word| word.eq_ignore_ascii_case(text))
            .map(str::to_owned),
        Kind::Int { min, max } => {
            let number: i64 = text.parse().ok()?;
            (*min..=*max).contains(&number).then(|| number.to_string())
        }
        Kind::Port => text.parse::<u16>().ok().map(|port| port.to_string()),
        Kind::Float { min, max } => {
            let number: f64 = text.parse().ok()?;
            (*min..=*max).contains(&number).then(|| text.to_owned())
        }
        Kind::Size { min, max } => {
            let size = ByteSize::parse(text)?.0;
            (*min..=*max).contains(&size).then(|| text.to_owned())
        }
        Kind::Duration { min_ms, off } => {
            if text.strip_prefix('-').is_some_and(|rest| parse_duration(rest).is_some()) {
                return off.then(|| "-1".to_owned());
            }
            let duration = parse_duration(text)?;
            (duration.as_millis() >= u128::from(*min_ms)).then(|| text.to_owned())
        }
        Kind::Enum(names) => {
            names.iter().find(|name| name.eq_ignore_ascii_case(text)).map(|n| (*n).to_owned())
        }
        Kind::Class { names, ending } => class(names, ending, text),
        Kind::List | Kind::Text => Some(text.to_owned()),
        Kind::Addresses => {
            split_list(text).iter().all(|a| a.parse::<HostPort>().is_ok()).then(|| text.to_owned())
        }
        Kind::Octal => {
            let bits = u16::from_str_radix(text, 8).ok()?;
            (bits <= 0o777).then(|| text.to_owned())
        }
    }
}

/// `alluxio.worker.block.allocator.MaxFreeAllocator`, `MaxFreeAllocator` and `maxfree` are one.
fn class(names: &[&str], ending: &str, text: &str) -> Option<String> {
    let last = text.rsplit('.').next()?;
    names
        .iter()
        .find(|name| {
            name.eq_ignore_ascii_case(last) || format!("{name}{ending}").eq_ignore_ascii_case(last)
        })
        .map(|name| (*name).to_owned())
}

/// The words of a comma-separated list, trimmed, empty ones dropped.
pub(crate) fn split_list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_names_are_known_with_and_without_package_and_ending() {
        let kind = Kind::Class { names: &["MaxFree", "RoundRobin"], ending: "Allocator" };
        for text in [
            "alluxio.worker.block.allocator.MaxFreeAllocator",
            "MaxFreeAllocator",
            "MaxFree",
            "maxfree",
        ] {
            assert_eq!(normalize(&kind, text).as_deref(), Some("MaxFree"), "{text}");
        }
        assert_eq!(normalize(&kind, "com.acme.MyAllocator"), None);
    }

    #[test]
    fn bounds_are_inclusive_and_off_is_only_for_those_who_allow_it() {
        assert_eq!(normalize(&Kind::int(1, 5), "5").as_deref(), Some("5"));
        assert_eq!(normalize(&Kind::int(1, 5), "6"), None);
        assert_eq!(normalize(&Kind::TIME_OR_OFF, "-1").as_deref(), Some("-1"));
        assert_eq!(normalize(&Kind::TIME_OR_OFF, "-5s").as_deref(), Some("-1"));
        assert_eq!(normalize(&Kind::time(0), "-1"), None);
        assert_eq!(normalize(&Kind::time(1000), "999ms"), None);
        assert_eq!(normalize(&Kind::size(1 << 20), "1MB").as_deref(), Some("1MB"));
        assert_eq!(normalize(&Kind::size(1 << 20), "1023KB"), None);
        assert_eq!(normalize(&Kind::Port, "65536"), None);
        assert_eq!(normalize(&Kind::Octal, "089"), None);
        assert_eq!(normalize(&Kind::Bool, "TRUE").as_deref(), Some("true"));
        assert_eq!(normalize(&Kind::Addresses, "a:1, b:2").as_deref(), Some("a:1, b:2"));
        assert_eq!(normalize(&Kind::Addresses, "a"), None);
    }
}
