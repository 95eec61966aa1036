//! What a file system does in one step and a bucket does not: deleting and moving directories.

use super::{ObjectUfs, directory_key};
use crate::error::{Error, Result};
use crate::facts::{UfsEntry, UfsFacts};
use crate::location::split_last;
use futures::TryStreamExt;
use opendal::options::CopyOptions;

pub(super) async fn delete_dir(ufs: &ObjectUfs, relative: &str, recursive: bool) -> Result<()> {
    if !ufs.status_of(relative).await?.is_directory() {
        return Err(Error::NotADirectory { uri: ufs.uri(relative) });
    }
    if !recursive {
        let mut entries = super::list::list(ufs, relative.to_owned(), false).await?;
        if entries.try_next().await?.is_some() {
            return Err(Error::NotEmpty { uri: ufs.uri(relative) });
        }
    }
    ufs.keep_parent(relative).await;
    ufs.forget(relative);
    if recursive {
        delete_below(ufs, relative).await?;
    }
    // Last, so that a deletion that is interrupted leaves a directory that can be deleted.
    let marker = directory_key(relative);
    ufs.run(relative, "delete", Box::pin(ufs.shared.operator.delete(&marker))).await
}

/// Deletes every key below `relative`, in the store's own batches, whatever the keys look like.
async fn delete_below(ufs: &ObjectUfs, relative: &str) -> Result<()> {
    let operator = &ufs.shared.operator;
    let prefix = directory_key(relative);
    let opening = operator.lister_with(&prefix).recursive(true);
    let mut lister = ufs.run(relative, "list", async { opening.await }).await?;
    let mut deleter = ufs.run(relative, "delete", Box::pin(operator.deleter())).await?;
    while let Some(entry) = ufs.run(relative, "list", lister.try_next()).await? {
        if entry.path() != prefix {
            let deletion = deleter.delete(entry.path().to_owned());
            ufs.run(relative, "delete", Box::pin(deletion)).await?;
        }
    }
    ufs.run(relative, "delete", Box::pin(deleter.close())).await
}

pub(super) async fn rename_file(ufs: &ObjectUfs, from: &str, to: &str) -> Result<UfsFacts> {
    let facts = ufs.status_of(from).await?;
    if facts.is_directory() {
        return Err(Error::IsADirectory { uri: ufs.uri(from) });
    }
    check_target(ufs, from, to).await?;
    copy(ufs, from, to, facts.length).await?;
    ufs.keep_parent(from).await;
    ufs.run(from, "rename", Box::pin(ufs.shared.operator.delete(from))).await?;
    ufs.status_of(to).await
}

pub(super) async fn rename_dir(ufs: &ObjectUfs, from: &str, to: &str) -> Result<()> {
    if !ufs.status_of(from).await?.is_directory() {
        return Err(Error::NotADirectory { uri: ufs.uri(from) });
    }
    check_target(ufs, from, to).await?;
    ufs.forget(from);
    if ufs.shared.operator.info().capability().rename {
        let (from_key, to_key) = (directory_key(from), directory_key(to));
        let moving = ufs.shared.operator.rename(&from_key, &to_key);
        return ufs.run(from, "rename", Box::pin(moving)).await;
    }
    // All copies first, then all deletions: a rename that is interrupted loses nothing.
    ufs.put_marker(to).await?;
    let entries = super::list::list(ufs, from.to_owned(), true).await?;
    entries
        .map_ok(|batch| futures::stream::iter(batch.into_iter().map(Ok)))
        .try_flatten()
        .try_for_each_concurrent(ufs.shared.copies_at_a_time, |entry| {
            copy_entry(ufs, from, to, entry)
        })
        .await?;
    delete_dir(ufs, from, true).await
}

async fn copy_entry(ufs: &ObjectUfs, from: &str, to: &str, entry: UfsEntry) -> Result<()> {
    let (source, target) = (format!("{from}/{}", entry.name), format!("{to}/{}", entry.name));
    if entry.facts.is_directory() {
        ufs.put_marker(&target).await
    } else {
        copy(ufs, &source, &target, entry.facts.length).await
    }
}

async fn copy(ufs: &ObjectUfs, from: &str, to: &str, length: u64) -> Result<()> {
    let options = CopyOptions {
        source_content_length_hint: Some(length),
        // Parts of one large object; small ones go in one request.
        concurrent: 4,
        ..CopyOptions::default()
    };
    let copying = ufs.shared.operator.copy_options(from, to, options);
    ufs.run(from, "rename", Box::pin(copying)).await?;
    Ok(())
}

/// The target must be free, in an existing directory, and not inside the source.
async fn check_target(ufs: &ObjectUfs, from: &str, to: &str) -> Result<()> {
    if to == from || to.starts_with(&format!("{from}/")) {
        let why = "a file or directory cannot move into itself".to_owned();
        return Err(Error::InvalidUri { uri: ufs.uri(to), why });
    }
    if to.is_empty() {
        return Err(Error::AlreadyExists { uri: ufs.uri(to) });
    }
    match ufs.status_of(to).await {
        Ok(_) => return Err(Error::AlreadyExists { uri: ufs.uri(to) }),
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error),
    }
    let parent = split_last(to).0;
    if !ufs.status_of(parent).await?.is_directory() {
        return Err(Error::NotADirectory { uri: ufs.uri(parent) });
    }
    Ok(())
}
