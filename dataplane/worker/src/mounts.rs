//! Stores of the mounts this worker was asked about, opened with what the master says.

use crate::error::WorkerError;
use alluxio_proto::convert::ConvertError;
use alluxio_proto::v1::block::GetMountRequest;
use alluxio_proto::v1::block::block_master_worker_client::BlockMasterWorkerClient;
use alluxio_rpc::{Primary, Repeat};
use alluxio_types::{MountId, MountInfo};
use alluxio_ufs::{UnderFs, UnderFsRegistry};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a worker that has registered may take to ask for the mounts that it will need.
const PREPARE_WITHIN: Duration = Duration::from_secs(2);

/// A mount and its open store.
#[derive(Clone)]
pub(crate) struct Mount {
    pub(crate) info: Arc<MountInfo>,
    pub(crate) ufs: Arc<dyn UnderFs>,
    /// Version of the mount table that this row was read from; `None` when it must be asked for
    /// again.
    version: Option<u64>,
}

/// The mounts of a worker, by id.
pub(crate) struct Mounts {
    registry: UnderFsRegistry,
    master: Arc<Primary>,
    known: Mutex<BTreeMap<MountId, Mount>>,
    /// Version that the last heartbeat told; rows of another one are asked for again.
    version: AtomicU64,
    /// One question at a time: a burst of reads of a new mount asks once.
    asking: tokio::sync::Mutex<()>,
}

impl Mounts {
    pub(crate) fn new(registry: UnderFsRegistry, master: Arc<Primary>) -> Self {
        Mounts {
            registry,
            master,
            known: Mutex::default(),
            version: AtomicU64::new(0),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// The mount table has this version now. While the master is away the version stays, and so
    /// do the stores: reads of known mounts go on.
    pub(crate) fn set_version(&self, version: u64) {
        self.version.store(version, Ordering::Release);
    }

    /// Another master may count versions from another start: every row is asked for again.
    pub(crate) fn doubt_all(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for mount in known.values_mut() {
            mount.version = None;
        }
    }

    /// Asks for every row that is known, and for the root's, so that none is missing when the master is away later:
    /// another worker's readers may come here then. A wish: what fails is asked for when it is needed.
    pub(crate) async fn prepare(&self) {
        let mut ids: BTreeSet<MountId> = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.keys().copied().collect()
        };
        ids.insert(MountInfo::ROOT_ID);
        let all = async {
            for id in ids {
                if let Err(error) = self.get(id).await {
                    tracing::debug!(mount = id.0, %error, "a mount is not known beforehand");
                }
            }
        };
        if tokio::time::timeout(PREPARE_WITHIN, all).await.is_err() {
            tracing::debug!("not all mounts are known beforehand");
        }
    }

    fn current(&self, id: MountId) -> Option<Mount> {
        let version = self.version.load(Ordering::Acquire);
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&id).filter(|mount| mount.version == Some(version)).cloned()
    }

    /// The mount, from what is known or from the master.
    ///
    /// **Errors**: `Master` when there is no such mount or no master; `Ufs` when its URI or options
    /// make no sense.
    pub(crate) async fn get(&self, id: MountId) -> Result<Mount, WorkerError> {
        if let Some(mount) = self.current(id) {
            return Ok(mount);
        }
        let _one = self.asking.lock().await;
        if let Some(mount) = self.current(id) {
            return Ok(mount);
        }
        let reply = self
            .master
            .call(Repeat::Harmless, |channel| async move {
                BlockMasterWorkerClient::new(channel)
                    .get_mount(GetMountRequest { mount_id: id.0 })
                    .await
            })
            .await?;
        let info: MountInfo =
            reply.info.ok_or(ConvertError::Missing { field: "info" })?.try_into()?;
        // May be newer than the last heartbeat told.
        self.set_version(reply.mount_table_version);
        let mount = self.open(info, Some(reply.mount_table_version))?;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(id, mount.clone());
        Ok(mount)
    }

    /// Keeps the store, and its connections, when nothing changed but the version.
    fn open(&self, info: MountInfo, version: Option<u64>) -> Result<Mount, WorkerError> {
        let before = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(&info.id).cloned()
        };
        if let Some(mount) = before
            && *mount.info == info
        {
            return Ok(Mount { version, ..mount });
        }
        let ufs = self.registry.open(&info.ufs_uri, &info.options)?;
        Ok(Mount { info: Arc::new(info), ufs, version })
    }
}
