//! The agent: one process that serves all mounts of a machine, and gives them to the next one when it ends,
//! however it ends.
//!
//! Each session is a connection to the kernel, mounted in a folder of its own:
//! `<alluxio.fuse.sessions.dir>/<key>/{mnt,state,staging}`. The [keepers](crate::keeper) hold its descriptors.
//!
//! **Start**: take the lock of the sessions folder (asking its holder to give way), take all descriptors from
//! all keepers, go on with every session; what has a folder and no living connection is mounted anew over
//! what is there, also later, whenever a connection is lost. **End**: stop reading, answer what was read,
//! leave the mounts. After `kill -9` the kernel gives out again what was not answered.
//!
//! Only `service` and `remote` know messages; the agent never touches a path below its own mounts.
//!
//! Reading order: `record`, `keepers`, `entry` (one session), this file (all of them), `lock`, `service`,
//! [`run`](mod@run), [`remote`].

pub(crate) mod command;
mod entry;
mod error;
mod keepers;
mod lock;
mod metrics;
mod record;
pub mod remote;
pub mod run;
mod service;
mod unmounting;

pub use error::AgentError;

use crate::keeper::Key;
use crate::keeper::client::Kept;
use alluxio_client::GetStatusOptions;
use alluxio_config::{Config, FuseConfig};
use alluxio_host::Host;
use entry::{Entry, Plan};
use keepers::Keepers;
use metrics::Tally;
use record::Record;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long the end of an old agent is waited for by who has the lock already: the kernel is tearing it down.
const END_WITHIN: Duration = Duration::from_secs(20);
/// How often sessions are looked at that the kernel may have ended.
const MEND_EVERY: Duration = Duration::from_millis(250);
/// How long a cluster may take to complete what was written in a closed session, and to delete what its open
/// files were called.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);
/// Pause between two tries to mount a session anew.
const MEND_PAUSE: Duration = Duration::from_secs(1);

/// All sessions of this machine. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Agent {
    shared: Arc<Shared>,
}

/// What all sessions share.
pub(crate) struct Shared {
    config: Config,
    fuse: FuseConfig,
    host: Host,
    /// Folder of all sessions, without links.
    dir: PathBuf,
    /// What runs `alluxio fuse unmount`.
    program: PathBuf,
    keepers: Keepers,
    tally: Tally,
    sessions: Mutex<BTreeMap<Key, Arc<Entry>>>,
    leaving: AtomicBool,
}

/// A session, for who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) key: Key,
    pub(crate) record: Record,
    pub(crate) mount_point: PathBuf,
    /// Why it is not served; `None` when it is.
    pub(crate) reason: Option<String>,
}

impl Shared {
    fn sessions(&self) -> MutexGuard<'_, BTreeMap<Key, Arc<Entry>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        self.host.clock.now().0
    }

    fn entries(&self) -> Vec<Arc<Entry>> {
        self.sessions().values().cloned().collect()
    }
}

/// The sessions that have a folder, with what is written there.
fn folders(dir: &Path) -> BTreeMap<Key, Record> {
    let mut found = BTreeMap::new();
    for folder in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = folder.file_name();
        let Some(key) = name.to_str().and_then(|name| name.parse::<Key>().ok()) else { continue };
        let Ok(bytes) = std::fs::read(folder.path().join("state/session.json")) else { continue };
        match Record::from_bytes(&bytes) {
            Ok(record) => {
                found.insert(key, record);
            }
            Err(error) => tracing::warn!(%key, %error, "a session must be opened again"),
        }
    }
    found
}

impl Agent {
    /// Goes on with all sessions that there are. Whoever served them before MUST be gone or on its way:
    /// the lock of the folder is ours.
    pub(crate) async fn start(
        config: Config,
        fuse: FuseConfig,
        host: Host,
        dir: PathBuf,
        program: PathBuf,
        tally: Tally,
    ) -> Result<Self, AgentError> {
        let keepers = Keepers::new(&fuse.keeper_sockets);
        let shared = Arc::new(Shared {
            config,
            fuse,
            host,
            dir,
            program,
            keepers,
            tally,
            sessions: Mutex::default(),
            leaving: AtomicBool::new(false),
        });
        let agent = Agent { shared };
        let all = agent.shared.clone();
        in_background(move || all.take_over()).await?;
        tokio::spawn(agent.clone().mend());
        Ok(agent)
    }

    /// The session with that key and spec, mounted if need be.
    ///
    /// **Errors**: see [`AgentError`].
    pub(crate) async fn open(
        &self,
        key: Key,
        path: &str,
        options: &[String],
    ) -> Result<Shown, AgentError> {
        let shared = self.shared.clone();
        if shared.leaving.load(Ordering::SeqCst) {
            return Err(AgentError::Leaving);
        }
        let record = Record::new(path, options);
        if !record.fits() {
            return Err(AgentError::TooLong { key });
        }
        loop {
            let plan = Plan::of(&shared, path, options)?;
            let (entry, fresh) = {
                let mut sessions = shared.sessions();
                let fresh = !sessions.contains_key(&key);
                let make = || Arc::new(Entry::new(&shared, key.clone(), record.clone()));
                (sessions.entry(key.clone()).or_insert_with(make).clone(), fresh)
            };
            let _work = entry.work.lock().await;
            // It may have been closed while we waited for it.
            let is_it = |there: &Arc<Entry>| Arc::ptr_eq(there, &entry);
            if shared.sessions().get(&key).is_some_and(is_it) {
                return self.open_entry(&entry, plan, &record, fresh).await;
            }
        }
    }

    async fn open_entry(
        &self,
        entry: &Arc<Entry>,
        plan: Plan,
        wanted: &Record,
        fresh: bool,
    ) -> Result<Shown, AgentError> {
        let key = entry.key.clone();
        {
            let state = entry.state();
            let there = &state.record;
            if state.record.closing {
                return Err(AgentError::Closing { key });
            }
            if (&there.path, &there.options) != (&wanted.path, &wanted.options) {
                return Err(AgentError::OtherSpec { key, path: there.path.clone() });
            }
            if state.live.as_ref().is_some_and(|live| !live.session.is_over()) {
                return Ok(shown(&key, &state, entry.mount_point()));
            }
        }
        match self.mount(entry, plan).await {
            Ok(()) => Ok(shown(&key, &entry.state(), entry.mount_point())),
            Err(error) => {
                if fresh {
                    self.shared.sessions().remove(&key);
                    entry.remove_folder(false);
                } else {
                    entry.lost(&self.shared, &error.to_string());
                }
                Err(error)
            }
        }
    }

    async fn mount(&self, entry: &Arc<Entry>, plan: Plan) -> Result<(), AgentError> {
        // A cluster that does not answer is no reason to leave a mount behind that hangs.
        let client = plan.connect(&self.shared)?;
        let status = client.get_status(&plan.root, &GetStatusOptions::default()).await;
        let path = plan.root.to_string();
        match status {
            Err(source) => {
                return Err(AgentError::Root { path, source: Box::new(source) });
            }
            Ok(status) if !status.is_directory() => return Err(AgentError::NotADirectory { path }),
            Ok(_) => {}
        }
        let (entry, shared) = (entry.clone(), self.shared.clone());
        in_background(move || {
            entry.lost(&shared, "it is mounted anew");
            entry.mount(&shared)
        })
        .await?
    }

    /// Takes a session away.
    ///
    /// **Errors**: `InUse`, `Timeout`.
    pub(crate) async fn close(&self, key: &Key, lazy: bool) -> Result<(), AgentError> {
        let shared = self.shared.clone();
        let Some(entry) = shared.sessions().get(key).cloned() else { return Ok(()) };
        let _work = entry.work.lock().await;
        let (unmounts, all) = (entry.clone(), shared.clone());
        in_background(move || unmounts.unmount(&all, lazy)).await??;
        let lives = entry.state().live.is_some();
        let (noted, all) = (entry.clone(), shared.clone());
        in_background(move || noted.note(&all, |record| record.closing = true)).await?;
        // With nobody who uses it, the kernel ends the connection at once.
        let until = Instant::now() + if lazy { MEND_EVERY } else { shared.fuse.umount_timeout };
        while lives && !entry.is_over() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if !lives || entry.is_over() {
            self.forget(&entry).await;
        }
        Ok(())
    }

    async fn forget(&self, entry: &Arc<Entry>) {
        let fs = entry.state().live.as_ref().map(|live| live.fs.clone());
        let done = match fs {
            Some(fs) => tokio::time::timeout(CLOSE_WITHIN, fs.close()).await.is_ok(),
            // Its files are taken up when it is opened again.
            None => false,
        };
        if !done {
            tracing::warn!(key = %entry.key, "files of a closed session may be left in its folder");
        }
        let (entry, shared) = (entry.clone(), self.shared.clone());
        let forgotten = in_background(move || {
            entry.lost(&shared, "closed");
            shared.keepers.remove(&entry.key);
            entry.remove_folder(done);
            shared.sessions().remove(&entry.key);
        });
        if let Err(error) = forgotten.await {
            tracing::error!(%error, "a closed session is not forgotten");
        }
    }

    /// All sessions. Waits for nobody.
    pub(crate) fn list(&self) -> Vec<Shown> {
        let shown_of = |entry: &Arc<Entry>| shown(&entry.key, &entry.state(), entry.mount_point());
        self.shared.entries().iter().map(shown_of).collect()
    }

    /// Mounts sessions anew whose connection the kernel has ended, and forgets those that were closed.
    async fn mend(self) {
        let mut tried: BTreeMap<Key, Instant> = BTreeMap::new();
        while !self.shared.leaving.load(Ordering::SeqCst) {
            for entry in self.shared.entries() {
                let Ok(_work) = entry.work.try_lock() else { continue };
                let (over, closing, live) = {
                    let state = entry.state();
                    let over = state.live.as_ref().is_some_and(|live| live.session.is_over());
                    (over, state.record.closing, state.live.is_some())
                };
                if closing && (over || !live) {
                    self.forget(&entry).await;
                    continue;
                }
                let again = tried.get(&entry.key).is_none_or(|at| at.elapsed() > MEND_PAUSE);
                if (over || !live) && !closing && again {
                    tried.insert(entry.key.clone(), Instant::now());
                    self.mount_anew(&entry).await;
                }
            }
            tokio::time::sleep(MEND_EVERY).await;
        }
    }

    async fn mount_anew(&self, entry: &Arc<Entry>) {
        let record = entry.state().record.clone();
        tracing::warn!(key = %entry.key, "the connection of a session is lost; it is mounted anew");
        let outcome = match Plan::of(&self.shared, &record.path, &record.options) {
            Ok(plan) => self.mount(entry, plan).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => self.shared.tally.remounted(),
            Err(error) => {
                tracing::warn!(key = %entry.key, %error, "a session stays dead");
                entry.lost(&self.shared, &error.to_string());
            }
        }
    }

    /// Stops reading, answers what was read, and leaves the mounts to the next agent, or takes them away when
    /// no keeper holds them. The process MUST end when this returns.
    pub(crate) async fn leave(&self) {
        if self.shared.leaving.swap(true, Ordering::SeqCst) {
            return;
        }
        let shared = self.shared.clone();
        let left = in_background(move || shared.leave());
        if let Err(error) = left.await {
            tracing::error!(%error, "the agent does not end in order");
        }
    }

    /// Brings the metrics up to date.
    pub(crate) async fn measure(&self) {
        let shared = self.shared.clone();
        let measured = in_background(move || {
            let entries = shared.entries();
            let counts = entries
                .iter()
                .filter_map(|entry| entry.state().live.as_ref().map(entry::Live::counts));
            let served = shared.tally.measure(counts);
            shared.tally.sessions(served, entries.len());
            shared.tally.keepers(shared.keepers.connected());
        });
        if let Err(error) = measured.await {
            tracing::error!(%error, "metrics stand still");
        }
    }
}

fn shown(key: &Key, state: &entry::State, mount_point: PathBuf) -> Shown {
    let served = state.live.as_ref().is_some_and(|live| !live.session.is_over());
    let lost = || match state.reason.as_str() {
        "" => "the kernel has given the connection up".to_owned(),
        reason => reason.to_owned(),
    };
    let reason = (!served).then(lost);
    Shown { key: key.clone(), record: state.record.clone(), mount_point, reason }
}

impl Shared {
    /// Goes on with all sessions that a keeper has; notes those that only have a folder.
    fn take_over(&self) {
        let known = folders(&self.dir);
        let expected: BTreeSet<Key> = known.keys().cloned().collect();
        let newest = |blob: &[u8]| Record::from_bytes(blob).map_or(0, |record| record.mounted_ms);
        let mut kept = self.keepers.take(&expected, Instant::now() + END_WITHIN, newest);
        let mut sessions = known;
        for (key, kept) in &kept {
            match Record::from_bytes(&kept.blob) {
                Ok(record) => {
                    sessions.insert(key.clone(), record);
                }
                Err(error) => tracing::warn!(%key, %error, "a session cannot be gone on with"),
            }
        }
        for (key, record) in sessions {
            let entry = Arc::new(Entry::new(self, key.clone(), record));
            self.sessions().insert(key.clone(), entry.clone());
            if let Some(kept) = kept.remove(&key) {
                self.go_on(&entry, kept);
            }
        }
        self.keepers.watch();
    }

    fn go_on(&self, entry: &Entry, kept: Kept) {
        let alone_since = kept.alone_since;
        match entry.resume(self, kept) {
            Ok(()) => {
                let stall = alone_since.elapsed();
                tracing::info!(key = %entry.key, ?stall, "went on with a session");
                self.tally.resumed(stall);
            }
            Err(error) => {
                tracing::warn!(key = %entry.key, %error, "a session cannot be gone on with");
                self.keepers.remove(&entry.key);
                entry.lost(self, &error.to_string());
            }
        }
    }

    fn leave(&self) {
        let entries = self.entries();
        if self.keepers.connected() == 0 {
            tracing::warn!("no keeper holds the mounts: they are taken away");
            for entry in entries {
                if let Err(error) = entry.unmount(self, true) {
                    tracing::warn!(key = %entry.key, %error, "a mount stays");
                }
            }
            return;
        }
        let live = |entry: &Arc<Entry>| entry.state().live.take().map(|live| (entry.clone(), live));
        let all: Vec<_> = entries.iter().filter_map(live).collect();
        all.iter().for_each(|(_, live)| live.session.stop_reading());
        let patience = self.fuse.agent_drain;
        std::thread::scope(|scope| {
            for (entry, live) in all {
                scope.spawn(move || match live.session.leave(patience) {
                    0 => entry.note(self, |record| record.in_order = true),
                    owed => {
                        let key = &entry.key;
                        tracing::warn!(%key, owed, "the next agent answers what is left");
                    }
                });
            }
        });
        tracing::info!(
            keepers = self.keepers.configured(),
            "the mounts are left to the next agent"
        );
    }
}

/// Runs what waits where waiting holds up nobody.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, AgentError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| AgentError::Internal(format!("background work: {error}")))
}
