//! Ids of volumes: `v1.<cluster>.<name>`, both hashed, so that every name fits and finds its volume again without
//! a table.

use sha2::{Digest, Sha256};
use std::fmt;

const PREFIX: &str = "v1";
/// Letters of the cluster: 40 bits.
const CLUSTER_LETTERS: usize = 8;
/// Letters of the name: 130 bits, so that two names of one cluster never meet.
const NAME_LETTERS: usize = 26;

/// The id of a volume that the controller made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VolumeId(String);

impl VolumeId {
    /// The id of the volume `name` of the cluster `cluster`.
    pub fn of(cluster: &str, name: &str) -> Self {
        let cluster = hashed(&[cluster], CLUSTER_LETTERS);
        VolumeId(format!("{PREFIX}.{cluster}.{}", hashed(&[name], NAME_LETTERS)))
    }

    /// An id in its form; `None` for what cannot be one of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let fits = |part: Option<&str>, length: usize| {
            part.is_some_and(|part| part.len() == length && part.bytes().all(is_letter))
        };
        let known = parts.next() == Some(PREFIX)
            && fits(parts.next(), CLUSTER_LETTERS)
            && fits(parts.next(), NAME_LETTERS)
            && parts.next().is_none();
        known.then(|| VolumeId(text.to_owned()))
    }

    /// As it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VolumeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_letter(byte: u8) -> bool {
    LETTERS.contains(&byte)
}

/// RFC 4648, in small letters.
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The first letters of a hash over all parts; where one ends counts.
pub(crate) fn hashed(parts: &[&str], letters: usize) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // One part stays the plain hash of its text, as the documentation says.
        if parts.len() > 1 {
            hash.update((part.len() as u64).to_be_bytes());
        }
        hash.update(part.as_bytes());
    }
    base32(&hash.finalize(), letters)
}

fn base32(bytes: &[u8], letters: usize) -> String {
    let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1);
    let letter = |at: usize| {
        let value = (0..5).fold(0, |value, offset| value << 1 | bit(at * 5 + offset));
        char::from(LETTERS[usize::from(value)])
    };
    (0..letters).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_those_of_the_rfc() {
        assert_eq!(base32(b"foobar", 10), "mzxw6ytboi");
        assert_eq!(hashed(&[""], 8), "4oymiquy");
    }

    #[test]
    fn an_id_finds_its_way_back_and_others_are_none() {
        let id = VolumeId::of("default", &"n".repeat(128));
        assert!(id.as_str().len() <= 128);
        assert_eq!(VolumeId::parse(id.as_str()), Some(id.clone()));
        assert_ne!(VolumeId::of("default", "a"), VolumeId::of("default", "b"));
        assert_ne!(VolumeId::of("one", "a"), VolumeId::of("two", "a"));
        for other in ["", "v1", "v1.abc.def", "../../etc", &format!("{id}.x"), "invalid-token"] {
            assert_eq!(VolumeId::parse(other), None, "{other}");
        }
        assert_ne!(hashed(&["ab", "c"], 26), hashed(&["a", "bc"], 26));
    }
}
