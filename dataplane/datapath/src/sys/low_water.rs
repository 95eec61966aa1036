//! How many bytes must have arrived before a TCP socket counts as readable.
#![expect(unsafe_code, reason = "no safe wrapper offers this socket option")]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Sets `SO_RCVLOWAT`. The end of the stream makes the socket readable in any case.
///
/// **Source**: socket(7); since Linux 4.18 the receive buffer grows to hold twice as much.
pub(crate) fn set(socket: impl AsFd, bytes: i32) -> io::Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the pointer and the length describe one `c_int` that lives through the call, and the
    // descriptor is borrowed for as long.
    let outcome = unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_RCVLOWAT,
            (&raw const bytes).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
