//! The same file system for callers that wait on their own thread. Readers and writers are
//! [`std::io::Read`], [`std::io::Seek`] and [`std::io::Write`].
//!
//! Not for use inside asynchronous tasks: there every call ends in `BlockingInAsync`.

use crate::error::ClientError;
use crate::options::*;
use alluxio_config::ClientConfig;
use alluxio_host::Host;
use alluxio_types::{Access, AlluxioPath, Code, Coded, FileStatus, WorkerInfo};
use bytes::Bytes;
use std::future::Future;
use std::io;
use std::sync::Arc;
use tokio::runtime::{Builder, Handle, Runtime};

/// Ends without waiting, so that it may be dropped anywhere.
struct Engine(Option<Runtime>);

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Engine {
    fn run<T>(&self, work: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
        match &self.0 {
            Some(runtime) if Handle::try_current().is_err() => runtime.block_on(work),
            _ => Err(ClientError::BlockingInAsync),
        }
    }
}

/// A client of one cluster, with threads of its own. Cheap to clone.
#[derive(Clone)]
pub struct FileSystem {
    fs: crate::FileSystem,
    engine: Arc<Engine>,
}

macro_rules! forward {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $kind:ty),*) -> $out:ty;)+) => {
        impl FileSystem {
            $(
                $(#[$doc])*
                pub fn $name(&self, $($arg: $kind),*) -> Result<$out, ClientError> {
                    self.engine.run(self.fs.$name($($arg),*))
                }
            )+
        }
    };
}

forward! {
    /// See [`crate::FileSystem::create_directory`].
    create_directory(path: &AlluxioPath, options: &CreateDirectoryOptions) -> FileStatus;
    /// See [`crate::FileSystem::delete`].
    delete(path: &AlluxioPath, options: &DeleteOptions) -> u64;
    /// See [`crate::FileSystem::exists`].
    exists(path: &AlluxioPath, freshness: Freshness) -> bool;
    /// See [`crate::FileSystem::free`].
    free(path: &AlluxioPath, options: FreeOptions) -> Freed;
    /// See [`crate::FileSystem::get_status`].
    get_status(path: &AlluxioPath, options: &GetStatusOptions) -> FileStatus;
    /// See [`crate::FileSystem::get_statuses`].
    get_statuses(paths: &[AlluxioPath], options: &GetStatusOptions)
        -> Vec<Result<FileStatus, ClientError>>;
    /// See [`crate::FileSystem::list_status`].
    list_status(path: &AlluxioPath, options: &ListStatusOptions) -> Vec<FileStatus>;
    /// See [`crate::FileSystem::rename`].
    rename(source: &AlluxioPath, destination: &AlluxioPath) -> ();
    /// See [`crate::FileSystem::rename_over`].
    rename_over(source: &AlluxioPath, destination: &AlluxioPath) -> ();
    /// See [`crate::FileSystem::exchange`].
    exchange(one: &AlluxioPath, other: &AlluxioPath) -> ();
    /// See [`crate::FileSystem::create_symlink`].
    create_symlink(path: &AlluxioPath, target: &str) -> FileStatus;
    /// See [`crate::FileSystem::set_attribute`].
    set_attribute(path: &AlluxioPath, changes: &SetAttributeOptions) -> u64;
    /// See [`crate::FileSystem::check_consistency`].
    check_consistency(path: &AlluxioPath) -> Vec<String>;
    /// See [`crate::FileSystem::load_metadata`].
    load_metadata(path: &AlluxioPath, options: LoadMetadataOptions) -> u64;
    /// See [`crate::FileSystem::load`].
    load(path: &AlluxioPath, local: bool) -> Loaded;
    /// See [`crate::FileSystem::persist`].
    persist(path: &AlluxioPath) -> u64;
    /// See [`crate::FileSystem::check_access`].
    check_access(path: &AlluxioPath, access: Access) -> ();
    /// See [`crate::FileSystem::get_block_locations`].
    get_block_locations(path: &AlluxioPath) -> Vec<FileBlockLocation>;
    /// See [`crate::FileSystem::mount`].
    mount(path: &AlluxioPath, ufs_uri: &str, options: &MountOptions) -> ();
    /// See [`crate::FileSystem::update_mount`].
    update_mount(path: &AlluxioPath, options: &UpdateMountOptions) -> ();
    /// See [`crate::FileSystem::unmount`].
    unmount(path: &AlluxioPath) -> ();
    /// See [`crate::FileSystem::get_mount_table`].
    get_mount_table(with_usage: bool) -> Vec<MountPoint>;
    /// See [`crate::FileSystem::workers`].
    workers(include_lost: bool) -> Vec<WorkerInfo>;
    /// See [`crate::FileSystem::capacity`].
    capacity() -> Capacity;
    /// See [`crate::FileSystem::master_info`].
    master_info() -> MasterInfo;
}

impl FileSystem {
    /// A client for the cluster of `config`, with two threads for its connections.
    pub fn connect(config: ClientConfig, host: Host) -> Result<FileSystem, ClientError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("alluxio-client")
            .enable_all()
            .build()
            .map_err(|error| ClientError::Refused {
                code: Code::ResourceExhausted,
                message: format!("cannot start the client's threads: {error}"),
            })?;
        let fs = {
            let _inside = runtime.enter();
            crate::FileSystem::connect(config, host)?
        };
        Ok(FileSystem { fs, engine: Arc::new(Engine(Some(runtime))) })
    }

    /// See [`crate::FileSystem::open_file`].
    pub fn open_file(
        &self,
        path: &AlluxioPath,
        options: &OpenFileOptions,
    ) -> Result<FileReader, ClientError> {
        let reader = self.engine.run(self.fs.open_file(path, options))?;
        Ok(FileReader { reader, engine: self.engine.clone() })
    }

    /// See [`crate::FileSystem::create_file`].
    pub fn create_file(
        &self,
        path: &AlluxioPath,
        options: &CreateFileOptions,
    ) -> Result<FileWriter, ClientError> {
        let writer = self.engine.run(self.fs.create_file(path, options))?;
        Ok(FileWriter { writer, engine: self.engine.clone() })
    }
}

/// See [`crate::FileReader`].
pub struct FileReader {
    reader: crate::FileReader,
    engine: Arc<Engine>,
}

impl FileReader {
    /// See [`crate::FileReader::read_at`].
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ClientError> {
        match self.reader.try_read_at(buffer, offset)? {
            Some(count) => Ok(count),
            None => self.engine.run(self.reader.read_at(buffer, offset)),
        }
    }

    /// See [`crate::FileReader::read_at_bytes`].
    pub fn read_at_bytes(&self, offset: u64, wanted: usize) -> Result<Bytes, ClientError> {
        self.engine.run(self.reader.read_at_bytes(offset, wanted))
    }

    /// See [`crate::FileReader::length`].
    pub fn length(&self) -> u64 {
        self.reader.length()
    }
}

impl io::Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.engine.run(self.reader.read(buffer)).map_err(io_error)
    }
}

impl io::Seek for FileReader {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.reader.seek(to).map_err(io_error)
    }
}

/// See [`crate::FileWriter`].
pub struct FileWriter {
    writer: crate::FileWriter,
    engine: Arc<Engine>,
}

impl FileWriter {
    /// See [`crate::FileWriter::status`].
    pub fn status(&self) -> &FileStatus {
        self.writer.status()
    }

    /// See [`crate::FileWriter::close`].
    pub fn close(self) -> Result<FileStatus, ClientError> {
        self.engine.run(self.writer.close())
    }

    /// See [`crate::FileWriter::cancel`].
    pub fn cancel(self) -> Result<(), ClientError> {
        let work = async {
            self.writer.cancel().await;
            Ok(())
        };
        self.engine.run(work)
    }
}

impl io::Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.engine.run(self.writer.write(bytes)).map_err(io_error)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.engine.run(self.writer.flush()).map_err(io_error)
    }
}

/// The nearest kind, with the error itself inside.
fn io_error(error: ClientError) -> io::Error {
    let kind = match error.code() {
        Code::NotFound => io::ErrorKind::NotFound,
        Code::AlreadyExists | Code::AlreadyCompleted => io::ErrorKind::AlreadyExists,
        Code::NotADirectory => io::ErrorKind::NotADirectory,
        Code::IsADirectory => io::ErrorKind::IsADirectory,
        Code::NotEmpty => io::ErrorKind::DirectoryNotEmpty,
        Code::InvalidArgument | Code::OutOfRange => io::ErrorKind::InvalidInput,
        Code::PermissionDenied | Code::Unauthenticated => io::ErrorKind::PermissionDenied,
        Code::ReadOnly => io::ErrorKind::ReadOnlyFilesystem,
        Code::Stale => io::ErrorKind::StaleNetworkFileHandle,
        Code::ResourceExhausted => io::ErrorKind::StorageFull,
        Code::QuotaExceeded => io::ErrorKind::QuotaExceeded,
        Code::Busy => io::ErrorKind::ResourceBusy,
        Code::DeadlineExceeded => io::ErrorKind::TimedOut,
        Code::Cancelled | Code::Aborted => io::ErrorKind::Interrupted,
        Code::DataLoss => io::ErrorKind::InvalidData,
        Code::Unimplemented => io::ErrorKind::Unsupported,
        Code::FailedPrecondition
        | Code::Incomplete
        | Code::Unavailable
        | Code::NotPrimary
        | Code::Internal => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}
