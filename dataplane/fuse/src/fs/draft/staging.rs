//! The folder of drafts.
//!
//! `records` has a slot for each draft, `00000007.data` the bytes of slot 7. Nothing is synced: what was
//! written into the page cache survives the process, and what a program has synced is in the cluster.
//! Files of slots that are free are kept for the next drafts, so that a small file costs no creation.

use super::rebound::Rebound;
use super::record::{Found, Record, SLOT_BYTES, VERSION_BYTES, decode, encode};
use crate::errno::Errno;
use alluxio_types::InodeId;
use rustix::fs::{FlockOperation, flock};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// First bytes of `records`; the slots follow behind as many bytes as one of them has.
const MAGIC: &[u8; 8] = b"ALXDRFT1";
/// Drafts at a time; their records take at most 512 MiB. Each has a file open, so the process's limit of
/// descriptors comes first.
const SLOTS_MAX: u32 = 1 << 16;
/// Files of free slots that are kept.
const SPARE_MAX: usize = 256;
/// Longest file that is kept for another draft: emptying a longer one takes as long as removing it.
const SPARE_BYTES_MAX: u64 = 1 << 20;
/// How long a process that is just ending may still hold the folder.
const LOCK_WITHIN: Duration = Duration::from_millis(500);
const LOCK_EVERY: Duration = Duration::from_millis(5);
/// Mounts of one machine that may share the configured folder.
const FOLDERS_MAX: u32 = 1024;

/// Why there is no folder for drafts.
#[derive(Debug, thiserror::Error)]
#[error("the folder for files that are being written, {}, cannot be used: {source}", folder.display())]
pub struct StagingError {
    /// The folder.
    folder: PathBuf,
    /// Why.
    #[source]
    source: io::Error,
}

/// A folder of drafts that is ours alone.
pub(crate) struct Staging {
    folder: PathBuf,
    records: File,
    /// How many processes have used the folder before.
    generation: u64,
    slots: Mutex<Slots>,
    rebound: Rebound,
    /// Held for as long as this process lives.
    _lock: File,
}

#[derive(Default)]
struct Slots {
    /// Free slots without a file.
    free: Vec<u32>,
    /// Free slots with an empty file.
    spare: Vec<(u32, u64, File)>,
    /// All from here on are free.
    next: u32,
}

/// What a process before us has left.
pub(in crate::fs) struct Left {
    pub(super) drafts: Vec<(Slot, Record)>,
    /// Nodes that lead to other inodes than their numbers say.
    pub(in crate::fs) nodes: HashMap<u64, InodeId>,
}

/// A slot in use: a record and a file.
pub(in crate::fs) struct Slot {
    staging: Arc<Staging>,
    number: u32,
    file: File,
    version: Mutex<u64>,
    /// The version that it was taken with: no record of the draft is written yet.
    blank: Option<u64>,
    discarded: AtomicBool,
    /// Whether its file has another name now.
    aside: AtomicBool,
}

impl Staging {
    /// Opens the folder for this process alone, and hands out the drafts that are in it. When another
    /// process has it, one beside it is taken: `FOLDER/1` and so on.
    pub(in crate::fs) fn open(folder: &Path) -> Result<(Arc<Self>, Left), StagingError> {
        let mut at = folder.to_owned();
        for turn in 1..FOLDERS_MAX {
            let failed = |source| StagingError { folder: at.clone(), source };
            std::fs::create_dir_all(&at).map_err(failed)?;
            let within = if turn == 1 { LOCK_WITHIN } else { Duration::ZERO };
            if let Some(lock) = lock(&at, within).map_err(failed)? {
                return Self::open_locked(at.clone(), lock).map_err(failed);
            }
            at = folder.join(turn.to_string());
        }
        let source = io::Error::from_raw_os_error(libc::EBUSY);
        Err(StagingError { folder: folder.to_owned(), source })
    }

    fn open_locked(folder: PathBuf, lock: File) -> io::Result<(Arc<Self>, Left)> {
        let (rebound, nodes) = Rebound::open(&folder.join("rebound"))?;
        let records = open(&folder.join("records"))?;
        let generation = next_generation(&records)?;
        let staging = Arc::new(Staging {
            folder,
            records,
            generation,
            slots: Mutex::default(),
            rebound,
            _lock: lock,
        });
        let drafts = staging.recover()?;
        Ok((staging, Left { drafts, nodes }))
    }

    /// A node leads to another inode than its number says.
    pub(in crate::fs) fn note_rebound(&self, node: u64, inode: InodeId) {
        if let Err(error) = self.rebound.note(node, inode) {
            super::no_room(self, &error);
        }
    }

    /// Different for each process that uses the folder, and growing.
    pub(in crate::fs) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn data_path(&self, number: u32) -> PathBuf {
        self.folder.join(format!("{number:08}.data"))
    }

    /// Takes up what another process has left.
    fn recover(self: &Arc<Self>) -> io::Result<Vec<(Slot, Record)>> {
        let length = self.records.metadata()?.len().saturating_sub(SLOT_BYTES as u64);
        let count = u32::try_from(length.div_ceil(SLOT_BYTES as u64)).unwrap_or(SLOTS_MAX);
        let (mut drafts, mut bytes) = (Vec::new(), vec![0; SLOT_BYTES]);
        for number in 0..count.min(SLOTS_MAX) {
            bytes.fill(0);
            read_up_to(&self.records, &mut bytes, slot_at(number))?;
            let path = self.data_path(number);
            match decode(&bytes) {
                Found::Draft(version, record) if path.exists() => {
                    let slot = self.slot(number, open(&path)?, version, false);
                    drafts.push((slot, *record));
                }
                Found::Draft(version, record) => {
                    self.put_aside(number, "its bytes are missing", Some(&record));
                    self.free(number, version)?;
                }
                Found::Damaged => {
                    self.put_aside(number, "its record is damaged", None);
                    self.records.write_all_at(&vec![0; SLOT_BYTES], slot_at(number))?;
                    self.slots().free.push(number);
                }
                Found::Free(_) => {
                    // Never told of to anybody, or done with.
                    let _ = std::fs::remove_file(path);
                    self.slots().free.push(number);
                }
            }
        }
        self.slots().next = count;
        Ok(drafts)
    }

    /// Keeps the bytes of a draft that cannot be made a version, where people find them.
    fn put_aside(&self, number: u32, why: &str, record: Option<&Record>) -> PathBuf {
        let name = record.map_or("", |record| record.name.as_str());
        let kept = self.folder.join(format!("kept-{}-{number:08}", self.generation));
        match std::fs::rename(self.data_path(number), &kept) {
            Ok(()) => {
                tracing::error!(name, why, kept = %kept.display(), "what was written to a file is kept aside");
            }
            Err(error) => {
                tracing::error!(name, why, kept = %kept.display(), %error, "what was written to a file is lost");
            }
        }
        kept
    }

    fn free(&self, number: u32, version: u64) -> io::Result<()> {
        self.write(number, version + 1, None)?;
        self.slots().free.push(number);
        Ok(())
    }

    fn write(&self, number: u32, version: u64, record: Option<&Record>) -> io::Result<()> {
        let turn = (version % 2) * VERSION_BYTES as u64;
        self.records.write_all_at(&encode(version, record), slot_at(number) + turn)
    }

    fn slot(self: &Arc<Self>, number: u32, file: File, version: u64, is_blank: bool) -> Slot {
        Slot {
            staging: self.clone(),
            number,
            file,
            version: Mutex::new(version),
            blank: is_blank.then_some(version),
            discarded: AtomicBool::new(false),
            aside: AtomicBool::new(false),
        }
    }

    /// A slot with an empty file, without a record.
    pub(super) fn take(self: &Arc<Self>) -> io::Result<Slot> {
        let number = {
            let mut slots = self.slots();
            if let Some((number, version, file)) = slots.spare.pop() {
                drop(slots);
                return Ok(self.slot(number, file, version, true));
            }
            match slots.free.pop() {
                Some(number) => number,
                None if slots.next < SLOTS_MAX => {
                    slots.next += 1;
                    slots.next - 1
                }
                None => return Err(io::Error::from_raw_os_error(libc::ENFILE)),
            }
        };
        let opened = self.open_slot(number);
        if opened.is_err() {
            self.slots().free.push(number);
        }
        let (file, version) = opened?;
        Ok(self.slot(number, file, version, true))
    }

    fn open_slot(&self, number: u32) -> io::Result<(File, u64)> {
        let mut bytes = vec![0; SLOT_BYTES];
        read_up_to(&self.records, &mut bytes, slot_at(number))?;
        let version = match decode(&bytes) {
            Found::Free(version) | Found::Draft(version, _) => version,
            Found::Damaged => 0,
        };
        let file = open(&self.data_path(number))?;
        file.set_len(0)?;
        Ok((file, version))
    }
}

impl Slot {
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Bytes there are.
    pub(super) fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// What a failure of the folder is for the kernel; said loudly.
    pub(super) fn no_room(&self, error: &io::Error) -> Errno {
        super::no_room(&self.staging, error)
    }

    fn version(&self) -> MutexGuard<'_, u64> {
        self.version.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the draft is found by who comes later, as the record says.
    pub(super) fn save(&self, record: &Record) -> io::Result<()> {
        let mut version = self.version();
        self.staging.write(self.number, *version + 1, Some(record))?;
        *version += 1;
        Ok(())
    }

    /// The draft is done with: nobody finds it later. Its bytes stay for who still reads them.
    pub(super) fn discard(&self) {
        let mut version = self.version();
        if self.discarded.swap(true, Ordering::AcqRel) || self.blank == Some(*version) {
            return;
        }
        match self.staging.write(self.number, *version + 1, None) {
            Ok(()) => *version += 1,
            Err(error) => {
                // It will be found again, with nothing to do.
                tracing::warn!(%error, "a file that was written is not crossed off");
            }
        }
    }

    /// The draft cannot be made a version: its bytes are kept under another name.
    pub(super) fn put_aside(&self, why: &str, record: &Record) {
        self.aside.store(true, Ordering::Release);
        self.staging.put_aside(self.number, why, Some(record));
        self.discard();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.discarded.load(Ordering::Acquire) {
            // Whoever comes later goes on with it.
            return;
        }
        let version = *self.version();
        let path = self.staging.data_path(self.number);
        let short = self.length().is_ok_and(|length| length <= SPARE_BYTES_MAX);
        let mut slots = self.staging.slots();
        if short
            && slots.spare.len() < SPARE_MAX
            && !self.aside.load(Ordering::Acquire)
            && let Ok(file) = self.file.try_clone()
            && file.set_len(0).is_ok()
        {
            slots.spare.push((self.number, version, file));
            return;
        }
        let _ = std::fs::remove_file(path);
        slots.free.push(self.number);
    }
}

fn slot_at(number: u32) -> u64 {
    (u64::from(number) + 1) * SLOT_BYTES as u64
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn read_up_to(file: &File, into: &mut [u8], at: u64) -> io::Result<()> {
    let mut done = 0;
    while done < into.len() {
        match file.read_at(&mut into[done..], at + done as u64)? {
            0 => break,
            count => done += count,
        }
    }
    Ok(())
}

/// The folder's lock, if nobody else has it after `within`.
fn lock(folder: &Path, within: Duration) -> io::Result<Option<File>> {
    let file = open(&folder.join("lock"))?;
    let begun = Instant::now();
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) if begun.elapsed() >= within => return Ok(None),
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(LOCK_EVERY),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads the head of `records`, and counts this process.
fn next_generation(records: &File) -> io::Result<u64> {
    let mut head = [0; 16];
    read_up_to(records, &mut head, 0)?;
    if head != [0; 16] && &head[..8] != MAGIC {
        let what = "its records are of another version, or not ours";
        return Err(io::Error::other(what));
    }
    let mut number = [0; 8];
    number.copy_from_slice(&head[8..]);
    let generation = u64::from_le_bytes(number) + 1;
    head[..8].copy_from_slice(MAGIC);
    head[8..].copy_from_slice(&generation.to_le_bytes());
    records.write_all_at(&head, 0)?;
    Ok(generation)
}

#[cfg(test)]
mod tests {
    use super::super::record::{Stage, Wanted};
    use super::*;
    use alluxio_types::OperationId;

    fn record(name: &str) -> Record {
        Record {
            node: 7,
            parent: 1,
            name: name.into(),
            caller: 0,
            inode: InodeId::from_container(5),
            stage: Stage::Incomplete,
            begun: false,
            beside: None,
            next: None,
            base: None,
            dirty: true,
            unlinked: false,
            opens: 1,
            mode: 0o644,
            uid: 0,
            gid: 0,
            wanted: Wanted::default(),
            operation: OperationId(9),
        }
    }

    fn names(left: &Left) -> Vec<String> {
        left.drafts.iter().map(|(_, record)| record.name.clone()).collect()
    }

    #[test]
    fn who_comes_later_finds_what_was_saved_and_not_discarded() {
        let dir = tempfile::tempdir().unwrap();
        let (staging, none) = Staging::open(dir.path()).unwrap();
        assert!(none.drafts.is_empty());
        let (kept, done, silent) =
            (staging.take().unwrap(), staging.take().unwrap(), staging.take().unwrap());
        kept.file().write_all_at(b"bytes", 0).unwrap();
        kept.save(&record("old")).unwrap();
        kept.save(&record("kept")).unwrap();
        done.save(&record("done")).unwrap();
        done.discard();
        silent.file().write_all_at(b"nobody was told", 0).unwrap();
        let first = staging.generation();
        drop((kept, done, silent, staging));
        let (staging, left) = Staging::open(dir.path()).unwrap();
        assert_eq!(names(&left), ["kept"]);
        assert!(staging.generation() > first);
        let mut bytes = [0; 5];
        left.drafts[0].0.file().read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"bytes");
        // Free slots are used again, and a newer version of a slot wins.
        let again = staging.take().unwrap();
        assert_eq!(again.file().metadata().unwrap().len(), 0);
        again.save(&record("again")).unwrap();
        left.drafts[0].0.discard();
        drop((again, left, staging));
        let (_, left) = Staging::open(dir.path()).unwrap();
        assert_eq!(names(&left), ["again"]);
    }

    #[test]
    fn a_damaged_record_leaves_its_bytes_aside() {
        let dir = tempfile::tempdir().unwrap();
        let (staging, _) = Staging::open(dir.path()).unwrap();
        let (slot, sound) = (staging.take().unwrap(), staging.take().unwrap());
        slot.file().write_all_at(b"precious", 0).unwrap();
        slot.save(&record("damaged")).unwrap();
        sound.save(&record("sound")).unwrap();
        let number = slot.number;
        drop((slot, sound, staging));
        let records = open(&dir.path().join("records")).unwrap();
        records.write_all_at(&[0xff; 30], slot_at(number) + VERSION_BYTES as u64 + 20).unwrap();
        let (staging, left) = Staging::open(dir.path()).unwrap();
        assert_eq!(names(&left), ["sound"]);
        let kept = std::fs::read_dir(dir.path()).unwrap().map(|name| name.unwrap().path());
        let kept: Vec<_> = kept.filter(|path| path.to_string_lossy().contains("kept-")).collect();
        assert_eq!(std::fs::read(&kept[0]).unwrap(), b"precious");
        assert_eq!(kept.len(), 1);
        drop((staging, left));
        std::fs::write(dir.path().join("records"), "something else altogether").unwrap();
        let refused = Staging::open(dir.path()).err().unwrap().to_string();
        assert!(refused.contains("of another version"), "{refused}");
    }

    #[test]
    fn two_mounts_of_one_machine_do_not_share_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let (first, _) = Staging::open(dir.path()).unwrap();
        let (second, _) = Staging::open(dir.path()).unwrap();
        assert_eq!(first.folder(), dir.path());
        assert_eq!(second.folder(), dir.path().join("1"));
        drop(first);
        assert_eq!(Staging::open(dir.path()).unwrap().0.folder(), dir.path());
    }
}
