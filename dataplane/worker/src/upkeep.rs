//! What a worker does for its own sake once a second: look after its directories, free room ahead
//! of need, bring used blocks up while nobody needs the disks, show its numbers.

use crate::core::Core;
use crate::error::Stopped;
use std::sync::Arc;
use std::time::Duration;

/// Time between two rounds (Alluxio's storage checker: its heartbeat interval, 1 s).
const PERIOD: Duration = Duration::from_secs(1);

/// Blocks moved up in one round (Alluxio's promotion task).
const RAISED_MAX: usize = 100;

/// When clients last used the worker, seen by its counters.
#[derive(Default)]
struct Activity {
    count: u64,
    since: Duration,
}

impl Activity {
    /// Whether nothing happened for `pause`.
    fn is_quiet(&mut self, count: u64, now: Duration, pause: Duration) -> bool {
        if count != self.count {
            *self = Activity { count, since: now };
        }
        now.saturating_sub(self.since) >= pause
    }
}

/// Runs until the worker stops; returns only when no storage is left.
pub(crate) async fn run(core: Arc<Core>) -> Stopped {
    let mut activity = Activity::default();
    loop {
        let (store, check) = (core.store.clone(), core.config.storage_checker);
        let now = core.host.clock.monotonic();
        let quiet = activity.is_quiet(core.metrics.activity(), now, core.config.load_cool_down);
        let share = core.config.tier_promote_quota_percent.filter(|_| quiet);
        let round = core.host.blocking(move || {
            let lost = if check { store.check_dirs() } else { Vec::new() };
            let freed = store.free_ahead();
            let raised =
                share.map_or(0, |percent| store.raise(f64::from(percent) / 100.0, RAISED_MAX));
            (lost, freed + raised, store.usage())
        });
        if let Ok((lost, moved, usage)) = round.await {
            if !lost.is_empty() || moved > 0 {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_begins_a_while_after_the_last_use() {
        let (mut activity, pause) = (Activity::default(), Duration::from_secs(10));
        let at = Duration::from_secs;
        assert!(!activity.is_quiet(0, at(5), pause), "not before it was watched that long");
        assert!(activity.is_quiet(0, at(10), pause));
        assert!(!activity.is_quiet(3, at(11), pause));
        assert!(!activity.is_quiet(3, at(20), pause));
        assert!(activity.is_quiet(3, at(21), pause));
    }
}
