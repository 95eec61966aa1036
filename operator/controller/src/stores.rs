//! What the controllers' own watches know already, for each other: nobody lists what is watched.

use alluxio_operator_api::{AlluxioCluster, Dataset};
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{ObjectRef, Store};
use std::sync::Arc;

/// An object that may be of another version of the API than this program reads.
pub type Guarded<K> = DeserializeGuard<K>;

/// Clusters and Datasets of all namespaces that the operator works in. Cloning is cheap and shares them.
#[derive(Clone, Default)]
pub struct Stores {
    clusters: Arc<Vec<Store<Guarded<AlluxioCluster>>>>,
    datasets: Arc<Vec<Store<Guarded<Dataset>>>>,
}

impl Stores {
    /// One store for each namespace, or one for all.
    pub fn new(
        clusters: Vec<Store<Guarded<AlluxioCluster>>>,
        datasets: Vec<Store<Guarded<Dataset>>>,
    ) -> Self {
        Stores { clusters: Arc::new(clusters), datasets: Arc::new(datasets) }
    }

    /// Waits until all that was there at the start is known. Before that, what is missing means nothing.
    pub async fn ready(&self) {
        for store in self.clusters.iter() {
            // A store ends with the program.
            let _ = store.wait_until_ready().await;
        }
        for store in self.datasets.iter() {
            let _ = store.wait_until_ready().await;
        }
    }

    /// A cluster that is there and can be read.
    pub fn cluster(&self, namespace: &str, name: &str) -> Option<AlluxioCluster> {
        let key = ObjectRef::new(name).within(namespace);
        let found = self.clusters.iter().find_map(|store| store.get(&key))?;
        found.0.as_ref().ok().cloned()
    }

    /// A Dataset that is there and can be read.
    pub fn dataset(&self, namespace: &str, name: &str) -> Option<Dataset> {
        let key = ObjectRef::new(name).within(namespace);
        let found = self.datasets.iter().find_map(|store| store.get(&key))?;
        found.0.as_ref().ok().cloned()
    }

    /// Kind and phase of every cluster and Dataset that can be read and has a phase.
    pub fn phases(&self) -> Vec<(&'static str, String)> {
        let clusters = self.clusters.iter().flat_map(Store::state).filter_map(|cluster| {
            let phase = cluster.0.as_ref().ok()?.status.as_ref()?.phase?;
            Some(("AlluxioCluster", phase.to_string()))
        });
        let datasets = self.datasets.iter().flat_map(Store::state).filter_map(|dataset| {
            let phase = dataset.0.as_ref().ok()?.status.as_ref()?.phase?;
            Some(("Dataset", phase.to_string()))
        });
        clusters.chain(datasets).collect()
    }

    /// What `choose` makes of the Datasets that can be read, in order of namespace and name.
    pub fn datasets<T>(&self, mut choose: impl FnMut(&Dataset) -> Option<T>) -> Vec<T> {
        let all = self.datasets.iter().flat_map(Store::state);
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
