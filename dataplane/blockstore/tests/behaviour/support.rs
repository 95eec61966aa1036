//! A store in a temporary directory, and a disk that refuses on demand.

use alluxio_blockstore::{
    BlockLease, BlockStore, ChunkCrcs, DirConfig, Error, Lookup, Placement, RecoveryReport,
    StoreConfig, TierConfig,
};
use alluxio_host::{Disk, DiskFile, FileFacts, OpenMode, RealDisk, SeededEntropy};
use alluxio_types::{BlockId, InodeId, MediumType, TierAlias};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};

/// Tiers as lists of quotas, below `root`.
pub(crate) fn config(root: &Path, tiers: &[&[u64]]) -> StoreConfig {
    let names = ["MEM", "SSD", "HDD"];
    let mut config = StoreConfig::single("MEM", root, 1);
    config.tiers = tiers
        .iter()
        .enumerate()
        .map(|(t, quotas)| TierConfig {
            alias: TierAlias::new(names[t]),
            dirs: quotas
                .iter()
                .enumerate()
                .map(|(d, quota)| DirConfig {
                    path: dir_path(root, t, d),
                    quota_bytes: *quota,
                    medium: MediumType(names[t].into()),
                })
                .collect(),
            watermarks: None,
        })
        .collect();
    config
}

pub(crate) fn dir_path(root: &Path, tier: usize, dir: usize) -> PathBuf {
    root.join(format!("t{tier}d{dir}"))
}

pub(crate) fn block_file(root: &Path, tier: usize, dir: usize, block: BlockId) -> PathBuf {
    dir_path(root, tier, dir).join("alluxioworker").join(block.0.to_string())
}

pub(crate) fn open(config: &StoreConfig) -> (BlockStore, RecoveryReport) {
    BlockStore::open(config.clone(), Arc::new(RealDisk), &SeededEntropy::new(1)).unwrap()
}

pub(crate) fn open_on(config: &StoreConfig, disk: Arc<dyn Disk>) -> BlockStore {
    BlockStore::open(config.clone(), disk, &SeededEntropy::new(1)).unwrap().0
}

/// Block `i` of file `file`.
pub(crate) fn id(file: u64, i: u64) -> BlockId {
    InodeId::from_container(file).block(i)
}

/// Bytes that tell blocks and positions apart.
pub(crate) fn bytes_of(block: BlockId, length: u64) -> Vec<u8> {
    let seed = block.0.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (0..length).map(|i| (seed.rotate_left((i % 64) as u32) as u8) ^ (i / 251) as u8).collect()
}

pub(crate) fn put_in(
    store: &BlockStore,
    block: BlockId,
    length: u64,
    placement: Placement,
) -> Result<(), Error> {
    let bytes = bytes_of(block, length);
    let temp = store.create(block, length, placement)?;
    temp.write_at(&bytes, 0)?;
    temp.advance(length);
    temp.commit(length, &ChunkCrcs::of(&bytes))?;
    Ok(())
}

pub(crate) fn put(store: &BlockStore, block: BlockId, length: u64) {
    put_in(store, block, length, Placement::TOP).unwrap();
}

pub(crate) fn lease(store: &BlockStore, block: BlockId) -> Option<BlockLease> {
    match store.lookup(block).unwrap() {
        Lookup::Committed(lease) => Some(lease),
        Lookup::Unverified(lease) => Some(lease.verify().unwrap()),
        Lookup::Absent | Lookup::Filling(_) => None,
    }
}

pub(crate) fn read(lease: &BlockLease) -> Vec<u8> {
    let mut bytes = vec![0; lease.length() as usize];
    lease.read_verified(&mut bytes, 0).unwrap();
    bytes
}

pub(crate) fn used(store: &BlockStore) -> Vec<u64> {
    store.usage().tiers.iter().map(|tier| tier.used_bytes).collect()
}

/// Complete blocks and temporary files on the disk below `root`: (bytes of blocks, temp files).
pub(crate) fn stored_bytes(config: &StoreConfig) -> (u64, usize) {
    let (mut bytes, mut temps) = (0, 0);
    for dir in config.tiers.iter().flat_map(|tier| &tier.dirs) {
        let root = dir.path.join("alluxioworker");
        for item in std::fs::read_dir(&root).unwrap() {
            let item = item.unwrap();
            if item.file_name().to_str().unwrap().parse::<u64>().is_ok() {
                bytes += item.metadata().unwrap().len();
            }
        }
        temps += std::fs::read_dir(root.join(".tmp_blocks")).unwrap().count();
    }
    (bytes, temps)
}

/// What a faulty disk refuses: paths that contain the text, with this error number.
type Rule = (String, i32);

/// The real disk, except where told.
#[derive(Default)]
pub(crate) struct FaultyDisk {
    rules: Arc<Mutex<Vec<Rule>>>,
    /// Bytes that may still be written; `u64::MAX` for any number.
    room: Arc<AtomicU64>,
    /// Files of this name are opened by so many at once.
    meeting: Mutex<Option<(String, Arc<Barrier>)>>,
}

impl FaultyDisk {
    pub(crate) fn new() -> Arc<Self> {
        let disk = FaultyDisk::default();
        disk.room.store(u64::MAX, Ordering::SeqCst);
        Arc::new(disk)
    }

    pub(crate) fn refuse(&self, part_of_path: &str, errno: i32) {
        self.rules.lock().unwrap().push((part_of_path.into(), errno));
    }

    pub(crate) fn heal(&self) {
        self.rules.lock().unwrap().clear();
        self.room.store(u64::MAX, Ordering::SeqCst);
    }

    pub(crate) fn set_room(&self, bytes: u64) {
        self.room.store(bytes, Ordering::SeqCst);
    }

    /// From now on who has opened a file of this name waits until `count` have.
    pub(crate) fn open_together(&self, name: &str, count: usize) {
        *self.meeting.lock().unwrap() = Some((name.into(), Arc::new(Barrier::new(count))));
    }

    fn meet(&self, path: &Path) {
        let meeting = self.meeting.lock().unwrap().clone();
        if let Some((_, barrier)) = meeting.filter(|(name, _)| path.ends_with(name)) {
            barrier.wait();
        }
    }

    fn check(&self, path: &Path) -> io::Result<()> {
        check(&self.rules, path)
    }
}

fn check(rules: &Mutex<Vec<Rule>>, path: &Path) -> io::Result<()> {
    let text = path.to_string_lossy();
    match rules.lock().unwrap().iter().find(|(part, _)| text.contains(part)) {
        Some((_, errno)) => Err(io::Error::from_raw_os_error(*errno)),
        None => Ok(()),
    }
}

struct FaultyFile {
    inner: Box<dyn DiskFile>,
    path: PathBuf,
    rules: Arc<Mutex<Vec<Rule>>>,
    room: Arc<AtomicU64>,
}

impl DiskFile for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        check(&self.rules, &self.path)?;
        self.inner.read_at(buffer, offset)
    }
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        check(&self.rules, &self.path)?;
        let room = self.room.load(Ordering::SeqCst);
        if room < bytes.len() as u64 {
            // Like a real disk: what fits is written.
            self.inner.write_all_at(&bytes[..room as usize], offset)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        if room != u64::MAX {
            self.room.fetch_sub(bytes.len() as u64, Ordering::SeqCst);
        }
        self.inner.write_all_at(bytes, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }
    fn length(&self) -> io::Result<u64> {
        self.inner.length()
    }
    fn set_length(&self, length: u64) -> io::Result<()> {
        self.inner.set_length(length)
    }
    fn allocate(&self, length: u64) -> io::Result<()> {
        self.inner.allocate(length)
    }
    fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.inner.descriptor()
    }
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        self.check(path)?;
        let inner = RealDisk.open(path, mode)?;
        self.meet(path);
        Ok(Box::new(FaultyFile {
            inner,
            path: path.to_owned(),
            rules: self.rules.clone(),
            room: self.room.clone(),
        }))
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.check(path)?;
        RealDisk.create_dir_all(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.check(path)?;
        RealDisk.list(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check(from)?;
        self.check(to)?;
        RealDisk.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.check(path)?;
        RealDisk.remove_file(path)
    }
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_dir_all(path)
    }
    fn facts(&self, path: &Path) -> io::Result<FileFacts> {
        self.check(path)?;
        RealDisk.facts(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_dir(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        RealDisk.lock(path)
    }
}
