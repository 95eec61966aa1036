//! What a keeper holds, and for whom; pure: descriptors are of any type, times are given.

use super::SESSIONS_MAX;
use super::key::Key;
use super::protocol::Reason;
use std::collections::BTreeMap;

/// A connection of a process that serves mounts.
pub type ConnectionId = u64;

/// A session that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held<F> {
    /// What the next one has to know.
    pub blob: Vec<u8>,
    /// All its descriptors.
    pub descriptors: Vec<F>,
    /// Who serves it, as far as we know.
    owner: Option<ConnectionId>,
    /// Since when nobody does.
    alone_since_ms: Option<u64>,
}

impl<F> Held<F> {
    /// For how long nobody serves it.
    pub fn alone_ms(&self, now_ms: u64) -> u64 {
        self.alone_since_ms.map_or(0, |since| now_ms.saturating_sub(since))
    }
}

/// All sessions.
#[derive(Debug)]
pub struct Store<F> {
    sessions: BTreeMap<Key, Held<F>>,
}

impl<F> Default for Store<F> {
    fn default() -> Self {
        Store { sessions: BTreeMap::new() }
    }
}

impl<F> Store<F> {
    fn may(&self, connection: ConnectionId, key: &Key) -> Result<(), Reason> {
        let owner = self.sessions.get(key).and_then(|held| held.owner);
        match owner {
            Some(other) if other != connection => Err(Reason::Served),
            _ => Ok(()),
        }
    }

    /// Holds a session for who serves it; what there was under its key is returned.
    ///
    /// **Errors**: `Served`, `Full`.
    pub fn put(
        &mut self,
        connection: ConnectionId,
        key: Key,
        blob: Vec<u8>,
        descriptors: Vec<F>,
    ) -> Result<Option<Held<F>>, Reason> {
        self.may(connection, &key)?;
        if self.sessions.len() >= SESSIONS_MAX && !self.sessions.contains_key(&key) {
            return Err(Reason::Full);
        }
        let owner = Some(connection);
        let held = Held { blob, descriptors, owner, alone_since_ms: None };
        Ok(self.sessions.insert(key, held))
    }

    /// A session, for the one who will serve it from now on.
    ///
    /// **Errors**: `Unknown`, `Served`.
    pub fn get(&mut self, connection: ConnectionId, key: &Key) -> Result<&Held<F>, Reason> {
        self.may(connection, key)?;
        let held = self.sessions.get_mut(key).ok_or(Reason::Unknown)?;
        held.owner = Some(connection);
        Ok(held)
    }

    /// Lets a session go.
    ///
    /// **Errors**: `Served`.
    pub fn remove(
        &mut self,
        connection: ConnectionId,
        key: &Key,
    ) -> Result<Option<Held<F>>, Reason> {
        self.may(connection, key)?;
        Ok(self.sessions.remove(key))
    }

    /// The connection is at its end: what it served may be given to another one.
    pub fn ended(&mut self, connection: ConnectionId, now_ms: u64) {
        for held in self.sessions.values_mut().filter(|held| held.owner == Some(connection)) {
            (held.owner, held.alone_since_ms) = (None, Some(now_ms));
        }
    }

    /// Takes out the sessions that nobody has served for `limit_ms`.
    pub fn take_abandoned(&mut self, now_ms: u64, limit_ms: u64) -> Vec<(Key, Held<F>)> {
        let abandoned =
            |_: &Key, held: &mut Held<F>| held.owner.is_none() && held.alone_ms(now_ms) >= limit_ms;
        self.sessions.extract_if(.., abandoned).collect()
    }

    /// All keys.
    pub fn keys(&self) -> Vec<Key> {
        self.sessions.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(number: usize) -> Key {
        format!("k-{number}").parse().unwrap()
    }

    #[test]
    fn a_session_is_given_to_another_one_only_after_its_server_is_gone() {
        let mut store = Store::default();
        store.put(1, key(0), vec![7], vec!["a", "b"]).unwrap();
        assert_eq!(store.get(2, &key(0)).unwrap_err(), Reason::Served);
        assert_eq!(store.put(2, key(0), vec![], vec![]).unwrap_err(), Reason::Served);
        assert_eq!(store.remove(2, &key(0)).unwrap_err(), Reason::Served);
        store.ended(1, 100);
        let held = store.get(2, &key(0)).unwrap();
        assert_eq!(held.alone_ms(130), 30);
        assert_eq!((&held.blob[..], &held.descriptors[..]), (&[7][..], &["a", "b"][..]));
        assert_eq!(store.get(3, &key(0)).unwrap_err(), Reason::Served, "it has a new one");
        assert!(store.remove(2, &key(0)).unwrap().is_some());
        assert_eq!(store.get(2, &key(0)).unwrap_err(), Reason::Unknown);
        assert_eq!(store.remove(2, &key(0)).unwrap(), None);
    }

    #[test]
    fn what_nobody_serves_for_long_is_let_go_and_nothing_else() {
        let mut store = Store::default();
        for (connection, number) in [(1, 1), (1, 2), (2, 3)] {
            store.put(connection, key(number), Vec::new(), vec![number]).unwrap();
        }
        store.ended(1, 1_000);
        assert!(store.take_abandoned(5_999, 5_000).is_empty());
        store.get(3, &key(2)).unwrap();
        let gone: Vec<Key> =
            store.take_abandoned(6_000, 5_000).into_iter().map(|(key, _)| key).collect();
        assert_eq!(gone, [key(1)]);
        assert_eq!(store.keys(), [key(2), key(3)]);
    }

    #[test]
    fn a_full_keeper_refuses_new_sessions_and_renews_old_ones() {
        let mut store = Store::<u8>::default();
        for number in 0..SESSIONS_MAX {
            store.put(1, key(number), vec![], vec![]).unwrap();
        }
        assert_eq!(store.put(1, key(SESSIONS_MAX), vec![], vec![]).unwrap_err(), Reason::Full);
        assert!(store.put(1, key(0), vec![1], vec![]).unwrap().is_some());
    }

    proptest! {
        /// At any moment at most one living connection has been told to serve a session.
        #[test]
        fn no_session_ever_has_two_servers(
            steps in prop::collection::vec((0u8..4, 0u64..3, 0usize..2), 0..60),
        ) {
            let mut store = Store::<u64>::default();
            let mut serves: BTreeMap<usize, u64> = BTreeMap::new();
            for (what, connection, number) in steps {
                let other = serves.get(&number).is_some_and(|there| *there != connection);
                let outcome = match what {
                    0 => store.put(connection, key(number), vec![], vec![connection]).map(|_| true),
                    1 => store.get(connection, &key(number)).map(|_| true),
                    2 => store.remove(connection, &key(number)).map(|_| false),
                    _ => {
                        store.ended(connection, 0);
                        serves.retain(|_, there| *there != connection);
                        continue;
                    }
                };
                prop_assert_eq!(outcome == Err(Reason::Served), other);
                match outcome {
                    Ok(true) => { serves.insert(number, connection); }
                    Ok(false) => { serves.remove(&number); }
                    Err(_) => {}
                }
            }
        }
    }
}
