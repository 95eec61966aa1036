//! A cluster of separate processes.

use crate::Server;
use crate::local::config_of;
use alluxio_client::FileSystem;
use alluxio_config::{Config, properties};
use alluxio_host::Host;
use alluxio_testservers::process::free_port;
use anyhow::{Context, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A master and workers as processes of their own, on a temporary folder.
pub struct ProcessCluster {
    binary: PathBuf,
    dir: TempDir,
    properties: BTreeMap<String, String>,
    master: Option<Server>,
    workers: BTreeMap<u32, Server>,
}

impl ProcessCluster {
    /// Formats a journal and starts a master; no worker yet.
    ///
    /// **Errors**: what a process says when it does not start.
    pub fn start(binary: &Path, extra: &[(&str, &str)]) -> anyhow::Result<Self> {
        let dir = TempDir::with_prefix("alluxio-test-")?;
        for sub in ["conf", "logs", "ufs"] {
            fs::create_dir(dir.path().join(sub))?;
        }
        let show = |sub: &str| dir.path().join(sub).display().to_string();
        let mut properties = BTreeMap::from([
            ("alluxio.work.dir".to_owned(), show("")),
            ("alluxio.master.mount.table.root.ufs".to_owned(), show("ufs")),
        ]);
        for role in ["master", "worker"] {
            for key in ["hostname", "bind.host", "web.bind.host"] {
                properties.insert(format!("alluxio.{role}.{key}"), "127.0.0.1".to_owned());
            }
            for key in ["rpc", "web"] {
                // The master comes back at the address that it had.
                let port = if role == "master" { free_port() } else { 0 };
                properties.insert(format!("alluxio.{role}.{key}.port"), port.to_string());
            }
        }
        properties.insert("alluxio.worker.data.port".to_owned(), "0".to_owned());
        let extra = extra.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        properties.extend(extra);
        let binary = binary.to_owned();
        let mut cluster =
            ProcessCluster { binary, dir, properties, master: None, workers: BTreeMap::new() };
        cluster.write_site_file("conf", &[])?;
        let formatted = cluster.alluxio(&["formatMaster"])?;
        ensure!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stderr));
        cluster.start_master()?;
        Ok(cluster)
    }

    /// The folder of everything.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The folder that is mounted at `/`.
    pub fn root_ufs(&self) -> PathBuf {
        self.dir.path().join("ufs")
    }

    /// What `ALLUXIO_CONF_DIR` has to be.
    pub fn conf_dir(&self) -> PathBuf {
        self.dir.path().join("conf")
    }

    fn write_site_file(&self, conf: &str, more: &[(String, String)]) -> anyhow::Result<PathBuf> {
        let conf = self.dir.path().join(conf);
        fs::create_dir_all(&conf)?;
        let mut all = self.properties.clone();
        all.insert("alluxio.conf.dir".to_owned(), conf.display().to_string());
        all.extend(more.iter().cloned());
        let lines = all.iter().map(|(key, value)| properties::write_line(key, value) + "\n");
        fs::write(conf.join("alluxio-site.properties"), lines.collect::<String>())?;
        Ok(conf)
    }

    /// The binary with the cluster's configuration, without input and output.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare_command(&self.binary, &self.conf_dir());
        command.args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Runs the binary with the cluster's configuration until it ends.
    ///
    /// **Errors**: that it cannot be run.
    pub fn alluxio(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = self.command(arguments);
        let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output();
        output.with_context(|| format!("{}", self.binary.display()))
    }

    /// Starts the master, always at the same address.
    ///
    /// **Errors**: what it says when it does not start.
    pub fn start_master(&mut self) -> anyhow::Result<()> {
        let log = self.dir.path().join("logs/master.log");
        self.master = Some(Server::start(&self.binary, "master", &self.conf_dir(), &log)?);
        Ok(())
    }

    /// Kills the master in the middle of whatever it does.
    ///
    /// **Errors**: that there is none.
    pub fn kill_master(&mut self) -> anyhow::Result<()> {
        self.master.take().context("the master runs")?.kill()
    }

    /// Asks the master to stop and waits for its end.
    ///
    /// **Errors**: that there is none, that it fails.
    pub fn stop_master(&mut self) -> anyhow::Result<()> {
        let status = self.master.take().context("the master runs")?.terminate()?;
        ensure!(status.success(), "the master ended with {status}");
        Ok(())
    }

    /// Starts worker `number`, with a tier of its own that outlives it.
    ///
    /// **Errors**: what it says when it does not start.
    pub fn start_worker(&mut self, number: u32) -> anyhow::Result<()> {
        let tier = self.dir.path().join(format!("worker-{number}"));
        fs::create_dir_all(&tier)?;
        let key = "alluxio.worker.tieredstore.level0.dirs.path";
        let more = [(key.to_owned(), tier.display().to_string())];
        let conf = self.write_site_file(&format!("conf-worker-{number}"), &more)?;
        let log = self.dir.path().join(format!("logs/worker-{number}.log"));
        let worker = Server::start(&self.binary, "worker", &conf, &log)?;
        self.workers.insert(number, worker);
        Ok(())
    }

    /// Kills worker `number` in the middle of whatever it does.
    ///
    /// **Errors**: that there is none.
    pub fn kill_worker(&mut self, number: u32) -> anyhow::Result<()> {
        self.workers.remove(&number).context("the worker runs")?.kill()
    }

    /// The configuration that reaches the cluster.
    ///
    /// **Errors**: what is wrong with the site file.
    pub fn config(&self) -> anyhow::Result<Config> {
        config_of(&self.conf_dir().join("alluxio-site.properties"))
    }

    /// A client of the cluster.
    ///
    /// **Errors**: as [`FileSystem::connect`].
    pub fn client(&self) -> anyhow::Result<FileSystem> {
        Ok(FileSystem::connect(self.config()?.client()?, Host::real())?)
    }

    /// The process id of the master.
    pub fn master_pid(&self) -> Option<u32> {
        self.master.as_ref().map(Server::pid)
    }
}

/// The binary with a configuration folder, and nothing of the configuration that the test itself runs
/// in.
pub(crate) fn bare_command(binary: &Path, conf_dir: &Path) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ALLUXIO_")) {
        command.env_remove(name);
    }
    command.env("ALLUXIO_CONF_DIR", conf_dir);
    command
}
