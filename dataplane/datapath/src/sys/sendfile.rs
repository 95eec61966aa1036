//! Bytes of a file into a socket without passing through this process.
//!
//! **Source**: sendfile(2).

use std::io;
use std::os::fd::AsFd;

/// Sends up to `count` bytes of `file` from `offset` on. `WouldBlock` when the socket takes none
/// now; 0 at the end of the file.
pub(crate) fn sendfile(
    socket: impl AsFd,
    file: impl AsFd,
    offset: u64,
    count: usize,
) -> io::Result<usize> {
    let mut at = offset;
    Ok(rustix::fs::sendfile(socket, file, Some(&mut at), count)?)
}
