//! Bytes of an HDFS file.

use super::HdfsUfs;
use crate::error::{Error, Result};
use crate::under_fs::ByteStream;
use alluxio_types::Fingerprint;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;

/// What is still to be read, and what the file must be at the end.
struct Reading {
    ufs: HdfsUfs,
    relative: String,
    stream: BoxStream<'static, hdfs_native::Result<Bytes>>,
    version: Fingerprint,
    want: u64,
    got: u64,
}

pub(super) async fn read_range(
    ufs: &HdfsUfs,
    relative: String,
    offset: u64,
    length: u64,
    expected: &Fingerprint,
) -> Result<ByteStream> {
    let uri = || ufs.uri(&relative);
    let facts = ufs.status_of(&relative).await?;
    if facts.is_directory() {
        return Err(Error::IsADirectory { uri: uri() });
    }
    if !expected.is_empty() && *expected != facts.fingerprint {
        return Err(Error::Changed { uri: uri() });
    }
    let end = offset.saturating_add(length);
    if end > facts.length {
        return Err(Error::OutOfRange { uri: uri(), offset, end, file_length: facts.length });
    }
    if length == 0 {
        return Ok(futures::stream::empty().boxed());
    }
    let path = ufs.path(&relative);
    // The blocks of one version: they stay what they are, whatever happens to the name.
    let reader = ufs.repeat(&relative, "read", || ufs.shared.client.read(&path)).await?;
    if reader.file_length() as u64 != facts.length {
        return Err(Error::Changed { uri: uri() });
    }
    let too_large = |_| Error::Unsupported { uri: uri(), operation: "address so large a file" };
    let (from, count) =
        (usize::try_from(offset).map_err(too_large)?, usize::try_from(length).map_err(too_large)?);
    let stream = reader.read_range_stream(from, count).boxed();
    let version = facts.fingerprint;
    let reading = Reading { ufs: ufs.clone(), relative, stream, version, want: length, got: 0 };
    let pieces = futures::stream::unfold(Some(reading), |reading| async move {
        let mut reading = reading?;
        match reading.next().await {
            Ok(Some(bytes)) => Some((Ok(bytes), Some(reading))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    Ok(pieces.boxed())
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let (ufs, relative) = (&self.ufs, &self.relative);
        let uri = ufs.uri(relative);
        let stream = &mut self.stream;
        let step = async { Ok(stream.next().await) };
        let bytes = match ufs.shared.retries.within(&uri, "read", step).await? {
            Some(Ok(bytes)) => bytes,
            // Blocks of a file that was deleted or replaced meanwhile are gone soon.
            Some(Err(error)) => {
                let error = ufs.error(relative, "read", &error);
                self.verify().await?;
                return Err(error);
            }
            None if self.got < self.want => {
                return Err(Error::Truncated { uri, want: self.want, got: self.got });
            }
            None => {
                self.verify().await?;
                return Ok(None);
            }
        };
        self.got += bytes.len() as u64;
        Ok(Some(bytes))
    }

    /// Fails if the name does not stand for the version that is being read.
    async fn verify(&mut self) -> Result<()> {
        match self.ufs.status_of(&self.relative).await {
            Ok(facts) if facts.fingerprint == self.version => Ok(()),
            Ok(_) => Err(Error::Changed { uri: self.ufs.uri(&self.relative) }),
            Err(error) => Err(error),
        }
    }
}
