//! From what a user wrote, and what is there, to a cluster that can be built. Pure. What the API server's own rules
//! refuse never comes here.

use super::config::{self, Configs};
use super::names::Names;
use crate::error::Error;
use alluxio_operator_api::cluster::{AlluxioClusterSpec, ManagedEtcd};
use alluxio_operator_api::condition::Reason;
use alluxio_operator_api::pod::Image;
use alluxio_operator_api::{AlluxioCluster, AlluxioClusterStatus};
use kube::{Resource, ResourceExt};

/// What the operator was started with.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// Repository of the data plane's image.
    pub repository: String,
    /// Its version, which is the operator's own.
    pub version: String,
    /// Pull policy where the user gives none.
    pub pull_policy: String,
    /// Repository and tag of etcd's image.
    pub etcd_image: String,
}

/// An image, as pods name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRef {
    /// `repository:tag`, or `repository@digest`.
    pub reference: String,
    /// `Always`, `IfNotPresent` or `Never`.
    pub pull_policy: String,
    /// Secrets with which it is fetched.
    pub pull_secrets: Vec<String>,
}

/// A cluster that can be built.
#[derive(Debug, Clone)]
pub struct ValidCluster {
    /// Names, labels, owner.
    pub names: Names,
    /// What the user wrote.
    pub spec: AlluxioClusterSpec,
    /// The version that is wanted.
    pub version: String,
    /// The data plane's image.
    pub image: ImageRef,
    /// Etcd's.
    pub etcd_image: ImageRef,
    /// Every role's configuration.
    pub configs: Configs,
    /// Members that the managed etcd has now: the wanted number for a new one, and otherwise one more or
    /// less than before at most.
    pub etcd_members: i32,
    /// Whether the managed etcd was formed already.
    pub etcd_formed: bool,
}

impl ValidCluster {
    /// The managed etcd, if there is one.
    pub fn managed_etcd(&self) -> Option<&ManagedEtcd> {
        self.spec.coordination.as_ref()?.etcd.managed.as_ref()
    }
}

/// Why a cluster cannot be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// For conditions.
    pub reason: Reason,
    /// For people, with the fields that are meant.
    pub message: String,
}

/// Names, labels and owner of a cluster.
///
/// **Errors**: `NotStored`.
pub fn names(cluster: &AlluxioCluster) -> Result<Names, Error> {
    Ok(Names {
        cluster: cluster.metadata.name.clone().ok_or(Error::NotStored("name"))?,
        namespace: cluster.metadata.namespace.clone().ok_or(Error::NotStored("namespace"))?,
        uid: cluster.uid().ok_or(Error::NotStored("uid"))?,
        owner: cluster.controller_owner_ref(&()).ok_or(Error::NotStored("uid"))?,
    })
}

/// Checks everything that needs no other object.
///
/// **Errors**: all that is wrong, in one message.
pub fn validate(
    names: Names,
    cluster: &AlluxioCluster,
    defaults: &Defaults,
) -> Result<ValidCluster, Refusal> {
    let spec = cluster.spec.clone();
    let status = cluster.status.clone().unwrap_or_default();
    let version = wanted_version(&spec, &status, defaults);
    if let Some(deployed) = status.version.as_ref().and_then(|version| version.deployed.as_deref())
        && let Err(why) = version_pair(deployed, &version)
    {
        return Err(Refusal { reason: Reason::VersionRefused, message: why });
    }
    let missing = not_carried_out(&spec);
    if !missing.is_empty() {
        let message =
            format!("the operator cannot do this yet; leave it out: {}", missing.join(", "));
        return Err(Refusal { reason: Reason::Invalid, message });
    }
    let configs = config::render(&names, &spec).map_err(|faults| Refusal {
        reason: Reason::PropertyRefused,
        message: faults.join("\n"),
    })?;
    let image = image(&spec.image, &defaults.repository, &version, defaults);
    let managed = spec.coordination.as_ref().and_then(|c| c.etcd.managed.as_ref());
    let (etcd_repository, etcd_tag) =
        defaults.etcd_image.rsplit_once(':').unwrap_or((&defaults.etcd_image, "latest"));
    let none = Image::default();
    let etcd_image =
        self::image(managed.map_or(&none, |etcd| &etcd.image), etcd_repository, etcd_tag, defaults);
    let formed = status.coordination.as_ref().and_then(|coordination| coordination.members);
    let etcd_members = managed.map_or(0, |etcd| next_members(formed, etcd.replicas));
    Ok(ValidCluster {
        names,
        spec,
        version,
        image,
        etcd_image,
        configs,
        etcd_members,
        etcd_formed: formed.is_some(),
    })
}

/// Fields that say something which nothing of the operator does. Better refused than believed.
fn not_carried_out(spec: &AlluxioClusterSpec) -> Vec<&'static str> {
    let restore = spec.master.journal.restore_from.as_ref();
    let fields = [(
        "spec.master.journal.restoreFrom.backupRef (give its status.location as uri)",
        restore.is_some_and(|restore| restore.backup_ref.is_some()),
    )];
    fields.into_iter().filter(|(_, given)| *given).map(|(field, _)| field).collect()
}

/// A new cluster gets the operator's version, and keeps it when the operator gets another one.
fn wanted_version(
    spec: &AlluxioClusterSpec,
    status: &AlluxioClusterStatus,
    defaults: &Defaults,
) -> String {
    let known = status.version.as_ref();
    spec.version
        .clone()
        .or_else(|| known.and_then(|version| version.target.clone()))
        .or_else(|| known.and_then(|version| version.deployed.clone()))
        .unwrap_or_else(|| defaults.version.clone())
}

/// Whether a running cluster may go from one version to another: forward by one minor version at most, and back by one.
fn version_pair(from: &str, to: &str) -> Result<(), String> {
    let parts = |version: &str| -> Option<(u64, u64)> {
        let mut parts = version.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    };
    let (Some((from_major, from_minor)), Some((to_major, to_minor))) = (parts(from), parts(to))
    else {
        return Ok(());
    };
    match from_major == to_major && from_minor.abs_diff(to_minor) <= 1 {
        true => Ok(()),
        false => Err(format!(
            "spec.version: from {from} to {to} are more steps than one; go over each minor version \
             in between"
        )),
    }
}

fn image(given: &Image, repository: &str, tag: &str, defaults: &Defaults) -> ImageRef {
    let repository = given.repository.as_deref().unwrap_or(repository);
    let reference = match (&given.digest, &given.tag) {
        (Some(digest), _) => format!("{repository}@{digest}"),
        (None, Some(tag)) => format!("{repository}:{tag}"),
        (None, None) => format!("{repository}:{tag}"),
    };
    let policy = given.pull_policy.map(|policy| policy.to_string());
    ImageRef {
        reference,
        pull_policy: policy.unwrap_or_else(|| defaults.pull_policy.clone()),
        pull_secrets: given.pull_secrets.iter().map(|secret| secret.name.clone()).collect(),
    }
}

/// How many members etcd has next: members are added and removed one by one.
fn next_members(now: Option<i32>, wanted: i32) -> i32 {
    match now {
        None => wanted,
        Some(now) => now + (wanted - now).signum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::tests::{defaults, names, sample};
    use alluxio_operator_api::cluster::status::{CoordinationStatus, VersionStatus};

    #[test]
    fn the_smallest_cluster_is_valid() {
        let valid = validate(names(), &sample(), &defaults()).unwrap();
        assert_eq!(valid.image.reference, "registry.example/alluxio:0.1.0");
        assert_eq!((valid.etcd_members, valid.etcd_formed), (3, false));
    }

    #[test]
    fn a_cluster_keeps_its_version_when_the_operator_gets_another() {
        let mut cluster = sample();
        let version = VersionStatus { deployed: Some("0.1.0".into()), ..Default::default() };
        cluster.status =
            Some(AlluxioClusterStatus { version: Some(version), ..Default::default() });
        let newer = Defaults { version: "0.2.0".into(), ..defaults() };
        assert_eq!(validate(names(), &cluster, &newer).unwrap().version, "0.1.0");
        cluster.spec.version = Some("0.2.0".into());
        assert_eq!(validate(names(), &cluster, &newer).unwrap().version, "0.2.0");
        cluster.spec.version = Some("0.3.0".into());
        let refusal = validate(names(), &cluster, &newer).unwrap_err();
        assert_eq!(refusal.reason, Reason::VersionRefused);
        assert!(refusal.message.contains("from 0.1.0 to 0.3.0"), "{}", refusal.message);
    }

    #[test]
    fn what_nothing_carries_out_is_refused_by_name() {
        let mut cluster = sample();
        cluster.spec.master.journal.restore_from =
            Some(alluxio_operator_api::cluster::RestoreFrom {
                uri: None,
                backup_ref: Some(alluxio_operator_api::reference::LocalRef { name: "b".into() }),
            });
        let refusal = validate(names(), &cluster, &defaults()).unwrap_err();
        assert_eq!(refusal.reason, Reason::Invalid);
        assert!(refusal.message.contains("backupRef"), "{}", refusal.message);
    }

    #[test]
    fn etcd_grows_and_shrinks_one_by_one() {
        assert_eq!(next_members(None, 5), 5);
        assert_eq!(next_members(Some(1), 3), 2);
        assert_eq!(next_members(Some(5), 3), 4);
        assert_eq!(next_members(Some(3), 3), 3);
        let mut cluster = sample();
        let formed = CoordinationStatus { members: Some(1), ..Default::default() };
        cluster.status =
            Some(AlluxioClusterStatus { coordination: Some(formed), ..Default::default() });
        let valid = validate(names(), &cluster, &defaults()).unwrap();
        assert_eq!((valid.etcd_members, valid.etcd_formed), (2, true));
    }

    #[test]
    fn versions_move_by_one_step() {
        for (from, to, may) in [
            ("1.4.2", "1.5.0", true),
            ("1.5.0", "1.4.2", true),
            ("1.4.2", "1.4.9", true),
            ("1.4.2", "1.6.0", false),
            ("1.4.2", "2.0.0", false),
            ("dev", "2.0.0", true),
        ] {
            assert_eq!(version_pair(from, to).is_ok(), may, "{from} {to}");
        }
    }
}
