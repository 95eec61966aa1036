//! Where etcd is, and who we are there.

use std::fmt;
use std::path::PathBuf;

/// All that is needed to reach the etcd of one Alluxio cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdSettings {
    /// `alluxio.etcd.endpoints`: `host:port`, or with `http://` or `https://` before it.
    pub endpoints: Vec<String>,
    /// `alluxio.cluster.name`: all keys lie below `/<name>/`.
    pub cluster_name: String,
    /// `alluxio.etcd.username` and `alluxio.etcd.password`.
    pub user: Option<(String, Secret)>,
    /// `alluxio.etcd.tls.*`; `None` for plain TCP.
    pub tls: Option<TlsFiles>,
}

impl EtcdSettings {
    /// Plain TCP and no user.
    pub fn plain(endpoints: Vec<String>, cluster_name: impl Into<String>) -> Self {
        EtcdSettings { endpoints, cluster_name: cluster_name.into(), user: None, tls: None }
    }
}

/// Files with PEM text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsFiles {
    /// Certificates of the authorities that may sign etcd's; `None` for the machine's own list.
    pub ca: Option<PathBuf>,
    /// Our certificate and its key, when etcd asks for one.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name in etcd's certificate, when it is not the endpoint's host.
    pub server_name: Option<String>,
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text, for the one who needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("******")
    }
}
