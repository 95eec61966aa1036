//! Whether what is known agrees with the under store, without changing either.

use crate::core::{Call, Core};
use crate::error::MasterError;
use alluxio_types::{AlluxioPath, FileStatus, PersistenceState};
use alluxio_ufs::UfsFacts;
use futures::TryStreamExt;
use std::collections::BTreeMap;

/// Names of one page of a listing.
const PAGE: usize = 1000;
/// Differences told at most: the message stays small, and nobody reads more.
const DIFFERENCES_MAX: usize = 10_000;

impl Core {
    /// Paths at and below `path` that stand for something the store does not have, or has in another
    /// version. What only Alluxio has, and what nobody has looked for yet, is no difference.
    ///
    /// **Errors**: that there is no such path, that it may not be listed, and those of the store.
    pub(crate) async fn differences(
        &self,
        path: &AlluxioPath,
        call: &Call,
    ) -> Result<Vec<String>, MasterError> {
        let top = self.release(self.namespace.status(path, &self.context(call))).await?;
        let mut found = Vec::new();
        let mut to_visit = Vec::new();
        if let Some(mount) = self.namespace.mount_of(path).filter(|mount| mount.path != *path)
            && let Some(uri) = mount.ufs_path(path)
        {
            let facts = match self.ufs.of(&mount)?.status(&uri).await {
                Ok(facts) => Some(facts),
                Err(error) if error.is_not_found() => None,
                Err(error) => return Err(error.into()),
            };
            found.extend(differs(&top, facts.as_ref()).then(|| top.path.clone()));
        }
        to_visit.extend(top.is_directory().then(|| path.clone()));
        while let Some(directory) = to_visit.pop() {
            let there = self.names_in_ufs(&directory).await?;
            let mut after: Option<String> = None;
            loop {
                let listed =
                    self.namespace.list(&directory, after.as_deref(), PAGE, &self.context(call));
                let page = self.release(listed).await?;
                for child in &page.entries {
                    if !child.mount_point && differs(child, there.get(&child.name)) {
                        found.push(child.path.clone());
                    }
                    if found.len() >= DIFFERENCES_MAX {
                        return Ok(found);
                    }
                    if child.is_directory() {
                        to_visit.push(AlluxioPath::parse(&child.path)?);
                    }
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    async fn names_in_ufs(
        &self,
        directory: &AlluxioPath,
    ) -> Result<BTreeMap<String, UfsFacts>, MasterError> {
        let mut names = BTreeMap::new();
        let Some(mount) = self.namespace.mount_of(directory) else { return Ok(names) };
        let Some(uri) = mount.ufs_path(directory) else { return Ok(names) };
        match self.ufs.of(&mount)?.list(&uri, false).await {
            Ok(mut batches) => {
                while let Some(batch) = batches.try_next().await? {
                    names.extend(batch.into_iter().map(|entry| (entry.name, entry.facts)));
                }
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
        Ok(names)
    }
}

fn differs(known: &FileStatus, there: Option<&UfsFacts>) -> bool {
    if !known.completed || known.persistence != PersistenceState::Persisted {
        return false;
    }
    match there {
        None => true,
        Some(facts) if facts.is_directory() || known.is_directory() => {
            facts.is_directory() != known.is_directory()
        }
        Some(facts) => facts.fingerprint != known.fingerprint,
    }
}
