//! Whose a directory is: one small text file in each, so that blocks never serve a cluster in
//! which their ids mean other files.
//!
//! **Shape** of `<dir>/alluxioworker/.identity`: lines `alluxio-worker-dir 1`, `worker <decimal id>`,
//! and, once the worker has joined a cluster, `cluster <id>`.

use crate::error::OpenError;
use crate::space::Dir;
use alluxio_host::{Disk, Entropy, OpenMode};
use alluxio_types::WorkerId;
use std::io;
use std::path::Path;

/// Name of the file.
pub const IDENTITY_FILE: &str = ".identity";
const LOCK_FILE: &str = ".lock";
const HEADER: &str = "alluxio-worker-dir 1";

/// Who a store belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The worker, chosen at random when its first directory was formatted.
    pub worker: WorkerId,
    /// The cluster it joined; `None` before the first registration.
    pub cluster: Option<String>,
}

impl Identity {
    fn encode(&self) -> String {
        let mut text = format!("{HEADER}\nworker {}\n", self.worker);
        if let Some(cluster) = &self.cluster {
            text.push_str(&format!("cluster {cluster}\n"));
        }
        text
    }

    fn decode(text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        if lines.next() != Some(HEADER) {
            return Err(format!("it does not start with {HEADER:?}"));
        }
        let (mut worker, mut cluster) = (None, None);
        for line in lines {
            match line.split_once(' ') {
                Some(("worker", id)) => worker = id.parse().ok().map(WorkerId),
                Some(("cluster", id)) if !id.is_empty() => cluster = Some(id.to_owned()),
                _ => return Err(format!("line {line:?} is not known")),
            }
        }
        let worker = worker.ok_or("it names no worker")?;
        Ok(Identity { worker, cluster })
    }

    /// The identity in a directory; `None` when it was never formatted.
    pub(crate) fn read(disk: &dyn Disk, dir: &Dir) -> Result<Option<Self>, ReadError> {
        let path = dir.root.join(IDENTITY_FILE);
        let bytes = match read_small(disk, &path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ReadError::Io(error)),
        };
        let text = String::from_utf8_lossy(&bytes);
        Self::decode(&text)
            .map(Some)
            .map_err(|what| ReadError::Open(OpenError::BadIdentity { path, what }))
    }

    /// Writes the identity of a directory, replacing the one there in one step.
    pub(crate) fn write(&self, disk: &dyn Disk, dir: &Dir) -> io::Result<()> {
        let path = dir.root.join(IDENTITY_FILE);
        let temp = dir.root.join(".identity.new");
        match disk.remove_file(&temp) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = disk.open(&temp, OpenMode::CreateNew)?;
        file.write_all_at(self.encode().as_bytes(), 0)?;
        file.sync_data()?;
        disk.rename(&temp, &path)?;
        disk.sync_dir(&dir.root)
    }
}

pub(crate) enum ReadError {
    Open(OpenError),
    Io(io::Error),
}

/// Reads a whole file of at most a few megabytes.
pub(crate) fn read_small(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read)?;
    let mut bytes = vec![0; file.length()? as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Makes the directory usable by this process alone.
pub(crate) fn enter(disk: &dyn Disk, dir: &Dir) -> Result<(), ReadError> {
    disk.create_dir_all(&dir.temp_root).map_err(ReadError::Io)?;
    match disk.lock(&dir.root.join(LOCK_FILE)) {
        Ok(guard) => {
            dir.keep(guard);
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(ReadError::Open(OpenError::InUse { dir: dir.path.clone() }))
        }
        Err(error) => Err(ReadError::Io(error)),
    }
}

/// Checks that all directories agree, chooses an id when none has one, and writes it where it is
/// missing. Directories that refuse are marked lost.
pub(crate) fn agree(
    disk: &dyn Disk,
    dirs: &[std::sync::Arc<Dir>],
    entropy: &dyn Entropy,
) -> Result<Identity, OpenError> {
    let mut found: Option<Identity> = None;
    let mut blank = Vec::new();
    let mut last = None;
    let mut lose = |dir: &Dir, error: io::Error| {
        dir.mark_lost(error.to_string());
        last = Some((dir.path.clone(), error));
    };
    for dir in dirs {
        match enter(disk, dir).and_then(|()| Identity::read(disk, dir)) {
            Err(ReadError::Open(error)) => return Err(error),
            Err(ReadError::Io(error)) => lose(dir, error),
            Ok(None) => blank.push(dir),
            Ok(Some(identity)) => match &mut found {
                None => found = Some(identity),
                Some(first) => merge(first, identity, dir)?,
            },
        }
    }
    // 0 is what an unset id looks like; nobody may be called that.
    let identity = found
        .unwrap_or_else(|| Identity { worker: WorkerId(entropy.next_u64().max(1)), cluster: None });
    for dir in blank {
        if let Err(error) = identity.write(disk, dir) {
            lose(dir, error);
        }
    }
    match last {
        Some((dir, source)) if dirs.iter().all(|dir| dir.is_lost()) => {
            Err(OpenError::NoUsableDir { dirs: dirs.len(), dir, source })
        }
        _ => Ok(identity),
    }
}

fn merge(first: &mut Identity, next: Identity, dir: &Dir) -> Result<(), OpenError> {
    if next.worker != first.worker {
        return Err(OpenError::ForeignWorker {
            dir: dir.path.clone(),
            found: next.worker,
            expected: first.worker,
        });
    }
    match (&first.cluster, next.cluster) {
        (Some(expected), Some(found)) if *expected != found => Err(OpenError::ForeignCluster {
            dir: dir.path.clone(),
            found,
            expected: expected.clone(),
        }),
        (None, cluster @ Some(_)) => {
            first.cluster = cluster;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Removes everything that workers stored in `data_folder` below `path` (`alluxio formatWorker`),
/// the identity too.
///
/// **Errors**: `WouldBlock` when a worker uses the directory; what the machine says.
pub fn format(disk: &dyn Disk, path: &Path, data_folder: &str) -> io::Result<()> {
    let root = path.join(data_folder.trim_matches('/'));
    match disk.facts(&root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let _guard = disk.lock(&root.join(LOCK_FILE))?;
    disk.remove_dir_all(&root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_reads_back_and_noise_does_not() {
        let mut identity = Identity { worker: WorkerId(42), cluster: None };
        assert_eq!(Identity::decode(&identity.encode()), Ok(identity.clone()));
        identity.cluster = Some("c-1".into());
        assert_eq!(Identity::decode(&identity.encode()), Ok(identity));
        for text in ["", "hello", "alluxio-worker-dir 1\n", "alluxio-worker-dir 1\nworker x\n"] {
            assert!(Identity::decode(text).is_err(), "{text:?}");
        }
    }
}
