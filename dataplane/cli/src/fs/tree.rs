//! `mkdir`, `mv`, `rm`, `touch`.

use crate::connect::Session;
use crate::error::CliError;
use crate::screen::Screen;
use crate::target;
use alluxio_client::{CreateDirectoryOptions, CreateFileOptions, DeleteOptions};
use serde_json::json;

/// `mkdir PATH…`
#[derive(Debug, Clone, clap::Args)]
pub struct Mkdir {
    /// Directories to make; parents are made too
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl Mkdir {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        let options =
            CreateDirectoryOptions { recursive: true, ..CreateDirectoryOptions::default() };
        session
            .each_literal(screen, &self.paths, async |path| {
                let result = session.fs()?.create_directory(&path, &options).await;
                result.map_err(|error| CliError::cluster(format!("mkdir {path}"), &error))?;
                let text = format!("Successfully created directory {path}");
                screen.done(text, "mkdir", path.as_str())
            })
            .await
    }
}

/// `touch PATH…`
#[derive(Debug, Clone, clap::Args)]
pub struct Touch {
    /// Files to make; none may exist
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl Touch {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        let options = CreateFileOptions {
            recursive: true,
            length_hint: Some(0),
            ..CreateFileOptions::default()
        };
        session
            .each_literal(screen, &self.paths, async |path| {
                let failed = |error: alluxio_client::ClientError| {
                    CliError::cluster(format!("touch {path}"), &error)
                };
                let writer = session.fs()?.create_file(&path, &options).await.map_err(failed)?;
                writer.close().await.map_err(failed)?;
                screen.done(format!("{path} has been created"), "touch", path.as_str())
            })
            .await
    }
}

/// `mv SOURCE DESTINATION`
#[derive(Debug, Clone, clap::Args)]
pub struct Mv {
    /// What to rename
    source: String,
    /// Its new path; a directory that exists takes it in
    destination: String,
}

impl Mv {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        let source = target::parse(&self.source)?.path;
        let mut destination = target::parse(&self.destination)?.path;
        if self.destination.ends_with('/') && !destination.is_root() {
            destination = session.inside(&destination, source.name())?;
        }
        let result = session.fs()?.rename(&source, &destination).await;
        result.map_err(|error| CliError::cluster(format!("mv {source} {destination}"), &error))?;
        screen.either(
            || json!({"op": "mv", "path": source.as_str(), "destination": destination.as_str()}),
            || format!("Renamed {source} to {destination}"),
        )
    }
}

/// `rm PATH…`
#[derive(Debug, Clone, clap::Args)]
pub struct Rm {
    /// Remove directories with everything below
    #[arg(short = 'R', short_alias = 'r', long)]
    recursive: bool,
    /// Do not compare directories with the under store first
    #[arg(short = 'U', long)]
    unchecked: bool,
    /// Leave the files in the under store
    #[arg(long = "alluxioOnly", alias = "alluxio-only")]
    alluxio_only: bool,
    /// Unmount mount points below the directory
    #[arg(short = 'm', long = "deleteMountPoint", alias = "delete-mount-point")]
    delete_mount_points: bool,
    /// Compare the parent with the under store at its next use
    #[arg(short = 's', long = "syncParentNextTime", value_name = "BOOL")]
    sync_parent_next_time: Option<bool>,
    /// Paths, may have wildcards
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl Rm {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        let options = DeleteOptions {
            recursive: self.recursive,
            alluxio_only: self.alluxio_only,
            unchecked: self.unchecked.then_some(true),
            delete_mount_points: self.delete_mount_points,
        };
        session
            .each(screen, &self.paths, async |path| {
                let fs = session.fs()?;
                if !self.recursive {
                    // One more question, and the answer names the way out.
                    let status = session.status(&path, "rm").await?;
                    if status.is_directory() {
                        return Err(CliError::Refused {
                            message: format!("rm {path}: is a directory, use -R to remove it"),
                        });
                    }
                }
                let result = fs.delete(&path, &options).await;
                result.map_err(|error| CliError::cluster(format!("rm {path}"), &error))?;
                if self.sync_parent_next_time == Some(true) {
                    let parent = path.parent().unwrap_or_else(alluxio_types::AlluxioPath::root);
                    session.sync_children(&parent).await?;
                }
                screen.done(format!("{path} has been removed"), "rm", path.as_str())
            })
            .await
    }
}
