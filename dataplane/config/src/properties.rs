//! The Java properties format: reading with line numbers, writing with escapes.
//!
//! **Source**: the documentation of `java.util.Properties.load(Reader)`. Files are read as UTF-8.

/// One `key=value` of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// Key, escapes resolved.
    pub key: String,
    /// Value, escapes resolved.
    pub value: String,
    /// Line of its first character, counted from 1.
    pub line: usize,
}

/// A line without meaning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct BadLine {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

/// Reads a whole file. Later entries with the same key are kept; the caller lets the last one win.
///
/// **Shape**: `#` and `!` start comments; the key ends at the first `=`, `:` or blank that is not
/// escaped; a line that ends in an odd number of backslashes goes on in the next one, whose leading
/// blanks are dropped; `\t \n \r \f \uXXXX` are characters, any other escaped character is itself.
pub fn parse(text: &str) -> (Vec<Property>, Vec<BadLine>) {
    let (mut found, mut bad) = (Vec::new(), Vec::new());
    for (line, logical) in logical_lines(text) {
        let (raw_key, raw_value) = split(&logical);
        match (unescape(raw_key), unescape(raw_value)) {
            (Ok(key), Ok(value)) if !key.is_empty() => found.push(Property { key, value, line }),
            (Ok(_), Ok(_)) => bad.push(BadLine { line, reason: "there is no key".to_owned() }),
            (Err(reason), _) | (_, Err(reason)) => bad.push(BadLine { line, reason }),
        }
    }
    (found, bad)
}

/// Lines with continuations joined, comments and blank lines dropped.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut out = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line).trim_start_matches(BLANKS);
        if open.is_none() && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        let slashes = line.bytes().rev().take_while(|&b| b == b'\\').count();
        let goes_on = slashes % 2 == 1;
        let body = if goes_on { &line[..line.len() - 1] } else { line };
        let (start, mut joined) = open.take().unwrap_or((index + 1, String::new()));
        joined.push_str(body);
        if goes_on {
            open = Some((start, joined));
        } else {
            out.push((start, joined));
        }
    }
    out.extend(open.filter(|(_, joined)| !joined.is_empty()));
    out
}

const BLANKS: [char; 3] = [' ', '\t', '\u{c}'];

/// Key and value, still escaped.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line
        .char_indices()
        .find(|&(_, c)| {
            let ends = !escaped && (c == '=' || c == ':' || BLANKS.contains(&c));
            escaped = c == '\\' && !escaped;
            ends
        })
        .map_or(line.len(), |(at, _)| at);
    let rest = line[end..].trim_start_matches(BLANKS);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(BLANKS);
    (&line[..end], rest)
}

fn unescape(text: &str) -> Result<String, String> {
    if !text.contains('\\') {
        return Ok(text.to_owned());
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    // Java writes characters beyond the basic plane as two escapes.
    let mut high: Option<u16> = None;
    while let Some(c) = chars.next() {
        let unit = if c != '\\' {
            None
        } else {
            match chars.next() {
                Some('u') => Some(hex4(&mut chars)?),
                other => {
                    flush(&mut high)?;
                    out.push(match other {
                        Some('t') => '\t',
                        Some('n') => '\n',
                        Some('r') => '\r',
                        Some('f') => '\u{c}',
                        Some(other) => other,
                        None => break,
                    });
                    continue;
                }
            }
        };
        match unit {
            None => {
                flush(&mut high)?;
                out.push(c);
            }
            Some(unit) if (0xd800..0xdc00).contains(&unit) => {
                flush(&mut high)?;
                high = Some(unit);
            }
            Some(unit) => {
                let units: Vec<u16> = high.take().into_iter().chain([unit]).collect();
                let text = String::from_utf16(&units)
                    .map_err(|_| format!("\\u{unit:04x} is half a character"))?;
                out.push_str(&text);
            }
        }
    }
    flush(&mut high)?;
    Ok(out)
}

fn flush(high: &mut Option<u16>) -> Result<(), String> {
    match high.take() {
        Some(unit) => Err(format!("\\u{unit:04x} is half a character")),
        None => Ok(()),
    }
}

fn hex4(chars: &mut std::str::Chars<'_>) -> Result<u16, String> {
    let digits: String = chars.by_ref().take(4).collect();
    u16::from_str_radix(&digits, 16)
        .ok()
        .filter(|_| digits.len() == 4 && !digits.starts_with('+'))
        .ok_or_else(|| format!("\\u{digits} is not \\u and four hexadecimal digits"))
}

/// One line that [`parse`] reads back as `key` and `value`.
pub fn write_line(key: &str, value: &str) -> String {
    let mut out = String::with_capacity(key.len() + value.len() + 1);
    for c in key.chars() {
        escape(&mut out, c, matches!(c, '=' | ':' | ' ' | '#' | '!'));
    }
    out.push('=');
    for (i, c) in value.chars().enumerate() {
        escape(&mut out, c, i == 0 && matches!(c, ' '));
    }
    out
}

fn escape(out: &mut String, c: char, special: bool) {
    match c {
        '\\' => out.push_str("\\\\"),
        '\t' => out.push_str("\\t"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\u{c}' => out.push_str("\\f"),
        _ => {
            if special {
                out.push('\\');
            }
            out.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let (found, bad) = parse(text);
        assert_eq!(bad, []);
        found.into_iter().map(|p| (p.key, p.value)).collect()
    }

    #[test]
    fn separators_comments_and_continuations_are_those_of_java() {
        let text = "# comment\n! too\n\na=1\nb : 2\nc 3\nd\n  e  =  5  \nf=one,\\\n    two\n\
                    g\\=h=i\nj=\\#k\nl=\\u00e9\\ud83d\\ude00\nm=\\\\\nn=o\\p\r\n";
        let want = [
            ("a", "1"),
            ("b", "2"),
            ("c", "3"),
            ("d", ""),
            ("e", "5  "),
            ("f", "one,two"),
            ("g=h", "i"),
            ("j", "#k"),
            ("l", "é😀"),
            ("m", "\\"),
            ("n", "op"),
        ];
        let got = pairs(text);
        assert_eq!(got.len(), want.len());
        for (got, want) in got.iter().zip(want) {
            assert_eq!((got.0.as_str(), got.1.as_str()), want);
        }
    }

    #[test]
    fn a_comment_sign_inside_a_continued_line_is_data() {
        assert_eq!(pairs("a=1\\\n#2\nb=3"), [("a".into(), "1#2".into()), ("b".into(), "3".into())]);
    }

    #[test]
    fn faults_name_their_line() {
        let (found, bad) = parse("a=1\n=x\nb=\\u12\nc=2\nd=\\ud83d!");
        assert_eq!(found.iter().map(|p| p.line).collect::<Vec<_>>(), [1, 4]);
        assert_eq!(bad.iter().map(|b| b.line).collect::<Vec<_>>(), [2, 3, 5]);
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "(?s).{0,200}") {
            parse(&text);
        }

        #[test]
        fn what_is_written_is_read_back(
            pairs in prop::collection::vec(("[^\\x00]{1,12}", "(?s).{0,20}"), 0..6),
        ) {
            let text: String =
                pairs.iter().map(|(k, v)| write_line(k, v) + "\n").collect();
            let (found, bad) = parse(&text);
            prop_assert_eq!(bad, vec![]);
            let back: Vec<_> = found.into_iter().map(|p| (p.key, p.value)).collect();
            prop_assert_eq!(back, pairs);
        }
    }
}
