//! A test with a mount namespace of its own leaves the mounts of others alone: it does not end their connections,
//! and does not keep them from ending.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use alluxio_testservers::mounts;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const TESTS: &[mounts::Test] = &[
    ("connections_of_others_go_on_when_all_are_given_up", others_go_on),
    ("connections_of_others_end_while_a_test_runs", others_end),
];
/// Longest run of one test.
const LIMIT: Duration = Duration::from_secs(60);
/// First argument of this program when it is another test than the one that mounts.
const OTHER: &str = "another-test";
/// What the other test says when it is in its namespace.
const THERE: &str = "I am there";

fn main() -> ExitCode {
    let other = std::env::args().nth(1).is_some_and(|first| first == OTHER);
    if let Err(code) = mounts::enter() {
        return code;
    }
    if other {
        be_another_test();
        return ExitCode::SUCCESS;
    }
    mounts::run(TESTS, LIMIT)
}

/// A connection whose server never answers.
struct Connection {
    device: File,
    point: PathBuf,
    _dir: TempDir,
}

impl Connection {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let point = dir.path().join("a mount");
        std::fs::create_dir(&point).unwrap();
        let device = OpenOptions::new().read(true).write(true).open("/dev/fuse").unwrap();
        let words = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
        let words = CString::new(words).unwrap();
        mount("alluxio", &point, "fuse.alluxio", MountFlags::empty(), Some(words.as_c_str()))
            .unwrap();
        Connection { device, point, _dir: dir }
    }

    fn lives(&self) -> bool {
        let mut asked = [PollFd::new(&self.device, PollFlags::empty())];
        poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap();
        !asked[0].revents().contains(PollFlags::ERR)
    }

    fn is_mounted(&self) -> bool {
        mounts::mounts().contains(&self.point)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let _ = unmount(&self.point, UnmountFlags::DETACH);
    }
}

fn be_another_test() {
    assert_eq!(mounts::mounts(), Vec::<PathBuf>::new(), "it begins with none");
    let mine = Connection::new();
    say_and_wait(&mine.point);
    mounts::give_up_all();
    assert!(!mine.is_mounted() && !mine.lives(), "its own is given up");
}

#[expect(clippy::print_stdout, reason = "so tests speak to each other")]
fn say_and_wait(point: &Path) {
    println!("{THERE}: {}", point.display());
    // Until the one that has started this one hangs up.
    std::io::stdin().lines().for_each(drop);
}

/// Starts another test, as somebody else would: it knows nothing of this one's namespace.
fn another_test() -> Child {
    let mut command = Command::new("env");
    command.args(["--unset", "ALLUXIO_TEST_INSIDE"]).arg(std::env::current_exe().unwrap());
    let mut child =
        command.arg(OTHER).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
    assert!(said.starts_with(THERE), "{said}");
    child
}

fn end(mut child: Child) {
    child.stdin.take().unwrap().flush().unwrap();
    assert!(child.wait().unwrap().success(), "what it said is above");
}

fn others_go_on() {
    let mine = Connection::new();
    end(another_test());
    assert!(mine.is_mounted() && mine.lives());
}

fn others_end() {
    let mine = Connection::new();
    let other = another_test();
    assert!(mine.lives());
    unmount(&mine.point, UnmountFlags::empty()).unwrap();
    assert!(!mine.lives(), "the other namespace holds it");
    end(other);
}
