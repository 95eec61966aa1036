//! Who is the primary, as etcd tells it.

use super::RETRY_PAUSE;
use super::store::{READ_LIMIT, Store, owner};
use crate::Leader;
use alluxio_etcd::EtcdError;
use alluxio_etcd::api::{EventType, WatchOptions, WatchStream};
use std::time::Duration;
use tokio::sync::watch;

/// A watch that is silent for so long is compared with a read: the member behind it may hang, which
/// nothing else would tell.
const SILENCE: Duration = Duration::from_secs(1);

/// Publishes the primary until nobody listens. While etcd cannot be reached the last one known stays.
pub(super) async fn observe(store: Store, news: watch::Sender<Option<Leader>>) {
    while !news.is_closed() {
        match observe_once(&store, &news).await {
            Ok(()) => store.etcd.prefer_another(),
            Err(error) => {
                tracing::debug!(%error, "the election cannot be observed");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}

/// Reads, then watches, until the watch ends or misses something.
async fn observe_once(
    store: &Store,
    news: &watch::Sender<Option<Leader>>,
) -> Result<(), EtcdError> {
    let (now, mut revision) = store.owner_at(READ_LIMIT).await?;
    publish(news, now.map(|owner| owner.leader));
    let mut stream = watch_from(store, revision + 1).await?;
    loop {
        let message = tokio::select! {
            () = news.closed() => return Ok(()),
            message = tokio::time::timeout(SILENCE, stream.message()) => message,
        };
        match message {
            Ok(message) => {
                let Some(message) = message? else { return Ok(()) };
                if message.canceled() {
                    return Ok(());
                }
                for event in message.events() {
                    let kv = event.kv();
                    revision = kv.map_or(revision, |kv| kv.mod_revision());
                    let leader = kv.filter(|_| event.event_type() == EventType::Put).map(owner);
                    publish(news, leader.map(|owner| owner.leader));
                }
            }
            Err(_) => {
                let (now, _) = store.owner_at(READ_LIMIT).await?;
                let now = now.map(|owner| owner.leader);
                if *news.borrow() != now {
                    publish(news, now);
                    return Ok(());
                }
            }
        }
    }
}

async fn watch_from(store: &Store, revision: i64) -> Result<WatchStream, EtcdError> {
    let open = async {
        let mut client = store.etcd.stream_client().await?;
        let options = WatchOptions::new().with_start_revision(revision);
        Ok(client.watch(store.etcd.keys().leader(), Some(options)).await?)
    };
    match tokio::time::timeout(READ_LIMIT, open).await {
        Ok(stream) => stream,
        Err(_) => {
            store.etcd.prefer_another();
            Err(EtcdError::Late { limit: READ_LIMIT })
        }
    }
}

fn publish(news: &watch::Sender<Option<Leader>>, leader: Option<Leader>) {
    news.send_if_modified(|known| {
        let changed = *known != leader;
        if changed {
            *known = leader;
        }
        changed
    });
}
