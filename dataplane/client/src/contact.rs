//! How a worker is reached: by its Unix socket when it is on this host and that works, else by TCP.

use crate::fs::Inner;
use alluxio_datapath::client::{Reading, Session, Target};
use alluxio_datapath::{Error, ReadRequest};
use alluxio_types::{WorkerAddress, WorkerId};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a Unix socket that could not be connected is left alone. A worker that restarts is
/// back sooner; a container that cannot see the socket's folder pays one failed call per period.
const UNIX_PAUSE: Duration = Duration::from_secs(10);

/// Unix sockets that could not be connected, and until when they are left alone (monotonic).
#[derive(Default)]
pub(crate) struct UnixTrouble {
    until: Mutex<HashMap<PathBuf, Duration>>,
}

impl UnixTrouble {
    fn is_fine(&self, path: &PathBuf, now: Duration) -> bool {
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.get(path).is_none_or(|until| *until <= now)
    }

    fn note(&self, path: PathBuf, now: Duration) {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.retain(|_, until| *until > now);
        until.insert(path, now + UNIX_PAUSE);
    }
}

impl Inner {
    fn is_local(&self, address: &WorkerAddress) -> bool {
        address.host == self.config.hostname
    }

    /// The socket of a worker of this host, if it has one that is not in trouble.
    fn unix_target(&self, address: &WorkerAddress, local: bool) -> Option<Target> {
        let target = local.then(|| Target::unix(address)).flatten()?;
        let Target::Unix(path) = &target else { return None };
        self.unix_trouble.is_fine(path, self.host.clock.monotonic()).then_some(target)
    }

    fn note_unix_trouble(&self, target: &Target, error: &Error) -> bool {
        match (target, error) {
            (Target::Unix(path), Error::Connect { .. }) => {
                self.unix_trouble.note(path.clone(), self.host.clock.monotonic());
                true
            }
            _ => false,
        }
    }

    /// Asks a worker for bytes; returns the way that was used, too. `in_place` allows to take the
    /// descriptor of a block of this host.
    pub(crate) async fn read_from(
        &self,
        worker: WorkerId,
        address: &WorkerAddress,
        in_place: bool,
        mut request: ReadRequest,
    ) -> (Target, Result<Reading, Error>) {
        let local = self.is_local(address);
        request.want_fd = local && in_place && self.config.short_circuit;
        if let Some(unix) = self.unix_target(address, local) {
            let outcome = self.data.read_of(Some(worker), &unix, request.clone()).await;
            match &outcome {
                Err(error) if self.note_unix_trouble(&unix, error) => {}
                _ => return (unix, outcome),
            }
        }
        let tcp = Target::tcp(address);
        let outcome = self.data.read_of(Some(worker), &tcp, request).await;
        (tcp, outcome)
    }

    /// Asks a worker to cache a block in the background.
    pub(crate) async fn cache_on(
        &self,
        address: &WorkerAddress,
        request: ReadRequest,
    ) -> Result<(), Error> {
        let target = self
            .unix_target(address, self.is_local(address))
            .unwrap_or_else(|| Target::tcp(address));
        self.data.cache(&target, request).await
    }

    /// Starts a write session on a worker.
    pub(crate) async fn session_on(
        &self,
        worker: WorkerId,
        address: &WorkerAddress,
    ) -> Result<Session, Error> {
        if let Some(unix) = self.unix_target(address, self.is_local(address)) {
            let outcome = self.data.session_of(Some(worker), &unix).await;
            match &outcome {
                Err(error) if self.note_unix_trouble(&unix, error) => {}
                _ => return outcome,
            }
        }
        self.data.session_of(Some(worker), &Target::tcp(address)).await
    }
}
