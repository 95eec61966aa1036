//! Mounts of tests that cannot outlive them, and time limits that cannot be waited out.

use alluxio_fuse::mount::{self, MountError, Options, Unmount};
use alluxio_testservers::mounts;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use tempfile::TempDir;

/// Longest run of one test.
const LIMIT: Duration = Duration::from_secs(100);

/// A mount point; dropped, its connection is given up, so that whoever waits for it fails at once.
pub(crate) struct Guard {
    path: PathBuf,
    _dir: TempDir,
}

impl Guard {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the mount away as a user would.
    #[allow(dead_code, reason = "this file is part of two programs of tests")]
    pub(crate) fn unmount(&self) {
        mount::unmount(&self.path, Unmount::Lazy).unwrap();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = mount::unmount(&self.path, Unmount::Force);
    }
}

/// What the folders of this process begin with: mounts of others are none of its business.
fn prefix() -> String {
    format!("alluxio-kernel-test-{}-", std::process::id())
}

/// A fresh mount; `None` where mounting is not allowed.
pub(crate) fn mounted() -> Option<(Guard, OwnedFd)> {
    let dir = TempDir::with_prefix(prefix()).unwrap();
    let path = dir.path().join("mount");
    std::fs::create_dir(&path).unwrap();
    match mount::mount(&path, &Options::default()) {
        Ok(mounted) => Some((Guard { path: mounted.path, _dir: dir }, mounted.device)),
        Err(error @ (MountError::NotPermitted | MountError::NoDevice { .. })) => {
            mounts::not_tested(error);
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Runs `test` on a thread of its own; a hang ends every mount of this process, and the test.
pub(crate) fn bounded(test: impl FnOnce() + Send + 'static) {
    bounded_for(LIMIT, test);
}

/// The same, with more time.
pub(crate) fn bounded_for(limit: Duration, test: impl FnOnce() + Send + 'static) {
    let (done, ended) = channel();
    let runs = std::thread::spawn(move || {
        test();
        let _ = done.send(());
    });
    match ended.recv_timeout(limit) {
        Ok(()) | Err(RecvTimeoutError::Disconnected) => {
            if let Err(panic) = runs.join() {
                std::panic::resume_unwind(panic);
            }
        }
        Err(RecvTimeoutError::Timeout) => {
            for row in mount::table().unwrap() {
                if row.path.to_string_lossy().contains(&prefix()) {
                    let _ = mount::unmount(&row.path, Unmount::Force);
                }
            }
            panic!("the test hangs; its mounts are given up");
        }
    }
}
