//! The cluster that is measured: the configured one, or one of our own for the time of the run.

use crate::command::Shared;
use crate::sys::TierDir;
use alluxio_client::FileSystem;
use alluxio_config::{ClientConfig, Config, Sources};
use alluxio_host::Host;
use alluxio_rpc::{Caller, HostPort, Primary, RetryPolicy};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a cluster of our own may take until it serves.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A cluster to measure.
pub(crate) struct Cluster {
    config: Config,
    tier: PathBuf,
    own: Option<Own>,
}

struct Own {
    child: Child,
    tier: TierDir,
    home: PathBuf,
    _dir: tempfile::TempDir,
}

impl Cluster {
    /// The configured cluster if a master answers at once, else one of our own with `tier_bytes` of
    /// room and a journal in the temporary folder.
    pub(crate) async fn find_or_start(shared: &Shared, tier_bytes: u64) -> Result<Cluster> {
        if let Some(cluster) = Self::configured(&shared.environment).await {
            return Ok(cluster);
        }
        Self::start(shared, tier_bytes)
    }

    async fn configured(environment: &BTreeMap<String, String>) -> Option<Cluster> {
        let config = Config::load(Sources::process(environment.clone())).ok()?;
        // Without a site file nobody has named a cluster: localhost:19998 may be anybody's.
        config.site_file()?;
        let mut client = config.client().ok()?;
        client.rpc_retry.total = Duration::ZERO;
        let fs = FileSystem::connect(client, Host::real()).ok()?;
        tokio::time::timeout(Duration::from_secs(2), fs.master_info()).await.ok()?.ok()?;
        let worker = config.worker().ok()?;
        let tier = worker.tiers.first()?.dirs.first()?.path.clone();
        Some(Cluster { config, tier, own: None })
    }

    /// A cluster of our own.
    pub(crate) fn start(shared: &Shared, tier_bytes: u64) -> Result<Cluster> {
        let dir = tempfile::Builder::new().prefix("alluxio-bench-").tempdir()?;
        let tier = TierDir::make(dir.path(), tier_bytes + (64 << 20), shared.pages)?;
        let program = std::env::current_exe().context("this program's own path")?;
        let home = dir.path().join("cluster");
        let mut child = Command::new(program)
            .args(["local", "start", "--ports", "auto", "--dir"])
            .arg(&home)
            .arg("-Dalluxio.worker.tieredstore.level0.alias=MEM")
            .arg(format!("-Dalluxio.worker.tieredstore.level0.dirs.path={}", tier.path().display()))
            .arg(format!("-Dalluxio.worker.tieredstore.level0.dirs.quota={tier_bytes}"))
            .env_remove("ALLUXIO_CONF_DIR")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // Its log, for when it does not start; measurements stay readable.
            .stderr(std::fs::File::create(dir.path().join("cluster.log"))?)
            .spawn()
            .context("cannot start a cluster")?;
        if let Err(error) = wait_until_ready(&mut child) {
            let log = std::fs::read_to_string(dir.path().join("cluster.log")).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(5).collect();
            return Err(error.context(last.into_iter().rev().collect::<Vec<_>>().join("\n")));
        }
        let mut environment = shared.environment.clone();
        environment.retain(|key, _| !key.starts_with("ALLUXIO_"));
        let conf = home.join("conf").display().to_string();
        environment.insert("ALLUXIO_CONF_DIR".into(), conf);
        let config = Config::load(Sources::process(environment))?;
        let own = Own { child, tier, home, _dir: dir };
        Ok(Cluster { config, tier: own.tier.path().to_owned(), own: Some(own) })
    }

    /// This program, with the cluster's configuration.
    pub(crate) fn command(&self) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        if let Some(own) = &self.own {
            command.env("ALLUXIO_CONF_DIR", own.home.join("conf"));
        }
        Ok(command)
    }

    /// Settings of a client of it.
    pub(crate) fn client_config(&self) -> Result<ClientConfig> {
        Ok(self.config.client()?)
    }

    /// The same with other values.
    pub(crate) fn client_config_with(&self, pairs: &[(&str, &str)]) -> Result<ClientConfig> {
        Ok(self.config.with(pairs.iter().copied())?.client()?)
    }

    /// A client of it.
    pub(crate) fn connect(&self) -> Result<FileSystem> {
        Ok(FileSystem::connect(self.client_config()?, Host::real())?)
    }

    /// Its master, for calls that no client makes alone.
    pub(crate) fn primary(&self) -> Result<Primary> {
        let config = self.client_config()?;
        let masters = config.masters.iter();
        let masters = masters.map(|at| HostPort { host: at.host.clone(), port: at.port }).collect();
        let user = &config.security.login_user;
        let caller = Caller::new(user).with_context(|| format!("user name {user:?}"))?;
        Ok(Primary::new(masters, caller, RetryPolicy::default(), Host::real())?)
    }

    /// Folder of the top tier.
    pub(crate) fn tier(&self) -> &Path {
        &self.tier
    }

    /// Whether the top tier is one of our own on huge pages.
    pub(crate) fn on_huge_pages(&self) -> bool {
        self.own.as_ref().is_some_and(|own| own.tier.huge_pages)
    }

    /// What the cluster is, for people.
    pub(crate) fn describe(&self) -> String {
        match &self.own {
            Some(own) => format!("a cluster of its own; top tier in {}", own.tier.kind),
            None => format!("the configured cluster; top tier in {}", self.tier.display()),
        }
    }

    /// Process of our own cluster.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.own.as_ref().map(|own| own.child.id())
    }
}

fn wait_until_ready(child: &mut Child) -> Result<()> {
    let stdout = child.stdout.take().context("the cluster's output")?;
    let (sender, lines) = std::sync::mpsc::channel();
    // Ends with the child: its output closes then.
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // After "ready" nobody listens; reading on keeps the pipe from filling up.
            let _ = sender.send(line);
        }
    });
    let deadline = std::time::Instant::now() + START_TIMEOUT;
    loop {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        match lines.recv_timeout(left) {
            Ok(line) if line.starts_with("ready") => return Ok(()),
            Ok(_) => {}
            Err(_) => {
                // Stopped or stuck: either way it is of no use.
                let _ = child.kill();
                bail!("the cluster did not become ready within {} s", START_TIMEOUT.as_secs());
            }
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // A benchmark's cluster holds nothing that must survive.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
