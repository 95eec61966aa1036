//! `load`, `loadMetadata`, `persist`, `free`, `checkConsistency`.

use super::progress::Progress;
use crate::connect::{Outcome, Session};
use crate::error::CliError;
use crate::screen::Screen;
use alluxio_client::{FileSystem, FreeOptions, LoadMetadataOptions};
use alluxio_types::{AlluxioPath, FileStatus, PersistenceState, parse_duration};
use serde_json::json;
use std::time::Duration;
use tokio::task::JoinSet;

/// Files loaded at once: enough to keep several workers and their stores busy.
const LOADS_AT_ONCE: usize = 8;

/// `load PATH…`
#[derive(Debug, Clone, clap::Args)]
pub struct Load {
    /// Onto a worker of this machine, even if others have the files
    #[arg(long)]
    local: bool,
    /// Paths, may have wildcards
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl Load {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        let files = files_below(session, &self.paths, |_| true).await?;
        let total = files.iter().map(|(_, status)| status.length).sum();
        let progress = Progress::bytes(screen, total);
        let local = self.local;
        let load = move |fs: FileSystem, path: AlluxioPath, _| async move {
            let loaded = fs.load(&path, local).await;
            loaded.map_err(|error| CliError::cluster(format!("load {path}"), &error))
        };
        let result = many(session.fs()?, screen, files, LOADS_AT_ONCE, load, |item, loaded| {
            progress.add(item.status.length);
            let path = &item.path;
            progress.beside(|| {
                screen.either(
                    || json!({"op": "load", "path": path.as_str(), "bytes": loaded.bytes, "blocks": loaded.blocks}),
                    || match loaded.blocks {
                        0 => format!("{path} is already in Alluxio fully."),
                        _ => format!("{path} loaded"),
                    },
                )
            })
        })
        .await;
        progress.end();
        result
    }
}

/// `persist PATH…`
#[derive(Debug, Clone, clap::Args)]
pub struct Persist {
    /// Files written at once
    #[arg(short = 'p', long = "parallelism", value_name = "N", default_value_t = 4,
        value_parser = clap::value_parser!(u16).range(1..))]
    parallelism: u16,
    /// How long one file may take, in milliseconds or like 20min; -1 = as long as it takes
    #[arg(
        short = 't',
        long,
        value_name = "TIME",
        default_value = "1200000",
        allow_negative_numbers = true
    )]
    timeout: String,
    /// How long to wait before writing, in milliseconds or like 5s
    #[arg(short = 'w', long, value_name = "TIME", default_value = "0")]
    wait: String,
    /// Paths, may have wildcards
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl Persist {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        let limit = match self.timeout.as_str() {
            "-1" => Duration::MAX,
            text => time("--timeout", text)?,
        };
        let wait = time("--wait", &self.wait)?;
        let needed = |status: &FileStatus| status.persistence != PersistenceState::Persisted;
        let files = files_below(session, &self.paths, needed).await?;
        let all = files.len();
        if all == 0 {
            return screen.either(
                || json!({"op": "persist", "files": 0}),
                || "All files are persisted already.".to_owned(),
            );
        }
        tokio::time::sleep(wait).await;
        let persist = move |fs: FileSystem, path: AlluxioPath, _| async move {
            match tokio::time::timeout(limit, fs.persist(&path)).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(CliError::cluster(format!("persist {path}"), &error)),
                Err(_) => Err(CliError::Cluster {
                    code: alluxio_types::Code::DeadlineExceeded,
                    message: format!(
                        "persist {path}: not done after {limit:?}, raise it with --timeout"
                    ),
                }),
            }
        };
        let mut done = 0;
        let at_once = usize::from(self.parallelism);
        many(session.fs()?, screen, files, at_once, persist, |item, ()| {
            done += 1;
            let path = &item.path;
            let text = format!("({done}/{all}) Successfully persisted file: {path}");
            screen.done(text, "persist", path.as_str())
        })
        .await
    }
}

fn time(what: &'static str, text: &str) -> Result<Duration, CliError> {
    parse_duration(text).ok_or_else(|| CliError::BadArgument {
        what,
        value: text.to_owned(),
        expected: "milliseconds, or a duration like 30s".to_owned(),
    })
}

/// One file of a command that works on many.
struct Item {
    path: AlluxioPath,
    status: FileStatus,
}

/// The files that the arguments stand for, directories replaced by what is below them.
async fn files_below(
    session: &Session,
    arguments: &[String],
    wanted: impl Fn(&FileStatus) -> bool,
) -> Result<Vec<(AlluxioPath, FileStatus)>, CliError> {
    let mut files = Vec::new();
    for argument in arguments {
        for path in session.expand(argument).await? {
            for status in session.list_below(&path).await? {
                if !status.is_directory() && status.completed && wanted(&status) {
                    files.push((session.path_of(&status)?, status));
                }
            }
        }
    }
    Ok(files)
}

/// Works on many files at once; one failure does not stop the others.
async fn many<T, F>(
    fs: &FileSystem,
    screen: &Screen,
    files: Vec<(AlluxioPath, FileStatus)>,
    at_once: usize,
    act: impl Fn(FileSystem, AlluxioPath, u64) -> F,
    mut said: impl FnMut(&Item, T) -> Result<(), CliError>,
) -> Result<(), CliError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, CliError>> + Send + 'static,
{
    let mut outcome = Outcome::new(screen);
    let mut running: JoinSet<(Item, Result<T, CliError>)> = JoinSet::new();
    let mut waiting = files.into_iter();
    loop {
        while running.len() < at_once {
            let Some((path, status)) = waiting.next() else { break };
            let work = act(fs.clone(), path.clone(), status.length);
            running.spawn(async move { (Item { path, status }, work.await) });
        }
        let Some(ended) = running.join_next().await else { break };
        outcome.add(match ended {
            Ok((item, Ok(done))) => said(&item, done),
            Ok((_, Err(error))) => Err(error),
            Err(panic) => Err(CliError::Unavailable(format!("a task ended unexpectedly: {panic}"))),
        })?;
    }
    outcome.end()
}

/// `loadMetadata PATH…`
#[derive(Debug, Clone, clap::Args)]
pub struct LoadMetadata {
    /// Everything below, too
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Also compare what is known already
    #[arg(short = 'F', long)]
    force: bool,
    /// Paths, may have wildcards
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl LoadMetadata {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        let options = LoadMetadataOptions { recursive: self.recursive, force: self.force };
        session
            .each(screen, &self.paths, async |path| {
                let changed = session.fs()?.load_metadata(&path, options).await;
                let changed = changed
                    .map_err(|error| CliError::cluster(format!("loadMetadata {path}"), &error))?;
                screen.either(
                    || json!({"op": "loadMetadata", "path": path.as_str(), "changed": changed}),
                    || format!("Loaded metadata of {path}: {changed} changed"),
                )
            })
            .await
    }
}

/// `free PATH…`
#[derive(Debug, Clone, clap::Args)]
pub struct Free {
    /// Pinned files too; they are unpinned
    #[arg(short = 'f', long)]
    force: bool,
    /// Paths, may have wildcards
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl Free {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        let options = FreeOptions { recursive: true, forced: self.force };
        session
            .each(screen, &self.paths, async |path| {
                let freed = session.fs()?.free(&path, options).await;
                let freed =
                    freed.map_err(|error| CliError::cluster(format!("free {path}"), &error))?;
                screen.either(
                    || {
                        json!({
                            "op": "free", "path": path.as_str(),
                            "files": freed.files, "blocks": freed.blocks,
                        })
                    },
                    || format!("{path} was successfully freed from Alluxio space."),
                )
            })
            .await
    }
}

/// Prints the differences of one path.
async fn report(session: &Session, screen: &Screen, path: &AlluxioPath) -> Result<(), CliError> {
    let found = session.fs()?.check_consistency(path).await;
    let found =
        found.map_err(|error| CliError::cluster(format!("checkConsistency {path}"), &error))?;
    screen.either(
        || json!({"op": "checkConsistency", "path": path.as_str(), "inconsistent": found}),
        || match found.len() {
            0 => format!("{path} is consistent with the under storage system."),
            _ => format!("The following files are inconsistent:\n{}", found.join("\n")),
        },
    )
}

/// `checkConsistency [-r] PATH`
#[derive(Debug, Clone, clap::Args)]
pub struct CheckConsistency {
    /// Take over what the under store has
    #[arg(short = 'r', long)]
    repair: bool,
    /// Accepted for old scripts; the master decides
    #[arg(short = 't', long, value_name = "N")]
    threads: Option<u16>,
    /// A path
    path: String,
}

impl CheckConsistency {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        let paths = std::slice::from_ref(&self.path);
        if !self.repair {
            return session
                .each(screen, paths, async |path| report(session, screen, &path).await)
                .await;
        }
        let options = LoadMetadataOptions { recursive: true, force: true };
        session
            .each(screen, paths, async |path| {
                let changed = session.fs()?.load_metadata(&path, options).await;
                let changed = changed.map_err(|error| {
                    CliError::cluster(format!("checkConsistency {path}"), &error)
                })?;
                screen.either(
                    || json!({"op": "checkConsistency", "path": path.as_str(), "repaired": changed}),
                    || match changed {
                        0 => format!("{path} is consistent with the under storage system."),
                        _ => format!("{path}: repaired {changed} inconsistencies"),
                    },
                )
            })
            .await
    }
}
