//! All tests, with the servers they need.

use crate::run::{cargo, project, run, say};
use crate::servers;
use anyhow::{Context, Result};
use std::process::Command;

/// Where property tests take their seed from.
const SEED: &str = "PROPTEST_RNG_SEED";

/// Installs what the tests need, then runs them. With `--install-only` stops there.
pub(crate) fn test(args: &[String]) -> Result<()> {
    servers::install()?;
    let plain = args.iter().all(|arg| arg == "--install-only");
    if plain {
        crate::python::install()?;
    }
    if args.iter().any(|arg| arg == "--install-only") {
        say("all servers that the tests need are installed");
        return Ok(());
    }
    let mut command = cargo();
    // All of them, whatever fails: one run shows all there is to mend.
    command.args(["test", "--no-fail-fast"]);
    if !args.iter().any(|arg| arg == "-p" || arg == "--package") {
        command.arg("--workspace");
    }
    let seed = seed();
    command.env(SEED, &seed);
    let replay = format!("{SEED}={seed} cargo xtask test {}", args.join(" "));
    let replay = replay.trim_end();
    say(&format!("property tests draw from seed {seed}; the same again: {replay}"));
    run(command.args(args)).with_context(|| format!("to run the same again: {replay}"))?;
    if !plain {
        return Ok(());
    }
    // Its tests have built the program.
    crate::python::check(&[])?;
    crate::sim::find_planted()
}

/// The seed that was asked for, else one from the commit: every run of one commit does the same, and
/// each commit tries something new.
fn seed() -> String {
    if let Ok(seed) = std::env::var(SEED) {
        return seed;
    }
    let commit = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(project()).output();
    let commit = commit.map(|output| output.stdout).unwrap_or_default();
    seed_of(&String::from_utf8_lossy(&commit)).to_string()
}

/// The first 32 bits of a commit; 0 outside a repository.
fn seed_of(commit: &str) -> u64 {
    commit.get(..8).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_gives_its_seed_and_nothing_gives_zero() {
        assert_eq!(seed_of("0000002a9e7d4f"), 42);
        assert_eq!(seed_of(""), 0);
    }
}
