//! From a Dataset and its Secrets to mounts as the master takes them. Pure.

use super::admin::MountSpec;
use super::names::{self, Names};
use super::secret::{SecretText, StoreOptions};
use alluxio_config::ufs;
use alluxio_operator_api::DatasetSpec;
use alluxio_operator_api::condition::Reason;
use alluxio_operator_api::dataset::Mount;
use alluxio_operator_api::reference::{Credentials, SecretOptions};
use std::collections::BTreeMap;

/// A Secret, as it was read.
#[derive(Clone)]
pub struct ReadSecret {
    /// Its version.
    pub version: String,
    /// Its values; a value that is no text is `None`.
    pub values: BTreeMap<String, Option<SecretText>>,
}

/// Secrets by name; `None`: it is not there.
pub type Secrets = BTreeMap<String, Option<ReadSecret>>;

/// A mount that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name in the Dataset.
    pub name: String,
    /// What the master is told.
    pub spec: MountSpec,
    /// Version of the Secret whose credentials are in it.
    pub credential_version: Option<String>,
}

/// Why a mount cannot be described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadMount {
    /// Its name in the Dataset.
    pub name: String,
    /// For conditions.
    pub reason: Reason,
    /// For people.
    pub message: String,
}

/// The credentials of a mount: its own, or those of the Dataset.
fn credentials<'a>(spec: &'a DatasetSpec, mount: &'a Mount) -> Option<&'a Credentials> {
    mount.credentials.as_ref().or(spec.shared_credentials.as_ref())
}

/// Names of all Secrets that a Dataset refers to.
pub fn secret_names(spec: &DatasetSpec) -> Vec<String> {
    let all = spec.mounts.iter().filter_map(|mount| credentials(spec, mount));
    let mut names: Vec<String> = all.map(|found| found.secret_ref.name.clone()).collect();
    names.sort();
    names.dedup();
    names
}

/// All mounts, each as it is wanted or with what is wrong with it.
pub fn wanted(
    names: &Names,
    spec: &DatasetSpec,
    secrets: &Secrets,
) -> Vec<Result<Wanted, BadMount>> {
    spec.mounts.iter().map(|mount| one(names, spec, mount, secrets)).collect()
}

fn one(
    names: &Names,
    spec: &DatasetSpec,
    mount: &Mount,
    secrets: &Secrets,
) -> Result<Wanted, BadMount> {
    let bad = |reason, message| BadMount { name: mount.name.clone(), reason, message };
    let plain = plain(spec, mount).map_err(|message| bad(Reason::Invalid, message))?;
    let mut secret = BTreeMap::new();
    let mut credential_version = None;
    if let Some(credentials) = credentials(spec, mount) {
        let reference = &credentials.secret_ref;
        let Some(read) = secrets.get(&reference.name).and_then(Option::as_ref) else {
            let message = format!("Secret {} does not exist", reference.name);
            return Err(bad(Reason::NotFound, message));
        };
        secret = secret_options(reference, read)
            .map_err(|message| bad(Reason::SecretInvalid, message))?;
        credential_version = Some(read.version.clone());
    }
    let spec = MountSpec {
        path: names::below(&names.directory(), mount.path()),
        uri: mount.uri.clone(),
        read_only: mount.read_only,
        options: StoreOptions { plain, secret },
    };
    Ok(Wanted { name: mount.name.clone(), spec, credential_version })
}

/// Options that stand in the object, under canonical names.
fn plain(spec: &DatasetSpec, mount: &Mount) -> Result<BTreeMap<String, String>, String> {
    let mut given = spec.shared_options.clone();
    // A mount's own win, whatever of its names is used.
    let own = ufs::canonical_options(mount.options.clone());
    given = ufs::canonical_options(given);
    given.extend(own);
    if let Some(s3) = &mount.s3 {
        let endpoint = s3.endpoint.clone();
        let pairs = [
            ("alluxio.underfs.s3.endpoint", endpoint),
            ("alluxio.underfs.s3.region", s3.region.clone()),
        ];
        for (name, value) in pairs {
            given.extend(value.map(|value| (name.to_owned(), value)));
        }
        if s3.path_style {
            given.insert("alluxio.underfs.s3.disable.dns.buckets".into(), "true".into());
        }
    }
    checked(given)
}

fn checked(options: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, String> {
    ufs::check_options(options)
        .map(|options| options.0)
        .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

/// Options that stand in a Secret, under canonical names. No message holds a value.
fn secret_options(
    reference: &SecretOptions,
    read: &ReadSecret,
) -> Result<BTreeMap<String, SecretText>, String> {
    let secret = &reference.name;
    let mut values = BTreeMap::new();
    let mut take = |option: &str, key: &str| {
        let Some(value) = read.values.get(key) else {
            return Err(format!("Secret {secret} has no key {key}"));
        };
        let Some(value) = value else {
            return Err(format!("key {key} of Secret {secret} is no text (UTF-8)"));
        };
        values.insert(option.to_owned(), value.reveal().trim_end_matches('\n').to_owned());
        Ok(())
    };
    match reference.keys.is_empty() {
        true => read.values.keys().try_for_each(|key| take(key, key))?,
        false => reference.keys.iter().try_for_each(|(option, key)| take(option, key))?,
    }
    if values.is_empty() {
        return Err(format!("Secret {secret} is empty"));
    }
    // The names of faulty options are told, their values never.
    let options = ufs::check_options(values).map_err(|faults| {
        let names: Vec<String> = faults.iter().map(fault_name).collect();
        format!("Secret {secret}: {}", names.join("; "))
    })?;
    Ok(options.0.into_iter().map(|(name, value)| (name, SecretText::new(value))).collect())
}

/// What is wrong, without the value: an option that is no credential by its name may still stand in a Secret.
fn fault_name(fault: &alluxio_config::Fault) -> String {
    match fault {
        alluxio_config::Fault::BadValue { key, expected, .. } => {
            format!("{key}: expected {expected}")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::tests::{dataset, names, secret};

    fn only(spec: &DatasetSpec, secrets: &Secrets) -> Result<Wanted, BadMount> {
        wanted(&names(), spec, secrets).remove(0)
    }

    #[test]
    fn a_mount_gets_options_and_credentials() {
        let spec = dataset().spec;
        assert_eq!(secret_names(&spec), ["s3"]);
        let wanted = only(&spec, &secret("7", &[("access", "AK"), ("secret", "SK\n")])).unwrap();
        assert_eq!(wanted.credential_version.as_deref(), Some("7"));
        assert_eq!(wanted.spec.path, "/datasets/team/images");
        let options = wanted.spec.options.reveal();
        assert_eq!(options["s3a.accessKeyId"], "AK");
        assert_eq!(options["s3a.secretKey"], "SK", "what editors add is no part of a key");
        assert_eq!(options["alluxio.underfs.s3.endpoint"], "http://minio:9000");
        assert_eq!(options["alluxio.underfs.s3.disable.dns.buckets"], "true");
    }

    #[test]
    fn a_mounts_own_options_win_under_any_name() {
        let mut spec = dataset().spec;
        spec.mounts[0].s3 = None;
        spec.shared_options.insert("alluxio.underfs.s3.region".into(), "a".into());
        spec.mounts[0].options.insert("alluxio.underfs.s3a.region".into(), "b".into());
        let wanted = only(&spec, &secret("7", &[("access", "AK"), ("secret", "SK")])).unwrap();
        assert_eq!(wanted.spec.options.plain["alluxio.underfs.s3.region"], "b");
    }

    #[test]
    fn what_is_wrong_with_a_secret_is_told_without_its_values() {
        let spec = dataset().spec;
        let gone = only(&spec, &[("s3".to_owned(), None)].into()).unwrap_err();
        assert_eq!(
            (gone.reason, gone.message.as_str()),
            (Reason::NotFound, "Secret s3 does not exist")
        );
        let lacking = only(&spec, &secret("7", &[("access", "canary-1")])).unwrap_err();
        assert_eq!(lacking.reason, Reason::SecretInvalid);
        assert_eq!(lacking.message, "Secret s3 has no key secret");
        let mut all = spec;
        all.mounts[0].credentials.as_mut().unwrap().secret_ref.keys.clear();
        let pairs =
            [("alluxio.underfs.s3.disable.dns.buckets", "canary-2"), ("s3a.secretKey", "k")];
        let wrong = only(&all, &secret("7", &pairs)).unwrap_err();
        assert!(wrong.message.contains("disable.dns.buckets"), "{}", wrong.message);
        assert!(!wrong.message.contains("canary"), "{}", wrong.message);
    }

    #[test]
    fn a_wrong_option_of_the_object_is_named() {
        let mut spec = dataset().spec;
        spec.mounts[0].options.insert("alluxio.underfs.s3.endpont".into(), "x".into());
        let wrong = only(&spec, &secret("7", &[("access", "AK"), ("secret", "SK")])).unwrap_err();
        assert_eq!(wrong.reason, Reason::Invalid);
        assert!(wrong.message.contains("alluxio.underfs.s3.endpoint"), "{}", wrong.message);
    }
}
