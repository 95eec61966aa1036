//! What a walk read is remembered until a watch tells that it changed: then nobody asks for what is known.
//!
//! A walk takes a [`Ticket`], reads, and keeps what it read. If a change was told between the two, it is not known
//! whether the reading saw it, and nothing is kept. So the readings must be consistent ones: a list from a cache of the
//! API server may be older than what the watch has told.
//!
//! What is kept is good for a while only: a watch that was cut off may tell late.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Entries; beyond it all are forgotten.
const ENTRIES_MAX: usize = 16_384;

/// See the module. `T` is cloned out: an `Arc`, or small.
#[derive(Debug)]
pub struct Seen<T> {
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    /// Changes that were told, of anything.
    changes: u64,
    /// For what has no entry: nothing is known of changes before this one.
    floor: u64,
    entries: BTreeMap<String, Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    /// The last change of it that was told.
    changed: u64,
    kept: Option<(Instant, T)>,
}

/// The changes that were told before a reading began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Seen { state: Mutex::new(State { changes: 0, floor: 0, entries: BTreeMap::new() }) }
    }
}

impl<T: Clone> Seen<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of it at `now`.
    pub fn get(&self, key: &str, now: Instant) -> Option<T> {
        let state = self.state();
        let (until, kept) = state.entries.get(key)?.kept.as_ref()?;
        (now < *until).then(|| kept.clone())
    }

    /// A reading of it begins.
    pub fn ticket(&self, key: &str) -> Ticket {
        Ticket(self.state().last_change(key))
    }

    /// It was read, with a ticket from before; that is good until then. Nothing happens if it changed meanwhile.
    pub fn keep(&self, key: &str, ticket: Ticket, value: T, until: Instant) {
        let mut state = self.state();
        if state.last_change(key) != ticket.0 {
            return;
        }
        let kept = Some((until, value));
        state.put(key, Entry { changed: ticket.0, kept });
    }

    /// It changed, or may have.
    pub fn changed(&self, key: &str) {
        let mut state = self.state();
        state.changes += 1;
        let entry = Entry { changed: state.changes, kept: None };
        state.put(key, entry);
    }

    /// It is gone.
    pub fn forget(&self, key: &str) {
        let mut state = self.state();
        if state.entries.remove(key).is_some() {
            state.raise_floor();
        }
    }
}

impl<T> State<T> {
    fn last_change(&self, key: &str) -> u64 {
        self.entries.get(key).map_or(self.floor, |entry| entry.changed)
    }

    fn put(&mut self, key: &str, entry: Entry<T>) {
        if self.entries.len() >= ENTRIES_MAX && !self.entries.contains_key(key) {
            self.entries.clear();
            self.raise_floor();
        }
        self.entries.insert(key.to_owned(), entry);
    }

    /// No ticket from before is good for what has no entry now.
    fn raise_floor(&mut self) {
        self.changes += 1;
        self.floor = self.changes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    #[test]
    fn it_is_known_until_it_changes_or_its_time_is_over() {
        let seen = Seen::default();
        let now = Instant::now();
        let later = now + Duration::from_secs(60);
        assert_eq!(seen.get("a", now), None);
        seen.keep("a", seen.ticket("a"), 1, later);
        assert_eq!(
            (seen.get("a", now), seen.get("a", later), seen.get("b", now)),
            (Some(1), None, None)
        );
        seen.changed("b");
        assert_eq!(seen.get("a", now), Some(1));
        seen.changed("a");
        assert_eq!(seen.get("a", now), None);
    }

    #[test]
    fn what_changed_while_it_was_read_is_not_kept() {
        let seen = Seen::default();
        let now = Instant::now();
        let later = now + Duration::from_secs(60);
        let ticket = seen.ticket("a");
        seen.changed("a");
        seen.keep("a", ticket, 1, later);
        assert_eq!(seen.get("a", now), None);
        let ticket = seen.ticket("a");
        seen.forget("a");
        seen.keep("a", ticket, 1, later);
        assert_eq!(seen.get("a", now), None, "another one of that name is another one");
        let ticket = seen.ticket("a");
        for number in 0..ENTRIES_MAX * 2 {
            seen.changed(&format!("b{number}"));
        }
        seen.keep("a", ticket, 1, later);
        assert_eq!(seen.get("a", now), None, "all were forgotten meanwhile");
    }

    #[derive(Debug, Clone)]
    enum Step {
        Change(usize),
        Tell(usize),
        Begin(usize),
        End(usize),
        Forget(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = (0..5, 0..2usize).prop_map(|(what, key)| match what {
            0 => Step::Change(key),
            1 => Step::Tell(key),
            2 => Step::Begin(key),
            3 => Step::End(key),
            _ => Step::Forget(key),
        });
        prop::collection::vec(step, 0..60)
    }

    proptest! {
        /// Objects change, watches tell it at some time later, readings begin and end at any time: once all changes
        /// were told, what is known is what is.
        #[test]
        fn what_is_known_when_all_was_told_is_true(steps in steps()) {
            let seen = Seen::default();
            let until = Instant::now() + Duration::from_secs(3600);
            let (mut real, mut told, mut reading) = ([0u32; 2], [0u32; 2], [None; 2]);
            for step in steps {
                match step {
                    Step::Change(key) => real[key] += 1,
                    // A watch tells every change once, in order.
                    Step::Tell(key) if told[key] < real[key] => {
                        told[key] += 1;
                        seen.changed(&key.to_string());
                    }
                    Step::Tell(_) => {}
                    Step::Begin(key) => {
                        reading[key] = Some((seen.ticket(&key.to_string()), real[key]));
                    }
                    Step::End(key) => {
                        if let Some((ticket, value)) = reading[key].take() {
                            seen.keep(&key.to_string(), ticket, value, until);
                        }
                    }
                    Step::Forget(key) => seen.forget(&key.to_string()),
                }
            }
            for key in 0..2 {
                for _ in told[key]..real[key] {
                    seen.changed(&key.to_string());
                }
                let known = seen.get(&key.to_string(), Instant::now());
                prop_assert!(known.is_none_or(|known| known == real[key]), "{known:?}");
            }
        }
    }
}
