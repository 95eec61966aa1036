//! Looks out for a newer primary while calls wait for one that may be gone.
//!
//! Every master says who is the primary, and says it again at once when that changes; so does etcd. A
//! scout listens to all of them for as long as somebody holds it. That costs idle streams, so a client
//! has one only while it needs it, and a worker always.

use crate::auth::Caller;
use crate::primary::HostPort;
use alluxio_proto::v1::meta::WatchPrimaryRequest;
use alluxio_proto::v1::meta::meta_master_client::MetaMasterClient;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

/// Pause before a master that does not answer is asked again; doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(200);
/// See [`PAUSE`]. A fail-over is over by then, or takes long anyway.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Who was elected, as somebody says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Where it is.
    pub address: HostPort,
    /// Its term: a larger one is newer, whoever says it.
    pub term: u64,
}

/// Knows the primary without asking the masters, as etcd does.
pub trait Directory: Send + Sync + 'static {
    /// What it is called in messages.
    fn name(&self) -> String;

    /// Who is the primary, from now on. Called within a tokio runtime.
    fn sightings(&self) -> watch::Receiver<Option<Sighting>>;

    /// What is wrong with it, if something is: asked when it tells of no primary.
    fn trouble(&self) -> Pin<Box<dyn Future<Output = Option<String>> + Send + '_>>;
}

/// Listens until it is dropped.
pub struct Scout {
    news: watch::Receiver<Option<Sighting>>,
    _tasks: JoinSet<()>,
}

impl Scout {
    /// Listens to those masters and to the directory.
    pub(crate) fn start(
        masters: Vec<(HostPort, Channel)>,
        caller: &Caller,
        directory: Option<&dyn Directory>,
    ) -> Self {
        let (sender, news) = watch::channel(None);
        let mut tasks = JoinSet::new();
        for (address, channel) in masters {
            tasks.spawn(listen(address, channel, caller.clone(), sender.clone()));
        }
        if let Some(directory) = directory {
            tasks.spawn(forward(directory.sightings(), sender));
        }
        Scout { news, _tasks: tasks }
    }

    /// The newest primary that anybody told of.
    pub fn newest(&self) -> Option<Sighting> {
        self.news.borrow().clone()
    }

    /// The same, with changes.
    pub fn news(&self) -> watch::Receiver<Option<Sighting>> {
        self.news.clone()
    }
}

fn publish(news: &watch::Sender<Option<Sighting>>, sighting: Sighting) {
    news.send_if_modified(|known| {
        let is_newer = known.as_ref().is_none_or(|known| known.term < sighting.term);
        if is_newer {
            *known = Some(sighting);
        }
        is_newer
    });
}

/// Hears one master out, again and again.
async fn listen(
    address: HostPort,
    channel: Channel,
    caller: Caller,
    news: watch::Sender<Option<Sighting>>,
) {
    let mut client = MetaMasterClient::new(InterceptedService::new(channel, caller));
    let mut pause = PAUSE;
    loop {
        match client.watch_primary(WatchPrimaryRequest {}).await {
            Ok(stream) => {
                let mut stream = stream.into_inner();
                while let Ok(Some(word)) = stream.message().await {
                    pause = PAUSE;
                    if let Ok(address) = HostPort::parse(&word.primary) {
                        publish(&news, Sighting { address, term: word.term });
                    }
                }
            }
            // A master of an earlier version.
            Err(status) if status.code() == tonic::Code::Unimplemented => return,
            Err(error) => tracing::trace!(%address, %error, "no word of the primary"),
        }
        tokio::time::sleep(pause).await;
        pause = (2 * pause).min(PAUSE_MAX);
    }
}

async fn forward(
    mut sightings: watch::Receiver<Option<Sighting>>,
    news: watch::Sender<Option<Sighting>>,
) {
    loop {
        if let Some(sighting) = sightings.borrow_and_update().clone() {
            publish(&news, sighting);
        }
        if sightings.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16, term: u64) -> Sighting {
        Sighting { address: HostPort { host: "m".into(), port }, term }
    }

    #[test]
    fn the_newer_term_counts_whoever_says_it() {
        let (news, seen) = watch::channel(None);
        for (said, believed) in [(at(1, 5), 5), (at(2, 9), 9), (at(1, 5), 9), (at(3, 9), 9)] {
            publish(&news, said);
            assert_eq!(seen.borrow().as_ref().map(|sighting| sighting.term), Some(believed));
        }
        assert_eq!(*seen.borrow(), Some(at(2, 9)));
    }
}
