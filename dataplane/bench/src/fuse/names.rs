//! Names and attributes through the mount.

use super::mounted::{Mounted, Null};
use crate::cluster::Cluster;
use crate::command::Shared;
use crate::data::{delete, path, write_file};
use crate::measure::{Series, Target, Unit, median};
use crate::metadata::{cached_files, remove};
use alluxio_types::WriteType;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Calls of one round.
const STATS: usize = 100_000;
const LOOKUPS: usize = 5_000;
/// Names of the listing.
const ENTRIES: usize = 10_000;
const LONG: Duration = Duration::from_secs(600);
const OPTIONS: &str = "attr_timeout=600,entry_timeout=600";

/// Calls of `stat` a second.
fn stats(file: &Path) -> Result<f64> {
    let started = Instant::now();
    for _ in 0..STATS {
        std::fs::symlink_metadata(file)?;
    }
    Ok(STATS as f64 / started.elapsed().as_secs_f64())
}

/// The median time of one `stat`.
fn stat_seconds(files: impl Iterator<Item = PathBuf>) -> Result<f64> {
    let mut times = Vec::with_capacity(LOOKUPS);
    for file in files {
        let started = Instant::now();
        std::fs::symlink_metadata(file)?;
        times.push(started.elapsed().as_secs_f64());
    }
    Ok(median(times))
}

/// `stat` of a file that the kernel knows.
pub(super) async fn stat(shared: &Shared) -> Result<()> {
    let cluster = Cluster::find_or_start(shared, 256 << 20).await?;
    shared.note(&format!("names on a mount of {}", cluster.describe()));
    let fs = cluster.connect()?;
    let path = path("fuse-stat")?;
    write_file(&fs, &path, 1, WriteType::MustCache).await?;
    let mut known = Series::new("fuse", "stat, cached", Unit::OpsPerSecond, "null file system")
        .target(Target::Ratio(0.9));
    let (mounted, null) = (Mounted::start(&cluster, OPTIONS)?, Null::start(LONG)?);
    for _ in 0..shared.rounds {
        known.round(stats(&mounted.at(&path))?, stats(&null.file())?);
    }
    drop(mounted);
    delete(&fs, &path).await?;
    known.report(shared);
    Ok(())
}

/// A large directory that the kernel knows nothing of: `stat` of each name, and `ls -l`.
pub(super) async fn list(shared: &Shared) -> Result<()> {
    let cluster = Cluster::find_or_start(shared, 256 << 20).await?;
    let fs = cluster.connect()?;
    let base = path("fuse-list")?;
    fs.create_directory(&base, &Default::default()).await?;
    let worker = fs.workers(false).await?.first().map_or(0, |worker| worker.id.0);
    cached_files(&cluster, worker, &base, ENTRIES).await?;
    let mut asked = Series::new("fuse", "stat, uncached", Unit::Seconds, "null file system")
        .target(Target::AtMost(80e-6));
    let mut listed =
        Series::new("fuse", "ls -l of 10 000 names", Unit::Seconds, "the same in memory")
            .target(Target::AtMost(0.060));
    let null = Null::start(Duration::ZERO)?;
    let plain = plain_names()?;
    for round in 0..=shared.rounds {
        let mounted = Mounted::start(&cluster, OPTIONS)?;
        let directory = mounted.at(&base);
        let file = |index: usize| directory.join(format!("file-{index:010}"));
        // After that the way to the names is known, and the names are not.
        std::fs::symlink_metadata(file(LOOKUPS))?;
        let took = stat_seconds((0..LOOKUPS).map(file))?;
        let limit = stat_seconds(std::iter::repeat_n(null.file(), LOOKUPS))?;
        drop(mounted);
        let mounted = Mounted::start(&cluster, OPTIONS)?;
        let all = ls_seconds(&mounted.at(&base))?;
        // The first round warms up the master.
        if round > 0 {
            asked.round(took, limit);
            listed.round(all, ls_seconds(plain.path())?);
        }
    }
    remove(&fs, &base).await?;
    asked.report(shared);
    listed.report(shared);
    Ok(())
}

/// As many names in memory, if there is such a folder.
fn plain_names() -> Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix("alluxio-bench-");
    let dir = builder.tempdir_in("/dev/shm").or_else(|_| builder.tempdir())?;
    for index in 0..ENTRIES {
        std::fs::write(dir.path().join(format!("file-{index:010}")), b"")?;
    }
    Ok(dir)
}

fn ls_seconds(directory: &Path) -> Result<f64> {
    let started = Instant::now();
    let mut command = Command::new("ls");
    // Numbers: who users are is not what is measured.
    command.args(["-l", "-n"]).arg(directory).stderr(Stdio::inherit());
    let output = command.output().context("cannot run ls")?;
    let took = started.elapsed().as_secs_f64();
    let lines = output.stdout.iter().filter(|byte| **byte == b'\n').count();
    ensure!(lines == ENTRIES + 1, "{lines} lines for {ENTRIES} names");
    Ok(took)
}
