//! What a Dataset refers to: its cluster, or its source and the cluster of that.

use super::DatasetContext;
use super::grant::{allows, needs_labels};
use super::names::{self, Names};
use crate::cluster::admin::Target;
use crate::error::Error;
use crate::stores::Stores;
use alluxio_operator_api::cluster::ClusterCondition;
use alluxio_operator_api::condition::{ConditionStatus, Reason, status_of};
use alluxio_operator_api::dataset::{DatasetCondition, Source};
use alluxio_operator_api::reference::NamespacedRef;
use alluxio_operator_api::{AlluxioCluster, Dataset};
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use kube::api::Api;
use std::collections::BTreeMap;

/// Where a Dataset is.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its cluster.
    pub cluster: NamespacedRef,
    /// That object's UID.
    pub cluster_uid: String,
    /// The identity in its journal, once it is known.
    pub cluster_id: Option<String>,
    /// How its masters are reached.
    pub target: Target,
    /// Whether one of them serves, as far as its controller knows.
    pub serves: bool,
    /// The directory that is the Dataset.
    pub directory: String,
    /// Of a Dataset with a source: whether that is mounted.
    pub source_mounted: Option<bool>,
}

/// Why a Dataset is nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    /// `Accepted` or `ResolvedRefs`.
    pub condition: DatasetCondition,
    /// For conditions.
    pub reason: Reason,
    /// For people.
    pub message: String,
}

/// Looks at everything that is referred to, but for Secrets.
///
/// **Errors**: those of the API server; what is wrong with the object is the inner `Err`.
pub async fn resolve(
    dataset: &Dataset,
    names: &Names,
    context: &DatasetContext,
) -> Result<Result<Place, Unresolved>, Error> {
    let stores = &context.stores;
    let found = match find(dataset, names, stores) {
        Ok(found) => found,
        Err(unresolved) => return Ok(Err(unresolved)),
    };
    let mut labels = None;
    if found.needs_labels(names) {
        labels = Some(namespace_labels(names, context).await?);
    }
    if let Err(unresolved) = found.allowed(names, labels.as_ref()) {
        return Ok(Err(unresolved));
    }
    let target = match context.target(&found.cluster) {
        Ok(target) => target,
        Err(why) => return Ok(Err(accepted(Reason::Waiting, why))),
    };
    Ok(Ok(found.place(names, target)))
}

async fn namespace_labels(
    names: &Names,
    context: &DatasetContext,
) -> Result<BTreeMap<String, String>, Error> {
    let api: Api<Namespace> = Api::all(context.applier.client().clone());
    let found = api.get_metadata_opt(&names.namespace).await;
    let found = found.map_err(Error::kubernetes(format!("get Namespace {}", names.namespace)))?;
    Ok(found.and_then(|found| found.metadata.labels).unwrap_or_default())
}

fn accepted(reason: Reason, message: impl Into<String>) -> Unresolved {
    Unresolved { condition: DatasetCondition::Accepted, reason, message: message.into() }
}

fn unresolved(reason: Reason, message: impl Into<String>) -> Unresolved {
    Unresolved { condition: DatasetCondition::ResolvedRefs, reason, message: message.into() }
}

/// The objects that are referred to.
struct Found {
    cluster: AlluxioCluster,
    source: Option<(Source, Dataset)>,
}

fn find(dataset: &Dataset, names: &Names, stores: &Stores) -> Result<Found, Unresolved> {
    let source = match &dataset.spec.source {
        None => None,
        Some(source) => {
            let (namespace, name) =
                (source.dataset_ref.namespace_or(&names.namespace), &source.dataset_ref.name);
            let Some(found) = stores.dataset(namespace, name) else {
                return Err(unresolved(
                    Reason::NotFound,
                    format!("there is no Dataset {namespace}/{name}"),
                ));
            };
            Some((source.clone(), found))
        }
    };
    let (reference, here) = match &source {
        None => (dataset.spec.cluster_ref.as_ref(), names.namespace.clone()),
        Some((_, of)) => (of.spec.cluster_ref.as_ref(), of.namespace().unwrap_or_default()),
    };
    let Some(reference) = reference else {
        let message = "the source has a source itself; refer to that one";
        return Err(unresolved(Reason::Invalid, message));
    };
    let namespace = reference.namespace_or(&here);
    match stores.cluster(namespace, &reference.name) {
        Some(cluster) => Ok(Found { cluster, source }),
        None => Err(accepted(
            Reason::NotFound,
            format!("there is no AlluxioCluster {namespace}/{}", reference.name),
        )),
    }
}

impl Found {
    fn cluster_namespace(&self) -> String {
        self.cluster.namespace().unwrap_or_default()
    }

    fn needs_labels(&self, names: &Names) -> bool {
        match &self.source {
            Some((_, of)) => {
                let owner = of.namespace().unwrap_or_default();
                needs_labels(&of.spec.allowed_namespaces, &owner, &names.namespace)
            }
            None => {
                let allowed = &self.cluster.spec.allowed_dataset_namespaces;
                needs_labels(allowed, &self.cluster_namespace(), &names.namespace)
            }
        }
    }

    fn allowed(
        &self,
        names: &Names,
        labels: Option<&BTreeMap<String, String>>,
    ) -> Result<(), Unresolved> {
        let here = &names.namespace;
        if let Some((_, of)) = &self.source {
            let owner = of.namespace().unwrap_or_default();
            if of.metadata.deletion_timestamp.is_some() {
                let text = format!("Dataset {owner}/{} is being deleted", of.name_any());
                return Err(unresolved(Reason::Waiting, text));
            }
            return match allows(&of.spec.allowed_namespaces, &owner, here, labels) {
                true => Ok(()),
                false => Err(unresolved(
                    Reason::NotAllowed,
                    format!(
                        "Dataset {owner}/{} does not let namespace {here} use it: see its \
                         allowedNamespaces",
                        of.name_any()
                    ),
                )),
            };
        }
        let owner = self.cluster_namespace();
        let name = self.cluster.name_any();
        if self.cluster.metadata.deletion_timestamp.is_some() {
            return Err(accepted(
                Reason::Waiting,
                format!("AlluxioCluster {owner}/{name} is being deleted"),
            ));
        }
        match allows(&self.cluster.spec.allowed_dataset_namespaces, &owner, here, labels) {
            true => Ok(()),
            false => Err(accepted(
                Reason::NotAllowed,
                format!(
                    "AlluxioCluster {owner}/{name} does not take Datasets of namespace {here}: see \
                     its allowedDatasetNamespaces"
                ),
            )),
        }
    }

    fn place(&self, names: &Names, target: Target) -> Place {
        let (directory, source_mounted) = match &self.source {
            None => (names.directory(), None),
            Some((source, of)) => {
                let status = of.status.clone().unwrap_or_default();
                let mounted = status_of(&status.conditions, DatasetCondition::Mounted);
                let directory = status.path.unwrap_or_default();
                let mounted = mounted == ConditionStatus::True && !directory.is_empty();
                (names::below(&directory, &source.path), Some(mounted))
            }
        };
        Place {
            cluster: NamespacedRef {
                name: self.cluster.name_any(),
                namespace: Some(self.cluster_namespace()),
            },
            cluster_uid: self.cluster.uid().unwrap_or_default(),
            cluster_id: self.cluster.status.as_ref().and_then(|status| status.cluster_id.clone()),
            target,
            serves: serves(&self.cluster),
            directory,
            source_mounted,
        }
    }
}

/// Whether a master serves, as far as the cluster's controller knows.
pub fn serves(cluster: &AlluxioCluster) -> bool {
    let Some(status) = &cluster.status else { return false };
    let holds = |condition| status_of(&status.conditions, condition) == ConditionStatus::True;
    holds(ClusterCondition::Available)
        || holds(ClusterCondition::MastersReady)
        || status.masters.as_ref().is_some_and(|masters| masters.leader.is_some())
}
