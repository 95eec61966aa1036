//! Work that blocks, by turns: each piece has a thread of its own, but of all threads only one runs at
//! any moment, and which one is decided by the runtime of its machine.
//!
//! A task stands for the work. Polled, it lets the work's thread run until that ends or waits for a
//! future; the future's waker wakes the task. So there is no parallelism, and the same order each time.

use alluxio_host::Threads;
use alluxio_host::threads::{Awaited, Work};
use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use tokio::runtime::Handle;

thread_local! {
    /// The work that this thread does.
    static PIECE: RefCell<Option<Arc<Piece>>> = const { RefCell::new(None) };
}

/// Whose turn it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// That of the thread which does the work.
    Work,
    /// That of the machine; the work waits.
    Machine,
    /// That of the machine; the work is done.
    Done,
}

/// A piece of work that is under way.
struct Piece {
    turn: Mutex<Turn>,
    passed: Condvar,
    /// Of the task that stands for it.
    task: Mutex<Option<Waker>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Piece {
    fn give_turn(&self, to: Turn) {
        *lock(&self.turn) = to;
        self.passed.notify_all();
    }

    /// Waits until `mine` holds.
    fn await_turn(&self, mine: impl Fn(Turn) -> bool) -> Turn {
        let mut turn = lock(&self.turn);
        while !mine(*turn) {
            turn = self.passed.wait(turn).unwrap_or_else(PoisonError::into_inner);
        }
        *turn
    }
}

impl Wake for Piece {
    fn wake(self: Arc<Self>) {
        if let Some(task) = &*lock(&self.task) {
            task.wake_by_ref();
        }
    }
}

type Job = (Handle, Arc<Piece>, Work);

/// Threads of this process that wait for work.
#[derive(Clone, Default)]
pub(super) struct Crew(Arc<Mutex<Vec<mpsc::Sender<Job>>>>);

impl Crew {
    /// Lets an idle thread, or a new one, do a job. It begins when it gets its turn.
    fn give(&self, mut job: Job) {
        while let Some(idle) = lock(&self.0).pop() {
            match idle.send(job) {
                Ok(()) => return,
                Err(mpsc::SendError(back)) => job = back,
            }
        }
        let (jobs, queue) = mpsc::channel::<Job>();
        let (crew, again) = (self.clone(), jobs.clone());
        std::thread::spawn(move || {
            while let Ok((runtime, piece, work)) = queue.recv() {
                piece.await_turn(|turn| turn == Turn::Work);
                let _entered = runtime.enter();
                PIECE.with(|own| *own.borrow_mut() = Some(piece.clone()));
                // The panic was told by its hook; who waits for the work finds it lost.
                let _ = catch_unwind(AssertUnwindSafe(work));
                PIECE.with(|own| *own.borrow_mut() = None);
                lock(&crew.0).push(again.clone());
                piece.give_turn(Turn::Done);
            }
        });
        // The thread was made just now and has its end of the channel.
        let _ = jobs.send(job);
    }
}

/// Stands for a piece of work in its machine's runtime. Dropped before its end, as in a crash, the
/// work never goes on.
struct Driven {
    crew: Crew,
    piece: Arc<Piece>,
    work: Option<Work>,
}

impl Future for Driven {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        *lock(&self.piece.task) = Some(context.waker().clone());
        if let Some(work) = self.work.take() {
            self.crew.give((Handle::current(), self.piece.clone(), work));
        }
        self.piece.give_turn(Turn::Work);
        match self.piece.await_turn(|turn| turn != Turn::Work) {
            Turn::Done => Poll::Ready(()),
            Turn::Machine | Turn::Work => Poll::Pending,
        }
    }
}

/// How long work of a machine takes to begin: a disk may be slow.
pub(super) type Delay = Arc<dyn Fn() -> Duration + Send + Sync>;

/// The threads of one machine.
pub(super) struct Turns {
    pub(super) crew: Crew,
    pub(super) delay: Delay,
}

impl Threads for Turns {
    fn run(&self, work: Work) {
        let piece = Arc::new(Piece {
            turn: Mutex::new(Turn::Machine),
            passed: Condvar::new(),
            task: Mutex::new(None),
        });
        let (driven, delay) =
            (Driven { crew: self.crew.clone(), piece, work: Some(work) }, (self.delay)());
        tokio::spawn(async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            driven.await;
        });
    }

    fn wait(&self, _runtime: &Handle, mut future: Awaited<'_>) {
        let piece = PIECE.with(|own| own.borrow().clone());
        let piece = piece.expect("only work that was given to Threads::run waits");
        let waker = Waker::from(piece.clone());
        while future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            piece.give_turn(Turn::Machine);
            piece.await_turn(|turn| turn == Turn::Work);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    fn threads() -> Arc<dyn Threads> {
        Arc::new(Turns { crew: Crew::default(), delay: Arc::new(|| Duration::ZERO) })
    }

    #[tokio::test(start_paused = true)]
    async fn work_waits_for_tasks_and_for_time_that_does_not_pass() {
        let (threads, runtime) = (threads(), Handle::current());
        let (told, heard) = oneshot::channel();
        let inner = threads.clone();
        let work = threads.blocking(move || {
            inner.wait_for(&runtime, tokio::time::sleep(Duration::from_secs(3600)));
            inner.wait_for(&runtime, heard)
        });
        tokio::spawn(async move { told.send(7) });
        assert_eq!(work.await, Ok(Ok(7)));
    }

    #[test]
    fn work_of_a_machine_that_is_gone_never_goes_on() {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().start_paused(true).build().unwrap();
        let threads = threads();
        let (never, mut ended) = oneshot::channel::<()>();
        runtime.block_on(async {
            let (inner, handle) = (threads.clone(), Handle::current());
            threads.run(Box::new(move || {
                inner.wait_for(&handle, tokio::time::sleep(Duration::from_secs(9)));
                let _ = never.send(());
            }));
            tokio::time::sleep(Duration::from_secs(1)).await;
        });
        drop(runtime);
        assert!(ended.try_recv().is_err());
    }
}
