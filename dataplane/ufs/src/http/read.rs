//! Bytes of a web server.

use super::{HttpUfs, page};
use crate::error::{Error, Result};
use crate::named::{self, Named, need_range, need_version, stream};
use crate::under_fs::ByteStream;
use alluxio_types::Fingerprint;
use bytes::Bytes;
use futures::StreamExt;
use reqwest::header;
use reqwest::{Method, Response, StatusCode};

struct Reading {
    ufs: HttpUfs,
    relative: String,
    response: Response,
    version: Fingerprint,
    /// Bytes to drop first: the server ignored the range.
    skip: u64,
    want: u64,
    got: u64,
}

pub(super) async fn read_range(
    ufs: &HttpUfs,
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
    let (end, url) = (offset + length, ufs.url(&relative, false));
    let strong = strong_tag(&facts.fingerprint).map(str::to_owned);
    let request = || {
        let request = ufs.request(Method::GET, &url);
        let request = request.header(header::RANGE, format!("bytes={offset}-{}", end - 1));
        // A compressed body would have other offsets.
        let request = request.header(header::ACCEPT_ENCODING, "identity");
        match &strong {
            Some(tag) => request.header(header::IF_MATCH, tag),
            None => request,
        }
    };
    let response = ufs.send(&relative, "read", request).await?;
    let skip = match response.status() {
        StatusCode::PARTIAL_CONTENT => {
            let range = response.headers().get(header::CONTENT_RANGE);
            let range = range.and_then(|range| range.to_str().ok()).unwrap_or_default();
            if range != format!("bytes {offset}-{}/{}", end - 1, facts.length) {
                return Err(Error::Changed { uri: uri() });
            }
            0
        }
        _ => offset,
    };
    let version = facts.fingerprint;
    let reading =
        Reading { ufs: ufs.clone(), relative, response, version, skip, want: length, got: 0 };
    Ok(stream(reading))
}

/// The entity tag to ask for, if it promises equal bytes.
fn strong_tag(version: &Fingerprint) -> Option<&str> {
    let (_, tag) = version.0.split_once(";etag=")?;
    tag.starts_with('"').then_some(tag)
}

impl named::Reading for Reading {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if self.got == self.want {
                self.verify().await?;
                return Ok(None);
            }
            let uri = self.ufs.uri(&self.relative);
            let retries = self.ufs.shared.retries;
            let response = &mut self.response;
            let step = async { Ok(response.chunk().await) };
            let mut bytes = match retries.within(&uri, "read", step).await? {
                Ok(Some(bytes)) => bytes,
                Ok(None) => {
                    self.verify().await?;
                    return Err(Error::Truncated { uri, want: self.want, got: self.got });
                }
                Err(error) => {
                    self.verify().await?;
                    return Err(self.ufs.lost(&self.relative, &error));
                }
            };
            let dropped = self.skip.min(bytes.len() as u64);
            drop(bytes.split_to(dropped as usize));
            self.skip -= dropped;
            bytes.truncate(usize::try_from(self.want - self.got).unwrap_or(usize::MAX));
            if !bytes.is_empty() {
                self.got += bytes.len() as u64;
                return Ok(Some(bytes));
            }
        }
    }
}

impl Reading {
    /// Fails if the server has another version by now. The body's own headers are compared too:
    /// they belong to the bytes that came.
    async fn verify(&self) -> Result<()> {
        let headers = self.response.headers();
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let told = match (text(header::ETAG), text(header::LAST_MODIFIED)) {
            (Some(tag), _) => Some(format!(";etag={tag}")),
            (None, Some(date)) => page::parse_date(date).map(|date| format!(";mtime={date}")),
            (None, None) => None,
        };
        if told.is_some_and(|told| !self.version.0.ends_with(&told)) {
            return Err(Error::Changed { uri: self.ufs.uri(&self.relative) });
        }
        need_version(&self.ufs, &self.relative, &self.version).await
    }
}
