//! Open under stores by mount.

use crate::error::MasterError;
use alluxio_namespace::Namespace;
use alluxio_types::{MountId, MountInfo, MountOptions};
use alluxio_ufs::{UnderFs, UnderFsRegistry};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Opens stores when they are first needed, and again when their options change.
pub(crate) struct UfsTable {
    registry: UnderFsRegistry,
    namespace: Arc<Namespace>,
    open: Mutex<HashMap<MountId, Open>>,
    version: AtomicU64,
}

/// A store, and the row it was opened for.
type Open = (Arc<MountInfo>, Arc<dyn UnderFs>);

impl UfsTable {
    /// Nothing is open yet.
    pub(crate) fn new(registry: UnderFsRegistry, namespace: Arc<Namespace>) -> Self {
        UfsTable { registry, namespace, open: Mutex::default(), version: AtomicU64::new(1) }
    }

    /// The store of a mount.
    ///
    /// **Errors**: what [`UnderFsRegistry::open`] says.
    pub(crate) fn of(&self, mount: &Arc<MountInfo>) -> Result<Arc<dyn UnderFs>, MasterError> {
        let mut open = self.open.lock().unwrap_or_else(|poison| poison.into_inner());
        if let Some((known, ufs)) = open.get(&mount.id)
            && (Arc::ptr_eq(known, mount) || **known == **mount)
        {
            return Ok(ufs.clone());
        }
        let ufs = self.registry.open(&mount.ufs_uri, &mount.options)?;
        open.insert(mount.id, (mount.clone(), ufs.clone()));
        Ok(ufs)
    }

    /// A store that is not mounted yet.
    ///
    /// **Errors**: what [`UnderFsRegistry::open`] says.
    pub(crate) fn try_open(
        &self,
        uri: &str,
        options: &MountOptions,
    ) -> Result<Arc<dyn UnderFs>, MasterError> {
        Ok(self.registry.open(uri, options)?)
    }

    /// The mount table changed: workers must ask again, closed mounts are forgotten.
    pub(crate) fn changed(&self) {
        self.version.fetch_add(1, Ordering::Release);
        let mut open = self.open.lock().unwrap_or_else(|poison| poison.into_inner());
        open.retain(|id, _| self.namespace.mount_by_id(*id).is_some());
    }

    /// Grows with every change of the mount table.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}
