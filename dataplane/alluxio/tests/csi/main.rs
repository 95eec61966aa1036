//! The CSI driver on the real stack: master, worker, keeper, agent and driver as processes, in a mount namespace
//! that ends with the test.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on fails")]

mod life;
mod sanity;
mod stack;

use alluxio_testservers::mounts;
use std::process::ExitCode;
use std::time::Duration;

pub(crate) use alluxio_testservers::mounts::Test;

/// Longest run of one test.
const LIMIT: Duration = Duration::from_secs(300);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, path] = &arguments[..]
        && first == life::READER
    {
        life::read_on_demand(path);
        return ExitCode::SUCCESS;
    }
    if let Err(code) = mounts::enter() {
        return code;
    }
    mounts::run(&[sanity::TESTS, life::TESTS].concat(), LIMIT)
}
