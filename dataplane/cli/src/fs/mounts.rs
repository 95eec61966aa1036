//! `mount`, `updateMount`, `unmount`.

use crate::connect::Session;
use crate::error::CliError;
use crate::screen::Screen;
use crate::target;
use crate::view::mount;
use alluxio_client::{MountOptions, UpdateMountOptions};
use serde_json::json;
use std::collections::BTreeMap;

/// `mount [PATH UFS]`
#[derive(Debug, Clone, clap::Args)]
pub struct Mount {
    /// Refuse changes below it
    #[arg(long)]
    readonly: bool,
    /// Let everybody use it, whatever the store says of owners
    #[arg(long)]
    shared: bool,
    /// Replace what is mounted there
    #[arg(long)]
    remount: bool,
    /// Option of the store, may be given several times
    #[arg(long = "option", value_name = "KEY=VALUE")]
    options: Vec<String>,
    /// Where in the namespace; without it, all mounts are listed
    #[arg(requires = "ufs")]
    path: Option<String>,
    /// What: a URI, or an absolute path that every server can reach
    ufs: Option<String>,
}

impl Mount {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        let (Some(path), Some(ufs)) = (&self.path, &self.ufs) else {
            return list(session, screen).await;
        };
        let path = target::parse(path)?.path;
        let properties = pairs(&self.options)?;
        let failed = |error: alluxio_client::ClientError| {
            CliError::cluster(format!("mount {path} {ufs}"), &error)
        };
        let fs = session.fs()?;
        if self.remount {
            let unmounted = fs.unmount(&path).await;
            unmounted.map_err(|error| CliError::cluster(format!("unmount {path}"), &error))?;
        }
        let options = MountOptions { read_only: self.readonly, shared: self.shared, properties };
        fs.mount(&path, ufs, &options).await.map_err(failed)?;
        screen.either(
            || json!({"op": "mount", "path": path.as_str(), "ufsUri": ufs}),
            || format!("Mounted {ufs} at {path}"),
        )
    }
}

/// All mounts, one a line.
pub(crate) async fn list(session: &Session, screen: &Screen) -> Result<(), CliError> {
    let mounts = session.fs()?.get_mount_table(true).await;
    let mounts = mounts.map_err(|error| CliError::cluster("cannot list the mounts", &error))?;
    mounts.iter().try_for_each(|row| screen.either(|| mount::json(row), || mount::row(row)))
}

/// `updateMount PATH`
#[derive(Debug, Clone, clap::Args)]
pub struct UpdateMount {
    /// Refuse changes below it
    #[arg(long)]
    readonly: bool,
    /// Let everybody use it, whatever the store says of owners
    #[arg(long)]
    shared: bool,
    /// Option of the store, may be given several times; together they replace the old ones
    #[arg(long = "option", value_name = "KEY=VALUE")]
    options: Vec<String>,
    /// The mount point
    path: String,
}

impl UpdateMount {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        let path = target::parse(&self.path)?.path;
        let options = UpdateMountOptions {
            read_only: Some(self.readonly),
            shared: Some(self.shared),
            properties: pairs(&self.options)?,
        };
        let updated = session.fs()?.update_mount(&path, &options).await;
        updated.map_err(|error| CliError::cluster(format!("updateMount {path}"), &error))?;
        screen.done(format!("Updated mount point {path}"), "updateMount", path.as_str())
    }
}

/// `unmount PATH…`
#[derive(Debug, Clone, clap::Args)]
pub struct Unmount {
    /// Mount points, may have wildcards
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl Unmount {
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        session
            .each(screen, &self.paths, async |path| {
                let unmounted = session.fs()?.unmount(&path).await;
                unmounted.map_err(|error| CliError::cluster(format!("unmount {path}"), &error))?;
                screen.done(format!("Unmounted {path}"), "unmount", path.as_str())
            })
            .await
    }
}

/// `--option k=v`; a value may contain `=`.
fn pairs(options: &[String]) -> Result<BTreeMap<String, String>, CliError> {
    let mut out = BTreeMap::new();
    for option in options {
        match option.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                out.insert(key.to_owned(), value.to_owned());
            }
            // The value may be a secret: only what stands before it is shown, and here nothing does.
            _ => {
                return Err(CliError::Refused {
                    message: "--option: expected KEY=VALUE, like s3a.accessKeyId=ID".to_owned(),
                });
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_keep_their_equal_signs_and_faults_show_no_secret() {
        let got = pairs(&["a=b=c".to_owned(), "d=".to_owned()]).unwrap();
        assert_eq!(got, BTreeMap::from([("a".into(), "b=c".into()), ("d".into(), String::new())]));
        assert!(!pairs(&["hush".to_owned()]).unwrap_err().to_string().contains("hush"));
    }
}
