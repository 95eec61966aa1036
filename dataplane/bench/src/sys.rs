//! What the benchmarks ask of the kernel: huge-page tmpfs, memory of a process.

use std::path::{Path, PathBuf};

/// A folder for the top tier: a tmpfs of huge pages that is mounted for the time of the benchmark if
/// this process may, else plain tmpfs, else the temporary folder.
pub(crate) struct TierDir {
    path: PathBuf,
    /// What it is, for people.
    pub(crate) kind: &'static str,
    mounted: bool,
    _plain: Option<tempfile::TempDir>,
}

impl TierDir {
    /// A folder below `base`, or in `/dev/shm`.
    pub(crate) fn make(base: &Path, bytes: u64) -> anyhow::Result<TierDir> {
        let path = base.join("tier");
        std::fs::create_dir_all(&path)?;
        let options = std::ffi::CString::new(format!("huge=always,size={bytes}"))?;
        let flags = rustix::mount::MountFlags::NOSUID | rustix::mount::MountFlags::NODEV;
        if rustix::mount::mount("tmpfs", &path, "tmpfs", flags, Some(options.as_c_str())).is_ok() {
            let kind = "tmpfs, huge pages";
            return Ok(TierDir { path, kind, mounted: true, _plain: None });
        }
        let shm = Path::new("/dev/shm");
        if let Ok(plain) = tempfile::Builder::new().prefix("alluxio-bench-").tempdir_in(shm) {
            let path = plain.path().to_owned();
            let kind = "tmpfs, 4 KiB pages";
            return Ok(TierDir { path, kind, mounted: false, _plain: Some(plain) });
        }
        Ok(TierDir { path, kind: "temporary folder", mounted: false, _plain: None })
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TierDir {
    fn drop(&mut self) {
        if self.mounted {
            // Busy or gone already: the temporary folder's own removal says so.
            let _ = rustix::mount::unmount(&self.path, rustix::mount::UnmountFlags::DETACH);
        }
    }
}

/// Memory of a process that lies in RAM, in bytes; 0 when it is gone.
pub(crate) fn resident_bytes(pid: u32) -> u64 {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else { return 0 };
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
