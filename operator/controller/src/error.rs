//! Why a walk did not come to its end.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A failure of a reconcile. None of them names a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused or could not be reached.
    #[error("{what}: {source}")]
    Kubernetes {
        /// What was tried, as `apply StatefulSet cache/demo-master`.
        what: String,
        /// What the API server, or the way to it, said.
        #[source]
        source: Box<kube::Error>,
    },
    /// An object of that name is there, and not this owner's.
    #[error(
        "{kind} {name} is there already and belongs to {holder}; rename one of them, or delete it if \
         nobody needs it"
    )]
    NameTaken {
        /// Its kind.
        kind: String,
        /// `namespace/name`.
        name: String,
        /// Whose it is.
        holder: String,
    },
    /// A builder made an object that cannot be written.
    #[error("{what} cannot be written as JSON: {source}")]
    Unwritable {
        /// The object.
        what: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The object that is reconciled has no name, namespace or UID: it was never stored.
    #[error("the object has no {0}")]
    NotStored(&'static str),
}

impl Error {
    /// Of a call to the API server, with what it was for.
    pub(crate) fn kubernetes(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Error {
        let what = what.into();
        move |source| Error::Kubernetes { what, source: Box::new(source) }
    }

    /// The HTTP status that the API server answered with.
    pub fn http(&self) -> Option<u16> {
        match self {
            Error::Kubernetes { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether nothing can be made any more because the whole namespace goes.
    pub fn namespace_ends(&self) -> bool {
        let Error::Kubernetes { source, .. } = self else { return false };
        let kube::Error::Api(status) = source.as_ref() else { return false };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        // The reason that the API server gives, `NamespaceTerminatingCause` of its Go types.
        status.code == 403 && causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
    }

    /// Whether trying again soon may help, and nobody has to act.
    pub fn passing(&self) -> bool {
        match self {
            Error::Kubernetes { .. } => {
                self.http().is_none_or(|code| code >= 500 || code == 409 || code == 429)
            }
            Error::NameTaken { .. } | Error::Unwritable { .. } | Error::NotStored(_) => false,
        }
    }
}

/// Least and longest pause before a failed object is tried again.
const RETRY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(120));

/// The pause before try number `failures` (from 1), doubled each time; `spread` of 0.0–1.0 takes up to a
/// quarter of it away, so that many objects that failed together do not come back together.
pub fn pause(failures: u32, spread: f64) -> Duration {
    let doubled = RETRY.0.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(RETRY.1);
    doubled.mul_f64(1.0 - 0.25 * spread.clamp(0.0, 1.0))
}

/// A number from 0.0 to 1.0 that an object keeps: so that many do not come at one time.
pub fn spread(uid: &str) -> f64 {
    uid.bytes().map(f64::from).sum::<f64>() % 100.0 / 100.0
}

/// Failures in a row of each object of a controller, by UID.
#[derive(Debug, Default)]
pub struct Failures {
    counts: Mutex<BTreeMap<String, u32>>,
}

impl Failures {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, u32>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A walk ended well.
    pub fn forget(&self, uid: Option<&str>) {
        if let Some(uid) = uid {
            self.lock().remove(uid);
        }
    }

    /// A walk failed: how long until the next one.
    pub fn pause(&self, uid: &str) -> Duration {
        let mut counts = self.lock();
        let count = counts.entry(uid.to_owned()).or_insert(0);
        *count = count.saturating_add(1);
        pause(*count, spread(uid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        let full: Vec<u64> = (1..8).map(|failures| pause(failures, 0.0).as_secs()).collect();
        assert_eq!(full, [5, 10, 20, 40, 80, 120, 120]);
        assert_eq!(pause(u32::MAX, 0.0), RETRY.1);
        assert_eq!(pause(1, 1.0), Duration::from_millis(3750));
        assert_eq!(pause(0, f64::NAN.max(0.0)), RETRY.0);
    }
}
