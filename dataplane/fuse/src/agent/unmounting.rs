//! Taking mounts away in processes that may hang, so that nothing else does.

use super::AgentError;
use crate::keeper::Key;
use crate::mount::{self, Unmount};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How often a process that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// Dead mounts that are taken away from one place. More would be somebody else's.
const LAYERS_MAX: usize = 8;

/// What runs `alluxio fuse unmount`: this very binary, also when its file was replaced.
pub(crate) fn own_program() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}

/// Unmounts in a process of its own, for at most `within`.
///
/// **Errors**: `InUse`, `Timeout`; the process is left behind then.
pub(crate) fn unmount(
    program: &Path,
    key: &Key,
    path: &Path,
    how: Unmount,
    within: Duration,
) -> Result<(), AgentError> {
    let failed = |source| AgentError::Io { path: program.to_owned(), source };
    let mut command = Command::new(program);
    command.args(["fuse", "unmount", "--here"]);
    command.args(match how {
        Unmount::Idle => None,
        Unmount::Lazy => Some("--lazy"),
        Unmount::Force => Some("--force"),
    });
    command.arg("--").arg(path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(failed)?;
    let begun = Instant::now();
    loop {
        match child.try_wait().map_err(failed)? {
            Some(status) if status.success() => return Ok(()),
            Some(_) => return Err(AgentError::InUse { key: key.clone() }),
            None if begun.elapsed() > within => {
                let _ = child.kill();
                // It may not even die; somebody has to take note when it does.
                std::thread::spawn(move || child.wait());
                return Err(AgentError::Timeout { path: path.to_owned() });
            }
            None => std::thread::sleep(LOOK_EVERY),
        }
    }
}

/// Takes away whatever of ours is mounted at a place, dead or alive. What cannot be taken away is mounted
/// over by who comes next.
pub(crate) fn clear(program: &Path, key: &Key, path: &Path, within: Duration) {
    for _ in 0..LAYERS_MAX {
        if mount::row_of(path).is_none() {
            return;
        }
        if let Err(error) = unmount(program, key, path, Unmount::Lazy, within) {
            return tracing::warn!(%key, %error, "a dead mount stays below its successor");
        }
    }
}
