//! The agent on the command line: serving, and being asked by `mount`, `unmount` and `stat`.

use super::{remote, run};
use crate::mount;
use alluxio_config::{Config, FuseConfig};
use alluxio_proto::v1::agent as proto;
use alluxio_telemetry::{LogTarget, trace};
use alluxio_types::AlluxioPath;
use proto::fuse_agent_client::FuseAgentClient;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::runtime::Runtime;
use tonic::transport::Channel;
use tonic::{Response, Status};

/// How sessions are called that `alluxio fuse mount` opens.
const KEY_PREFIX: &str = "mount-";
/// How long opening and closing may take; both have limits of their own inside.
const CHANGE_WITHIN: Duration = Duration::from_secs(60);
/// How long a list may take: nobody is asked for it.
const LIST_WITHIN: Duration = Duration::from_secs(2);

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Runs `alluxio fuse agent`.
pub(crate) fn serve(config: Config, log: Option<&str>) -> Result<(), String> {
    let general = config.general().map_err(words)?;
    let log = trace::install(&general, LogTarget::Server, log).map_err(words)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(words)?;
    let outcome = runtime.block_on(run::run(config, log)).map_err(words);
    // Requests that are still under way belong to the next agent.
    runtime.shutdown_background();
    outcome
}

/// An agent that answers.
pub(crate) struct Remote {
    runtime: Runtime,
    client: FuseAgentClient<Channel>,
}

impl Remote {
    /// The agent that is configured, if it answers.
    pub(crate) fn find(fuse: &FuseConfig) -> Result<Option<Self>, String> {
        let Some(socket) = &fuse.agent_socket else { return Ok(None) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(words)?;
        let client = runtime.block_on(remote::connect(socket)).ok();
        Ok(client.map(|client| Remote { runtime, client }))
    }

    fn ask<T>(
        &self,
        within: Duration,
        ask: impl AsyncFnOnce(FuseAgentClient<Channel>) -> Result<Response<T>, Status>,
    ) -> Result<T, String> {
        let client = self.client.clone();
        let asked =
            self.runtime.block_on(async { tokio::time::timeout(within, ask(client)).await });
        let answer = asked.map_err(|_| "the agent does not answer in time".to_owned())?;
        Ok(answer.map_err(|status| status.message().to_owned())?.into_inner())
    }

    /// Opens a session and shows it at a mount point. Returns what to say.
    pub(crate) fn mount(
        &self,
        path: &AlluxioPath,
        point: &Path,
        options: &[String],
    ) -> Result<String, String> {
        let nonempty = options.iter().any(|words| words.split(',').any(|word| word == "nonempty"));
        let point = mount::check_place(point, nonempty).map_err(words)?;
        let key = key_of(&point);
        let spec = proto::SessionSpec { path: path.to_string(), options: options.to_vec() };
        let request = proto::OpenSessionRequest { key: key.clone(), spec: Some(spec) };
        let open = async |mut client: FuseAgentClient<Channel>| client.open_session(request).await;
        let session = self.ask(CHANGE_WITHIN, open)?;
        if let Err(error) = mount::bind(Path::new(&session.mount_point), &point) {
            self.close(&key, false)?;
            return Err(error.to_string());
        }
        Ok(format!("{path} is mounted at {} (session {key})", point.display()))
    }

    fn close(&self, key: &str, lazy: bool) -> Result<(), String> {
        let request = proto::CloseSessionRequest { key: key.to_owned(), lazy };
        let close =
            async |mut client: FuseAgentClient<Channel>| client.close_session(request).await;
        self.ask(CHANGE_WITHIN, close).map(drop)
    }

    fn sessions(&self) -> Result<proto::ListSessionsReply, String> {
        let list = async |mut client: FuseAgentClient<Channel>| {
            client.list_sessions(proto::ListSessionsRequest {}).await
        };
        self.ask(LIST_WITHIN, list)
    }

    /// Closes the session of a device whose mount point was taken away, if nobody else shows it.
    pub(crate) fn release(&self, device: &str, lazy: bool) -> Result<(), String> {
        let rows = mount::table().map_err(words)?;
        let sessions = self.sessions()?.sessions;
        let is_it = |session: &&proto::Session| session.key.starts_with(KEY_PREFIX);
        for session in sessions.iter().filter(is_it) {
            if is_left_alone(device, Path::new(&session.mount_point), &rows) {
                self.close(&session.key, lazy)?;
            }
        }
        Ok(())
    }

    /// A line for the agent, and one for each session.
    pub(crate) fn lines(&self) -> Result<Vec<String>, String> {
        let list = self.sessions()?;
        let mut lines = vec![format!("agent {}, {} sessions", list.version, list.sessions.len())];
        for session in list.sessions {
            let spec = session.spec.unwrap_or_default();
            let state = match session.state == i32::from(proto::SessionState::Serving) {
                true => "serving".to_owned(),
                false => format!("dead ({})", session.reason),
            };
            let resumed = match session.resumed {
                0 => String::new(),
                count => format!(", resumed {count} times, last {}", ago(session.resumed_ms)),
            };
            let (key, at) = (session.key, session.mount_point);
            lines.push(format!("session {key}: {} at {at}: {state}{resumed}", spec.path));
        }
        Ok(lines)
    }
}

/// Whether a session that is mounted at its `own` place is of a device, and shown nowhere else. The table is asked, not
/// the session: numbers of devices that are gone are given again.
fn is_left_alone(device: &str, own: &Path, rows: &[mount::TableRow]) -> bool {
    let mut shown = rows.iter().filter(|row| row.device == device).map(|row| row.path.as_path());
    shown.next() == Some(own) && shown.next().is_none()
}

fn ago(ms: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{} s ago", now.saturating_sub(Duration::from_millis(ms)).as_secs())
}

/// The key of the session that is shown at a mount point: FNV-1a of its path.
fn key_of(point: &Path) -> String {
    let hash = point.as_os_str().as_bytes().iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{KEY_PREFIX}{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_left_alone_when_only_its_own_place_shows_its_device() {
        let row = |path: &str, device: &str| mount::TableRow {
            path: path.into(),
            source: "alluxio:/".into(),
            device: device.into(),
            options: "rw".into(),
        };
        let own = Path::new("/s/mnt");
        let rows = [row("/s/mnt", "0:5"), row("/other", "0:6")];
        assert!(is_left_alone("0:5", own, &rows));
        assert!(!is_left_alone("0:6", own, &rows), "its number was given again");
        assert!(!is_left_alone("0:7", own, &rows));
        let rows = [row("/s/mnt", "0:5"), row("/mnt", "0:5")];
        assert!(!is_left_alone("0:5", own, &rows), "somebody shows it");
    }

    #[test]
    fn a_mount_point_has_one_key_for_ever() {
        assert_eq!(key_of(Path::new("a")), "mount-af63dc4c8601ec8c");
        assert!(key_of(Path::new("/mnt/a")).parse::<crate::keeper::Key>().is_ok());
    }
}
