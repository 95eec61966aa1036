//! What the controllers' own watches know already, for each other: nobody lists what is watched.

use alluxio_operator_api::{AlluxioCluster, Dataset};
use futures::{Stream, StreamExt};
use kube::api::Api;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// An object that may be of another version of the API than this program reads.
pub type Guarded<K> = DeserializeGuard<K>;

/// A store that a watch fills.
#[derive(Clone)]
pub struct Known<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    /// What is there.
    pub store: Store<Guarded<K>>,
    /// Whether all that was there at the start is in it. The store's own signal wakes one of those who wait for it, and
    /// reconciles wait side by side.
    complete: watch::Receiver<bool>,
}

impl<K> Known<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    async fn ready(&self) {
        // A watch ends with the program.
        let _ = self.complete.clone().wait_for(|complete| *complete).await;
    }
}

/// Watches objects: those that changed, and the store that has them. They come without managed fields, which are half
/// of their size and nobody's business here.
pub fn watched<K>(
    api: Api<Guarded<K>>,
) -> (impl Stream<Item = Result<Guarded<K>, watcher::Error>> + Send + 'static, Known<K>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let (told, complete) = watch::channel(false);
    let changes = watcher(api, watcher::Config::default())
        .modify(|object| object.managed_fields_mut().clear())
        .reflect(writer)
        .inspect(move |event| {
            if matches!(event, Ok(watcher::Event::InitDone)) {
                told.send_replace(true);
            }
        })
        .applied_objects();
    (changes, Known { store, complete })
}

/// Which Datasets clusters have heard of: a status that changes is no news for them.
#[derive(Debug, Default)]
pub struct Generations {
    known: Mutex<BTreeMap<String, i64>>,
}

impl Generations {
    /// Whether it is new, was changed in what it wants, or is on its way out.
    pub fn is_news(&self, dataset: &Dataset) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let uid = dataset.uid().unwrap_or_default();
        if dataset.metadata.deletion_timestamp.is_some() {
            known.remove(&uid);
            return true;
        }
        let generation = dataset.metadata.generation.unwrap_or_default();
        known.insert(uid, generation) != Some(generation)
    }
}

/// Clusters and Datasets of all namespaces that the operator works in. Cloning is cheap and shares them.
#[derive(Clone, Default)]
pub struct Stores {
    clusters: Arc<Vec<Known<AlluxioCluster>>>,
    datasets: Arc<Vec<Known<Dataset>>>,
}

impl Stores {
    /// One store for each namespace, or one for all.
    pub fn new(clusters: Vec<Known<AlluxioCluster>>, datasets: Vec<Known<Dataset>>) -> Self {
        Stores { clusters: Arc::new(clusters), datasets: Arc::new(datasets) }
    }

    /// Waits until all that was there at the start is known. Before that, what is missing means nothing.
    pub async fn ready(&self) {
        for clusters in self.clusters.iter() {
            clusters.ready().await;
        }
        for datasets in self.datasets.iter() {
            datasets.ready().await;
        }
    }

    /// A cluster that is there and can be read.
    pub fn cluster(&self, namespace: &str, name: &str) -> Option<AlluxioCluster> {
        let key = ObjectRef::new(name).within(namespace);
        let found = self.clusters.iter().find_map(|known| known.store.get(&key))?;
        found.0.as_ref().ok().cloned()
    }

    /// A Dataset that is there and can be read.
    pub fn dataset(&self, namespace: &str, name: &str) -> Option<Dataset> {
        let key = ObjectRef::new(name).within(namespace);
        let found = self.datasets.iter().find_map(|known| known.store.get(&key))?;
        found.0.as_ref().ok().cloned()
    }

    /// Kind and phase of every cluster and Dataset that can be read and has a phase.
    pub fn phases(&self) -> Vec<(&'static str, String)> {
        let clusters = self.clusters.iter().flat_map(|known| known.store.state());
        let clusters = clusters.filter_map(|cluster| {
            let phase = cluster.0.as_ref().ok()?.status.as_ref()?.phase?;
            Some(("AlluxioCluster", phase.to_string()))
        });
        let datasets = self.datasets.iter().flat_map(|known| known.store.state());
        let datasets = datasets.filter_map(|dataset| {
            let phase = dataset.0.as_ref().ok()?.status.as_ref()?.phase?;
            Some(("Dataset", phase.to_string()))
        });
        clusters.chain(datasets).collect()
    }

    /// What `choose` makes of the Datasets that can be read, in order of namespace and name.
    pub fn datasets<T>(&self, mut choose: impl FnMut(&Dataset) -> Option<T>) -> Vec<T> {
        let all = self.datasets.iter().flat_map(|known| known.store.state());
        let mut chosen: Vec<(String, String, T)> = all
            .filter_map(|dataset| {
                let dataset = dataset.0.as_ref().ok()?;
                let chosen = choose(dataset)?;
                Some((dataset.namespace().unwrap_or_default(), dataset.name_any(), chosen))
            })
            .collect();
        chosen.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
        chosen.into_iter().map(|(_, _, chosen)| chosen).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::tests::dataset;

    /// Reconciles of many clusters wait for the Datasets; a signal that only one of them hears would hold up the others
    /// for ever.
    #[tokio::test]
    async fn everybody_who_waits_is_told() {
        let (store, _writer) = reflector::store();
        let (told, complete) = watch::channel(false);
        let stores = Stores::new(Vec::new(), vec![Known { store, complete }]);
        let waiting: Vec<_> = (0..8)
            .map(|_| {
                let stores = stores.clone();
                tokio::spawn(async move { stores.ready().await })
            })
            .collect();
        tokio::task::yield_now().await;
        assert!(waiting.iter().all(|task| !task.is_finished()));
        told.send_replace(true);
        let all = futures::future::join_all(waiting);
        tokio::time::timeout(std::time::Duration::from_secs(10), all).await.unwrap();
    }

    #[test]
    fn a_status_is_no_news_and_an_end_always_is() {
        let known = Generations::default();
        let mut one = dataset();
        assert!(known.is_news(&one) && !known.is_news(&one));
        one.metadata.generation = Some(2);
        assert!(known.is_news(&one) && !known.is_news(&one));
        one.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Default::default()));
        assert!(known.is_news(&one) && known.is_news(&one));
    }
}
