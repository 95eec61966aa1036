//! `cargo xtask soak`: the tests that find more the longer they run, over and over with new seeds.

use crate::run::{cargo, option, run, say};
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Unless told otherwise.
const MINUTES: u64 = 30;
/// Crates whose tests draw from a seed or race threads with each other.
const PACKAGES: &[&str] = &[
    "blockstore",
    "client",
    "config",
    "datapath",
    "host",
    "journal",
    "master",
    "namespace",
    "proto",
    "types",
    "worker",
];
/// Seeds of the simulation in one round, of each of its worlds.
const SIMULATIONS: u64 = 500;
/// Kills of the master in one round.
const KILLS: u64 = 200;
/// Files of the namespace that is backed up under load.
const BACKUP_FILES: u64 = 1_000_000;
/// Faults of each kind that a highly available cluster meets in one round.
const FAILOVERS: u64 = 100;
/// How long most members of etcd are gone.
const ETCD_OUTAGE_SECONDS: u64 = 60;
/// Programs that use a mount while what serves it is killed, kills of the agent alone, and the pause between
/// two of them: 64 programs for more than five minutes.
const FUSE: [(&str, u64); 3] = [
    ("ALLUXIO_TEST_FUSE_PROGRAMS", 64),
    ("ALLUXIO_TEST_FUSE_KILLS", 100),
    ("ALLUXIO_TEST_FUSE_PAUSE_MS", 3000),
];
/// For how long pods of a cluster on a real Kubernetes are deleted at random, in seconds.
const DELETIONS_SECONDS: u64 = 300;
/// Random operations on files of a mount.
const FUSE_OPERATIONS: u64 = 10_000_000;
/// One of so many of the operations that a mount is compared with a local file system in.
const FUSE_POSIX_SHARE: u64 = 8;
/// Objects of an operator, and how often one is paused past its lease.
const OPERATOR: [(&str, u64); 3] =
    [("ALLUXIO_TEST_CLUSTERS", 200), ("ALLUXIO_TEST_DATASETS", 2000), ("ALLUXIO_TEST_PAUSES", 10)];
/// The file that is read while workers are killed.
const FILE_BYTES: u64 = 2 << 30;

/// `soak [--minutes N] [--seed N]`: rounds until the time is over, at least one.
pub(crate) fn soak(args: &[String]) -> Result<()> {
    let mut args = args.to_vec();
    let minutes = number(&mut args, "--minutes")?.unwrap_or(MINUTES);
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    // Seeds of one soak do not meet those of another one that began a second later.
    let first = number(&mut args, "--seed")?.unwrap_or(now << 16);
    ensure!(args.is_empty(), "unknown argument {}; there are --minutes and --seed", args[0]);
    let end = Instant::now() + Duration::from_secs(minutes * 60);
    let mut seed = first;
    loop {
        say(&format!("=== round {} (seed {seed})", seed - first + 1));
        round(seed).with_context(|| {
            format!("to run the same again: cargo xtask soak --minutes 0 --seed {seed}")
        })?;
        seed += 1;
        if Instant::now() >= end {
            say(&format!("soak: {} rounds, nothing found", seed - first));
            return Ok(());
        }
    }
}

fn number(args: &mut Vec<String>, name: &str) -> Result<Option<u64>> {
    let text = option(args, name)?;
    text.map(|text| text.parse().with_context(|| format!("{name} {text}"))).transpose()
}

fn round(seed: u64) -> Result<()> {
    let mut properties = cargo();
    properties.env("PROPTEST_RNG_SEED", seed.to_string()).args(["test", "--quiet"]);
    properties.env("ALLUXIO_TEST_BACKUP_FILES", BACKUP_FILES.to_string());
    for package in PACKAGES {
        properties.args(["--package", &format!("alluxio-{package}")]);
    }
    run(&mut properties)?;
    run(cargo()
        .env("FUSE_RANDOM_SEED", seed.to_string())
        .env("FUSE_RANDOM_OPERATIONS", FUSE_OPERATIONS.to_string())
        .env("FUSE_POSIX_SHARE", FUSE_POSIX_SHARE.to_string())
        .args(["test", "--quiet", "--package", "alluxio-fuse", "--test", "kernel"])
        .args(["--", "random::", "posix::"]))?;
    run(cargo()
        .envs(OPERATOR.map(|(name, value)| (name, value.to_string())))
        .args(["test", "--quiet", "--package", "alluxio-operator", "--test", "process"])
        .args(["--", "--nocapture", "--test-threads", "1"]))?;
    let from = seed.wrapping_mul(SIMULATIONS).to_string();
    let seeds = SIMULATIONS.to_string();
    let simulation = ["run", "--quiet", "--package", "alluxio-sim", "--", "--seed"];
    run(cargo().args(simulation).args([&from, "--seeds", &seeds]))?;
    run(cargo().args(simulation).args([from.as_str(), "--seeds", &seeds, "--world", "cluster"]))?;
    run(cargo()
        .env("ALLUXIO_TEST_KILLS", KILLS.to_string())
        .env("ALLUXIO_TEST_FILE_BYTES", FILE_BYTES.to_string())
        .env("ALLUXIO_TEST_FAILOVERS", FAILOVERS.to_string())
        .env("ALLUXIO_TEST_ETCD_OUTAGE_SECONDS", ETCD_OUTAGE_SECONDS.to_string())
        .envs(FUSE.map(|(name, value)| (name, value.to_string())))
        .args(["test", "--quiet", "--package", "alluxio"])
        .args(["--test", "kill_master", "--test", "kill_worker", "--test", "cat_under_kills"])
        .args(["--test", "failover", "--test", "fuse_survives"]))?;
    run(cargo()
        .env("ALLUXIO_TEST_DELETIONS_SECONDS", DELETIONS_SECONDS.to_string())
        .env("ALLUXIO_TEST_DELETIONS_SEED", seed.to_string())
        .args(["test", "--quiet", "--package", "alluxio-e2e-tests", "--test", "volumes"])
        .args(["--test", "deletion", "--test", "rollout"])
        .args(["--", "--include-ignored"]))
}
