//! Where servers are installed, and in which version.

use std::path::PathBuf;

/// Go module version of MinIO.
pub const MINIO_VERSION: &str = "v0.0.0-20260212201848-7aac2a2c5b7c";
/// Go module version of etcd; the same stands in `etcd/go.mod`.
pub const ETCD_VERSION: &str = "v3.6.4";
/// Go module version of csi-sanity.
pub const CSI_SANITY_VERSION: &str = "v5.6.0";
/// Version of Hadoop's mini cluster; the same stands in `hdfs/pom.xml`.
pub const HADOOP_VERSION: &str = "3.4.1";

/// `${XDG_CACHE_HOME:-~/.cache}/alluxio`.
///
/// **Panics** without a home directory.
pub fn root() -> PathBuf {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => {
            let home = std::env::var_os("HOME").expect("HOME or XDG_CACHE_HOME must be set");
            PathBuf::from(home).join(".cache")
        }
    };
    base.join("alluxio")
}

/// The MinIO program.
pub fn minio() -> PathBuf {
    root().join("servers").join(format!("minio-{MINIO_VERSION}")).join("minio")
}

/// The etcd program.
pub fn etcd() -> PathBuf {
    root().join("servers").join(format!("etcd-{ETCD_VERSION}")).join("etcd")
}

/// The program csi-sanity.
pub fn csi_sanity() -> PathBuf {
    root().join("servers").join(format!("csi-sanity-{CSI_SANITY_VERSION}")).join("csi-sanity")
}

/// Counts changes of `hdfs/pom.xml` within one version of Hadoop: another set of jars goes into
/// another directory.
const HDFS_REVISION: u32 = 2;

/// The directory with the jars of HDFS.
pub fn hdfs_jars() -> PathBuf {
    root().join("servers").join(format!("hdfs-{HADOOP_VERSION}-r{HDFS_REVISION}"))
}

/// A file that is there once [`hdfs_jars`] is complete.
pub fn hdfs_mark() -> PathBuf {
    hdfs_jars().join(".complete")
}

/// Fails the test, saying what to do, unless `path` is there.
///
/// **Panics** unless `path` is there.
pub fn require(path: PathBuf, what: &str) -> PathBuf {
    assert!(
        path.exists(),
        "this test needs {what}, which is not installed ({} is missing): \
         run `cargo xtask test` once, or `cargo xtask test --install-only`",
        path.display()
    );
    path
}
