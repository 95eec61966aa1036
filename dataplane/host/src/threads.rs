//! Work that blocks, as a port: on the threads of this process, or by turns in a simulation.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Something that takes its time, or waits for a disk.
pub type Work = Box<dyn FnOnce() + Send>;

/// A future that is waited for by work that may block.
pub type Awaited<'a> = Pin<&'a mut (dyn Future<Output = ()> + Send + 'a)>;

/// Threads for work that blocks. Called within a tokio runtime.
pub trait Threads: Send + Sync + 'static {
    /// Runs `work` soon, whether or not somebody waits for it.
    fn run(&self, work: Work);

    /// Blocks until `future`, which belongs to `runtime`, is ready. Only for what [`Threads::run`] runs.
    fn wait(&self, runtime: &Handle, future: Awaited<'_>);
}

/// The pool of threads of the tokio runtime.
pub struct PooledThreads;

impl Threads for PooledThreads {
    fn run(&self, work: Work) {
        // Detached: whoever waits does so on a channel.
        drop(tokio::task::spawn_blocking(work));
    }

    fn wait(&self, runtime: &Handle, future: Awaited<'_>) {
        runtime.block_on(future);
    }
}

/// The work ended without a result: it panicked, or the runtime stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("work on a thread ended without a result")]
pub struct WorkLost;

/// The result of work that was begun. Dropping it does not stop the work.
pub struct Blocking<T> {
    result: oneshot::Receiver<T>,
}

impl<T> Future for Blocking<T> {
    type Output = Result<T, WorkLost>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.result).poll(context).map(|result| result.map_err(|_| WorkLost))
    }
}

impl dyn Threads {
    /// Begins `work` and returns its result to come.
    pub fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Blocking<T> {
        let (done, result) = oneshot::channel();
        self.run(Box::new(move || {
            // Nobody may wait for it.
            let _ = done.send(work());
        }));
        Blocking { result }
    }

    /// Blocks until `future`, which belongs to `runtime`, is ready.
    pub fn wait_for<T: Send>(&self, runtime: &Handle, future: impl Future<Output = T> + Send) -> T {
        let mut output = None;
        {
            let ended = pin!(async { output = Some(future.await) });
            self.wait(runtime, ended);
        }
        output.expect("the wait lasts until the future has ended")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn work_ends_with_its_result_or_is_told_to_be_lost() {
        let threads: Arc<dyn Threads> = Arc::new(PooledThreads);
        assert_eq!(threads.blocking(|| 7).await, Ok(7));
        let lost = threads.blocking(|| -> u8 { std::panic::resume_unwind(Box::new("bad")) });
        assert_eq!(lost.await, Err(WorkLost));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn work_may_wait_for_what_is_async() {
        let threads: Arc<dyn Threads> = Arc::new(PooledThreads);
        let (runtime, inner) = (Handle::current(), threads.clone());
        let (told, heard) = oneshot::channel();
        let waited = threads.blocking(move || inner.wait_for(&runtime, heard));
        told.send(5).unwrap();
        assert_eq!(waited.await, Ok(Ok(5)));
    }
}
