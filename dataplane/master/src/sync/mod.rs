//! Metadata sync: what the under store has becomes known here, on demand.
//!
//! The store is asked first, outside of the writer; what it said is then submitted as one change
//! that the writer refuses when the tree has moved meanwhile. Optimistic, short, restartable.

mod facts;
mod state;

pub(crate) use state::{Freshness, LoadType, SyncState};

use crate::core::{Call, Core};
use crate::error::MasterError;
use alluxio_namespace::{Error as NamespaceError, LoadMetadata, Lookup, Outcome, Refusal, Seen};
use alluxio_types::{AlluxioPath, JournalSeq, PersistenceState};
use alluxio_ufs::UnderFs;
pub(crate) use facts::facts_of as facts;
use facts::named;
use futures::TryStreamExt;
use std::sync::Arc;

/// How often a sync is tried anew when the tree moves under it.
const ATTEMPTS: u32 = 5;
/// Names of one change. Planning 10 000 takes a few milliseconds, for which other changes wait.
const CHILDREN_PER_CHANGE: usize = 10_000;

impl Core {
    /// Makes sure that `path` is known as fresh as asked for, if it exists at all. A path that
    /// does not exist in the store either is no error here.
    ///
    /// **Errors**: the store's, and a refusal to pass through a directory.
    pub(crate) async fn refresh(
        &self,
        path: &AlluxioPath,
        freshness: Freshness,
        call: &Call,
    ) -> Result<(), MasterError> {
        for _ in 0..ATTEMPTS {
            let looked_at = self.namespace.applied();
            let lookup = match self.namespace.lookup(path, &self.context(call)) {
                Ok(Seen { value, .. }) => value,
                // A file on the way: nothing to find below it.
                Err(refusal) if matches!(refusal.error, NamespaceError::NotADirectory { .. }) => {
                    return Ok(());
                }
                Err(refusal) => return Err(self.hold_for(refusal.into(), call).await),
            };
            if !self.sync.is_due(path, &lookup, freshness, self.host.clock.monotonic()) {
                return Ok(());
            }
            self.metrics.syncs.inc();
            match self.sync_path(path, lookup, looked_at).await {
                Ok(()) => {
                    self.sync.note(path, self.host.clock.monotonic());
                    return Ok(());
                }
                Err(error) if is_moved(&error) => {}
                Err(error) => {
                    self.metrics.sync_failures.inc();
                    return Err(error);
                }
            }
        }
        // The tree moves all the time: what is known is as good as any answer.
        Ok(())
    }

    async fn sync_path(
        &self,
        path: &AlluxioPath,
        lookup: Lookup,
        looked_at: JournalSeq,
    ) -> Result<(), MasterError> {
        let ufs = self.ufs.of(&lookup.mount)?;
        if path == &lookup.mount.path {
            return Ok(());
        }
        let mut change = LoadMetadata {
            directory: lookup.directory.clone(),
            missing_directories: Vec::new(),
            expected: Some(lookup.directory_id),
            looked_at,
            children: Vec::new(),
            vanished: Vec::new(),
            complete: false,
            block_size_bytes: self.config.metadata_sync.block_size_bytes,
        };
        if let Some(found) = &lookup.found {
            // What only Alluxio has, or is still being written, has nothing to be compared with.
            if !found.completed || found.persistence == PersistenceState::ToBePersisted {
                return Ok(());
            }
            match ask(&*ufs, &lookup.mount.ufs_path(path)).await? {
                Some(facts) => change.children.push(named(path.name(), facts)),
                None => change.vanished.push(path.name().to_owned()),
            }
            self.submit(change).await?;
            return Ok(());
        }
        let mut at = lookup.directory.clone();
        let last = lookup.missing.len().saturating_sub(1);
        for (index, name) in lookup.missing.iter().enumerate() {
            at = at.join(name)?;
            match ask(&*ufs, &lookup.mount.ufs_path(&at)).await? {
                // Found up to here: what is known of the way is worth keeping, but no more.
                None => return Ok(()),
                Some(facts) if index < last => {
                    if !facts.is_directory() {
                        return Ok(());
                    }
                    change.missing_directories.push(named(name, facts));
                    change.directory = at.clone();
                }
                Some(facts) => change.children.push(named(name, facts)),
            }
        }
        self.submit(change).await?;
        Ok(())
    }

    /// Makes sure that all names of directory `path` are known as fresh as asked for. Returns how many
    /// of them were new, other or gone.
    ///
    /// **Errors**: as [`Core::refresh`].
    pub(crate) async fn refresh_children(
        &self,
        path: &AlluxioPath,
        freshness: Freshness,
        call: &Call,
    ) -> Result<u64, MasterError> {
        for _ in 0..ATTEMPTS {
            let looked_at = self.namespace.applied();
            let found = match self.namespace.lookup(path, &self.context(call)) {
                Ok(Seen { value, .. }) => value,
                Err(refusal) => return Err(self.hold(refusal.into()).await),
            };
            let Some(status) = found.found.as_ref().filter(|status| status.is_directory()) else {
                return Ok(0);
            };
            let page = self.namespace.list(path, None, 1, &self.context(call));
            let loaded = match page {
                Ok(page) => page.value.children_loaded,
                // It went away since the look at it.
                Err(refusal) if is_gone(&refusal) => continue,
                Err(refusal) => return Err(self.hold(refusal.into()).await),
            };
            let now = self.host.clock.monotonic();
            if !self.sync.is_listing_due(path, loaded, freshness, now) {
                return Ok(0);
            }
            let flight = self.sync.flight(path);
            let Ok(_alone) = flight.try_lock() else {
                // Somebody lists it right now: its answer is ours too.
                drop(flight.lock().await);
                continue;
            };
            self.metrics.syncs.inc();
            match self.sync_children(path, status.id, &found.mount, looked_at).await {
                Ok(changed) => {
                    self.sync.note_listing(path, self.host.clock.monotonic());
                    return Ok(changed);
                }
                Err(error) if is_moved(&error) => {}
                Err(error) => {
                    self.metrics.sync_failures.inc();
                    return Err(error);
                }
            }
        }
        Ok(0)
    }

    async fn sync_children(
        &self,
        path: &AlluxioPath,
        id: alluxio_types::InodeId,
        mount: &Arc<alluxio_types::MountInfo>,
        looked_at: JournalSeq,
    ) -> Result<u64, MasterError> {
        let ufs = self.ufs.of(mount)?;
        if !ufs.capabilities().list {
            return Ok(0);
        }
        let Some(uri) = mount.ufs_path(path) else { return Ok(0) };
        let mut children = Vec::new();
        match ufs.list(&uri, false).await {
            Ok(mut stream) => {
                while let Some(batch) = stream.try_next().await? {
                    children.extend(batch.into_iter().map(|entry| named(&entry.name, entry.facts)));
                }
            }
            // A directory that only Alluxio has: it has no names there.
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
        let change = |children, complete, looked_at| LoadMetadata {
            directory: path.clone(),
            missing_directories: Vec::new(),
            expected: Some(id),
            looked_at,
            children,
            vanished: Vec::new(),
            complete,
            block_size_bytes: self.config.metadata_sync.block_size_bytes,
        };
        // A large directory is made known in parts, so that other changes pass in between; the
        // last change only compares, and says that all names are known.
        let mut changed = 0;
        if children.len() > CHILDREN_PER_CHANGE {
            for part in children.chunks(CHILDREN_PER_CHANGE) {
                changed += self.submit(change(part.to_vec(), false, looked_at)).await?;
            }
        }
        Ok(changed + self.submit(change(children, true, looked_at)).await?)
    }

    /// Loads the whole tree below `path`. Returns how many names were new, other or gone.
    ///
    /// **Errors**: as [`Core::refresh`].
    pub(crate) async fn refresh_tree(
        &self,
        path: &AlluxioPath,
        freshness: Freshness,
        call: &Call,
    ) -> Result<u64, MasterError> {
        let mut changed = 0;
        let mut to_visit = vec![path.clone()];
        while let Some(directory) = to_visit.pop() {
            changed += self.refresh_children(&directory, freshness, call).await?;
            let mut after: Option<String> = None;
            loop {
                let context = self.context(call);
                let page = self.namespace.list(&directory, after.as_deref(), 1000, &context);
                let page = match page {
                    Ok(page) => page.value,
                    Err(refusal) if is_gone(&refusal) => break,
                    Err(refusal) => return Err(self.hold(refusal.into()).await),
                };
                for child in page.entries.iter().filter(|child| child.is_directory()) {
                    to_visit.push(AlluxioPath::parse(&child.path)?);
                }
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
        }
        Ok(changed)
    }

    async fn submit(&self, change: LoadMetadata) -> Result<u64, MasterError> {
        let done = self.commit(change, &self.itself).await?;
        let Outcome::Loaded(summary) = done.outcome else { return Ok(0) };
        if summary.replaced + summary.removed > 0 {
            tracing::debug!(?summary, "the under store has changed");
        }
        Ok(summary.created + summary.replaced + summary.updated + summary.removed)
    }
}

/// Facts of one path; `None` when the store has nothing there.
async fn ask(
    ufs: &dyn UnderFs,
    uri: &Option<String>,
) -> Result<Option<alluxio_ufs::UfsFacts>, MasterError> {
    let Some(uri) = uri else { return Ok(None) };
    match ufs.status(uri).await {
        Ok(facts) => Ok(Some(facts)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether a directory that was there is not, because somebody deleted it or put a file in its place.
fn is_gone(refusal: &Refusal) -> bool {
    matches!(
        refusal.error,
        NamespaceError::PathNotFound { .. } | NamespaceError::NotADirectory { .. }
    )
}

/// Whether the tree moved between the look and the change.
pub(crate) fn is_moved(error: &MasterError) -> bool {
    matches!(
        error,
        MasterError::Refused(refusal)
            if matches!(refusal.error, NamespaceError::Moved { .. } | NamespaceError::Contended)
    )
}
