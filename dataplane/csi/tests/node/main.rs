//! The node service over its socket, with real mounts and real FUSE sessions, in a mount namespace that ends with
//! the test. The child for work on paths is in this program, too.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and says why"
)]

mod driver;
mod kubelet;
mod ladder;
mod lifecycle;
mod refusals;
mod sessions;

use alluxio_testservers::mounts;
use std::process::ExitCode;
use std::time::Duration;

pub(crate) use alluxio_testservers::mounts::Test;

/// Argument before the words of a piece of work on a path.
pub(crate) const PATH_WORK: &str = "path-work";
/// Longest run of one test.
const LIMIT: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, words] = &arguments[..]
        && first == PATH_WORK
    {
        println!("{}", alluxio_csi::paths::run_child(words).unwrap());
        return ExitCode::SUCCESS;
    }
    if let Err(code) = mounts::enter() {
        return code;
    }
    let all = [lifecycle::TESTS, refusals::TESTS, ladder::TESTS].concat();
    mounts::run(&all, LIMIT)
}
