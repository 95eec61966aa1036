//! Images that every node has: the first process of pods, and busybox for tests' pods.

use crate::programs::{pause, require};
use alluxio_oci::{Arch, Compression, Config, Image, Layer, write};
use anyhow::{Context, Result};
use std::fs::File;
use std::path::{Path, PathBuf};

/// The image of pods' first process.
pub const PAUSE: &str = "localhost/pause:e2e";
/// An image with a shell and the usual small programs.
pub const BUSYBOX: &str = "localhost/busybox:e2e";

/// Writes the archives into `dir`, which must exist.
pub(crate) fn write_all(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut small = Layer::new();
    small.copy("/pause", 0o755, &require(pause())?)?;
    let pause = write_one(dir, PAUSE, small, &["/pause"])?;

    let mut shell = Layer::new();
    shell.copy("/bin/busybox", 0o755, Path::new("/bin/busybox"))?;
    for name in APPLETS {
        shell.link(&format!("/bin/{name}"), "busybox")?;
    }
    shell.text("/etc/passwd", 0o644, "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534::/:\n")?;
    shell.text("/etc/group", 0o644, "root:x:0:\nnogroup:x:65534:\n")?;
    shell.folder("/tmp", 0o1777, 0)?;
    // A shell ignores SIGTERM as a first process; pods of tests should end at once.
    let busybox = write_one(dir, BUSYBOX, shell, &["/bin/sh", "-c", "sleep 1000000 & wait"])?;
    Ok(vec![pause, busybox])
}

/// What tests may call by name.
const APPLETS: &[&str] = &[
    "awk",
    "cat",
    "chmod",
    "cp",
    "cut",
    "dd",
    "df",
    "echo",
    "env",
    "false",
    "find",
    "grep",
    "head",
    "hostname",
    "id",
    "kill",
    "ln",
    "ls",
    "mkdir",
    "mount",
    "mv",
    "nc",
    "nslookup",
    "printf",
    "ps",
    "pwd",
    "readlink",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "sh",
    "sha256sum",
    "sleep",
    "sort",
    "stat",
    "sync",
    "tail",
    "test",
    "timeout",
    "touch",
    "tr",
    "true",
    "umount",
    "uname",
    "uniq",
    "wc",
    "wget",
    "xargs",
];

fn write_one(dir: &Path, reference: &str, layer: Layer, command: &[&str]) -> Result<PathBuf> {
    let name = reference.rsplit('/').next().unwrap_or(reference).replace(':', "-");
    let path = dir.join(format!("{name}.tar"));
    let command = command.iter().map(|word| (*word).to_owned()).collect();
    let environment = vec!["PATH=/bin".to_owned()];
    let config = Config { command, environment, ..Config::default() };
    let arch = Arch::of_this_machine().context("images are made for amd64 and arm64 only")?;
    write(&[Image { arch, layer, config }], reference, Compression::None, File::create(&path)?)?;
    Ok(path)
}
