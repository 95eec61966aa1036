//! Mapped files of the random-operation checker: no safe wrapper maps a file that changes.
#![expect(unsafe_code, reason = "the only module of these tests where it is allowed")]

use memmap2::{MmapMut, MmapOptions};
use std::fs::File;
use std::io;

/// A shared mapping of the first `length` bytes of a file.
pub(crate) fn map(file: &File, length: usize) -> io::Result<MmapMut> {
    // SAFETY: the checker is the only one who changes the file, from the same thread, and never cuts it while
    // it is mapped, so bytes behind a reference never change under it.
    unsafe { MmapOptions::new().len(length).map_mut(file) }
}

/// From here on files that this thread opens are no other thread's, and nobody who forks elsewhere has copies of them.
pub(crate) fn unshare_files() {
    // SAFETY: it takes nothing but a flag and touches no memory; the caller's thread opens and closes its files itself.
    let outcome = unsafe { libc::unshare(libc::CLONE_FILES) };
    assert_eq!(outcome, 0, "{}", std::io::Error::last_os_error());
}
