//! `alluxio fs …`: one file per family of commands.

pub mod attributes;
pub mod bytes;
pub mod cluster;
pub mod copy;
pub mod list;
pub mod load;
pub mod mode;
pub mod mounts;
pub mod progress;
pub mod quota;
pub mod transfer;
pub mod tree;

use crate::connect::Session;
use crate::error::CliError;
use crate::screen::Screen;

/// Commands on the file system.
#[derive(Debug, Clone, clap::Subcommand)]
#[command(rename_all = "camelCase")]
pub enum FsCommand {
    /// Print the bytes of files
    Cat(bytes::Cat),
    /// Compare metadata with the under store, and repair it
    CheckConsistency(load::CheckConsistency),
    /// Print the MD5 sum of files
    Checksum(bytes::Checksum),
    /// Change the group of files and directories
    Chgrp(attributes::Chgrp),
    /// Change the permission bits of files and directories
    Chmod(attributes::Chmod),
    /// Change the owner of files and directories
    Chown(attributes::Chown),
    /// Copy files and directories of this machine into Alluxio
    CopyFromLocal(copy::CopyFromLocal),
    /// Copy files and directories of Alluxio to this machine
    CopyToLocal(copy::CopyToLocal),
    /// Count files, directories and bytes
    Count(list::Count),
    /// Copy within Alluxio, or to and from this machine with file://
    Cp(copy::Cp),
    /// Show how many bytes files have and how many are cached
    Du(list::Du),
    /// Drop cached copies of what is safe in the under store
    Free(load::Free),
    /// Print the capacity of all workers
    GetCapacityBytes,
    /// Print the bytes that all workers hold
    GetUsedBytes,
    /// Print the first bytes of files
    Head(bytes::Head),
    /// Print the host of the primary master
    Leader,
    /// Bring files into the cache
    Load(load::Load),
    /// Load metadata from the under store
    LoadMetadata(load::LoadMetadata),
    /// Print which workers hold the blocks of a file
    Location(list::Location),
    /// List files and directories
    Ls(list::Ls),
    /// Print the primary master and all masters
    MasterInfo,
    /// Make directories, with their parents
    Mkdir(tree::Mkdir),
    /// Mount an under store, or list the mounts
    Mount(mounts::Mount),
    /// Change options of a mount
    UpdateMount(mounts::UpdateMount),
    /// Unmount an under store
    #[command(visible_alias = "umount")]
    Unmount(mounts::Unmount),
    /// Rename a file or directory
    Mv(tree::Mv),
    /// Write cached files to the under store
    Persist(load::Persist),
    /// Keep blocks of files cached
    Pin(attributes::Pin),
    /// Let blocks of files be evicted again
    Unpin(attributes::Unpin),
    /// Bound how much may be in a directory
    #[command(subcommand)]
    Quota(quota::Quota),
    /// Remove files and directories
    Rm(tree::Rm),
    /// Set how many cached copies files have
    SetReplication(attributes::SetReplication),
    /// Set the time to live of files and directories
    SetTtl(attributes::SetTtl),
    /// Take the time to live away
    UnsetTtl(attributes::UnsetTtl),
    /// Show everything about files and directories
    Stat(list::Stat),
    /// Print the last bytes of files
    Tail(bytes::Tail),
    /// Test a property of a path: exit code 0 or 1
    Test(list::Test),
    /// Make empty files
    Touch(tree::Touch),
}

impl FsCommand {
    /// Carries it out.
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        match self {
            FsCommand::Cat(c) => c.run(session, screen).await,
            FsCommand::CheckConsistency(c) => c.run(session, screen).await,
            FsCommand::Checksum(c) => c.run(session, screen).await,
            FsCommand::Chgrp(c) => c.run(session, screen).await,
            FsCommand::Chmod(c) => c.run(session, screen).await,
            FsCommand::Chown(c) => c.run(session, screen).await,
            FsCommand::CopyFromLocal(c) => c.run(session, screen).await,
            FsCommand::CopyToLocal(c) => c.run(session, screen).await,
            FsCommand::Count(c) => c.run(session, screen).await,
            FsCommand::Cp(c) => c.run(session, screen).await,
            FsCommand::Du(c) => c.run(session, screen).await,
            FsCommand::Free(c) => c.run(session, screen).await,
            FsCommand::GetCapacityBytes => cluster::capacity(session, screen).await,
            FsCommand::GetUsedBytes => cluster::used(session, screen).await,
            FsCommand::Head(c) => c.run(session, screen).await,
            FsCommand::Leader => cluster::leader(session, screen).await,
            FsCommand::Load(c) => c.run(session, screen).await,
            FsCommand::LoadMetadata(c) => c.run(session, screen).await,
            FsCommand::Location(c) => c.run(session, screen).await,
            FsCommand::Ls(c) => c.run(session, screen).await,
            FsCommand::MasterInfo => cluster::master_info(session, screen).await,
            FsCommand::Mkdir(c) => c.run(session, screen).await,
            FsCommand::Mount(c) => c.run(session, screen).await,
            FsCommand::UpdateMount(c) => c.run(session, screen).await,
            FsCommand::Unmount(c) => c.run(session, screen).await,
            FsCommand::Mv(c) => c.run(session, screen).await,
            FsCommand::Persist(c) => c.run(session, screen).await,
            FsCommand::Pin(c) => c.run(session, screen).await,
            FsCommand::Unpin(c) => c.run(session, screen).await,
            FsCommand::Quota(c) => c.run(session, screen).await,
            FsCommand::Rm(c) => c.run(session, screen).await,
            FsCommand::SetReplication(c) => c.run(session, screen).await,
            FsCommand::SetTtl(c) => c.run(session, screen).await,
            FsCommand::UnsetTtl(c) => c.run(session, screen).await,
            FsCommand::Stat(c) => c.run(session, screen).await,
            FsCommand::Tail(c) => c.run(session, screen).await,
            FsCommand::Test(c) => c.run(session, screen).await,
            FsCommand::Touch(c) => c.run(session, screen).await,
        }
    }
}
