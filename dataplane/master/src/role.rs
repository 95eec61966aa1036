//! What this master is at the moment, and the one place where services ask for it.
//!
//! ```text
//!   Starting ──► Standby ──elected, caught up──► Primary
//!      ▲            │                               │
//!      └────────────┴──── fell behind, term lost ───┘
//! ```
//! The gRPC server and its port outlive every role.

use crate::core::{Core, Property};
use crate::error::StartError;
use crate::identity::Identities;
use crate::metrics::MasterMetrics;
use crate::newest::NewestMemory;
use crate::standby::Standby;
use alluxio_config::MasterConfig;
use alluxio_election::{Candidate, Elector, Leader};
use alluxio_host::Host;
use alluxio_journal::{JournalError, JournalStore};
use alluxio_namespace::{Namespace, Policy};
use alluxio_rpc::not_primary;
use alluxio_telemetry::Metrics;
use alluxio_ufs::{UfsSettings, UnderFsRegistry};
use std::sync::Arc;
use tokio::sync::watch;
use tonic::Status;

/// A journal, just opened.
pub struct OpenedJournal {
    /// Not loaded yet.
    pub store: Arc<dyn JournalStore>,
    /// The id that it was formatted with.
    pub cluster_id: String,
}

/// Opens the journal, anew for each life as standby and primary: a store that was written to, or
/// failed, is not loaded again. Blocking.
pub type OpenJournal = Arc<dyn Fn() -> Result<OpenedJournal, JournalError> + Send + Sync>;

/// What a master keeps over all its roles.
pub(crate) struct Station {
    pub(crate) host: Host,
    pub(crate) config: MasterConfig,
    pub(crate) policy: Policy,
    pub(crate) properties: Vec<Property>,
    pub(crate) metrics: MasterMetrics,
    pub(crate) journal: OpenJournal,
    pub(crate) elector: Arc<dyn Elector>,
    pub(crate) itself: Candidate,
    pub(crate) identities: Arc<Identities>,
    /// The superuser of a new namespace.
    pub(crate) user: String,
    pub(crate) rpc_port: u16,
    pub(crate) web_port: u16,
    pub(crate) newest: NewestMemory,
    /// What it counts, for those who ask.
    pub(crate) registry: Metrics,
}

impl Station {
    /// Under stores with the options that the configuration gives to all of them.
    pub(crate) fn under_stores(&self) -> UnderFsRegistry {
        UnderFsRegistry::new(UfsSettings {
            defaults: self.config.ufs_options.clone(),
            clock: self.host.clock.clone(),
            ..UfsSettings::default()
        })
    }
}

/// What this master is.
#[derive(Clone, Default)]
pub(crate) enum Role {
    /// It reads its journal, or stops.
    #[default]
    Starting,
    /// It reads along.
    Standby(Arc<Standby>),
    /// It serves.
    Primary(Arc<Core>),
    /// It will never serve again, and why.
    Failed(Arc<StartError>),
}

/// Holds the role.
pub struct Slot {
    role: watch::Sender<Role>,
    leader: watch::Receiver<Option<Leader>>,
    id: String,
    /// Set when the process stops: streams that would last for ever end.
    closed: watch::Sender<bool>,
}

impl Slot {
    pub(crate) fn new(elector: &dyn Elector, itself: &Candidate) -> Self {
        let role = watch::Sender::new(Role::Starting);
        let closed = watch::Sender::new(false);
        Slot { role, leader: elector.leader(), id: itself.id.clone(), closed }
    }

    pub(crate) fn set(&self, role: Role) {
        self.role.send_replace(role);
    }

    pub(crate) fn role(&self) -> Role {
        self.role.borrow().clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Role> {
        self.role.subscribe()
    }

    /// The primary, when this master is it.
    ///
    /// **Errors**: the refusal that names the primary, if it is known.
    pub(crate) fn primary(&self) -> Result<Arc<Core>, Status> {
        if let Role::Primary(core) = &*self.role.borrow() {
            return Ok(core.clone());
        }
        Err(self.refusal())
    }

    /// The primary as the election knows it; never this master, which may be elected and not ready.
    pub(crate) fn other_leader(&self) -> Option<Leader> {
        self.leader.borrow().clone().filter(|leader| leader.id != self.id)
    }

    fn refusal(&self) -> Status {
        match self.other_leader() {
            Some(Leader { rpc_address, .. }) => not_primary(
                format!("this master is not the primary, {rpc_address} is"),
                Some(&rpc_address),
            ),
            None => not_primary("this master is not the primary", None),
        }
    }

    /// Ends the streams that tell of primaries.
    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
    }

    pub(crate) fn closed(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }

    pub(crate) fn leader(&self) -> watch::Receiver<Option<Leader>> {
        self.leader.clone()
    }

    /// The tree and its journal, whatever the role; `None` while they are read.
    pub(crate) fn tree(&self) -> Option<(Arc<Namespace>, Arc<dyn JournalStore>)> {
        match &*self.role.borrow() {
            Role::Standby(standby) => Some((standby.namespace.clone(), standby.journal.clone())),
            Role::Primary(core) => Some((core.namespace.clone(), core.journal.clone())),
            Role::Starting | Role::Failed(_) => None,
        }
    }

    /// The tree, whatever the role; `None` while it is read.
    pub(crate) fn namespace(&self) -> Option<Arc<Namespace>> {
        self.tree().map(|(namespace, _)| namespace)
    }
}
