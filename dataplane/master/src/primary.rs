//! A master that serves: made from a standby that is elected, dropped whole when its term is over.

use crate::backup::{Backups, daily};
use crate::block_keys::BlockKeys;
use crate::core::Core;
use crate::error::{MasterError, StartError};
use crate::gate::Gate;
use crate::ops::intent::Held;
use crate::peers::Standbys;
use crate::role::Station;
use crate::standby::Standby;
use crate::sync::SyncState;
use crate::tasks;
use crate::ufs_table::UfsTable;
use crate::workers::Workers;
use crate::writer::{Writer, WriterDeps};
use alluxio_election::Tenure;
use alluxio_host::Host;
use alluxio_journal::JournalError;
use alluxio_namespace::{Format, Mount};
use alluxio_types::AlluxioPath;
use alluxio_ufs::{MkdirOptions, UfsKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// A reign.
pub(crate) struct Primary {
    pub(crate) core: Arc<Core>,
    writer: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
}

/// How a reign ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The process stops.
    Stopped,
    /// Another master may be the primary.
    Lost,
    /// It was elected and did not come to serve.
    NotBegun,
    /// It was handed to this master, by its id.
    HandedOver { heir: String },
    /// The journal failed.
    Failed(Arc<JournalError>),
}

/// Why a master that was elected does not serve.
#[derive(Debug)]
pub(crate) enum NotRisen {
    /// The term is over already, or the tree has to be built anew.
    Again(String),
    /// Nothing will help.
    Fatal(StartError),
}

impl From<MasterError> for NotRisen {
    fn from(error: MasterError) -> Self {
        match error {
            MasterError::NotPrimary => NotRisen::Again(error.to_string()),
            error => NotRisen::Fatal(StartError::Setup(error)),
        }
    }
}

impl Primary {
    /// Takes the journal over, catches up, and waits until nobody else answers any more.
    pub(crate) async fn rise(
        station: &Station,
        standby: Arc<Standby>,
        tenure: Tenure,
    ) -> Result<Primary, NotRisen> {
        take_over(&station.host, standby.clone(), &tenure).await?;
        let clock = &station.host.clock;
        tokio::time::sleep(tenure.serve_from().saturating_sub(clock.monotonic())).await;
        if !tenure.valid().await {
            return Err(NotRisen::Again("the term was lost before it began".to_owned()));
        }
        let (gone, removed) = mpsc::unbounded_channel();
        let (writer, writer_task) = Writer::start(WriterDeps {
            namespace: standby.namespace.clone(),
            journal: standby.journal.clone(),
            tenure: tenure.clone(),
            clock: clock.clone(),
            policy: station.policy.clone(),
            metrics: station.metrics.clone(),
            removed: gone,
        });
        let core = Arc::new(core(station, &standby, writer, tenure));
        if core.namespace.mounts().is_empty() {
            set_up(&core, standby.cluster_id.clone()).await?;
        }
        core.finish_intents_at_start().await;
        let tasks = vec![
            tokio::spawn(tasks::watch_workers(core.clone())),
            tokio::spawn(tasks::keep_house(core.clone())),
            tokio::spawn(daily::keep(core.clone())),
            tokio::spawn(tasks::finish_intents(core.clone())),
            tokio::spawn(tasks::free_blocks(core.clone(), removed)),
        ];
        Ok(Primary { core, writer: writer_task, tasks })
    }

    /// Lasts as long as this master is the primary.
    pub(crate) async fn reign(&self, stop: &mut watch::Receiver<bool>) -> End {
        let gate = &self.core.gate;
        tokio::select! {
            biased;
            () = crate::cycle::told(stop) => End::Stopped,
            () = gate.tenure().lost() => End::Lost,
            heir = self.core.standbys.handed_over() => End::HandedOver { heir },
            cause = failure(gate.commits()) => match is_fenced(&cause) {
                true => End::Lost,
                false => End::Failed(cause),
            },
        }
    }

    /// Ends all that acts in the primary's name. Makes what is queued durable, if it still may.
    pub(crate) async fn fall(self) {
        for task in &self.tasks {
            task.abort();
        }
        let journal = self.core.journal.clone();
        let closed = self.core.host.blocking(move || journal.close()).await;
        if let Ok(Err(error)) = closed
            && !is_fenced(&error)
        {
            tracing::error!(%error, "the journal did not close cleanly");
        }
        self.writer.abort();
    }
}

async fn failure(commits: &alluxio_journal::Commits) -> Arc<JournalError> {
    let mut seen = commits.current();
    loop {
        match commits.next_after(seen).await {
            Ok(later) => seen = later,
            Err(error) => return error,
        }
    }
}

fn is_fenced(error: &JournalError) -> bool {
    match error {
        JournalError::Fenced { .. } => true,
        JournalError::Failed { cause } => is_fenced(cause),
        _ => false,
    }
}

async fn take_over(host: &Host, standby: Arc<Standby>, tenure: &Tenure) -> Result<(), NotRisen> {
    let term = tenure.term();
    let taken = host.blocking(move || {
        standby.journal.fence(term)?;
        standby.catch_up()
    });
    match taken.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if is_fenced(&error) => Err(NotRisen::Again(error.to_string())),
        Ok(Err(error @ JournalError::Gap { .. })) => Err(NotRisen::Again(error.to_string())),
        Ok(Err(error)) if crate::standby::is_passing(&error) => {
            Err(NotRisen::Again(error.to_string()))
        }
        Ok(Err(error)) => Err(NotRisen::Fatal(error.into())),
        Err(_) => Err(NotRisen::Again("the journal does not fit the tree".to_owned())),
    }
}

fn core(station: &Station, standby: &Standby, writer: Writer, tenure: Tenure) -> Core {
    let ufs_registry = station.under_stores();
    let namespace = standby.namespace.clone();
    Core {
        sync: SyncState::new(station.config.metadata_sync.absent_cache_entries),
        intents: Held::default(),
        gate: Gate::new(standby.journal.commits(), tenure),
        workers: Workers::new(station.host.clone()),
        standbys: Standbys::new(station.host.clock.clone()),
        ufs: UfsTable::new(ufs_registry, namespace.clone()),
        started: station.host.clock.now(),
        checkpoint_at: AtomicU64::new(standby.checkpoint_at.load(Ordering::Acquire)),
        pin_version: AtomicU64::new(1),
        backups: Backups::default(),
        block_keys: station.config.security.block_tokens.map(BlockKeys::new),
        journal: standby.journal.clone(),
        host: station.host.clone(),
        policy: station.policy.clone(),
        namespace,
        writer,
        identities: station.identities.clone(),
        metrics: station.metrics.clone(),
        itself: station.identities.of(&station.user),
        started_at: station.host.clock.monotonic(),
        properties: station.properties.clone(),
        config: station.config.clone(),
    }
}

/// The first entries of a new journal: identity, root directory and configured mounts.
async fn set_up(core: &Arc<Core>, cluster_id: String) -> Result<(), MasterError> {
    let root = &core.config.root_mount;
    let format = Format {
        cluster_id,
        ufs_uri: root.ufs_uri.clone(),
        read_only: root.read_only,
        shared: root.shared,
        options: root.options.clone(),
        root_mode: None,
    };
    core.commit(format, &core.itself).await?;
    if let Some(mount) = core.namespace.mount_of(&AlluxioPath::root()) {
        let ufs = core.ufs.of(&mount)?;
        // A directory of this machine is ours to make; a bucket or a cluster is the user's.
        if ufs.kind() == UfsKind::Local && !root.read_only {
            ufs.mkdir(ufs.root(), MkdirOptions::recursive()).await?;
        }
    }
    let call = core.call(&core.itself.user, None, None);
    for mount in &core.config.mounts {
        let request = Mount {
            path: mount.path.clone(),
            ufs_uri: mount.ufs_uri.clone(),
            read_only: mount.read_only,
            shared: mount.shared,
            options: mount.options.clone(),
            facts: None,
        };
        core.mount(request, &call).await?;
    }
    Ok(())
}
