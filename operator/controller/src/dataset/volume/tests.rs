//! What a volume looks like, and when it is replaced.

use super::*;
use crate::dataset::tests::{dataset, names, place};

fn object(resource: &ApiResource, value: serde_json::Value) -> DynamicObject {
    let mut object: DynamicObject = serde_json::from_value(value).unwrap();
    object.types = Some(kube::core::TypeMeta {
        api_version: resource.api_version.clone(),
        kind: resource.kind.clone(),
    });
    object
}

/// Both as they are once Kubernetes has bound them.
fn bound() -> Live {
    let (volumes, claims) = resources();
    let spec = dataset().spec;
    let mut volume = volume(&names(), &spec, &place()).unwrap().body().clone();
    volume["status"] = json!({"phase": "Bound"});
    let mut claim = claim(&names(), &spec, &place(), None).unwrap().body().clone();
    claim["status"] = json!({"phase": "Bound"});
    Live { volume: Some(object(&volumes, volume)), claim: Some(object(&claims, claim)) }
}

#[test]
fn a_volume_says_what_the_driver_needs() {
    let spec = dataset().spec;
    let volume = volume(&names(), &spec, &place()).unwrap();
    let body = volume.body();
    assert_eq!(volume.key().to_string(), "PersistentVolume alluxio-team-images-5a1e0000");
    assert_eq!(body["spec"]["csi"]["volumeHandle"], format!("ds.0f8fad5b.{}", names().uid));
    let attributes = &body["spec"]["csi"]["volumeAttributes"];
    assert_eq!(attributes["path"], "/datasets/team/images");
    assert_eq!(attributes["clusterUID"], "0f8fad5b-d9cb-469f-a165-70867728950e");
    assert_eq!(body["spec"]["claimRef"]["name"], "images");
    assert_eq!(body["spec"]["persistentVolumeReclaimPolicy"], "Retain");
    assert!(body["metadata"].get("ownerReferences").is_none(), "a claim's namespace cannot own it");
    let claim = claim(&names(), &spec, &place(), None).unwrap();
    assert_eq!(claim.body()["spec"]["storageClassName"], "", "or the default class takes it");
    assert_eq!(claim.body()["metadata"]["ownerReferences"][0]["kind"], "Dataset");
}

#[test]
fn what_may_change_stands_in_mount_options() {
    let mut spec = dataset().spec;
    spec.volume.mount_options = vec!["attr_timeout=5".into(), "rw".into()];
    assert_eq!(
        mount_options(&spec),
        [
            "alluxio.user.file.metadata.sync.interval=60000ms",
            "alluxio.user.file.readtype.default=CACHE_PROMOTE",
            "alluxio.user.file.writetype.default=CACHE_THROUGH",
            "attr_timeout=5",
            "rw",
            "ro",
        ]
    );
    spec.consistency.mode = ConsistencyMode::Never;
    spec.write_mode = WriteMode::CacheOnly;
    spec.access_modes = vec![AccessMode::ReadWriteMany];
    let options = mount_options(&spec);
    assert!(options.contains(&"alluxio.user.file.metadata.sync.interval=-1".to_owned()));
    assert!(options.contains(&"alluxio.user.file.writetype.default=MUST_CACHE".to_owned()));
    assert!(!options.contains(&"ro".to_owned()));
    // The names and values are those that a client takes.
    for option in &options[..3] {
        let (key, value) = option.split_once('=').unwrap();
        let master = ("alluxio.master.hostname".to_owned(), "master".to_owned());
        let config = alluxio_config::Config::of([master, (key.to_owned(), value.to_owned())]);
        let config = config.unwrap();
        config.client().unwrap();
    }
}

#[test]
fn only_what_is_in_nobodys_way_is_changed() {
    let (names, spec) = (names(), dataset().spec);
    assert_eq!(step(&names, &spec, &Live::default()), Step::Apply);
    assert_eq!(step(&names, &spec, &bound()), Step::Apply);
    let mut none = spec.clone();
    none.volume.create = false;
    assert_eq!(step(&names, &none, &bound()), Step::Remove);

    let mut foreign = bound();
    foreign.claim.as_mut().unwrap().metadata.owner_references = None;
    assert!(matches!(step(&names, &spec, &foreign), Step::Blocked(Reason::Conflict, _)));
    let mut foreign = bound();
    foreign.volume.as_mut().unwrap().metadata.labels = None;
    assert!(matches!(step(&names, &spec, &foreign), Step::Blocked(Reason::Conflict, _)));

    let mut writers = spec.clone();
    writers.access_modes = vec![AccessMode::ReadWriteMany];
    assert!(matches!(step(&names, &writers, &bound()), Step::Blocked(Reason::InUse, _)));
    let mut pending = bound();
    pending.claim.as_mut().unwrap().data["status"]["phase"] = "Pending".into();
    assert_eq!(step(&names, &writers, &pending), Step::ReplaceClaim);

    let mut left = bound();
    left.claim = None;
    left.volume.as_mut().unwrap().data["status"]["phase"] = "Released".into();
    assert_eq!(step(&names, &spec, &left), Step::ReplaceVolume);
}

#[test]
fn a_claim_keeps_what_cannot_change() {
    let mut spec = dataset().spec;
    let live = bound();
    spec.volume.capacity = Size::new("2Pi");
    let kept = claim(&names(), &spec, &place(), live.claim.as_ref()).unwrap();
    assert_eq!(kept.body()["spec"]["resources"]["requests"]["storage"], "1Pi");
    assert_eq!(
        volume(&names(), &spec, &place()).unwrap().body()["spec"]["capacity"]["storage"],
        "2Pi"
    );
}
