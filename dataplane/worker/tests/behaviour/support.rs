//! One or more workers, a master and an under store, in a temporary directory.

use crate::gated_ufs::{Gate, GatedUfs};
use crate::master::{Master, Serving};
use alluxio_config::{Config, WorkerConfig};
use alluxio_datapath::client::{ClientOptions, DataClient, Reading, Target};
use alluxio_datapath::{ReadRequest, UfsSource};
use alluxio_host::Host;
use alluxio_proto::v1::worker::worker_client::WorkerClient;
use alluxio_rpc::{Caller, HostPort, Peers};
use alluxio_telemetry::{LogControl, Metrics};
use alluxio_types::{
    AlluxioPath, BlockId, BlockRange, InodeId, MountId, MountInfo, MountOptions, ReadType,
    WorkerAddress,
};
use alluxio_ufs::{FaultPlan, FaultyUfs, UfsSettings, UnderFs, UnderFsRegistry};
use alluxio_worker::{Deps, Handle, Stopped};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const MOUNT: MountId = MountId(1);
pub(crate) const READ_ONLY_MOUNT: MountId = MountId(2);
/// Size of the blocks of test files: 16 chunks and a bit.
pub(crate) const BLOCK: u64 = 1024 * 1024 + 777;

pub(crate) struct Cluster {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) master: Arc<Master>,
    pub(crate) serving: Option<Serving>,
    pub(crate) plan: FaultPlan,
    pub(crate) gate: Arc<Gate>,
    properties: Vec<(String, String)>,
    masters: String,
}

pub(crate) struct Worker {
    pub(crate) handle: Handle,
    pub(crate) metrics: Metrics,
    pub(crate) data: DataClient,
}

impl Cluster {
    pub(crate) async fn new(properties: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let master = Master::new("red");
        let serving = master.serve(None).await;
        let ufs = dir.path().join("ufs");
        std::fs::create_dir(&ufs).unwrap();
        for (id, read_only) in [(MOUNT, false), (READ_ONLY_MOUNT, true)] {
            let info = MountInfo {
                id,
                path: AlluxioPath::root(),
                ufs_uri: ufs.display().to_string(),
                read_only,
                shared: false,
                options: MountOptions::default(),
            };
            master.notes().mounts.insert(id.0, info);
        }
        let masters = serving.address.to_string();
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Cluster {
            dir,
            master,
            serving: Some(serving),
            plan: FaultPlan::new(),
            gate: Gate::open(),
            properties: properties.iter().map(own).collect(),
            masters,
        }
    }

    /// The master is gone.
    pub(crate) fn stop_master(&mut self) {
        self.serving = None;
    }

    /// The master is back at its old address.
    pub(crate) async fn restart_master(&mut self) {
        self.serving = Some(self.master.serve(Some(self.masters.parse().unwrap())).await);
    }

    pub(crate) fn tier_dir(&self, worker: &str, tier: usize) -> PathBuf {
        self.dir.path().join(worker).join(format!("t{tier}"))
    }

    pub(crate) fn block_file(&self, worker: &str, tier: usize, block: BlockId) -> PathBuf {
        self.tier_dir(worker, tier).join("alluxioworker").join(block.0.to_string())
    }

    /// Two tiers of 10 MB and 20 MB, unless a property says otherwise.
    pub(crate) fn config(&self, worker: &str) -> WorkerConfig {
        let own = |key: &str, value: String| (key.to_owned(), value);
        let path = |path: PathBuf| path.display().to_string();
        let mut all = vec![
            own("alluxio.master.rpc.addresses", self.masters.clone()),
            own("alluxio.worker.hostname", "127.0.0.1".into()),
            own("alluxio.worker.bind.host", "127.0.0.1".into()),
            own("alluxio.worker.rpc.port", "0".into()),
            own("alluxio.worker.data.port", "0".into()),
            own("alluxio.worker.web.port", "0".into()),
            own("alluxio.worker.block.heartbeat.interval", "200ms".into()),
            own("alluxio.worker.free.space.timeout", "0".into()),
            own("alluxio.worker.tieredstore.levels", "2".into()),
            own("alluxio.worker.tieredstore.level0.dirs.path", path(self.tier_dir(worker, 0))),
            own("alluxio.worker.tieredstore.level0.dirs.quota", "10MB".into()),
            own("alluxio.worker.tieredstore.level1.dirs.path", path(self.tier_dir(worker, 1))),
            own("alluxio.worker.tieredstore.level1.dirs.quota", "20MB".into()),
            own("alluxio.tmp.dirs", path(self.dir.path().to_owned())),
        ];
        for (key, value) in &self.properties {
            all.retain(|(known, _)| known != key);
            all.push((key.clone(), value.clone()));
        }
        Config::of(all).unwrap().worker().unwrap()
    }

    fn registry(&self) -> UnderFsRegistry {
        let inner = UnderFsRegistry::new(UfsSettings::default());
        let mut registry = inner.clone();
        let (plan, gate) = (self.plan.clone(), self.gate.clone());
        registry.add(
            "file",
            Arc::new(move |location, options| {
                let inner = inner.open(location.as_str(), options)?;
                let faulty: Arc<dyn UnderFs> = Arc::new(FaultyUfs::new(inner, plan.clone()));
                Ok(Arc::new(GatedUfs { inner: faulty, gate: gate.clone() }))
            }),
        );
        registry
    }

    pub(crate) async fn start(&self, name: &str) -> Worker {
        let metrics = Metrics::new("worker");
        let handle = alluxio_worker::start(Deps {
            host: Host::real(),
            config: self.config(name),
            metrics: metrics.clone(),
            log: LogControl::none(),
            ufs: self.registry(),
            version: "test".into(),
        })
        .await
        .unwrap();
        let options = ClientOptions { user: "ann".into(), ..ClientOptions::default() };
        Worker { handle, metrics, data: DataClient::new(options) }
    }

    /// A worker that the master knows.
    pub(crate) async fn worker(&self, name: &str) -> Worker {
        let worker = self.start(name).await;
        worker.ready().await.unwrap();
        worker
    }

    /// A file in the UFS with these bytes; the source of its only block.
    pub(crate) async fn ufs_file(&self, name: &str, bytes: &[u8]) -> UfsSource {
        let path = self.dir.path().join("ufs").join(name);
        std::fs::write(&path, bytes).unwrap();
        self.source(name).await
    }

    /// The source of a file as it is now.
    pub(crate) async fn source(&self, name: &str) -> UfsSource {
        let root = self.dir.path().join("ufs");
        let ufs_path = root.join(name).display().to_string();
        let ufs = UnderFsRegistry::new(UfsSettings::default())
            .open(&root.display().to_string(), &MountOptions::default())
            .unwrap();
        let facts = ufs.status(&ufs_path).await.unwrap();
        UfsSource {
            mount: MOUNT,
            ufs_path,
            offset_in_file: 0,
            file_length: facts.length,
            fingerprint: facts.fingerprint,
        }
    }
}

impl Worker {
    pub(crate) async fn ready(&self) -> Result<(), Stopped> {
        let limit = Duration::from_secs(20);
        tokio::time::timeout(limit, self.handle.ready()).await.expect("the worker never got ready")
    }

    pub(crate) fn address(&self) -> WorkerAddress {
        self.handle.address().clone()
    }

    pub(crate) fn tcp(&self) -> Target {
        Target::tcp(self.handle.address())
    }

    pub(crate) fn unix(&self) -> Target {
        Target::unix(self.handle.address()).unwrap()
    }

    /// All bytes of a read over TCP.
    pub(crate) async fn read(
        &self,
        request: &ReadRequest,
    ) -> Result<Vec<u8>, alluxio_datapath::Error> {
        match self.data.read(&self.tcp(), request.clone()).await? {
            Reading::Stream(mut stream) => {
                let mut all = Vec::new();
                while let Some(bytes) = stream.next().await? {
                    all.extend_from_slice(&bytes);
                }
                Ok(all)
            }
            Reading::Local(_) => panic!("no descriptor comes over TCP"),
        }
    }

    /// The control service.
    pub(crate) fn control(&self) -> WorkerClient<alluxio_rpc::primary::CallerChannel> {
        self.control_as("ann")
    }

    /// The control service, for a user.
    pub(crate) fn control_as(
        &self,
        user: &str,
    ) -> WorkerClient<alluxio_rpc::primary::CallerChannel> {
        let address = self.handle.address();
        let at = HostPort { host: address.host.clone(), port: address.rpc_port };
        let peers = Peers::new(Host::real().net, Caller::new(user).unwrap());
        WorkerClient::new(peers.channel(&at).unwrap())
    }

    /// Value of a metric, by its full name with labels; 0 when it is not there.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.metrics.text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse::<f64>().unwrap() as u64)
    }

    pub(crate) async fn stop(self) {
        self.handle.stop(Duration::from_secs(10)).await;
    }
}

/// Waits until `wanted` holds: for what no message tells.
pub(crate) async fn until(what: &str, wanted: impl Fn() -> bool) {
    let wait = async {
        while !wanted() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}

pub(crate) fn block(file: u64) -> BlockId {
    InodeId::from_container(file).block(0)
}

/// Bytes that tell files and positions apart.
pub(crate) fn bytes_of(seed: u64, length: u64) -> Vec<u8> {
    let mixed = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (0..length).map(|i| (mixed.rotate_left((i % 64) as u32) as u8) ^ (i / 251) as u8).collect()
}

/// A read of all of a block.
pub(crate) fn whole(block: BlockId, length: u64, source: Option<UfsSource>) -> ReadRequest {
    ReadRequest {
        block,
        block_length: length,
        range: BlockRange { start: 0, end: length },
        want_fd: false,
        read_type: ReadType::Cache,
        cache_whole_block: true,
        passive_source: None,
        source,
    }
}

/// The same read of a part.
pub(crate) fn part(request: &ReadRequest, start: u64, end: u64) -> ReadRequest {
    ReadRequest { range: BlockRange { start, end }, ..request.clone() }
}
