//! A volume of a cluster in a pod, while everything that serves it is killed.

use crate::Test;
use crate::stack::{Stack, until};
use std::fs;
use std::io::{Read, Seek, SeekFrom};

pub(crate) const TESTS: &[Test] = &[
    ("a_volume_outlives_whoever_serves_it", a_volume_outlives),
    ("a_directory_that_is_no_volume_is_not_deleted", not_a_volume),
];

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

    let mut open = fs::File::open(target.join("file")).unwrap();
    let mut reads = || {
        let mut read = String::new();
        open.seek(SeekFrom::Start(0)).unwrap();
        open.read_to_string(&mut read).unwrap();
        assert_eq!(read, text);
    };
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
