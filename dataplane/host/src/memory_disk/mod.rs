//! A disk in memory that can crash, fill up, fail and rot, all from one seed.
//!
//! Every file and every directory has two halves. Calls change the half that readers see;
//! [`DiskFile::sync_data`] and [`Disk::sync_dir`] carry it over to the durable half.
//! [`MemoryDisk::crash`] goes back to the durable half, with any part of what was not synced:
//! nothing, everything, a prefix with a torn end, or sectors in any order; names in order within
//! each directory. What a program may not rely on, this disk takes away.

mod content;
mod fault;
mod tree;

#[cfg(test)]
mod tests;

pub use fault::{Fault, FaultKind, Operation};

use crate::{Disk, DiskFile, Entropy, FileFacts, OpenMode, SeededEntropy};
use content::Content;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tree::{FileId, Node, Tree, errno};

/// A disk in memory. Clones are the same disk.
#[derive(Clone)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
}

struct State {
    entropy: SeededEntropy,
    tree: Tree,
    files: BTreeMap<FileId, Content>,
    locks: BTreeSet<PathBuf>,
    faults: Vec<Fault>,
    capacity_bytes: u64,
    /// Calls made so far.
    calls: u64,
    /// The power goes at this call.
    power_ends_at: Option<u64>,
    /// Syncs do nothing, and say that they did.
    lies: bool,
    /// Grows with every crash: handles and locks of an earlier life are dead.
    life: u64,
}

/// What becomes of a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is carried out.
    Works,
    /// The power goes during the call: it is carried out, and reports an error all the same.
    WorksUnheard,
}

impl MemoryDisk {
    /// An empty disk without a limit.
    pub fn new(seed: u64) -> Self {
        MemoryDisk {
            state: Arc::new(Mutex::new(State {
                entropy: SeededEntropy::new(seed),
                tree: Tree::new(),
                files: BTreeMap::new(),
                locks: BTreeSet::new(),
                faults: Vec::new(),
                capacity_bytes: u64::MAX,
                calls: 0,
                power_ends_at: None,
                lies: false,
                life: 0,
            })),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked while it held the lock has failed already.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another disk with the same content, durable and not; no faults, no locks, power on.
    pub fn fork(&self, seed: u64) -> MemoryDisk {
        let state = self.state();
        MemoryDisk {
            state: Arc::new(Mutex::new(State {
                entropy: SeededEntropy::new(seed),
                tree: state.tree.clone(),
                files: state.files.clone(),
                locks: BTreeSet::new(),
                faults: Vec::new(),
                capacity_bytes: state.capacity_bytes,
                calls: 0,
                power_ends_at: None,
                lies: state.lies,
                life: 0,
            })),
        }
    }

    /// The machine crashes and starts again. What was not synced is lost, wholly or in part;
    /// open files are dead, locks are free, faults are forgotten, the power is on.
    pub fn crash(&self) {
        let mut guard = self.state();
        let state = &mut *guard;
        let named = state.tree.crash(&state.entropy);
        for content in state.files.values_mut() {
            content.crash(&state.entropy);
        }
        state.files.retain(|id, _| named.contains(id));
        for content in state.files.values_mut() {
            content.unlinked = false;
        }
        state.locks.clear();
        state.faults.clear();
        state.power_ends_at = None;
        state.life += 1;
    }

    /// The power goes during call number `call` (counted as [`MemoryDisk::calls`] does, from 1): that
    /// call may or may not have its effect, it and all later ones fail until
    /// [`MemoryDisk::crash`].
    pub fn end_power_at(&self, call: u64) {
        self.state().power_ends_at = Some(call);
    }

    /// Whether the power is gone, by [`MemoryDisk::end_power_at`].
    pub fn power_has_ended(&self) -> bool {
        let state = self.state();
        state.power_ends_at.is_some_and(|end| state.calls >= end)
    }

    /// Lets syncs do nothing and say that they did, as disks do that lose what is in their memory; or
    /// makes the disk honest again, from the next sync of each file and directory on.
    pub fn lie_about_syncs(&self, lies: bool) {
        self.state().lies = lies;
    }

    /// Number of calls so far, those that failed included.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Adds an error to come.
    pub fn inject(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// Forgets the errors that did not come yet.
    pub fn clear_faults(&self) {
        self.state().faults.clear();
    }

    /// Limits the sum of all file lengths; growth beyond it fails with `ENOSPC`.
    pub fn set_capacity_bytes(&self, bytes: u64) {
        self.state().capacity_bytes = bytes;
    }

    /// Sum of all file lengths.
    pub fn used_bytes(&self) -> u64 {
        self.state().used_bytes()
    }

    /// Flips one bit of a file, in what readers see and on the medium.
    ///
    /// **Errors**: `NotFound`.
    pub fn flip_bit(&self, path: &Path, bit: u64) -> io::Result<()> {
        let mut state = self.state();
        let id = state.file(path)?;
        state.content(id)?.flip_bit(bit);
        Ok(())
    }
}

impl State {
    fn used_bytes(&self) -> u64 {
        let counted = self.files.values().filter(|file| !file.unlinked || file.handles > 0);
        counted.map(|file| file.current.len() as u64).sum()
    }

    /// Counts a call and decides what becomes of it.
    fn admit(&mut self, operation: Operation, path: &Path) -> io::Result<Fate> {
        self.calls += 1;
        if let Some(end) = self.power_ends_at {
            if self.calls == end && self.entropy.below(2) == 0 {
                return Ok(Fate::WorksUnheard);
            }
            if self.calls >= end {
                return Err(power_is_off());
            }
        }
        for index in 0..self.faults.len() {
            if self.faults[index].strikes(operation, path) {
                return Err(self.faults[index].kind.error());
            }
        }
        Ok(Fate::Works)
    }

    fn file(&self, path: &Path) -> io::Result<FileId> {
        match self.tree.resolve(path)? {
            Node::File(id) => Ok(id),
            Node::Dir(_) => Err(errno(libc::EISDIR)),
        }
    }

    fn content(&mut self, id: FileId) -> io::Result<&mut Content> {
        self.files.get_mut(&id).ok_or_else(power_is_off)
    }

    fn unlink(&mut self, id: FileId) {
        if let Some(content) = self.files.get_mut(&id) {
            content.unlinked = true;
        }
    }

    /// Refuses growth beyond the capacity.
    fn room_for(&mut self, id: FileId, length: u64) -> io::Result<()> {
        if self.capacity_bytes == u64::MAX {
            return Ok(());
        }
        let now = self.content(id)?.current.len() as u64;
        if length > now && self.used_bytes().saturating_add(length - now) > self.capacity_bytes {
            return Err(errno(libc::ENOSPC));
        }
        Ok(())
    }
}

fn power_is_off() -> io::Error {
    io::Error::other("the power is off")
}

impl Fate {
    fn tell<T>(self, value: T) -> io::Result<T> {
        match self {
            Fate::Works => Ok(value),
            Fate::WorksUnheard => Err(power_is_off()),
        }
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        let fate = state.admit(Operation::Open, path)?;
        let id = match mode {
            OpenMode::Read | OpenMode::ReadWrite => state.file(path)?,
            OpenMode::CreateNew => {
                let id = state.tree.create_file(path)?;
                state.files.insert(id, Content::default());
                id
            }
        };
        fate.tell(())?;
        state.content(id)?.handles += 1;
        Ok(Box::new(MemoryFile {
            disk: self.clone(),
            path: path.to_owned(),
            id,
            life: state.life,
            writable: mode != OpenMode::Read,
        }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let fate = state.admit(Operation::CreateDir, path)?;
        state.tree.create_dir_all(path)?;
        fate.tell(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut state = self.state();
        let fate = state.admit(Operation::List, path)?;
        let dir = state.tree.resolve_dir(path)?;
        fate.tell(state.tree.list(dir))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let fate = state.admit(Operation::Rename, from)?;
        if let Some(replaced) = state.tree.rename(from, to)? {
            state.unlink(replaced);
        }
        fate.tell(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let fate = state.admit(Operation::Remove, path)?;
        let id = state.tree.remove_file(path)?;
        state.unlink(id);
        fate.tell(())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let fate = state.admit(Operation::Remove, path)?;
        for id in state.tree.remove_dir_all(path)? {
            state.unlink(id);
        }
        fate.tell(())
    }

    fn facts(&self, path: &Path) -> io::Result<FileFacts> {
        let mut state = self.state();
        let fate = state.admit(Operation::Facts, path)?;
        let facts = match state.tree.resolve(path)? {
            Node::Dir(_) => FileFacts { length: 0, is_directory: true },
            Node::File(id) => {
                FileFacts { length: state.content(id)?.current.len() as u64, is_directory: false }
            }
        };
        fate.tell(facts)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let fate = state.admit(Operation::SyncDir, path)?;
        let dir = state.tree.resolve_dir(path)?;
        if !state.lies {
            state.tree.sync_dir(dir);
        }
        fate.tell(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let mut state = self.state();
        let fate = state.admit(Operation::Lock, path)?;
        match state.tree.resolve(path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let id = state.tree.create_file(path)?;
                state.files.insert(id, Content::default());
            }
            Err(error) => return Err(error),
        }
        fate.tell(())?;
        if !state.locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(MemoryLock { disk: self.clone(), path: path.to_owned(), life: state.life }))
    }
}

struct MemoryLock {
    disk: MemoryDisk,
    path: PathBuf,
    life: u64,
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.life == self.life {
            state.locks.remove(&self.path);
        }
    }
}

struct MemoryFile {
    disk: MemoryDisk,
    path: PathBuf,
    id: FileId,
    life: u64,
    writable: bool,
}

impl MemoryFile {
    fn admit(&self, operation: Operation) -> io::Result<(MutexGuard<'_, State>, Fate)> {
        let mut state = self.disk.state();
        if state.life != self.life {
            return Err(power_is_off());
        }
        let fate = state.admit(operation, &self.path)?;
        if !self.writable && matches!(operation, Operation::Write | Operation::SetLength) {
            return Err(errno(libc::EBADF));
        }
        Ok((state, fate))
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.life == self.life
            && let Ok(content) = state.content(self.id)
        {
            content.handles -= 1;
        }
    }
}

impl DiskFile for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let (mut state, fate) = self.admit(Operation::Read)?;
        let content = &state.content(self.id)?.current;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        let count = buffer.len().min(content.len() - start);
        buffer[..count].copy_from_slice(&content[start..start + count]);
        fate.tell(count)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (mut state, fate) = match self.admit(Operation::Write) {
            Ok(admitted) => admitted,
            Err(error) => {
                self.write_some(bytes, offset);
                return Err(error);
            }
        };
        if bytes.is_empty() {
            // POSIX: a write of nothing does not move the end of the file, whatever its offset.
            return fate.tell(());
        }
        if let Err(error) = state.room_for(self.id, offset.saturating_add(bytes.len() as u64)) {
            drop(state);
            self.write_some(bytes, offset);
            return Err(error);
        }
        state.content(self.id)?.write(bytes, offset);
        fate.tell(())
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.admit(Operation::Sync) {
            Ok((mut state, fate)) => {
                let lies = state.lies;
                let content = state.content(self.id)?;
                if !lies {
                    content.sync();
                }
                fate.tell(())
            }
            Err(error) => {
                let mut guard = self.disk.state();
                let state = &mut *guard;
                let power = state.power_ends_at.is_none_or(|end| state.calls < end);
                if power
                    && state.life == self.life
                    && let Some(content) = state.files.get_mut(&self.id)
                {
                    content.fail_sync(&state.entropy);
                }
                Err(error)
            }
        }
    }

    fn length(&self) -> io::Result<u64> {
        let (mut state, fate) = self.admit(Operation::Length)?;
        fate.tell(state.content(self.id)?.current.len() as u64)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let (mut state, fate) = self.admit(Operation::SetLength)?;
        state.room_for(self.id, length)?;
        state.content(self.id)?.set_length(length);
        fate.tell(())
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        let (mut state, fate) = self.admit(Operation::Allocate)?;
        state.room_for(self.id, length)?;
        let content = state.content(self.id)?;
        if (content.current.len() as u64) < length {
            content.set_length(length);
        }
        fate.tell(())
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

impl MemoryFile {
    /// A write that failed: any prefix of it that fits may be there.
    fn write_some(&self, bytes: &[u8], offset: u64) {
        let mut state = self.disk.state();
        if state.life != self.life || !self.writable {
            return;
        }
        let part = state.entropy.below(bytes.len() as u64 + 1);
        if part > 0
            && state.room_for(self.id, offset.saturating_add(part)).is_ok()
            && let Ok(content) = state.content(self.id)
        {
            content.write(&bytes[..part as usize], offset);
        }
    }
}
