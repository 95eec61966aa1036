//! Opening paths below a root without ever leaving it.

use super::parent_and_name;
use crate::error::{Error, Result};
use crate::location::Location;
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// The mount's directory. Opened anew for each call, so that a file system that was mounted again
/// under the same path is the one that is used.
pub(super) struct Root {
    location: Location,
    path: PathBuf,
}

impl Root {
    pub(super) fn new(location: Location) -> Self {
        let path = PathBuf::from(format!("/{}", location.path()));
        Root { location, path }
    }

    pub(super) fn location(&self) -> &Location {
        &self.location
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn uri(&self, relative: &str) -> String {
        self.location.join(relative)
    }

    /// Opens `relative` for nothing but asking about it.
    pub(super) fn open_path(&self, relative: &str) -> Result<OwnedFd> {
        self.open(relative, OFlags::PATH)
    }

    /// Opens `relative` with `flags`, following links that stay below the root.
    pub(super) fn open(&self, relative: &str, flags: OFlags) -> Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        let root = rustix::fs::open(&self.path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty());
        let root = self.check("", "open", root)?;
        let target = if relative.is_empty() { "." } else { relative };
        let opened = openat2(&root, target, flags, ResolveFlags::BENEATH);
        match opened {
            Err(Errno::XDEV) => self.open_through_absolute_link(&root, relative, flags),
            Err(Errno::NOSYS) => self.open_without_kernel_help(relative, flags),
            other => self.check(relative, "open", other),
        }
    }

    /// The directory that holds `relative`, and the name in it.
    pub(super) fn open_parent<'a>(&self, relative: &'a str) -> Result<(OwnedFd, &'a str)> {
        let (parent, name) = parent_and_name(relative);
        Ok((self.open(parent, OFlags::RDONLY | OFlags::DIRECTORY)?, name))
    }

    /// The kernel refuses every absolute link below a root, also one that leads back below it.
    /// Find out where it leads, then open that place by a way without links.
    fn open_through_absolute_link(
        &self,
        root: &OwnedFd,
        relative: &str,
        flags: OFlags,
    ) -> Result<OwnedFd> {
        let inside = self.canonical(relative)?;
        let opened =
            openat2(root, &inside, flags, ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS);
        self.check(relative, "open", opened)
    }

    /// Kernels before 5.6, and sandboxes that hide `openat2`: check, then open. Somebody who swaps
    /// a directory for a link in between gets through; there is no better way on such a machine.
    fn open_without_kernel_help(&self, relative: &str, flags: OFlags) -> Result<OwnedFd> {
        let inside = self.path.join(self.canonical(relative)?);
        let opened = rustix::fs::openat(CWD, &inside, flags | OFlags::NOFOLLOW, Mode::empty());
        self.check(relative, "open", opened)
    }

    /// Where `relative` leads, as a path below the real root without links.
    fn canonical(&self, relative: &str) -> Result<PathBuf> {
        let io = |error: std::io::Error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            self.error(relative, "open", errno)
        };
        let real_root = self.path.canonicalize().map_err(io)?;
        let real = self.path.join(relative).canonicalize().map_err(io)?;
        let inside = real.strip_prefix(&real_root).map_err(|_| Error::OutsideMount {
            uri: self.uri(relative),
            root: self.location.as_str().to_owned(),
        })?;
        if inside.as_os_str().is_empty() { Ok(PathBuf::from(".")) } else { Ok(inside.to_owned()) }
    }

    /// `result` with an error that names the file.
    pub(super) fn check<T>(
        &self,
        relative: &str,
        operation: &'static str,
        result: rustix::io::Result<T>,
    ) -> Result<T> {
        result.map_err(|errno| self.error(relative, operation, errno))
    }

    /// What `errno` means for a file.
    pub(super) fn error(&self, relative: &str, operation: &'static str, errno: Errno) -> Error {
        let uri = self.uri(relative);
        let detail = std::io::Error::from(errno).to_string();
        match errno {
            Errno::NOENT => Error::NotFound { uri },
            Errno::EXIST => Error::AlreadyExists { uri },
            Errno::NOTDIR => Error::NotADirectory { uri },
            Errno::ISDIR => Error::IsADirectory { uri },
            Errno::NOTEMPTY => Error::NotEmpty { uri },
            Errno::ACCESS | Errno::PERM => Error::PermissionDenied { uri, detail },
            Errno::ROFS => Error::ReadOnly { uri },
            Errno::NOSPC | Errno::DQUOT | Errno::FBIG => Error::NoSpace { uri, detail },
            Errno::XDEV | Errno::LOOP => {
                Error::OutsideMount { uri, root: self.location.as_str().to_owned() }
            }
            Errno::NAMETOOLONG => {
                Error::InvalidUri { uri, why: "a name or the path is too long for it".to_owned() }
            }
            // A dead or restarting NFS server.
            Errno::STALE | Errno::TIMEDOUT | Errno::HOSTDOWN | Errno::HOSTUNREACH | Errno::IO => {
                Error::Unavailable { uri, detail }
            }
            Errno::MFILE | Errno::NFILE | Errno::NOMEM => Error::Busy { uri, detail },
            _ => Error::Failed { uri, operation, detail },
        }
    }
}

/// Opens below `dir`, again when the kernel could not tell because something moved meanwhile.
fn openat2(
    dir: &OwnedFd,
    path: impl AsRef<Path>,
    flags: OFlags,
    resolve: ResolveFlags,
) -> rustix::io::Result<OwnedFd> {
    // The manual page asks for a few tries: EAGAIN means that a rename raced with the walk.
    const TRIES: u32 = 16;
    let mut last = Errno::AGAIN;
    for _ in 0..TRIES {
        match rustix::fs::openat2(dir, path.as_ref(), flags, Mode::empty(), resolve) {
            Err(error @ (Errno::AGAIN | Errno::INTR)) => last = error,
            other => return other,
        }
    }
    Err(last)
}
