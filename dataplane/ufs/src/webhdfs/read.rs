//! Bytes by WebHDFS.

use super::WebHdfsUfs;
use super::call::Call;
use crate::error::{Error, Result};
use crate::named::{self, Named, need_range, need_version, stream};
use crate::under_fs::ByteStream;
use alluxio_types::Fingerprint;
use bytes::Bytes;
use futures::StreamExt;

struct Reading {
    ufs: WebHdfsUfs,
    relative: String,
    response: reqwest::Response,
    version: Fingerprint,
    want: u64,
    got: u64,
}

pub(super) async fn read_range(
    ufs: &WebHdfsUfs,
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
    let call =
        Call::get("OPEN").with("offset", &offset.to_string()).with("length", &length.to_string());
    let data_node = ufs.data_node(&relative, call).await?;
    let asking = async {
        let response = ufs.shared.client.get(&data_node).send().await;
        let response = response.map_err(|error| ufs.lost(&relative, &error))?;
        ufs.check(&relative, "read", response).await
    };
    let response = ufs.shared.retries.within(&uri(), "read", asking).await?;
    let version = facts.fingerprint;
    let reading = Reading { ufs: ufs.clone(), relative, response, version, want: length, got: 0 };
    Ok(stream(reading))
}

impl named::Reading for Reading {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let uri = self.ufs.uri(&self.relative);
        let retries = self.ufs.shared.retries;
        let response = &mut self.response;
        let step = async { Ok(response.chunk().await) };
        match retries.within(&uri, "read", step).await? {
            Ok(Some(bytes)) => {
                self.got += bytes.len() as u64;
                if self.got > self.want {
                    return Err(self.ufs.odd_answer(&self.relative, "read"));
                }
                Ok(Some(bytes))
            }
            Ok(None) if self.got == self.want => {
                self.verify().await?;
                Ok(None)
            }
            // A file that is replaced while it is read may end early.
            Ok(None) => {
                self.verify().await?;
                Err(Error::Truncated { uri, want: self.want, got: self.got })
            }
            Err(error) => {
                self.verify().await?;
                Err(self.ufs.lost(&self.relative, &error))
            }
        }
    }
}

impl Reading {
    async fn verify(&self) -> Result<()> {
        need_version(&self.ufs, &self.relative, &self.version).await
    }
}
