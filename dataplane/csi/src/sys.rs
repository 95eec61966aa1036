//! The one call of the kernel that no safe wrapper offers. The only module of this crate where `unsafe` is
//! allowed.
#![expect(unsafe_code, reason = "no safe wrapper offers mount_setattr")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// `struct mount_attr` of the kernel, in its first and only version.
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

/// `MOUNT_ATTR_RDONLY`.
const READ_ONLY: u64 = 0x1;
/// `MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV`.
const NO_SUID_NO_DEV: u64 = 0x2 | 0x4;

/// Makes a mount that is attached nowhere yet private, without setuid programs and devices, and read-only if
/// wanted: whoever sees it later never sees it otherwise.
///
/// **Source**: mount_setattr(2); Linux 5.12.
pub(crate) fn restrict(tree: BorrowedFd<'_>, read_only: bool) -> io::Result<()> {
    let set = NO_SUID_NO_DEV | if read_only { READ_ONLY } else { 0 };
    let attr = MountAttr { set, clear: 0, propagation: libc::MS_PRIVATE, userns: 0 };
    // SAFETY: the path is a string that ends with a zero byte, the structure has the kernel's layout and the
    // length that is told, both live through the call, and the descriptor is open for as long.
    let outcome = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH as libc::c_uint,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
