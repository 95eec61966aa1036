//! What is worth remembering between walks, and may be forgotten at any time.

use super::admin::{DatasetAdmin, Usage};
use super::names::Names;
use super::options::ReadSecret;
use super::resolve::Place;
use super::volume::VolumeFact;
use crate::cluster::admin::Target;
use crate::error::Error;
use crate::seen::Seen;
use alluxio_operator_api::AlluxioCluster;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, VersionMatch};
use kube::{Client, ResourceExt};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Entries of each kind; beyond it all are forgotten.
const ENTRIES_MAX: usize = 8192;
/// How long a list of a namespace's pods is good enough.
const PODS_GOOD: Duration = Duration::from_secs(30);
/// How long a Secret is good enough for other Datasets that refer to it. It is not kept longer.
const SECRET_GOOD: Duration = Duration::from_secs(10);
/// Least time between two counts of a Dataset's files.
const COUNT_EVERY: Duration = Duration::from_secs(300);
/// Longest time of one count.
const COUNT_WITHIN: Duration = Duration::from_secs(10);
/// How much longer than a count took the next one waits: it shall be a small part of the master's work.
const COUNT_SHARE: u32 = 50;
/// Pods of one page of a list.
const PAGE: u32 = 500;

/// Names of pods by the claims that they use.
type Users = Arc<BTreeMap<String, Vec<String>>>;

/// See the module.
#[derive(Default)]
pub struct Memory {
    targets: Mutex<BTreeMap<(String, i64), Target>>,
    pods: Mutex<BTreeMap<String, (Instant, Users)>>,
    counts: Mutex<BTreeMap<String, Instant>>,
    /// Volumes and claims that were as wanted, with what was wanted; by [`Memory::key`].
    pub volumes: Seen<(String, VolumeFact)>,
    secrets: Mutex<BTreeMap<String, (Instant, Option<ReadSecret>)>>,
    /// Versions of Datasets whose Secrets were read, by UID.
    versions: Mutex<BTreeMap<String, String>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn put<K: Ord, V>(map: &Mutex<BTreeMap<K, V>>, key: K, value: V) {
    let mut map = locked(map);
    if map.len() >= ENTRIES_MAX {
        map.clear();
    }
    map.insert(key, value);
}

impl Memory {
    /// What is in a namespace, under its name.
    pub fn key(namespace: &str, name: &str) -> String {
        format!("{namespace}/{name}")
    }

    /// Whether a Dataset is of another version than the last time.
    pub fn is_another_version(&self, uid: &str, version: String) -> bool {
        let before = locked(&self.versions).get(uid).cloned();
        let other = before.as_ref() != Some(&version);
        if other {
            put(&self.versions, uid.to_owned(), version);
        }
        other
    }

    /// A Secret that was read a moment ago.
    pub fn secret(&self, key: &str) -> Option<Option<ReadSecret>> {
        let mut secrets = locked(&self.secrets);
        secrets.retain(|_, (at, _)| at.elapsed() < SECRET_GOOD);
        secrets.get(key).map(|(_, read)| read.clone())
    }

    /// It was read.
    pub fn keep_secret(&self, key: String, read: Option<ReadSecret>) {
        put(&self.secrets, key, (Instant::now(), read));
    }

    /// How this generation of a cluster is reached.
    pub fn target(
        &self,
        cluster: &AlluxioCluster,
        make: impl FnOnce() -> Result<Target, String>,
    ) -> Result<Target, String> {
        let key = (cluster.uid().unwrap_or_default(), cluster.metadata.generation.unwrap_or(0));
        if let Some(known) = locked(&self.targets).get(&key) {
            return Ok(known.clone());
        }
        let target = make()?;
        put(&self.targets, key, target.clone());
        Ok(target)
    }

    /// Names of the pods that use a claim and have not ended. One list serves all Datasets of a namespace for a while;
    /// `now` asks again.
    ///
    /// **Errors**: those of the API server.
    pub async fn pods(
        &self,
        client: &Client,
        names: &Names,
        now: bool,
    ) -> Result<Vec<String>, Error> {
        let known = locked(&self.pods).get(&names.namespace).cloned();
        let users = match known {
            Some((at, users)) if !now && at.elapsed() < PODS_GOOD => users,
            _ => {
                let users = Arc::new(users(client, &names.namespace, now).await?);
                put(&self.pods, names.namespace.clone(), (Instant::now(), users.clone()));
                users
            }
        };
        Ok(users.get(&names.claim).cloned().unwrap_or_default())
    }

    /// Bytes and files of a Dataset, when it is time to count them again.
    pub async fn usage(
        &self,
        admin: &dyn DatasetAdmin,
        names: &Names,
        place: &Place,
    ) -> Option<Usage> {
        let due = locked(&self.counts).get(&names.uid).copied();
        let started = Instant::now();
        if due.is_some_and(|due| started < due) {
            return None;
        }
        let counted = tokio::time::timeout(COUNT_WITHIN, count(admin, place)).await;
        let pause = COUNT_EVERY.max(started.elapsed() * COUNT_SHARE);
        put(&self.counts, names.uid.clone(), Instant::now() + pause);
        match counted {
            Ok(Some(usage)) => Some(usage),
            Ok(None) => None,
            Err(_) => {
                tracing::info!(
                    dataset = names.dataset, namespace = names.namespace, within = ?COUNT_WITHIN,
                    "too many files to be counted"
                );
                None
            }
        }
    }

    /// The next walk counts: something happened that changes the numbers.
    pub fn count_again(&self, uid: &str) {
        locked(&self.counts).remove(uid);
    }

    /// Nothing of a Dataset that is gone is worth remembering.
    pub fn forget(&self, names: &Names) {
        locked(&self.counts).remove(&names.uid);
        locked(&self.versions).remove(&names.uid);
        self.volumes.forget(&Self::key(&names.namespace, &names.dataset));
    }
}

async fn count(admin: &dyn DatasetAdmin, place: &Place) -> Option<Usage> {
    let mut files = admin.files(&place.target, &place.directory).await.ok()?;
    let mut usage = Usage::default();
    while let Some(file) = files.next().await {
        let file = file.ok()?;
        usage.files += 1;
        usage.bytes += file.length;
        let share = u128::from(file.length) * u128::from(file.cached_percent.min(100)) / 100;
        // A share of a u64 is one.
        usage.cached_bytes += u64::try_from(share).unwrap_or(u64::MAX);
    }
    Some(usage)
}

/// Who uses which claim in a namespace.
async fn users(
    client: &Client,
    namespace: &str,
    now: bool,
) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let running = "status.phase!=Succeeded,status.phase!=Failed";
    let mut params = ListParams::default().fields(running);
    params = match now {
        true => params.limit(PAGE),
        // From the API server's own cache.
        false => params.matching(VersionMatch::NotOlderThan).at("0"),
    };
    let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
    loop {
        let page = api.list(&params).await;
        let page = page.map_err(Error::kubernetes(format!("list pods of {namespace}")))?;
        for pod in &page.items {
            for claim in claims(pod) {
                users.entry(claim).or_default().push(pod.name_any());
            }
        }
        let more = page.metadata.continue_.filter(|token| !token.is_empty());
        let Some(token) = more else { break };
        params = ListParams::default().fields(running).limit(PAGE).continue_token(&token);
    }
    users.values_mut().for_each(|pods| pods.sort());
    Ok(users)
}

fn claims(pod: &Pod) -> impl Iterator<Item = String> + '_ {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.clone()))
}
