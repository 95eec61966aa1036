//! Sessions die or hang.

use crate::Test;
use crate::driver::Driver;
use crate::kubelet::Volume;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) const TESTS: &[Test] = &[
    ("a_dead_session_is_told_at_once_and_bound_anew_also_in_pods", dead_sessions),
    ("a_server_that_hangs_is_a_condition_and_can_be_left", hanging_sessions),
];

/// A pod that gets mounts handed on: a process in a namespace that follows the host's.
struct Pod(Child);

impl Pod {
    fn start() -> Pod {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "slave", "--", "sleep", "1000"]);
        Pod(command.stdin(Stdio::null()).spawn().unwrap())
    }

    /// A path as the pod sees it.
    fn sees(&self, path: &Path) -> PathBuf {
        let root = format!("/proc/{}/root", self.0.id());
        Path::new(&root).join(path.strip_prefix("/").unwrap())
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until it holds. Bounded by far more than it takes: the driver looks every 5 s.
fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn dead_sessions() {
    let driver = Driver::start();
    // As kubelet's folder is: mounts made there are seen in pods.
    let pods = driver.dir().join("pods");
    let kind = rustix::mount::MountFlags::empty();
    rustix::mount::mount("none", &pods, "tmpfs", kind, None).unwrap();
    let shared = rustix::mount::MountPropagationFlags::SHARED;
    rustix::mount::mount_change(&pods, shared).unwrap();
    let volume = Volume { read_only: true, ..Volume::new("v", &[("path", "/data")]) };
    driver.stage(&volume).unwrap();
    driver.publish(&volume, "pod").unwrap();
    let target = driver.target("pod");
    let pod = Pod::start();
    let file = pod.sees(&target).join("f");
    until("the pod sees its volume", || fs::read(&file).is_ok());
    for round in 1..=3 {
        let before = driver.layers("pod").last().unwrap().device.clone();
        driver.sessions.kill_all();
        let asked = Instant::now();
        if driver.layers("pod").last().unwrap().device == before {
            // Unless the driver was faster than we are.
            let stats = driver.stats(&volume, &target).unwrap();
            let abnormal = stats.volume_condition.unwrap().abnormal;
            assert!(abnormal || driver.layers("pod").last().unwrap().device != before);
            assert!(!stats.usage.is_empty(), "the kubelet drops answers without usage");
            assert!(asked.elapsed() < Duration::from_secs(10));
        }
        until("bound anew", || fs::read(target.join("f")).is_ok());
        until("bound anew in the pod", || fs::read(&file).is_ok());
        let layers = driver.layers("pod");
        assert_eq!(layers.len(), 2, "round {round}: one dead layer, and the living one");
        assert!(layers[1].read_only, "what is bound anew is as it was");
        let told = driver.stats(&volume, &target).unwrap().volume_condition.unwrap();
        assert!(!told.abnormal, "{}", told.message);
    }
    let text = driver.metrics.text();
    assert!(text.contains("alluxio_csi_volume_unhealthy 0"), "{text}");
    drop(pod);
    driver.unpublish(&volume, "pod").unwrap();
    driver.unstage(&volume).unwrap();
    assert!(driver.layers("pod").is_empty() && !target.exists());
    assert_eq!(driver.sessions.count(), 0);
    let detach = rustix::mount::UnmountFlags::DETACH;
    rustix::mount::unmount(&pods, detach).unwrap();
}

fn hanging_sessions() {
    let driver = Driver::start();
    let volume = Volume::new("v", &[("path", "/data")]);
    driver.stage(&volume).unwrap();
    driver.publish(&volume, "pod").unwrap();
    driver.sessions.hang(true);
    let stats = driver.stats(&volume, &driver.target("pod")).unwrap();
    let condition = stats.volume_condition.unwrap();
    assert!(condition.abnormal && condition.message.contains("does not answer"), "{condition:?}");
    // The pod ends while nobody answers, and the volume leaves the node.
    driver.unpublish(&volume, "pod").unwrap();
    driver.unstage(&volume).unwrap();
    assert!(!driver.target("pod").exists());
}
