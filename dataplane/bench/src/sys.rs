//! What the benchmarks ask of the kernel: huge-page tmpfs, memory of a process.

use std::path::{Path, PathBuf};

/// Pages of the top tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Pages {
    /// Huge ones where this process may mount a tmpfs, else small ones.
    Huge,
    /// 4 KiB.
    Small,
}

/// A folder for the top tier: a tmpfs of huge pages that is mounted for the time of the benchmark if
/// this process may, else plain tmpfs, else the temporary folder.
pub(crate) struct TierDir {
    path: PathBuf,
    /// What it is, for people.
    pub(crate) kind: &'static str,
    /// Whether its files lie on huge pages.
    pub(crate) huge_pages: bool,
    mounted: bool,
    _plain: Option<tempfile::TempDir>,
}

impl TierDir {
    /// A folder below `base`, or in `/dev/shm`.
    pub(crate) fn make(base: &Path, bytes: u64, pages: Pages) -> anyhow::Result<TierDir> {
        let path = base.join("tier");
        std::fs::create_dir_all(&path)?;
        if pages == Pages::Huge && mount(&path, "always", bytes)? {
            let kind = "tmpfs, huge pages";
            return Ok(TierDir { path, kind, huge_pages: true, mounted: true, _plain: None });
        }
        if let Some(small) = TierDir::small_pages(bytes)? {
            return Ok(small);
        }
        let kind = "temporary folder";
        Ok(TierDir { path, kind, huge_pages: false, mounted: false, _plain: None })
    }

    /// A folder on a tmpfs of small pages; `None` where there is none.
    pub(crate) fn small_pages(bytes: u64) -> anyhow::Result<Option<TierDir>> {
        let shm = Path::new("/dev/shm");
        let mut builder = tempfile::Builder::new();
        let Ok(plain) = builder.prefix("alluxio-bench-").tempdir_in(shm) else { return Ok(None) };
        let path = plain.path().to_owned();
        // The machine's own one may have another setting.
        let mounted = mount(&path, "never", bytes)?;
        let kind = "tmpfs, 4 KiB pages";
        Ok(Some(TierDir { path, kind, huge_pages: false, mounted, _plain: Some(plain) }))
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Mounts a tmpfs; whether this process may.
fn mount(path: &Path, huge: &str, bytes: u64) -> anyhow::Result<bool> {
    let options = std::ffi::CString::new(format!("huge={huge},size={bytes}"))?;
    let flags = rustix::mount::MountFlags::NOSUID | rustix::mount::MountFlags::NODEV;
    Ok(rustix::mount::mount("tmpfs", path, "tmpfs", flags, Some(options.as_c_str())).is_ok())
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
