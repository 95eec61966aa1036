//! What a process may have.

use rustix::process::{Resource, getrlimit, setrlimit};

/// As many descriptors as are allowed at all. A wish: without it there are fewer mounts and drafts at a time.
pub(crate) fn raise_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit of descriptors stays as it is");
    }
}
