//! What is in the images beside the programs.

use alluxio_oci::Layer;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;

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

/// The shared libraries of a program, where it looks for them.
pub(crate) fn libraries(layer: &mut Layer, program: &Path) -> Result<()> {
    let output = Command::new("ldd").arg(program).output().context("ldd tells libraries")?;
    let list = String::from_utf8_lossy(&output.stdout);
    for path in library_paths(&list)? {
        layer.copy(path, 0o755, Path::new(path))?;
    }
    Ok(())
}

/// The files that a list of ldd names.
fn library_paths(list: &str) -> Result<Vec<&str>> {
    if let Some(line) = list.lines().find(|line| line.contains("not found")) {
        bail!("a library is missing on this machine: {}", line.trim());
    }
    // `name => /path (address)`, or `/path (address)`; the kernel's own has no path.
    let words =
        list.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(words.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_ldd() {
        let list = "\tlinux-vdso.so.1 (0x00007f40ea88f000)\n\
            \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f40e701e000)\n\
            \t/lib64/ld-linux-x86-64.so.2 (0x00007f40ea891000)\n";
        assert_eq!(
            library_paths(list).unwrap(),
            ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]
        );
        assert_eq!(library_paths("\tstatically linked\n").unwrap(), Vec::<&str>::new());
        assert!(library_paths("\tlibz.so => not found\n").is_err());
    }
}
