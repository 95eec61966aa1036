//! `ls`, `du`, `count`, `stat`, `location`, `test`.

use crate::connect::Session;
use crate::error::CliError;
use crate::screen::Screen;
use crate::target;
use crate::view::file::{self, ListView, Timestamp, Totals, UsageView};
use crate::view::json;
use alluxio_client::{Freshness, GetStatusOptions, ListStatusOptions, MetadataLoad, SyncInterval};
use alluxio_types::{AlluxioPath, Code, FileStatus, InodeId};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// `ls PATH…`
#[derive(Debug, Clone, clap::Args)]
pub struct Ls {
    /// List directories themselves, not what is in them
    #[arg(short = 'd')]
    directory: bool,
    /// Compare with the under store first
    #[arg(short = 'f')]
    force: bool,
    /// Sizes for people, like 1.50KB
    #[arg(short = 'h')]
    human: bool,
    /// Only pinned files
    #[arg(short = 'p')]
    pinned: bool,
    /// Everything below, not only the children
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Reverse the order
    #[arg(short = 'r')]
    reverse: bool,
    /// Accepted for old scripts; mount points are not marked
    #[arg(short = 'm', long = "omit-mount-info")]
    omit_mount_info: bool,
    /// Sort by this field
    #[arg(long, value_enum, value_name = "FIELD")]
    sort: Option<Sort>,
    /// Which time to show
    #[arg(long, value_enum, value_name = "FIELD", default_value = "lastModificationTime")]
    timestamp: Timestamp,
    /// Paths, may have wildcards
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

/// Field to sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "camelCase")]
enum Sort {
    CreationTime,
    InMemoryPercentage,
    LastAccessTime,
    LastModificationTime,
    Name,
    Path,
    Size,
}

impl Sort {
    fn sort(self, statuses: &mut [FileStatus]) {
        match self {
            Sort::CreationTime => statuses.sort_by_key(|s| s.created),
            Sort::InMemoryPercentage => statuses.sort_by_key(|s| s.in_memory_percent),
            Sort::LastAccessTime => statuses.sort_by_key(|s| s.accessed),
            Sort::LastModificationTime => statuses.sort_by_key(|s| s.modified),
            Sort::Name => statuses.sort_by(|a, b| a.name.cmp(&b.name)),
            Sort::Path => statuses.sort_by(|a, b| a.path.cmp(&b.path)),
            Sort::Size => statuses.sort_by_key(|s| s.length),
        }
    }
}

impl Ls {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        let date = session.dates()?;
        let view = ListView {
            human: self.human,
            timestamp: self.timestamp,
            date: &date,
            with_owner: session.has_users()?,
        };
        let print = |status: &FileStatus| {
            if self.pinned && !status.pinned {
                return Ok(());
            }
            screen.either(|| json::status(status), || view.row(status))
        };
        session
            .each(screen, &self.paths, async |path| {
                self.list(session, &path, !screen.json, &print).await
            })
            .await
    }

    async fn list(
        &self,
        session: &Session,
        path: &AlluxioPath,
        without_blocks: bool,
        print: &impl Fn(&FileStatus) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let freshness = self.freshness();
        if self.directory {
            let options = GetStatusOptions { freshness, without_blocks };
            let status = session.fs()?.get_status(path, &options).await;
            return print(&status.map_err(|e| CliError::cluster(format!("ls {path}"), &e))?);
        }
        let options = ListStatusOptions {
            freshness,
            recursive: self.recursive,
            // How much is cached is known without them.
            without_blocks,
            ..ListStatusOptions::default()
        };
        if self.sort.is_none() && !self.reverse {
            // The order is the master's, by name: a large directory is printed as it arrives.
            return session.for_each(path, &options, "ls", |status| print(&status)).await;
        }
        let mut all = Vec::new();
        session
            .for_each(path, &options, "ls", |status| {
                all.push(status);
                Ok(())
            })
            .await?;
        if let Some(sort) = self.sort {
            sort.sort(&mut all);
        }
        if self.reverse {
            all.reverse();
        }
        all.iter().try_for_each(print)
    }

    fn freshness(&self) -> Freshness {
        if !self.force {
            return Freshness::default();
        }
        Freshness {
            sync: Some(SyncInterval::After(Duration::ZERO)),
            load: Some(MetadataLoad::Always),
        }
    }
}

/// `du PATH…`
#[derive(Debug, Clone, clap::Args)]
pub struct Du {
    /// Sizes for people, like 1.50KB
    #[arg(short = 'h')]
    human: bool,
    /// One line for each path given
    #[arg(short = 's', long)]
    summarize: bool,
    /// Also the bytes in the top tier
    #[arg(short = 'm', long)]
    memory: bool,
    /// Also which workers hold the bytes
    #[arg(short = 'g', long = "group-by-worker")]
    workers: bool,
    /// Paths, may have wildcards
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl Du {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        let view = UsageView { human: self.human, memory: self.memory, workers: self.workers };
        if !screen.json {
            screen.line(view.header())?;
        }
        session
            .each(screen, &self.paths, async |path| self.show(session, screen, view, &path).await)
            .await
    }

    async fn show(
        &self,
        session: &Session,
        screen: &Screen,
        view: UsageView,
        path: &AlluxioPath,
    ) -> Result<(), CliError> {
        let (mut totals, mut workers) = (Totals::default(), BTreeMap::new());
        let options = ListStatusOptions {
            recursive: true,
            // How much is cached comes with the blocks.
            without_blocks: false,
            ..ListStatusOptions::default()
        };
        session
            .for_each(path, &options, "du", |status| {
                totals.add(&status);
                let mut own = BTreeMap::new();
                add_workers(&status, if self.summarize { &mut workers } else { &mut own });
                if self.summarize || status.is_directory() {
                    return Ok(());
                }
                print_usage(screen, view, &Totals::of(&status), &own, &status.path)
            })
            .await?;
        if self.summarize {
            print_usage(screen, view, &totals, &workers, path.as_str())?;
        }
        Ok(())
    }
}

fn add_workers(status: &FileStatus, workers: &mut BTreeMap<String, u64>) {
    for block in &status.blocks {
        for at in &block.locations {
            *workers.entry(at.address.host.clone()).or_default() += block.length;
        }
    }
}

fn print_usage(
    screen: &Screen,
    view: UsageView,
    totals: &Totals,
    workers: &BTreeMap<String, u64>,
    path: &str,
) -> Result<(), CliError> {
    if screen.json {
        let mut value = json!({
            "path": path,
            "bytes": totals.bytes,
            "inAlluxioBytes": totals.cached_bytes,
            "inMemoryBytes": totals.memory_bytes,
        });
        if view.workers {
            value["workers"] = json!(workers);
        }
        return screen.value(&value);
    }
    screen.line(view.row(totals, "total", path))?;
    if view.workers {
        screen.lines(workers.iter().map(|(host, bytes)| view.worker_row(*bytes, totals, host)))?;
    }
    Ok(())
}

/// `count PATH…`
#[derive(Debug, Clone, clap::Args)]
pub struct Count {
    /// Sizes for people, like 1.50KB
    #[arg(short = 'h')]
    human: bool,
    /// Paths, may have wildcards
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl Count {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        session
            .each(screen, &self.paths, async |path| {
                let mut totals = Totals::default();
                let options = ListStatusOptions {
                    recursive: true,
                    without_blocks: true,
                    ..ListStatusOptions::default()
                };
                session
                    .for_each(&path, &options, "count", |status| {
                        totals.add(&status);
                        Ok(())
                    })
                    .await?;
                if screen.json {
                    return screen.value(&json!({
                        "path": path.as_str(),
                        "files": totals.files,
                        "folders": totals.directories,
                        "bytes": totals.bytes,
                    }));
                }
                screen.lines(file::count(&totals, self.human))
            })
            .await
    }
}

/// `stat PATH…`
#[derive(Debug, Clone, clap::Args)]
pub struct Stat {
    /// Print only these: %N name, %z bytes, %u owner, %g group, %i id, %y or %Y time of change, %b blocks
    #[arg(short = 'f', value_name = "FORMAT", allow_hyphen_values = true)]
    format: Option<String>,
    /// Arguments are ids of files, not paths
    #[arg(long = "file-id")]
    file_id: bool,
    /// Paths, may have wildcards
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl Stat {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        let paths =
            if self.file_id { self.paths_of_ids(session).await? } else { self.paths.clone() };
        // What %y prints does not depend on how ls prints dates.
        let date = crate::view::date::DateFormat::new("yyyy-MM-dd HH:mm:ss");
        session
            .each(screen, &paths, async |path| {
                let status = session.status(&path, "stat").await?;
                match &self.format {
                    _ if screen.json => screen.value(&json::status(&status)),
                    Some(format) => screen.line(file::stat_format(format, &status, &date)),
                    None => screen.lines(file::stat(&status)),
                }
            })
            .await
    }

    /// Where the files with these ids are. **Errors**: of the first id that is none.
    async fn paths_of_ids(&self, session: &Session) -> Result<Vec<String>, CliError> {
        let mut paths = Vec::new();
        for text in &self.paths {
            let id = text.parse().map_err(|_| CliError::BadArgument {
                what: "file id",
                value: text.clone(),
                expected: "a number, as 'stat -f %i' prints it".to_owned(),
            })?;
            let path = session.fs()?.path_of(InodeId(id)).await;
            let path = path.map_err(|error| CliError::cluster(format!("stat {id}"), &error))?;
            paths.push(path.to_string());
        }
        Ok(paths)
    }
}

/// `location PATH…`
#[derive(Debug, Clone, clap::Args)]
pub struct Location {
    /// Paths, may have wildcards
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl Location {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        session
            .each(screen, &self.paths, async |path| {
                let status = session.status(&path, "location").await?;
                if screen.json {
                    let hosts = file::hosts(&status);
                    let (path, id) = (status.path.as_str(), status.id.0);
                    return screen.value(&json!({"path": path, "fileId": id, "hosts": hosts}));
                }
                screen.lines(file::location(&status))
            })
            .await
    }
}

/// `test -d|-e|-f|-s|-z PATH`
#[derive(Debug, Clone, clap::Args)]
#[command(group = clap::ArgGroup::new("property").required(true)
    .args(["directory", "exists", "file", "filled", "empty"]))]
pub struct Test {
    /// It is a directory
    #[arg(short = 'd')]
    directory: bool,
    /// It exists
    #[arg(short = 'e')]
    exists: bool,
    /// It is a file
    #[arg(short = 'f')]
    file: bool,
    /// It is a directory that is not empty
    #[arg(short = 's')]
    filled: bool,
    /// It is a file without bytes
    #[arg(short = 'z')]
    empty: bool,
    /// The path
    path: String,
}

impl Test {
    pub(crate) async fn run(&self, session: &Session, _: &Screen) -> Result<(), CliError> {
        let path = target::parse(&self.path)?.path;
        let holds = match session.status(&path, "test").await {
            Ok(status) => self.holds(&status),
            Err(CliError::Cluster { code: Code::NotFound, .. }) => false,
            Err(error) => return Err(error),
        };
        if holds { Ok(()) } else { Err(CliError::Code(1)) }
    }

    fn holds(&self, status: &FileStatus) -> bool {
        let directory = status.is_directory();
        self.exists
            || self.directory && directory
            || self.file && !directory
            || self.filled && directory && status.length > 0
            || self.empty && !directory && status.length == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::file::sample;

    #[test]
    fn sorting_is_by_the_named_field() {
        let named = |name: &str, length| FileStatus { name: name.into(), length, ..sample::file() };
        let mut all = vec![named("b", 1), named("a", 3), named("c", 2)];
        let names = |all: &[FileStatus]| all.iter().map(|s| s.name.clone()).collect::<String>();
        Sort::Name.sort(&mut all);
        assert_eq!(names(&all), "abc");
        Sort::Size.sort(&mut all);
        assert_eq!(names(&all), "bca");
    }

    #[test]
    fn properties_are_those_of_the_letters() {
        let test = |letter| {
            let mut test = Test {
                directory: false,
                exists: false,
                file: false,
                filled: false,
                empty: false,
                path: "/d".into(),
            };
            match letter {
                'd' => test.directory = true,
                'e' => test.exists = true,
                'f' => test.file = true,
                's' => test.filled = true,
                _ => test.empty = true,
            }
            test
        };
        let empty = FileStatus { length: 0, ..sample::file() };
        for (letter, directory, file, empty_file) in [
            ('d', true, false, false),
            ('e', true, true, true),
            ('f', false, true, true),
            ('s', true, false, false),
            ('z', false, false, true),
        ] {
            let got =
                [&sample::directory(), &sample::file(), &empty].map(|s| test(letter).holds(s));
            assert_eq!(got, [directory, file, empty_file], "{letter}");
        }
    }
}
