//! Names and attributes through the mount.

use super::mounted::{Mounted, Null};
use crate::cluster::Cluster;
use crate::command::Shared;
use crate::data::{delete, path, write_file};
use crate::measure::{Series, Target, Unit, median};
use crate::metadata::{cached_files, remove};
use alluxio_types::WriteType;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Calls of one round.
const STATS: usize = 100_000;
const LOOKUPS: usize = 5_000;
/// Names of the listing.
const ENTRIES: usize = 10_000;
const LONG: Duration = Duration::from_secs(600);

/// Calls of `stat` a second.
fn stats(file: &Path) -> Result<f64> {
    let started = Instant::now();
    for _ in 0..STATS {
        std::fs::symlink_metadata(file)?;
    }
    Ok(STATS as f64 / started.elapsed().as_secs_f64())
}

/// The median time of one `stat` for which the kernel asks the server.
fn lookup_seconds(file: &Path) -> Result<f64> {
    let mut times = Vec::with_capacity(LOOKUPS);
    for _ in 0..LOOKUPS {
        let started = Instant::now();
        std::fs::symlink_metadata(file)?;
        times.push(started.elapsed().as_secs_f64());
    }
    Ok(median(times))
}

/// `stat` of one file: known to the kernel, and not.
pub(super) async fn stat(shared: &Shared) -> Result<()> {
    let cluster = Cluster::find_or_start(shared, 256 << 20).await?;
    shared.note(&format!("names on a mount of {}", cluster.describe()));
    let fs = cluster.connect()?;
    let path = path("fuse-stat")?;
    write_file(&fs, &path, 1, WriteType::MustCache).await?;
    let mut known = Series::new("fuse", "stat, cached", Unit::OpsPerSecond, "null file system")
        .target(Target::Ratio(0.9));
    let mut asked = Series::new("fuse", "stat, uncached", Unit::Seconds, "null file system")
        .target(Target::AtMost(80e-6));
    {
        let (mounted, null) =
            (Mounted::start(&cluster, "attr_timeout=600,entry_timeout=600")?, Null::start(LONG)?);
        for _ in 0..shared.rounds {
            known.round(stats(&mounted.at(&path))?, stats(&null.file())?);
        }
    }
    let (mounted, null) =
        (Mounted::start(&cluster, "attr_timeout=0,entry_timeout=0")?, Null::start(Duration::ZERO)?);
    for _ in 0..shared.rounds {
        asked.round(lookup_seconds(&mounted.at(&path))?, lookup_seconds(&null.file())?);
    }
    drop(mounted);
    delete(&fs, &path).await?;
    known.report(shared);
    asked.report(shared);
    Ok(())
}

/// `ls -l` of a large directory that the kernel knows nothing of.
pub(super) async fn list(shared: &Shared) -> Result<()> {
    let cluster = Cluster::find_or_start(shared, 256 << 20).await?;
    let fs = cluster.connect()?;
    let base = path("fuse-list")?;
    fs.create_directory(&base, &Default::default()).await?;
    let worker = fs.workers(false).await?.first().map_or(0, |worker| worker.id.0);
    cached_files(&cluster, worker, &base, ENTRIES).await?;
    let mut series = Series::new("fuse", "ls -l of 10 000 names", Unit::Seconds, "")
        .target(Target::AtMost(0.060));
    for round in 0..=shared.rounds {
        let mounted = Mounted::start(&cluster, "attr_timeout=600,entry_timeout=600")?;
        let started = Instant::now();
        let mut command = Command::new("ls");
        // Numbers: who users are is not what is measured.
        command.args(["-l", "-n"]).arg(mounted.at(&base)).stderr(Stdio::inherit());
        let output = command.output().context("cannot run ls")?;
        let took = started.elapsed().as_secs_f64();
        let lines = output.stdout.iter().filter(|byte| **byte == b'\n').count();
        ensure!(lines == ENTRIES + 1, "{lines} lines for {ENTRIES} names");
        // The first round warms up the master.
        if round > 0 {
            series.alone(took);
        }
    }
    remove(&fs, &base).await?;
    series.report(shared);
    Ok(())
}
