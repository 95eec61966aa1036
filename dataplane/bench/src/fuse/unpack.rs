//! Unpacking an archive of many small files on the mount.

use super::mounted::Mounted;
use crate::cluster::Cluster;
use crate::command::Shared;
use crate::data::path;
use crate::measure::{Series, Target, Unit};
use crate::metadata::remove;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Files of the archive, and directories that they lie in.
const FILES: usize = 5_000;
const DIRECTORIES: usize = 50;
/// Bytes of a file: a source file, a small picture.
const FILE_BYTES: usize = 4096;

/// Makes the archive.
fn pack(dir: &Path) -> Result<()> {
    let tree = dir.join("tree");
    for number in 0..FILES {
        let parent = tree.join(format!("d{}", number % DIRECTORIES));
        std::fs::create_dir_all(&parent)?;
        std::fs::write(parent.join(format!("f{number}")), vec![number as u8; FILE_BYTES])?;
    }
    let mut command = Command::new("tar");
    command.arg("-cf").arg(dir.join("tar")).arg("-C").arg(dir).arg("tree");
    let status = command.status().context("cannot run tar")?;
    ensure!(status.success(), "tar cannot pack");
    Ok(())
}

/// Files a second.
fn unpack_into(archive: &Path, target: &Path) -> Result<f64> {
    let started = Instant::now();
    let mut command = Command::new("tar");
    let status = command.arg("-xf").arg(archive).arg("-C").arg(target).status()?;
    let took = started.elapsed().as_secs_f64();
    ensure!(status.success(), "tar cannot unpack on the mount");
    Ok(FILES as f64 / took)
}

/// `tar x` on the mount.
pub(super) async fn unpack(shared: &Shared) -> Result<()> {
    let room = 4 * shared.rounds as u64 * (FILES * FILE_BYTES) as u64 * 4;
    let cluster = Cluster::find_or_start(shared, room + (256 << 20)).await?;
    let fs = cluster.connect()?;
    let scratch = tempfile::tempdir()?;
    pack(scratch.path())?;
    let archive = scratch.path().join("tar");
    let base = path("fuse-unpack")?;
    fs.create_directory(&base, &Default::default()).await?;
    let mut all = Vec::new();
    for (commit, least) in [("close", 1200.0), ("background", 5000.0)] {
        let name = format!("tar x, commit={commit}");
        let mut series = Series::new("fuse", name, Unit::OpsPerSecond, "the same beside it")
            .target(Target::AtLeast(least));
        let options = format!("attr_timeout=600,entry_timeout=600,commit={commit}");
        let mounted = Mounted::start(&cluster, &options)?;
        for round in 0..shared.rounds {
            let beside = scratch.path().join(format!("{commit}-{round}"));
            std::fs::create_dir(&beside)?;
            let target = base.join(&format!("{commit}-{round}"))?;
            fs.create_directory(&target, &Default::default()).await?;
            let rate = unpack_into(&archive, &mounted.at(&target))?;
            series.round(rate, unpack_into(&archive, &beside)?);
        }
        all.push(series);
    }
    remove(&fs, &base).await?;
    for series in all {
        series.report(shared);
    }
    Ok(())
}
