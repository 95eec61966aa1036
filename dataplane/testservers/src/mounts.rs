//! A mount namespace for a test, so that no mount of its outlives it, whatever happens; and what a test says that
//! cannot mount.
//!
//! A process must enter one before it has threads. So such tests have their own `main` (`harness = false`), which
//! first calls [`enter`] and then [`run`].

use rustix::mount::{UnmountFlags, unmount};
use std::fmt::Display;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// A test: its name, and what it does.
pub type Test = (&'static str, fn());

/// Set within the namespace.
const INSIDE: &str = "ALLUXIO_TEST_INSIDE";
/// What our mounts are in the kernel's table.
const KIND: &str = "fuse.alluxio";

/// Says that a test cannot mount here, and so tests nothing.
///
/// # Panics
/// In continuous integration (`CI=true`), where it has to be possible.
#[expect(clippy::print_stdout, reason = "a test that cannot test says so")]
pub fn not_tested(why: impl Display) {
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!ci, "nothing is tested here: {why}");
    println!("not tested: {why}");
}

/// Runs this program again in a mount namespace of its own, without the mounts of others; returns there.
///
/// **Errors**: the exit code, where that is not possible; see [`not_tested`].
pub fn enter() -> Result<(), ExitCode> {
    if std::env::var_os(INSIDE).is_some() {
        let_go_of_others();
        return Ok(());
    }
    let possible = Command::new("unshare").args(["--mount", "true"]).status();
    let possible = possible.is_ok_and(|status| status.success());
    if !possible || !Path::new("/dev/fuse").exists() {
        not_tested("it needs root, unshare and /dev/fuse");
        return Err(ExitCode::SUCCESS);
    }
    let program = std::env::current_exe().expect("a running program has a file");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--"]).arg(program);
    command.args(std::env::args_os().skip(1)).env(INSIDE, "1");
    panic!("cannot run unshare: {}", command.exec());
}

/// A new namespace begins with all mounts of the one that it comes from. Whoever forces one of them off ends its
/// connection for everybody, in every namespace; whoever only has it keeps it from ending. So they go, lazily: that
/// touches nothing but this namespace.
fn let_go_of_others() {
    for path in mounts().iter().rev() {
        // Whether it worked is seen below.
        let _ = unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
    }
    let left = mounts();
    assert!(left.is_empty(), "mounts of others stay in the namespace of this test: {left:?}");
}

/// Gives up every FUSE connection that the tests of this program have mounted: whoever waits for one fails at once.
///
/// # Panics
/// Outside of the namespace of [`enter`]: what is mounted there may be anybody's.
pub fn give_up_all() {
    assert!(std::env::var_os(INSIDE).is_some(), "only what is mounted in an own namespace");
    for path in mounts().iter().rev() {
        // It may have gone meanwhile.
        let flags = UnmountFlags::FORCE | UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
        let _ = unmount(path, flags);
    }
}

/// Where something of Alluxio is mounted in this namespace, in the order of its mounting.
pub fn mounts() -> Vec<PathBuf> {
    let table = std::fs::read("/proc/self/mountinfo").expect("/proc is there");
    table.split(|byte| *byte == b'\n').filter_map(mount_point).collect()
}

/// **Source**: proc_pid_mountinfo(5).
fn mount_point(line: &[u8]) -> Option<PathBuf> {
    let mut words = line.split(|byte| *byte == b' ');
    let path = words.nth(4)?;
    let kind = words.skip_while(|word| *word != b"-").nth(1)?;
    (kind == KIND.as_bytes()).then(|| std::ffi::OsString::from_vec(unescaped(path)).into())
}

/// Blanks and the like are three octal digits after a backslash there.
fn unescaped(mut path: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(path.len());
    while let [first, rest @ ..] = path {
        let digits = rest.get(..3).filter(|_| *first == b'\\');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        plain.push(byte.unwrap_or(*first));
        path = if byte.is_some() { &rest[3..] } else { rest };
    }
    plain
}

/// Runs the tests whose names contain the first plain argument, one after another. One that takes longer than
/// `limit` has failed; its connections are given up.
#[expect(clippy::print_stdout, reason = "this is what a harness does")]
pub fn run(tests: &[Test], limit: Duration) -> ExitCode {
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let chosen =
        tests.iter().filter(|(name, _)| wanted.as_ref().is_none_or(|word| name.contains(word)));
    let (mut passed, mut failed) = (0, 0);
    for (name, test) in chosen {
        let outcome = outcome(*test, limit);
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

fn outcome(test: fn(), limit: Duration) -> &'static str {
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
            give_up_all();
            "FAILED: it takes too long, and is given up"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mounts_of_alluxio_are_seen_with_their_blanks() {
        let line = b"98 29 0:52 / /mnt/a\\040b\\x rw shared:7 master:1 - fuse.alluxio al rw";
        assert_eq!(mount_point(line).unwrap(), Path::new("/mnt/a b\\x"));
        assert_eq!(mount_point(b"98 29 0:52 / /mnt rw - fuse.sshfs fuse.alluxio rw"), None);
        assert_eq!(mount_point(b""), None);
    }
}
