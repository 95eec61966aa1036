//! The list of live workers, believed for a while.

use crate::error::ClientError;
use crate::master::Master;
use alluxio_host::Host;
use alluxio_types::WorkerInfo;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A list that was just fetched is not fetched again sooner than this, whatever happens: a client
/// in trouble must not add to the master's load.
const FETCH_PAUSE: Duration = Duration::from_millis(500);

/// The last list, and when it was fetched.
pub(crate) struct WorkerList {
    refresh: Duration,
    last: Mutex<Option<(Duration, Arc<[WorkerInfo]>)>>,
}

impl WorkerList {
    pub(crate) fn new(refresh: Duration) -> Self {
        WorkerList { refresh, last: Mutex::new(None) }
    }

    /// Live workers. `doubt` asks for a fresh list: somebody on the last one did not answer, or it
    /// was empty.
    pub(crate) async fn get(
        &self,
        master: &Master,
        host: &Host,
        doubt: bool,
    ) -> Result<Arc<[WorkerInfo]>, ClientError> {
        let age_max = if doubt { FETCH_PAUSE } else { self.refresh };
        let now = host.clock.monotonic();
        {
            let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((at, list)) = last.as_ref()
                && now.saturating_sub(*at) < age_max
                && !(list.is_empty() && now.saturating_sub(*at) >= FETCH_PAUSE)
            {
                return Ok(list.clone());
            }
        }
        let list: Arc<[WorkerInfo]> = master.workers(false).await?.into();
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, list.clone()));
        Ok(list)
    }
}
