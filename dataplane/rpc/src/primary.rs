//! Calls to the primary master, whichever of the configured addresses it has.

use crate::auth::Caller;
use crate::error::RpcError;
use crate::retry::{Repeat, RetryPolicy};
use alluxio_host::Host;
use alluxio_proto::status::code_of;
use alluxio_types::Code;
use std::future::Future;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};

/// A channel that says who calls.
pub type CallerChannel = InterceptedService<Channel, Caller>;

/// How long to wait for a TCP connection before the next address is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

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
pub fn channel(address: &HostPort) -> Result<Channel, RpcError> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|_| RpcError::BadAddress { address: address.to_string() })?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        // A peer that vanished without closing is noticed between calls, not at the next one.
        .http2_keep_alive_interval(Duration::from_secs(15))
        .keep_alive_timeout(Duration::from_secs(10))
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20);
    Ok(endpoint.connect_lazy())
}

/// The primary master, found among the configured addresses and kept until it stops answering.
pub struct Primary {
    addresses: Vec<HostPort>,
    caller: Caller,
    policy: RetryPolicy,
    host: Host,
    current: AtomicUsize,
    channels: Mutex<Vec<Option<Channel>>>,
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
        let channels = Mutex::new(vec![None; addresses.len()]);
        Ok(Primary { addresses, caller, policy, host, current: AtomicUsize::new(0), channels })
    }

    /// The configured addresses.
    pub fn addresses(&self) -> &[HostPort] {
        &self.addresses
    }

    /// The address that answered last, or will be tried first.
    pub fn current(&self) -> &HostPort {
        &self.addresses[self.current.load(Ordering::Relaxed) % self.addresses.len()]
    }

    /// The caller's user name.
    pub fn user(&self) -> &str {
        self.caller.name()
    }

    fn channel(&self) -> Result<(usize, CallerChannel), RpcError> {
        let index = self.current.load(Ordering::Relaxed) % self.addresses.len();
        let mut channels = self.channels.lock().unwrap_or_else(|poison| poison.into_inner());
        let channel = match &channels[index] {
            Some(channel) => channel.clone(),
            None => {
                let fresh = channel(&self.addresses[index])?;
                channels[index] = Some(fresh.clone());
                fresh
            }
        };
        Ok((index, InterceptedService::new(channel, self.caller.clone())))
    }

    /// Makes a call until it is answered, refused for good, or time is up.
    ///
    /// `call` gets a channel that says who calls; it is run once per try, so it must build its
    /// request anew each time.
    ///
    /// **Cancel safety**: dropping it abandons the call; the server may still carry it out.
    ///
    /// **Errors**: [`RpcError::Refused`] with the server's words; `Unreachable` when nobody
    /// answered in time; `OutcomeUnknown` when a harmful request was cut off.
    pub async fn call<T, F, Fut>(&self, repeat: Repeat, call: F) -> Result<T, RpcError>
    where
        F: Fn(CallerChannel) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let started = self.host.clock.monotonic();
        let mut attempt = 0;
        loop {
            let (index, channel) = self.channel()?;
            let status = match call(channel).await {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) => status,
            };
            let last = status.message().to_owned();
            match verdict(&status, repeat) {
                Verdict::Final => return Err(RpcError::from_status(&status)),
                Verdict::Unknown => {
                    let target = self.addresses[index].to_string();
                    return Err(RpcError::OutcomeUnknown { target, last });
                }
                Verdict::Same => {}
                // Every reply but this one came from somebody who is not the primary.
                Verdict::Next => {
                    self.current.store((index + 1) % self.addresses.len(), Ordering::Relaxed);
                }
            }
            attempt += 1;
            let jitter = self.host.entropy.below(1000) as f64 / 1000.0;
            let pause = self.policy.pause(attempt, jitter);
            let spent = self.host.clock.monotonic().saturating_sub(started);
            if spent + pause > self.policy.total {
                let target =
                    self.addresses.iter().map(HostPort::to_string).collect::<Vec<_>>().join(",");
                return Err(RpcError::Unreachable { target, seconds: spent.as_secs(), last });
            }
            tracing::debug!(attempt, ?pause, last, "call is tried again");
            tokio::time::sleep(pause).await;
        }
    }
}

enum Verdict {
    Final,
    Unknown,
    Same,
    Next,
}

/// What a failed try means for the next one.
fn verdict(status: &Status, repeat: Repeat) -> Verdict {
    let from_server = status.metadata().contains_key(alluxio_proto::status::CODE_KEY);
    match code_of(status) {
        Code::NotPrimary => Verdict::Next,
        // The server shed the call before it looked at it.
        Code::Busy if from_server => Verdict::Same,
        Code::Unavailable if from_server => Verdict::Same,
        Code::Aborted if from_server => Verdict::Same,
        _ if from_server => Verdict::Final,
        _ if never_sent(status) => Verdict::Next,
        Code::Unavailable | Code::Internal | Code::Cancelled => match repeat {
            Repeat::Harmless => Verdict::Next,
            Repeat::Harmful => Verdict::Unknown,
        },
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
