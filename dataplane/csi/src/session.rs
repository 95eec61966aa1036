//! Which volumes share a FUSE session: those that agree in everything that a session shows or does.

use crate::volume_id::hashed;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a session shows, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionSpec {
    /// Path of the namespace that is its root.
    pub path: String,
    /// Words as after `alluxio fuse mount -o`, in order.
    pub options: Vec<String>,
}

/// Name of a session: what it shows and for whom, hashed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionKey(String);

impl SessionKey {
    /// The key for `spec` in a cluster, seen with an identity (empty: the agent's own).
    pub fn of(cluster: &str, identity: &str, spec: &SessionSpec) -> Self {
        let parts = [cluster, identity, spec.path.as_str()];
        let options = spec.options.iter().map(String::as_str);
        let parts: Vec<&str> = parts.into_iter().chain(options).collect();
        SessionKey(hashed(&parts, 32))
    }

    /// Takes over a key that an agent tells.
    pub fn known(text: String) -> Self {
        SessionKey(text)
    }

    /// As the agent knows it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_differ_when_anything_does() {
        let spec = |path: &str, options: &[&str]| SessionSpec {
            path: path.into(),
            options: options.iter().map(|word| (*word).to_owned()).collect(),
        };
        let keys = [
            SessionKey::of("c", "", &spec("/a", &[])),
            SessionKey::of("d", "", &spec("/a", &[])),
            SessionKey::of("c", "ann", &spec("/a", &[])),
            SessionKey::of("c", "", &spec("/b", &[])),
            SessionKey::of("c", "", &spec("/a", &["ro"])),
            SessionKey::of("c", "", &spec("/a", &["ro", "max_read=4096"])),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert!(key.as_str().len() <= 64, "the agent takes up to 64 letters");
            assert!(keys.iter().skip(at + 1).all(|other| other != key));
        }
        assert_eq!(keys[0], SessionKey::of("c", "", &spec("/a", &[])));
    }
}
