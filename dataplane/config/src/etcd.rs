//! Keys and section of etcd, for the election and the journal of several masters.

use crate::reader::Reader;
use crate::spec::{Kind, Roles, keys};
use std::fmt;
use std::path::PathBuf;

const MASTER: Roles = Roles::MASTER;

keys! {
    /// Addresses of etcd, for master election and the shared journal. Clients and workers that are given
    /// them find the primary there, too.
    ENDPOINTS = "alluxio.etcd.endpoints", Kind::List;
    /// Name of this cluster: all that it keeps in etcd lies below `/<name>/`.
    CLUSTER_NAME = "alluxio.cluster.name", Kind::Text, default: Some("DefaultAlluxioCluster");
    /// User of etcd; none when its authentication is off.
    USERNAME = "alluxio.etcd.username", Kind::Text;
    /// Password of that user.
    PASSWORD = "alluxio.etcd.password", Kind::Text, credential: true;
    /// File whose content is the password of that user, without the line's end.
    PASSWORD_FILE = "alluxio.etcd.password.file", Kind::Text;
    /// Whether etcd is spoken to over TLS.
    TLS_ENABLED = "alluxio.etcd.tls.enabled", Kind::Bool, default: Some("false");
    /// PEM file of the authorities that may sign etcd's certificate; the machine's list without it.
    TLS_CA = "alluxio.etcd.tls.ca.cert", Kind::Text;
    /// PEM file of the certificate that is shown to etcd, if it asks for one.
    TLS_CERT = "alluxio.etcd.tls.client.cert", Kind::Text;
    /// PEM file of that certificate's key.
    TLS_KEY = "alluxio.etcd.tls.client.key", Kind::Text;
    /// Name that must stand in etcd's certificate, when it is not the endpoint's host.
    TLS_SERVER_NAME = "alluxio.etcd.tls.server.name", Kind::Text;
    /// How long the primary stays elected in etcd after its last sign of life. Standbys end it earlier
    /// when they see it fail; this is the last resort.
    LEASE = "alluxio.etcd.leader.lease", Kind::time(2_000), default: Some("5s"), roles: MASTER;
    /// Bytes of the journal in etcd beyond which a checkpoint is forced and changes are slowed down.
    BACKLOG = "alluxio.master.journal.etcd.backlog.bytes.max", Kind::size(1 << 20),
        default: Some("256MB"), roles: MASTER;
}

/// Where etcd is and who we are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdConfig {
    /// `host:port`, or URLs; never empty.
    pub endpoints: Vec<String>,
    /// All keys lie below `/<name>/`.
    pub cluster_name: String,
    /// User and password.
    pub user: Option<(String, EtcdPassword)>,
    /// `None` for plain TCP.
    pub tls: Option<EtcdTls>,
    /// How long the primary stays elected after its last sign of life.
    pub lease: std::time::Duration,
    /// Bytes of the journal in etcd beyond which changes are slowed down.
    pub backlog_bytes: u64,
}

/// Where the password stands.
#[derive(Clone, PartialEq, Eq)]
pub enum EtcdPassword {
    /// In the configuration.
    Text(String),
    /// In a file.
    File(PathBuf),
}

/// Without the password.
impl fmt::Debug for EtcdPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EtcdPassword::Text(_) => f.write_str(crate::MASK),
            EtcdPassword::File(path) => path.fmt(f),
        }
    }
}

/// PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdTls {
    /// Authorities; `None` for the machine's list.
    pub ca: Option<PathBuf>,
    /// Our certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Name in etcd's certificate.
    pub server_name: Option<String>,
}

/// The section; `None` when no endpoint is set.
pub(crate) fn section(r: &mut Reader<'_>) -> Option<EtcdConfig> {
    let endpoints = r.list(&ENDPOINTS);
    if endpoints.is_empty() {
        return None;
    }
    let cluster_name = r.text(&CLUSTER_NAME);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if cluster_name.is_empty() || !cluster_name.chars().all(plain) {
        r.bad_value(&CLUSTER_NAME, &cluster_name, "letters, digits, `-`, `_` and `.`");
    }
    Some(EtcdConfig {
        endpoints,
        cluster_name,
        user: user(r),
        tls: tls(r),
        lease: r.duration(&LEASE),
        backlog_bytes: r.size(&BACKLOG),
    })
}

fn user(r: &mut Reader<'_>) -> Option<(String, EtcdPassword)> {
    let text = r.set_text(&PASSWORD).map(EtcdPassword::Text);
    let file = r.set_text(&PASSWORD_FILE).map(|path| EtcdPassword::File(path.into()));
    match (r.set_text(&USERNAME), text, file) {
        (_, Some(_), Some(_)) => {
            let (one, other) = (PASSWORD.name, PASSWORD_FILE.name);
            r.conflict(format!("{one} and {other} are both set; one of them is enough"));
            None
        }
        (Some(name), Some(password), None) | (Some(name), None, Some(password)) => {
            Some((name, password))
        }
        (Some(_), None, None) => {
            r.missing(PASSWORD.name, "set it, or alluxio.etcd.password.file");
            None
        }
        (None, None, None) => None,
        (None, _, _) => {
            r.missing(USERNAME.name, "a password without a user makes no sense");
            None
        }
    }
}

fn tls(r: &mut Reader<'_>) -> Option<EtcdTls> {
    if !r.bool(&TLS_ENABLED) {
        return None;
    }
    let path = |r: &Reader<'_>, key| r.set_text(key).map(PathBuf::from);
    let identity = match (path(r, &TLS_CERT), path(r, &TLS_KEY)) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => {
            let (one, other) = (TLS_CERT.name, TLS_KEY.name);
            r.conflict(format!("{one} and {other} go together; one of them is missing"));
            None
        }
    };
    Some(EtcdTls { ca: path(r, &TLS_CA), identity, server_name: r.set_text(&TLS_SERVER_NAME) })
}
