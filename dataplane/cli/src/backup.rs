//! `fsadmin backup`.

use crate::connect::Session;
use crate::error::CliError;
use crate::screen::Screen;
use alluxio_client::{BackupPlace, BackupState, BackupStatus, ClientError};
use serde_json::{Value, json};
use std::time::Duration;

/// How often the master is asked how far it is: a person sees the number move.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// `fsadmin backup [DIR] [--local] [--status]`
#[derive(Debug, Clone, clap::Args)]
pub struct Backup {
    /// Directory in the root under store, or a URI; alluxio.master.backup.directory when not given
    directory: Option<String>,
    /// The directory is one of the master's machine
    #[arg(long)]
    local: bool,
    /// The primary may write it when there is no standby; it never stops serving, so it always may
    #[arg(long)]
    allow_leader: bool,
    /// The primary writes it although there is a standby
    #[arg(long)]
    bypass_delegation: bool,
    /// Begin none; show the one that runs, or ran last
    #[arg(long, conflicts_with_all = ["directory", "local", "allow_leader", "bypass_delegation"])]
    status: bool,
}

impl Backup {
    /// Takes a backup and waits until it is there.
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        let fs = session.fs()?;
        let failed = |error: ClientError| CliError::cluster("the backup was not taken", &error);
        if self.status {
            let status = fs.backup_status("").await;
            return show(
                &status.map_err(|e| CliError::cluster("cannot ask the master", &e))?,
                screen,
            );
        }
        let place = BackupPlace {
            directory: self.directory.clone().unwrap_or_default(),
            local: self.local,
            allow_leader: self.allow_leader,
            bypass_delegation: self.bypass_delegation,
        };
        let mut status = fs.backup(&place).await.map_err(failed)?;
        let mut said = None;
        loop {
            match status.state {
                BackupState::Completed => return show(&status, screen),
                BackupState::Failed => return Err(refused(&status)),
                _ => {}
            }
            let now = (status.state, status.entries);
            if said != Some(now) {
                screen.note(progress(&status));
                said = Some(now);
            }
            tokio::time::sleep(ASK_EVERY).await;
            status = fs.backup_status(&status.id).await.map_err(failed)?;
        }
    }
}

fn refused(status: &BackupStatus) -> CliError {
    let why = status.error.as_deref().unwrap_or("the master does not say why");
    CliError::Refused { message: format!("the backup to {} failed: {why}", status.uri) }
}

fn name(state: BackupState) -> &'static str {
    match state {
        BackupState::None => "None",
        BackupState::Initiating => "Initiating",
        BackupState::Transitioning => "Transitioning",
        BackupState::Running => "Running",
        BackupState::Completed => "Completed",
        BackupState::Failed => "Failed",
    }
}

fn progress(status: &BackupStatus) -> String {
    format!("Backup state: {} | Entries processed: {}", name(status.state), status.entries)
}

/// What is known of a backup.
fn show(status: &BackupStatus, screen: &Screen) -> Result<(), CliError> {
    if screen.json {
        return screen.value(&as_json(status));
    }
    screen.line(progress(status))?;
    if status.state == BackupState::None {
        return Ok(());
    }
    screen.line(format!("Backup Host        : {}", status.host))?;
    screen.line(format!("Backup URI         : {}", status.uri))?;
    screen.line(format!("Backup Entry Count : {}", status.entries))?;
    if status.sequence > 0 {
        screen.line(format!("Backup Sequence    : {}", status.sequence))?;
    }
    screen.line(format!("Backup Duration    : {} ms", status.duration.as_millis()))?;
    match &status.error {
        Some(error) => screen.line(format!("Backup Error       : {error}")),
        None => Ok(()),
    }
}

fn as_json(status: &BackupStatus) -> Value {
    json!({
        "op": "backup", "id": status.id, "state": name(status.state), "host": status.host,
        "uri": status.uri, "entries": status.entries, "startTimeMs": status.started.0,
        "durationMs": status.duration.as_millis() as u64, "error": status.error,
        "sequence": status.sequence, "stateHash": format!("{:016x}", status.state_hash),
    })
}
