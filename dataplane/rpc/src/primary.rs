//! Calls to the primary master, whichever of the configured addresses it has.

use crate::auth::Caller;
use crate::error::RpcError;
use crate::retry::{Repeat, RetryPolicy};
use alluxio_host::{Host, Net};
use alluxio_proto::status::{code_of, status};
use alluxio_types::{Code, OperationId};
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tonic::metadata::MetadataValue;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};

/// A channel that says who calls.
pub type CallerChannel = InterceptedService<Channel, Caller>;

/// How long to wait for a TCP connection before the next address is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The same for masters, where the next address may be the primary.
const MASTER_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Metadata key in which a master that is not the primary names it, as `HOST:PORT`, or `-`.
pub const PRIMARY_KEY: &str = "alluxio-primary";
/// Channels to masters kept, among them to some that are gone.
const CHANNELS_MAX: usize = 64;
/// For so long after a call began, a new primary is expected any moment, and looked for at least
/// every [`FAILOVER_PAUSE_MAX`]. A standby answers such a call in microseconds.
const FAILOVER: Duration = Duration::from_secs(10);
/// See [`FAILOVER`].
const FAILOVER_PAUSE_MAX: Duration = Duration::from_millis(100);

/// A host name and a port. Names are resolved anew at each connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl HostPort {
    /// Reads `HOST:PORT` (`[::1]:PORT` for IPv6).
    ///
    /// **Errors**: [`RpcError::BadAddress`].
    pub fn parse(text: &str) -> Result<Self, RpcError> {
        let bad = || RpcError::BadAddress { address: text.to_owned() };
        let (host, port) = text.trim().rsplit_once(':').ok_or_else(bad)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port: u16 = port.parse().map_err(|_| bad())?;
        if host.is_empty() || host.contains(['/', ' ', '@']) || port == 0 {
            return Err(bad());
        }
        Ok(HostPort { host: host.to_owned(), port })
    }
}

impl std::fmt::Display for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A lazily connected channel to `address`.
///
/// **Errors**: [`RpcError::BadAddress`] when it does not make a URI.
pub fn channel(net: &Arc<dyn Net>, address: &HostPort) -> Result<Channel, RpcError> {
    // A peer that vanished without closing is noticed between calls, not at the next one.
    let liveness = Liveness { interval: Duration::from_secs(15), timeout: Duration::from_secs(10) };
    connect(net, address, CONNECT_TIMEOUT, liveness)
}

struct Liveness {
    interval: Duration,
    timeout: Duration,
}

fn connect(
    net: &Arc<dyn Net>,
    address: &HostPort,
    timeout: Duration,
    liveness: Liveness,
) -> Result<Channel, RpcError> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|_| RpcError::BadAddress { address: address.to_string() })?
        .connect_timeout(timeout)
        .http2_keep_alive_interval(liveness.interval)
        .keep_alive_timeout(liveness.timeout)
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20);
    let (net, address) = (net.clone(), address.clone());
    let connector = tower::service_fn(move |_| {
        let connection = net.connect(&address.host, address.port);
        async move { connection.await.map(TokioIo::new) }
    });
    Ok(endpoint.connect_with_connector_lazy(connector))
}

/// A lazily connected channel to a master. Where there may be another master, one that is stopped or
/// cut off is given up within seconds.
///
/// **Errors**: [`RpcError::BadAddress`].
pub fn master_channel(net: &Arc<dyn Net>, address: &HostPort) -> Result<Channel, RpcError> {
    // Pings are sent while calls are under way, and answered by the peer's connection, not by the
    // call: a slow call is no reason to give up.
    let liveness = Liveness { interval: Duration::from_secs(2), timeout: Duration::from_secs(3) };
    connect(net, address, MASTER_CONNECT_TIMEOUT, liveness)
}

/// Knows the primary without asking the masters, as etcd does.
pub trait Directory: Send + Sync + 'static {
    /// Where the primary is, as far as is known now.
    fn primary(&self) -> Option<HostPort>;
}

/// The primary master: found among the configured addresses, by what other masters say, or in a
/// [`Directory`], and kept until it stops answering.
pub struct Primary {
    addresses: Vec<HostPort>,
    directory: Option<Arc<dyn Directory>>,
    caller: Caller,
    policy: RetryPolicy,
    host: Host,
    known: Mutex<Known>,
}

struct Known {
    /// Answered last, or will be asked next.
    current: HostPort,
    /// The configured address that is asked next when nobody knows better.
    turn: usize,
    channels: HashMap<HostPort, Channel>,
}

/// One call's way to the primary.
struct Search {
    /// Addresses that may still be asked before there is a pause.
    left: usize,
    /// Hints that may still be followed before there is a pause: two masters that name each other
    /// must not keep a call going round.
    hints: usize,
}

impl Primary {
    /// Knows `addresses`; connects at the first call.
    ///
    /// **Errors**: [`RpcError::BadAddress`] when there is none.
    pub fn new(
        addresses: Vec<HostPort>,
        caller: Caller,
        policy: RetryPolicy,
        host: Host,
    ) -> Result<Self, RpcError> {
        let Some(first) = addresses.first().cloned() else {
            return Err(RpcError::BadAddress { address: String::new() });
        };
        let known = Mutex::new(Known { current: first, turn: 0, channels: HashMap::new() });
        Ok(Primary { addresses, directory: None, caller, policy, host, known })
    }

    /// The same, asking `directory` first wherever a primary is looked for.
    #[must_use]
    pub fn with_directory(self, directory: Arc<dyn Directory>) -> Self {
        if let Some(primary) = directory.primary() {
            self.known().current = primary;
        }
        Primary { directory: Some(directory), ..self }
    }

    /// The configured addresses.
    pub fn addresses(&self) -> &[HostPort] {
        &self.addresses
    }

    /// The address that answered last, or will be tried first.
    pub fn current(&self) -> HostPort {
        self.known().current.clone()
    }

    /// The caller's user name.
    pub fn user(&self) -> &str {
        self.caller.name()
    }

    /// Who calls.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn channel(&self) -> Result<(HostPort, Channel), RpcError> {
        let address = self.current();
        let channel = self.channel_to(&address)?;
        Ok((address, channel))
    }

    pub(crate) fn channel_to(&self, address: &HostPort) -> Result<Channel, RpcError> {
        let mut known = self.known();
        if let Some(channel) = known.channels.get(address) {
            return Ok(channel.clone());
        }
        let fresh = master_channel(&self.host.net, address)?;
        // Masters move seldom: what is left of old addresses is let go now and then.
        if known.channels.len() >= CHANNELS_MAX {
            known.channels.clear();
        }
        known.channels.insert(address.clone(), fresh.clone());
        Ok(fresh)
    }

    fn search(&self) -> Search {
        Search { left: self.addresses.len(), hints: 2 }
    }

    /// Chooses whom to ask after `failed`; whether to ask at once.
    fn look_on(&self, failed: &HostPort, hint: Option<HostPort>, search: &mut Search) -> bool {
        let mut known = self.known();
        if known.current != *failed {
            // Another call went on already.
        } else if let Some(hint) = hint.filter(|hint| hint != failed && search.hints > 0) {
            search.hints -= 1;
            known.current = hint;
            return true;
        } else if let Some(primary) =
            self.directory.as_ref().and_then(|d| d.primary()).filter(|primary| primary != failed)
        {
            known.current = primary;
        } else {
            known.turn = (known.turn + 1) % self.addresses.len();
            if self.addresses[known.turn] == *failed {
                known.turn = (known.turn + 1) % self.addresses.len();
            }
            known.current = self.addresses[known.turn].clone();
        }
        search.left = search.left.saturating_sub(1);
        search.left > 0
    }

    /// Makes a call until it is answered, refused for good, or time is up.
    ///
    /// `call` gets a channel that says who calls; it is run once per try, so it must build its
    /// request anew each time. All tries of a harmful call carry one operation id, by which the
    /// master knows a repetition: it is answered as the first try was, also by another primary.
    ///
    /// **Cancel safety**: dropping it abandons the call; the server may still carry it out.
    ///
    /// **Errors**: [`RpcError::Refused`] with the server's words; `Unreachable` when nobody
    /// answered in time; `OutcomeUnknown` when in that time a harmful request was cut off.
    pub async fn call<T, F, Fut>(&self, repeat: Repeat, call: F) -> Result<T, RpcError>
    where
        F: Fn(CallerChannel) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let started = self.host.clock.monotonic();
        let caller = match repeat {
            Repeat::Harmless => self.caller.clone(),
            Repeat::Harmful => self.caller.for_operation(self.new_operation()),
        };
        let (mut attempt, mut search, mut doubtful) = (0, self.search(), false);
        loop {
            let (address, channel) = self.channel()?;
            let channel = InterceptedService::new(channel, caller.clone());
            let status = match call(channel).await {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) => status,
            };
            let last = status.message().to_owned();
            let verdict = verdict(&status);
            doubtful |= verdict == Verdict::CutOff && repeat == Repeat::Harmful;
            let at_once = match verdict {
                Verdict::Final => return Err(RpcError::from_status(&status)),
                Verdict::Same => false,
                Verdict::Next | Verdict::CutOff => {
                    self.look_on(&address, primary_of(&status), &mut search)
                }
            };
            if at_once {
                continue;
            }
            search = self.search();
            attempt += 1;
            let jitter = self.host.entropy.below(1000) as f64 / 1000.0;
            let spent = self.host.clock.monotonic().saturating_sub(started);
            let mut pause = self.policy.pause(attempt, jitter);
            if spent < FAILOVER {
                pause = pause.min(FAILOVER_PAUSE_MAX);
            }
            if spent + pause > self.policy.total {
                let target = self.target();
                return Err(match doubtful {
                    true => RpcError::OutcomeUnknown { target, last },
                    false => RpcError::Unreachable { target, seconds: spent.as_secs(), last },
                });
            }
            tracing::debug!(attempt, ?pause, last, "call is tried again");
            tokio::time::sleep(pause).await;
        }
    }

    fn target(&self) -> String {
        self.addresses.iter().map(HostPort::to_string).collect::<Vec<_>>().join(",")
    }

    fn new_operation(&self) -> OperationId {
        let half = || u128::from(self.host.entropy.next_u64());
        OperationId(half() << 64 | half())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// An answer.
    Final,
    /// Not now; the same master may take it later.
    Same,
    /// Not carried out; another master may take it.
    Next,
    /// Perhaps carried out; another master may know.
    CutOff,
}

/// What a failed try means for the next one.
fn verdict(status: &Status) -> Verdict {
    let from_server = status.metadata().contains_key(alluxio_proto::status::CODE_KEY);
    match code_of(status) {
        // A standby, which carried nothing out.
        Code::NotPrimary if status.metadata().contains_key(PRIMARY_KEY) => Verdict::Next,
        // A primary that lost its term: what it had begun may have come through.
        Code::NotPrimary => Verdict::CutOff,
        // The server shed the call before it looked at it.
        Code::Busy if from_server => Verdict::Same,
        Code::Aborted if from_server => Verdict::Same,
        // It stops, or its journal failed.
        Code::Unavailable if from_server => Verdict::CutOff,
        _ if from_server => Verdict::Final,
        _ if never_sent(status) => Verdict::Next,
        Code::Unavailable | Code::Internal | Code::Cancelled => Verdict::CutOff,
        _ => Verdict::Final,
    }
}

/// Whether the request cannot have reached a server: there was no connection.
fn never_sent(status: &Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// The refusal of a master that is not the primary and did not look at the call, naming who is the
/// primary, if it knows.
pub fn not_primary(message: impl Into<String>, primary: Option<&str>) -> Status {
    let mut refusal = status(Code::NotPrimary, message);
    let nobody = || MetadataValue::from_static("-");
    let primary = primary.and_then(|address| address.parse().ok()).unwrap_or_else(nobody);
    refusal.metadata_mut().insert(PRIMARY_KEY, primary);
    refusal
}

/// Whom a [`not_primary`] names.
pub fn primary_of(status: &Status) -> Option<HostPort> {
    let address = status.metadata().get(PRIMARY_KEY)?.to_str().ok()?;
    HostPort::parse(address).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_users_write_them() {
        assert_eq!(HostPort::parse("h:19998").unwrap().to_string(), "h:19998");
        assert_eq!(HostPort::parse("[::1]:80").unwrap().to_string(), "[::1]:80");
        for bad in ["h", ":1", "h:0", "h:70000", "a/b:1", ""] {
            assert!(matches!(HostPort::parse(bad), Err(RpcError::BadAddress { .. })), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_dead_address_is_named_after_the_retries() {
        // A port that was free a moment ago: nobody listens.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = HostPort { host: "127.0.0.1".into(), port };
        let caller = Caller::new("ann").unwrap();
        let policy = RetryPolicy { total: Duration::from_millis(120), ..RetryPolicy::default() };
        let primary = Primary::new(vec![address.clone()], caller, policy, Host::real()).unwrap();
        let error = primary
            .call(Repeat::Harmful, |channel| async {
                alluxio_proto::v1::meta::meta_master_client::MetaMasterClient::new(channel)
                    .get_master_info(alluxio_proto::v1::meta::GetMasterInfoRequest {})
                    .await
            })
            .await
            .unwrap_err();
        assert!(
            matches!(&error, RpcError::Unreachable { target, .. } if *target == address.to_string()),
            "{error:?}"
        );
    }
}
