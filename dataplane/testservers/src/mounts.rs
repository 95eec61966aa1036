//! A mount namespace for a test, so that no mount of its outlives it, whatever happens.
//!
//! A process must enter one before it has threads. So such tests have their own `main` (`harness = false`), which
//! first calls [`enter`] and then [`run`].

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// A test: its name, and what it does.
pub type Test = (&'static str, fn());

/// Set within the namespace.
const INSIDE: &str = "ALLUXIO_TEST_INSIDE";

/// Runs this program again in a mount namespace of its own; returns there.
///
/// **Errors**: the exit code, where mounting is not possible: a failure in continuous integration (`CI=true`), a
/// line that says so elsewhere.
#[expect(clippy::print_stdout, reason = "a test that cannot test says so")]
pub fn enter() -> Result<(), ExitCode> {
    if std::env::var_os(INSIDE).is_some() {
        return Ok(());
    }
    let possible = Command::new("unshare").args(["--mount", "true"]).status();
    let possible = possible.is_ok_and(|status| status.success());
    if !possible || !Path::new("/dev/fuse").exists() {
        println!("not tested: it needs root, unshare and /dev/fuse");
        let fails = std::env::var("CI").is_ok_and(|value| value == "true");
        return Err(ExitCode::from(u8::from(fails)));
    }
    let program = std::env::current_exe().expect("a running program has a file");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--"]).arg(program);
    command.args(std::env::args_os().skip(1)).env(INSIDE, "1");
    panic!("cannot run unshare: {}", command.exec());
}

/// Runs the tests whose names contain the first plain argument, one after another. One that takes longer than
/// `limit` has failed; `give_up` must then end whatever it waits for.
#[expect(clippy::print_stdout, reason = "this is what a harness does")]
pub fn run(tests: &[Test], limit: Duration, give_up: fn()) -> ExitCode {
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let chosen =
        tests.iter().filter(|(name, _)| wanted.as_ref().is_none_or(|word| name.contains(word)));
    let (mut passed, mut failed) = (0, 0);
    for (name, test) in chosen {
        let outcome = outcome(*test, limit, give_up);
        println!("test {name} ... {outcome}");
        match outcome {
            "ok" => passed += 1,
            _ => failed += 1,
        }
    }
    // In the words of the usual harness, for who counts.
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {result}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out"
    );
    ExitCode::from(u8::from(failed > 0))
}

fn outcome(test: fn(), limit: Duration, give_up: fn()) -> &'static str {
    let (done, ended) = channel();
    let runs = std::thread::spawn(move || {
        test();
        // Whoever waits may have given up.
        let _ = done.send(());
    });
    match ended.recv_timeout(limit) {
        Ok(()) if runs.join().is_ok() => "ok",
        // What it said is above.
        Ok(()) | Err(RecvTimeoutError::Disconnected) => "FAILED",
        Err(RecvTimeoutError::Timeout) => {
            give_up();
            "FAILED: it takes too long, and is given up"
        }
    }
}
