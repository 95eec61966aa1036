//! `cat`, `head`, `tail`, `checksum`.

use crate::connect::Session;
use crate::error::CliError;
use crate::screen::Screen;
use alluxio_client::{FileReader, OpenFileOptions};
use alluxio_types::{AlluxioPath, ByteSize};
use md5::{Digest, Md5};
use serde_json::json;
use std::io::SeekFrom;

/// Bytes asked for at once: large enough that a remote stream never waits for us.
const PIECE: usize = 1 << 20;

/// `cat PATH…`
#[derive(Debug, Clone, clap::Args)]
pub struct Cat {
    /// Files, may have wildcards
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl Cat {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        session
            .each(screen, &self.paths, async |path| {
                let mut reader = open(session, &path, "cat").await?;
                let all = reader.length();
                print(&mut reader, &path, "cat", all, screen).await
            })
            .await
    }
}

/// `head [-c BYTES] PATH…`
#[derive(Debug, Clone, clap::Args)]
pub struct Head {
    /// How many bytes, like 100 or 4KB
    #[arg(short = 'c', long = "bytes", value_name = "BYTES", default_value = "1KB", value_parser = byte_count)]
    bytes: u64,
    /// Files, may have wildcards
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl Head {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        session
            .each(screen, &self.paths, async |path| {
                let mut reader = open(session, &path, "head").await?;
                print(&mut reader, &path, "head", self.bytes, screen).await
            })
            .await
    }
}

/// `tail [-c BYTES] PATH…`
#[derive(Debug, Clone, clap::Args)]
pub struct Tail {
    /// How many bytes, like 100 or 4KB
    #[arg(short = 'c', long = "bytes", value_name = "BYTES", default_value = "1KB", value_parser = byte_count)]
    bytes: u64,
    /// Files, may have wildcards
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl Tail {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        session
            .each(screen, &self.paths, async |path| {
                let mut reader = open(session, &path, "tail").await?;
                let start = reader.length().saturating_sub(self.bytes);
                let failed = |error| CliError::cluster(format!("tail {path}"), &error);
                reader.seek(SeekFrom::Start(start)).map_err(failed)?;
                print(&mut reader, &path, "tail", self.bytes, screen).await
            })
            .await
    }
}

/// `checksum PATH…`
#[derive(Debug, Clone, clap::Args)]
pub struct Checksum {
    /// Files, may have wildcards
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl Checksum {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        session
            .each(screen, &self.paths, async |path| {
                let mut reader = open(session, &path, "checksum").await?;
                let mut sum = Md5::new();
                let all = reader.length();
                pieces(&mut reader, &path, "checksum", all, |piece| {
                    sum.update(piece);
                    Ok(())
                })
                .await?;
                let hex: String = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
                screen.either(
                    || json!({"path": path.as_str(), "md5sum": hex}),
                    || format!("md5sum: {hex}"),
                )
            })
            .await
    }
}

/// A number of bytes on the command line.
pub(super) fn byte_count(text: &str) -> Result<u64, String> {
    let size = ByteSize::parse(text).ok_or("expected a number of bytes like 100, 4KB or 8MB")?;
    Ok(size.0)
}

async fn open(session: &Session, path: &AlluxioPath, op: &str) -> Result<FileReader, CliError> {
    let reader = session.fs()?.open_file(path, &OpenFileOptions::default()).await;
    reader.map_err(|error| CliError::cluster(format!("{op} {path}"), &error))
}

async fn print(
    reader: &mut FileReader,
    path: &AlluxioPath,
    op: &str,
    limit: u64,
    screen: &Screen,
) -> Result<(), CliError> {
    pieces(reader, path, op, limit, |piece| screen.bytes(piece)).await
}

/// Hands over up to `limit` bytes from the reader's position on.
async fn pieces(
    reader: &mut FileReader,
    path: &AlluxioPath,
    op: &str,
    limit: u64,
    mut take: impl FnMut(&[u8]) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let mut left = limit;
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let piece = reader.read_bytes(wanted).await;
        let piece = piece.map_err(|error| CliError::cluster(format!("{op} {path}"), &error))?;
        if piece.is_empty() {
            break;
        }
        left -= piece.len() as u64;
        take(&piece)?;
    }
    Ok(())
}
