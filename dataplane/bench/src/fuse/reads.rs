//! Reading through the mount: what the local worker has, and what another one has.

use super::mounted::Mounted;
use crate::cluster::Cluster;
use crate::command::Shared;
use crate::data::{delete, path, write_blocks, write_file};
use crate::limits::{CHUNK, Scratch, loopback, pread_all, pread_random};
use crate::measure::{Series, Target, Unit};
use alluxio_client::FileSystem;
use alluxio_host::{Entropy, SeededEntropy};
use alluxio_types::{AlluxioPath, WriteType};
use anyhow::{Result, ensure};
use rustix::fs::{Advice, fadvise};
use std::fs::File;

/// Bytes of the largest file, unless it was said.
const LARGE_BYTES: u64 = 4 << 30;
/// Bytes that one figure of sequential reads covers at least.
const PASS_BYTES_MIN: u64 = 1 << 30;
/// Bytes of one random read.
const RANDOM_BYTES: usize = 4096;
/// Random reads of one round.
const RANDOM_READS: usize = 100_000;
/// Names and attributes do not change here; every page that is read stays.
const OPTIONS: &str = "attr_timeout=600,entry_timeout=600";

/// The figures of one size of file.
struct Sized {
    path: AlluxioPath,
    bytes: u64,
    scratch: Scratch,
    first: Series,
    again: Series,
    random: Series,
}

fn shown(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= 1 << 30 => format!("{} GiB", bytes >> 30),
        bytes => format!("{} MiB", bytes >> 20),
    }
}

impl Sized {
    /// In blocks of the usual length, or in one.
    async fn write(
        cluster: &Cluster,
        fs: &FileSystem,
        bytes: u64,
        one_block: bool,
    ) -> Result<Sized> {
        let name = format!("fuse-{}-{one_block}", bytes >> 20);
        let path = path(&name)?;
        write_blocks(fs, &path, bytes, one_block.then_some(bytes), WriteType::MustCache).await?;
        let (scratch, _) = Scratch::write(cluster.tier(), &name, bytes)?;
        let series = |what: &str, unit| {
            let blocks = if one_block { "one block, " } else { "" };
            Series::new("fuse", format!("{}, {blocks}{what}", shown(bytes)), unit, "direct file")
        };
        Ok(Sized {
            path,
            bytes,
            scratch,
            first: series("first read", Unit::BytesPerSecond),
            again: series("read", Unit::BytesPerSecond).target(Target::Ratio(0.95)),
            random: series("4 KiB random", Unit::OpsPerSecond).target(Target::Ratio(0.85)),
        })
    }

    fn round(&mut self, mounted: &Mounted) -> Result<()> {
        let direct = self.scratch.open()?;
        let file = File::open(mounted.at(&self.path))?;
        ensure!(file.metadata()?.len() == self.bytes, "the file has another length on the mount");
        // What the kernel may have kept of an earlier round.
        fadvise(&file, 0, None, Advice::DontNeed)?;
        self.first.round(pread_all(&file, 1)?, pread_all(&direct, 1)?);
        let passes = PASS_BYTES_MIN.div_ceil(self.bytes) as usize;
        self.again.round(pread_all(&file, passes)?, pread_all(&direct, passes)?);
        let entropy = SeededEntropy::new(self.bytes);
        let pages = self.bytes / RANDOM_BYTES as u64;
        let offsets: Vec<u64> =
            (0..RANDOM_READS).map(|_| entropy.below(pages) * RANDOM_BYTES as u64).collect();
        let rate = pread_random(&file, &offsets, RANDOM_BYTES)?;
        self.random.round(rate, pread_random(&direct, &offsets, RANDOM_BYTES)?);
        Ok(())
    }
}

/// Files of three sizes that the local worker has.
pub(super) async fn warm(shared: &Shared) -> Result<()> {
    let large = shared.size_or(LARGE_BYTES);
    let cluster = Cluster::find_or_start(shared, large * 4 + (512 << 20)).await?;
    shared.note(&format!("reading through a mount of {}", cluster.describe()));
    let fs = cluster.connect()?;
    let mut sizes = Vec::new();
    for (bytes, one_block) in [(1 << 20, false), (64 << 20, false), (large, true), (large, false)] {
        sizes.push(Sized::write(&cluster, &fs, bytes, one_block).await?);
    }
    let mounted = Mounted::start(&cluster, OPTIONS)?;
    for _ in 0..shared.rounds {
        for sized in &mut sizes {
            sized.round(&mounted)?;
        }
    }
    drop(mounted);
    for sized in sizes {
        delete(&fs, &sized.path).await?;
        for series in [&sized.first, &sized.again, &sized.random] {
            series.report(shared);
        }
    }
    Ok(())
}

/// A file that only a worker elsewhere has, read the first time.
pub(super) async fn remote(shared: &Shared) -> Result<()> {
    let bytes = shared.size_or(512 << 20).min(512 << 20);
    let cluster = Cluster::find_or_start(shared, bytes * 2 + (256 << 20)).await?;
    let fs = cluster.connect()?;
    let path = path("fuse-remote")?;
    write_file(&fs, &path, bytes, WriteType::MustCache).await?;
    let (scratch, _) = Scratch::write(cluster.tier(), "fuse-remote", bytes)?;
    let direct = scratch.open()?;
    // Under another name of its own, the mount finds no worker on its host.
    let options = format!("{OPTIONS},alluxio.user.hostname=elsewhere.invalid");
    let mounted = Mounted::start(&cluster, &options)?;
    let mut series =
        Series::new("fuse", "from another worker", Unit::BytesPerSecond, "best raw loopback")
            .target(Target::Ratio(0.8));
    for _ in 0..shared.rounds {
        let file = File::open(mounted.at(&path))?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
        ensure!(bytes.is_multiple_of(CHUNK as u64), "whole chunks");
        series.round(pread_all(&file, 1)?, loopback(&direct, bytes)?);
    }
    drop(mounted);
    delete(&fs, &path).await?;
    series.report(shared);
    Ok(())
}
