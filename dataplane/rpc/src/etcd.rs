//! The primary as etcd knows it.

use crate::primary::HostPort;
use crate::scout::{Directory, Sighting};
use alluxio_config::{EtcdConfig, EtcdPassword};
use alluxio_election::{Leader, watch_leader};
use alluxio_etcd::{Etcd, EtcdError, EtcdSettings, Secret, TlsFiles, api};
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;

/// How long etcd is asked what is wrong, after it was waited for.
const TROUBLE_LIMIT: Duration = Duration::from_secs(1);

/// A connection to the configured etcd, made when it is needed.
///
/// **Errors**: `File` for a password or certificate that cannot be read; `Settings`.
pub fn connect(config: &EtcdConfig) -> Result<Arc<Etcd>, EtcdError> {
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

fn secret(password: &EtcdPassword) -> Result<Secret, EtcdError> {
    match password {
        EtcdPassword::Text(text) => Ok(Secret::new(text.as_str())),
        EtcdPassword::File(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
            Ok(Secret::new(text.trim_end_matches(['\n', '\r'])))
        }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> EtcdError {
    EtcdError::File { path: path.to_owned(), reason: error.to_string() }
}

/// Watches the leader key, from the first question on.
pub struct EtcdDirectory {
    etcd: Arc<Etcd>,
    sightings: OnceLock<watch::Receiver<Option<Sighting>>>,
}

impl EtcdDirectory {
    /// Nothing is connected yet.
    pub fn new(etcd: Arc<Etcd>) -> Self {
        EtcdDirectory { etcd, sightings: OnceLock::new() }
    }
}

impl Directory for EtcdDirectory {
    fn name(&self) -> String {
        format!("etcd {}", self.etcd.endpoints().collect::<Vec<_>>().join(","))
    }

    fn sightings(&self) -> watch::Receiver<Option<Sighting>> {
        self.sightings.get_or_init(|| in_our_words(watch_leader(self.etcd.clone()))).clone()
    }

    fn trouble(&self) -> Pin<Box<dyn Future<Output = Option<String>> + Send + '_>> {
        Box::pin(async {
            let key = self.etcd.keys().leader();
            let key = key.as_str();
            let look = |mut client: api::Client| async move { client.get(key, None).await };
            self.etcd.read(TROUBLE_LIMIT, look).await.err().map(|error| error.to_string())
        })
    }
}

fn in_our_words(mut leaders: watch::Receiver<Option<Leader>>) -> watch::Receiver<Option<Sighting>> {
    let (sender, sightings) = watch::channel(None);
    tokio::spawn(async move {
        loop {
            let leader = leaders.borrow_and_update().clone();
            sender.send_replace(leader.and_then(sighting));
            tokio::select! {
                changed = leaders.changed() => if changed.is_err() { return },
                // The last one who wanted to know is gone.
                () = sender.closed() => return,
            }
        }
    });
    sightings
}

fn sighting(leader: Leader) -> Option<Sighting> {
    let address = HostPort::parse(&leader.rpc_address).ok()?;
    Some(Sighting { address, term: leader.term.0 })
}
