//! All keepers that are configured, as one. Each has a thread that connects it again whenever it comes back,
//! and gives it everything that there is.

use crate::keeper::client::Kept;
use crate::keeper::{Client, ClientError, Key};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Pause between two tries to reach a keeper that is not there.
const RETRY_EVERY: Duration = Duration::from_millis(100);
/// How long a keeper that is being restarted is waited for, when a session is missing.
const COME_WITHIN: Duration = Duration::from_secs(2);
/// How often a thread looks whether it is still wanted.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 500_000_000 };

/// See the module.
#[derive(Debug)]
pub(crate) struct Keepers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// What every keeper shall hold.
    wanted: Mutex<BTreeMap<Key, Wanted>>,
    links: Vec<Link>,
    /// Whether `wanted` is all that there is: what a keeper has besides is old.
    settled: AtomicBool,
    over: AtomicBool,
}

#[derive(Debug, Clone)]
struct Wanted {
    blob: Vec<u8>,
    descriptors: Arc<Vec<OwnedFd>>,
}

#[derive(Debug)]
struct Link {
    path: PathBuf,
    client: Mutex<Option<Client>>,
}

impl Link {
    fn client(&self) -> MutexGuard<'_, Option<Client>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, if it is connected; one that does not answer is not connected any more.
    fn ask<T>(&self, ask: impl FnOnce(&Client) -> Result<T, ClientError>) -> Option<T> {
        let mut client = self.client();
        match ask(client.as_ref()?) {
            Ok(value) => Some(value),
            Err(error) => {
                tracing::warn!(keeper = %self.path.display(), %error, "a keeper does not hold a session");
                *client = None;
                None
            }
        }
    }
}

impl Wanted {
    fn put(&self, client: &Client, key: &Key) -> Result<(), ClientError> {
        let descriptors: Vec<BorrowedFd<'_>> = self.descriptors.iter().map(AsFd::as_fd).collect();
        client.put(key, &self.blob, &descriptors)
    }
}

impl Shared {
    fn wanted(&self) -> MutexGuard<'_, BTreeMap<Key, Wanted>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects a keeper and gives it everything.
    fn connect(&self, link: &Link) -> bool {
        let mut client = link.client();
        if client.is_some() {
            return true;
        }
        let Ok(fresh) = Client::connect(&link.path) else { return false };
        let all: Vec<(Key, Wanted)> =
            self.wanted().iter().map(|(key, wanted)| (key.clone(), wanted.clone())).collect();
        for (key, wanted) in all {
            if let Err(error) = wanted.put(&fresh, &key) {
                tracing::debug!(keeper = %link.path.display(), %key, %error, "a keeper is not ready");
                return false;
            }
        }
        if self.settled.load(Ordering::SeqCst) {
            self.sweep(&fresh);
        }
        tracing::info!(keeper = %link.path.display(), "connected to a keeper");
        *client = Some(fresh);
        true
    }

    /// Has a keeper let go what was closed while it was not there.
    fn sweep(&self, client: &Client) {
        for key in client.list().unwrap_or_default() {
            if !self.wanted().contains_key(&key)
                && let Err(error) = client.remove(&key)
            {
                tracing::debug!(%key, %error, "a keeper holds an old session");
            }
        }
    }

    /// Keeps one keeper connected.
    fn watch(&self, link: &Link) {
        while !self.over.load(Ordering::SeqCst) {
            if !self.connect(link) {
                std::thread::sleep(RETRY_EVERY);
                continue;
            }
            let socket = {
                let client = link.client();
                client.as_ref().and_then(|client| client.socket().try_clone_to_owned().ok())
            };
            let Some(socket) = socket else { continue };
            let mut asked = [PollFd::new(&socket, PollFlags::RDHUP)];
            let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
            if poll(&mut asked, Some(&LOOK_EVERY)).is_ok() && asked[0].revents().intersects(gone) {
                tracing::warn!(keeper = %link.path.display(), "a keeper is gone");
                *link.client() = None;
            }
        }
    }
}

impl Keepers {
    /// Connects to all that answer now. Nothing is put before [`Keepers::watch`].
    pub(crate) fn new(paths: &[PathBuf]) -> Self {
        let links = paths.iter().map(|path| Link { path: path.clone(), client: Mutex::default() });
        let shared = Shared {
            wanted: Mutex::default(),
            links: links.collect(),
            settled: AtomicBool::new(false),
            over: AtomicBool::new(false),
        };
        shared.links.iter().for_each(|link| {
            shared.connect(link);
        });
        Keepers { shared: Arc::new(shared) }
    }

    /// From now on keepers that come back are given everything.
    pub(crate) fn watch(&self) {
        self.shared.settled.store(true, Ordering::SeqCst);
        for index in 0..self.shared.links.len() {
            let shared = self.shared.clone();
            let thread = std::thread::Builder::new().name(format!("keeper-{index}"));
            let started = thread.spawn(move || shared.watch(&shared.links[index]));
            if let Err(error) = started {
                tracing::error!(%error, "a keeper is not watched");
            }
        }
    }

    /// All sessions that all keepers have, as soon as who served them is gone, at the latest at `until`. While
    /// a session of `expected` is missing, a keeper that is not there gets some time to come.
    /// `newest` says how new a session is: of two under one key the newer one counts, and then the one with
    /// more descriptors.
    pub(crate) fn take(
        &self,
        expected: &BTreeSet<Key>,
        until: Instant,
        newest: impl Fn(&[u8]) -> u64,
    ) -> BTreeMap<Key, Kept> {
        let patience = (Instant::now() + COME_WITHIN).min(until);
        let mut found: BTreeMap<Key, Kept> = BTreeMap::new();
        let mut asked = BTreeSet::new();
        loop {
            for (index, link) in self.shared.links.iter().enumerate() {
                if !self.shared.connect(link) || !asked.insert(index) {
                    continue;
                }
                for key in link.ask(Client::list).unwrap_or_default() {
                    let Some(kept) = link.ask(|client| client.get(&key, until)) else { continue };
                    let rank = |kept: &Kept| (newest(&kept.blob), kept.descriptors.len());
                    if found.get(&key).is_none_or(|there| rank(there) < rank(&kept)) {
                        found.insert(key, kept);
                    }
                }
            }
            let complete = expected.iter().all(|key| found.contains_key(key));
            if complete || asked.len() == self.shared.links.len() || Instant::now() >= patience {
                return found;
            }
            std::thread::sleep(RETRY_EVERY / 4);
        }
    }

    /// Has a session held by all that are connected, and by the others when they come.
    ///
    /// **Errors**: too few descriptors are free.
    pub(crate) fn put<'a>(
        &self,
        key: &Key,
        blob: Vec<u8>,
        descriptors: impl Iterator<Item = BorrowedFd<'a>>,
    ) -> std::io::Result<()> {
        let owned = descriptors.map(|fd| fd.try_clone_to_owned()).collect::<Result<_, _>>()?;
        let wanted = Wanted { blob, descriptors: Arc::new(owned) };
        self.shared.wanted().insert(key.clone(), wanted.clone());
        self.tell(key, &wanted);
        Ok(())
    }

    /// The same session with another blob.
    pub(crate) fn put_blob(&self, key: &Key, blob: Vec<u8>) {
        let changed = {
            let mut all = self.shared.wanted();
            let Some(wanted) = all.get_mut(key) else { return };
            wanted.blob = blob;
            wanted.clone()
        };
        self.tell(key, &changed);
    }

    fn tell(&self, key: &Key, wanted: &Wanted) {
        for link in &self.shared.links {
            link.ask(|client| wanted.put(client, key));
        }
    }

    /// Has a session let go.
    pub(crate) fn remove(&self, key: &Key) {
        self.shared.wanted().remove(key);
        for link in &self.shared.links {
            link.ask(|client| client.remove(key));
        }
    }

    /// How many are connected.
    pub(crate) fn connected(&self) -> usize {
        self.shared.links.iter().filter(|link| link.client().is_some()).count()
    }

    /// How many there should be.
    pub(crate) fn configured(&self) -> usize {
        self.shared.links.len()
    }
}

impl Drop for Keepers {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
#[path = "keepers_tests.rs"]
mod tests;
