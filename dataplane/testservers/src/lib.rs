//! Real servers for tests: MinIO (S3) and an HDFS mini cluster, from the user's cache, on free
//! loopback ports, with their data in a temporary directory.
//!
//! It must not know: how they get into the cache (`cargo xtask test` does that, with the versions
//! that stand here), nor anything of Alluxio.
//!
//! A server ends with the process that started it, however that ends: it is watched over by a
//! process that waits for the end of a pipe whose other end we hold.
//!
//! Reading order: [`cache`], [`process`], [`minio`], [`hdfs`].

pub mod cache;
pub mod hdfs;
pub mod minio;
pub mod process;

pub use hdfs::Hdfs;
pub use minio::Minio;
