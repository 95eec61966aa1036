//! Mappings of committed blocks.
#![expect(unsafe_code, reason = "mapping a file is a promise about other processes")]

use memmap2::{Mmap, MmapOptions};
use std::fs::File;
use std::io;

/// Maps the first `length` bytes of `file`, which must have that many.
///
/// The file MUST be a committed block: never written and never truncated again, by anybody
/// (`WIRE.md` §6).
pub(crate) fn map_block(file: &File, length: u64) -> io::Result<Mmap> {
    let found = file.metadata()?.len();
    if found < length {
        return Err(io::Error::other(format!("the file has {found} of {length} bytes")));
    }
    let length = usize::try_from(length).map_err(io::Error::other)?;
    // SAFETY: the mapping is private to us and read-only. Its bytes could change, or vanish and
    // fault, only if the file were written or truncated; the protocol forbids both for a committed
    // block, removal is an unlink, and the length was checked above.
    unsafe { MmapOptions::new().len(length).map(file) }
}
