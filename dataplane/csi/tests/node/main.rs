//! The node service over its socket, with real mounts and real FUSE sessions, in a mount namespace that ends with
//! the test. Two other programs are in this one: the child for work on paths, and the test within the namespace.

mod driver;
mod kubelet;
mod ladder;
mod lifecycle;
mod refusals;
mod sessions;

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// Argument before the words of a piece of work on a path.
pub(crate) const PATH_WORK: &str = "path-work";
/// Set within the namespace.
const INSIDE: &str = "ALLUXIO_TEST_INSIDE";
/// Longest run of one test.
const LIMIT: Duration = Duration::from_secs(120);

/// A test: its name, and what it does.
type Test = (&'static str, fn());

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, words] = &arguments[..]
        && first == PATH_WORK
    {
        println!("{}", alluxio_csi::paths::run_child(words).unwrap());
        return ExitCode::SUCCESS;
    }
    if std::env::var_os(INSIDE).is_none() {
        return enter(&arguments);
    }
    let wanted = arguments.iter().find(|word| !word.starts_with('-'));
    let all = [lifecycle::TESTS, refusals::TESTS, ladder::TESTS].concat();
    let chosen =
        all.into_iter().filter(|(name, _)| wanted.is_none_or(|word| name.contains(word.as_str())));
    let failed: Vec<&str> = chosen.filter(|test| !passes(test)).map(|(name, _)| name).collect();
    println!("test result: {}", if failed.is_empty() { "ok" } else { "FAILED" });
    ExitCode::from(u8::from(!failed.is_empty()))
}

/// Starts this program again in a mount namespace of its own, from which nothing leaks.
fn enter(arguments: &[String]) -> ExitCode {
    let possible = Command::new("unshare").args(["--mount", "true"]).status();
    let device = std::path::Path::new("/dev/fuse").exists();
    if !device || !possible.is_ok_and(|status| status.success()) {
        println!("not tested: it needs root, unshare and /dev/fuse");
        return ExitCode::from(u8::from(std::env::var("CI").is_ok_and(|ci| ci == "true")));
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--"]);
    command.arg(std::env::current_exe().unwrap()).args(arguments).env(INSIDE, "1");
    panic!("cannot run unshare: {}", command.exec());
}

/// Runs one test on a thread of its own; one that hangs fails, and its mounts are given up.
fn passes((name, test): &Test) -> bool {
    let (done, ended) = channel();
    let test = *test;
    let runs = std::thread::spawn(move || {
        test();
        let _ = done.send(());
    });
    let passed = match ended.recv_timeout(LIMIT) {
        Ok(()) => runs.join().is_ok(),
        Err(RecvTimeoutError::Disconnected) => false,
        Err(RecvTimeoutError::Timeout) => {
            sessions::give_up_all();
            false
        }
    };
    println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
    passed
}
