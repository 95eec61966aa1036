//! All tests, with the servers they need.

use crate::run::{cargo, run, say};
use crate::servers;
use anyhow::Result;

/// Installs what the tests need, then runs them. With `--install-only` stops there.
pub(crate) fn test(args: &[String]) -> Result<()> {
    servers::install()?;
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
    run(command.args(args))
}
