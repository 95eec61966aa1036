//! Work that takes longer than a walk: it runs beside the controllers, and walks look at it.
//!
//! What runs is not remembered anywhere else. When the operator ends, its work ends, and the next operator begins
//! again; all work is such that what was done is found done.

use crate::dataset::admin::{BackupFact, Refused};
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::AbortHandle;

/// Work that runs at once. Each is a connection to a master and some files on their way, no more.
const RUNNING_MAX: usize = 64;
/// Files that failed and are remembered.
const FAILURES_MAX: usize = 20;
/// Work that no walk has looked at for so long is of an object that is gone.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(300);
/// Over how long the rate is measured.
const RATE_OVER: Duration = Duration::from_secs(10);

/// How far some work is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Files that are done.
    pub files_done: u64,
    /// Files in all, as far as they are known.
    pub files_total: u64,
    /// Bytes that are done.
    pub bytes_done: u64,
    /// Bytes in all, as far as they are known.
    pub bytes_total: u64,
    /// Files that failed, the first of them, and why.
    pub failures: Vec<(String, String)>,
    /// How many failed.
    pub failure_count: u64,
    /// Of a backup.
    pub backup: Option<BackupFact>,
    /// Bytes in a second, lately.
    pub rate: Option<u64>,
}

/// A report, and since when the rate is measured, from how many bytes.
#[derive(Default)]
struct Told {
    report: Report,
    since: Option<(Instant, u64)>,
}

/// Where work tells how far it is. Cloning is cheap and shares it.
#[derive(Clone, Default)]
pub struct Sink {
    state: Arc<Mutex<Told>>,
}

impl Sink {
    fn locked(&self) -> MutexGuard<'_, Told> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the report.
    pub fn tell(&self, change: impl FnOnce(&mut Report)) {
        let now = Instant::now();
        let Told { report, since } = &mut *self.locked();
        let before = report.bytes_done;
        change(report);
        let (at, bytes) = *since.get_or_insert((now, before));
        let took = now.duration_since(at);
        if took >= RATE_OVER {
            let moved = report.bytes_done.saturating_sub(bytes);
            // Whole bytes in a second are exact enough.
            report.rate = Some((moved as f64 / took.as_secs_f64()) as u64);
            *since = Some((now, report.bytes_done));
        }
    }

    /// A file failed.
    pub fn failed(&self, path: &str, why: &str) {
        self.tell(|report| {
            report.failure_count += 1;
            if report.failures.len() < FAILURES_MAX {
                report.failures.push((path.to_owned(), why.to_owned()));
            }
        });
    }

    /// How far it is.
    pub fn report(&self) -> Report {
        self.locked().report.clone()
    }
}

/// What a walk sees of some work.
#[derive(Debug, Clone)]
pub enum Look {
    /// It goes on.
    Running(Report),
    /// It ended.
    Ended {
        /// When.
        at: Instant,
        /// How far it came.
        report: Report,
        /// Why it came no further.
        outcome: Result<(), Refused>,
    },
}

/// How some work ended, and when.
type Outcome = Arc<Mutex<Option<(Instant, Result<(), Refused>)>>>;

struct Task {
    lane: String,
    sink: Sink,
    outcome: Outcome,
    handle: AbortHandle,
    looked_at: Instant,
}

impl Task {
    fn ended(&self) -> Option<(Instant, Result<(), Refused>)> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

/// Why work was not begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Busy {
    /// Other work is on its way in that lane; its key.
    Lane(String),
    /// Too much is on its way at all.
    Full,
}

/// All work of an operator. What is on its way ends with it.
#[derive(Default)]
pub struct Runner {
    tasks: Mutex<BTreeMap<String, Task>>,
}

impl Runner {
    fn locked(&self) -> MutexGuard<'_, BTreeMap<String, Task>> {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|_, task| task.looked_at.elapsed() < FORGOTTEN_AFTER);
        tasks
    }

    /// Begins work named `key`, unless it is on its way or known to have ended already. In one `lane` only one is on
    /// its way.
    ///
    /// **Errors**: that it has to wait.
    pub fn start(
        &self,
        key: &str,
        lane: &str,
        work: impl FnOnce(Sink) -> BoxFuture<'static, Result<(), Refused>>,
    ) -> Result<(), Busy> {
        let mut tasks = self.locked();
        if tasks.contains_key(key) {
            return Ok(());
        }
        let running = || tasks.iter().filter(|(_, task)| task.ended().is_none());
        if let Some((other, _)) = running().find(|(_, task)| task.lane == lane) {
            return Err(Busy::Lane(other.clone()));
        }
        if running().count() >= RUNNING_MAX {
            return Err(Busy::Full);
        }
        let sink = Sink::default();
        let outcome = Outcome::default();
        let (work, ends) = (work(sink.clone()), outcome.clone());
        // It is held by the task below: it never outlives the runner.
        let handle = tokio::spawn(async move {
            let ended = work.await;
            *ends.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), ended));
        });
        let task = Task {
            lane: lane.to_owned(),
            sink,
            outcome,
            handle: handle.abort_handle(),
            looked_at: Instant::now(),
        };
        tasks.insert(key.to_owned(), task);
        Ok(())
    }

    /// How far some work is; `None`: it was never begun here, or stopped.
    pub fn look(&self, key: &str) -> Option<Look> {
        let mut tasks = self.locked();
        let task = tasks.get_mut(key)?;
        task.looked_at = Instant::now();
        let report = task.sink.report();
        Some(match task.ended() {
            None => Look::Running(report),
            Some((at, outcome)) => Look::Ended { at, report, outcome },
        })
    }

    /// Ends some work and forgets it.
    pub fn stop(&self, key: &str) {
        self.locked().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    async fn until_ended(runner: &Runner, key: &str) -> Look {
        loop {
            match runner.look(key) {
                Some(look @ Look::Ended { .. }) => return look,
                _ => tokio::task::yield_now().await,
            }
        }
    }

    #[tokio::test]
    async fn work_is_done_once_and_one_after_the_other_in_a_lane() {
        let runner = Runner::default();
        let (go, wait) = oneshot::channel::<()>();
        let work = move |sink: Sink| -> BoxFuture<'static, Result<(), Refused>> {
            Box::pin(async move {
                let _ = wait.await;
                sink.tell(|report| report.files_done = 7);
                Ok(())
            })
        };
        runner.start("a", "lane", work).unwrap();
        runner.start("a", "lane", |_| unreachable!("it runs already")).unwrap();
        let second = runner.start("b", "lane", |_| Box::pin(async { Ok(()) }));
        assert_eq!(second, Err(Busy::Lane("a".into())));
        assert!(matches!(runner.look("a"), Some(Look::Running(_))));
        go.send(()).unwrap();
        let Look::Ended { report, outcome, .. } = until_ended(&runner, "a").await else {
            unreachable!()
        };
        assert_eq!((report.files_done, outcome), (7, Ok(())));
        runner.start("b", "lane", |_| Box::pin(async { Ok(()) })).unwrap();
        until_ended(&runner, "b").await;
    }

    #[tokio::test]
    async fn work_that_is_stopped_ends() {
        struct Tell(Option<oneshot::Sender<()>>);
        impl Drop for Tell {
            fn drop(&mut self) {
                let _ = self.0.take().map(|tell| tell.send(()));
            }
        }
        let runner = Runner::default();
        let (ended, wait) = oneshot::channel();
        let work = move |_: Sink| -> BoxFuture<'static, Result<(), Refused>> {
            Box::pin(async move {
                let _tell = Tell(Some(ended));
                std::future::pending::<()>().await;
                Ok(())
            })
        };
        runner.start("a", "lane", work).unwrap();
        tokio::task::yield_now().await;
        runner.stop("a");
        assert!(runner.look("a").is_none());
        wait.await.unwrap();
    }

    #[test]
    fn failures_are_counted_and_the_first_of_them_kept() {
        let sink = Sink::default();
        (0..100).for_each(|number| sink.failed(&format!("/{number}"), "gone"));
        let report = sink.report();
        assert_eq!((report.failure_count, report.failures.len()), (100, FAILURES_MAX));
    }
}
