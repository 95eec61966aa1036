//! `quota set`, `quota get`, `quota clear`.

use crate::connect::Session;
use crate::error::CliError;
use crate::screen::Screen;
use crate::view::quota;
use alluxio_client::SetQuotaOptions;
use alluxio_types::{AlluxioPath, ByteSize, Quota as Bounds, QuotaStatus, QuotaUsage};

/// What is done to quotas.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Quota {
    /// Bound the bytes, or the files and directories, that may be in directories (superuser only)
    Set(Set),
    /// Show the quotas that paths count at, and how much of them is used
    Get(Get),
    /// Take quotas away (superuser only)
    Clear(Clear),
}

impl Quota {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        match self {
            Quota::Set(c) => c.run(session, screen).await,
            Quota::Get(c) => c.run(session, screen).await,
            Quota::Clear(c) => c.run(session, screen).await,
        }
    }
}

/// `quota set PATH…`
#[derive(Debug, Clone, clap::Args)]
#[command(group = clap::ArgGroup::new("bound").required(true).multiple(true))]
pub struct Set {
    /// Space quota: most bytes of files, like 500MB or 2TB; copies in the cache do not count
    #[arg(long, visible_alias = "bytes", value_name = "SIZE", value_parser = size, group = "bound")]
    space: Option<u64>,
    /// Name quota: most files, links and directories, the directory itself included
    #[arg(long, visible_alias = "inodes", value_name = "COUNT", group = "bound",
          value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    names: Option<u64>,
    /// Directories, may have wildcards
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl Set {
    async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        let options = SetQuotaOptions { bytes: self.space.map(Some), inodes: self.names.map(Some) };
        change(session, screen, &self.paths, options, "quota set", "Set the quota of").await
    }
}

/// `quota clear PATH…`
#[derive(Debug, Clone, clap::Args)]
pub struct Clear {
    /// The space quota only
    #[arg(long, visible_alias = "bytes")]
    space: bool,
    /// The name quota only
    #[arg(long, visible_alias = "inodes")]
    names: bool,
    /// Directories, may have wildcards
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl Clear {
    async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        let both = self.space == self.names;
        let options = SetQuotaOptions {
            bytes: (both || self.space).then_some(None),
            inodes: (both || self.names).then_some(None),
        };
        change(session, screen, &self.paths, options, "quota clear", "Cleared the quota of").await
    }
}

async fn change(
    session: &Session,
    screen: &Screen,
    paths: &[String],
    options: SetQuotaOptions,
    op: &str,
    done: &str,
) -> Result<(), CliError> {
    session
        .each(screen, paths, async |path| {
            let set = session.fs()?.set_quota(&path, &options).await;
            set.map_err(|error| CliError::cluster(format!("{op} {path}"), &error))?;
            screen.done(format!("{done} {path}"), op, path.as_str())
        })
        .await
}

/// `quota get PATH…`
#[derive(Debug, Clone, clap::Args)]
pub struct Get {
    /// Sizes for people
    #[arg(short = 'h', long)]
    human: bool,
    /// Paths, may have wildcards
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl Get {
    async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        if !screen.json {
            screen.line(quota::HEADER)?;
        }
        session.each(screen, &self.paths, async |path| self.show(session, screen, path).await).await
    }

    async fn show(
        &self,
        session: &Session,
        screen: &Screen,
        path: AlluxioPath,
    ) -> Result<(), CliError> {
        let quotas = session.fs()?.quotas(&path).await;
        let mut quotas =
            quotas.map_err(|error| CliError::cluster(format!("quota get {path}"), &error))?;
        if quotas.is_empty() {
            // Nobody counts where nothing is bounded.
            let (quota, usage) = (Bounds::default(), QuotaUsage::default());
            quotas.push(QuotaStatus { path, quota, usage });
        }
        quotas
            .iter()
            .try_for_each(|row| screen.either(|| quota::json(row), || quota::row(row, self.human)))
    }
}

fn size(text: &str) -> Result<u64, String> {
    let size = ByteSize::parse(text).filter(|size| i64::try_from(size.0).is_ok());
    let size = size.ok_or("expected a number of bytes like 100, 500MB or 2TB")?;
    Ok(size.0)
}
