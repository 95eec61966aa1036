//! Files of this machine as a port: blocking, positioned, with explicit durability.
//!
//! Async code calls it from a blocking task. What is not synced may be lost by a crash: data by
//! [`DiskFile::sync_data`], names (create, rename, remove) by [`Disk::sync_dir`] of the directory.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// How to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// It must exist; reads only.
    Read,
    /// It must exist; reads and writes.
    ReadWrite,
    /// It must not exist; made with mode 0600, reads and writes.
    CreateNew,
}

/// What is known of a file without opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileFacts {
    /// Length in bytes.
    pub length: u64,
    /// Whether it is a directory.
    pub is_directory: bool,
}

/// An open file. All calls are positioned and may be made from several threads.
pub trait DiskFile: Send + Sync + 'static {
    /// Reads up to `buffer.len()` bytes; 0 only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes`, growing the file when needed. After an error, any part may be there.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes the bytes and the length survive a crash.
    fn sync_data(&self) -> io::Result<()>;

    /// Length in bytes.
    fn length(&self) -> io::Result<u64>;

    /// Cuts or grows (with zeros) to `length`.
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Reserves room for `length` bytes without changing what a reader sees beyond growth;
    /// full disks are reported here, not at the write.
    fn allocate(&self, length: u64) -> io::Result<()>;

    /// The descriptor, where there is a real one that may be lent to another process.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// Reads exactly `buffer.len()` bytes.
    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_at(buffer, offset)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => {
                    buffer = &mut buffer[n..];
                    offset += n as u64;
                }
            }
        }
        Ok(())
    }
}

/// A file system of this machine.
pub trait Disk: Send + Sync + 'static {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>>;

    /// Makes a directory and all above it.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Names in a directory, sorted.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Renames within one file system, replacing a file of that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory and all below it; fine when it is not there.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Facts about a path; `NotFound` when there is nothing.
    fn facts(&self, path: &Path) -> io::Result<FileFacts>;

    /// Makes creations, renames and removals in a directory survive a crash.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Takes a lock on a file (made when missing) that ends with the returned guard or the process.
    /// `WouldBlock` when somebody else holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>>;
}

/// The machine's own file systems.
pub struct RealDisk;

struct RealFile(fs::File);

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.0.read_at(buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.size())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        if length == 0 {
            return Ok(());
        }
        let flags = rustix::fs::FallocateFlags::empty();
        match rustix::fs::fallocate(&self.0, flags, 0, length) {
            // File systems without fallocate still work, they report a full disk at the write.
            Err(rustix::io::Errno::OPNOTSUPP) => {
                if self.length()? < length {
                    self.0.set_len(length)
                } else {
                    Ok(())
                }
            }
            other => other.map_err(Into::into),
        }
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let mut options = fs::OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => {}
            OpenMode::ReadWrite => {
                options.write(true);
            }
            OpenMode::CreateNew => {
                options.write(true).create_new(true).mode(0o600);
            }
        }
        Ok(Box::new(RealFile(options.open(path)?)))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for item in fs::read_dir(path)? {
            // Names of ours are ASCII; a foreign name is shown, not matched.
            names.push(item?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn facts(&self, path: &Path) -> io::Result<FileFacts> {
        let meta = fs::metadata(path)?;
        Ok(FileFacts { length: meta.size(), is_directory: meta.is_dir() })
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Box::new(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(io::ErrorKind::WouldBlock.into()),
            Err(errno) => Err(errno.into()),
        }
    }
}
