//! One session of the agent: how it comes up, goes on, and ends. Everything here may wait for the kernel, a
//! keeper or a process, so it runs where waiting holds up nobody; nothing touches the mount itself.

use super::record::Record;
use super::{AgentError, Shared, unmounting};
use crate::abi::feature;
use crate::fs::{AlluxioFs, KeptNode, Ledger, LedgerError, Past, Settings};
use crate::keeper::Key;
use crate::keeper::client::Kept;
use crate::mount::{self, Unmount};
use crate::options::{Commit, MountOptions};
use crate::session::{
    Before, Connection, Counters, Counts, Negotiated, Session, SessionError, Wish,
};
use alluxio_client::FileSystem as Client;
use alluxio_config::ClientConfig;
use alluxio_types::AlluxioPath;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How files in the folder of drafts are called that nobody could make versions.
const KEPT_PREFIX: &[u8] = b"kept-";

/// A session and its folder.
pub(crate) struct Entry {
    pub(crate) key: Key,
    folder: PathBuf,
    /// Held by who opens, closes or mends it.
    pub(crate) work: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) record: Record,
    pub(crate) live: Option<Live>,
    /// Why it is not served.
    pub(crate) reason: String,
}

/// A session that is served.
pub(crate) struct Live {
    pub(crate) session: Session,
    pub(crate) counters: Arc<Counters>,
    pub(crate) fs: AlluxioFs,
}

impl Live {
    /// What happened so far, and how many opens the kernel reads past us.
    pub(crate) fn counts(&self) -> (Counts, u64) {
        (self.counters.counts(), self.fs.passed())
    }
}

/// What a spec means.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) root: AlluxioPath,
    pub(crate) client: ClientConfig,
    options: MountOptions,
}

impl Plan {
    /// **Errors**: `Path`, `Option`, `Config`.
    pub(crate) fn of(shared: &Shared, path: &str, options: &[String]) -> Result<Self, AgentError> {
        let root = AlluxioPath::parse(path)?;
        let mut all = MountOptions::default();
        all.take(&shared.fuse.options)?;
        all.take(options)?;
        let config = shared.config.with(all.properties.clone())?;
        let client = config.client()?;
        all.commit = all.commit.or(Commit::from_name(&config.fuse()?.commit));
        all.mount.source = format!("alluxio:{root}").replace(',', "_");
        Ok(Plan { root, client, options: all })
    }

    /// A client, for asking whether the root is there.
    ///
    /// **Errors**: `Client`.
    pub(crate) fn connect(&self, shared: &Shared) -> Result<Client, AgentError> {
        Ok(Client::connect(self.client.clone(), shared.host.clone())?)
    }

    fn threads(&self) -> usize {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        self.options.threads.unwrap_or(processors.clamp(2, 8))
    }
}

impl Entry {
    pub(crate) fn new(shared: &Shared, key: Key, record: Record) -> Self {
        let folder = shared.dir.join(key.as_str());
        let state = State { record, live: None, reason: "not mounted yet".into() };
        Entry { key, folder, work: tokio::sync::Mutex::default(), state: Mutex::new(state) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it is mounted.
    pub(crate) fn mount_point(&self) -> PathBuf {
        self.folder.join("mnt")
    }

    fn staging(&self) -> PathBuf {
        self.folder.join("staging")
    }

    fn record_file(&self) -> PathBuf {
        self.folder.join("state/session.json")
    }

    /// Makes its folders, but not below a mount point that something is mounted on.
    fn make_folders(&self) -> Result<(), AgentError> {
        let failed = |path: PathBuf| move |source| AgentError::Io { path, source };
        std::fs::create_dir_all(&self.folder).map_err(failed(self.folder.clone()))?;
        for folder in [self.folder.join("state"), self.staging()] {
            // Bytes and options of others.
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
            made.map_err(failed(folder.clone()))?;
        }
        let point = self.mount_point();
        match mount::row_of(&point) {
            Some(_) => Ok(()),
            None => std::fs::create_dir_all(&point).map_err(failed(point.clone())),
        }
    }

    fn save(&self, record: &Record) -> Result<(), AgentError> {
        let path = self.record_file();
        record.write(&path).map_err(|source| AgentError::Io { path, source })
    }

    /// Mounts it, over whatever is there.
    ///
    /// **Errors**: nothing is mounted then.
    pub(crate) fn mount(&self, shared: &Shared) -> Result<(), AgentError> {
        let mut record = self.state().record.clone();
        let plan = Plan::of(shared, &record.path, &record.options)?;
        let point = self.mount_point();
        let within = shared.fuse.umount_timeout;
        unmounting::clear(&shared.program, &self.key, &point, within);
        self.make_folders()?;
        (record.negotiated, record.in_order) = (Vec::new(), false);
        record.mounted_ms = shared.now_ms().max(record.mounted_ms + 1);
        record.salt = shared.host.entropy.next_u64().max(1);
        self.save(&record)?;
        let mounted = mount::mount_over(point.clone(), &plan.options.mount)?;
        let row = mount::row_of(&point);
        record.device = row.map(|row| row.device).unwrap_or_default();
        mount::read_ahead(&record.device);
        match self.begin(shared, &plan, mounted, &mut record) {
            Ok(()) => Ok(()),
            Err(error) => {
                shared.keepers.remove(&self.key);
                unmounting::clear(&shared.program, &self.key, &point, within);
                Err(error)
            }
        }
    }

    fn begin(
        &self,
        shared: &Shared,
        plan: &Plan,
        mounted: crate::Mounted,
        record: &mut Record,
    ) -> Result<(), AgentError> {
        use std::os::fd::AsFd;
        let keep = |record: &Record, device: &std::os::fd::OwnedFd| {
            shared.keepers.put(&self.key, record.to_bytes(), std::iter::once(device.as_fd()))
        };
        let kept = keep(record, &mounted.device);
        kept.map_err(|source| AgentError::Io { path: self.folder.clone(), source })?;
        let connection =
            Connection::begin_saving(mounted.device, &self.wish(shared, plan), |agreed| {
                record.negotiated = agreed.to_bytes();
                shared.keepers.put_blob(&self.key, record.to_bytes());
            })?;
        let ledger = match self.ledger(record) {
            Err(error @ LedgerError::Unknown { .. }) => {
                tracing::warn!(%error, "it is begun anew");
                let _ = std::fs::remove_file(self.ledger_file());
                self.ledger(record)?
            }
            other => other?,
        };
        self.serve(shared, plan, connection, record.clone(), ledger)
    }

    fn ledger_file(&self) -> PathBuf {
        self.folder.join("state/ledger")
    }

    fn ledger(&self, record: &Record) -> Result<(Ledger, Vec<KeptNode>), LedgerError> {
        Ledger::open(&self.ledger_file(), record.mounted_ms)
    }

    fn wish(&self, shared: &Shared, plan: &Plan) -> Wish {
        let mut wish = Wish { passthrough: shared.fuse.passthrough, ..Wish::default() };
        wish.max_background = plan.options.max_background.unwrap_or(wish.max_background);
        wish
    }

    /// Goes on with it, for an agent that is gone.
    ///
    /// **Errors**: the descriptors are let go then, and the kernel gives the connection up.
    pub(crate) fn resume(&self, shared: &Shared, kept: Kept) -> Result<(), AgentError> {
        let mut record = self.state().record.clone();
        let plan = Plan::of(shared, &record.path, &record.options)?;
        self.make_folders()?;
        let mut descriptors = kept.descriptors.into_iter();
        let main = descriptors.next().ok_or(SessionError::Dead)?;
        let clones = descriptors.collect();
        let before = if record.in_order { Before::InOrder } else { Before::Killed };
        record.in_order = false;
        let connection = if record.negotiated.is_empty() {
            Connection::begin_saving(main, &self.wish(shared, &plan), |agreed| {
                record.negotiated = agreed.to_bytes();
            })?
        } else {
            let agreed = Negotiated::from_bytes(&record.negotiated)?;
            Connection::adopt_from(main, clones, agreed, before)?
        };
        (record.resumed, record.resumed_ms) = (record.resumed + 1, shared.now_ms());
        let ledger = self.ledger(&record)?;
        self.serve(shared, &plan, connection, record, ledger)
    }

    /// Gives all descriptors to the keepers, and only then reads from them.
    fn serve(
        &self,
        shared: &Shared,
        plan: &Plan,
        mut connection: Connection,
        record: Record,
        (ledger, forsaken): (Ledger, Vec<KeptNode>),
    ) -> Result<(), AgentError> {
        connection.add_clones(plan.threads())?;
        let kept = shared.keepers.put(&self.key, record.to_bytes(), connection.descriptors());
        kept.map_err(|source| AgentError::Io { path: self.folder.clone(), source })?;
        self.save(&record)?;
        let settings = Settings {
            root: plan.root.clone(),
            attr_valid: plan.options.attr_valid,
            entry_valid: plan.options.entry_valid,
            passthrough: connection.negotiated().has(feature::PASSTHROUGH),
            staging: self.staging(),
            commit: plan.options.commit.unwrap_or_default(),
        };
        let past = Past { generation: record.resumed, ledger, salt: record.salt };
        let (client, host) = (plan.client.clone(), shared.host.clone());
        let fs = AlluxioFs::with_past(client, host, connection.control(), settings, past)?;
        fs.forsake(forsaken);
        let session = connection.run(Arc::new(fs.clone()), 4 * plan.threads())?;
        let counters = session.counters();
        let mut state = self.state();
        (state.record, state.reason) = (record, String::new());
        state.live = Some(Live { session, counters, fs });
        Ok(())
    }

    /// Whether the kernel has ended a connection that is served.
    pub(crate) fn is_over(&self) -> bool {
        self.state().live.as_ref().is_some_and(|live| live.session.is_over())
    }

    /// Notes that it is not served any more.
    pub(crate) fn lost(&self, shared: &Shared, reason: &str) {
        let live = {
            let mut state = self.state();
            reason.clone_into(&mut state.reason);
            state.live.take()
        };
        // Keepers may take their time; who lists sessions does not wait for them.
        if let Some(live) = live {
            shared.tally.ended(live.counts());
            shared.keepers.remove(&self.key);
        }
    }

    /// Takes its name away. The rest ends when nobody uses it.
    ///
    /// **Errors**: `InUse`, `Timeout`.
    pub(crate) fn unmount(&self, shared: &Shared, lazy: bool) -> Result<(), AgentError> {
        let point = self.mount_point();
        let Some(row) = mount::row_of(&point) else { return Ok(()) };
        let rows = mount::table().unwrap_or_default();
        let elsewhere = rows.iter().any(|other| other.device == row.device && other.path != point);
        if elsewhere && !lazy {
            return Err(AgentError::InUse { key: self.key.clone() });
        }
        let how = if lazy { Unmount::Lazy } else { Unmount::Idle };
        let within = shared.fuse.umount_timeout;
        unmounting::unmount(&shared.program, &self.key, &point, how, within)
    }

    /// Removes its folder. What was written and is no version of a file yet, or cannot become one, stays.
    pub(crate) fn remove_folder(&self, nothing_is_written: bool) {
        let _ = std::fs::remove_dir_all(self.folder.join("state"));
        let staged = std::fs::read_dir(self.staging()).into_iter().flatten().flatten();
        for file in staged.filter(|_| nothing_is_written) {
            if !file.file_name().as_encoded_bytes().starts_with(KEPT_PREFIX) {
                let _ = std::fs::remove_file(file.path());
            }
        }
        for folder in [self.mount_point(), self.staging(), self.folder.clone()] {
            if let Err(error) = std::fs::remove_dir(&folder) {
                tracing::debug!(folder = %folder.display(), %error, "a folder of a session stays");
            }
        }
    }

    /// Changes what the next agent will know.
    pub(crate) fn note(&self, shared: &Shared, change: impl FnOnce(&mut Record)) {
        let record = {
            let mut state = self.state();
            change(&mut state.record);
            state.record.clone()
        };
        shared.keepers.put_blob(&self.key, record.to_bytes());
        if let Err(error) = self.save(&record) {
            tracing::warn!(key = %self.key, %error, "what becomes of a session is not noted");
        }
    }
}
