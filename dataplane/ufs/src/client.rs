//! The HTTP client of a mount.

use crate::error::{Error, Result};
use crate::location::Location;
use std::time::Duration;

/// A host that does not take a connection in this time is away: one lost packet costs 1 or 3 s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Idle connections are closed before the usual 60 s of servers, so that a request does not meet a
/// connection that is just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);

/// A client with its own connections, for one mount.
pub(crate) fn http_client(
    location: &Location,
    proxy: Option<reqwest::Proxy>,
) -> Result<reqwest::Client> {
    let mut builder = builder();
    if let Some(proxy) = proxy {
        builder = builder.proxy(proxy);
    }
    build(location, builder)
}

/// As [`http_client`], for protocols in which a redirect is an answer.
pub(crate) fn http_client_without_redirects(location: &Location) -> Result<reqwest::Client> {
    build(location, builder().redirect(reqwest::redirect::Policy::none()))
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .user_agent(concat!("alluxio/", env!("CARGO_PKG_VERSION")))
}

fn build(location: &Location, builder: reqwest::ClientBuilder) -> Result<reqwest::Client> {
    // Fails only when the machine's certificates cannot be read.
    builder.build().map_err(|error| Error::Unavailable {
        uri: location.as_str().to_owned(),
        detail: error.to_string(),
    })
}
