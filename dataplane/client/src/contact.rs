//! How a worker is reached: by its Unix socket when it is on this host and that works, else by TCP.

use crate::fs::Inner;
use crate::locality::{Nearby, Way};
use crate::tokens::{Purpose, Token};
use alluxio_datapath::client::{Reading, Session, Target};
use alluxio_datapath::{Error, ReadRequest};
use alluxio_types::{InodeId, WorkerAddress, WorkerId};
use std::path::Path;

impl Inner {
    /// The workers of this host.
    pub(crate) fn nearby(&self) -> Nearby {
        self.locality.nearby(self.host.clock.monotonic())
    }

    fn way(&self, worker: WorkerId, address: &WorkerAddress) -> Way {
        let way = self.locality.way(worker, address, self.host.clock.monotonic());
        if let Way::Fallback(reason) = way {
            self.locality.count(reason);
        }
        way
    }

    /// Whether the socket is to blame: then the worker is asked by TCP.
    fn socket_failed<T>(&self, path: &Path, outcome: &Result<T, Error>) -> bool {
        let Err(error) = outcome else {
            self.locality.works(path);
            return false;
        };
        match self.locality.note(path, error, self.host.clock.monotonic()) {
            Some(reason) => {
                self.locality.count(reason);
                true
            }
            None => false,
        }
    }

    /// Asks a worker for bytes; returns the way that was used, too. `in_place` allows to take the
    /// descriptor of a block of this host.
    pub(crate) async fn read_from(
        &self,
        worker: WorkerId,
        address: &WorkerAddress,
        in_place: bool,
        token: Option<Token>,
        mut request: ReadRequest,
    ) -> (Target, Result<Reading, Error>) {
        let data = self.data.presenting(token);
        if let Way::Unix(path) = self.way(worker, address) {
            request.want_fd = in_place && self.config.short_circuit;
            let unix = Target::Unix(path.clone());
            let outcome = data.read_of(Some(worker), &unix, request.clone()).await;
            if !self.socket_failed(&path, &outcome) {
                return (unix, outcome);
            }
        }
        request.want_fd = false;
        let tcp = Target::tcp(address);
        let outcome = data.read_of(Some(worker), &tcp, request).await;
        (tcp, outcome)
    }

    /// Asks a worker to cache a block in the background.
    pub(crate) async fn cache_on(
        &self,
        worker: WorkerId,
        address: &WorkerAddress,
        token: Option<Token>,
        request: ReadRequest,
    ) -> Result<(), Error> {
        let target = match self.way(worker, address) {
            Way::Unix(path) => Target::Unix(path),
            Way::Remote | Way::Fallback(_) => Target::tcp(address),
        };
        self.data.presenting(token).cache(&target, request).await
    }

    /// Starts a write session for a file on a worker.
    pub(crate) async fn session_on(
        &self,
        file: InodeId,
        worker: WorkerId,
        address: &WorkerAddress,
    ) -> Result<Session, Error> {
        let data = self.data.presenting(self.token(file, Purpose::Write).await);
        if let Way::Unix(path) = self.way(worker, address) {
            let outcome = data.session_of(Some(worker), &Target::Unix(path.clone())).await;
            if !self.socket_failed(&path, &outcome) {
                return outcome;
            }
        }
        data.session_of(Some(worker), &Target::tcp(address)).await
    }
}
