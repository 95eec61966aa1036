//! Being the only one: a lock on a file that the kernel takes away with its process, and sockets that are
//! made under it.

use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Held for as long as the value lives.
#[derive(Debug)]
pub struct LockFile {
    _file: File,
}

/// Somebody else has it.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("{} is held by {holder}", path.display())]
    Held {
        /// The file.
        path: PathBuf,
        /// What it says of itself.
        holder: String,
    },
    /// The file cannot be made.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl LockFile {
    /// Takes the lock, and says in the file who has it. Does not wait.
    ///
    /// **Errors**: `Held`, `Io`.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Io { path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(path).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                // It may be writing just now.
                let _ = file.take(64).read_to_string(&mut holder);
                let holder = holder.trim();
                let holder = if holder.is_empty() { "another process" } else { holder };
                return Err(LockError::Held { path: path.to_owned(), holder: holder.to_owned() });
            }
            Err(error) => return Err(failed(error.into())),
        }
        let text = format!("process {}\n", std::process::id());
        file.set_len(0).and_then(|()| file.rewind()).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        Ok(LockFile { _file: file })
    }
}

/// The lock of a socket: `<socket>.lock`.
pub(crate) fn beside(socket: &Path) -> PathBuf {
    let mut name = socket.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    socket.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_has_it_and_the_other_is_told_who() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = LockFile::take(&path).unwrap();
        let error = LockFile::take(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        drop(first);
        LockFile::take(&path).unwrap();
    }
}
