//! Under stores: the place where files live when Alluxio does not hold them. One trait,
//! [`UnderFs`], over local and NFS paths, HDFS, object stores, WebHDFS and plain HTTP.
//!
//! It must not know: inodes, blocks, caching, who asks. It is the only crate that talks to a store,
//! the only one that retries against a store, and the only one that sees a mount's credentials.
//!
//! Reading order: [`facts`] (what is said about a file, and what a fingerprint is), [`under_fs`]
//! (the trait, which is a specification), [`error`], [`registry`] (URI and options to a store),
//! then the stores, and [`fault`] for tests of the callers. `conformance` (feature of the same
//! name) is the suite that every store passes.

mod client;
pub mod error;
pub mod facts;
pub mod fault;
mod hdfs;
mod http;
pub mod local;
pub mod location;
pub mod memory;
mod named;
mod object;
mod options;
pub mod registry;
mod retry;
pub mod under_fs;
mod webhdfs;

pub use error::{Error, Result};
pub use facts::{Capabilities, Space, UfsAttributes, UfsEntry, UfsFacts, UfsKind};
pub use fault::{Fault, FaultPlan, FaultyUfs};
pub use local::LocalUfs;
pub use location::Location;
pub use memory::MemoryUfs;
pub use registry::{UfsSettings, UnderFsRegistry};
pub use under_fs::{ByteStream, CreateOptions, EntryStream, MkdirOptions, UfsWriter, UnderFs};

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
