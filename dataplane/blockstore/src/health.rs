//! Whether a directory can still be used, and what happens when it cannot.

use crate::error::{Error, LostDir};
use crate::identity::IDENTITY_FILE;
use crate::space::Dir;
use crate::state::Slot;
use crate::store::Inner;
use alluxio_host::OpenMode;
use std::io;
use std::sync::Arc;

const PROBE_FILE: &str = ".probe";

impl Inner {
    /// Finds out what an IO error means for the directory it happened in. A full disk is a fact
    /// of its own; anything that smells of a broken directory is tried out, so that one unreadable
    /// sector costs one block and not the whole directory.
    pub(crate) fn blame(&self, dir: &Arc<Dir>, error: Error) -> Error {
        let Error::Io { source, .. } = &error else { return error };
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Error::DiskFull { dir: dir.path.clone(), quota_bytes: dir.quota_bytes }
            }
            io::ErrorKind::UnexpectedEof | io::ErrorKind::AlreadyExists => error,
            _ => match self.probe(dir) {
                Ok(()) => error,
                Err(source) => {
                    self.lose(dir, &source);
                    Error::DirLost { dir: dir.path.clone(), source }
                }
            },
        }
    }

    /// See [`crate::BlockStore::check_dirs`].
    pub(crate) fn check_dirs(&self) -> Vec<LostDir> {
        let mut lost = Vec::new();
        for dir in self.dirs() {
            if let Err(error) = self.probe(dir)
                && self.lose(dir, &error)
            {
                lost.push(self.lost_dir(dir));
            }
        }
        lost
    }

    /// The identity is there and a file can be made, written and removed.
    fn probe(&self, dir: &Dir) -> io::Result<()> {
        self.disk.facts(&dir.root.join(IDENTITY_FILE))?;
        let path = dir.root.join(PROBE_FILE);
        let _ = self.disk.remove_file(&path);
        let written = match self.disk.open(&path, OpenMode::CreateNew) {
            Ok(file) => file.write_all_at(b"?", 0),
            // Another thread probes; it will say what it finds.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            Err(error) => Err(error),
        };
        let _ = self.disk.remove_file(&path);
        match written {
            // A full disk still serves what it has.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => Ok(()),
            other => other,
        }
    }

    /// Takes a directory out of service and forgets its blocks; true when it was in service.
    fn lose(&self, dir: &Arc<Dir>, error: &io::Error) -> bool {
        if !dir.mark_lost(error.to_string()) {
            return false;
        }
        let path = dir.path.display();
        tracing::error!(%path, %error, "storage directory is lost");
        for shard in self.shards.all() {
            let mut gone = Vec::new();
            for (block, slot) in shard.lock().iter_mut() {
                match slot {
                    Slot::Committed(stored) if Arc::ptr_eq(stored.dir(), dir) => {
                        *slot = Slot::Leaving;
                        gone.push(*block);
                    }
                    Slot::Filling(fill) if Arc::ptr_eq(fill.space.dir(), dir) => fill.doom(),
                    Slot::Moving { stored, doomed } if Arc::ptr_eq(stored.dir(), dir) => {
                        *doomed = true;
                    }
                    _ => {}
                }
            }
            for block in gone {
                self.tiers[dir.tier].order_remove(block);
                self.report.removed(block);
                self.shards.left(block);
                self.stats.lost.add(1);
            }
        }
        true
    }

    pub(crate) fn lost_dir(&self, dir: &Dir) -> LostDir {
        LostDir {
            tier: self.tier_alias(dir.tier).clone(),
            path: dir.path.clone(),
            reason: dir.lost_reason(),
        }
    }
}
