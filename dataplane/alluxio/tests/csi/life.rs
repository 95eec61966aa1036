//! A volume of a cluster in a pod, while everything that serves it is killed.

use crate::Test;
use crate::stack::{Stack, until};
use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub(crate) const TESTS: &[Test] = &[
    ("a_volume_outlives_whoever_serves_it", a_volume_outlives),
    ("a_volume_has_its_size_and_not_more", a_volume_has_its_size),
    ("a_directory_that_is_no_volume_is_not_deleted", not_a_volume),
];

/// First argument of this program when it is a program in a pod.
pub(crate) const READER: &str = "reader";

/// A program in a pod that has a file open. It is a process of its own: what this one has open, its children close
/// when they begin, and an agent that begins must not wait for itself.
struct Reader {
    child: Child,
    asked: ChildStdin,
    told: BufReader<ChildStdout>,
}

impl Reader {
    fn start(path: &Path) -> Reader {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(READER).arg(path).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (asked, told) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Reader { child, asked, told: BufReader::new(told) }
    }

    /// Length and sum of the bytes that it reads through what it has open.
    fn read(&mut self) -> String {
        self.asked.write_all(b"read\n").unwrap();
        let mut line = String::new();
        self.told.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn summary(bytes: &[u8]) -> String {
    let sum =
        bytes.iter().fold(0u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    format!("{} {sum}", bytes.len())
}

/// The program in the pod.
pub(crate) fn read_on_demand(path: &str) {
    let mut file = fs::File::open(path).unwrap();
    for _ in std::io::stdin().lines() {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        println!("{}", summary(&bytes));
    }
}

fn a_volume_outlives() {
    let mut stack = Stack::start();
    let class = [("path", "/volumes"), ("fuse.attr_timeout", "0.2"), ("fuse.entry_timeout", "0.2")];
    let volume = stack.create("pv-1", &class);
    assert_eq!(stack.create("pv-1", &class), volume, "a name is one volume");
    let target = stack.dir().join("pod");
    stack.publish(&volume, &target);
    let text = "from a pod\n".repeat(50_000);
    fs::write(target.join("file"), &text).unwrap();
    assert_eq!(stack.alluxio(&["fs", "cat", "/volumes/pv-1/file"]), text);

    let mut reader = Reader::start(&target.join("file"));
    let mut reads = || assert_eq!(reader.read(), summary(text.as_bytes()));
    reads();
    // One at a time: files that are open stay so.
    stack.kill_driver();
    reads();
    stack.start_driver();
    stack.kill_agent();
    stack.start_agent();
    reads();
    stack.kill_keeper();
    reads();
    stack.start_keeper();
    drop(reader);
    // All at once: what was open is lost, what is opened afterwards is not.
    stack.kill_driver();
    stack.kill_keeper();
    stack.kill_agent();
    stack.start_keeper();
    stack.start_driver();
    stack.start_agent();
    until("the ladder", || fs::read_to_string(target.join("file")).is_ok_and(|read| read == text));

    stack.unpublish(&volume, &target);
    assert!(!target.exists());
    stack.delete(&volume);
    let gone = stack.alluxio(&["fs", "ls", "/volumes/pv-1"]);
    assert!(gone.contains("does not exist"), "{gone}");
}

fn a_volume_has_its_size() {
    const MIB: i64 = 1 << 20;
    let stack = Stack::start();
    let class = [("path", "/volumes"), ("onDelete", "Retain")];
    let volume = stack.create_of("small", &class, 2 * MIB);
    let target = stack.dir().join("pod");
    stack.publish(&volume, &target);
    assert_eq!(stack.usage(&volume, &target), [(2 * MIB, 0)]);
    let write = |name: &str, bytes: i64| {
        let mut file = fs::File::create(target.join(name))?;
        file.write_all(&vec![7; usize::try_from(bytes).unwrap()])?;
        file.sync_all()
    };
    write("a", MIB).unwrap();
    let refused = write("b", MIB + 1).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::QuotaExceeded, "{refused}");
    assert_eq!(stack.usage(&volume, &target), [(2 * MIB, MIB)]);
    // The pod goes on in more room at once.
    stack.expand(&volume, 4 * MIB);
    assert_eq!(stack.usage(&volume, &target), [(4 * MIB, MIB)]);
    write("b", MIB + 1).unwrap();
    let told = stack.alluxio(&["--json", "fs", "quota", "get", "/volumes/small"]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&told["quotaBytes"], &told["usedBytes"]),
        (&(4 * MIB).into(), &(2 * MIB + 1).into())
    );
    stack.unpublish(&volume, &target);
    stack.delete(&volume);
    // What is kept is no volume any more.
    let told = stack.alluxio(&["fs", "quota", "get", "/volumes/small"]);
    assert!(told.contains("none") && told.contains("/volumes/small"), "{told}");
}

fn not_a_volume() {
    let stack = Stack::start();
    let kept = stack.create("kept", &[("path", "/volumes"), ("onDelete", "Retain")]);
    let archived = stack.create("archived", &[("path", "/volumes"), ("onDelete", "Archive")]);
    for volume in [&kept, &archived] {
        stack.delete(volume);
        stack.delete(volume);
    }
    let left = stack.alluxio(&["fs", "ls", "/volumes"]);
    assert!(
        left.contains("/volumes/kept") && left.contains("/volumes/archived-archived-1"),
        "{left}"
    );
    // Another volume that would lie there, in what was kept: its owner has to say so.
    stack.alluxio(&["fs", "mkdir", "/volumes/kept/mine"]);
    let class = [("path", "/volumes"), ("pathPattern", "kept")];
    let refused = stack.try_create("other", &class).unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition, "{}", refused.message());
}
