//! The child's side: does one piece of work and says what came of it. It may be killed at any moment, so each piece
//! can be done again.

use super::{Bind, Came, PathWork, Usage};
use crate::mountinfo::Table;
use crate::sys;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, UnmountFlags};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Most layers that are taken away from one path: more of them mean that somebody mounts as we unmount.
const LAYERS_MAX: usize = 64;

/// What was tried, and how the system refused it.
type Refusal = (&'static str, Errno);

/// Does the work that `words` (what the parent wrote) tell; returns the line for the parent.
///
/// **Errors**: when the words are none of the parent's.
pub fn run(words: &str) -> Result<String, String> {
    let work: PathWork = serde_json::from_str(words).map_err(|error| error.to_string())?;
    let came = match carry_out(&work) {
        Ok(came) => came,
        Err((action, errno)) => {
            Came::Failed { action: action.to_owned(), errno: errno.raw_os_error() }
        }
    };
    serde_json::to_string(&came).map_err(|error| error.to_string())
}

fn carry_out(work: &PathWork) -> Result<Came, Refusal> {
    match work {
        PathWork::Bind(wanted) => bind(wanted).map(|()| Came::Done),
        PathWork::Unmount { target, keep, remove } => {
            unmount(target, *keep)?;
            if *remove {
                remove_place(target)?;
            }
            Ok(Came::Done)
        }
        PathWork::Usage { path } => usage(path).map(Came::Usage),
    }
}

fn bind(wanted: &Bind) -> Result<(), Refusal> {
    let shown = directory(wanted)?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = rustix::mount::open_tree(&shown, "", flags).map_err(|error| ("clone", error))?;
    // Before anybody sees it. A later remount would leave copies in pods writable.
    sys::restrict(tree.as_fd(), wanted.read_only)
        .map_err(|error| ("restrict", Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
    make_place(&wanted.target)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(&tree, "", CWD, &wanted.target, flags)
        .map_err(|error| ("mount", error))
}

/// The directory that is shown.
fn directory(wanted: &Bind) -> Result<OwnedFd, Refusal> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let whole = rustix::fs::open(&wanted.source, flags, Mode::empty());
    let whole = whole.map_err(|error| ("open", error))?;
    if wanted.sub_path.is_empty() {
        return Ok(whole);
    }
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(&whole, &wanted.sub_path, flags, Mode::empty(), resolve)
        .map_err(|error| ("open subPath of", error))
}

/// The kubelet makes the folder above.
fn make_place(target: &Path) -> Result<(), Refusal> {
    match rustix::fs::mkdir(target, Mode::from_raw_mode(0o750)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(("make", error)),
    }
}

fn unmount(target: &Path, keep: usize) -> Result<(), Refusal> {
    for _ in 0..LAYERS_MAX {
        let table = Table::read().map_err(|_| ("read the table of mounts for", Errno::IO))?;
        if table.at(target).count() <= keep {
            return Ok(());
        }
        let flags = UnmountFlags::NOFOLLOW;
        match rustix::mount::unmount(target, flags) {
            // Somebody took it away meanwhile, with the directory perhaps.
            Ok(()) | Err(Errno::INVAL | Errno::NOENT) => {}
            // A program of the pod that outlives it must not keep the pod from ending.
            Err(Errno::BUSY) => rustix::mount::unmount(target, flags | UnmountFlags::DETACH)
                .map_err(|error| ("detach", error))?,
            Err(error) => return Err(("unmount", error)),
        }
    }
    Err(("unmount", Errno::BUSY))
}

fn remove_place(target: &Path) -> Result<(), Refusal> {
    match rustix::fs::rmdir(target) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(("remove", error)),
    }
}

fn usage(path: &Path) -> Result<Usage, Refusal> {
    let facts = rustix::fs::statvfs(path).map_err(|error| ("look at", error))?;
    let bytes = |blocks: u64| blocks.saturating_mul(facts.f_frsize);
    Ok(Usage {
        bytes: bytes(facts.f_blocks),
        bytes_left: bytes(facts.f_bavail),
        inodes: facts.f_files,
        inodes_left: facts.f_favail,
    })
}
