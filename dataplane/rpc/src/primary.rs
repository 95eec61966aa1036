//! Calls to the primary master, whichever of the configured addresses it has.

use crate::auth::Caller;
use crate::error::RpcError;
use crate::line::client::{Lines, Transport};
use crate::retry::{Repeat, RetryPolicy};
use crate::scout::{Directory, Scout, Sighting};
use crate::verdict::{Verdict, verdict};
use alluxio_host::{Host, Net};
use alluxio_types::OperationId;
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};

pub use crate::verdict::{PRIMARY_KEY, not_primary, primary_of};

/// A channel that says who calls.
pub type CallerChannel = InterceptedService<Transport, Caller>;

/// How long to wait for a TCP connection before the next address is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The same for masters, where the next address may be the primary.
const MASTER_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Channels to masters kept, among them to some that are gone.
const CHANNELS_MAX: usize = 64;
/// For so long after a call began, a new primary is expected any moment, and looked for at least
/// every [`FAILOVER_PAUSE_MAX`]. A standby answers such a call in microseconds.
const FAILOVER: Duration = Duration::from_secs(10);
/// A call that was not answered for so long may have gone to a primary that is no more: others are asked,
/// and as soon as one tells of a newer primary, the call goes there. Most calls take a hundredth of it.
const SILENT_AFTER: Duration = Duration::from_millis(400);
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

/// The primary master: found among the configured addresses, by what other masters say, or in a
/// [`Directory`], and kept until it stops answering.
pub struct Primary {
    addresses: Vec<HostPort>,
    directory: Option<Arc<dyn Directory>>,
    caller: Caller,
    policy: RetryPolicy,
    host: Host,
    /// Whether calls may go over lines.
    lines: bool,
    known: Mutex<Known>,
}

struct Known {
    /// Answered last, or will be asked next; `None` until the directory tells of one.
    current: Option<HostPort>,
    /// The configured address that is asked next when nobody knows better.
    turn: usize,
    channels: HashMap<HostPort, Channel>,
    lines: HashMap<HostPort, Arc<Lines>>,
    /// The scout that calls share while any of them needs one.
    scout: Weak<Scout>,
}

/// How a call is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct How {
    /// The operation id of a harmful call: who has chosen it may repeat the call after this process is gone.
    pub operation: Option<OperationId>,
    /// The answer need not wait until what it tells of is durable.
    pub early: bool,
    /// It has one message in each direction, so that it may go over a line.
    pub unary: bool,
}

/// One call's way to the primary.
struct Search {
    /// Addresses that may still be asked before there is a pause.
    left: usize,
    /// Hints that may still be followed before there is a pause: two masters that name each other
    /// must not keep a call going round.
    hints: usize,
    /// Begun when the first pause is due, or when the call is not answered.
    scout: Option<Arc<Scout>>,
    /// The newest term that this call went after, so that it goes after each only once.
    chased: u64,
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
        if addresses.is_empty() {
            return Err(RpcError::BadAddress { address: String::new() });
        }
        Ok(Self::with_directory(addresses, None, caller, policy, host))
    }

    /// The same with a directory, which is asked where addresses do not help; there may be none of
    /// them.
    pub fn with_directory(
        addresses: Vec<HostPort>,
        directory: Option<Arc<dyn Directory>>,
        caller: Caller,
        policy: RetryPolicy,
        host: Host,
    ) -> Self {
        let known = Known {
            current: addresses.first().cloned(),
            turn: 0,
            channels: HashMap::new(),
            lines: HashMap::new(),
            scout: Weak::new(),
        };
        let known = Mutex::new(known);
        Primary { addresses, directory, caller, policy, host, lines: false, known }
    }

    /// The same, with a line for each of few calls: connections of this process's own network, for who waits
    /// for one call at a time.
    #[must_use]
    pub fn with_lines(self) -> Self {
        Primary { lines: true, ..self }
    }

    /// The configured addresses.
    pub fn addresses(&self) -> &[HostPort] {
        &self.addresses
    }

    /// The address that answered last, or will be tried first; `None` until the directory knows one.
    pub fn current(&self) -> Option<HostPort> {
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

    pub(crate) fn channel_to(&self, address: &HostPort) -> Result<Channel, RpcError> {
        self.channel_in(&mut self.known(), address)
    }

    fn channel_in(&self, known: &mut Known, address: &HostPort) -> Result<Channel, RpcError> {
        if let Some(channel) = known.channels.get(address) {
            return Ok(channel.clone());
        }
        let fresh = master_channel(&self.host.net, address)?;
        // Masters move seldom: what is left of old addresses is let go now and then.
        if known.channels.len() >= CHANNELS_MAX {
            known.channels.clear();
            known.lines.clear();
        }
        known.channels.insert(address.clone(), fresh.clone());
        Ok(fresh)
    }

    /// The way to a master for a call.
    fn way_to(&self, address: &HostPort, how: How) -> Result<Transport, RpcError> {
        let mut known = self.known();
        let channel = self.channel_in(&mut known, address)?;
        if !(self.lines && how.unary) {
            return Ok(channel.into());
        }
        let lines = known.lines.get(address).cloned();
        let lines = lines.unwrap_or_else(|| Lines::new(address.clone()));
        known.lines.entry(address.clone()).or_insert_with(|| lines.clone());
        Ok(Transport::with_lines(channel, Some(lines)))
    }

    /// Whether there is anybody who could know of another primary.
    fn has_others(&self) -> bool {
        self.addresses.len() > 1 || self.directory.is_some()
    }

    /// Listens to all masters and to the directory for news of a primary, as long as it is held; shared
    /// with others who do. `None` when there is nobody to listen to. Called within a tokio runtime.
    pub fn scout(&self) -> Option<Arc<Scout>> {
        if !self.has_others() {
            return None;
        }
        let mut known = self.known();
        if let Some(scout) = known.scout.upgrade() {
            return Some(scout);
        }
        let mut all = self.addresses.clone();
        all.extend(known.current.clone().filter(|current| !self.addresses.contains(current)));
        let channels = all.into_iter().filter_map(|address| {
            let channel = self.channel_in(&mut known, &address).ok()?;
            Some((address, channel))
        });
        let channels = channels.collect();
        let scout = Arc::new(Scout::start(channels, &self.caller, self.directory.as_deref()));
        known.scout = Arc::downgrade(&scout);
        Some(scout)
    }

    /// Goes to the primary that was sighted with the next call.
    pub fn turn_to(&self, sighting: &Sighting) {
        self.known().current = Some(sighting.address.clone());
    }

    fn search(&self) -> Search {
        Search { left: self.addresses.len(), hints: 2, scout: None, chased: 0 }
    }

    /// Chooses whom to ask after `failed`; whether to ask at once.
    fn look_on(&self, failed: &HostPort, refusal: &Status, search: &mut Search) -> bool {
        let (hint, answered) = (primary_of(refusal), refusal.metadata().contains_key(PRIMARY_KEY));
        let sighted = search.scout.as_ref().and_then(|scout| scout.newest());
        let mut known = self.known();
        if known.current.as_ref() != Some(failed) {
            // Another call went on already.
        } else if let Some(hint) = hint.filter(|hint| hint != failed && search.hints > 0) {
            search.hints -= 1;
            known.current = Some(hint);
            return true;
        } else if answered && sighted.as_ref().is_some_and(|s| s.address == *failed) {
            // It was elected and is not ready yet.
            return false;
        } else if let Some(sighted) = sighted.filter(|sighted| sighted.term > search.chased) {
            search.chased = sighted.term;
            known.current = Some(sighted.address);
        } else if let Some(next) = self.next_address(&mut known.turn, failed) {
            known.current = Some(next);
        }
        search.left = search.left.saturating_sub(1);
        search.left > 0
    }

    fn next_address(&self, turn: &mut usize, failed: &HostPort) -> Option<HostPort> {
        for _ in 0..2 {
            *turn = (*turn + 1) % self.addresses.len().max(1);
            if self.addresses.get(*turn) != Some(failed) {
                break;
            }
        }
        self.addresses.get(*turn).cloned()
    }

    /// Ends when somebody tells of a primary that is newer than the silent one at `called`, and turns to
    /// it. `chased` is the term that the call goes after.
    async fn overtaken(&self, called: &HostPort, search: &mut Search) {
        if !self.has_others() {
            return std::future::pending().await;
        }
        tokio::time::sleep(SILENT_AFTER).await;
        if search.scout.is_none() {
            search.scout = self.scout();
        }
        let Some(scout) = &search.scout else { return std::future::pending().await };
        let mut news = scout.news();
        let sighted = news.wait_for(|sighted| {
            sighted.as_ref().is_some_and(|s| s.address != *called && s.term > search.chased)
        });
        let Ok(Some(sighted)) = sighted.await.map(|sighted| sighted.clone()) else {
            return std::future::pending().await;
        };
        search.chased = sighted.term;
        let mut known = self.known();
        if known.current.as_ref() == Some(called) {
            known.current = Some(sighted.address);
        }
    }

    /// Whom to call; waits for the directory where nobody is known.
    async fn whom(&self, search: &mut Search) -> Result<HostPort, RpcError> {
        if let Some(current) = self.current() {
            return Ok(current);
        }
        let nobody = |why: Option<String>| RpcError::Unreachable {
            target: self.target(),
            seconds: self.policy.total.as_secs(),
            last: why.unwrap_or_else(|| "it does not tell who is the primary".to_owned()),
        };
        search.scout = self.scout();
        let mut news = search.scout.as_ref().ok_or_else(|| nobody(None))?.news();
        let sighted = news.wait_for(Option::is_some);
        if let Ok(Ok(sighted)) = tokio::time::timeout(self.policy.total, sighted).await {
            let sighted = sighted.clone().ok_or_else(|| nobody(None))?;
            search.chased = sighted.term;
            self.turn_to(&sighted);
            return Ok(sighted.address);
        }
        let trouble = match &self.directory {
            Some(directory) => directory.trouble().await,
            None => None,
        };
        Err(nobody(trouble))
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
        self.call_as(How { unary: false, ..self.unary(repeat) }, call).await
    }

    /// How a call with one message in each direction is made.
    pub fn unary(&self, repeat: Repeat) -> How {
        let operation = match repeat {
            Repeat::Harmless => None,
            Repeat::Harmful => Some(self.new_operation()),
        };
        How { operation, early: false, unary: true }
    }

    /// The same, in a way that its caller has chosen.
    pub async fn call_as<T, F, Fut>(&self, how: How, call: F) -> Result<T, RpcError>
    where
        F: Fn(CallerChannel) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let started = self.host.clock.monotonic();
        let How { operation, early, .. } = how;
        let mut caller = match operation {
            None => self.caller.clone(),
            Some(operation) => self.caller.for_operation(operation),
        };
        if early {
            caller = caller.early();
        }
        let (mut attempt, mut search, mut doubtful) = (0, self.search(), false);
        loop {
            let address = self.whom(&mut search).await?;
            let channel = InterceptedService::new(self.way_to(&address, how)?, caller.clone());
            let answer = tokio::select! {
                biased;
                answer = call(channel) => answer,
                () = self.overtaken(&address, &mut search) => {
                    tracing::debug!(silent = %address, "a newer primary is asked instead");
                    doubtful |= operation.is_some();
                    continue;
                }
            };
            let status = match answer {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) => status,
            };
            let last = status.message().to_owned();
            let verdict = verdict(&status);
            doubtful |= verdict == Verdict::CutOff && operation.is_some();
            let at_once = match verdict {
                Verdict::Final => return Err(RpcError::from_status(&status)),
                Verdict::Same => false,
                Verdict::Next | Verdict::CutOff => self.look_on(&address, &status, &mut search),
            };
            if at_once {
                continue;
            }
            if search.scout.is_none() && verdict != Verdict::Same {
                search.scout = self.scout();
            }
            (search.left, search.hints) = (self.addresses.len(), 2);
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
        let directory = self.directory.iter().map(|directory| directory.name());
        let all = self.addresses.iter().map(HostPort::to_string).chain(directory);
        all.collect::<Vec<_>>().join(",")
    }

    /// A name for a change that nobody has, or the one that it is to have in [`crate::named()`].
    pub fn new_operation(&self) -> OperationId {
        if let Some(name) = crate::named::next() {
            return name;
        }
        let half = || u128::from(self.host.entropy.next_u64());
        OperationId(half() << 64 | half())
    }
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
