//! New files in HDFS.

use super::HdfsUfs;
use crate::error::{Error, Result};
use crate::facts::UfsFacts;
use crate::location::split_last;
use crate::named::Named;
use crate::under_fs::{CreateOptions, TEMP_PREFIX, UfsWriter};
use alluxio_host::{Entropy, OsEntropy};
use alluxio_types::Mode;
use async_trait::async_trait;
use bytes::Bytes;
use hdfs_native::file::FileWriter;
use hdfs_native::{HdfsError, WriteOptions};

pub(super) struct HdfsWriter {
    ufs: HdfsUfs,
    relative: String,
    temp: String,
    options: CreateOptions,
    /// `None` once finished, given up, or after an error.
    writer: Option<FileWriter>,
    /// Whether the temporary name may still be there.
    left: bool,
}

/// A temporary name in the directory of `relative`.
pub(crate) fn temp_name(relative: &str) -> String {
    let name = format!("{TEMP_PREFIX}{:016x}", OsEntropy.next_u64());
    match split_last(relative).0 {
        "" => name,
        parent => format!("{parent}/{name}"),
    }
}

pub(super) async fn create(
    ufs: &HdfsUfs,
    relative: String,
    options: CreateOptions,
) -> Result<HdfsWriter> {
    match ufs.status_of(&relative).await {
        Ok(facts) if facts.is_directory() => {
            return Err(Error::IsADirectory { uri: ufs.uri(&relative) });
        }
        Ok(_) => {}
        Err(Error::NotFound { .. }) => {
            ufs.make(split_last(&relative).0, Mode::DIRECTORY, true).await.map_err(|error| {
                match error {
                    Error::AlreadyExists { uri } => Error::NotADirectory { uri },
                    other => other,
                }
            })?;
        }
        Err(error) => return Err(error),
    }
    let temp = temp_name(&relative);
    let mode = options.attributes.mode.unwrap_or(Mode::FILE);
    let how =
        WriteOptions::default().permission(u32::from(mode.0)).overwrite(false).create_parent(false);
    let path = ufs.path(&temp);
    let writer = ufs.once(&relative, "create", ufs.shared.client.create(&path, &how)).await?;
    Ok(HdfsWriter { ufs: ufs.clone(), relative, temp, options, writer: Some(writer), left: true })
}

/// Writes a file under a temporary name, synced on every data node, and gives it its name by a rename
/// that the name node refuses where the name is taken.
pub(super) async fn create_new(ufs: &HdfsUfs, relative: String, bytes: Bytes) -> Result<()> {
    let temp = temp_name(&relative);
    // With its parents: a journal makes many files, and each look at the name node counts.
    let how = WriteOptions::default()
        .permission(u32::from(Mode::FILE.0))
        .overwrite(false)
        .create_parent(true);
    let path = ufs.path(&temp);
    let creating = ufs.shared.client.create(&path, &how);
    let mut writer = ufs.once(&relative, "create", creating).await?;
    let mut open = HdfsWriter {
        ufs: ufs.clone(),
        relative: relative.clone(),
        temp,
        options: CreateOptions::default(),
        writer: None,
        left: true,
    };
    let written = async {
        Box::pin(writer.write_bytes(bytes)).await?;
        match writer.hsync().await {
            // Erasure-coded files are spread over data nodes when they are closed.
            Ok(()) | Err(HdfsError::UnsupportedFeature(_)) => Box::pin(writer.close()).await,
            Err(error) => Err(error),
        }
    };
    ufs.once(&relative, "write", Box::pin(written)).await?;
    let (from, to) = (ufs.path(&open.temp), ufs.path(&relative));
    let renaming = ufs.shared.client.rename(&from, &to, false);
    ufs.once(&relative, "create exclusively", renaming).await?;
    open.left = false;
    Ok(())
}

#[async_trait]
impl UfsWriter for HdfsWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        // Taken out: a write that is dropped in the middle leaves a writer that cannot be finished.
        let Some(mut writer) = self.writer.take() else { return Err(self.unusable()) };
        let sending = Box::pin(writer.write_bytes(bytes));
        self.ufs.once(&self.relative, "write", sending).await?;
        self.writer = Some(writer);
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<UfsFacts> {
        let Some(mut writer) = self.writer.take() else { return Err(self.unusable()) };
        self.ufs.once(&self.relative, "finish", Box::pin(writer.close())).await?;
        self.ufs.set(&self.temp, &self.options.attributes).await?;
        // Asked under the temporary name, so that they are ours even if somebody replaces the file
        // right after us. A rename moves neither length nor time.
        let facts = self.ufs.status_of(&self.temp).await?;
        let (from, to) = (self.ufs.path(&self.temp), self.ufs.path(&self.relative));
        let renaming = self.ufs.shared.client.rename(&from, &to, true);
        self.ufs.once(&self.relative, "finish", renaming).await?;
        self.left = false;
        Ok(facts)
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        self.writer = None;
        self.left = false;
        let path = self.ufs.path(&self.temp);
        let call = || self.ufs.shared.client.delete(&path, false);
        self.ufs.repeat(&self.relative, "abort", call).await?;
        Ok(())
    }
}

impl HdfsWriter {
    fn unusable(&self) -> Error {
        Error::Failed {
            uri: self.ufs.uri(&self.relative),
            operation: "write",
            detail: "an earlier write failed or was cancelled".to_owned(),
        }
    }
}

impl Drop for HdfsWriter {
    fn drop(&mut self) {
        if self.left
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (ufs, path) = (self.ufs.clone(), self.ufs.path(&self.temp));
            runtime.spawn(async move {
                if ufs.shared.client.delete(&path, false).await.is_err() {
                    tracing::warn!(path, "an unfinished file is left in HDFS");
                }
            });
        }
    }
}
