//! What stores do that know names only (HDFS by either protocol, web servers): they ask what stands
//! at a name before they act on it, and again after they have read it.

use crate::error::{Error, Result};
use crate::facts::UfsFacts;
use crate::under_fs::ByteStream;
use alluxio_types::{FileKind, Fingerprint};
use bytes::Bytes;
use futures::StreamExt;

/// A store that can be asked about a name, relative to its root.
pub(crate) trait Named: Sync {
    /// The whole URI of a name.
    fn uri(&self, relative: &str) -> String;

    /// What stands there.
    ///
    /// **Errors**: `NotFound`, and those of the store.
    fn status_of(&self, relative: &str) -> impl Future<Output = Result<UfsFacts>> + Send;
}

/// Fails unless a file, or a directory, stands there.
///
/// **Errors**: `IsADirectory`, `NotADirectory`, those of [`Named::status_of`].
pub(crate) async fn need<S: Named>(store: &S, relative: &str, kind: FileKind) -> Result<()> {
    let found = store.status_of(relative).await?.kind;
    match (found, kind) {
        (FileKind::Directory, FileKind::File) => {
            Err(Error::IsADirectory { uri: store.uri(relative) })
        }
        (FileKind::File, FileKind::Directory) => {
            Err(Error::NotADirectory { uri: store.uri(relative) })
        }
        _ => Ok(()),
    }
}

/// Whether a directory that is to be made is there already.
///
/// **Errors**: `AlreadyExists` when a file is.
pub(crate) async fn is_made<S: Named>(store: &S, relative: &str) -> Result<bool> {
    match store.status_of(relative).await {
        Ok(facts) if facts.is_directory() => Ok(true),
        Ok(_) => Err(Error::AlreadyExists { uri: store.uri(relative) }),
        Err(Error::NotFound { .. } | Error::NotADirectory { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Fails unless what stands at `from` is of this kind and can get the name `to`, which is free.
///
/// **Errors**: those of [`need`], `InvalidUri` for a name below itself, `AlreadyExists`.
pub(crate) async fn may_rename<S: Named>(
    store: &S,
    from: &str,
    to: &str,
    kind: FileKind,
) -> Result<()> {
    need(store, from, kind).await?;
    if to == from || to.starts_with(&format!("{from}/")) {
        let why = "a file or directory cannot move into itself".to_owned();
        return Err(Error::InvalidUri { uri: store.uri(to), why });
    }
    match store.status_of(to).await {
        Ok(_) => Err(Error::AlreadyExists { uri: store.uri(to) }),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Fails unless `facts` are of a file of the expected version (empty for any) that has the range.
///
/// **Errors**: `IsADirectory`, `Changed`, `OutOfRange`.
pub(crate) fn need_range(
    facts: &UfsFacts,
    uri: impl FnOnce() -> String,
    (offset, length): (u64, u64),
    expected: &Fingerprint,
) -> Result<()> {
    let end = offset.saturating_add(length);
    if facts.is_directory() {
        Err(Error::IsADirectory { uri: uri() })
    } else if !expected.is_empty() && *expected != facts.fingerprint {
        Err(Error::Changed { uri: uri() })
    } else if end > facts.length {
        Err(Error::OutOfRange { uri: uri(), offset, end, file_length: facts.length })
    } else {
        Ok(())
    }
}

/// Fails if the name does not stand for the version that was read.
///
/// **Errors**: `Changed`, those of [`Named::status_of`].
pub(crate) async fn need_version<S: Named>(
    store: &S,
    relative: &str,
    version: &Fingerprint,
) -> Result<()> {
    if store.status_of(relative).await?.fingerprint == *version {
        Ok(())
    } else {
        Err(Error::Changed { uri: store.uri(relative) })
    }
}

/// A read that is under way.
pub(crate) trait Reading: Send + 'static {
    /// The next bytes; `None` when all came and the name still stands for their version.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>>> + Send;
}

/// The bytes of a read; an error ends them.
pub(crate) fn stream(reading: impl Reading) -> ByteStream {
    let pieces = futures::stream::unfold(Some(reading), |reading| async move {
        let mut reading = reading?;
        match reading.next().await {
            Ok(Some(bytes)) => Some((Ok(bytes), Some(reading))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    pieces.boxed()
}
