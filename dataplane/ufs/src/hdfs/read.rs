//! Bytes of an HDFS file.

use super::HdfsUfs;
use crate::error::{Error, Result};
use crate::named::{self, Named, need_range, need_version, stream};
use crate::under_fs::ByteStream;
use alluxio_types::Fingerprint;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;

/// What is still to be read, and what the file must be at the end.
struct Reading {
    ufs: HdfsUfs,
    relative: String,
    pieces: BoxStream<'static, hdfs_native::Result<Bytes>>,
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
    need_range(&facts, uri, (offset, length), expected)?;
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
    let pieces = reader.read_range_stream(from, count).boxed();
    let version = facts.fingerprint;
    let reading = Reading { ufs: ufs.clone(), relative, pieces, version, want: length, got: 0 };
    Ok(stream(reading))
}

impl named::Reading for Reading {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let (ufs, relative) = (&self.ufs, &self.relative);
        let uri = ufs.uri(relative);
        let pieces = &mut self.pieces;
        let step = async { Ok(pieces.next().await) };
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
}

impl Reading {
    // `&mut`: what is still to come is not `Sync`, and this waits.
    async fn verify(&mut self) -> Result<()> {
        need_version(&self.ufs, &self.relative, &self.version).await
    }
}
