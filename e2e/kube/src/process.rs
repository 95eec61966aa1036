//! Processes of a cluster.

use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Starts `command` with its output in a file. It is out of reach of the terminal's Ctrl-C.
pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Child> {
    let file = File::options().create(true).append(true).open(log);
    let file = file.with_context(|| format!("cannot write {}", log.display()))?;
    let copy = file.try_clone()?;
    command.stdout(file).stderr(copy).process_group(0);
    command.spawn().with_context(|| format!("cannot run {command:?}"))
}

/// The same for one that nobody waits for, and that asks nothing.
pub(crate) fn start_alone(command: &mut Command, log: &Path) -> Result<u32> {
    Ok(start(command.stdin(Stdio::null()), log)?.id())
}

/// Runs a command and gives what it printed.
///
/// **Errors**: with what it said, when it fails.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{:?} failed ({}): {}", command.get_program(), output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Waits until `ready` yields something.
///
/// **Errors**: after `limit`, with the end of `log`.
pub(crate) fn wait_for<T>(
    what: &str,
    limit: Duration,
    log: &Path,
    mut ready: impl FnMut() -> Option<T>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = ready() {
            return Ok(value);
        }
        if start.elapsed() > limit {
            bail!(
                "waited {} s for {what}; the end of {}:\n{}",
                limit.as_secs(),
                log.display(),
                tail(log)
            );
        }
        // Polling: nothing tells from outside that a server is ready.
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// A process that can be told from a later one with the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Its id.
    pub(crate) id: u32,
    /// When it started, in ticks since the machine did.
    pub(crate) started: u64,
}

impl Identity {
    /// The process with this id, if there is one.
    pub(crate) fn of(id: u32) -> Option<Identity> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name in parentheses may hold anything; what follows it is numbers.
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        // A dead one whose parent has not looked yet is gone for us.
        if fields.first() == Some(&"Z") {
            return None;
        }
        Some(Identity { id, started: fields.get(19)?.parse().ok()? })
    }

    /// Whether it still runs.
    pub(crate) fn runs(self) -> bool {
        Identity::of(self.id) == Some(self)
    }

    /// Ends it at once, if it still runs.
    pub(crate) fn kill(self) {
        if self.runs() {
            // It may have ended meanwhile; then there is nothing to do.
            let _ = Command::new("kill").args(["-9", &self.id.to_string()]).status();
        }
    }
}

/// The only child of a process.
pub(crate) fn child_of(id: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_until_it_ends() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let identity = Identity::of(child.id()).unwrap();
        assert!(identity.runs());
        assert!(!Identity { started: identity.started + 1, ..identity }.runs());
        Identity { started: identity.started + 1, ..identity }.kill();
        assert!(child.try_wait().unwrap().is_none(), "another process is left alone");
        identity.kill();
        child.wait().unwrap();
        assert!(!identity.runs());
    }
}
