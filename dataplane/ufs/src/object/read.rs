//! Bytes of objects.

use super::ObjectUfs;
use super::version::{self, Tag, Version};
use crate::error::{Error, Result};
use crate::under_fs::ByteStream;
use alluxio_types::Fingerprint;
use futures::{FutureExt, StreamExt};
use opendal::options::ReaderOptions;
use std::time::Duration;

/// Ranges up to this length come by one request, as they arrive.
const SINGLE_REQUEST_BYTES: u64 = 8 * 1024 * 1024;
/// Longer ones are cut: several requests at a time get more out of a store than one.
const PIECE_BYTES: usize = 4 * 1024 * 1024;
/// Requests at a time; at most this many pieces are held in memory for one reader.
const REQUESTS_AT_A_TIME: usize = 4;

pub(super) async fn read_range(
    ufs: &ObjectUfs,
    relative: String,
    offset: u64,
    length: u64,
    expected: &Fingerprint,
) -> Result<ByteStream> {
    let changed = || Error::Changed { uri: ufs.uri(&relative) };
    let found = if expected.is_empty() || length == 0 {
        let facts = ufs.status_of(&relative).await?;
        if facts.is_directory() {
            return Err(Error::IsADirectory { uri: ufs.uri(&relative) });
        }
        if !expected.is_empty() && facts.fingerprint != *expected {
            return Err(changed());
        }
        facts.fingerprint
    } else {
        expected.clone()
    };
    let Some(version) = version::parse(&found) else {
        // Made by another kind of store; the object may still be missing or a directory.
        ufs.status_of(&relative).await?;
        return Err(changed());
    };
    let end = offset.saturating_add(length);
    if end > version.length {
        let file_length = version.length;
        return Err(Error::OutOfRange { uri: ufs.uri(&relative), offset, end, file_length });
    }
    if length == 0 {
        return Ok(futures::stream::empty().boxed());
    }
    let stream = open(ufs, &relative, offset, end, &version).await?;
    if version.tag != Tag::Modified {
        return Ok(counted(ufs, relative, stream, length));
    }
    // Nothing the store could compare: look before and after.
    let before = ufs.status_of(&relative).await?;
    if before.fingerprint != found {
        return Err(changed());
    }
    let (ufs_after, relative_after) = (ufs.clone(), relative.clone());
    let verdict = async move {
        match ufs_after.status_of(&relative_after).await {
            Ok(after) if after.fingerprint == found => None,
            Ok(_) => Some(Err(Error::Changed { uri: ufs_after.uri(&relative_after) })),
            Err(error) => Some(Err(error)),
        }
    };
    let verdict = verdict.into_stream().filter_map(futures::future::ready);
    let chained = counted(ufs, relative, stream, length).chain(verdict);
    Ok(until_error(chained.boxed()))
}

type Foreign = futures::stream::BoxStream<'static, std::io::Result<bytes::Bytes>>;

async fn open(
    ufs: &ObjectUfs,
    relative: &str,
    offset: u64,
    end: u64,
    version: &Version,
) -> Result<Foreign> {
    let mut options =
        ReaderOptions { content_length_hint: Some(version.length), ..ReaderOptions::default() };
    match &version.tag {
        Tag::Entity(tag) => options.if_match = Some(format!("\"{tag}\"")),
        Tag::Generation(generation) => options.if_version_match = Some(generation.clone()),
        Tag::Modified => {}
    }
    if end - offset > SINGLE_REQUEST_BYTES {
        options.chunk = Some(PIECE_BYTES);
        options.concurrent = REQUESTS_AT_A_TIME;
    }
    let work = async {
        let reader = ufs.shared.operator.reader_options(relative, options).await?;
        reader.into_bytes_stream(offset..end).await
    };
    let stream = ufs.run(relative, "read", Box::pin(work)).await?;
    Ok(stream.boxed())
}

/// The stream with our errors, a deadline for each step, and the promise that it is complete.
fn counted(ufs: &ObjectUfs, relative: String, stream: Foreign, want: u64) -> ByteStream {
    struct State {
        ufs: ObjectUfs,
        relative: String,
        stream: Foreign,
        want: u64,
        got: u64,
    }
    let state = State { ufs: ufs.clone(), relative, stream, want, got: 0 };
    let counted = futures::stream::unfold(Some(state), |state| async move {
        let mut state = state?;
        let limit: Duration = state.ufs.shared.operation_timeout;
        let uri = || state.ufs.uri(&state.relative);
        let failed = match tokio::time::timeout(limit, state.stream.next()).await {
            Ok(Some(Ok(bytes))) => {
                state.got += bytes.len() as u64;
                return Some((Ok(bytes), Some(state)));
            }
            Ok(Some(Err(error))) => state.ufs.read_error(&state.relative, error).await,
            Ok(None) if state.got == state.want => return None,
            Ok(None) => Error::Truncated { uri: uri(), want: state.want, got: state.got },
            Err(_) => Error::DeadlineExceeded { uri: uri(), operation: "read", limit },
        };
        Some((Err(failed), None))
    });
    counted.boxed()
}

impl ObjectUfs {
    /// A store that finds no object of that name does not know that it is a directory.
    async fn read_error(&self, relative: &str, error: std::io::Error) -> Error {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<opendal::Error>());
        let ours = match inner {
            Some(inner) => self.error(relative, "read", inner),
            None => {
                let detail = self.shared.redactor.clean(&error.to_string());
                Error::Unavailable { uri: self.uri(relative), detail }
            }
        };
        if ours.is_not_found()
            && let Ok(facts) = self.status_of(relative).await
            && facts.is_directory()
        {
            return Error::IsADirectory { uri: self.uri(relative) };
        }
        ours
    }
}

fn until_error(stream: ByteStream) -> ByteStream {
    stream
        .scan(false, |failed, item| {
            let out = if *failed { None } else { Some(item) };
            *failed = matches!(out, Some(Err(_)));
            futures::future::ready(out)
        })
        .boxed()
}
