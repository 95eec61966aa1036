//! What the kernel does with the descriptor of a connection besides reading and writing, how a thread that reads is
//! woken, and who is at the other end of a socket. The only module of this crate where `unsafe` is allowed.
//!
//! **Source**: `include/uapi/linux/fuse.h`, `FUSE_DEV_IOC_*`; sigaction(2), pthread_kill(3); unix(7).
#![expect(unsafe_code, reason = "no safe wrapper offers these calls")]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::thread::JoinHandleExt;
use std::thread::JoinHandle;

/// `_IOR(229, 0, u32)`.
const IOC_CLONE: libc::c_ulong = 0x8004_e500;
/// `_IOW(229, 1, struct fuse_backing_map)`.
const IOC_BACKING_OPEN: libc::c_ulong = 0x4010_e501;
/// `_IOW(229, 2, u32)`.
const IOC_BACKING_CLOSE: libc::c_ulong = 0x4004_e502;

/// `struct fuse_backing_map`.
#[repr(C)]
struct BackingMap {
    fd: i32,
    flags: u32,
    padding: u64,
}

/// Opens the device: a descriptor without a connection.
pub(crate) fn open_device() -> io::Result<OwnedFd> {
    let file: File = OpenOptions::new().read(true).write(true).open("/dev/fuse")?;
    Ok(file.into())
}

/// One more descriptor of a connection, with a queue of its own for what it has read.
pub(crate) fn clone_channel(main: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let device = open_device()?;
    let fd = main.as_raw_fd() as u32;
    // SAFETY: the call reads one `u32` behind the pointer, which lives through the call; both
    // descriptors are open for as long.
    let outcome = unsafe { libc::ioctl(device.as_raw_fd(), IOC_CLONE, &raw const fd) };
    if outcome == 0 { Ok(device) } else { Err(io::Error::last_os_error()) }
}

/// Makes a file known to the kernel as one that opens may be passed through to.
pub(crate) fn backing_open(main: BorrowedFd<'_>, file: BorrowedFd<'_>) -> io::Result<u32> {
    let map = BackingMap { fd: file.as_fd().as_raw_fd(), flags: 0, padding: 0 };
    // SAFETY: the call reads one `BackingMap`, which has the kernel's layout and lives through the
    // call; the kernel takes a reference of its own on the file.
    let outcome = unsafe { libc::ioctl(main.as_raw_fd(), IOC_BACKING_OPEN, &raw const map) };
    u32::try_from(outcome).map_err(|_| io::Error::last_os_error())
}

/// Ends what [`backing_open`] began. Handles that are open go on reading.
pub(crate) fn backing_close(main: BorrowedFd<'_>, id: u32) -> io::Result<()> {
    // SAFETY: the call reads one `u32` behind the pointer, which lives through the call.
    let outcome = unsafe { libc::ioctl(main.as_raw_fd(), IOC_BACKING_CLOSE, &raw const id) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Ends calls that wait. Ignored by a process that has no handler, so that it can do no harm.
const WAKE: libc::c_int = libc::SIGURG;

extern "C" fn nothing(_signal: libc::c_int) {}

/// From now on [`wake`] ends what a thread waits for in the kernel, with `EINTR`. For the whole process;
/// may be called again.
pub(crate) fn can_be_woken() -> io::Result<()> {
    // SAFETY: all bytes zero is a valid `sigaction`: no flags (so no SA_RESTART), an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: the action lives through the call; its handler does nothing, which is allowed at any moment.
    let outcome = unsafe { libc::sigaction(WAKE, &raw const action, std::ptr::null_mut()) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Ends a call that the thread waits in now, if it does.
pub(crate) fn wake(thread: &JoinHandle<()>) {
    // SAFETY: the thread is not joined while its handle is borrowed, so its id is valid; the signal has a
    // handler that does nothing, or is ignored.
    let _ = unsafe { libc::pthread_kill(thread.as_pthread_t(), WAKE) };
}

extern "C" fn end(_signal: libc::c_int) {
    // SAFETY: may be called in a handler; nothing of this process has to be put in order.
    unsafe { libc::_exit(0) }
}

/// From now on SIGTERM ends this process at once, also as the first process of a container, which the kernel keeps from
/// every signal that has no handler. For processes with nothing to put in order.
pub(crate) fn end_when_told() -> io::Result<()> {
    // SAFETY: all bytes zero is a valid `sigaction`: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = end as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: the action lives through the call; its handler calls what may be called at any moment.
    let outcome =
        unsafe { libc::sigaction(libc::SIGTERM, &raw const action, std::ptr::null_mut()) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Who is at the other end of a Unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Its user.
    pub(crate) uid: u32,
    /// Its process; `None` for one that our namespace of processes does not show, as of another container.
    pub(crate) process: Option<i32>,
}

/// Asks the kernel for the other end. rustix has a number for a process that is not 0, and so takes one that is not
/// shown for a failure.
pub(crate) fn peer(socket: BorrowedFd<'_>) -> io::Result<Peer> {
    let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the call writes at most `length` bytes behind the pointer, which is a whole `ucred`; any bytes are one.
    // Both live through the call.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut length,
        )
    };
    if outcome != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Peer { uid: peer.uid, process: (peer.pid != 0).then_some(peer.pid) })
}
