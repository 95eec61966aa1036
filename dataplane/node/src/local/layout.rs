//! The folder of a local cluster, and the settings that follow from it.

use super::{LocalOptions, Ports};
use crate::NodeError;
use crate::error::at;
use alluxio_config::source::SiteFile;
use alluxio_config::{Config, Source};
use alluxio_types::WorkerAddress;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const LOOPBACK: &str = "127.0.0.1";
const SITE_FILE: &str = "alluxio-site.properties";
const HEADER: &str = "\
# Written by `alluxio local start`, and again by every start in this folder: the addresses below are
# those of the last one. Lines that you add are kept; settings given by -D become lines here.
";
/// Tier 0 of a worker when nobody set a size, shared by all workers: a third of the memory, at least
/// room for a few blocks, at most what a laptop's disk can spare.
const TIER_BYTES: (u64, u64) = (256 << 20, 16 << 30);

/// The folder of a local cluster.
#[derive(Debug, Clone)]
pub struct Layout {
    dir: PathBuf,
}

type Pairs = Vec<(String, String)>;

fn pair(key: impl Into<String>, value: impl ToString) -> (String, String) {
    (key.into(), value.to_string())
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

impl Layout {
    /// Makes what is missing of the folder.
    ///
    /// **Errors**: `Io`.
    pub fn create(dir: &Path) -> Result<Self, NodeError> {
        fs::create_dir_all(dir).map_err(at("create", dir))?;
        let dir = dir.canonicalize().map_err(at("open", dir))?;
        let layout = Layout { dir };
        for sub in ["conf", "logs"] {
            let path = layout.dir.join(sub);
            fs::create_dir_all(&path).map_err(at("create", &path))?;
        }
        Ok(layout)
    }

    /// Folder of the site file.
    pub fn conf_dir(&self) -> PathBuf {
        self.dir.join("conf")
    }

    fn site_file(&self) -> PathBuf {
        self.conf_dir().join(SITE_FILE)
    }

    pub(super) fn site_file_or_none(&self) -> SiteFile {
        let path = self.site_file();
        if path.is_file() { SiteFile::At(path) } else { SiteFile::None }
    }

    /// What the folder and the options decide, whatever else is configured.
    pub(super) fn settings(&self, config: &Config, options: &LocalOptions) -> Pairs {
        let mut pairs = vec![
            pair("alluxio.work.dir", show(&self.dir)),
            pair("alluxio.conf.dir", show(&self.conf_dir())),
            pair("alluxio.logs.dir", show(&self.dir.join("logs"))),
            // Loopback by address: a name may lead to an address that nobody listens on.
            pair("alluxio.master.hostname", LOOPBACK),
            pair("alluxio.master.bind.host", LOOPBACK),
            pair("alluxio.master.web.bind.host", LOOPBACK),
            pair("alluxio.worker.hostname", LOOPBACK),
            pair("alluxio.worker.bind.host", LOOPBACK),
            pair("alluxio.worker.web.bind.host", LOOPBACK),
        ];
        if options.ports == Ports::Auto {
            for key in ["alluxio.master.rpc.port", "alluxio.master.web.port"] {
                pairs.push(pair(key, port_again(config, key)));
            }
        }
        let root = "alluxio.master.mount.table.root.ufs";
        match &options.ufs {
            Some(uri) => pairs.push(pair(root, uri)),
            None if is_default(config, root) => {
                let path = self.dir.join("underFSStorage");
                pairs.push(pair(root, show(&path)));
            }
            None => {}
        }
        pairs
    }

    /// What makes worker `number` (from 1) differ from the others.
    ///
    /// **Errors**: `Io` when its folder cannot be made.
    pub(super) fn worker_settings(
        &self,
        config: &Config,
        number: u16,
        options: &LocalOptions,
    ) -> Result<Pairs, NodeError> {
        let mut pairs = Vec::new();
        for key in ["rpc", "data", "web"].map(|kind| format!("alluxio.worker.{kind}.port")) {
            match (options.ports, number) {
                (Ports::Auto, 1) => pairs.push(pair(&key, port_again(config, &key))),
                (Ports::Configured, 1) => {}
                _ => pairs.push(pair(&key, 0)),
            }
        }
        let tier = "alluxio.worker.tieredstore.level0.dirs.path";
        let ours = self.dir.join(format!("worker-{number}"));
        // A tier that somebody configured is the first worker's; two cannot share a folder.
        let configured = config
            .get(tier)
            .filter(|setting| setting.is_set() && number == 1 && options.workers == 1);
        if configured.is_none() {
            fs::create_dir_all(&ours).map_err(at("create", &ours))?;
            pairs.push(pair(tier, show(&ours)));
            pairs.push(pair("alluxio.worker.tieredstore.levels", 1));
        }
        let quota = "alluxio.worker.tieredstore.level0.dirs.quota";
        if is_default(config, "alluxio.worker.ramdisk.size") && is_default(config, quota) {
            let all = config.machine().memory_bytes / 3;
            let each = (all / u64::from(options.workers.max(1))).clamp(TIER_BYTES.0, TIER_BYTES.1);
            pairs.push(pair("alluxio.worker.ramdisk.size", each));
        }
        Ok(pairs)
    }

    /// Writes the site file: complete, or the old one stays. Only its owner may read it, there may
    /// be credentials in it.
    ///
    /// **Errors**: `Io`.
    pub(super) fn write_site_file(&self, config: &Config) -> Result<(), NodeError> {
        let path = self.site_file();
        let temporary = path.with_extension("tmp");
        let text = format!("{HEADER}{}", config.to_properties());
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&temporary).map_err(at("write", &temporary))?;
        file.write_all(text.as_bytes()).map_err(at("write", &temporary))?;
        file.sync_all().map_err(at("write", &temporary))?;
        fs::rename(&temporary, &path).map_err(at("write", &path))
    }
}

fn is_default(config: &Config, key: &str) -> bool {
    config.source_of(key).is_none_or(|source| *source == Source::Default)
}

/// The port of the last start if it is free, so that clients of a restarted cluster find it again.
fn port_again(config: &Config, key: &str) -> u16 {
    let Some(setting) = config.get(key).filter(|setting| setting.is_set()) else { return 0 };
    match setting.value.parse() {
        Ok(port) if TcpListener::bind((LOOPBACK, port)).is_ok() => port,
        _ => 0,
    }
}

fn ports<const N: usize>(role: &str, ports: [(&str, u16); N]) -> Pairs {
    let line = |(kind, port): (&str, u16)| pair(format!("alluxio.{role}.{kind}.port"), port);
    ports.into_iter().map(line).collect()
}

/// The ports that a master really has.
pub(super) fn master_ports(master: &alluxio_master::Handle) -> Pairs {
    ports("master", [("rpc", master.rpc_address().port()), ("web", master.web_address().port())])
}

/// The ports that a worker really has.
pub(super) fn worker_ports(worker: &WorkerAddress) -> Pairs {
    let WorkerAddress { rpc_port, data_port, web_port, .. } = *worker;
    ports("worker", [("rpc", rpc_port), ("data", data_port), ("web", web_port)])
}
