//! The file system seen from outside: names, reading, writing, with locality and failover.
//!
//! It must not know: how a UFS is reached (clients hold no credentials), what a frame looks like,
//! how the primary master is found.
//!
//! Reading order: [`FileSystem`] (`fs`), [`options`], [`cluster`], `layout` and `route` and `policy` (pure: which
//! block, whom to ask), [`FileReader`], [`FileWriter`], [`blocking`], [`error`].

pub mod blocking;
pub mod cluster;
mod contact;
mod control;
pub mod error;
mod fs;
mod layout;
mod load;
mod locality;
mod master;
mod meta_cache;
pub mod options;
mod persist;
mod policy;
mod quota;
mod reader;
mod route;
mod tokens;
mod workers;
mod writer;

pub use alluxio_rpc::named::{NAMES_PER_WORK, named};
pub use cluster::*;
pub use error::ClientError;
pub use fs::FileSystem;
pub use locality::Fallback;
pub use master::Listing;
pub use options::*;
pub use reader::FileReader;
pub use writer::FileWriter;

#[cfg(test)]
mod tests {
    use super::*;
    use alluxio_types::AlluxioPath;

    fn is_send<T: Send>(_: T) {}

    /// Never runs: callers spawn these futures on runtimes with several threads.
    #[expect(dead_code, reason = "it only has to compile")]
    fn futures_can_move_between_threads(
        fs: &FileSystem,
        path: &AlluxioPath,
        reader: &mut FileReader,
        mut writer: FileWriter,
        buffer: &mut [u8],
    ) {
        is_send(fs.list_status(path, &ListStatusOptions::default()));
        is_send(fs.persist(path));
        is_send(fs.load(path, true));
        is_send(reader.read_at(buffer, 0));
        is_send(reader.read_bytes(1));
        is_send(writer.write(b""));
        is_send(writer.close());
    }
}
