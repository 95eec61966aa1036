//! Configuration: one typed registry of Alluxio's keys (`alluxio.…`), and the finished, checked
//! section that each role is handed by value.
//!
//! ```text
//! defaults → alluxio-site.properties → environment → -Dkey=value   (later wins)
//!                          └── Sources ──► Config::load ──► config.master() / worker() / client()
//! ```
//!
//! It must not know: clocks, sockets, tasks, or what a role does with its section. No role reads the
//! map of keys after start; nothing here is global. Process facts (environment, arguments) come in
//! through [`Sources`], facts of the machine through [`Machine`].
//!
//! Reading order: [`spec`] (what a key is), [`properties`] (the file format), [`source`],
//! [`load`] (merge, substitute, check), then one file per role: [`general`], [`security`],
//! [`master`], [`metastore`], [`etcd`], [`worker`], [`client`], [`fuse`], [`csi`]; [`ufs`] has the options of
//! under stores, [`legacy`] the keys that are known and mean nothing here; [`mod@reference`] writes the
//! documentation.

pub mod client;
pub mod csi;
pub mod error;
pub mod etcd;
pub mod fuse;
pub mod general;
pub mod legacy;
pub mod load;
pub mod machine;
pub mod master;
pub mod metastore;
pub mod properties;
mod reader;
pub mod reference;
mod registry;
pub mod security;
pub mod source;
pub mod spec;
pub mod ufs;
mod value;
pub mod worker;

pub use client::{
    ClientConfig, LocationPolicy, MetadataCacheConfig, MetadataLoad, PolicyConfig,
    ReplicationConfig, RetryConfig, StreamConfig,
};
pub use csi::CsiConfig;
pub use error::{ConfigError, Fault};
pub use etcd::{EtcdConfig, EtcdPassword, EtcdTls};
pub use fuse::FuseConfig;
pub use general::{GeneralConfig, HostPort, LogFormat};
pub use load::{Config, Setting, Warning};
pub use machine::Machine;
pub use master::{
    BackupConfig, DailyBackup, JournalConfig, JournalKind, MasterConfig, MetadataSyncConfig,
    MountConfig,
};
pub use metastore::MetastoreConfig;
pub use security::{AuthenticationType, BlockTokenConfig, SecurityConfig};
pub use source::{Source, Sources};
pub use spec::{KeySpec, Kind, Roles};
pub use worker::{Allocator, Annotator, DirConfig, TierConfig, WorkerConfig};

/// What is printed in place of a credential.
pub const MASK: &str = "******";
