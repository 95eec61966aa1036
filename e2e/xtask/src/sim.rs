//! `cargo xtask sim`: whole clusters on simulated machines.

use crate::run::{cargo, option, run};
use anyhow::{Context, Result};
use std::time::{SystemTime, UNIX_EPOCH};

/// Unless told otherwise.
const SEEDS: &str = "1000";
/// With it the simulator can plant bugs.
const PLANTED: &str = "planted-bugs";
/// How the simulator is built: optimized, for many seeds; with all its assertions, for it is a test.
const PROFILE: &str = "sim";

/// `sim [--seeds N] [--seed N] [ARGS]`: so many seeds, from the one that is named or from fresh ones; a
/// seed alone is repeated. Further arguments go to the simulator (`--trace`, `--seconds N`, `--jobs N`). With `--plant
/// BUG` it has that bug to find.
pub(crate) fn sim(args: &[String]) -> Result<()> {
    let mut args = args.to_vec();
    let seeds = option(&mut args, "--seeds")?;
    let seed = option(&mut args, "--seed")?;
    let alone = seed.is_some().then(|| "1".to_owned());
    let seeds = seeds.or(alone).unwrap_or_else(|| SEEDS.to_owned());
    let first = match seed {
        Some(seed) => seed,
        None => fresh()?.to_string(),
    };
    let mut command = cargo();
    command.args(["run", "--quiet", "--profile", PROFILE, "--package", "alluxio-sim"]);
    if args.iter().any(|arg| arg.starts_with("--plant")) {
        command.args(["--features", PLANTED]);
    }
    command.args(["--", "--world", "cluster"]);
    command.args(["--seed", &first, "--seeds", &seeds]).args(args);
    run(&mut command).context("each seed that broke something can be repeated alone, see above")
}

/// The tests that plant bugs, and find them. They are not among all the others, for with their feature
/// everything is built anew.
pub(crate) fn find_planted() -> Result<()> {
    let test = ["test", "--package", "alluxio-sim", "--features", PLANTED, "--test", "planted"];
    run(cargo().args(test))
}

/// A seed that no earlier run of today had.
fn fresh() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() << 20)
}
