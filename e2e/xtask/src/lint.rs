//! Checks by other programs.

use crate::run::{cargo, has, project, run, say};
use alluxio_testservers::cache;
use anyhow::Result;
use std::path::PathBuf;
use std::process::Command;

/// The version whose configuration `.deny.toml` is written for.
const CARGO_DENY: &str = "0.20.2";

/// Formatting and clippy.
pub(crate) fn lint() -> Result<()> {
    run(cargo().args(["fmt", "--all", "--check"]))?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
    run(cargo().args(clippy))
}

/// Licences, sources and bans. Advisories need a database that is fetched from a code host, so they
/// are looked at where that can be reached: `cargo deny check advisories`.
pub(crate) fn deny() -> Result<()> {
    let program = if has("cargo-deny") { PathBuf::from("cargo-deny") } else { installed_deny()? };
    run(Command::new(program).current_dir(project()).args([
        "--config",
        ".deny.toml",
        "check",
        "bans",
        "licenses",
        "sources",
    ]))
}

fn installed_deny() -> Result<PathBuf> {
    let root = cache::root().join("tools");
    let program = root.join("bin/cargo-deny");
    if !program.exists() {
        say(&format!("building cargo-deny {CARGO_DENY} (once)"));
        run(cargo()
            .args(["install", "--locked", "--quiet", "--version", CARGO_DENY, "--root"])
            .arg(&root)
            .arg("cargo-deny"))?;
    }
    Ok(program)
}
