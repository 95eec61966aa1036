//! What is in the images beside the programs.

use alluxio_oci::Layer;
use anyhow::{Context, Result};
use std::path::Path;

/// Where the data plane's image keeps its configuration, logs and journal unless told otherwise.
pub(crate) const HOME: &str = "/opt/alluxio";
const ALLUXIO: u32 = 1000;

/// Authorities that are trusted: this machine's, as its distribution keeps them.
const AUTHORITIES: &[&str] =
    &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// What every image has: names, authorities, somewhere for scratch files.
pub(crate) fn base() -> Result<Layer> {
    let found = AUTHORITIES.iter().map(Path::new).find(|path| path.exists());
    let authorities = found.context(
        "this machine has no certificates of authorities: install the package ca-certificates",
    )?;
    let mut layer = Layer::new();
    layer.copy("/etc/ssl/certs/ca-certificates.crt", 0o644, authorities)?;
    layer.text(
        "/etc/passwd",
        0o644,
        "root:x:0:0:root:/root:/sbin/nologin\n\
         alluxio:x:1000:1000:Alluxio:/opt/alluxio:/sbin/nologin\n\
         nonroot:x:65532:65532:nonroot:/:/sbin/nologin\n\
         nobody:x:65534:65534:nobody:/:/sbin/nologin\n",
    )?;
    layer.text(
        "/etc/group",
        0o644,
        "root:x:0:\nalluxio:x:1000:\nnonroot:x:65532:\nnogroup:x:65534:\n",
    )?;
    // Kubernetes writes hosts; names that stand there go before those that DNS knows.
    layer.text("/etc/nsswitch.conf", 0o644, "hosts: files dns\n")?;
    layer.folder("/tmp", 0o1777, 0)?;
    layer.folder("/root", 0o700, 0)?;
    Ok(layer)
}

/// The folders of the data plane, writable for its user.
pub(crate) fn data_plane(layer: &mut Layer) -> Result<()> {
    for folder in ["", "/conf", "/logs", "/journal", "/underFSStorage"] {
        layer.folder(&format!("{HOME}{folder}"), 0o755, ALLUXIO)?;
    }
    // Where mounts, caches and sockets are mounted into, so that a read-only root suffices.
    for folder in ["/mnt", "/run", "/var/lib/alluxio"] {
        layer.folder(folder, 0o755, 0)?;
    }
    Ok(())
}

/// The operator has no files.
pub(crate) fn operator(_: &mut Layer) -> Result<()> {
    Ok(())
}
