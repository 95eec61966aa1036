//! What a worker does for its own sake once a second: look after its directories, free room ahead
//! of need, show its numbers.

use crate::core::{Core, blocking};
use crate::error::Stopped;
use std::sync::Arc;
use std::time::Duration;

/// Time between two rounds (Alluxio's storage checker: its heartbeat interval, 1 s).
const PERIOD: Duration = Duration::from_secs(1);

/// Runs until the worker stops; returns only when no storage is left.
pub(crate) async fn run(core: Arc<Core>) -> Stopped {
    loop {
        let (store, check) = (core.store.clone(), core.config.storage_checker);
        let round = blocking(move || {
            let lost = if check { store.check_dirs() } else { Vec::new() };
            (lost, store.free_ahead(), store.usage())
        });
        if let Ok((lost, freed, usage)) = round.await {
            if !lost.is_empty() || freed > 0 {
                core.news.notify_one();
            }
            if usage.dirs.is_empty() {
                let last = usage.lost_dirs.last();
                let why = last.map(|dir| format!("{}: {}", dir.path.display(), dir.reason));
                return Stopped::NoStorage(why.unwrap_or_default());
            }
        }
        let (queued, in_flight) = (core.fetcher.queued(), core.fetcher.in_flight());
        core.metrics.refresh(&core.store, queued, in_flight);
        tokio::time::sleep(PERIOD).await;
    }
}
