//! The node service: volumes become binds of the agent's sessions.
//!
//! Each call works on one volume, of which it holds the lock; another call for it is told ABORTED. Whoever opens,
//! binds or closes a session holds the session's lock besides, taken second. All of them can be repeated: each looks
//! at what the kernel has before it changes anything.

mod publish;
mod service;
mod stage;
mod stats;

use crate::CsiError;
use crate::attributes::{Mode, VolumeAttributes, Words};
use crate::capability::{Access, access};
use crate::keyed::{Held, KeyedLocks};
use crate::metrics::CsiMetrics;
use crate::mounter::{Mounter, SessionView};
use crate::paths::{Bind, PathRunner};
use crate::places::{Kind, Place, Places, Shows};
use crate::proto::csi::VolumeCapability;
use crate::session::{SessionKey, SessionSpec};
use alluxio_types::AlluxioPath;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use service::NodeService;

/// Says what is wrong with options of a mount: the same code that the agent runs.
pub type CheckOptions = Arc<dyn Fn(&[String]) -> Result<(), String> + Send + Sync>;

/// What the node service is made of.
#[derive(Clone)]
pub struct NodeParts {
    /// Name of this node.
    pub node_id: String,
    /// Name of the cluster that the agent shows.
    pub cluster: String,
    /// Who mounts.
    pub mounter: Arc<dyn Mounter>,
    /// Where work on paths is done.
    pub paths: PathRunner,
    /// Checks options before the agent is asked.
    pub check_options: CheckOptions,
    /// The folder of the worker's socket; `None` where workers have none.
    pub sockets: Option<PathBuf>,
    /// What volumes that stand in a pod may show: this path and what is below it.
    pub ephemeral: Option<AlluxioPath>,
}

/// The node service's state.
pub(crate) struct Node {
    pub(crate) parts: NodeParts,
    pub(crate) places: Places,
    pub(crate) metrics: CsiMetrics,
    volumes: KeyedLocks,
    sessions: KeyedLocks,
}

/// What a request says of its volume.
struct Asked {
    attributes: VolumeAttributes,
    access: Access,
}

/// Whether an option of a mount says more than how the kernel shows it: who the session is, or where it asks.
fn sets_configuration(option: &str) -> bool {
    option.starts_with("alluxio.") || option.starts_with("masters=")
}

impl Node {
    pub(crate) fn new(parts: NodeParts, places: Places, metrics: CsiMetrics) -> Self {
        let (volumes, sessions) = (KeyedLocks::default(), KeyedLocks::default());
        Node { parts, places, metrics, volumes, sessions }
    }

    /// Reads what stage and publish are told alike.
    fn asked(
        &self,
        context: &Words,
        capability: Option<&VolumeCapability>,
    ) -> Result<Asked, CsiError> {
        let access = access(capability)?;
        let attributes = VolumeAttributes::read(context)?;
        let spec = attributes.session(&access.mount_flags, false);
        let checked = (self.parts.check_options)(&spec.options);
        checked.map_err(|why| CsiError::invalid("options of the mount", why))?;
        if attributes.ephemeral && attributes.mode == Mode::Fuse {
            self.check_ephemeral(&attributes)?;
        }
        Ok(Asked { attributes, access })
    }

    /// A volume that stands in a pod is written by whoever may make pods, not by an administrator.
    fn check_ephemeral(&self, attributes: &VolumeAttributes) -> Result<(), CsiError> {
        let allowed = self.parts.ephemeral.as_ref();
        if !allowed.is_some_and(|below| attributes.path.starts_with(below)) {
            let why = "volumes that stand in a pod may not show it (alluxio.csi.ephemeral.path)";
            return Err(CsiError::invalid("path", why));
        }
        if !attributes.masters.is_empty() {
            let why = "volumes that stand in a pod show the agent's cluster";
            return Err(CsiError::invalid("masters", why));
        }
        match attributes.options.iter().find(|option| sets_configuration(option)) {
            None => Ok(()),
            Some(option) => {
                let name = option.split('=').next().unwrap_or_default();
                let why = "volumes that stand in a pod may not set configuration keys";
                Err(CsiError::invalid(format!("fuse.{name}"), why))
            }
        }
    }

    /// The lock of a volume. **Errors**: `Busy`.
    pub(crate) fn lock(&self, volume: &str) -> Result<Held, CsiError> {
        self.volumes.try_lock(volume).ok_or_else(|| CsiError::Busy { id: volume.to_owned() })
    }

    fn key(&self, owner: &str, spec: &SessionSpec) -> SessionKey {
        SessionKey::of(&self.parts.cluster, owner, spec)
    }

    /// Opens what the place shows, if it is a session, and binds it there. When that fails, nothing is left.
    async fn show(&self, place: Place) -> Result<(), CsiError> {
        let path = place.path.clone();
        let session = place.session().map(|(key, _)| key.clone());
        // Held until the bind is in the table: nobody finds the session unused in between.
        let held = match &session {
            Some(key) => Some(self.sessions.lock(key.as_str()).await),
            None => None,
        };
        let source = self.source(&place).await?;
        self.places.put(place.clone()).await?;
        let bound = self.parts.paths.bind(bind(&place, source)).await;
        drop(held);
        if let Err(error) = bound {
            // What is left is as it was found: bound or not, it is unmounted, and the call is made again.
            self.parts.paths.unmount(&path, 0, false).await?;
            self.places.remove(&path).await?;
            if let Some(key) = session {
                self.release(&key).await?;
            }
            return Err(error.into());
        }
        Ok(())
    }

    /// The directory that a place shows; its session is opened, or mounted anew.
    async fn source(&self, place: &Place) -> Result<PathBuf, CsiError> {
        match &place.shows {
            Shows::Session { key, spec } => {
                Ok(self.parts.mounter.open(key, spec).await?.mount_point)
            }
            Shows::Folder { path } => Ok(path.clone()),
        }
    }

    /// Binds the session of a place over what is there, which is dead. Of the layers that are there only the
    /// lowest stays: pods that get mounts handed on see those that are made on top of it, and nothing else.
    pub(crate) async fn bind_anew(
        &self,
        place: &Place,
        view: &SessionView,
    ) -> Result<(), CsiError> {
        let _held = self.sessions.lock(view.key.as_str()).await;
        self.parts.paths.unmount(&place.path, 1, false).await?;
        self.parts.paths.bind(bind(place, view.mount_point.clone())).await?;
        self.metrics.rebound.inc();
        Ok(())
    }

    /// A place that is bound already shows what lives. **Errors**: as [`Mounter::open`].
    async fn refresh(&self, place: &Place) -> Result<(), CsiError> {
        let Some((key, spec)) = place.session() else { return Ok(()) };
        let view = self.parts.mounter.open(key, spec).await?;
        let table = self.places.table().await?;
        let shown = table.top(&place.path).map(|row| row.device.clone());
        if shown.as_ref() == Some(&view.device) {
            return Ok(());
        }
        self.bind_anew(place, &view).await
    }

    /// Takes a place away, and its session, if that was the last one.
    async fn hide(&self, path: &Path, remove: bool) -> Result<(), CsiError> {
        let place = self.places.at(path);
        self.parts.paths.unmount(path, 0, remove).await?;
        self.places.remove(path).await?;
        match place.as_ref().and_then(Place::session) {
            Some((key, _)) => self.release(key).await,
            None => Ok(()),
        }
    }

    /// Closes a session that no place shows.
    async fn release(&self, key: &SessionKey) -> Result<(), CsiError> {
        let _held = self.sessions.lock(key.as_str()).await;
        let table = self.places.table().await?;
        let used = self.places.all().into_iter().any(|place| {
            place.session().is_some_and(|(other, _)| other == key)
                && (place.kind == Kind::Staged || table.top(&place.path).is_some())
        });
        if used { Ok(()) } else { self.parts.mounter.close(key).await }
    }
}

fn bind(place: &Place, source: PathBuf) -> Bind {
    Bind {
        source,
        sub_path: place.sub_path.clone(),
        target: place.path.clone(),
        read_only: place.read_only,
    }
}

/// A field that must not be empty. **Errors**: `Missing`.
pub(crate) fn required(field: &'static str, value: String) -> Result<String, CsiError> {
    if value.is_empty() { Err(CsiError::Missing { field }) } else { Ok(value) }
}

/// A path that must be absolute. **Errors**: `Missing`, `Invalid`.
fn absolute(field: &'static str, value: String) -> Result<PathBuf, CsiError> {
    let path = PathBuf::from(required(field, value)?);
    let plain = path.is_absolute()
        && path.components().all(|part| !matches!(part, std::path::Component::ParentDir));
    if !plain {
        return Err(CsiError::invalid(field, "it is an absolute path without .."));
    }
    // As the kernel's table writes it: no slash at the end, none twice.
    Ok(path.components().collect())
}
