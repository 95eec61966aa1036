//! New files by WebHDFS.

use super::WebHdfsUfs;
use super::call::Call;
use crate::error::{Error, Result};
use crate::facts::UfsFacts;
use crate::hdfs::temp_name;
use crate::location::split_last;
use crate::named::Named;
use crate::under_fs::{CreateOptions, UfsWriter};
use alluxio_types::Mode;
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Pieces between the writer and the connection: one on its way and one waiting. When both places
/// are taken, the writer waits.
const PIECES_WAITING: usize = 2;

pub(super) struct WebHdfsWriter {
    ufs: WebHdfsUfs,
    relative: String,
    temp: String,
    options: CreateOptions,
    /// `None` once finished, given up, or after an error.
    pieces: Option<mpsc::Sender<Bytes>>,
    /// The request whose body the pieces are.
    upload: JoinHandle<Result<()>>,
    /// Whether the temporary name may still be there.
    left: bool,
}

pub(super) async fn create(
    ufs: &WebHdfsUfs,
    relative: String,
    options: CreateOptions,
) -> Result<WebHdfsWriter> {
    match ufs.status_of(&relative).await {
        Ok(facts) if facts.is_directory() => {
            return Err(Error::IsADirectory { uri: ufs.uri(&relative) });
        }
        Ok(_) => {}
        Err(Error::NotFound { .. }) => {
            ufs.make(split_last(&relative).0, Mode::DIRECTORY).await.map_err(
                |error| match error {
                    Error::AlreadyExists { uri } => Error::NotADirectory { uri },
                    other => other,
                },
            )?;
        }
        Err(error) => return Err(error),
    }
    let temp = temp_name(&relative);
    let mode = options.attributes.mode.unwrap_or(Mode::FILE);
    let call =
        Call::put("CREATE").with("overwrite", "false").with("permission", &super::octal(mode));
    let data_node = ufs.data_node(&temp, call).await?;
    let (sender, receiver) = mpsc::channel(PIECES_WAITING);
    let upload = tokio::spawn(upload(ufs.clone(), relative.clone(), data_node, receiver));
    Ok(WebHdfsWriter {
        ufs: ufs.clone(),
        relative,
        temp,
        options,
        pieces: Some(sender),
        upload,
        left: true,
    })
}

/// Sends the pieces as the body of one request, until the sender is dropped.
async fn upload(
    ufs: WebHdfsUfs,
    relative: String,
    data_node: String,
    receiver: mpsc::Receiver<Bytes>,
) -> Result<()> {
    let body = futures::stream::unfold(receiver, |mut receiver| async move {
        let piece = receiver.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(piece), receiver))
    });
    let request = ufs
        .shared
        .client
        .put(&data_node)
        .header(reqwest::header::CONTENT_TYPE, "application/octet-stream")
        .body(reqwest::Body::wrap_stream(body));
    let response = request.send().await.map_err(|error| ufs.lost(&relative, &error))?;
    ufs.check(&relative, "write", response).await?;
    Ok(())
}

#[async_trait]
impl UfsWriter for WebHdfsWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        // Taken out: a write that is dropped in the middle leaves a writer that cannot be finished.
        let Some(pieces) = self.pieces.take() else { return Err(self.unusable()) };
        if bytes.is_empty() {
            self.pieces = Some(pieces);
            return Ok(());
        }
        let uri = self.ufs.uri(&self.relative);
        let sending = async { Ok(pieces.send(bytes).await.is_ok()) };
        if self.ufs.shared.retries.within(&uri, "write", sending).await? {
            self.pieces = Some(pieces);
            return Ok(());
        }
        // The request ended before its body did: it knows why.
        drop(pieces);
        Err(match self.outcome().await {
            Err(error) => error,
            Ok(()) => self.ufs.odd_answer(&self.relative, "write"),
        })
    }

    async fn finish(mut self: Box<Self>) -> Result<UfsFacts> {
        let Some(pieces) = self.pieces.take() else { return Err(self.unusable()) };
        drop(pieces);
        self.outcome().await?;
        self.ufs.set(&self.temp, &self.options.attributes).await?;
        // Asked under the temporary name, so that they are ours even if somebody replaces the file
        // right after us. A rename moves neither length nor time nor id.
        let facts = self.ufs.status_of(&self.temp).await?;
        let call = Call::put("RENAME")
            .with("destination", &self.ufs.full_path(&self.relative))
            .with("renameoptions", "OVERWRITE")
            .once();
        self.ufs.json(&self.temp, call).await?;
        self.left = false;
        Ok(facts)
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        self.pieces = None;
        self.left = false;
        // Let it end, so that it does not make the file after we removed it.
        let _ = self.outcome().await;
        self.ufs.delete(&self.temp, false).await
    }
}

impl WebHdfsWriter {
    async fn outcome(&mut self) -> Result<()> {
        let uri = self.ufs.uri(&self.relative);
        let upload = &mut self.upload;
        let ended = async {
            match upload.await {
                Ok(result) => result,
                Err(_) => Err(Error::Failed {
                    uri: uri.clone(),
                    operation: "write",
                    detail: "the upload was cancelled".to_owned(),
                }),
            }
        };
        self.ufs.shared.retries.within(&uri, "finish", ended).await
    }

    fn unusable(&self) -> Error {
        Error::Failed {
            uri: self.ufs.uri(&self.relative),
            operation: "write",
            detail: "an earlier write failed or was cancelled".to_owned(),
        }
    }
}

impl Drop for WebHdfsWriter {
    fn drop(&mut self) {
        self.upload.abort();
        if self.left
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (ufs, temp) = (self.ufs.clone(), self.temp.clone());
            runtime.spawn(async move {
                if ufs.delete(&temp, false).await.is_err() {
                    tracing::warn!(temp, "an unfinished file is left in HDFS");
                }
            });
        }
    }
}
