//! Keys that every process reads: folders, logs, network identity.

use crate::reader::Reader;
use crate::spec::{Kind, Roles, keys};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

keys! {
    /// Installation folder. Environment: `ALLUXIO_HOME`.
    HOME = "alluxio.home", Kind::Text, default: Some("/opt/alluxio");
    /// Folder for what this installation stores: journal and local under store.
    WORK_DIR = "alluxio.work.dir", Kind::Text, default: Some("${alluxio.home}");
    /// Folder of `alluxio-site.properties`. Environment: `ALLUXIO_CONF_DIR`.
    CONF_DIR = "alluxio.conf.dir", Kind::Text, default: Some("${alluxio.home}/conf");
    /// Folders in which `alluxio-site.properties` is searched; the first file found is read.
    SITE_CONF_DIR = "alluxio.site.conf.dir", Kind::List,
        default: Some("${alluxio.conf.dir}/,${user.home}/.alluxio/,/etc/alluxio/");
    /// Folder for log files of processes that the start scripts put in the background.
    LOGS_DIR = "alluxio.logs.dir", Kind::Text, default: Some("${alluxio.work.dir}/logs");
    /// Folders for short-lived files, such as spooled uploads.
    TMP_DIRS = "alluxio.tmp.dirs", Kind::List, default: Some("/tmp");
    /// Most detailed level that is logged.
    LOG_LEVEL = "alluxio.log.level", Kind::Enum(&["ERROR", "WARN", "INFO", "DEBUG", "TRACE"]),
        default: Some("INFO");
    /// Shape of log lines: JSON for machines, TEXT for people, AUTO = JSON for servers.
    LOG_FORMAT = "alluxio.log.format", Kind::Enum(&["AUTO", "JSON", "TEXT"]), default: Some("AUTO");
    /// How long a server lets running calls finish after it was told to stop.
    SHUTDOWN_TIMEOUT = "alluxio.network.connection.server.shutdown.timeout", Kind::time(0),
        default: Some("10s"), roles: Roles::SERVERS;
    /// How long a client waits for a connection to be made.
    CONNECT_TIMEOUT = "alluxio.network.connection.health.check.timeout", Kind::time(1),
        default: Some("5s");
    /// Place of this process in tier `<tier>` of the network (`node`, `rack`, …).
    LOCALITY = "alluxio.locality.<name>", Kind::Text;
    /// Tiers of locality, the nearest first.
    LOCALITY_ORDER = "alluxio.locality.order", Kind::List, default: Some("node,rack");
}

/// What every process needs.
#[derive(Debug, Clone)]
pub struct GeneralConfig {
    /// Installation folder.
    pub home: PathBuf,
    /// Folder of what is stored.
    pub work_dir: PathBuf,
    /// Folder of the site file.
    pub conf_dir: PathBuf,
    /// Folder of log files.
    pub logs_dir: PathBuf,
    /// Folders for short-lived files; never empty.
    pub tmp_dirs: Vec<PathBuf>,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub log_level: String,
    /// Shape of log lines.
    pub log_format: LogFormat,
    /// Time that running calls get when a server stops.
    pub shutdown_timeout: std::time::Duration,
}

/// Shape of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// JSON for servers, text for the command line.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

pub(crate) fn section(r: &mut Reader<'_>) -> GeneralConfig {
    GeneralConfig {
        home: r.path(&HOME),
        work_dir: r.path(&WORK_DIR),
        conf_dir: r.path(&CONF_DIR),
        logs_dir: r.path(&LOGS_DIR),
        tmp_dirs: r.list(&TMP_DIRS).into_iter().map(PathBuf::from).collect(),
        log_level: r.text(&LOG_LEVEL).to_lowercase(),
        log_format: match r.text(&LOG_FORMAT).as_str() {
            "JSON" => LogFormat::Json,
            "TEXT" => LogFormat::Text,
            _ => LogFormat::Auto,
        },
        shutdown_timeout: r.duration(&SHUTDOWN_TIMEOUT),
    }
}

/// A host name or address, and a TCP port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPort {
    /// Name or address; IPv6 addresses without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl HostPort {
    /// That host and port.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        HostPort { host: host.into(), port }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for HostPort {
    type Err = BadHostPort;

    fn from_str(text: &str) -> Result<Self, BadHostPort> {
        let bad = || BadHostPort { text: text.to_owned() };
        let (host, port) = text.trim().rsplit_once(':').ok_or_else(bad)?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').ok_or_else(bad)?,
            None if host.contains(':') => return Err(bad()),
            None => host,
        };
        if host.is_empty() || host.contains(['/', ' ', ',']) {
            return Err(bad());
        }
        Ok(HostPort { host: host.to_owned(), port: port.parse().map_err(|_| bad())? })
    }
}

/// A text that is not `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not host:port")]
pub struct BadHostPort {
    /// What was given.
    pub text: String,
}
