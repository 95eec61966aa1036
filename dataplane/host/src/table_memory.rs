//! Memory for large tables: the heap, or a file that the kernel pages in and out.
//!
//! A table whose memory is a file may be larger than the machine's memory: pages that nobody looks at
//! go to the disk and come back when somebody does, at the price of one read. The file is scratch: it
//! has no name, holds nothing that is not in the journal, and is gone when its last table is.
//!
//! Room in the file is set aside before it is handed out, so that a full disk is a spill to the heap,
//! counted in [`FileUsage::spilled_bytes`], and never a fault in the middle of a write.

#![expect(unsafe_code, reason = "handing out memory is a promise that the compiler cannot check")]

use allocator_api2::alloc::{AllocError, Allocator, Global};
use memmap2::{MmapOptions, MmapRaw};
use rustix::mm::{Advice, madvise};
use std::alloc::Layout;
use std::fs::File;
use std::io;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Smaller pieces come from the heap: they are many, and few bytes in all.
const PIECE_BYTES_MIN: usize = 512;
/// Pieces below this are cut from spans of this size, so that pieces of one size share pages.
const SPAN_BYTES: usize = 64 << 10;
/// Alignment of spans and of larger pieces: a page.
const PAGE_BYTES: usize = 4096;
/// Room in the file is set aside in steps of this.
const STEP_BYTES: u64 = 64 << 20;
/// Addresses set aside: tables of 10 billion files. They cost nothing until used.
const RESERVE_BYTES: u64 = 1 << 40;
/// With less than this the file system is of no use.
const RESERVE_BYTES_MIN: u64 = 1 << 30;
/// Pieces have sizes of powers of two, up to the whole reserve.
const CLASSES: usize = 41;
/// Bytes that are paged out before the process's memory is looked at again.
const PAGE_OUT_BYTES: u64 = 16 << 20;

/// Where a table keeps its bytes. Cloning is cheap; clones share the file.
#[derive(Clone, Default)]
pub struct TableMemory(Option<Arc<FileMemory>>);

/// How much of a file is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileUsage {
    /// Bytes of the file that are set aside on the disk.
    pub file_bytes: u64,
    /// Bytes that had to come from the heap because the disk was full.
    pub spilled_bytes: u64,
}

struct FileMemory {
    map: MmapRaw,
    file: File,
    space: Mutex<Space>,
    spilled_bytes: AtomicU64,
}

struct Space {
    /// Bytes handed out at least once.
    top: u64,
    /// Bytes that the disk has set aside.
    held: u64,
    /// Offsets of pieces that were given back, by the power of two of their size.
    free: [Vec<u64>; CLASSES],
    /// Where paging out goes on.
    hand: u64,
}

impl TableMemory {
    /// The heap.
    pub const fn heap() -> Self {
        TableMemory(None)
    }

    /// Whether it is the heap.
    pub const fn is_heap(&self) -> bool {
        self.0.is_none()
    }

    /// A new file in `dir`, which is made if it is missing.
    ///
    /// **Errors**: when the directory cannot be used, or its file system knows no large files.
    pub fn in_dir(dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let file = tempfile::tempfile_in(dir)?;
        let mut reserve = RESERVE_BYTES;
        let map = loop {
            match reserve_addresses(&file, reserve) {
                Ok(map) => break map,
                Err(_) if reserve > RESERVE_BYTES_MIN => reserve /= 2,
                Err(error) => return Err(error),
            }
        };
        let space = Space { top: 0, held: 0, free: [const { Vec::new() }; CLASSES], hand: 0 };
        Ok(TableMemory(Some(Arc::new(FileMemory {
            map,
            file,
            space: Mutex::new(space),
            spilled_bytes: AtomicU64::new(0),
        }))))
    }

    /// How much of the file is used; `None` for the heap.
    pub fn usage(&self) -> Option<FileUsage> {
        let memory = self.0.as_ref()?;
        let file_bytes = memory.space().held;
        Some(FileUsage { file_bytes, spilled_bytes: memory.spilled_bytes.load(Ordering::Relaxed) })
    }

    /// Sends pages to the disk, all around the file, until this process maps at most `bytes` of
    /// files. Without it the kernel does so when it needs the room. Blocking; tables stay in use.
    pub fn keep_resident_below(&self, bytes: u64) {
        let Some(memory) = &self.0 else { return };
        let rounds = memory.space().top.div_ceil(PAGE_OUT_BYTES);
        for _ in 0..rounds {
            if resident_file_bytes() <= bytes {
                return;
            }
            memory.page_out_next();
        }
    }
}

impl std::fmt::Debug for TableMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.usage() {
            None => f.write_str("heap"),
            Some(usage) => usage.fmt(f),
        }
    }
}

/// Bytes of files that this process has mapped and in memory; 0 where the system does not tell.
pub fn resident_file_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = |name| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    (kib("RssFile:") + kib("RssShmem:")) * 1024
}

fn reserve_addresses(file: &File, bytes: u64) -> io::Result<MmapRaw> {
    file.set_len(bytes)?;
    let length = usize::try_from(bytes).map_err(io::Error::other)?;
    MmapOptions::new().len(length).map_raw(file)
}

impl FileMemory {
    fn space(&self) -> MutexGuard<'_, Space> {
        // Counters and lists are whole at every point where a panic could come from.
        self.space.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A piece for `layout` in the file; `None` when it is not the file's, or the disk is full.
    fn take(&self, layout: Layout) -> Option<NonNull<[u8]>> {
        let class = class_of(layout)?;
        let mut space = self.space();
        if space.free[class].is_empty() {
            self.refill(&mut space, class)?;
        }
        let offset = space.free[class].pop()?;
        let start = self.map.as_mut_ptr().wrapping_add(usize::try_from(offset).ok()?);
        Some(NonNull::slice_from_raw_parts(NonNull::new(start)?, layout.size()))
    }

    /// Puts new pieces on the list of a class.
    fn refill(&self, space: &mut Space, class: usize) -> Option<()> {
        let size = 1u64 << class;
        let span = size.max(SPAN_BYTES as u64);
        let end = space.top.checked_add(span).filter(|end| *end <= self.map.len() as u64)?;
        if end > space.held {
            let held = end.next_multiple_of(STEP_BYTES).min(self.map.len() as u64);
            self.hold(space.held, held - space.held).ok()?;
            space.held = held;
        }
        // The last on the list is handed out first.
        let pieces = (1..=span / size).map(|back| end - back * size);
        space.free[class].extend(pieces);
        space.top = end;
        Some(())
    }

    /// Sets room aside on the disk.
    fn hold(&self, offset: u64, length: u64) -> io::Result<()> {
        use std::os::unix::fs::FileExt;
        match rustix::fs::fallocate(&self.file, rustix::fs::FallocateFlags::empty(), offset, length)
        {
            Err(rustix::io::Errno::OPNOTSUPP) => {
                let zeros = vec![0; 1 << 20];
                (offset..offset + length)
                    .step_by(zeros.len())
                    .try_for_each(|at| self.file.write_all_at(&zeros, at))
            }
            done => Ok(done?),
        }
    }

    /// Takes a piece back; whether it was the file's.
    fn give_back(&self, start: NonNull<u8>, layout: Layout) -> bool {
        let base = self.map.as_mut_ptr().addr();
        let inside = start.addr().get().checked_sub(base).filter(|at| *at < self.map.len());
        let (Some(offset), Some(class)) = (inside, class_of(layout)) else { return false };
        self.space().free[class].push(offset as u64);
        true
    }

    fn page_out_next(&self) {
        let (from, length) = {
            let mut space = self.space();
            let from = if space.hand < space.top { space.hand } else { 0 };
            let length = PAGE_OUT_BYTES.min(space.top - from);
            space.hand = from + length;
            (from, length)
        };
        let (Ok(from), Ok(length)) = (usize::try_from(from), usize::try_from(length)) else {
            return;
        };
        let start = self.map.as_mut_ptr().wrapping_add(from);
        // SAFETY: the range lies in the mapping, and the advice changes no byte of it.
        let advised = unsafe { madvise(start.cast(), length, Advice::LinuxPageOut) };
        // A wish: a kernel that cannot do it pages out by itself.
        let _ = advised;
    }
}

/// The power of two that a piece takes; `None` for pieces of the heap.
fn class_of(layout: Layout) -> Option<usize> {
    let fits = layout.size() >= PIECE_BYTES_MIN && layout.align() <= PIECE_BYTES_MIN;
    let size = layout.size().checked_next_power_of_two().filter(|_| fits)?;
    Some(size.trailing_zeros() as usize).filter(|class| *class < CLASSES)
}

const _: () = assert!(SPAN_BYTES.is_multiple_of(PAGE_BYTES) && SPAN_BYTES >= PIECE_BYTES_MIN);

// SAFETY: a piece is on one list or handed out, never both: `take` removes it under the lock, and
// `deallocate` puts it back once, as the caller promises. Pieces of a class start at multiples of the
// class's size (up to a page) from the page-aligned start of the mapping, so they do not overlap and
// are aligned for every layout that `class_of` admits. The mapping stays while a clone is alive, and
// moving or cloning the allocator does not move it. The file has no name, so nobody else truncates or
// writes it, and its room on the disk is held before a piece of it is handed out.
unsafe impl Allocator for TableMemory {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let Some(memory) = &self.0 else { return Global.allocate(layout) };
        if let Some(piece) = memory.take(layout) {
            return Ok(piece);
        }
        if layout.size() >= PIECE_BYTES_MIN {
            memory.spilled_bytes.fetch_add(layout.size() as u64, Ordering::Relaxed);
        }
        Global.allocate(layout)
    }

    unsafe fn deallocate(&self, start: NonNull<u8>, layout: Layout) {
        if self.0.as_ref().is_some_and(|memory| memory.give_back(start, layout)) {
            return;
        }
        if self.0.is_some() && layout.size() >= PIECE_BYTES_MIN {
            let memory = self.0.as_ref().map(|memory| &memory.spilled_bytes);
            memory.map(|spilled| spilled.fetch_sub(layout.size() as u64, Ordering::Relaxed));
        }
        // SAFETY: what is not the file's came from the heap, with the same layout.
        unsafe { Global.deallocate(start, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use allocator_api2::vec::Vec as TableVec;
    use proptest::prelude::*;

    #[test]
    fn vectors_in_a_file_grow_and_leave_room_for_others() {
        let dir = tempfile::tempdir().unwrap();
        let memory = TableMemory::in_dir(dir.path()).unwrap();
        let mut all: TableVec<u64, TableMemory> = TableVec::new_in(memory.clone());
        all.extend(0..200_000);
        assert!(all.iter().copied().eq(0..200_000));
        let held = memory.usage().unwrap().file_bytes;
        assert!(held >= 200_000 * 8, "{held}");
        for _ in 0..100 {
            drop(std::mem::replace(&mut all, TableVec::with_capacity_in(200_000, memory.clone())));
        }
        assert_eq!(memory.usage().unwrap(), FileUsage { file_bytes: held, spilled_bytes: 0 });
    }

    #[test]
    fn nothing_is_left_in_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let memory = TableMemory::in_dir(&dir.path().join("made")).unwrap();
        let some: TableVec<u8, TableMemory> = TableVec::with_capacity_in(1 << 20, memory);
        assert_eq!(some.capacity(), 1 << 20);
        assert_eq!(std::fs::read_dir(dir.path().join("made")).unwrap().count(), 0);
    }

    #[test]
    fn what_is_paged_out_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let memory = TableMemory::in_dir(dir.path()).unwrap();
        let mut all: TableVec<u32, TableMemory> = TableVec::new_in(memory.clone());
        all.extend(0..8_000_000);
        memory.keep_resident_below(0);
        assert!(all.iter().copied().eq(0..8_000_000));
    }

    #[test]
    fn a_directory_that_cannot_be_used_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, b"").unwrap();
        assert!(TableMemory::in_dir(&file).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn pieces_never_overlap(
            steps in prop::collection::vec((any::<bool>(), 1usize..40_000, any::<u8>()), 1..200)
        ) {
            let dir = tempfile::tempdir().unwrap();
            let memory = TableMemory::in_dir(dir.path()).unwrap();
            let mut held: Vec<(TableVec<u8, TableMemory>, u8)> = Vec::new();
            for (take, size, mark) in steps {
                if take || held.is_empty() {
                    let mut piece = TableVec::with_capacity_in(size, memory.clone());
                    piece.resize(size, mark);
                    held.push((piece, mark));
                } else {
                    held.swap_remove(size % held.len());
                }
            }
            for (piece, mark) in &held {
                prop_assert!(piece.iter().all(|byte| byte == mark));
            }
        }
    }
}
