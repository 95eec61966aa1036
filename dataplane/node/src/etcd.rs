//! etcd as the configuration describes it.

use crate::NodeError;
use crate::error::at;
use alluxio_config::{EtcdConfig, EtcdPassword};
use alluxio_etcd::{Etcd, EtcdSettings, Secret, TlsFiles};
use std::sync::Arc;

/// A connection to the configured etcd, made when it is needed.
///
/// **Errors**: `Io` for a password file that cannot be read; `Etcd`.
pub(crate) fn connect(config: &EtcdConfig) -> Result<Arc<Etcd>, NodeError> {
    let user = match &config.user {
        Some((name, password)) => Some((name.clone(), secret(password)?)),
        None => None,
    };
    let tls = config.tls.as_ref().map(|tls| TlsFiles {
        ca: tls.ca.clone(),
        identity: tls.identity.clone(),
        server_name: tls.server_name.clone(),
    });
    let settings = EtcdSettings {
        endpoints: config.endpoints.clone(),
        cluster_name: config.cluster_name.clone(),
        user,
        tls,
    };
    Ok(Arc::new(Etcd::new(&settings)?))
}

fn secret(password: &EtcdPassword) -> Result<Secret, NodeError> {
    match password {
        EtcdPassword::Text(text) => Ok(Secret::new(text.as_str())),
        EtcdPassword::File(path) => {
            let text = std::fs::read_to_string(path).map_err(at("read", path))?;
            Ok(Secret::new(text.trim_end_matches(['\n', '\r'])))
        }
    }
}
