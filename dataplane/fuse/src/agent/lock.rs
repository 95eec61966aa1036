//! One agent for one folder of sessions.

use super::{AgentError, remote};
use crate::lockfile::{LockError, LockFile};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long an old agent may take to give way, besides the time it waits for answers.
const GIVE_WAY_WITHIN: Duration = Duration::from_secs(3);
/// How long the end of a killed process may take.
const DIE_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(5);

async fn wait_for(path: &Path, within: Duration) -> Result<LockFile, LockError> {
    let until = Instant::now() + within;
    loop {
        match LockFile::take(path) {
            Err(LockError::Held { .. }) if Instant::now() < until => {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            other => return other,
        }
    }
}

/// Takes the lock. Who holds it is asked to give way; one that does not, and that we can see, is killed.
///
/// **Errors**: `Locked`.
pub(crate) async fn take(
    path: &Path,
    socket: &Path,
    drain: Duration,
) -> Result<LockFile, AgentError> {
    match LockFile::take(path) {
        Err(LockError::Held { holder, .. }) => {
            tracing::info!(holder, "asking an agent to give way")
        }
        other => return Ok(other?),
    }
    // One that was just killed holds it until the kernel has torn it down.
    if let Ok(lock) = wait_for(path, Duration::from_millis(200)).await {
        return Ok(lock);
    }
    let asked = tokio::time::timeout(drain + GIVE_WAY_WITHIN, remote::hand_over(socket)).await;
    match asked {
        Ok(Ok(())) => tracing::info!("the old agent has given way"),
        Ok(Err(error)) => tracing::warn!(%error, "the old agent cannot be asked"),
        Err(_) => tracing::warn!("the old agent does not answer"),
    }
    match wait_for(path, GIVE_WAY_WITHIN).await {
        Ok(lock) => return Ok(lock),
        Err(error) => {
            let Some(pid) = remote::process_of(socket) else { return Err(error.into()) };
            tracing::warn!(pid = pid.as_raw_nonzero(), "the old agent hangs; it is killed");
            let killed = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            if let Err(error) = killed {
                tracing::warn!(%error, "it cannot be killed");
            }
        }
    }
    Ok(wait_for(path, DIE_WITHIN).await?)
}
