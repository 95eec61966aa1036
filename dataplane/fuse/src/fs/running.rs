//! Requests that may be given up while they are under way.

use crate::errno::Errno;
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot::{self, Receiver, Sender};

/// Interrupts that came before their request was seen here: another thread has read it. As many as there
/// can be threads.
const EARLY_MAX: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Running {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: HashMap<u64, Sender<()>>,
    early: VecDeque<u64>,
}

impl Running {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn enter(&self, unique: u64) -> Receiver<()> {
        let (stop, stopped) = oneshot::channel();
        let mut state = self.state();
        if let Some(at) = state.early.iter().position(|early| *early == unique) {
            state.early.remove(at);
            return stopped;
        }
        state.running.insert(unique, stop);
        stopped
    }

    pub(crate) fn leave(&self, unique: u64) {
        self.state().running.remove(&unique);
    }

    pub(crate) fn stop(&self, unique: u64) {
        let mut state = self.state();
        if state.running.remove(&unique).is_some() {
            return;
        }
        if state.early.len() == EARLY_MAX {
            state.early.pop_front();
        }
        state.early.push_back(unique);
    }
}

/// The result of `work`, or `EINTR` when the sender of `stopped` is dropped first. `work` must be safe to
/// drop.
pub(crate) async fn unless_stopped<T>(
    work: impl Future<Output = Result<T, Errno>>,
    stopped: Receiver<()>,
) -> Result<T, Errno> {
    tokio::select! {
        biased;
        result = work => result,
        _ = stopped => Err(Errno::INTR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[tokio::test]
    async fn an_interrupt_ends_its_request_even_when_it_comes_first() {
        let running = Running::default();
        let early = 7;
        running.stop(early);
        let stopped = running.enter(early);
        assert_eq!(unless_stopped(pending::<Result<(), Errno>>(), stopped).await, Err(Errno::INTR));
        let stopped = running.enter(8);
        running.stop(8);
        assert_eq!(unless_stopped(pending::<Result<(), Errno>>(), stopped).await, Err(Errno::INTR));
        let stopped = running.enter(9);
        running.stop(10);
        assert_eq!(unless_stopped(async { Ok(1) }, stopped).await, Ok(1));
    }
}
