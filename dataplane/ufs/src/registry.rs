//! From a URI and options to a store.

use crate::error::{Error, Result};
use crate::hdfs;
use crate::local::LocalUfs;
use crate::location::Location;
use crate::memory::MemoryUfs;
use crate::object;
use crate::options::Options;
use crate::retry::Retries;
use crate::under_fs::UnderFs;
use alluxio_host::{Clock, SystemClock};
use alluxio_types::MountOptions;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// First wait before a retry; it doubles, with jitter, up to [`RETRY_WAIT_MAX`].
pub(crate) const RETRY_WAIT_MIN: Duration = Duration::from_millis(50);
/// Longest wait before a retry.
pub(crate) const RETRY_WAIT_MAX: Duration = Duration::from_secs(2);

/// What holds for all mounts of a process.
#[derive(Clone)]
pub struct UfsSettings {
    /// Options of the under stores from `alluxio-site.properties`, by the same names as a mount's
    /// own, which win.
    pub defaults: MountOptions,
    /// Deadline of one call, and of one step of a stream.
    pub operation_timeout: Duration,
    /// How often a call that may be repeated is tried again.
    pub retries_max: usize,
    /// Wall time of files in the memory store.
    pub clock: Arc<dyn Clock>,
}

impl Default for UfsSettings {
    fn default() -> Self {
        UfsSettings {
            defaults: MountOptions::default(),
            // `alluxio.underfs.s3.request.timeout`.
            operation_timeout: Duration::from_secs(60),
            // With backoff from 50 ms, doubling: about 3 s in all, what a restart of a store's
            // front end takes; longer outages are the caller's to report.
            retries_max: 6,
            clock: Arc::new(SystemClock::new()),
        }
    }
}

impl UfsSettings {
    /// The rule for trying again.
    pub(crate) fn retries(&self) -> Retries {
        Retries {
            times_max: self.retries_max,
            wait_min: RETRY_WAIT_MIN,
            wait_max: RETRY_WAIT_MAX,
            deadline: self.operation_timeout,
        }
    }
}

/// Makes a store for a parsed URI.
pub type Factory = Arc<dyn Fn(&Location, &MountOptions) -> Result<Arc<dyn UnderFs>> + Send + Sync>;

/// Opens stores by the scheme of their URI.
#[derive(Clone)]
pub struct UnderFsRegistry {
    factories: BTreeMap<String, Factory>,
}

impl UnderFsRegistry {
    /// All stores of this crate.
    pub fn new(settings: UfsSettings) -> Self {
        let mut registry = UnderFsRegistry { factories: BTreeMap::new() };
        let clock = settings.clock.clone();
        registry.add(
            "memory",
            Arc::new(move |location, _options| {
                Ok(Arc::new(MemoryUfs::new(location.as_str(), clock.clone())?))
            }),
        );
        let defaults = settings.defaults.clone();
        registry.add(
            "file",
            Arc::new(move |location, options| {
                let options = Options::resolve(location, options, &defaults, &[])?;
                let tolerate = options.flag("alluxio.underfs.allow.set.owner.failure")?;
                Ok(Arc::new(LocalUfs::new(location.clone(), tolerate)))
            }),
        );
        let hdfs = settings.clone();
        registry
            .add("hdfs", Arc::new(move |location, options| hdfs::open(location, options, &hdfs)));
        for scheme in object::SCHEMES {
            let settings = settings.clone();
            registry.add(
                scheme,
                Arc::new(move |location, options| object::open(location, options, &settings)),
            );
        }
        registry
    }

    /// Opens URIs with `scheme` by `factory` from now on, whatever opened them before: how tests
    /// bring in a store of their own.
    pub fn add(&mut self, scheme: &str, factory: Factory) {
        self.factories.insert(scheme.to_owned(), factory);
    }

    /// The store at `uri`. Checks URI and options, and opens no connection: call
    /// [`UnderFs::status`] on the root to see whether the store answers. Must be called inside a
    /// tokio runtime.
    ///
    /// **Errors**: `InvalidUri`, `UnsupportedScheme`, `UnknownOption`, `InvalidOption`,
    /// `MissingOption`.
    pub fn open(&self, uri: &str, options: &MountOptions) -> Result<Arc<dyn UnderFs>> {
        let location = Location::parse(uri)?;
        match self.factories.get(location.scheme()) {
            Some(factory) => factory(&location, options),
            None => {
                let known = self.schemes().collect::<Vec<_>>().join(", ");
                Err(Error::UnsupportedScheme { uri: location.as_str().to_owned(), known })
            }
        }
    }

    /// Schemes that [`UnderFsRegistry::open`] knows, sorted.
    pub fn schemes(&self) -> impl Iterator<Item = &str> {
        self.factories.keys().map(String::as_str)
    }
}
