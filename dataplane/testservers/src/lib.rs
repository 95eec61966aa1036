//! Real servers for tests: MinIO (S3), an HDFS mini cluster and etcd, from the user's cache, on free
//! loopback ports, with their data in a temporary directory.
//!
//! It must not know: how they get into the cache (`cargo xtask test` does that, with the versions
//! that stand here), nor anything of Alluxio.
//!
//! A server ends with the process that started it, however that ends: it is watched over by a
//! process that waits for the end of a pipe whose other end we hold.
//!
//! Reading order: [`cache`], [`process`], [`minio`], [`hdfs`], [`etcd`]; [`proxy`] breaks the
//! network between them and us; [`mounts`] keeps mounts of tests from outliving them.

pub mod cache;
pub mod etcd;
pub mod hdfs;
pub mod minio;
pub mod mounts;
pub mod process;
pub mod proxy;

pub use etcd::Etcd;
pub use hdfs::Hdfs;
pub use minio::Minio;
pub use proxy::{Callers, Proxy, eventually};
