//! Mount points: making them, finding them, taking them away. Reads the kernel's table, never the path
//! itself where that could wait for a server that is gone.

use crate::sys;
use rustix::mount::{MountFlags, UnmountFlags};
use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// How the kernel's table calls our mounts, behind `fuse.`.
pub const SUBTYPE: &str = "alluxio";

/// How a mount point is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What the kernel's table shows as the source.
    pub source: String,
    /// Whether other users than the one who mounts may use it.
    pub allow_other: bool,
    /// Whether the kernel checks permission bits, besides the master.
    pub default_permissions: bool,
    /// Whether changes are refused.
    pub read_only: bool,
    /// Longest read, in bytes; 0 for the kernel's choice.
    pub max_read: u32,
    /// Whether a directory with something in it may be mounted over.
    pub nonempty: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            source: "alluxio".into(),
            allow_other: true,
            default_permissions: true,
            read_only: false,
            max_read: 0,
            nonempty: false,
        }
    }
}

/// Why a path is not mounted, or stays mounted.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The path cannot be looked at.
    #[error("{} cannot be mounted on: {source}", path.display())]
    NoMountPoint {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no directory.
    #[error("{} is not a directory", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// It has something in it.
    #[error("{} is not empty; mount over it with -o nonempty", path.display())]
    NotEmpty {
        /// The path.
        path: PathBuf,
    },
    /// The server of what is mounted there is gone.
    #[error(
        "{} is the mount point of a server that is gone; take it away first: alluxio fuse unmount --force",
        path.display()
    )]
    Dead {
        /// The path.
        path: PathBuf,
    },
    /// There is no device.
    #[error(
        "/dev/fuse cannot be opened: {source}; is the fuse module loaded and the device passed into \
             this container?"
    )]
    NoDevice {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Not root.
    #[error(
        "mounting needs root (CAP_SYS_ADMIN); mounting through fusermount3 is not available yet"
    )]
    NotPermitted,
    /// The kernel refuses.
    #[error("the kernel does not mount {}: {source}", path.display())]
    Refused {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nothing of ours is mounted there.
    #[error("nothing of Alluxio is mounted at {}", path.display())]
    NotMounted {
        /// The path.
        path: PathBuf,
    },
    /// Somebody uses it.
    #[error("{} is in use; --lazy takes it away when nobody uses it any more", path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// A word of the options that cannot be.
    #[error("{option:?} cannot stand in the options of a mount")]
    BadOption {
        /// The word.
        option: String,
    },
}

/// A mount point that was just made; its connection has not begun.
#[derive(Debug)]
pub struct Mounted {
    /// The descriptor of the connection. The mount lives while it, or a copy of it, is open.
    pub device: OwnedFd,
    /// Where.
    pub path: PathBuf,
}

/// Mounts a new connection at `path`.
///
/// **Errors**: see [`MountError`]; nothing is mounted then.
pub fn mount(path: &Path, options: &Options) -> Result<Mounted, MountError> {
    let path = check_place(path, options.nonempty)?;
    mount_over(path, options)
}

/// Mounts at an absolute path without links, over whatever is there; the path is not looked at, for what is
/// there may be a mount whose server is gone.
///
/// **Errors**: as [`mount`], without those of a place.
pub(crate) fn mount_over(path: PathBuf, options: &Options) -> Result<Mounted, MountError> {
    let device = sys::open_device().map_err(|source| MountError::NoDevice { source })?;
    let words = words(options, &device)?;
    let mut flags = MountFlags::NOSUID | MountFlags::NODEV;
    if options.read_only {
        flags |= MountFlags::RDONLY;
    }
    let kind = format!("fuse.{SUBTYPE}");
    let source = options.source.as_str();
    match rustix::mount::mount(source, &path, kind.as_str(), flags, Some(words.as_c_str())) {
        Ok(()) => Ok(Mounted { device, path }),
        Err(rustix::io::Errno::PERM | rustix::io::Errno::ACCESS) => Err(MountError::NotPermitted),
        Err(source) => Err(MountError::Refused { path, source: source.into() }),
    }
}

fn words(options: &Options, device: &OwnedFd) -> Result<CString, MountError> {
    use std::os::fd::AsRawFd;
    if options.source.contains(',') || options.source.contains('\0') {
        return Err(MountError::BadOption { option: options.source.clone() });
    }
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let mut words = format!(
        "fd={},rootmode=40000,user_id={},group_id={}",
        device.as_raw_fd(),
        uid.as_raw(),
        gid.as_raw()
    );
    for (wanted, word) in [
        (options.allow_other, ",allow_other".to_owned()),
        (options.default_permissions, ",default_permissions".to_owned()),
        (options.max_read > 0, format!(",max_read={}", options.max_read)),
    ] {
        if wanted {
            words.push_str(&word);
        }
    }
    Ok(CString::new(words).expect("numbers and fixed words have no zero byte"))
}

/// The path, absolute and without links, if it can be mounted on.
///
/// **Errors**: `NoMountPoint`, `Dead`, `NotADirectory`, `NotEmpty`.
pub(crate) fn check_place(path: &Path, nonempty: bool) -> Result<PathBuf, MountError> {
    let no_place = |source: io::Error| match source.raw_os_error() {
        Some(libc::ENOTCONN) => MountError::Dead { path: path.to_owned() },
        _ => MountError::NoMountPoint { path: path.to_owned(), source },
    };
    let path = path.canonicalize().map_err(no_place)?;
    if !path.metadata().map_err(no_place)?.is_dir() {
        return Err(MountError::NotADirectory { path });
    }
    let mut names = path.read_dir().map_err(no_place)?;
    if !nonempty && names.next().is_some() {
        return Err(MountError::NotEmpty { path });
    }
    Ok(path)
}

/// Shows what is mounted at one place at another one too.
///
/// **Errors**: `NotPermitted`, `Refused`.
pub(crate) fn bind(from: &Path, to: &Path) -> Result<(), MountError> {
    match rustix::mount::mount_bind(from, to) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::PERM | rustix::io::Errno::ACCESS) => Err(MountError::NotPermitted),
        Err(source) => Err(MountError::Refused { path: to.to_owned(), source: source.into() }),
    }
}

/// A mount of ours, as the kernel's table shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRow {
    /// Where.
    pub path: PathBuf,
    /// What was given as the source.
    pub source: String,
    /// Number of the device, which the kernel also names the connection by.
    pub device: String,
    /// Options of the mount point and of the file system.
    pub options: String,
}

/// Our mounts in this mount namespace. Touches none of them.
///
/// **Errors**: when `/proc` is not there.
pub fn table() -> io::Result<Vec<TableRow>> {
    let text = std::fs::read_to_string("/proc/self/mountinfo")?;
    Ok(text.lines().filter_map(row).collect())
}

/// The row of a path: of several mounts over each other, the one that is seen.
pub(crate) fn row_of(path: &Path) -> Option<TableRow> {
    table().unwrap_or_default().into_iter().rev().find(|row| row.path == path)
}

/// What the kernel reads ahead, in KiB: one request of the largest size.
const READ_AHEAD_KB: &str = "1024";

/// Has the kernel read ahead as much as one request can carry. A wish: without it, reading is slower.
pub(crate) fn read_ahead(device: &str) {
    let file = format!("/sys/class/bdi/{device}/read_ahead_kb");
    if let Err(error) = std::fs::write(&file, READ_AHEAD_KB) {
        tracing::debug!(file, %error, "the kernel reads ahead as it likes");
    }
}

/// **Source**: proc_pid_mountinfo(5).
fn row(line: &str) -> Option<TableRow> {
    let (front, back) = line.split_once(" - ")?;
    let front: Vec<&str> = front.split(' ').collect();
    let back: Vec<&str> = back.split(' ').collect();
    let ([_, _, device, _, path, flags, ..], [kind, source, options]) = (&front[..], &back[..])
    else {
        return None;
    };
    (kind.strip_prefix("fuse.") == Some(SUBTYPE)).then(|| TableRow {
        path: PathBuf::from(unescaped(path)),
        source: unescaped(source),
        device: (*device).to_owned(),
        options: format!("{flags},{options}"),
    })
}

/// Blanks and the like are written as `\040`.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend(&part.as_bytes()[3..]);
            }
            None => {
                bytes.push(b'\\');
                bytes.extend(part.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// How much may be broken when a mount is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmount {
    /// Only when nobody uses it.
    Idle,
    /// The name goes now, the file system when nobody uses it any more.
    Lazy,
    /// Now: the connection is given up first, and all that waits for it fails: wherever it is mounted, also at other
    /// places and in other mount namespaces, which have copies of what was mounted when they began.
    Force,
}

/// Takes away what is mounted at `path`. May wait for a server that hangs, unless forced: call it from a
/// process that can be left behind.
///
/// **Errors**: `NotMounted`, `InUse`, `NotPermitted`, `Refused`.
pub fn unmount(path: &Path, how: Unmount) -> Result<(), MountError> {
    let flags = match how {
        Unmount::Idle => UnmountFlags::empty(),
        Unmount::Lazy => UnmountFlags::DETACH,
        Unmount::Force => UnmountFlags::FORCE | UnmountFlags::DETACH,
    };
    match rustix::mount::unmount(path, flags | UnmountFlags::NOFOLLOW) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::BUSY) => Err(MountError::InUse { path: path.to_owned() }),
        Err(rustix::io::Errno::INVAL) => Err(MountError::NotMounted { path: path.to_owned() }),
        Err(rustix::io::Errno::PERM) => Err(MountError::NotPermitted),
        Err(error) => Err(MountError::Refused { path: path.to_owned(), source: error.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rows_of_ours_are_shown_with_their_blanks() {
        let line = "98 29 0:52 / /mnt/a\\040b rw,nosuid shared:7 - fuse.alluxio al,/x rw,user_id=0";
        let row = row(line).unwrap();
        assert_eq!(row.path, Path::new("/mnt/a b"));
        assert_eq!((row.source.as_str(), row.device.as_str()), ("al,/x", "0:52"));
        assert!(super::row(&line.replace("fuse.alluxio", "fuse.sshfs")).is_none());
        assert!(super::row("").is_none());
        assert_eq!(unescaped("a\\04"), "a\\04");
    }

    #[test]
    fn what_cannot_be_mounted_on_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let refused = |path: &Path| mount(path, &Options::default()).unwrap_err().to_string();
        assert!(refused(dir.path()).contains("is not empty"));
        assert!(refused(&dir.path().join("file")).contains("is not a directory"));
        assert!(refused(&dir.path().join("none")).contains("No such file"));
    }
}
