//! The index pages of web servers, as text: no browser, no guessing. Links that do not lead to a
//! name directly below the page are left out.

use crate::location::is_usable_name;

/// One entry of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) directory: bool,
}

/// The links of `text`, the page at `path`; `None` if its title is not that of an index.
pub(super) fn parse(
    text: &str,
    path: &str,
    titles: &[String],
    parent_names: &[String],
) -> Option<Vec<Link>> {
    let title = between(text, "<title", "</title>")?;
    let title = unescape(title.split_once('>')?.1.trim());
    if !titles.iter().any(|known| title.starts_with(known.as_str())) {
        return None;
    }
    let mut links: Vec<Link> = Vec::new();
    let mut rest = text;
    while let Some(start) = find_ignoring_case(rest, "<a ") {
        let tail = &rest[start..];
        let end = find_ignoring_case(tail, "</a>").unwrap_or(tail.len());
        let anchor = &tail[..end];
        rest = &tail[end.max(1)..];
        let Some((tag, label)) = anchor.split_once('>') else { continue };
        if parent_names.iter().any(|name| *name == unescape(label).trim()) {
            continue;
        }
        if let Some(link) = attribute(tag, "href").and_then(|target| link(&target, path))
            && !links.contains(&link)
        {
            links.push(link);
        }
    }
    Some(links)
}

/// The entry that `target`, a link on the page at `path`, leads to.
fn link(target: &str, path: &str) -> Option<Link> {
    let target = target.split(['#', '?']).next()?;
    let page = format!("{}/", path.trim_end_matches('/'));
    let below = match target.strip_prefix('/') {
        Some(_) => target.strip_prefix(page.as_str())?,
        None => target.strip_prefix("./").unwrap_or(target),
    };
    let directory = below.ends_with('/');
    let name = decode(below.trim_end_matches('/'))?;
    // A name with a colon may be a scheme: `mailto:x`, `http://elsewhere/`.
    let foreign = below.split(['/', '%']).next().is_some_and(|first| first.contains(':'));
    (is_usable_name(&name) && !foreign).then_some(Link { name, directory })
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let start = find_ignoring_case(text, from)? + from.len();
    let length = find_ignoring_case(&text[start..], to)?;
    Some(&text[start..start + length])
}

fn find_ignoring_case(text: &str, word: &str) -> Option<usize> {
    let (text, word) = (text.as_bytes(), word.as_bytes());
    text.windows(word.len()).position(|window| window.eq_ignore_ascii_case(word))
}

/// The value of an attribute in the text of a tag, quoted or not.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let start = find_ignoring_case(tag, &format!("{name}="))? + name.len() + 1;
    let value = &tag[start..];
    let value = match value.chars().next()? {
        quote @ ('"' | '\'') => value[1..].split(quote).next()?,
        _ => value.split_whitespace().next()?,
    };
    Some(unescape(value))
}

fn unescape(text: &str) -> String {
    let mut out = text.to_owned();
    for (entity, letter) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("&amp;", "&"),
    ] {
        out = out.replace(entity, letter);
    }
    out
}

/// Everything but letters, digits and `-._~` as `%XX`.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Undoes [`encode`]; `None` for what is no UTF-8 or has a broken escape.
fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            out.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

/// Milliseconds of `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that servers may send.
///
/// **Source**: RFC 9110, 5.6.7.
pub(super) fn parse_date(text: &str) -> Option<u64> {
    let rest = text.split_once(", ")?.1;
    let mut words = rest.split(' ');
    let day: i64 = words.next()?.parse().ok()?;
    let month = words.next()?;
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.iter().position(|name| *name == month)? as i64 + 1;
    let year: i64 = words.next()?.parse().ok()?;
    let mut clock = words.next()?.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    u64::try_from(seconds).ok().map(|seconds| seconds * 1000)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
///
/// **Source**: Howard Hinnant, "chrono-compatible low-level date algorithms".
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str, path: &str) -> Option<Vec<(String, bool)>> {
        let titles = ["Index of ".to_owned(), "Directory listing for ".to_owned()];
        let parents = ["Parent Directory".to_owned(), "../".to_owned()];
        let links = parse(text, path, &titles, &parents)?;
        Some(links.into_iter().map(|link| (link.name, link.directory)).collect())
    }

    #[test]
    fn the_indexes_of_three_servers_are_read() {
        let apache = "<html><head><TITLE>Index of /data</TITLE></head><table>\
            <tr><th><a href=\"?C=N;O=D\">Name</a></th></tr>\
            <tr><td><a href=\"/\">Parent Directory</a></td></tr>\
            <tr><td><a href=\"a%20b.txt\">a b.txt</a></td><td><a href=\"sub/\">sub/</a></td></tr>";
        let nginx = "<html><head><title>Index of /data/</title></head><body><pre>\
            <a href=\"../\">../</a>\n<a href=\"a%20b.txt\">a b.txt</a>\n<a href=\"sub/\">sub/</a>";
        let python = "<!DOCTYPE HTML><title>Directory listing for /data/</title><ul>\
            <li><a href='a%20b.txt'>a b.txt</a></li><li><a href=sub/>sub/</a></li></ul>";
        let want = vec![("a b.txt".to_owned(), false), ("sub".to_owned(), true)];
        for page in [apache, nginx, python] {
            assert_eq!(names(page, "/data").as_ref(), Some(&want), "{page}");
        }
    }

    #[test]
    fn links_that_lead_elsewhere_are_left_out() {
        let page = "<title>Index of /d/</title><a href=\"http://evil/x\">x</a>\
            <a href=\"//evil/x\">x</a><a href=\"/other/x\">x</a><a href=\"a/b\">x</a>\
            <a href=\"mailto:x@y\">x</a><a href=\"%2e%2e/\">x</a><a href=\"%2Fetc\">x</a>\
            <a href=\"/d/kept\">x</a><a href=\"kept\">again</a><a href=\"%zz\">x</a><a href=";
        assert_eq!(names(page, "/d"), Some(vec![("kept".to_owned(), false)]));
    }

    #[test]
    fn an_ordinary_page_is_no_index() {
        assert_eq!(names("<title>Welcome</title><a href=\"x\">x</a>", "/"), None);
        assert_eq!(names("", "/"), None);
    }

    #[test]
    fn dates_are_read() {
        assert_eq!(parse_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777_000));
        assert_eq!(parse_date("Thu, 29 Feb 2024 00:00:00 GMT"), Some(1_709_164_800_000));
        assert_eq!(parse_date("yesterday"), None);
    }
}
