//! Threads of the client, and how Python waits for them.

use crate::error;
use alluxio_client::ClientError;
use pyo3::prelude::*;
use std::future::Future;
use std::mem;
use std::pin::pin;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// How often a waiting call looks whether the user pressed ctrl-C.
const LOOK: Duration = Duration::from_millis(200);

/// Threads that serve connections. They only move bytes and messages; callers work on their own thread.
const THREADS: usize = 2;

/// Runs what the client does.
pub(crate) struct Engine {
    runtime: Option<Runtime>,
}

impl Engine {
    pub(crate) fn start() -> PyResult<Engine> {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(THREADS).thread_name("alluxio-client").enable_all();
        Ok(Engine { runtime: Some(runtime.build()?) })
    }

    /// Runs `work` to its end. Other Python threads go on meanwhile; a signal whose handler raises ends it.
    pub(crate) fn wait<T: Send>(
        &self,
        py: Python<'_>,
        work: impl Future<Output = Result<T, ClientError>> + Send,
    ) -> PyResult<T> {
        let Some(runtime) = &self.runtime else { return Err(error::gone()) };
        let mut work = pin!(work);
        loop {
            let outcome = py.detach(|| {
                runtime.block_on(async { tokio::time::timeout(LOOK, work.as_mut()).await })
            });
            match outcome {
                Ok(done) => return done.map_err(|failure| error::raise(py, &failure)),
                Err(_) => py.check_signals()?,
            }
        }
    }

    /// Lets `make` start tasks.
    pub(crate) fn inside<T>(&self, make: impl FnOnce() -> T) -> T {
        let _inside = self.runtime.as_ref().map(Runtime::enter);
        make()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A value that belongs to the process that made it.
///
/// A fork copies memory and no threads: in the child a client is a picture of one, whose locks may be held
/// by nobody and whose sockets are the parent's. So there it is neither used nor dropped.
pub(crate) struct Owned<T> {
    value: Option<T>,
    process: u32,
}

impl<T> Owned<T> {
    pub(crate) fn new(value: T) -> Self {
        Owned { value: Some(value), process: std::process::id() }
    }

    /// The value. **Errors**: in another process than its own.
    pub(crate) fn get(&self) -> PyResult<&T> {
        match &self.value {
            Some(value) if self.is_ours() => Ok(value),
            _ => Err(error::gone()),
        }
    }

    /// The value in any process, for what is no more than memory.
    pub(crate) fn picture(&self) -> Option<&T> {
        self.value.as_ref()
    }

    /// The same, to change it.
    pub(crate) fn get_mut(&mut self) -> PyResult<&mut T> {
        let ours = self.is_ours();
        self.value.as_mut().filter(|_| ours).ok_or_else(error::gone)
    }

    /// Takes the value out.
    pub(crate) fn take(&mut self) -> PyResult<T> {
        if !self.is_ours() {
            return Err(error::gone());
        }
        self.value.take().ok_or_else(error::gone)
    }

    fn is_ours(&self) -> bool {
        self.process == std::process::id()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if !self.is_ours() {
            mem::forget(self.value.take());
        }
    }
}
