//! `cargo xtask fuzz`: builds the fuzz targets and runs each for a while.
//!
//! Coverage instrumentation needs no nightly compiler, only flags that `cargo fuzz` would pass; what
//! it finds beyond that (the address sanitizer) does: `cargo +nightly fuzz run TARGET`.

use crate::run::{cargo, option, project, run, say, target_dir};
use alluxio_testservers::cache;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Long enough to find what is shallow, short enough for each change.
const SECONDS: u64 = 5;
/// What `cargo fuzz` passes, without a sanitizer.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=1 -Cdebug-assertions";

/// `fuzz [--seconds N] [TARGET…]`.
pub(crate) fn fuzz(args: &[String]) -> Result<()> {
    let mut args = args.to_vec();
    let seconds = match option(&mut args, "--seconds")? {
        Some(text) => text.parse().with_context(|| format!("--seconds {text}"))?,
        None => SECONDS,
    };
    let folder = project().join("dataplane/fuzz");
    let all = targets(&folder)?;
    if let Some(unknown) = args.iter().find(|name| !all.contains(name)) {
        bail!("there is no fuzz target {unknown:?}; there are {}", all.join(", "));
    }
    let build = build(&folder)?;
    for target in all.iter().filter(|name| args.is_empty() || args.contains(name)) {
        play(&folder, &build.join(target), target, seconds)?;
    }
    say("fuzz: nothing found");
    Ok(())
}

/// The names in `fuzz_targets/`, sorted.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for item in fs::read_dir(folder.join("fuzz_targets"))? {
        let path = item?.path();
        names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// Builds all targets; gives the folder with the programs.
fn build(folder: &Path) -> Result<PathBuf> {
    let host = host()?;
    let dir = target_dir().join("fuzz");
    // Naming the target keeps the flags from build scripts and procedural macros.
    run(cargo()
        .env("CARGO_TARGET_DIR", &dir)
        .env("RUSTFLAGS", FLAGS)
        .args(["build", "--quiet", "--release", "--target", &host, "--manifest-path"])
        .arg(folder.join("Cargo.toml")))?;
    Ok(dir.join(host).join("release"))
}

fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot run rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("`rustc -vV` does not name its host")
}

/// One target, on what earlier runs found interesting. Its chatter is shown when it fails.
fn play(folder: &Path, program: &Path, target: &str, seconds: u64) -> Result<()> {
    let corpus = cache::root().join("fuzz").join(target);
    let artifacts = folder.join("artifacts").join(target);
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&artifacts)?;
    say(&format!("fuzzing {target} for {seconds} s"));
    let output = Command::new(program)
        .arg(&corpus)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg("-timeout=10")
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let told = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        say(&told);
        bail!("{target} found something; the input is in {}", artifacts.display());
    }
    // "Done 123456 runs in 6 second(s)"
    say(told.lines().rfind(|line| line.starts_with("Done")).unwrap_or_default());
    Ok(())
}
