//! When a path was last compared with its store, and whether it is time to do it again.

use alluxio_namespace::Lookup;
use alluxio_types::{AlluxioPath, PersistenceState};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// `alluxio.user.file.metadata.load.type`: whether an unknown path is looked up in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum LoadType {
    /// Once; that it is absent is remembered.
    #[default]
    Once,
    /// Never.
    Never,
    /// Each time.
    Always,
}

/// How fresh an answer must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Freshness {
    /// Longest time since the path was compared with its store; `None` for any
    /// (`alluxio.user.file.metadata.sync.interval` of -1).
    pub sync_interval: Option<Duration>,
    /// What happens to unknown paths when the interval asks for nothing.
    pub load: LoadType,
}

impl Freshness {
    /// Compares now, whatever is known.
    pub(crate) const NOW: Freshness =
        Freshness { sync_interval: Some(Duration::ZERO), load: LoadType::Always };
    /// Only what was never looked up is looked up.
    pub(crate) const ANY: Freshness = Freshness { sync_interval: None, load: LoadType::Once };
}

/// Paths remembered (`alluxio.master.ufs.path.cache.capacity` bounds both maps). When full they are
/// forgotten all at once: the price is one more look at the store for each.
pub(crate) struct SyncState {
    capacity: usize,
    paths: Mutex<HashMap<AlluxioPath, Duration>>,
    listings: Mutex<HashMap<AlluxioPath, Duration>>,
    flights: Mutex<HashMap<AlluxioPath, Arc<tokio::sync::Mutex<()>>>>,
}

impl SyncState {
    /// Remembers up to `capacity` paths.
    pub(crate) fn new(capacity: usize) -> Self {
        SyncState {
            capacity: capacity.max(1),
            paths: Mutex::default(),
            listings: Mutex::default(),
            flights: Mutex::default(),
        }
    }

    /// Whether `path` must be compared with its store before an answer. A listing of its directory
    /// counts as a look at every name in it.
    pub(crate) fn is_due(
        &self,
        path: &AlluxioPath,
        lookup: &Lookup,
        freshness: Freshness,
        now: Duration,
    ) -> bool {
        let age = || {
            let listed = path.parent().and_then(|parent| last(&self.listings, &parent));
            last(&self.paths, path).max(listed).map(|at| now.saturating_sub(at))
        };
        if let Some(interval) = freshness.sync_interval {
            let only_here = lookup.found.as_ref().is_some_and(|found| {
                !found.is_directory() && found.persistence == PersistenceState::NotPersisted
            });
            return !only_here && (interval.is_zero() || age().is_none_or(|age| age >= interval));
        }
        if lookup.found.is_some() {
            return false;
        }
        match freshness.load {
            LoadType::Never => false,
            LoadType::Always => true,
            LoadType::Once => !lookup.children_loaded && last(&self.paths, path).is_none(),
        }
    }

    /// Whether the names in directory `path` must be compared with its store before a listing.
    pub(crate) fn is_listing_due(
        &self,
        path: &AlluxioPath,
        loaded: bool,
        freshness: Freshness,
        now: Duration,
    ) -> bool {
        if let Some(interval) = freshness.sync_interval {
            let age = last(&self.listings, path).map(|at| now.saturating_sub(at));
            return interval.is_zero() || age.is_none_or(|age| age >= interval);
        }
        match freshness.load {
            LoadType::Never => false,
            LoadType::Always => true,
            LoadType::Once => !loaded,
        }
    }

    /// Notes that `path` was compared.
    pub(crate) fn note(&self, path: &AlluxioPath, now: Duration) {
        note(&self.paths, path, now, self.capacity);
    }

    /// Notes that all names in `path` were compared.
    pub(crate) fn note_listing(&self, path: &AlluxioPath, now: Duration) {
        note(&self.listings, path, now, self.capacity);
    }

    /// Forgets `path` and all below it: the next look asks the store.
    pub(crate) fn forget(&self, path: &AlluxioPath) {
        for map in [&self.paths, &self.listings] {
            let mut map = map.lock().unwrap_or_else(|poison| poison.into_inner());
            map.retain(|known, _| !known.starts_with(path));
        }
    }

    /// The lock that makes listings of one directory wait for each other.
    pub(crate) fn flight(&self, path: &AlluxioPath) -> Arc<tokio::sync::Mutex<()>> {
        let mut flights = self.flights.lock().unwrap_or_else(|poison| poison.into_inner());
        flights.retain(|_, flight| Arc::strong_count(flight) > 1);
        flights.entry(path.clone()).or_default().clone()
    }
}

fn last(map: &Mutex<HashMap<AlluxioPath, Duration>>, path: &AlluxioPath) -> Option<Duration> {
    map.lock().unwrap_or_else(|poison| poison.into_inner()).get(path).copied()
}

fn note(
    map: &Mutex<HashMap<AlluxioPath, Duration>>,
    path: &AlluxioPath,
    now: Duration,
    capacity: usize,
) {
    let mut map = map.lock().unwrap_or_else(|poison| poison.into_inner());
    if map.len() >= capacity {
        map.clear();
    }
    map.insert(path.clone(), now);
}
