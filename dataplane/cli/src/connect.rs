//! What every command needs: the configuration, a client made from it, and walking over path
//! arguments.

use crate::error::CliError;
use crate::screen::Screen;
use crate::target;
use crate::view::date::DateFormat;
use alluxio_client::{
    ConfigProperty, FileSystem, Freshness, GetStatusOptions, ListStatusOptions, SyncInterval,
};
use alluxio_config::{AuthenticationType, ClientConfig, Config, HostPort};
use alluxio_host::Host;
use alluxio_types::{AlluxioPath, FileStatus};
use std::collections::VecDeque;
use std::sync::OnceLock;
use std::time::Duration;

/// How long a command tries to reach a master, unless the user configured it: somebody waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// One command's connection to a cluster; made when it is first used.
pub struct Session {
    config: Config,
    masters: Vec<HostPort>,
    fs: OnceLock<FileSystem>,
}

impl Session {
    /// A session with the configured cluster, or with `masters` where a URI names some.
    pub fn new(config: Config, masters: Vec<HostPort>) -> Self {
        Session { config, masters, fs: OnceLock::new() }
    }

    /// The configuration that was loaded.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The client's section, with what the command line says on top.
    pub(crate) fn client_config(&self) -> Result<ClientConfig, CliError> {
        const DURATION: &str = "alluxio.user.rpc.retry.max.duration";
        let named =
            self.masters.first().map(|first| ("alluxio.master.hostname", first.host.clone()));
        let mut config = match named {
            // A URI stands in for a configured host.
            Some(pair) => self.config.with([pair])?.client()?,
            None => self.config.client()?,
        };
        if !self.masters.is_empty() {
            config.masters = self.masters.clone();
            // The configured etcd knows another cluster.
            config.etcd = None;
        }
        if self.config.get(DURATION).is_none_or(|setting| !setting.is_set()) {
            config.rpc_retry.total = PATIENCE;
            config.rpc_retry.max = config.rpc_retry.max.min(PATIENCE / 5);
        }
        Ok(config)
    }

    /// The client.
    ///
    /// **Errors**: `Config` when no master is configured.
    pub fn fs(&self) -> Result<&FileSystem, CliError> {
        if let Some(fs) = self.fs.get() {
            return Ok(fs);
        }
        let fs = FileSystem::connect(self.client_config()?, Host::real())
            .map_err(|error| CliError::cluster("cannot connect", &error))?;
        Ok(self.fs.get_or_init(|| fs))
    }

    /// Writes dates as configured.
    pub(crate) fn dates(&self) -> Result<DateFormat, CliError> {
        Ok(DateFormat::new(&self.client_config()?.date_pattern))
    }

    /// Whether files have owners.
    pub(crate) fn has_users(&self) -> Result<bool, CliError> {
        Ok(self.client_config()?.security.authentication != AuthenticationType::None)
    }

    /// The master's configuration.
    pub(crate) async fn master_properties(&self) -> Result<Vec<ConfigProperty>, CliError> {
        let properties = self.fs()?.configuration().await;
        properties.map_err(|error| CliError::cluster("cannot ask the master", &error))
    }

    /// What is known of a path; `op` is named when there is nothing.
    pub(crate) async fn status(
        &self,
        path: &AlluxioPath,
        op: &str,
    ) -> Result<FileStatus, CliError> {
        let status = self.fs()?.get_status(path, &GetStatusOptions::default()).await;
        status.map_err(|error| CliError::cluster(format!("{op} {path}"), &error))
    }

    /// Everything below a directory, without blocks; the file itself for a file.
    pub(crate) async fn list_below(&self, path: &AlluxioPath) -> Result<Vec<FileStatus>, CliError> {
        let options = ListStatusOptions {
            recursive: true,
            without_blocks: true,
            ..ListStatusOptions::default()
        };
        let mut all = Vec::new();
        self.for_each(path, &options, "list", |status| {
            all.push(status);
            Ok(())
        })
        .await?;
        Ok(all)
    }

    /// Hands over every result of a listing as it arrives.
    pub(crate) async fn for_each(
        &self,
        path: &AlluxioPath,
        options: &ListStatusOptions,
        op: &str,
        mut take: impl FnMut(FileStatus) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let failed =
            |error: alluxio_client::ClientError| CliError::cluster(format!("{op} {path}"), &error);
        let mut listing = self.fs()?.iterate_status(path, options).await.map_err(failed)?;
        while let Some(status) = listing.next().await.map_err(failed)? {
            take(status)?;
        }
        Ok(())
    }

    /// Compares the children of a directory with the under store now.
    pub(crate) async fn sync_children(&self, path: &AlluxioPath) -> Result<(), CliError> {
        let options = ListStatusOptions {
            freshness: Freshness {
                sync: Some(SyncInterval::After(Duration::ZERO)),
                ..Freshness::default()
            },
            without_blocks: true,
            ..ListStatusOptions::default()
        };
        self.for_each(path, &options, "sync", |_| Ok(())).await
    }

    /// The path of a status.
    pub(crate) fn path_of(&self, status: &FileStatus) -> Result<AlluxioPath, CliError> {
        AlluxioPath::parse(&status.path)
            .map_err(|source| CliError::BadPath { text: status.path.clone(), source })
    }

    /// `directory/name`.
    pub(crate) fn inside(
        &self,
        directory: &AlluxioPath,
        name: &str,
    ) -> Result<AlluxioPath, CliError> {
        let text = || format!("{directory}/{name}");
        directory.join(name).map_err(|source| CliError::BadPath { text: text(), source })
    }

    /// The paths that an argument stands for, in order of name; itself when it has no wildcards.
    ///
    /// **Errors**: `NotFound` when nothing fits.
    pub(crate) async fn expand(&self, argument: &str) -> Result<Vec<AlluxioPath>, CliError> {
        let pattern = target::parse(argument)?.path;
        if !target::is_pattern(pattern.as_str()) {
            return Ok(vec![pattern]);
        }
        let mut known = vec![AlluxioPath::root()];
        let mut parts: VecDeque<&str> = pattern.components().collect();
        while let Some(part) = parts.pop_front() {
            let mut next = Vec::new();
            for directory in known {
                if target::is_pattern(part) {
                    // Only directories can lead on.
                    next.extend(self.matching(&directory, part, !parts.is_empty()).await?);
                } else {
                    next.push(self.inside(&directory, part)?);
                }
            }
            known = next;
        }
        // A literal component after a wildcard may not exist everywhere.
        let mut found = Vec::new();
        for path in known {
            let exists = self.fs()?.exists(&path, Freshness::default()).await;
            if exists.map_err(|error| CliError::cluster(&path, &error))? {
                found.push(path);
            }
        }
        if found.is_empty() {
            return Err(CliError::Cluster {
                code: alluxio_types::Code::NotFound,
                message: format!("{argument}: no path fits this pattern"),
            });
        }
        Ok(found)
    }

    async fn matching(
        &self,
        directory: &AlluxioPath,
        pattern: &str,
        directories_only: bool,
    ) -> Result<Vec<AlluxioPath>, CliError> {
        let mut names = Vec::new();
        let options = ListStatusOptions { without_blocks: true, ..ListStatusOptions::default() };
        let listed = self
            .for_each(directory, &options, "list", |status| {
                // Listing a file gives the file itself, which is not inside the path.
                let fits = target::matches(pattern, &status.name)
                    && (status.is_directory() || !directories_only)
                    && status.path != directory.as_str();
                if fits {
                    names.push(status.name);
                }
                Ok(())
            })
            .await;
        match listed {
            Err(CliError::Cluster { code: alluxio_types::Code::NotFound, .. }) => {}
            other => other?,
        }
        names.iter().map(|name| self.inside(directory, name)).collect()
    }

    /// Does something with every path that the arguments stand for. One failure does not keep the
    /// others from being tried; failures are reported as they happen.
    ///
    /// **Errors**: the failure itself when there is one path, `Several` otherwise.
    pub(crate) async fn each(
        &self,
        screen: &Screen,
        arguments: &[String],
        act: impl AsyncFn(AlluxioPath) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let mut outcome = Outcome::new(screen);
        for argument in arguments {
            match self.expand(argument).await {
                Ok(paths) => {
                    for path in paths {
                        outcome.add(act(path).await)?;
                    }
                }
                Err(error) => outcome.add(Err(error))?,
            }
        }
        outcome.end()
    }

    /// Likewise for paths that are made, in which `*` is a letter like any other.
    pub(crate) async fn each_literal(
        &self,
        screen: &Screen,
        arguments: &[String],
        act: impl AsyncFn(AlluxioPath) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let mut outcome = Outcome::new(screen);
        for argument in arguments {
            let done = match target::parse(argument) {
                Ok(target) => act(target.path).await,
                Err(error) => Err(error),
            };
            outcome.add(done)?;
        }
        outcome.end()
    }
}

/// Counts successes and failures of one command.
pub(crate) struct Outcome<'a> {
    screen: &'a Screen,
    all: usize,
    failed: usize,
    /// The first failure, not reported yet: alone it is the command's own.
    first: Option<CliError>,
}

impl<'a> Outcome<'a> {
    pub(crate) fn new(screen: &'a Screen) -> Self {
        Outcome { screen, all: 0, failed: 0, first: None }
    }

    /// **Errors**: what would be the same for everything that is left: output that cannot be
    /// written, a configuration that is wrong.
    pub(crate) fn add(&mut self, result: Result<(), CliError>) -> Result<(), CliError> {
        self.all += 1;
        let error = match result {
            Ok(()) => return Ok(()),
            Err(error @ (CliError::Output(_) | CliError::Config(_))) => return Err(error),
            Err(error) => error,
        };
        self.failed += 1;
        if self.failed == 1 {
            self.first = Some(error);
            return Ok(());
        }
        for error in self.first.take().into_iter().chain([error]) {
            self.screen.note(error);
        }
        Ok(())
    }

    /// The command's result.
    pub(crate) fn end(self) -> Result<(), CliError> {
        match self.first {
            Some(error) if self.all == 1 => Err(error),
            Some(error) => {
                self.screen.note(error);
                Err(CliError::Several { failed: self.failed, all: self.all })
            }
            None if self.failed > 0 => {
                Err(CliError::Several { failed: self.failed, all: self.all })
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::capture;

    fn refused(text: &str) -> Result<(), CliError> {
        Err(CliError::Refused { message: text.to_owned() })
    }

    #[test]
    fn every_failure_is_reported_once_and_counted() {
        let (screen, _, err) = capture::screen();
        let mut outcome = Outcome::new(&screen);
        for result in [Ok(()), refused("a"), refused("b"), Ok(()), refused("c")] {
            outcome.add(result).unwrap();
        }
        assert_eq!(outcome.end().unwrap_err().to_string(), "3 of 5 failed");
        assert_eq!(err.text(), "a\nb\nc\n");
    }

    #[test]
    fn a_single_failure_is_the_commands_own() {
        let (screen, _, err) = capture::screen();
        let mut outcome = Outcome::new(&screen);
        outcome.add(refused("a")).unwrap();
        assert_eq!(outcome.end().unwrap_err().to_string(), "a");
        assert_eq!(err.text(), "");
        let mut outcome = Outcome::new(&screen);
        outcome.add(Ok(())).unwrap();
        outcome.add(refused("a")).unwrap();
        assert_eq!(outcome.end().unwrap_err().to_string(), "1 of 2 failed");
        assert_eq!(err.text(), "a\n");
    }
}
