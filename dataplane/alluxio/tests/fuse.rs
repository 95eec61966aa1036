//! Mounts as a user makes them, on the kernel's own FUSE. Where mounting is not allowed (no root, no
//! device), that is said and nothing is tested, except in CI, where it is a failure.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use alluxio_testkit::ProcessCluster;
use alluxio_testservers::mounts;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

/// Takes the mount away whatever happens: nothing may wait for a server that is gone.
struct Mount<'a> {
    cluster: &'a ProcessCluster,
    point: PathBuf,
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = self.cluster.alluxio(&["fuse", "unmount", "--force", self.point.to_str().unwrap()]);
    }
}

fn said(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    text
}

fn start() -> ProcessCluster {
    let mut cluster = ProcessCluster::start(Path::new(env!("CARGO_BIN_EXE_alluxio")), &[]).unwrap();
    cluster.start_worker(1).unwrap();
    cluster
}

#[test]
fn a_mount_is_made_shown_and_taken_away() {
    let cluster = start();
    let point = cluster.dir().join("mount point");
    fs::create_dir(&point).unwrap();
    let at = point.to_str().unwrap();
    let mounted = cluster.alluxio(&["fuse", "mount", "/", at, "-o", "attr_timeout=5"]).unwrap();
    if said(&mounted).contains("needs root") || said(&mounted).contains("/dev/fuse") {
        return mounts::not_tested(said(&mounted));
    }
    let _mount = Mount { cluster: &cluster, point: point.clone() };
    assert!(mounted.status.success(), "{}", said(&mounted));
    assert!(said(&mounted).contains("is mounted at"), "{}", said(&mounted));
    fs::write(point.join("hello"), "from the kernel").unwrap();
    let read = cluster.alluxio(&["fs", "cat", "/hello"]).unwrap();
    assert_eq!(said(&read), "from the kernel");
    let shown = cluster.alluxio(&["fuse", "stat"]).unwrap();
    assert!(said(&shown).contains(&format!("alluxio:/ on {at} ")), "{}", said(&shown));
    let again = cluster.alluxio(&["fuse", "mount", "/", at]).unwrap();
    assert!(!again.status.success() && said(&again).contains("is not empty"), "{}", said(&again));
    let held = fs::File::open(point.join("hello")).unwrap();
    let busy = cluster.alluxio(&["fuse", "unmount", at]).unwrap();
    assert!(!busy.status.success() && said(&busy).contains("is in use"), "{}", said(&busy));
    drop(held);
    let gone = cluster.alluxio(&["fuse", "unmount", at]).unwrap();
    assert!(gone.status.success(), "{}", said(&gone));
    assert_eq!(fs::read_dir(&point).unwrap().count(), 0);
    let twice = cluster.alluxio(&["fuse", "unmount", at]).unwrap();
    assert!(said(&twice).contains("nothing of Alluxio is mounted at"), "{}", said(&twice));
}

#[test]
fn what_cannot_be_mounted_is_named_and_leaves_nothing_behind() {
    let cluster = start();
    let point = cluster.dir().join("point");
    fs::create_dir(&point).unwrap();
    let at = point.to_str().unwrap();
    for (arguments, wanted) in [
        (&["fuse", "mount", "/none", at][..], "/none cannot be mounted"),
        (&["fuse", "mount", "/", "/no/such/place"], "cannot be mounted on"),
        (&["fuse", "mount", "/", at, "-o", "allow_othr"], "\"allow_othr\" is no option"),
        (
            &["fuse", "mount", "/", at, "-o", "attr_timeout=x"],
            "attr_timeout is a number of seconds",
        ),
        (&["fuse", "unmount", at], "nothing of Alluxio is mounted at"),
    ] {
        let output = cluster.alluxio(arguments).unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        assert!(said(&output).contains(wanted), "{arguments:?}: {}", said(&output));
        assert_eq!(fs::read_dir(&point).unwrap().count(), 0);
    }
}
