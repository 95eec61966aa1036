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
    /// When a file that is closed through a mount is durable: when `close` returns, or within a second after it
    /// and when `fsync` returns.
    COMMIT = "alluxio.fuse.commit", Kind::Enum(&["close", "background"]), default: Some("close"),
        roles: Roles::CLIENT;
    /// Whether the kernel may read blocks of a worker on this machine past us (Linux 6.9).
    PASSTHROUGH = "alluxio.fuse.passthrough.enabled", Kind::Bool, default: Some("true"),
        roles: Roles::CLIENT;
    /// Socket of the agent that serves all mounts of this machine. With it, `alluxio fuse mount` asks the
    /// agent; without, each mount is a process of its own.
    AGENT_SOCKET = "alluxio.fuse.agent.socket", Kind::Text, roles: Roles::CLIENT;
    /// Folder of the agent's sessions: mount points, files that are being written, and what the next agent
    /// has to know.
    SESSIONS_DIR = "alluxio.fuse.sessions.dir", Kind::Text,
        default: Some("${alluxio.work.dir}/fuse-sessions"), roles: Roles::CLIENT;
    /// Sockets of keepers (`alluxio fuse-keeper`), which hold the agent's mounts while it is restarted.
    KEEPER_SOCKETS = "alluxio.fuse.keeper.sockets", Kind::List, default: Some(""),
        roles: Roles::CLIENT;
    /// How long an agent that ends waits for answers that are under way; the next one answers the rest.
    AGENT_DRAIN = "alluxio.fuse.agent.drain.time", Kind::time(0), default: Some("5s"),
        roles: Roles::CLIENT;
    /// Address that the agent's web server listens on.
    WEB_BIND_HOST = "alluxio.fuse.web.bind.host", Kind::Text, default: Some("0.0.0.0"),
        roles: Roles::CLIENT;
    /// Port of the agent's web server: metrics and health.
    WEB_PORT = "alluxio.fuse.web.port", Kind::Port, default: Some("49999"), roles: Roles::CLIENT;
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
    /// `close` or `background`.
    pub commit: String,
    /// Whether blocks are passed through.
    pub passthrough: bool,
    /// Socket of the agent.
    pub agent_socket: Option<PathBuf>,
    /// Folder of the agent's sessions.
    pub sessions_dir: PathBuf,
    /// Sockets of keepers.
    pub keeper_sockets: Vec<PathBuf>,
    /// How long an agent that ends waits for answers.
    pub agent_drain: Duration,
    /// Address of the agent's web server.
    pub web_bind_host: String,
    /// Port of the agent's web server; 0 = any free one.
    pub web_port: u16,
}

pub(crate) fn section(r: &mut Reader<'_>) -> FuseConfig {
    FuseConfig {
        mount_point: r.path(&MOUNT_POINT),
        alluxio_path: r.text(&ALLUXIO_PATH),
        options: r.list(&OPTIONS),
        umount_timeout: r.duration(&UMOUNT_TIMEOUT),
        staging: r.path(&STAGING),
        commit: r.text(&COMMIT),
        passthrough: r.bool(&PASSTHROUGH),
        agent_socket: r.set_text(&AGENT_SOCKET).filter(|path| !path.is_empty()).map(PathBuf::from),
        sessions_dir: r.path(&SESSIONS_DIR),
        keeper_sockets: r.list(&KEEPER_SOCKETS).into_iter().map(PathBuf::from).collect(),
        agent_drain: r.duration(&AGENT_DRAIN),
        web_bind_host: r.text(&WEB_BIND_HOST),
        web_port: r.port(&WEB_PORT),
    }
}
