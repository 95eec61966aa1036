//! A master and workers whose host names differ, so that a client can be near one of them.

use alluxio_client::{CreateFileOptions, FileReader, FileSystem, OpenFileOptions};
use alluxio_config::{Config, Sources};
use alluxio_host::Host;
use alluxio_node::{Process, format::format_master, start_master, start_worker};
use alluxio_types::{AlluxioPath, FileStatus, WriteType};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Host names that all lead to this machine. Worker 1 has the first, worker 2 the second.
pub(crate) const HOSTS: [&str; 2] = ["127.0.0.1", "localhost"];
/// Near no worker.
pub(crate) const ELSEWHERE: &str = "elsewhere";

/// A running cluster.
pub(crate) struct Cluster {
    pub(crate) dir: tempfile::TempDir,
    process: Process,
    _master: alluxio_master::Handle,
    workers: BTreeMap<usize, alluxio_worker::Handle>,
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

impl Cluster {
    /// A cluster with `count` workers (1 or 2) and these properties.
    pub(crate) async fn start(count: usize, properties: &[(&str, &str)]) -> Cluster {
        let dir = tempfile::Builder::new().prefix("alluxio-test-").tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        fs::create_dir(dir.path().join("ufs")).unwrap();
        let (work, ufs, journal) = (path("work"), path("ufs"), path("journal"));
        let config = Config::load(Sources::process(std::iter::empty())).unwrap();
        let config = config
            .with(pairs(&[
                ("alluxio.work.dir", &work),
                ("alluxio.master.hostname", HOSTS[0]),
                ("alluxio.master.bind.host", HOSTS[0]),
                ("alluxio.master.web.bind.host", HOSTS[0]),
                ("alluxio.master.rpc.port", "0"),
                ("alluxio.master.web.port", "0"),
                ("alluxio.master.journal.type", "UFS"),
                ("alluxio.master.journal.folder", &journal),
                ("alluxio.master.mount.table.root.ufs", &ufs),
                ("alluxio.worker.bind.host", HOSTS[0]),
                ("alluxio.worker.web.bind.host", HOSTS[0]),
                ("alluxio.worker.rpc.port", "0"),
                ("alluxio.worker.data.port", "0"),
                ("alluxio.worker.web.port", "0"),
                ("alluxio.worker.ramdisk.size", "64MB"),
                ("alluxio.worker.block.heartbeat.interval", "20ms"),
                ("alluxio.worker.free.space.timeout", "10ms"),
                ("alluxio.user.block.size.bytes.default", "1MB"),
                ("alluxio.user.rpc.retry.max.duration", "5s"),
                ("alluxio.user.block.read.retry.sleep.base", "5ms"),
                ("alluxio.user.block.read.retry.max.duration", "300ms"),
            ]))
            .unwrap();
        let process = Process::embedded(config).with(pairs(properties)).unwrap();
        format_master(&process).unwrap();
        let master = start_master(&process).await.unwrap();
        let port = master.rpc_address().port().to_string();
        let process = process.with(pairs(&[("alluxio.master.rpc.port", &port)])).unwrap();
        let mut cluster = Cluster { dir, process, _master: master, workers: BTreeMap::new() };
        for number in 1..=count {
            cluster.start_worker(number).await;
        }
        cluster
    }

    /// Starts worker `number` on what it left.
    pub(crate) async fn start_worker(&mut self, number: usize) {
        let tier = self.tier(number);
        fs::create_dir_all(&tier).unwrap();
        let settings = pairs(&[
            ("alluxio.worker.hostname", HOSTS[number - 1]),
            ("alluxio.worker.tieredstore.levels", "1"),
            ("alluxio.worker.tieredstore.level0.dirs.path", &tier.display().to_string()),
        ]);
        let process = self.process.with(settings).unwrap();
        // A worker that was killed may hold its folders for another moment.
        let worker = loop {
            match start_worker(&process).await {
                Ok(worker) => break worker,
                Err(error) if error.to_string().contains("in use") => {
                    tokio::task::yield_now().await;
                }
                Err(error) => panic!("{error}"),
            }
        };
        worker.ready().await.unwrap();
        self.workers.insert(number, worker);
    }

    /// Ends a worker at once, without a word to anybody.
    pub(crate) fn kill_worker(&mut self, number: usize) {
        drop(self.workers.remove(&number).unwrap());
    }

    /// The tier's folder of a worker.
    pub(crate) fn tier(&self, number: usize) -> PathBuf {
        self.dir.path().join(format!("tier-{number}"))
    }

    /// Where a file of the root mount is.
    pub(crate) fn ufs(&self, name: &str) -> PathBuf {
        self.dir.path().join("ufs").join(name)
    }

    /// A client on `host`.
    pub(crate) fn client(&self, host: &str) -> FileSystem {
        self.client_with(host, &[])
    }

    /// A client on `host` with these properties.
    pub(crate) fn client_with(&self, host: &str, properties: &[(&str, &str)]) -> FileSystem {
        FileSystem::connect(self.client_config(host, properties), Host::real()).unwrap()
    }

    /// The configuration of such a client.
    pub(crate) fn client_config(
        &self,
        host: &str,
        properties: &[(&str, &str)],
    ) -> alluxio_config::ClientConfig {
        let process = self.process.with(pairs(&[("alluxio.user.hostname", host)])).unwrap();
        process.with(pairs(properties)).unwrap().config.client().unwrap()
    }

    /// The files of blocks that a worker has, whatever is in them.
    pub(crate) fn block_files(&self, number: usize) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.tier(number)];
        while let Some(folder) = folders.pop() {
            for item in fs::read_dir(folder).unwrap() {
                let path = item.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.file_name().unwrap().to_str().unwrap().parse::<u64>().is_ok() {
                    found.push(path);
                }
            }
        }
        found
    }
}

/// The path with that text.
pub(crate) fn at(text: &str) -> AlluxioPath {
    AlluxioPath::parse(text).unwrap()
}

/// Bytes that differ from place to place, and from seed to seed.
pub(crate) fn pattern(seed: u64, length: usize) -> Vec<u8> {
    (0..length as u64)
        .map(|i| ((i + seed * 1_000_003).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8)
        .collect()
}

/// Writes a file.
pub(crate) async fn write(
    fs: &FileSystem,
    path: &str,
    bytes: &[u8],
    write_type: WriteType,
) -> FileStatus {
    let options =
        CreateFileOptions { write_type: Some(write_type), ..CreateFileOptions::default() };
    let mut writer = fs.create_file(&at(path), &options).await.unwrap();
    // Steps that fit no boundary.
    for step in bytes.chunks(333_333) {
        writer.write(step).await.unwrap();
    }
    writer.close().await.unwrap()
}

/// Opens a file with the configured options.
pub(crate) async fn open(fs: &FileSystem, path: &str) -> FileReader {
    fs.open_file(&at(path), &OpenFileOptions::default()).await.unwrap()
}

/// Reads a whole file.
pub(crate) async fn read(fs: &FileSystem, path: &str) -> Vec<u8> {
    open(fs, path).await.read_to_end().await.unwrap()
}

/// Looks until it is so; a test that waits for 20 s fails.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let looks = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(20), looks).await.is_err() {
        panic!("still not so: {what}");
    }
}
