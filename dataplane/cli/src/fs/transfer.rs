//! Moving the bytes of one file: up, down, and within the namespace. Local files are read and
//! written on a thread of their own, one piece ahead of the network.

use super::progress::Progress;
use crate::error::CliError;
use alluxio_client::{ClientError, CreateFileOptions, FileSystem, FileWriter, OpenFileOptions};
use alluxio_types::AlluxioPath;
use bytes::Bytes;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

/// Pieces that wait between the two sides: one that is moved and one that is ready.
const PIECES_AHEAD: usize = 2;

/// Copies a local file into the namespace. A file that could not be completed is not left behind.
pub(crate) async fn upload(
    fs: &FileSystem,
    source: &Path,
    destination: &AlluxioPath,
    options: &CreateFileOptions,
    piece_bytes: usize,
    progress: &Progress,
) -> Result<u64, CliError> {
    let failed =
        |error: ClientError| CliError::cluster(format!("cannot write {destination}"), &error);
    let file = File::open(source).map_err(|error| CliError::local(source, error))?;
    let length = file.metadata().map_err(|error| CliError::local(source, error))?.len();
    let options = CreateFileOptions { length_hint: Some(length), ..options.clone() };
    let mut writer = fs.create_file(destination, &options).await.map_err(failed)?;
    let mut pieces = read_ahead(file, piece_bytes, length);
    let mut total = 0;
    loop {
        let step = match pieces.recv().await {
            None => break,
            Some(Ok(piece)) => {
                total += piece.len() as u64;
                progress.add(piece.len() as u64);
                writer.write(&piece).await.map_err(failed)
            }
            Some(Err(error)) => Err(CliError::local(source, error)),
        };
        if let Err(error) = step {
            abandon(writer).await;
            return Err(error);
        }
    }
    writer.close().await.map_err(failed)?;
    Ok(total)
}

/// Gives up a file that is being written. What cannot be undone falls with the session.
async fn abandon(writer: FileWriter) {
    let _ = writer.cancel().await;
}

/// Reads a file on a thread of its own.
fn read_ahead(
    mut file: File,
    piece_bytes: usize,
    length: u64,
) -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (send, receive) = mpsc::channel(PIECES_AHEAD);
    // Small files do not need large buffers.
    let wanted = usize::try_from(length).unwrap_or(piece_bytes).clamp(1, piece_bytes);
    tokio::task::spawn_blocking(move || {
        loop {
            let mut piece = Vec::with_capacity(wanted);
            let read = (&mut file).take(wanted as u64).read_to_end(&mut piece);
            let last = !matches!(read, Ok(count) if count > 0);
            let send_it = match read {
                Ok(0) => return,
                Ok(_) => Ok(piece),
                Err(error) => Err(error),
            };
            // Nobody listens any more: the copy failed on the other side.
            if send.blocking_send(send_it).is_err() || last {
                return;
            }
        }
    });
    receive
}

/// A file beside its final place that goes away unless it is kept.
struct Partial {
    path: PathBuf,
    kept: bool,
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.kept {
            // It may never have been made.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Copies a file of the namespace to this machine: into a file beside `destination`, which is
/// renamed when it is complete.
pub(crate) async fn download(
    fs: &FileSystem,
    source: &AlluxioPath,
    destination: &Path,
    piece_bytes: usize,
    progress: &Progress,
) -> Result<u64, CliError> {
    let failed = |error: ClientError| CliError::cluster(format!("cannot read {source}"), &error);
    let mut reader = fs.open_file(source, &OpenFileOptions::default()).await.map_err(failed)?;
    let name = destination.file_name().unwrap_or_default().to_string_lossy();
    let partial = destination.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let mut partial = Partial { path: partial, kept: false };
    let file = File::create(&partial.path)
        .map_err(|error| CliError::local(partial.path.clone(), error))?;
    let (send, writing) = write_behind(file);
    let mut total = 0;
    loop {
        let piece = reader.read_bytes(piece_bytes).await.map_err(failed)?;
        if piece.is_empty() {
            break;
        }
        total += piece.len() as u64;
        progress.add(piece.len() as u64);
        if send.send(piece).await.is_err() {
            // The writing thread says why.
            break;
        }
    }
    drop(send);
    let written = writing.await.unwrap_or_else(|error| Err(io::Error::other(error)));
    written.map_err(|error| CliError::local(destination, error))?;
    std::fs::rename(&partial.path, destination)
        .map_err(|error| CliError::local(destination, error))?;
    partial.kept = true;
    Ok(total)
}

fn write_behind(mut file: File) -> (mpsc::Sender<Bytes>, tokio::task::JoinHandle<io::Result<()>>) {
    let (send, mut receive) = mpsc::channel::<Bytes>(PIECES_AHEAD);
    let writing = tokio::task::spawn_blocking(move || {
        while let Some(piece) = receive.blocking_recv() {
            file.write_all(&piece)?;
        }
        Ok(())
    });
    (send, writing)
}

/// Copies a file within the namespace.
pub(crate) async fn duplicate(
    fs: &FileSystem,
    source: &AlluxioPath,
    destination: &AlluxioPath,
    options: &CreateFileOptions,
    piece_bytes: usize,
    progress: &Progress,
) -> Result<u64, CliError> {
    let failed = |error: ClientError| {
        CliError::cluster(format!("cannot copy {source} to {destination}"), &error)
    };
    let mut reader = fs.open_file(source, &OpenFileOptions::default()).await.map_err(failed)?;
    let options = CreateFileOptions { length_hint: Some(reader.length()), ..options.clone() };
    let mut writer = fs.create_file(destination, &options).await.map_err(failed)?;
    let mut total = 0;
    loop {
        let step = match reader.read_bytes(piece_bytes).await {
            Ok(piece) if piece.is_empty() => break,
            Ok(piece) => {
                total += piece.len() as u64;
                progress.add(piece.len() as u64);
                writer.write(&piece).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = step {
            abandon(writer).await;
            return Err(failed(error));
        }
    }
    writer.close().await.map_err(failed)?;
    Ok(total)
}
