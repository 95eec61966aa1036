//! Fingerprints, packed.
//!
//! A fingerprint is opaque text, but text of few shapes: it repeats the file's length and
//! modification time, and an entity tag in hexadecimal. The text is split into a *shape*, which is
//! interned and shared by all files of a store, and the *rest*, which lies beside the name:
//!
//! | mark in the shape | stands for | bytes in the rest |
//! |---|---|---|
//! | `\x01` | the file's length in decimal | 0 |
//! | `\x02` | the modification time in decimal milliseconds | 0 |
//! | `\x03` | another decimal number | 1 to 10 (LEB128) |
//! | `\x05` | decimal nanoseconds within the millisecond of the modification time | 1 to 3 |
//! | `\x04` *n* | 2·*n* lower-case hexadecimal digits | *n* |
//!
//! A text with letters that are marks, or one that needs one shape too many, is kept as it is.
//! Whoever changes length or modification time must unpack before and pack again after.

use super::intern::Interner;

/// No fingerprint.
pub(crate) const NONE: u32 = 0;
/// The rest is the text itself.
const RAW: u32 = 1;
/// Shapes are never freed; a store with texts that have no shape must not fill the memory.
const SHAPES_MAX: usize = 4096;

const LENGTH: u8 = 1;
const MODIFIED: u8 = 2;
const DECIMAL: u8 = 3;
const HEX: u8 = 4;
const NANOS: u8 = 5;
/// Letters up to here are marks.
const MARK_MAX: u8 = NANOS;
const NANOS_PER_MILLI: u64 = 1_000_000;
/// Digits that a mark for a number usually stands for.
const DECIMAL_DIGITS: usize = 16;
/// Shorter runs of hexadecimal digits are text.
const HEX_DIGITS_MIN: usize = 8;

/// The table of shapes. The first two are [`NONE`] and [`RAW`].
pub(crate) struct Shapes(Interner<Vec<u8>>);

impl Default for Shapes {
    fn default() -> Self {
        let shapes = Interner::default();
        // Two that no text has.
        shapes.intern(&NONE, |_| false, Vec::new);
        shapes.intern(&RAW, |_| false, Vec::new);
        Shapes(shapes)
    }
}

impl Shapes {
    /// Packs `text` of a file with that length and modification time: shape and rest.
    pub(crate) fn pack(&self, text: &str, length: u64, modified: u64) -> (u32, Vec<u8>) {
        if text.is_empty() {
            return (NONE, Vec::new());
        }
        if let Some((shape, rest)) = split(text, length, modified) {
            let same = |other: &Vec<u8>| *other == shape;
            let known = self.0.find(&shape, same).or_else(|| {
                let room = self.0.len() < SHAPES_MAX;
                room.then(|| self.0.intern(&shape, same, || shape.clone()))
            });
            if let Some(id) = known {
                debug_assert_eq!(self.unpack(id, &rest, length, modified), text);
                return (id, rest);
            }
        }
        (RAW, text.as_bytes().to_vec())
    }

    /// The text again.
    pub(crate) fn unpack(&self, shape: u32, rest: &[u8], length: u64, modified: u64) -> String {
        let mut text = String::new();
        self.unpack_into(&mut text, shape, rest, length, modified);
        text
    }

    /// As [`Shapes::unpack`], in the place of what is in `text`.
    pub(crate) fn unpack_into(
        &self,
        text: &mut String,
        shape: u32,
        rest: &[u8],
        length: u64,
        modified: u64,
    ) {
        text.clear();
        match shape {
            NONE => {}
            RAW => text.push_str(&String::from_utf8_lossy(rest)),
            _ => join(text, self.0.get(shape), rest, length, modified),
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }
}

fn split(text: &str, length: u64, modified: u64) -> Option<(Vec<u8>, Vec<u8>)> {
    let bytes = text.as_bytes();
    if bytes.iter().any(|&b| b <= MARK_MAX) {
        return None;
    }
    let (mut shape, mut rest) = (Vec::with_capacity(bytes.len()), Vec::new());
    let mut at = 0;
    while at < bytes.len() {
        let run = run_len(&bytes[at..]);
        if run == 0 {
            shape.push(bytes[at]);
            at += 1;
            continue;
        }
        let word = &text[at..at + run];
        at += run;
        pack_word(word, length, modified, &mut shape, &mut rest);
    }
    Some((shape, rest))
}

/// Length of the run of lower-case hexadecimal digits at the start of `bytes`.
fn run_len(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')).count()
}

fn pack_word(word: &str, length: u64, modified: u64, shape: &mut Vec<u8>, rest: &mut Vec<u8>) {
    let canonical = word.len() == 1 || !word.starts_with('0');
    match word.parse::<u64>() {
        Ok(number) if canonical && number == length => return shape.push(LENGTH),
        Ok(number) if canonical && number == modified => return shape.push(MODIFIED),
        Ok(number) if canonical && number / NANOS_PER_MILLI == modified => {
            shape.push(NANOS);
            return push_leb128(rest, number % NANOS_PER_MILLI);
        }
        Ok(number) if canonical => {
            shape.push(DECIMAL);
            return push_leb128(rest, number);
        }
        _ => {}
    }
    match u8::try_from(word.len() / 2) {
        Ok(pairs) if word.len() >= HEX_DIGITS_MIN && word.len().is_multiple_of(2) => {
            shape.extend([HEX, pairs]);
            rest.extend(word.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])));
        }
        _ => shape.extend(word.bytes()),
    }
}

fn digit(letter: u8) -> u8 {
    if letter.is_ascii_digit() { letter - b'0' } else { letter - b'a' + 10 }
}

fn push_leb128(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

fn join(text: &mut String, shape: &[u8], rest: &[u8], length: u64, modified: u64) {
    let mut out = std::mem::take(text).into_bytes();
    out.reserve(shape.len() + 2 * rest.len() + 3 * DECIMAL_DIGITS);
    let mut shape = shape.iter().copied();
    let mut rest = rest.iter().copied();
    while let Some(mark) = shape.next() {
        match mark {
            LENGTH => push_decimal(&mut out, length),
            MODIFIED => push_decimal(&mut out, modified),
            DECIMAL => push_decimal(&mut out, take_leb128(&mut rest)),
            NANOS => {
                let nanos = take_leb128(&mut rest);
                let all = modified.saturating_mul(NANOS_PER_MILLI).saturating_add(nanos);
                push_decimal(&mut out, all);
            }
            HEX => {
                for byte in rest.by_ref().take(usize::from(shape.next().unwrap_or(0))) {
                    out.extend([byte >> 4, byte & 15].map(|d| b"0123456789abcdef"[usize::from(d)]));
                }
            }
            letter => out.push(letter),
        }
    }
    *text = String::from_utf8(out).unwrap_or_default();
}

fn push_decimal(out: &mut Vec<u8>, number: u64) {
    use std::io::Write;
    write!(out, "{number}").expect("a Vec grows as needed");
}

fn take_leb128(rest: &mut impl Iterator<Item = u8>) -> u64 {
    let (mut value, mut shift) = (0u64, 0u32);
    for byte in rest {
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        shift += 7;
        if byte < 0x80 {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_fingerprint_of_length_and_time_takes_no_room() {
        let shapes = Shapes::default();
        let text = "hdfs;len=1048576;mtime=1700000000123";
        let (shape, rest) = shapes.pack(text, 1_048_576, 1_700_000_000_123);
        assert!(shape > RAW && rest.is_empty());
        assert_eq!(shapes.unpack(shape, &rest, 1_048_576, 1_700_000_000_123), text);
        let text = "posix;len=5;mtime=1700000000123456789;ctime=1700000000123456790;ino=77";
        let (shape, rest) = shapes.pack(text, 5, 1_700_000_000_123);
        assert_eq!(rest.len(), 3 + 3 + 1);
        assert_eq!(shapes.unpack(shape, &rest, 5, 1_700_000_000_123), text);
    }

    #[test]
    fn an_entity_tag_takes_half_its_letters() {
        let shapes = Shapes::default();
        let text = "l5 e\"d41d8cd98f00b204e9800998ecf8427e\"";
        let (_, rest) = shapes.pack(text, 5, 9);
        assert_eq!(rest.len(), 16);
    }

    #[test]
    fn shapes_without_end_do_not_fill_the_memory() {
        let shapes = Shapes::default();
        for i in 0..2 * SHAPES_MAX {
            let text: String = format!("{i}").bytes().map(|b| char::from(b + 30)).collect();
            let (shape, rest) = shapes.pack(&text, 0, 0);
            assert_eq!(shapes.unpack(shape, &rest, 0, 0), text);
        }
        assert!(shapes.0.len() <= SHAPES_MAX);
    }

    proptest! {
        #[test]
        fn every_text_comes_back(
            text in "(\\PC|[0-9a-f]{0,40}|[0-9]{1,25}|\\x01|\\x04){0,6}",
            length in any::<u64>(), modified in any::<u64>(), with in any::<bool>(),
        ) {
            let shapes = Shapes::default();
            let text = if with { format!("{text}{length}-{modified}") } else { text };
            let (shape, rest) = shapes.pack(&text, length, modified);
            prop_assert_eq!(shapes.unpack(shape, &rest, length, modified), text);
        }
    }
}
