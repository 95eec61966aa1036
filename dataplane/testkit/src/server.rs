//! One server process of the built binary.

use crate::processes::bare_command;
use anyhow::{Context, bail, ensure};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Longest time to readiness on a loaded machine.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Longest time from SIGTERM to the end.
const END_WITHIN: Duration = Duration::from_secs(30);

/// A running server. Dropping it kills it, as `kill -9` does.
pub struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts `alluxio <role>` (one word or several) with that configuration folder and waits until it says that it is ready.
    /// Its log is appended to `log`.
    ///
    /// **Errors**: that it ended, with the end of its log; that it took too long.
    pub fn start(binary: &Path, role: &str, conf_dir: &Path, log: &Path) -> anyhow::Result<Self> {
        let out = File::options().create(true).append(true).open(log)?;
        let mut command = bare_command(binary, conf_dir);
        command.args(role.split(' ')).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(out.try_clone()?);
        let mut child = command.spawn().with_context(|| format!("{}", binary.display()))?;
        let stdout = child.stdout.take().context("standard output is piped")?;
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            let mut out = out;
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // A log that cannot be written is no reason to stop the server's output.
                let _ = writeln!(out, "{line}");
                if let Ok(value) = serde_json::from_str::<Value>(&line)
                    && value["message"].as_str().is_some_and(|text| text.ends_with("is ready"))
                {
                    // The one who waits may have given up.
                    let _ = sender.send(());
                }
            }
        });
        let mut server = Server { child, log: log.to_owned() };
        server.wait_ready(role, &receiver)?;
        Ok(server)
    }

    fn wait_ready(&mut self, role: &str, ready: &Receiver<()>) -> anyhow::Result<()> {
        match ready.recv_timeout(READY_WITHIN) {
            Ok(()) => Ok(()),
            Err(RecvTimeoutError::Timeout) => bail!("{role} is not ready in time: {}", self.tail()),
            // Its output ended, so it did too.
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.child.wait()?;
                bail!("{role} ended with {status}: {}", self.tail())
            }
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it in the middle of whatever it does (SIGKILL) and waits for its end.
    ///
    /// **Errors**: what the system says.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Freezes it (SIGSTOP): it answers nothing and does not know it.
    ///
    /// **Errors**: that the signal cannot be sent.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal("STOP")
    }

    /// Ends [`Server::pause`].
    ///
    /// **Errors**: that the signal cannot be sent.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal("CONT")
    }

    fn signal(&self, name: &str) -> anyhow::Result<()> {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args([&format!("-{name}"), &pid]).status()?;
        ensure!(told.success(), "kill -{name} {pid} ended with {told}");
        Ok(())
    }

    /// Asks it to stop (SIGTERM) and waits for its end.
    ///
    /// **Errors**: that it does not end in time.
    pub fn terminate(mut self) -> anyhow::Result<ExitStatus> {
        self.signal("TERM")?;
        let pid = self.child.id().to_string();
        let (sender, receiver) = channel();
        let asked = Instant::now();
        std::thread::scope(|scope| {
            let child = &mut self.child;
            scope.spawn(move || {
                // After the time, the main thread kills it, and this wait ends.
                let _ = sender.send(child.wait());
            });
            match receiver.recv_timeout(END_WITHIN) {
                Ok(status) => Ok(status?),
                Err(_) => {
                    let _ = Command::new("kill").args(["-KILL", &pid]).status();
                    bail!("process {pid} did not end within {:?}", asked.elapsed())
                }
            }
        })
    }

    /// The last lines of its log.
    pub fn tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
