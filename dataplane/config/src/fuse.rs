//! Keys and section of mounts through the kernel (`alluxio fuse`).

use crate::reader::Reader;
use crate::spec::{Kind, Roles, keys};
use std::path::PathBuf;
use std::time::Duration;

keys! {
    /// Where `alluxio fuse mount` mounts when it is not told.
    MOUNT_POINT = "alluxio.fuse.mount.point", Kind::Text, default: Some("/mnt/alluxio-fuse"),
        roles: Roles::CLIENT;
    /// What it mounts when it is not told.
    ALLUXIO_PATH = "alluxio.fuse.mount.alluxio.path", Kind::Text, default: Some("/"),
        roles: Roles::CLIENT;
    /// Options of every mount, as for `-o`; what the command line says comes later and wins.
    OPTIONS = "alluxio.fuse.mount.options", Kind::List,
        default: Some("attr_timeout=600,entry_timeout=600"), roles: Roles::CLIENT;
    /// How long an unmount may take before it is given up.
    UMOUNT_TIMEOUT = "alluxio.fuse.umount.timeout", Kind::time(0), default: Some("10s"),
        roles: Roles::CLIENT;
    /// Folder of files that are being written through a mount, until they are closed: it needs room for
    /// all of them. What a process that was killed has left there, the next one goes on with.
    STAGING = "alluxio.fuse.staging.dir", Kind::Text, default: Some("${alluxio.work.dir}/fuse"),
        roles: Roles::CLIENT;
    /// Whether the kernel may read blocks of a worker on this machine past us (Linux 6.9).
    PASSTHROUGH = "alluxio.fuse.passthrough.enabled", Kind::Bool, default: Some("true"),
        roles: Roles::CLIENT;
}

/// How mounts are made and behave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FuseConfig {
    /// Default mount point.
    pub mount_point: PathBuf,
    /// Default path in the namespace.
    pub alluxio_path: String,
    /// Options, before those of the command line.
    pub options: Vec<String>,
    /// How long an unmount may take.
    pub umount_timeout: Duration,
    /// Folder of files that are being written.
    pub staging: PathBuf,
    /// Whether blocks are passed through.
    pub passthrough: bool,
}

pub(crate) fn section(r: &mut Reader<'_>) -> FuseConfig {
    FuseConfig {
        mount_point: r.path(&MOUNT_POINT),
        alluxio_path: r.text(&ALLUXIO_PATH),
        options: r.list(&OPTIONS),
        umount_timeout: r.duration(&UMOUNT_TIMEOUT),
        staging: r.path(&STAGING),
        passthrough: r.bool(&PASSTHROUGH),
    }
}
