//! Statuses that are believed for a while (`alluxio.user.metadata.cache.*`; off by default).
//!
//! Only complete files and directories are kept. Changes made through the same client are seen at
//! once, those of others when the entry expires.

use alluxio_types::{AlluxioPath, FileStatus};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A bounded map from path to status.
pub(crate) struct MetaCache {
    entries_max: usize,
    expiration: Duration,
    entries: Mutex<BTreeMap<String, Entry>>,
}

struct Entry {
    status: Arc<FileStatus>,
    at: Duration,
}

impl MetaCache {
    pub(crate) fn new(entries_max: usize, expiration: Duration) -> Self {
        MetaCache { entries_max, expiration, entries: Mutex::default() }
    }

    pub(crate) fn get(&self, path: &AlluxioPath, now: Duration) -> Option<Arc<FileStatus>> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(path.as_str())?;
        (now.saturating_sub(entry.at) < self.expiration).then(|| entry.status.clone())
    }

    pub(crate) fn put(&self, path: &AlluxioPath, status: &Arc<FileStatus>, now: Duration) {
        if !status.completed {
            return;
        }
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.entries_max && !entries.contains_key(path.as_str()) {
            self.make_room(&mut entries, now);
        }
        entries.insert(path.to_string(), Entry { status: status.clone(), at: now });
    }

    /// Drops what has expired; if that is nothing, the older half: one pass in many puts.
    fn make_room(&self, entries: &mut BTreeMap<String, Entry>, now: Duration) {
        entries.retain(|_, entry| now.saturating_sub(entry.at) < self.expiration);
        if entries.len() < self.entries_max {
            return;
        }
        let mut times: Vec<Duration> = entries.values().map(|entry| entry.at).collect();
        times.sort_unstable();
        let median = times[times.len() / 2];
        let mut surplus = entries.len() / 2 + 1;
        entries.retain(|_, entry| {
            let goes = entry.at <= median && surplus > 0;
            surplus -= usize::from(goes);
            !goes
        });
    }

    /// Forgets a path and all that is below it.
    pub(crate) fn forget(&self, path: &AlluxioPath) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let below = if path.is_root() { "/".to_owned() } else { format!("{path}/") };
        entries.remove(path.as_str());
        let gone: Vec<String> = entries
            .range(below.clone()..)
            .map(|(key, _)| key)
            .take_while(|key| key.starts_with(&below))
            .cloned()
            .collect();
        for key in gone {
            entries.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::tests::file;

    fn path(text: &str) -> AlluxioPath {
        AlluxioPath::parse(text).unwrap()
    }

    #[test]
    fn statuses_are_believed_until_they_expire() {
        let cache = MetaCache::new(10, Duration::from_secs(5));
        let status = Arc::new(file(1, 1));
        cache.put(&path("/a"), &status, Duration::from_secs(1));
        assert!(cache.get(&path("/a"), Duration::from_secs(5)).is_some());
        assert!(cache.get(&path("/a"), Duration::from_secs(6)).is_none());
        let incomplete = Arc::new(FileStatus { completed: false, ..file(1, 1) });
        cache.put(&path("/b"), &incomplete, Duration::from_secs(1));
        assert!(cache.get(&path("/b"), Duration::from_secs(1)).is_none());
    }

    #[test]
    fn a_change_is_forgotten_with_all_below_it_only() {
        let cache = MetaCache::new(10, Duration::from_secs(5));
        let status = Arc::new(file(1, 1));
        for name in ["/a", "/a/b", "/a/b/c", "/ab", "/b"] {
            cache.put(&path(name), &status, Duration::ZERO);
        }
        cache.forget(&path("/a"));
        for (name, known) in [("/a", false), ("/a/b/c", false), ("/ab", true), ("/b", true)] {
            assert_eq!(cache.get(&path(name), Duration::ZERO).is_some(), known, "{name}");
        }
    }

    #[test]
    fn there_are_never_more_than_allowed() {
        let cache = MetaCache::new(8, Duration::from_secs(1000));
        let status = Arc::new(file(1, 1));
        for i in 0..100u64 {
            cache.put(&path(&format!("/{i}")), &status, Duration::from_secs(i / 3));
            assert!(cache.entries.lock().unwrap().len() <= 8);
            assert!(cache.get(&path(&format!("/{i}")), Duration::from_secs(i / 3)).is_some());
        }
    }
}
