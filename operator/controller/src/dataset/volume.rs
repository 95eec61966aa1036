//! The volume of a Dataset: a PersistentVolume of the CSI driver, and the claim that is bound to it. Builders are pure.
//!
//! What may change while pods use the volume stands in `mountOptions`, which the node reads for each pod that starts.
//! A volume's attributes can never change; in them stands what does not.

use super::names::{self, Names};
use super::resolve::Place;
use crate::apply::{Applier, Observed, Outcome};
use crate::desired::{Desired, HASH};
use crate::error::Error;
use alluxio_operator_api::DatasetSpec;
use alluxio_operator_api::Size;
use alluxio_operator_api::condition::Reason;
use alluxio_operator_api::dataset::status::VolumeStatus;
use alluxio_operator_api::dataset::{AccessMode, ConsistencyMode, ReadMode, WriteMode};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::ResourceExt;
use kube::api::{Api, ApiResource, DynamicObject};
use serde_json::json;
use std::time::Duration;

/// The CSI driver.
const DRIVER: &str = "csi.alluxio.dev";

/// What is there of the volume, and why it is no more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VolumeFact {
    /// For the status.
    pub status: VolumeStatus,
    /// What is wrong.
    pub problem: Option<(Reason, String)>,
}

/// Options of the mount on the nodes.
pub fn mount_options(spec: &DatasetSpec) -> Vec<String> {
    let interval = match spec.consistency.mode {
        ConsistencyMode::Always => "0".to_owned(),
        ConsistencyMode::Never => "-1".to_owned(),
        ConsistencyMode::Interval => {
            let span = spec.consistency.interval.duration().unwrap_or(Duration::from_secs(60));
            format!("{}ms", span.as_millis())
        }
    };
    let read = match spec.cache_policy.read_mode {
        ReadMode::CachePromote => "CACHE_PROMOTE",
        ReadMode::Cache => "CACHE",
        ReadMode::NoCache => "NO_CACHE",
    };
    let write = match spec.write_mode {
        WriteMode::Through => "CACHE_THROUGH",
        WriteMode::CacheOnly => "MUST_CACHE",
    };
    let mut options = vec![
        format!("alluxio.user.file.metadata.sync.interval={interval}"),
        format!("alluxio.user.file.readtype.default={read}"),
        format!("alluxio.user.file.writetype.default={write}"),
    ];
    options.extend(spec.volume.mount_options.iter().cloned());
    // Last, so that nothing before it can undo it.
    if spec.access_modes.iter().all(|mode| *mode == AccessMode::ReadOnlyMany) {
        options.push("ro".to_owned());
    }
    options
}

/// As the API server writes it, so that it is not a difference.
fn capacity(spec: &DatasetSpec) -> String {
    match spec.volume.capacity.bytes() {
        Ok(bytes) => Size::from_bytes(bytes).to_string(),
        // The API server has checked it; it says no once more.
        Err(_) => spec.volume.capacity.to_string(),
    }
}

fn modes(spec: &DatasetSpec) -> Vec<&'static str> {
    spec.access_modes.iter().map(|mode| mode.name()).collect()
}

/// The volume.
///
/// **Errors**: `Unwritable`, `NotStored`: never, but for a fault of this program.
pub fn volume(names: &Names, spec: &DatasetSpec, place: &Place) -> Result<Desired, Error> {
    let here = place.cluster.namespace.clone().unwrap_or_default();
    let body = json!({
        "metadata": {"name": names.volume()},
        "spec": {
            "capacity": {"storage": capacity(spec)},
            "accessModes": modes(spec),
            "persistentVolumeReclaimPolicy": "Retain",
            "volumeMode": "Filesystem",
            "mountOptions": mount_options(spec),
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": names.namespace,
                "name": names.claim,
            },
            "csi": {
                "driver": DRIVER,
                "volumeHandle": format!("ds.{}.{}", names::short(&place.cluster_uid), names.uid),
                "volumeAttributes": {
                    "path": place.directory,
                    "cluster": place.cluster.name,
                    "clusterNamespace": here,
                    "clusterUID": place.cluster_uid,
                    "dataset": names.dataset,
                    "datasetNamespace": names.namespace,
                    "datasetUID": names.uid,
                },
            },
        },
    });
    let resource = ApiResource::erase::<PersistentVolume>(&());
    Desired::of_json(resource, body, None, &names.labels(&place.cluster_uid))
}

/// The claim. Of one that is there (`live`), what cannot change stays as it is.
///
/// **Errors**: as of [`volume`].
pub fn claim(
    names: &Names,
    spec: &DatasetSpec,
    place: &Place,
    live: Option<&DynamicObject>,
) -> Result<Desired, Error> {
    let kept = |field: &str| live.map(|live| live.data["spec"][field].clone());
    let resources = json!({"requests": {"storage": capacity(spec)}});
    let body = json!({
        "metadata": {"name": names.claim, "namespace": names.namespace},
        "spec": {
            "accessModes": kept("accessModes").unwrap_or_else(|| json!(modes(spec))),
            "storageClassName": "",
            "volumeMode": "Filesystem",
            "volumeName": names.volume(),
            "resources": kept("resources").unwrap_or(resources),
        },
    });
    let resource = ApiResource::erase::<PersistentVolumeClaim>(&());
    Desired::of_json(resource, body, Some(&names.owner), &names.labels(&place.cluster_uid))
}

/// Volume and claim, as they are.
#[derive(Default)]
pub struct Live {
    /// The PersistentVolume of our name.
    pub volume: Option<DynamicObject>,
    /// The claim of our name.
    pub claim: Option<DynamicObject>,
}

impl Live {
    /// Whether the claim is this Dataset's.
    pub fn claim_is_ours(&self, names: &Names) -> bool {
        let claim = self.claim.as_ref();
        claim.is_some_and(|claim| claim.owner_references().iter().any(|o| o.uid == names.uid))
    }

    /// Whether the volume is this Dataset's.
    pub fn volume_is_ours(&self, names: &Names) -> bool {
        let volume = self.volume.as_ref();
        volume.is_some_and(|volume| volume.labels().get(names::DATASET_UID) == Some(&names.uid))
    }

    fn phase(object: Option<&DynamicObject>) -> Option<&str> {
        object?.data["status"]["phase"].as_str()
    }
}

/// What to do about volume and claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Make or change them.
    Apply,
    /// The claim has access modes that are not wanted, and nobody is bound to it.
    ReplaceClaim,
    /// The volume was left by a claim that is gone; it will never be bound again.
    ReplaceVolume,
    /// Somebody stands in the way.
    Blocked(Reason, String),
    /// None is wanted.
    Remove,
}

/// Decides. Pure.
pub fn step(names: &Names, spec: &DatasetSpec, live: &Live) -> Step {
    if !spec.volume.create {
        return Step::Remove;
    }
    if live.claim.is_some() && !live.claim_is_ours(names) {
        let text = format!(
            "PersistentVolumeClaim {} is there already, and not of this Dataset: delete it, or make \
             another Dataset with volume.name",
            names.claim
        );
        return Step::Blocked(Reason::Conflict, text);
    }
    if live.volume.is_some() && !live.volume_is_ours(names) {
        let text = format!(
            "PersistentVolume {} is there already, and not of this Dataset",
            names.volume()
        );
        return Step::Blocked(Reason::Conflict, text);
    }
    if let Some(claim) = &live.claim
        && claim.data["spec"]["accessModes"] != json!(modes(spec))
    {
        return match Live::phase(Some(claim)) {
            Some("Bound") => Step::Blocked(
                Reason::InUse,
                format!(
                    "accessModes cannot change while claim {} is bound: delete the claim, it is made \
                     anew",
                    names.claim
                ),
            ),
            _ => Step::ReplaceClaim,
        };
    }
    match Live::phase(live.volume.as_ref()) {
        Some("Released" | "Failed") => Step::ReplaceVolume,
        _ => Step::Apply,
    }
}

/// Reads both.
///
/// **Errors**: those of the API server.
pub async fn read(applier: &Applier, names: &Names) -> Result<Live, Error> {
    let (volumes, claims) = resources();
    let api: Api<DynamicObject> = Api::all_with(applier.client().clone(), &volumes);
    let what = format!("get PersistentVolume {}", names.volume());
    let volume = api.get_opt(&names.volume()).await.map_err(Error::kubernetes(what))?;
    let api: Api<DynamicObject> =
        Api::namespaced_with(applier.client().clone(), &names.namespace, &claims);
    let what = format!("get PersistentVolumeClaim {}/{}", names.namespace, names.claim);
    let claim = api.get_opt(&names.claim).await.map_err(Error::kubernetes(what))?;
    Ok(Live { volume, claim })
}

/// Kinds of volume and claim.
pub fn resources() -> (ApiResource, ApiResource) {
    (ApiResource::erase::<PersistentVolume>(&()), ApiResource::erase::<PersistentVolumeClaim>(&()))
}

/// What is wanted of both, in a few letters.
///
/// **Errors**: as of [`volume`].
pub fn fingerprint(names: &Names, spec: &DatasetSpec, place: &Place) -> Result<String, Error> {
    if !spec.volume.create {
        return Ok(String::new());
    }
    let of = |desired: &Desired| desired.body()["metadata"]["annotations"][HASH].to_string();
    Ok(of(&volume(names, spec, place)?) + &of(&claim(names, spec, place, None)?))
}

/// Brings volume and claim nearer to what is wanted; also, whether they are as wanted and nothing was written.
///
/// **Errors**: those of the API server.
pub async fn reconcile(
    applier: &Applier,
    names: &Names,
    spec: &DatasetSpec,
    place: &Place,
) -> Result<(VolumeFact, bool), Error> {
    let live = read(applier, names).await?;
    let step = step(names, spec, &live);
    let (volumes, claims) = resources();
    let mut problem = None;
    let mut as_wanted = false;
    match step {
        Step::Remove => {
            let gone = remove(applier, names, &live, false).await?;
            return Ok((VolumeFact::default(), gone));
        }
        Step::Blocked(reason, message) => problem = Some((reason, message)),
        Step::ReplaceClaim => {
            if let Some(claim) = &live.claim {
                applier.delete(&claims, claim).await?;
            }
        }
        Step::ReplaceVolume => {
            if let Some(volume) = &live.volume {
                applier.delete(&volumes, volume).await?;
            }
        }
        Step::Apply => as_wanted = apply(applier, names, spec, place, &live).await?,
    }
    let status = VolumeStatus {
        pv_name: Some(names.volume()),
        pvc_name: Some(names.claim.clone()),
        phase: Live::phase(live.claim.as_ref().filter(|_| live.claim_is_ours(names)))
            .map(str::to_owned),
    };
    Ok((VolumeFact { status, problem }, as_wanted))
}

async fn apply(
    applier: &Applier,
    names: &Names,
    spec: &DatasetSpec,
    place: &Place,
    live: &Live,
) -> Result<bool, Error> {
    let (volumes, claims) = resources();
    let leaving = |object: &Option<DynamicObject>| {
        object.as_ref().is_some_and(|object| object.metadata.deletion_timestamp.is_some())
    };
    // What is on its way out cannot be brought back; the next one comes when it is gone.
    if leaving(&live.volume) || leaving(&live.claim) {
        return Ok(false);
    }
    let mut observed = Observed::default();
    let there = [(&volumes, &live.volume), (&claims, &live.claim)];
    for (resource, object) in there {
        if let Some(object) = object {
            observed.insert(resource, object.clone());
        }
    }
    let volume = applier.apply(&volume(names, spec, place)?, &mut observed).await?;
    let claim = claim(names, spec, place, live.claim.as_ref())?;
    let claim = applier.apply(&claim, &mut observed).await?;
    Ok(volume == Outcome::Same && claim == Outcome::Same)
}

/// Deletes what is this Dataset's of both; `true` when both are gone. The volume goes after the claim, when nothing is
/// bound to it, or with it (`at_once`): then Kubernetes removes both when the last pod has ended.
///
/// **Errors**: those of the API server.
pub async fn remove(
    applier: &Applier,
    names: &Names,
    live: &Live,
    at_once: bool,
) -> Result<bool, Error> {
    let (volumes, claims) = resources();
    let staying = |object: &DynamicObject| object.metadata.deletion_timestamp.is_none();
    if let Some(claim) = live.claim.as_ref().filter(|_| live.claim_is_ours(names)) {
        if staying(claim) {
            applier.delete(&claims, claim).await?;
        }
        if !at_once {
            return Ok(false);
        }
    }
    if let Some(volume) = live.volume.as_ref().filter(|_| live.volume_is_ours(names)) {
        if staying(volume) {
            applier.delete(&volumes, volume).await?;
        }
        return Ok(false);
    }
    Ok(!live.claim_is_ours(names))
}

#[cfg(test)]
mod tests;
