//! A worker on a simulated machine: its real storage, and its real bond with the master. Its data protocol
//! is not simulated: a client's block comes to it by a shelf that both see.

use super::master::{Settings, USER};
use super::wire::{MachineId, address_of};
use alluxio_config::{Config, WorkerConfig};
use alluxio_host::Host;
use alluxio_telemetry::{LogControl, Metrics};
use alluxio_types::{BlockId, WorkerAddress, WorkerId};
use alluxio_worker::{Bond, Deps};
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// Pause before a worker that did not start is started again.
const AGAIN: Duration = Duration::from_millis(300);

/// A block on its way from a client, who hears which worker has it.
struct Delivery {
    block: BlockId,
    bytes: Vec<u8>,
    stored: oneshot::Sender<WorkerId>,
}

/// What clients and the world see of a worker. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Shelf(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    bond: Option<Arc<Bond>>,
    deliveries: VecDeque<Delivery>,
    news: Arc<Notify>,
    /// Why it ended by itself.
    ended: Option<String>,
}

impl Shelf {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the worker a block; the outcome is an error when it died over it.
    pub(super) fn deliver(&self, block: BlockId, bytes: Vec<u8>) -> oneshot::Receiver<WorkerId> {
        let (stored, outcome) = oneshot::channel();
        let mut inside = self.inside();
        inside.deliveries.push_back(Delivery { block, bytes, stored });
        inside.news.notify_one();
        outcome
    }

    /// A process that is gone stores nothing.
    pub(super) fn forget(&self) {
        let gone = std::mem::take(&mut *self.inside());
        // Outside of the lock, for it ends what it held.
        drop(gone);
    }

    pub(super) fn ended(&self) -> Option<String> {
        self.inside().ended.clone()
    }

    /// Its id and its blocks, once its storage is open.
    pub(super) fn holds(&self) -> Option<(WorkerId, BTreeSet<BlockId>)> {
        let bond = self.inside().bond.clone()?;
        let blocks = bond.store().blocks().flatten().map(|(block, _)| block).collect();
        Some((bond.worker_id(), blocks))
    }
}

fn config(machine: MachineId, settings: &Settings) -> WorkerConfig {
    let address = address_of(machine).to_string();
    let config = Config::of([
        ("alluxio.worker.hostname", address.clone()),
        ("alluxio.worker.bind.host", address),
        ("alluxio.worker.ramdisk.size", "64MB".to_owned()),
        ("alluxio.worker.tieredstore.level0.dirs.path", "/blocks".to_owned()),
        // Time in a simulation is dear.
        ("alluxio.worker.block.heartbeat.interval", "250ms".to_owned()),
        ("alluxio.worker.scrub.bytes.per.second", "0".to_owned()),
        ("alluxio.master.rpc.addresses", settings.addresses()),
        ("alluxio.security.login.username", USER.to_owned()),
    ]);
    config.and_then(|config| config.worker()).expect("these keys and values are known")
}

/// A worker's process, from its start to its end.
pub(super) async fn serve(host: Host, machine: MachineId, settings: Settings, shelf: Shelf) {
    let address = WorkerAddress {
        host: address_of(machine).to_string(),
        rpc_port: 29_999,
        data_port: 29_998,
        web_port: 30_000,
        domain_socket_path: String::new(),
    };
    loop {
        let deps = Deps {
            host: host.clone(),
            config: config(machine, &settings),
            metrics: Metrics::new("worker"),
            log: LogControl::none(),
            ufs: alluxio_ufs::UnderFsRegistry::new(alluxio_ufs::UfsSettings::default()),
            version: "sim".to_owned(),
        };
        match Bond::start(deps, address.clone()).await {
            Ok(bond) => {
                let why = work(Arc::new(bond), &shelf).await;
                tracing::warn!(why, "the worker ended");
                shelf.inside().ended = Some(why);
                return std::future::pending().await;
            }
            Err(error) => tracing::info!(%error, "the worker did not start"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Stores what comes, one block after the other.
async fn work(bond: Arc<Bond>, shelf: &Shelf) -> String {
    let news = {
        let mut inside = shelf.inside();
        inside.bond = Some(bond.clone());
        inside.news.clone()
    };
    let storing = async {
        loop {
            let next = shelf.inside().deliveries.pop_front();
            let Some(Delivery { block, bytes, stored }) = next else {
                news.notified().await;
                continue;
            };
            match bond.write(block, bytes).await {
                // Nobody may wait for it any more.
                Ok(()) => drop(stored.send(bond.worker_id())),
                Err(error) => tracing::info!(%block, %error, "the block is not stored"),
            }
        }
    };
    tokio::select! {
        biased;
        why = bond.wait() => why.to_string(),
        () = storing => String::new(),
    }
}
