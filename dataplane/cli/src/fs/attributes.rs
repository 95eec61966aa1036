//! `chgrp`, `chmod`, `chown`, `pin`, `unpin`, `setReplication`, `setTtl`, `unsetTtl`.

use super::mode::{self, ModeChange};
use crate::connect::Session;
use crate::error::CliError;
use crate::screen::Screen;
use alluxio_client::SetAttributeOptions;
use alluxio_types::{AlluxioPath, TtlAction, parse_duration};
use std::time::Duration;

/// `chgrp GROUP PATH…`
#[derive(Debug, Clone, clap::Args)]
pub struct Chgrp {
    /// Change everything below, too
    #[arg(short = 'R', long)]
    recursive: bool,
    /// New group
    group: String,
    /// Paths, may have wildcards
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl Chgrp {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        let change = SetAttributeOptions {
            recursive: self.recursive,
            group: Some(self.group.clone()),
            ..SetAttributeOptions::default()
        };
        let done = |path: &AlluxioPath| format!("Changed group of {path} to {}", self.group);
        change_all(session, screen, "chgrp", &self.paths, change, done).await
    }
}

/// `chown OWNER[:GROUP] PATH…`
#[derive(Debug, Clone, clap::Args)]
pub struct Chown {
    /// Change everything below, too
    #[arg(short = 'R', long)]
    recursive: bool,
    /// New owner, and group after a colon
    #[arg(value_name = "OWNER[:GROUP]")]
    owner: String,
    /// Paths, may have wildcards
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl Chown {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        let (owner, group) = match self.owner.split_once(':') {
            Some((owner, group)) => (owner, Some(group.to_owned())),
            None => (self.owner.as_str(), None),
        };
        if owner.is_empty() || group.as_deref() == Some("") {
            return Err(CliError::BadArgument {
                what: "owner",
                value: self.owner.clone(),
                expected: "OWNER or OWNER:GROUP (chgrp changes the group alone)".to_owned(),
            });
        }
        let what = if group.is_some() { "owner:group" } else { "owner" };
        let change = SetAttributeOptions {
            recursive: self.recursive,
            owner: Some(owner.to_owned()),
            group,
            ..SetAttributeOptions::default()
        };
        let done = |path: &AlluxioPath| format!("Changed {what} of {path} to {}", self.owner);
        change_all(session, screen, "chown", &self.paths, change, done).await
    }
}

/// `chmod MODE PATH…`
#[derive(Debug, Clone, clap::Args)]
pub struct Chmod {
    /// Change everything below, too
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Octal bits, or changes like u+x
    #[arg(allow_hyphen_values = true)]
    mode: String,
    /// Paths, may have wildcards
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl Chmod {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        let change = mode::parse(&self.mode)?;
        session
            .each(screen, &self.paths, async |path| {
                let said = self.change(session, &change, &path).await?;
                screen.done(
                    format!("Changed permission of {path} to {said}"),
                    "chmod",
                    path.as_str(),
                )
            })
            .await
    }

    /// Changes one path, and all below; returns the bits that the path itself has afterwards.
    async fn change(
        &self,
        session: &Session,
        change: &ModeChange,
        path: &AlluxioPath,
    ) -> Result<alluxio_types::Mode, CliError> {
        let fs = session.fs()?;
        let top = session.status(path, "chmod").await?;
        let bits = change.apply(top.mode, top.is_directory());
        let set = async |path: &AlluxioPath, bits, recursive| {
            let options = SetAttributeOptions {
                recursive,
                mode: Some(bits),
                ..SetAttributeOptions::default()
            };
            let done = fs.set_attribute(path, &options).await;
            done.map_err(|error| CliError::cluster(format!("chmod {path}"), &error))
        };
        if !change.is_relative() || !self.recursive {
            set(path, bits, self.recursive).await?;
            return Ok(bits);
        }
        // What a symbolic change makes depends on each inode's own bits.
        for below in session.list_below(path).await? {
            let bits = change.apply(below.mode, below.is_directory());
            set(&session.path_of(&below)?, bits, false).await?;
        }
        set(path, bits, false).await?;
        Ok(bits)
    }
}

/// `pin PATH… `
#[derive(Debug, Clone, clap::Args)]
pub struct Pin {
    /// Path, may have wildcards
    path: String,
    /// Kinds of device that must hold the blocks, like MEM; any when there are none
    #[arg(value_name = "MEDIUM")]
    media: Vec<String>,
}

impl Pin {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        if !self.media.is_empty() {
            return Err(CliError::Refused {
                message: format!(
                    "pin {}: media ({}) cannot be chosen yet: leave them out to pin on any medium",
                    self.path,
                    self.media.join(" ")
                ),
            });
        }
        let change = SetAttributeOptions { pinned: Some(true), ..SetAttributeOptions::default() };
        let paths = std::slice::from_ref(&self.path);
        let done = |path: &AlluxioPath| format!("File '{path}' was successfully pinned.");
        change_all(session, screen, "pin", paths, change, done).await
    }
}

/// `unpin PATH…`
#[derive(Debug, Clone, clap::Args)]
pub struct Unpin {
    /// Paths, may have wildcards
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl Unpin {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        let change = SetAttributeOptions { pinned: Some(false), ..SetAttributeOptions::default() };
        let done = |path: &AlluxioPath| format!("File '{path}' was successfully unpinned.");
        change_all(session, screen, "unpin", &self.paths, change, done).await
    }
}

/// `setReplication [--min N] [--max N] PATH…`
#[derive(Debug, Clone, clap::Args)]
pub struct SetReplication {
    /// Change everything below, too
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Fewest cached copies
    #[arg(long, value_name = "N")]
    min: Option<u32>,
    /// Most cached copies; -1 = no limit
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    max: Option<i64>,
    /// Paths, may have wildcards
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl SetReplication {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        if self.min.is_none() && self.max.is_none() {
            return Err(CliError::Refused {
                message: "setReplication needs --min N, --max N or both".to_owned(),
            });
        }
        let max = self.max.map(|max| limit(max, self.min)).transpose()?;
        let change = SetAttributeOptions {
            recursive: self.recursive,
            replication_min: self.min,
            replication_max: max,
            ..SetAttributeOptions::default()
        };
        let done = |path: &AlluxioPath| {
            let part = |name: &str, value: String| format!(" {name}: {value}");
            let min = self.min.map(|min| part("minimum", min.to_string()));
            let max = self.max.map(|max| part("maximum", max.to_string()));
            let (min, max) = (min.unwrap_or_default(), max.unwrap_or_default());
            format!("Changed the replication level of {path}:{min}{max}")
        };
        change_all(session, screen, "setReplication", &self.paths, change, done).await
    }
}

/// `-1` is no limit; anything else must leave room for the minimum.
fn limit(max: i64, min: Option<u32>) -> Result<Option<u32>, CliError> {
    if max == -1 {
        return Ok(None);
    }
    match u32::try_from(max) {
        Ok(max) if max >= min.unwrap_or(0) => Ok(Some(max)),
        _ => Err(CliError::BadArgument {
            what: "--max",
            value: max.to_string(),
            expected: "-1 for no limit, or a number that is not below --min".to_owned(),
        }),
    }
}

/// `setTtl [--action ACTION] PATH TIME`
#[derive(Debug, Clone, clap::Args)]
pub struct SetTtl {
    /// What happens when the time is over
    #[arg(long, value_enum, ignore_case = true, default_value = "delete")]
    action: Action,
    /// Path, may have wildcards
    path: String,
    /// Time from creation, like 60000 (ms), 1h or 5min
    time: String,
}

/// What happens when the time is over.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Action {
    /// Remove the file, in the under store too.
    Delete,
    /// Remove its cached copies.
    Free,
    /// Remove the file, but not in the under store.
    #[value(name = "delete_alluxio", alias = "deleteAlluxio")]
    DeleteAlluxio,
}

impl SetTtl {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        let ttl = time_to_live(&self.time)?;
        let (action, name) = match self.action {
            Action::Delete => (TtlAction::Delete, "DELETE"),
            Action::Free => (TtlAction::Free, "FREE"),
            Action::DeleteAlluxio => (TtlAction::DeleteAlluxio, "DELETE_ALLUXIO"),
        };
        let change = SetAttributeOptions {
            recursive: true,
            ttl: Some(Some(ttl)),
            ttl_action: Some(action),
            ..SetAttributeOptions::default()
        };
        let millis = ttl.as_millis();
        let done = |path: &AlluxioPath| {
            format!(
                "TTL of path '{path}' was successfully set to {millis} milliseconds, with expiry \
                 action set to {name}"
            )
        };
        let paths = std::slice::from_ref(&self.path);
        change_all(session, screen, "setTtl", paths, change, done).await
    }
}

fn time_to_live(text: &str) -> Result<Duration, CliError> {
    parse_duration(text).ok_or_else(|| CliError::BadArgument {
        what: "time to live",
        value: text.to_owned(),
        expected: "a duration like 60000 (ms), 30s, 5min, 1h (unsetTtl takes it away)".to_owned(),
    })
}

/// `unsetTtl PATH…`
#[derive(Debug, Clone, clap::Args)]
pub struct UnsetTtl {
    /// Paths, may have wildcards
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl UnsetTtl {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        let change = SetAttributeOptions {
            recursive: true,
            ttl: Some(None),
            ..SetAttributeOptions::default()
        };
        let done = |path: &AlluxioPath| format!("TTL of path '{path}' was successfully removed.");
        change_all(session, screen, "unsetTtl", &self.paths, change, done).await
    }
}

/// The same change on every path.
async fn change_all(
    session: &Session,
    screen: &Screen,
    op: &str,
    paths: &[String],
    change: SetAttributeOptions,
    done: impl Fn(&AlluxioPath) -> String,
) -> Result<(), CliError> {
    session
        .each(screen, paths, async |path| {
            let result = session.fs()?.set_attribute(&path, &change).await;
            result.map_err(|error| CliError::cluster(format!("{op} {path}"), &error))?;
            screen.done(done(&path), op, path.as_str())
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_times_are_checked_before_anything_is_sent() {
        assert_eq!(limit(-1, Some(3)).unwrap(), None);
        assert_eq!(limit(3, Some(3)).unwrap(), Some(3));
        assert!(limit(2, Some(3)).is_err());
        assert!(limit(-2, None).is_err());
        assert_eq!(time_to_live("5min").unwrap(), Duration::from_secs(300));
        assert!(time_to_live("-1").unwrap_err().to_string().contains("unsetTtl"));
    }
}
