//! From the store's words to the namespace's.

use alluxio_namespace::UfsFacts;

/// Facts of a name.
pub(crate) fn named(name: &str, facts: alluxio_ufs::UfsFacts) -> UfsFacts {
    UfsFacts { name: name.to_owned(), ..facts_of(facts) }
}

/// Facts without a name.
pub(crate) fn facts_of(facts: alluxio_ufs::UfsFacts) -> UfsFacts {
    UfsFacts {
        name: String::new(),
        kind: facts.kind,
        length: facts.length,
        modified: facts.modified,
        owner: facts.owner,
        group: facts.group,
        mode: facts.mode,
        fingerprint: facts.fingerprint,
    }
}
