//! A master on a simulated machine: the real one, with the real election and journal in etcd.

use super::etcd;
use super::wire::{MachineId, address_of};
use alluxio_config::{Config, MasterConfig};
use alluxio_election::{
    Candidate, ElectionError, Elector, EtcdElector, EtcdElectorOptions, Leader, Tenure,
};
use alluxio_etcd::{Etcd, EtcdSettings};
use alluxio_host::Host;
use alluxio_journal::folder::QueueLimits;
use alluxio_journal::{EtcdJournal, EtcdJournalOptions};
use alluxio_master::{Deps, Handle, OpenJournal, OpenedJournal};
use alluxio_rpc::HostPort;
use alluxio_rpc::primary::master_channel;
use alluxio_telemetry::Metrics;
use alluxio_telemetry::registry::Sample;
use alluxio_types::Term;
use async_trait::async_trait;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// The port of every master.
pub(super) const PORT: u16 = 19998;
/// In whose name all is done.
pub(super) const USER: &str = "root";
/// Where a master keeps its checkpoints.
const FOLDER: &str = "/journal";
/// Calls under way may take so long when a master stops.
const STOP_WITHIN: Duration = Duration::from_millis(500);
/// Pause before a master that did not start is started again.
const AGAIN: Duration = Duration::from_millis(300);

/// What all masters of a run share.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) etcd: MachineId,
    pub(super) masters: Vec<MachineId>,
    /// Entries between two checkpoints.
    pub(super) checkpoint_entries: u64,
    pub(super) lease: Duration,
}

impl Settings {
    pub(super) fn addresses(&self) -> String {
        self.masters.iter().map(|machine| self.address(*machine)).collect::<Vec<_>>().join(",")
    }

    pub(super) fn address(&self, machine: MachineId) -> String {
        format!("{}:{PORT}", address_of(machine))
    }

    fn config(&self, machine: MachineId) -> MasterConfig {
        let address = address_of(machine).to_string();
        let config = Config::of([
            ("alluxio.master.hostname", address.clone()),
            ("alluxio.master.bind.host", address.clone()),
            ("alluxio.master.web.bind.host", address),
            ("alluxio.master.rpc.port", PORT.to_string()),
            ("alluxio.master.rpc.addresses", self.addresses()),
            ("alluxio.master.mount.table.root.ufs", "memory://root/".to_owned()),
            (
                "alluxio.master.journal.checkpoint.period.entries",
                self.checkpoint_entries.to_string(),
            ),
            ("alluxio.security.login.username", USER.to_owned()),
        ]);
        let config = config.and_then(|config| config.master());
        config.expect("these keys and values are known")
    }
}

/// What the world sees of a master.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    handle: Option<Arc<Handle>>,
    metrics: Option<Metrics>,
    tenure: Option<Tenure>,
    /// Why it ended by itself.
    failed: Option<String>,
    /// It shall stop, as by SIGTERM.
    stop: Arc<Notify>,
    /// It did.
    stopped: bool,
}

impl Seen {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn handle(&self) -> Option<Arc<Handle>> {
        self.inside().handle.clone()
    }

    /// The tenure that it was given last.
    pub(super) fn tenure(&self) -> Option<Tenure> {
        self.inside().tenure.clone()
    }

    pub(super) fn failed(&self) -> Option<String> {
        self.inside().failed.clone()
    }

    /// Orders it to stop in good order.
    pub(super) fn stop(&self) {
        self.inside().stop.notify_one();
    }

    /// Whether it has stopped in good order.
    pub(super) fn stopped(&self) -> bool {
        self.inside().stopped
    }

    /// Whether it serves as the primary.
    pub(super) fn is_primary(&self) -> bool {
        self.handle().is_some_and(|handle| handle.is_primary())
    }

    /// How many checkpoints this process gave to other masters.
    pub(super) fn checkpoints_given(&self) -> u64 {
        let metrics = self.inside().metrics.clone();
        let samples = metrics.map(|metrics| metrics.samples()).unwrap_or_default();
        let given = |sample: &&Sample| {
            sample.name.ends_with("rpc_requests_total")
                && sample.labels.contains("FetchCheckpoint")
                && sample.labels.contains("OK")
        };
        samples.iter().filter(given).map(|sample| sample.value as u64).sum()
    }

    /// A process that is gone shows nothing.
    pub(super) fn forget(&self) {
        let gone = std::mem::take(&mut *self.inside());
        // Outside of the lock, for it ends what it held.
        drop(gone);
    }
}

/// An elector whose tenures the world sees.
struct Watched {
    elector: EtcdElector,
    seen: Seen,
}

#[async_trait]
impl Elector for Watched {
    async fn campaign(&self, last: Term) -> Result<Tenure, ElectionError> {
        let tenure = self.elector.campaign(last).await?;
        self.seen.inside().tenure = Some(tenure.clone());
        Ok(tenure)
    }

    fn leader(&self) -> watch::Receiver<Option<Leader>> {
        self.elector.leader()
    }

    async fn challenge(&self, leader: &Leader) -> Result<(), ElectionError> {
        self.elector.challenge(leader).await
    }

    async fn resign(&self, tenure: &Tenure) -> Result<(), ElectionError> {
        self.elector.resign(tenure).await
    }
}

fn connect(host: &Host, settings: &Settings) -> Arc<Etcd> {
    let endpoint = format!("{}:{}", address_of(settings.etcd), etcd::PORT);
    let etcd = Etcd::new(&EtcdSettings::plain(vec![endpoint], "sim"));
    let net = host.net.clone();
    let make = move |endpoint: &str| {
        let address = HostPort::parse(endpoint).expect("written above");
        master_channel(&net, &address).expect("an address of numbers")
    };
    Arc::new(etcd.expect("one endpoint and a name").over(make))
}

/// Makes the journal of a new cluster, however long etcd takes to answer.
pub(super) async fn format(
    host: Host,
    settings: Settings,
    done: Arc<std::sync::atomic::AtomicBool>,
) {
    let etcd = connect(&host, &settings);
    let folder = PathBuf::from(FOLDER);
    while let Err(error) =
        alluxio_journal::etcd::format(&etcd, &host, folder.clone(), "sim-1").await
    {
        tracing::info!(%error, "not formatted yet");
        tokio::time::sleep(AGAIN).await;
    }
    done.store(true, std::sync::atomic::Ordering::SeqCst);
}

/// A master's process, from its start to its end.
pub(super) async fn serve(host: Host, machine: MachineId, settings: Settings, seen: Seen) {
    let etcd = connect(&host, &settings);
    loop {
        match start(&host, machine, &settings, &etcd, &seen).await {
            Ok(handle) => {
                serve_until_its_end(Arc::new(handle), &seen).await;
                // The process ends when the world sees it.
                return std::future::pending().await;
            }
            Err(error) => tracing::info!(%error, "the master did not start"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn serve_until_its_end(handle: Arc<Handle>, seen: &Seen) {
    let stop = {
        let mut inside = seen.inside();
        inside.handle = Some(handle.clone());
        inside.stop.clone()
    };
    let failed = tokio::select! {
        biased;
        () = stop.notified() => None,
        reason = handle.failed() => Some(reason),
    };
    if let Some(reason) = failed {
        tracing::warn!(reason, "the master ended");
        seen.inside().failed = Some(reason);
        return;
    }
    seen.inside().handle = None;
    // The world holds it only while this machine stands still.
    let handle = Arc::into_inner(handle).expect("nobody else holds it");
    handle.stop(STOP_WITHIN).await;
    seen.inside().stopped = true;
}

async fn start(
    host: &Host,
    machine: MachineId,
    settings: &Settings,
    etcd: &Arc<Etcd>,
    seen: &Seen,
) -> Result<Handle, alluxio_master::StartError> {
    let config = settings.config(machine);
    let listener = alluxio_master::bind(&host.net, &config).await?;
    let rpc_address = listener.address().to_string();
    let itself = Candidate { id: rpc_address.clone(), rpc_address };
    let options = EtcdElectorOptions { lease: settings.lease };
    let clock = host.clock.clone();
    let elector = EtcdElector::start(etcd.clone(), itself.clone(), clock, options);
    let metrics = Metrics::new("master");
    seen.inside().metrics = Some(metrics.clone());
    let deps = Deps {
        elector: Arc::new(Watched { elector, seen: seen.clone() }),
        journal: journal(host, etcd, &itself),
        itself,
        metrics,
        log: alluxio_telemetry::LogControl::none(),
        properties: Vec::new(),
        user: USER.to_owned(),
        host: host.clone(),
        config,
    };
    alluxio_master::start(listener, deps).await
}

fn journal(host: &Host, etcd: &Arc<Etcd>, itself: &Candidate) -> OpenJournal {
    let options = EtcdJournalOptions {
        etcd: etcd.clone(),
        folder: PathBuf::from(FOLDER),
        master: itself.id.clone(),
        queue: QueueLimits::default(),
        backlog_bytes: 64 << 20,
    };
    let (host, runtime) = (host.clone(), tokio::runtime::Handle::current());
    Arc::new(move || {
        let opening = EtcdJournal::open(options.clone(), &host, Arc::new(()));
        let store = host.threads.wait_for(&runtime, opening)?;
        let cluster_id = store.facts().cluster_id.clone();
        Ok(OpenedJournal { store: Arc::new(store), cluster_id })
    })
}
