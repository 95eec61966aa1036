//! Bytes: reading from the local worker, from another one, at random, cold; writing.

use crate::cluster::Cluster;
use crate::command::Shared;
use crate::limits::{CHUNK, Scratch, consume, loopback, pread_all, pread_and_use, pread_random};
use crate::measure::{Series, Target, Unit};
use crate::sys::TierDir;
use alluxio_client::{
    CreateFileOptions, DeleteOptions, FileReader, FileSystem, FreeOptions, OpenFileOptions,
};
use alluxio_host::{Entropy, Host, SeededEntropy};
use alluxio_types::{AlluxioPath, ReadType, WriteType};
use anyhow::{Result, ensure};
use std::fs::File;
use std::time::{Duration, Instant};

/// Bytes that one measurement of a warm read covers at least, in as many passes as it takes: a file
/// of half a gigabyte alone is read in the time of a scheduler's slice.
const PASS_BYTES_MIN: u64 = 4 << 30;
/// Times that a file is opened and read for one figure of a first read.
const FIRST_READS: usize = 4;
/// Bytes of one random read.
const RANDOM_BYTES: usize = 4096;
/// Random reads of one round: a good tenth of a second at a million a second.
const RANDOM_READS: usize = 200_000;
/// How long freed blocks may take to leave the workers (they hear of it with a heartbeat).
const FREE_TIMEOUT: Duration = Duration::from_secs(20);
/// A little more than the time between two heartbeats of a worker.
const SETTLE: Duration = Duration::from_millis(1500);

pub(crate) fn path(name: &str) -> Result<AlluxioPath> {
    Ok(AlluxioPath::parse(&format!("/alluxio-bench-{}-{name}", std::process::id()))?)
}

/// Writes a file of `bytes`; returns bytes per second, the close included.
pub(crate) async fn write_file(
    fs: &FileSystem,
    path: &AlluxioPath,
    bytes: u64,
    write_type: WriteType,
) -> Result<f64> {
    write_blocks(fs, path, bytes, None, write_type).await
}

/// The same in blocks of a given length.
pub(crate) async fn write_blocks(
    fs: &FileSystem,
    path: &AlluxioPath,
    bytes: u64,
    block_size_bytes: Option<u64>,
    write_type: WriteType,
) -> Result<f64> {
    let chunk = vec![0x5a_u8; CHUNK];
    let started = Instant::now();
    let options = CreateFileOptions {
        write_type: Some(write_type),
        overwrite: true,
        length_hint: Some(bytes),
        block_size_bytes,
        ..Default::default()
    };
    let mut writer = fs.create_file(path, &options).await?;
    let mut left = bytes;
    while left > 0 {
        let part = left.min(CHUNK as u64) as usize;
        writer.write(&chunk[..part]).await?;
        left -= part as u64;
    }
    writer.close().await?;
    Ok(bytes as f64 / started.elapsed().as_secs_f64())
}

async fn read_copy(reader: &FileReader, passes: usize) -> Result<f64> {
    let mut buffer = vec![0_u8; CHUNK];
    let (started, mut total) = (Instant::now(), 0_u64);
    for _ in 0..passes {
        let mut at = 0_u64;
        loop {
            match reader.read_at(&mut buffer, at).await? {
                0 => break,
                count => at += count as u64,
            }
        }
        ensure!(at == reader.length(), "read {at} of {} bytes", reader.length());
        total += at;
    }
    Ok(total as f64 / started.elapsed().as_secs_f64())
}

/// Reads in place and uses every byte: without that, nothing would be read at all.
async fn read_zero_copy(reader: &FileReader, passes: usize) -> Result<f64> {
    let (started, mut total, mut sum) = (Instant::now(), 0_u64, 0);
    for _ in 0..passes {
        let mut at = 0_u64;
        loop {
            let bytes = reader.read_at_bytes(at, 64 << 20).await?;
            if bytes.is_empty() {
                break;
            }
            sum ^= consume(&bytes);
            at += bytes.len() as u64;
        }
        ensure!(at == reader.length(), "read {at} of {} bytes", reader.length());
        total += at;
    }
    std::hint::black_box(sum);
    Ok(total as f64 / started.elapsed().as_secs_f64())
}

/// The series of warm reads, and the files beside which they are measured.
struct Warm {
    passes: usize,
    /// In the top tier.
    tier_file: File,
    /// On a tmpfs of small pages, where the tier is something else.
    plain_file: Option<File>,
    first: Series,
    copy: Series,
    copy_beside_plain: Series,
    used: Series,
    used_beside_plain: Series,
}

impl Warm {
    fn new(passes: usize, tier_file: File, plain_file: Option<File>) -> Self {
        let series = |variant, limit| Series::new("read", variant, Unit::BytesPerSecond, limit);
        let used_beside_tier = series("warm, zero-copy, used", "pread + use, tier file");
        // On small pages the tier is the plain tmpfs of the target.
        let beside_itself = plain_file.is_none();
        Warm {
            passes,
            tier_file,
            plain_file,
            first: series("warm, copied, just opened", "pread of tier file"),
            copy: series("warm, copied", "pread of tier file").target(Target::Ratio(0.95)),
            copy_beside_plain: series("warm, copied", "pread, 4 KiB pages")
                .target(Target::Ratio(2.5)),
            used: match beside_itself {
                true => used_beside_tier.target(Target::Ratio(2.0)),
                false => used_beside_tier,
            },
            used_beside_plain: series("warm, zero-copy, used", "pread + use, 4 KiB pages")
                .target(Target::Ratio(2.0)),
        }
    }

    async fn round(&mut self, fs: &FileSystem, path: &AlluxioPath) -> Result<()> {
        let mut first = 0.0;
        for _ in 0..FIRST_READS {
            let started = Instant::now();
            let reader = fs.open_file(path, &OpenFileOptions::default()).await?;
            read_copy(&reader, 1).await?;
            first += reader.length() as f64 / started.elapsed().as_secs_f64();
        }
        self.first.round(first / FIRST_READS as f64, pread_all(&self.tier_file, FIRST_READS)?);
        // Warm is: mapped and touched once.
        let reader = fs.open_file(path, &OpenFileOptions::default()).await?;
        read_zero_copy(&reader, 1).await?;
        let passes = self.passes;
        let copied = read_copy(&reader, passes).await?;
        self.copy.round(copied, pread_all(&self.tier_file, passes)?);
        let used = read_zero_copy(&reader, passes).await?;
        self.used.round(used, pread_and_use(&self.tier_file, passes)?);
        if let Some(plain) = &self.plain_file {
            let copied = read_copy(&reader, passes).await?;
            self.copy_beside_plain.round(copied, pread_all(plain, passes)?);
            let used = read_zero_copy(&reader, passes).await?;
            self.used_beside_plain.round(used, pread_and_use(plain, passes)?);
        }
        Ok(())
    }

    fn report(&self, shared: &Shared) {
        let beside_tier = [&self.first, &self.copy, &self.used];
        let beside_plain = [&self.copy_beside_plain, &self.used_beside_plain];
        let beside_plain = beside_plain.into_iter().filter(|_| self.plain_file.is_some());
        for series in beside_tier.into_iter().chain(beside_plain) {
            series.report(shared);
        }
    }
}

/// Sequential reads: cold (from the UFS), warm with a copy, warm without one.
pub(crate) async fn read(shared: &Shared) -> Result<()> {
    let bytes = shared.size_bytes;
    let cluster = Cluster::find_or_start(shared, bytes * 2 + (256 << 20)).await?;
    shared.note(&format!("reading {} MiB from {}", bytes >> 20, cluster.describe()));
    let fs = cluster.connect()?;
    let path = path("read")?;
    let used = settled_used(&fs).await?;
    write_file(&fs, &path, bytes, WriteType::CacheThrough).await?;
    let (scratch, _) = Scratch::write(cluster.tier(), "read", bytes)?;
    let plain = cluster.on_huge_pages().then(|| TierDir::small_pages(bytes + (64 << 20)));
    let plain = plain.transpose()?.flatten();
    let plain_scratch = match &plain {
        Some(dir) => Some(Scratch::write(dir.path(), "read", bytes)?.0),
        None => None,
    };
    let plain_file = plain_scratch.as_ref().map(Scratch::open).transpose()?;
    let passes = (PASS_BYTES_MIN.div_ceil(bytes) as usize).max(1);
    let mut warm = Warm::new(passes, scratch.open()?, plain_file);
    let mut cold =
        Series::new("read", "cold, while caching", Unit::BytesPerSecond, "pread of UFS file");
    for _ in 0..shared.rounds {
        free(&fs, &path, used).await?;
        let ufs_file = File::open(&fs.get_status(&path, &Default::default()).await?.ufs_path)?;
        let reader = fs.open_file(&path, &OpenFileOptions::default()).await?;
        cold.round(read_copy(&reader, 1).await?, pread_all(&ufs_file, 1)?);
        drop(reader);
        wait_until_cached(&fs, &path).await?;
        warm.round(&fs, &path).await?;
    }
    delete(&fs, &path).await?;
    cold.report(shared);
    warm.report(shared);
    Ok(())
}

/// Random reads of 4 KiB from a local block.
pub(crate) async fn randread(shared: &Shared) -> Result<()> {
    let bytes = shared.size_bytes;
    let cluster = Cluster::find_or_start(shared, bytes * 2 + (256 << 20)).await?;
    shared.note(&format!("4 KiB reads in {} MiB of {}", bytes >> 20, cluster.describe()));
    let fs = cluster.connect()?;
    let path = path("randread")?;
    write_file(&fs, &path, bytes, WriteType::MustCache).await?;
    let (scratch, _) = Scratch::write(cluster.tier(), "randread", bytes)?;
    let limit_file = scratch.open()?;
    let entropy = SeededEntropy::new(1);
    let pages = bytes / RANDOM_BYTES as u64;
    let offsets: Vec<u64> =
        (0..RANDOM_READS).map(|_| entropy.below(pages) * RANDOM_BYTES as u64).collect();
    let reader = fs.open_file(&path, &OpenFileOptions::default()).await?;
    read_copy(&reader, 1).await?;
    let series = |variant| {
        Series::new("randread", variant, Unit::OpsPerSecond, "pread of tier file")
            .target(Target::Ratio(0.7))
            .target(Target::AtLeast(400_000.0))
    };
    let (mut awaited, mut tried) = (series("read_at"), series("try_read_at"));
    for _ in 0..shared.rounds {
        let mut buffer = vec![0_u8; RANDOM_BYTES];
        let started = Instant::now();
        for &offset in &offsets {
            ensure!(reader.read_at(&mut buffer, offset).await? == RANDOM_BYTES, "short read");
        }
        let rate = offsets.len() as f64 / started.elapsed().as_secs_f64();
        awaited.round(rate, pread_random(&limit_file, &offsets, RANDOM_BYTES)?);
        let started = Instant::now();
        for &offset in &offsets {
            ensure!(reader.try_read_at(&mut buffer, offset)? == Some(RANDOM_BYTES), "not local");
        }
        let rate = offsets.len() as f64 / started.elapsed().as_secs_f64();
        tried.round(rate, pread_random(&limit_file, &offsets, RANDOM_BYTES)?);
    }
    delete(&fs, &path).await?;
    awaited.report(shared);
    tried.report(shared);
    Ok(())
}

/// Sequential reads from a worker on another host, one stream.
pub(crate) async fn remote_read(shared: &Shared) -> Result<()> {
    let bytes = shared.size_bytes;
    let cluster = Cluster::find_or_start(shared, bytes * 2 + (256 << 20)).await?;
    shared.note(&format!("{} MiB over TCP from {}", bytes >> 20, cluster.describe()));
    let local = cluster.connect()?;
    let path = path("remote")?;
    write_file(&local, &path, bytes, WriteType::MustCache).await?;
    // Under another name of its own, the client finds no worker on its host.
    let config = cluster.client_config_with(&[("alluxio.user.hostname", "elsewhere.invalid")])?;
    let remote = FileSystem::connect(config, Host::real())?;
    let (scratch, _) = Scratch::write(cluster.tier(), "remote", bytes)?;
    let limit_file = scratch.open()?;
    let options = OpenFileOptions { read_type: Some(ReadType::NoCache), ..Default::default() };
    let mut series =
        Series::new("remote-read", "one stream", Unit::BytesPerSecond, "best raw loopback")
            .target(Target::Ratio(0.9));
    for _ in 0..shared.rounds {
        let mut reader = remote.open_file(&path, &options).await?;
        let mut buffer = vec![0_u8; CHUNK];
        let (started, mut got) = (Instant::now(), 0_u64);
        loop {
            match reader.read(&mut buffer).await? {
                0 => break,
                count => got += count as u64,
            }
        }
        ensure!(got == bytes, "read {got} of {bytes} bytes");
        let rate = got as f64 / started.elapsed().as_secs_f64();
        series.round(rate, loopback(&limit_file, bytes)?);
    }
    delete(&local, &path).await?;
    series.report(shared);
    Ok(())
}

/// Sequential writes into the cache of the local worker.
pub(crate) async fn write(shared: &Shared) -> Result<()> {
    let bytes = shared.size_bytes;
    let cluster = Cluster::find_or_start(shared, bytes * 3 + (256 << 20)).await?;
    shared.note(&format!("writing {} MiB to {}", bytes >> 20, cluster.describe()));
    let fs = cluster.connect()?;
    let used = settled_used(&fs).await?;
    let mut series =
        Series::new("write", "MUST_CACHE, local", Unit::BytesPerSecond, "writing a tier file")
            .target(Target::Ratio(0.9));
    for round in 0..=shared.rounds {
        let path = path(&format!("write-{round}"))?;
        let rate = write_file(&fs, &path, bytes, WriteType::MustCache).await?;
        delete(&fs, &path).await?;
        let (scratch, limit) = Scratch::write(cluster.tier(), "write", bytes)?;
        drop(scratch);
        // The first round warms up both sides.
        if round > 0 {
            series.round(rate, limit);
        }
        wait_until_used(&fs, used).await?;
    }
    series.report(shared);
    Ok(())
}

/// Frees a file and waits until workers hold no more than before it was written.
async fn free(fs: &FileSystem, path: &AlluxioPath, used_before: u64) -> Result<()> {
    fs.free(path, FreeOptions { forced: true, ..Default::default() }).await?;
    wait_until_used(fs, used_before).await
}

pub(crate) async fn delete(fs: &FileSystem, path: &AlluxioPath) -> Result<()> {
    fs.delete(path, &DeleteOptions { unchecked: Some(true), ..Default::default() }).await?;
    Ok(())
}

/// Bytes that workers hold, once what was written just before has been reported too.
async fn settled_used(fs: &FileSystem) -> Result<u64> {
    let deadline = Instant::now() + FREE_TIMEOUT;
    let mut used = fs.capacity().await?.used_bytes;
    loop {
        tokio::time::sleep(SETTLE).await;
        let now = fs.capacity().await?.used_bytes;
        if now == used {
            return Ok(used);
        }
        ensure!(Instant::now() < deadline, "somebody else is writing to this cluster");
        used = now;
    }
}

/// Waits until workers hold at most `bytes`, as they report with their heartbeats.
async fn wait_until_used(fs: &FileSystem, bytes: u64) -> Result<()> {
    let deadline = Instant::now() + FREE_TIMEOUT;
    while fs.capacity().await?.used_bytes > bytes {
        ensure!(Instant::now() < deadline, "freed blocks are still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn wait_until_cached(fs: &FileSystem, path: &AlluxioPath) -> Result<()> {
    let deadline = Instant::now() + FREE_TIMEOUT;
    while fs.get_status(path, &Default::default()).await?.in_alluxio_percent < 100 {
        ensure!(Instant::now() < deadline, "blocks that were read are not cached");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
