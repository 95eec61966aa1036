//! Room in a directory: a token is taken before the first byte is written, and gives the room back
//! when it is dropped.

use crate::layout::DirConfig;
use alluxio_types::MediumType;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// One directory of a tier, as the store uses it.
pub(crate) struct Dir {
    /// Number of its tier, 0 is the top.
    pub(crate) tier: usize,
    /// Its number within the tier.
    pub(crate) index: usize,
    /// As configured.
    pub(crate) path: PathBuf,
    /// Where blocks lie.
    pub(crate) root: PathBuf,
    /// Where unfinished blocks lie.
    pub(crate) temp_root: PathBuf,
    /// What it is made of.
    pub(crate) medium: MediumType,
    pub(crate) quota_bytes: u64,
    used_bytes: AtomicU64,
    lost: AtomicBool,
    reason: Mutex<String>,
    /// The lock that keeps other processes out, held until the store is dropped.
    guard: Mutex<Option<Box<dyn Send + Sync>>>,
}

impl Dir {
    pub(crate) fn new(tier: usize, index: usize, config: &DirConfig, folders: [&str; 2]) -> Self {
        let root = config.path.join(folders[0].trim_matches('/'));
        Dir {
            tier,
            index,
            path: config.path.clone(),
            temp_root: root.join(folders[1]),
            root,
            medium: config.medium.clone(),
            quota_bytes: config.quota_bytes,
            used_bytes: AtomicU64::new(0),
            lost: AtomicBool::new(false),
            reason: Mutex::new(String::new()),
            guard: Mutex::new(None),
        }
    }

    pub(crate) fn block_path(&self, block: alluxio_types::BlockId) -> PathBuf {
        self.root.join(block.0.to_string())
    }

    pub(crate) fn sidecar_path(&self, block: alluxio_types::BlockId) -> PathBuf {
        self.root.join(format!("{}.crc", block.0))
    }

    pub(crate) fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Ordering::Acquire)
    }

    pub(crate) fn free_bytes(&self) -> u64 {
        self.quota_bytes.saturating_sub(self.used_bytes())
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Takes the directory out of service; true when it was in service.
    pub(crate) fn mark_lost(&self, reason: String) -> bool {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = reason;
        self.guard.lock().unwrap_or_else(PoisonError::into_inner).take();
        !self.lost.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn lost_reason(&self) -> String {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn keep(&self, guard: Box<dyn Send + Sync>) {
        *self.guard.lock().unwrap_or_else(PoisonError::into_inner) = Some(guard);
    }

    /// Takes `bytes` of the quota, or nothing.
    pub(crate) fn try_reserve(self: &Arc<Self>, bytes: u64) -> Option<SpaceReservation> {
        self.take(bytes, false)
    }

    /// Takes `bytes`, or what is left of the quota.
    pub(crate) fn reserve_up_to(self: &Arc<Self>, bytes: u64) -> SpaceReservation {
        self.take(bytes, true)
            .unwrap_or_else(|| SpaceReservation { dir: self.clone(), bytes: AtomicU64::new(0) })
    }

    fn take(self: &Arc<Self>, bytes: u64, or_less: bool) -> Option<SpaceReservation> {
        if self.is_lost() {
            return None;
        }
        let mut used = self.used_bytes.load(Ordering::Acquire);
        loop {
            let free = self.quota_bytes.saturating_sub(used);
            let granted = if or_less { bytes.min(free) } else { bytes };
            if granted > free {
                return None;
            }
            match self.used_bytes.compare_exchange_weak(
                used,
                used + granted,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => {
                    let bytes = AtomicU64::new(granted);
                    return Some(SpaceReservation { dir: self.clone(), bytes });
                }
                Err(now) => used = now,
            }
        }
    }
}

/// Bytes of one directory's quota, taken. Dropping it returns them.
///
/// A temporary block, its readers, the committed block and its leases share one token, so the room
/// of a block that was removed while somebody still reads it counts as used until the last reader
/// is done: its bytes are still on the disk.
pub struct SpaceReservation {
    dir: Arc<Dir>,
    bytes: AtomicU64,
}

impl SpaceReservation {
    /// Bytes taken.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    /// The configured directory they are taken from.
    pub fn dir_path(&self) -> &Path {
        &self.dir.path
    }

    pub(crate) fn dir(&self) -> &Arc<Dir> {
        &self.dir
    }

    /// Adds the room of `other`, which must be of the same directory.
    pub(crate) fn absorb(&self, other: SpaceReservation) {
        debug_assert!(Arc::ptr_eq(&self.dir, &other.dir), "room cannot change its directory");
        self.bytes.fetch_add(other.bytes.swap(0, Ordering::AcqRel), Ordering::AcqRel);
    }

    /// Returns all but `bytes`; nothing when there are fewer.
    pub(crate) fn shrink_to(&self, bytes: u64) {
        let before = self.bytes.fetch_min(bytes, Ordering::AcqRel);
        self.dir.used_bytes.fetch_sub(before.saturating_sub(bytes), Ordering::AcqRel);
    }
}

impl Drop for SpaceReservation {
    fn drop(&mut self) {
        self.dir.used_bytes.fetch_sub(self.bytes(), Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir(quota_bytes: u64) -> Arc<Dir> {
        let config = DirConfig { path: "/x".into(), quota_bytes, medium: MediumType("MEM".into()) };
        Arc::new(Dir::new(0, 0, &config, ["data", ".temp"]))
    }

    #[test]
    fn room_comes_back_when_the_token_goes() {
        let dir = dir(100);
        let first = dir.try_reserve(70).unwrap();
        assert!(dir.try_reserve(31).is_none());
        let rest = dir.reserve_up_to(50);
        assert_eq!((rest.bytes(), dir.free_bytes()), (30, 0));
        first.absorb(rest);
        assert_eq!(first.bytes(), 100);
        first.shrink_to(10);
        assert_eq!(dir.used_bytes(), 10);
        drop(first);
        assert_eq!(dir.used_bytes(), 0);
    }

    #[test]
    fn a_lost_directory_grants_nothing() {
        let dir = dir(100);
        assert!(dir.mark_lost("gone".into()));
        assert!(!dir.mark_lost("gone again".into()));
        assert!(dir.try_reserve(1).is_none());
        assert_eq!(dir.reserve_up_to(1).bytes(), 0);
    }

    #[test]
    fn racing_takers_never_exceed_the_quota() {
        let dir = dir(1000);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for i in 0..2000 {
                        let token = dir.try_reserve(1 + i % 300);
                        assert!(dir.used_bytes() <= 1000);
                        drop(token);
                    }
                });
            }
        });
        assert_eq!(dir.used_bytes(), 0);
    }
}
