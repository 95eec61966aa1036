//! Asks the members of an etcd, whichever of them answers.

use crate::advice::{Ourselves, advice};
use crate::{EtcdError, EtcdSettings, Keys, TlsFiles};
use etcd_client::{Certificate, Channel, Client, ConnectOptions, Identity, TlsOptions};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::future::Future;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout};

/// How long a read waits for one member before it asks the next one as well. A member in the same
/// data centre answers within a few milliseconds.
const HEDGE: Duration = Duration::from_millis(60);
/// How long a write waits for one member. After it the outcome is unknown and is read back. An etcd
/// that elects a new leader needs 1 to 2 s.
pub const WRITE_LIMIT: Duration = Duration::from_millis(1500);
/// How long making a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// etcd closes connections that ping more often than every 5 s.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_LIMIT: Duration = Duration::from_secs(5);
/// Largest answer: a page of the journal.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// A connection to each member of an etcd.
pub struct Etcd {
    keys: Keys,
    ourselves: Ourselves,
    options: ConnectOptions,
    members: Vec<Member>,
    /// Makes connections in place of TCP.
    channels: Option<MakeChannel>,
    /// Who is asked first: the one that answered last.
    preferred: AtomicUsize,
}

/// Makes a channel to an endpoint.
type MakeChannel = Box<dyn Fn(&str) -> tonic::transport::Channel + Send + Sync>;

struct Member {
    endpoint: String,
    client: Mutex<Option<Client>>,
}

impl Etcd {
    /// Prepares connections; they are made when they are needed. Reads the files that the settings
    /// name.
    ///
    /// **Errors**: `Settings`, `File`.
    pub fn new(settings: &EtcdSettings) -> Result<Self, EtcdError> {
        let what = if settings.endpoints.is_empty() {
            Some("alluxio.etcd.endpoints is empty".to_owned())
        } else if settings.cluster_name.trim_matches('/').is_empty() {
            Some("alluxio.cluster.name is empty".to_owned())
        } else {
            None
        };
        if let Some(what) = what {
            return Err(EtcdError::Settings { what });
        }
        let mut options = ConnectOptions::new()
            .with_connect_timeout(CONNECT_LIMIT)
            .with_keep_alive(PING_INTERVAL, PING_LIMIT)
            .with_keep_alive_while_idle(true)
            // A member that lost its majority must say so at once, and end its watches.
            .with_require_leader(true)
            .with_auto_token_refresh(true);
        if let Some((name, password)) = &settings.user {
            options = options.with_user(name, password.reveal());
        }
        if let Some(files) = &settings.tls {
            options = options.with_tls(tls(files)?);
        }
        let member = |endpoint: &String| Member {
            endpoint: endpoint.trim().to_owned(),
            client: Mutex::new(None),
        };
        Ok(Etcd {
            ourselves: Ourselves {
                user: settings.user.as_ref().map(|(name, _)| name.clone()),
                tls: settings.tls.is_some(),
                certificate: settings.tls.as_ref().is_some_and(|tls| tls.identity.is_some()),
                prefix: Keys::of(&settings.cluster_name).prefix(),
            },
            keys: Keys::of(&settings.cluster_name),
            options,
            members: settings.endpoints.iter().map(member).collect(),
            channels: None,
            preferred: AtomicUsize::new(0),
        })
    }

    /// The same, over channels that `make` makes for each endpoint, as a simulated network has them;
    /// settings of TLS mean nothing to them.
    #[must_use]
    pub fn over(
        self,
        make: impl Fn(&str) -> tonic::transport::Channel + Send + Sync + 'static,
    ) -> Self {
        Etcd { channels: Some(Box::new(make)), ..self }
    }

    /// The names of this cluster.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The configured addresses, in order.
    pub fn endpoints(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| member.endpoint.as_str())
    }

    /// Without a user this only prepares; with one it asks for a token.
    pub(crate) async fn connect(&self, endpoint: &str) -> Result<Client, EtcdError> {
        let options = Some(self.options.clone());
        Ok(match &self.channels {
            None => Client::connect([endpoint], options).await?,
            Some(make) => Client::from_channel(Channel::Tonic(make(endpoint)), options).await?,
        })
    }

    fn preferred(&self) -> usize {
        self.preferred.load(Ordering::Relaxed) % self.members.len()
    }

    pub(crate) async fn client(&self, index: usize) -> Result<Client, EtcdError> {
        let member = &self.members[index];
        let mut client = member.client.lock().await;
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let made = self.connect(&member.endpoint).await?;
        Ok(client.insert(made).clone())
    }

    /// The same error with the way out, where there is one.
    fn advise(&self, error: EtcdError) -> EtcdError {
        let advised = |reason: String| match advice(&reason, &self.ourselves) {
            Some(advice) => format!("{reason}; {advice}"),
            None => reason,
        };
        match error {
            EtcdError::Refused { reason } => EtcdError::Refused { reason: advised(reason) },
            EtcdError::Unreachable { reason } => EtcdError::Unreachable { reason: advised(reason) },
            error => error,
        }
    }

    async fn ask<T, F, Fut>(&self, index: usize, call: &F) -> (usize, Result<T, EtcdError>)
    where
        F: Fn(Client) -> Fut,
        Fut: Future<Output = Result<T, etcd_client::Error>>,
    {
        let result = match self.client(index).await {
            Ok(client) => call(client).await.map_err(EtcdError::from),
            Err(error) => Err(error),
        };
        (index, result.map_err(|error| self.advise(error)))
    }

    /// Asks something that may be asked twice. A member that does not answer soon is overtaken by the
    /// next one.
    ///
    /// **Errors**: `Late` after `limit`; `Unreachable` when no member answered; what etcd said.
    /// **Cancel safety**: may be dropped at any time.
    pub async fn read<T, F, Fut>(&self, limit: Duration, call: F) -> Result<T, EtcdError>
    where
        F: Fn(Client) -> Fut,
        Fut: Future<Output = Result<T, etcd_client::Error>>,
    {
        let first = self.preferred();
        let mut order = (0..self.members.len()).map(|step| (first + step) % self.members.len());
        let mut asked = FuturesUnordered::new();
        let end = Instant::now() + limit;
        let mut hedge = Instant::now();
        let mut last = None;
        loop {
            if Instant::now() >= hedge || asked.is_empty() {
                hedge = Instant::now() + HEDGE;
                match order.next() {
                    Some(index) => asked.push(self.ask(index, &call)),
                    None if asked.is_empty() => {
                        let reason = || EtcdError::Unreachable { reason: "no answer".into() };
                        return Err(last.unwrap_or_else(reason));
                    }
                    None => hedge = end,
                }
            }
            tokio::select! {
                biased;
                Some((index, result)) = asked.next() => match result {
                    Err(error) if error.outcome_is_unknown() => last = Some(error),
                    result => {
                        self.preferred.store(index, Ordering::Relaxed);
                        return result;
                    }
                },
                () = sleep_until(end) => return Err(EtcdError::Late { limit }),
                () = sleep_until(hedge) => {}
            }
        }
    }

    /// Asks one member for a change, once.
    ///
    /// **Errors**: after `Late` and `Unreachable` the outcome is unknown: read it back. Another member
    /// is preferred from then on.
    pub async fn write<T, F, Fut>(&self, limit: Duration, call: F) -> Result<T, EtcdError>
    where
        F: Fn(Client) -> Fut,
        Fut: Future<Output = Result<T, etcd_client::Error>>,
    {
        let index = self.preferred();
        let result = match timeout(limit, self.ask(index, &call)).await {
            Ok((_, result)) => result,
            Err(_) => Err(EtcdError::Late { limit }),
        };
        if result.as_ref().is_err_and(EtcdError::outcome_is_unknown) {
            let _ = self.preferred.compare_exchange(
                index,
                index + 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
        result
    }

    /// A client of the preferred member, for streams.
    ///
    /// **Errors**: as [`Etcd::read`].
    pub async fn stream_client(&self) -> Result<Client, EtcdError> {
        match timeout(CONNECT_LIMIT, self.client(self.preferred())).await {
            Ok(client) => client.map_err(|error| self.advise(error)),
            Err(_) => Err(EtcdError::Late { limit: CONNECT_LIMIT }),
        }
    }

    /// Prefers another member from now on: the one that is asked does not keep up.
    pub fn prefer_another(&self) {
        self.preferred.fetch_add(1, Ordering::Relaxed);
    }
}

fn tls(files: &TlsFiles) -> Result<TlsOptions, EtcdError> {
    let mut options = TlsOptions::new();
    options = match &files.ca {
        Some(path) => options.ca_certificate(Certificate::from_pem(pem(path)?)),
        None => options.with_native_roots(),
    };
    if let Some((certificate, key)) = &files.identity {
        options = options.identity(Identity::from_pem(pem(certificate)?, pem(key)?));
    }
    if let Some(name) = &files.server_name {
        options = options.domain_name(name);
    }
    Ok(options)
}

fn pem(path: &Path) -> Result<Vec<u8>, EtcdError> {
    std::fs::read(path)
        .map_err(|error| EtcdError::File { path: path.to_owned(), reason: error.to_string() })
}
