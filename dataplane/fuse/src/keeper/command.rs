//! The command line: `alluxio fuse-keeper`. Reads no configuration, so that nothing in it can keep a keeper
//! from starting.

use super::{ALONE_LIMIT, Server};
use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Hold the descriptors of mounts, so that they outlive the process that serves them.
///
/// It must run where restarts and upgrades of that process do not reach it: in a pod of its own. Two
/// keepers are better than one.
#[derive(Debug, Parser)]
#[command(name = "alluxio fuse-keeper", bin_name = "alluxio fuse-keeper")]
struct Arguments {
    /// Where to listen, as in alluxio.fuse.keeper.sockets
    #[arg(long)]
    socket: PathBuf,
    /// How long mounts are kept that nobody serves. Then programs that wait for them get errors, and can be killed
    #[arg(long, value_name = "SECONDS", default_value_t = ALONE_LIMIT.as_secs(),
          value_parser = clap::value_parser!(u64).range(1..))]
    alone_seconds: u64,
}

/// Runs `alluxio fuse-keeper ARGUMENTS` until it is killed. Returns the exit code.
#[expect(clippy::print_stderr, reason = "the only words of a program that has no log")]
#[expect(clippy::print_stdout, reason = "who starts it waits for this line")]
pub fn run(arguments: &[String]) -> ExitCode {
    let line = std::iter::once("alluxio fuse-keeper".to_owned()).chain(arguments.iter().cloned());
    let arguments = match Arguments::try_parse_from(line) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help is no failure; clap knows where each text goes.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(255) } else { ExitCode::SUCCESS };
        }
    };
    crate::limits::raise_descriptors();
    // Among the last to go when memory is short: it has next to none. Only a wish.
    let _ = std::fs::write("/proc/self/oom_score_adj", "-998");
    if let Err(error) = crate::sys::end_when_told() {
        eprintln!("alluxio fuse-keeper: it will not end by SIGTERM: {error}");
    }
    match Server::bind(&arguments.socket) {
        Ok(server) => {
            println!("the keeper of {} is ready", arguments.socket.display());
            server.with_alone_limit(Duration::from_secs(arguments.alone_seconds)).run();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("alluxio fuse-keeper: {error}");
            ExitCode::FAILURE
        }
    }
}
