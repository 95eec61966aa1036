//! The list of live workers, believed for a while.

use crate::error::ClientError;
use crate::master::Master;
use alluxio_host::Host;
use alluxio_types::WorkerInfo;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A list that was just fetched is not fetched again sooner than this, whatever happens: a client
/// in trouble must not add to the master's load.
const FETCH_PAUSE: Duration = Duration::from_millis(500);
/// How long the master may take to tell a newer list than the one that there is.
const PATIENCE: Duration = Duration::from_secs(1);
/// A master that did not tell a newer one is left alone for so long by those who do not doubt the old one.
const RETRY_PAUSE: Duration = Duration::from_secs(10);

/// The last list.
pub(crate) struct WorkerList {
    refresh: Duration,
    last: Mutex<Option<Last>>,
}

#[derive(Clone)]
struct Last {
    list: Arc<[WorkerInfo]>,
    /// When it was fetched (monotonic).
    fetched: Duration,
    /// When a newer one was last asked for in vain.
    refused: Option<Duration>,
}

impl Last {
    /// Whether there is no need to ask again.
    fn is_good(&self, now: Duration, doubt: bool, refresh: Duration) -> bool {
        let younger = |at: Duration, age: Duration| now.saturating_sub(at) < age;
        let (age_max, pause) = match doubt || self.list.is_empty() {
            true => (FETCH_PAUSE, FETCH_PAUSE),
            false => (refresh, RETRY_PAUSE),
        };
        younger(self.fetched, age_max) || self.refused.is_some_and(|at| younger(at, pause))
    }
}

impl WorkerList {
    pub(crate) fn new(refresh: Duration) -> Self {
        WorkerList { refresh, last: Mutex::new(None) }
    }

    fn last(&self) -> MutexGuard<'_, Option<Last>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Live workers. `doubt` asks for a fresh list: somebody on the last one did not answer. Who has a list need
    /// not wait for a master that is away: workers serve without it.
    ///
    /// **Errors**: there is no list yet, and the master gives none.
    pub(crate) async fn get(
        &self,
        master: &Master,
        host: &Host,
        doubt: bool,
    ) -> Result<Arc<[WorkerInfo]>, ClientError> {
        let now = host.clock.monotonic();
        let last = self.last().clone();
        let Some(last) = last.filter(|last| !last.list.is_empty()) else {
            return self.fetch(master, host, now).await;
        };
        if last.is_good(now, doubt, self.refresh) {
            return Ok(last.list);
        }
        match tokio::time::timeout(PATIENCE, self.fetch(master, host, now)).await {
            Ok(Ok(list)) => return Ok(list),
            Ok(Err(error)) => tracing::debug!(%error, "the list of workers stays as it is"),
            Err(_) => tracing::debug!("the list of workers stays as it is: no answer in time"),
        }
        if let Some(last) = self.last().as_mut() {
            last.refused = Some(host.clock.monotonic());
        }
        Ok(last.list)
    }

    async fn fetch(
        &self,
        master: &Master,
        host: &Host,
        now: Duration,
    ) -> Result<Arc<[WorkerInfo]>, ClientError> {
        if let Some(last) = self.last().as_ref()
            && last.is_good(now, true, self.refresh)
        {
            return Ok(last.list.clone());
        }
        let list: Arc<[WorkerInfo]> = master.workers(false).await?.into();
        let fetched = host.clock.monotonic();
        *self.last() = Some(Last { list: list.clone(), fetched, refused: None });
        Ok(list)
    }
}
