//! Names of sessions.

use std::fmt;
use std::str::FromStr;

/// The name of a session and of its folder: 1 to 64 of `[a-z0-9-]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

/// A name that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no key of a session: 1 to 64 of a-z, 0-9 and -")]
pub struct BadKey {
    /// What was given.
    pub text: String,
}

impl Key {
    /// Longest name, in bytes.
    pub const BYTES_MAX: usize = 64;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Key {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=Self::BYTES_MAX).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Key(text.to_owned()))
        } else {
            Err(BadKey { text: text.to_owned() })
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
