//! Uploads.

use super::ObjectUfs;
use super::version::VersionBy;
use crate::error::{Error, Result};
use crate::facts::UfsFacts;
use crate::location::split_last;
use crate::under_fs::{CreateOptions, UfsWriter};
use alluxio_types::UnixMillis;
use async_trait::async_trait;
use bytes::Bytes;
use opendal::ErrorKind;
use opendal::options::WriteOptions;
use std::time::SystemTime;

/// Most parts of one upload: the limit of S3, and no store has a lower one.
const PARTS_MAX: u64 = 10_000;
/// Parts sent at a time. With the one being filled, an upload holds this many and one more in
/// memory.
const PARTS_AT_A_TIME: usize = 3;

const CREATE_NEW: &str = "create exclusively";

pub(super) struct ObjectWriter {
    ufs: ObjectUfs,
    relative: String,
    /// `None` once finished or given up.
    writer: Option<opendal::Writer>,
    length: u64,
}

pub(super) async fn create(
    ufs: &ObjectUfs,
    relative: String,
    options: &CreateOptions,
) -> Result<ObjectWriter> {
    let parent = split_last(&relative).0;
    let (object, prefix) = futures::try_join!(ufs.object(&relative), ufs.prefix(&relative))?;
    if object.is_none() && prefix.exists {
        return Err(Error::IsADirectory { uri: ufs.uri(&relative) });
    }
    ufs.ensure_directory(parent).await?;
    let settings = WriteOptions {
        chunk: Some(part_bytes(ufs.shared.part_bytes, options.length_hint)),
        concurrent: PARTS_AT_A_TIME,
        ..WriteOptions::default()
    };
    let opening = ufs.shared.operator.writer_options(&relative, settings);
    let writer = Some(ufs.run(&relative, "create", Box::pin(opening)).await?);
    Ok(ObjectWriter { ufs: ufs.clone(), relative, writer, length: 0 })
}

/// One conditional upload (`If-None-Match: *`, and what other clouds have for it).
pub(super) async fn create_new(ufs: &ObjectUfs, relative: &str, bytes: Bytes) -> Result<()> {
    ufs.ensure_directory(split_last(relative).0).await?;
    let options = WriteOptions { if_not_exists: true, ..WriteOptions::default() };
    // By the operator that does not try again: the second try would find what the first one made.
    let writing = ufs.shared.reads.write_options(relative, bytes, options);
    let limit = ufs.shared.retries.deadline;
    match tokio::time::timeout(limit, Box::pin(writing)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(match error.kind() {
            ErrorKind::ConditionNotMatch | ErrorKind::AlreadyExists => {
                Error::AlreadyExists { uri: ufs.uri(relative) }
            }
            // Another upload to this name is on its way, and which one wins is open.
            ErrorKind::Conflict => {
                let detail = "the name is being written to by another call".to_owned();
                Error::Busy { uri: ufs.uri(relative), detail }
            }
            _ => ufs.error(relative, CREATE_NEW, &error),
        }),
        Err(_) => {
            let (uri, operation) = (ufs.uri(relative), CREATE_NEW);
            Err(Error::DeadlineExceeded { uri, operation, limit })
        }
    }
}

/// Large enough that the file fits into the allowed number of parts.
fn part_bytes(least: u64, length: Option<u64>) -> usize {
    const MIB: u64 = 1024 * 1024;
    let needed = length.unwrap_or(0).div_ceil(PARTS_MAX).div_ceil(MIB) * MIB;
    usize::try_from(least.max(needed)).unwrap_or(usize::MAX)
}

#[async_trait]
impl UfsWriter for ObjectWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        // Taken out: a write that is dropped in the middle leaves a writer that cannot be finished.
        let Some(mut writer) = self.writer.take() else { return Err(self.unusable()) };
        let length = bytes.len() as u64;
        if length > 0 {
            let written =
                self.ufs.run(&self.relative, "write", Box::pin(writer.write(bytes))).await;
            if let Err(error) = written {
                self.give_up_later(writer);
                return Err(error);
            }
        }
        self.length += length;
        self.writer = Some(writer);
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<UfsFacts> {
        let Some(mut writer) = self.writer.take() else { return Err(self.unusable()) };
        let closed = self.ufs.run(&self.relative, "finish", Box::pin(writer.close())).await;
        let metadata = match closed {
            Ok(metadata) => metadata,
            Err(error) => {
                self.give_up_later(writer);
                return Err(error);
            }
        };
        let by = self.ufs.shared.version_by;
        if by == VersionBy::EntityTag && by.is_told(&metadata) {
            // The upload's own tag, not that of whatever is there by now.
            let mut builder = metadata.into_builder();
            builder.set_file(self.length);
            let mut facts = self.ufs.facts(&builder.build());
            facts.modified = facts.modified.or_else(|| Some(now()));
            return Ok(facts);
        }
        let facts = self.ufs.status_of(&self.relative).await?;
        if facts.length != self.length {
            return Err(Error::Changed { uri: self.ufs.uri(&self.relative) });
        }
        Ok(facts)
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        match self.writer.take() {
            Some(mut writer) => {
                self.ufs.run(&self.relative, "abort", Box::pin(writer.abort())).await
            }
            None => Ok(()),
        }
    }
}

impl ObjectWriter {
    fn unusable(&self) -> Error {
        Error::Failed {
            uri: self.ufs.uri(&self.relative),
            operation: "write",
            detail: "an earlier write failed or was cancelled".to_owned(),
        }
    }

    /// Removes the parts that were sent, without anybody waiting for it. What that leaves (no
    /// runtime any more, or the store is away) is invisible, and goes by the bucket's own rule for
    /// incomplete uploads.
    fn give_up_later(&self, mut writer: opendal::Writer) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let uri = self.ufs.uri(&self.relative);
            runtime.spawn(async move {
                if writer.abort().await.is_err() {
                    tracing::warn!(uri, "parts of an unfinished upload are left in the bucket");
                }
            });
        }
    }
}

impl Drop for ObjectWriter {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            self.give_up_later(writer);
        }
    }
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(since.as_secs() * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_with_the_file_so_that_it_fits() {
        const MIB: u64 = 1024 * 1024;
        assert_eq!(part_bytes(16 * MIB, None) as u64, 16 * MIB);
        assert_eq!(part_bytes(16 * MIB, Some(MIB)) as u64, 16 * MIB);
        let five_tib = 5 * MIB * MIB;
        let part = part_bytes(16 * MIB, Some(five_tib)) as u64;
        assert!(part * PARTS_MAX >= five_tib && part.is_multiple_of(MIB), "{part}");
    }
}
