//! Bytes of objects.

use super::ObjectUfs;
use super::version::{self, Tag, Version};
use crate::error::{Error, Result};
use crate::retry::Waits;
use crate::under_fs::ByteStream;
use alluxio_types::Fingerprint;
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use opendal::options::ReaderOptions;

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
    let compares = version.tag != Tag::Modified;
    if !compares && ufs.status_of(&relative).await?.fingerprint != found {
        return Err(changed());
    }
    let waits = ufs.shared.retries.waits();
    let mut reading = Reading {
        ufs: ufs.clone(),
        relative: relative.clone(),
        version,
        stream: None,
        next: offset,
        end,
        waits,
    };
    // The first piece now, so that whoever asks for a version that is gone hears of it at once.
    let first = reading.step().await?;
    let rest = futures::stream::unfold(Some(reading), |reading| async move {
        let mut reading = reading?;
        match reading.step().await {
            Ok(Some(bytes)) => Some((Ok(bytes), Some(reading))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    let pieces = futures::stream::iter(first.map(Ok)).chain(rest);
    if compares {
        return Ok(pieces.boxed());
    }
    // Nothing the store could compare: look again after the last byte.
    let (ufs_after, relative_after) = (ufs.clone(), relative.clone());
    let verdict = async move {
        match ufs_after.status_of(&relative_after).await {
            Ok(after) if after.fingerprint == found => None,
            Ok(_) => Some(Err(Error::Changed { uri: ufs_after.uri(&relative_after) })),
            Err(error) => Some(Err(error)),
        }
    };
    let verdict = verdict.into_stream().filter_map(futures::future::ready);
    Ok(until_error(pieces.chain(verdict).boxed()))
}

type Foreign = futures::stream::BoxStream<'static, std::io::Result<Bytes>>;

/// Bytes from `from` to `end` of one version, without any retry.
async fn open(
    ufs: &ObjectUfs,
    relative: &str,
    from: u64,
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
    if end - from > SINGLE_REQUEST_BYTES {
        options.chunk = Some(PIECE_BYTES);
        options.concurrent = REQUESTS_AT_A_TIME;
    }
    let work = async {
        let reader = ufs.shared.reads.reader_options(relative, options).await?;
        reader.into_bytes_stream(from..end).await
    };
    let stream = ufs.run(relative, "read", Box::pin(work)).await?;
    Ok(stream.boxed())
}

/// A read that is under way. Connections that break are opened again from where they stopped: the
/// version is part of each request, so the pieces fit.
struct Reading {
    ufs: ObjectUfs,
    relative: String,
    version: Version,
    /// `None` until it is opened, and after it broke.
    stream: Option<Foreign>,
    next: u64,
    end: u64,
    waits: Waits,
}

impl Reading {
    async fn step(&mut self) -> Result<Option<Bytes>> {
        loop {
            let error = match self.attempt().await {
                Err(error) if error.is_temporary() && self.next < self.end => error,
                other => return other,
            };
            self.stream = None;
            match self.waits.next() {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            }
        }
    }

    async fn attempt(&mut self) -> Result<Option<Bytes>> {
        let (ufs, relative) = (&self.ufs, &self.relative);
        let limit = ufs.shared.retries.deadline;
        let stream = match &mut self.stream {
            Some(stream) => stream,
            empty => empty.insert(open(ufs, relative, self.next, self.end, &self.version).await?),
        };
        let uri = || ufs.uri(relative);
        let missing = self.end - self.next;
        match tokio::time::timeout(limit, stream.next()).await {
            Ok(Some(Ok(bytes))) if bytes.len() as u64 <= missing => {
                self.next += bytes.len() as u64;
                Ok(Some(bytes))
            }
            // A store that does not know ranges, or one that counts in its own way.
            Ok(Some(Ok(_))) => Err(Error::Failed {
                uri: uri(),
                operation: "read",
                detail: "the store sent other bytes than it was asked for".to_owned(),
            }),
            Ok(Some(Err(error))) => Err(ufs.read_error(relative, error).await),
            Ok(None) if missing == 0 => Ok(None),
            Ok(None) => {
                let want = self.version.length;
                Err(Error::Truncated { uri: uri(), want, got: self.next })
            }
            Err(_) => Err(Error::DeadlineExceeded { uri: uri(), operation: "read", limit }),
        }
    }
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
