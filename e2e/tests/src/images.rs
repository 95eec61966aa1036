//! Images of what the tests use beside ours: an S3 server, etcd, and the application whose pods have volumes. Each is one
//! program out of this machine's cache or target folder.

use alluxio_e2e_harness::Cluster;
use alluxio_oci::{Arch, Compression, Config, Image, Layer, write};
use alluxio_testservers::cache;
use anyhow::{Context, Result};
use std::fs::File;
use std::path::{Path, PathBuf};

/// The application's image.
pub const APPLICATION: &str = "localhost/alluxio-e2e-app:dev";
/// The S3 server's image.
pub const S3: &str = "localhost/alluxio-e2e-s3:dev";
/// The image of etcd, as the chart names it unless told otherwise.
pub const ETCD: &str = "localhost/etcd:v3.6.4";
/// Where the application's program is in its image.
pub const APPLICATION_PROGRAM: &str = "/usr/bin/alluxio-e2e-app";

/// Authorities that are trusted: this machine's, as its distribution keeps them.
const AUTHORITIES: &[&str] =
    &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// Gives the application's image to all nodes.
///
/// **Errors**: when it can't be made or imported; on a cluster of others, which takes images from registries only.
pub fn application(cluster: &Cluster) -> Result<()> {
    provide(cluster, APPLICATION, &built("alluxio-e2e-app")?, APPLICATION_PROGRAM)
}

/// Gives the S3 server's image to all nodes.
///
/// **Errors**: as of [`application`].
pub fn s3(cluster: &Cluster) -> Result<()> {
    provide(cluster, S3, &cache::require(cache::minio(), "MinIO"), "/usr/bin/minio")
}

/// Gives the image of etcd to all nodes.
///
/// **Errors**: as of [`application`].
pub fn etcd(cluster: &Cluster) -> Result<()> {
    provide(cluster, ETCD, &cache::require(cache::etcd(), "etcd"), "/usr/bin/etcd")
}

/// A program of this package: cargo builds it before it runs the tests.
fn built(name: &str) -> Result<PathBuf> {
    let tests = std::env::current_exe()?;
    let debug = tests.ancestors().find(|dir| dir.ends_with("debug"));
    Ok(debug.context("tests lie below the target folder")?.join(name))
}

fn provide(cluster: &Cluster, reference: &str, program: &Path, path: &str) -> Result<()> {
    let mut layer = Layer::new();
    layer.copy(path, 0o755, program)?.libraries(program)?;
    layer.text("/etc/passwd", 0o644, "root:x:0:0:root:/:/\nuser:x:1000:1000:user:/:/\n")?;
    layer.text("/etc/group", 0o644, "root:x:0:\nuser:x:1000:\n")?;
    layer.text("/etc/nsswitch.conf", 0o644, "hosts: files dns\n")?;
    // The client of the store wants some, also for one without TLS.
    let authorities = AUTHORITIES.iter().map(Path::new).find(|path| path.exists());
    let authorities =
        authorities.context("certificates of authorities: install ca-certificates")?;
    layer.copy("/etc/ssl/certs/ca-certificates.crt", 0o644, authorities)?;
    layer.folder("/tmp", 0o1777, 0)?;
    let config = Config {
        entrypoint: vec![path.to_owned()],
        environment: vec!["PATH=/usr/bin".to_owned(), "HOME=/tmp".to_owned()],
        user: "1000:1000".to_owned(),
        ..Config::default()
    };
    let arch = Arch::of_this_machine().context("images are made for amd64 and arm64 only")?;
    let archive = tempfile::NamedTempFile::new()?;
    let out = File::create(archive.path())?;
    write(&[Image { arch, layer, config }], reference, Compression::None, out)
        .with_context(|| format!("the image {reference} of {}", program.display()))?;
    cluster.load_image(archive.path())
}
