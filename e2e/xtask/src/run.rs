//! Running other programs, and saying so.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Prints a line for the person at the terminal.
#[expect(clippy::print_stderr, reason = "this is a command for people")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// The project's folder.
pub(crate) fn project() -> PathBuf {
    // e2e/xtask is two levels below it.
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Cargo, in the project's folder, building into the user's cache unless told otherwise: a fresh
/// clone then finds what an earlier one has built.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(project()).env("CARGO_TARGET_DIR", target_dir());
    cargo
}

/// Where cargo builds.
pub(crate) fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => alluxio_testservers::cache::root().join("target"),
    }
}

/// Runs `command`, its output going where ours goes.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    say(&format!("+ {shown}"));
    let status = command.status().with_context(|| format!("cannot run {shown}"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// Takes `name VALUE` or `name=VALUE` out of the arguments.
pub(crate) fn option(args: &mut Vec<String>, name: &str) -> Result<Option<String>> {
    let joined = format!("{name}=");
    let Some(index) = args.iter().position(|arg| arg == name || arg.starts_with(&joined)) else {
        return Ok(None);
    };
    let arg = args.remove(index);
    if let Some(value) = arg.strip_prefix(&joined) {
        return Ok(Some(value.to_owned()));
    }
    if index == args.len() {
        bail!("{name} needs a value");
    }
    Ok(Some(args.remove(index)))
}

/// Whether a program can be started at all.
pub(crate) fn has(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
