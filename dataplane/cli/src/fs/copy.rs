//! `copyFromLocal`, `copyToLocal`, `cp`: what goes where, then many files at once.

use super::bytes::byte_count;
use super::progress::Progress;
use super::transfer;
use crate::connect::{Outcome, Session};
use crate::error::CliError;
use crate::screen::Screen;
use crate::target::{self, Place};
use alluxio_client::{
    CreateDirectoryOptions, CreateFileOptions, FileSystem, Freshness, SetAttributeOptions,
};
use alluxio_types::{AlluxioPath, Code, FileStatus};
use serde_json::json;
use std::fmt;
use std::path::{Path, PathBuf};
use tokio::task::JoinSet;

/// How copies are made.
#[derive(Debug, Clone, clap::Args)]
struct How {
    /// Files copied at once; twice the number of processors when not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    thread: Option<u16>,
    /// Bytes moved at once, like 8MB
    #[arg(long, value_name = "BYTES", default_value = "8MB", value_parser = byte_count)]
    buffersize: u64,
}

impl How {
    fn at_once(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(2, usize::from);
        self.thread.map_or_else(|| 2 * cores(), usize::from)
    }

    fn piece_bytes(&self) -> usize {
        // Beyond this, larger pieces only cost memory: every file at once holds a few of them.
        const MOST: u64 = 64 << 20;
        self.buffersize.clamp(4096, MOST) as usize
    }
}

/// `copyFromLocal SOURCE… DESTINATION`
#[derive(Debug, Clone, clap::Args)]
pub struct CopyFromLocal {
    #[command(flatten)]
    how: How,
    /// Files and directories of this machine, then where they go in Alluxio
    #[arg(required = true, num_args = 2.., value_names = ["SOURCE", "DESTINATION"])]
    paths: Vec<String>,
}

/// `copyToLocal SOURCE… DESTINATION`
#[derive(Debug, Clone, clap::Args)]
pub struct CopyToLocal {
    #[command(flatten)]
    how: How,
    /// Paths in Alluxio, may have wildcards, then where they go on this machine
    #[arg(required = true, num_args = 2.., value_names = ["SOURCE", "DESTINATION"])]
    paths: Vec<String>,
}

/// `cp SOURCE… DESTINATION`
#[derive(Debug, Clone, clap::Args)]
pub struct Cp {
    /// Copy directories with everything below
    #[arg(short = 'R', short_alias = 'r', long)]
    recursive: bool,
    /// Keep owner, group, mode and time to live
    #[arg(short = 'p', long)]
    preserve: bool,
    #[command(flatten)]
    how: How,
    /// Sources, may have wildcards, then the destination; file:// means this machine
    #[arg(required = true, num_args = 2.., value_names = ["SOURCE", "DESTINATION"])]
    paths: Vec<String>,
}

/// One file to copy.
#[derive(Debug, Clone)]
struct Item {
    from: Place,
    to: Place,
    length: u64,
    /// Attributes to give to the copy.
    keep: Option<SetAttributeOptions>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Alluxio(path) => write!(f, "{path}"),
            Place::Local(path) => write!(f, "file://{}", path.display()),
        }
    }
}

/// All that is to be done.
#[derive(Default)]
struct Plan {
    items: Vec<Item>,
    /// Directories that must exist first, parents before children, and attributes that they get
    /// when everything is in them.
    directories: Vec<(Place, Option<SetAttributeOptions>)>,
}

impl CopyFromLocal {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        let (sources, destination) = split(&self.paths);
        let to = target::parse(destination)?.path;
        let into = is_into(session, destination, &to, sources.len()).await?;
        let mut plan = Plan::default();
        for source in sources {
            let from = absolute(&target::local_or_plain(source))?;
            let inside = |name: &str| session.inside(&to, name);
            let facts = std::fs::metadata(&from).map_err(|e| CliError::local(&from, e))?;
            let top = match (facts.is_dir(), into, sources.len()) {
                // The contents of a single directory are merged into the destination.
                (true, _, 1) | (false, false, _) => to.clone(),
                _ => inside(&local_name(&from)?)?,
            };
            plan_upload(session, &from, &top, &mut plan)?;
        }
        let policy = session.client_config()?.policies.copy_from_local;
        let options = CreateFileOptions {
            recursive: true,
            policy: Some(policy),
            ..CreateFileOptions::default()
        };
        carry_out(session, screen, plan, options, &self.how).await
    }
}

impl CopyToLocal {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        let (arguments, destination) = split(&self.paths);
        let sources = expand(session, arguments).await?;
        let to = absolute(&target::local_or_plain(destination))?;
        let many = sources.len() > 1;
        if many && !to.is_dir() {
            return Err(must_be_directory(destination));
        }
        let mut plan = Plan::default();
        for from in sources {
            let status = session.status(&from, "copyToLocal").await?;
            let into = to.is_dir() && (many || !status.is_directory());
            let top = if into { to.join(&status.name) } else { to.clone() };
            plan_download(session, &status, &top, &mut plan).await?;
        }
        carry_out(session, screen, plan, CreateFileOptions::default(), &self.how).await
    }
}

impl Cp {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        let (arguments, destination) = split(&self.paths);
        let mut sources = Vec::new();
        for argument in arguments {
            match target::local(argument) {
                Some(path) => sources.push(Place::Local(absolute(&path)?)),
                None => {
                    sources.extend(session.expand(argument).await?.into_iter().map(Place::Alluxio))
                }
            }
        }
        let to = target::place(destination)?;
        let into = match &to {
            Place::Local(path) => path.is_dir(),
            Place::Alluxio(path) => is_into(session, destination, path, sources.len()).await?,
        };
        if sources.len() > 1 && !into {
            return Err(must_be_directory(destination));
        }
        let mut plan = Plan::default();
        for from in sources {
            self.plan(session, from, &to, into, &mut plan).await?;
        }
        let options = CreateFileOptions { recursive: true, ..CreateFileOptions::default() };
        carry_out(session, screen, plan, options, &self.how).await
    }

    async fn plan(
        &self,
        session: &Session,
        from: Place,
        to: &Place,
        into: bool,
        plan: &mut Plan,
    ) -> Result<(), CliError> {
        let name = match &from {
            Place::Local(path) => local_name(path)?,
            Place::Alluxio(path) => path.name().to_owned(),
        };
        let top = match to {
            _ if !into => to.clone(),
            Place::Local(path) => Place::Local(path.join(&name)),
            Place::Alluxio(path) => Place::Alluxio(session.inside(path, &name)?),
        };
        match (&from, &top) {
            (Place::Local(from), Place::Alluxio(to)) => {
                self.check_recursive(from.is_dir(), &from.display())?;
                plan_upload(session, from, to, plan)
            }
            (Place::Alluxio(from), to) => {
                let status = session.status(from, "cp").await?;
                self.check_recursive(status.is_directory(), from)?;
                match to {
                    Place::Local(to) => plan_download(session, &status, to, plan).await,
                    Place::Alluxio(to) => {
                        plan_duplicate(session, &status, to, self.preserve, plan).await
                    }
                }
            }
            (Place::Local(_), Place::Local(_)) => Err(CliError::Refused {
                message: "cp: one side must be in Alluxio; both are file://".to_owned(),
            }),
        }
    }

    fn check_recursive(&self, is_directory: bool, what: &dyn fmt::Display) -> Result<(), CliError> {
        if is_directory && !self.recursive {
            return Err(CliError::Refused {
                message: format!("cp {what}: is a directory, use -R to copy it"),
            });
        }
        Ok(())
    }
}

/// All words but the last, and the last; the parser made sure of two.
fn split(paths: &[String]) -> (&[String], &str) {
    paths.split_last().map_or((&[], ""), |(last, rest)| (rest, last.as_str()))
}

fn must_be_directory(destination: &str) -> CliError {
    CliError::Refused {
        message: format!("{destination}: must be a directory that exists to take several sources"),
    }
}

fn local_name(path: &Path) -> Result<String, CliError> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned).ok_or_else(|| CliError::Refused {
        message: format!("{}: has no name that Alluxio can use", path.display()),
    })
}

fn absolute(path: &Path) -> Result<PathBuf, CliError> {
    std::path::absolute(path).map_err(|error| CliError::local(path, error))
}

async fn expand(session: &Session, arguments: &[String]) -> Result<Vec<AlluxioPath>, CliError> {
    let mut all = Vec::new();
    for argument in arguments {
        all.extend(session.expand(argument).await?);
    }
    Ok(all)
}

/// Whether copies go into `path` under their own names: a directory, or one to be.
async fn is_into(
    session: &Session,
    text: &str,
    path: &AlluxioPath,
    sources: usize,
) -> Result<bool, CliError> {
    if sources > 1 || text.ends_with('/') {
        return Ok(true);
    }
    match session.status(path, "copy").await {
        Ok(status) => Ok(status.is_directory()),
        Err(CliError::Cluster { code: Code::NotFound, .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn plan_upload(
    session: &Session,
    from: &Path,
    to: &AlluxioPath,
    plan: &mut Plan,
) -> Result<(), CliError> {
    let failed = |error| CliError::local(from, error);
    let facts = std::fs::metadata(from).map_err(failed)?;
    if facts.is_file() {
        let (from, to) = (Place::Local(from.to_owned()), Place::Alluxio(to.clone()));
        plan.items.push(Item { from, to, length: facts.len(), keep: None });
        return Ok(());
    }
    if !facts.is_dir() {
        return Err(CliError::Refused {
            message: format!("{}: is neither a file nor a directory", from.display()),
        });
    }
    plan.directories.push((Place::Alluxio(to.clone()), None));
    let mut entries: Vec<PathBuf> = std::fs::read_dir(from)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .map_err(failed)?;
    entries.sort();
    for entry in entries {
        let inner = session.inside(to, &local_name(&entry)?)?;
        plan_upload(session, &entry, &inner, plan)?;
    }
    Ok(())
}

async fn plan_download(
    session: &Session,
    from: &FileStatus,
    to: &Path,
    plan: &mut Plan,
) -> Result<(), CliError> {
    let mut put = |status: &FileStatus, to: PathBuf| -> Result<(), CliError> {
        if status.is_directory() {
            plan.directories.push((Place::Local(to), None));
        } else {
            let from = Place::Alluxio(session.path_of(status)?);
            let to = Place::Local(to);
            plan.items.push(Item { from, to, length: status.length, keep: None });
        }
        Ok(())
    };
    put(from, to.to_owned())?;
    for (status, rest) in below(session, from).await? {
        put(&status, to.join(rest))?;
    }
    Ok(())
}

async fn plan_duplicate(
    session: &Session,
    from: &FileStatus,
    to: &AlluxioPath,
    preserve: bool,
    plan: &mut Plan,
) -> Result<(), CliError> {
    if to.starts_with(&session.path_of(from)?) {
        return Err(CliError::Refused {
            message: format!("cp {} {to}: the destination lies inside the source", from.path),
        });
    }
    let mut put = |status: &FileStatus, to: AlluxioPath| -> Result<(), CliError> {
        let keep = preserve.then(|| attributes(status));
        if status.is_directory() {
            plan.directories.push((Place::Alluxio(to), keep));
            return Ok(());
        }
        let (from, to) = (Place::Alluxio(session.path_of(status)?), Place::Alluxio(to));
        plan.items.push(Item { from, to, length: status.length, keep });
        Ok(())
    };
    put(from, to.clone())?;
    for (status, rest) in below(session, from).await? {
        let path = rest.split('/').try_fold(to.clone(), |at, name| session.inside(&at, name))?;
        put(&status, path)?;
    }
    Ok(())
}

fn attributes(status: &FileStatus) -> SetAttributeOptions {
    SetAttributeOptions {
        owner: Some(status.owner.clone()),
        group: Some(status.group.clone()),
        mode: Some(status.mode),
        ttl: Some(status.ttl_ms.map(std::time::Duration::from_millis)),
        ttl_action: Some(status.ttl_action),
        ..SetAttributeOptions::default()
    }
}

/// What lies below a directory with its path from there, parents first; nothing for a file.
async fn below(session: &Session, top: &FileStatus) -> Result<Vec<(FileStatus, String)>, CliError> {
    if !top.is_directory() {
        return Ok(Vec::new());
    }
    let base = session.path_of(top)?;
    let mut all = Vec::new();
    for status in session.list_below(&base).await? {
        let rest = session.path_of(&status)?.relative_to(&base).map(str::to_owned);
        if let Some(rest) = rest.filter(|rest| !rest.is_empty()) {
            all.push((status, rest));
        }
    }
    all.sort_by(|a, b| a.1.cmp(&b.1));
    Ok(all)
}

/// Makes the directories, then copies many files at once. One failure does not stop the others.
async fn carry_out(
    session: &Session,
    screen: &Screen,
    plan: Plan,
    options: CreateFileOptions,
    how: &How,
) -> Result<(), CliError> {
    let fs = session.fs()?;
    for (directory, _) in &plan.directories {
        make_directory(fs, directory).await?;
    }
    let progress = Progress::bytes(screen, plan.items.iter().map(|item| item.length).sum());
    let mut outcome = Outcome::new(screen);
    let mut running: JoinSet<(Item, Result<u64, CliError>)> = JoinSet::new();
    let mut waiting = plan.items.into_iter();
    loop {
        while running.len() < how.at_once() {
            let Some(item) = waiting.next() else { break };
            let (fs, options, progress) = (fs.clone(), options.clone(), progress.clone());
            let piece_bytes = how.piece_bytes();
            running.spawn(async move {
                let done = copy(&fs, &item, &options, piece_bytes, &progress).await;
                (item, done)
            });
        }
        let Some(ended) = running.join_next().await else { break };
        let result = match ended {
            Ok((item, Ok(bytes))) => progress.beside(|| said(screen, &item, bytes)),
            Ok((_, Err(error))) => Err(error),
            Err(panic) => Err(CliError::Unavailable(format!("a copy ended unexpectedly: {panic}"))),
        };
        progress.beside(|| outcome.add(result))?;
    }
    progress.end();
    // Children first: a parent may become one that we cannot enter any more.
    for (directory, keep) in plan.directories.iter().rev() {
        if let (Place::Alluxio(path), Some(keep)) = (directory, keep) {
            outcome.add(give_attributes(fs, path, keep).await)?;
        }
    }
    outcome.end()
}

async fn give_attributes(
    fs: &FileSystem,
    path: &AlluxioPath,
    keep: &SetAttributeOptions,
) -> Result<(), CliError> {
    let kept = fs.set_attribute(path, keep).await;
    kept.map(drop).map_err(|error| {
        CliError::cluster(format!("{path} is copied, but not its attributes"), &error)
    })
}

fn said(screen: &Screen, item: &Item, bytes: u64) -> Result<(), CliError> {
    let (from, to) = (item.from.to_string(), item.to.to_string());
    screen.either(
        || json!({"op": "copy", "from": from, "to": to, "bytes": bytes}),
        || format!("Copied {from} to {to}"),
    )
}

async fn make_directory(fs: &FileSystem, directory: &Place) -> Result<(), CliError> {
    match directory {
        Place::Local(path) => {
            std::fs::create_dir_all(path).map_err(|error| CliError::local(path, error))
        }
        Place::Alluxio(path) => {
            let options = CreateDirectoryOptions {
                recursive: true,
                allow_exists: true,
                ..CreateDirectoryOptions::default()
            };
            let made = fs.create_directory(path, &options).await;
            made.map(drop).map_err(|error| CliError::cluster(format!("mkdir {path}"), &error))
        }
    }
}

async fn copy(
    fs: &FileSystem,
    item: &Item,
    options: &CreateFileOptions,
    piece_bytes: usize,
    progress: &Progress,
) -> Result<u64, CliError> {
    match (&item.from, &item.to) {
        (Place::Local(from), Place::Alluxio(to)) => {
            // The question costs less than a file that is read for nothing.
            let exists = fs.exists(to, Freshness::default()).await;
            if exists.map_err(|error| CliError::cluster(to, &error))? {
                return Err(CliError::Cluster {
                    code: Code::AlreadyExists,
                    message: format!("{to} already exists, remove it or choose another name"),
                });
            }
            transfer::upload(fs, from, to, options, piece_bytes, progress).await
        }
        (Place::Alluxio(from), Place::Local(to)) => {
            transfer::download(fs, from, to, piece_bytes, progress).await
        }
        (Place::Alluxio(from), Place::Alluxio(to)) => {
            let bytes = transfer::duplicate(fs, from, to, options, piece_bytes, progress).await?;
            if let Some(keep) = &item.keep {
                give_attributes(fs, to, keep).await?;
            }
            Ok(bytes)
        }
        (Place::Local(_), Place::Local(_)) => Ok(0),
    }
}
