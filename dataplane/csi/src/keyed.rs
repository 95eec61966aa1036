//! Locks by name. Each exists only while somebody holds it or waits for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// One lock for each name. Cloning is cheap and shares them.
#[derive(Clone, Default)]
pub struct KeyedLocks {
    locks: Arc<Mutex<HashMap<String, Arc<AsyncMutex<()>>>>>,
}

/// A lock that is held; dropped, it is free.
pub struct Held {
    name: String,
    guard: Option<OwnedMutexGuard<()>>,
    of: KeyedLocks,
}

impl KeyedLocks {
    /// The lock of `name`, unless somebody has it.
    pub fn try_lock(&self, name: &str) -> Option<Held> {
        let guard = self.lock_of(name).try_lock_owned().ok()?;
        Some(self.held(name, guard))
    }

    /// Waits for the lock of `name`. **Cancel safety**: a waiter that is dropped has no lock.
    pub async fn lock(&self, name: &str) -> Held {
        let guard = self.lock_of(name).lock_owned().await;
        self.held(name, guard)
    }

    fn held(&self, name: &str, guard: OwnedMutexGuard<()>) -> Held {
        Held { name: name.to_owned(), guard: Some(guard), of: self.clone() }
    }

    fn lock_of(&self, name: &str) -> Arc<AsyncMutex<()>> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        locks.entry(name.to_owned()).or_default().clone()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.guard.take());
        let mut locks = self.of.locks.lock().unwrap_or_else(PoisonError::into_inner);
        // The table's own reference is the last one: nobody waits.
        if locks.get(&self.name).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            locks.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_do_not_disturb_each_other_and_leave_nothing_behind() {
        let locks = KeyedLocks::default();
        let first = locks.try_lock("a").unwrap();
        assert!(locks.try_lock("a").is_none());
        let other = locks.try_lock("b").unwrap();
        let waits = tokio::spawn({
            let locks = locks.clone();
            async move { drop(locks.lock("a").await) }
        });
        tokio::task::yield_now().await;
        drop(first);
        waits.await.unwrap();
        drop(other);
        assert!(locks.locks.lock().unwrap().is_empty());
    }
}
