//! A mount of a cluster, and one of the null file system.

use crate::cluster::Cluster;
use alluxio_fuse::mount::{self, Unmount};
use alluxio_fuse::null::NullFileSystem;
use alluxio_fuse::{Connection, Options, Session, Wish};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// Threads of the null file system: as many as the mount that is measured has.
const NULL_THREADS: usize = 2;

/// The root of a cluster at a mount point, served by a process of its own; taken away when dropped.
pub(crate) struct Mounted {
    child: Child,
    point: TempDir,
}

impl Mounted {
    /// Mounts with words as after `-o`.
    ///
    /// **Errors**: whatever the process of the mount says.
    pub(crate) fn start(cluster: &Cluster, options: &str) -> Result<Mounted> {
        let point = tempfile::Builder::new().prefix("alluxio-bench-").tempdir()?;
        let mut command = cluster.command()?;
        command.args(["fuse", "mount", "--foreground", "--report", "-o", options, "--", "/"]);
        let mut child = command
            .arg(point.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start the process of the mount")?;
        let mut said = String::new();
        let output = child.stdout.take().context("the output of the mount's process")?;
        BufReader::new(output).read_line(&mut said)?;
        let mounted = Mounted { child, point };
        match said.trim() {
            "ready" => Ok(mounted),
            other => bail!("no mount: {}", other.trim_start_matches("error ")),
        }
    }

    /// Where a path of the namespace is.
    pub(crate) fn at(&self, path: &alluxio_types::AlluxioPath) -> PathBuf {
        self.point.path().join(path.as_str().trim_start_matches('/'))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Not mounted is as good: then it never was.
        let _ = mount::unmount(self.point.path(), Unmount::Lazy);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One empty file, `f`, served by this process without any work: what the kernel itself costs.
pub(crate) struct Null {
    point: TempDir,
    session: Option<Session>,
}

impl Null {
    /// Names and attributes are believed for `valid`.
    pub(crate) fn start(valid: Duration) -> Result<Null> {
        let point = tempfile::Builder::new().prefix("alluxio-bench-").tempdir()?;
        let mounted = mount::mount(point.path(), &Options::default())?;
        let mut null = Null { point, session: None };
        let mut connection = Connection::begin(mounted.device, &Wish::default())?;
        connection.add_clones(NULL_THREADS)?;
        let filesystem = Arc::new(NullFileSystem { valid });
        null.session = Some(connection.run(filesystem, 4 * NULL_THREADS)?);
        Ok(null)
    }

    /// The file.
    pub(crate) fn file(&self) -> PathBuf {
        Path::join(self.point.path(), "f")
    }
}

impl Drop for Null {
    fn drop(&mut self) {
        let _ = mount::unmount(self.point.path(), Unmount::Force);
        if let Some(session) = self.session.take() {
            session.wait();
        }
    }
}
