//! What is told in which situation.

use super::*;
use crate::dataset::mounts::MountFact;
use crate::dataset::tests::{dataset, place};
use alluxio_operator_api::dataset::DatasetPhase;
use alluxio_operator_api::dataset::status::VolumeStatus;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn mount(mounted: bool, problem: Option<(Reason, &str)>) -> MountFact {
    MountFact {
        name: "data".into(),
        path: "/datasets/team/images".into(),
        mounted,
        problem: problem.map(|(reason, text)| (reason, text.to_owned())),
        credential_version: mounted.then(|| "7".to_owned()),
        changed: false,
    }
}

fn facts(mounts: Vec<MountFact>) -> Facts {
    Facts {
        place: place(),
        mounts: MountFacts { mounts, new_files: false },
        source_there: None,
        metadata: Metadata::NotWanted,
        volume: VolumeFact {
            status: VolumeStatus { phase: Some("Bound".into()), ..VolumeStatus::default() },
            problem: None,
        },
        usage: Some(Usage { files: 3, bytes: 1000, cached_bytes: 999 }),
        pods: Vec::new(),
        references: Vec::new(),
        pin_problem: None,
    }
}

fn is(status: &DatasetStatus, condition: C) -> (ConditionStatus, &str) {
    let found = status.conditions.iter().find(|known| known.type_ == condition.name()).unwrap();
    (status_of(&status.conditions, condition), found.reason.as_str())
}

#[test]
fn a_good_one_is_ready_and_repeating_it_changes_nothing() {
    let mut dataset = dataset();
    let good = facts(vec![mount(true, None)]);
    let first = bound(&dataset, &good, at(10));
    assert_eq!(first.phase, Some(DatasetPhase::Ready), "{:?}", first.conditions);
    assert_eq!(first.path.as_deref(), Some("/datasets/team/images"));
    assert_eq!(first.cache.as_ref().unwrap().percent.as_deref(), Some("99%"));
    assert_eq!(first.mounts[0].credential_time, Some(Time(at(10))));
    let told: Vec<&str> = transitions(None, &first).iter().map(|(_, reason, _)| *reason).collect();
    assert_eq!(told, ["Mounted", "Ready"]);
    dataset.status = Some(first.clone());
    assert_eq!(bound(&dataset, &good, at(99)), first);
    // Numbers that nobody counted again stay.
    let uncounted = Facts { usage: None, ..facts(vec![mount(true, None)]) };
    assert_eq!(bound(&dataset, &uncounted, at(99)), first);
    // A rotation is an event, and moves the time.
    let mut rotated = mount(true, None);
    rotated.credential_version = Some("8".into());
    let second = bound(&dataset, &facts(vec![rotated]), at(50));
    assert_eq!(second.mounts[0].credential_time, Some(Time(at(50))));
    assert!(transitions(Some(&first), &second).iter().any(|event| event.1 == "CredentialsRotated"));
}

#[test]
fn failures_are_told_where_they_belong() {
    use ConditionStatus::{False, True, Unknown};
    let dataset = dataset();
    let of = |mounted, reason| {
        let why = "the store says no";
        bound(&dataset, &facts(vec![mount(mounted, Some((reason, why)))]), at(1))
    };
    let rejected = of(false, Reason::CredentialsRejected);
    assert_eq!(is(&rejected, C::CredentialsReady), (False, "CredentialsRejected"));
    assert_eq!(is(&rejected, C::Mounted), (False, "CredentialsRejected"));
    assert_eq!(rejected.phase, Some(DatasetPhase::Failed));
    assert_eq!(rejected.mounts[0].phase, MountPhase::Failed);
    let gone = of(false, Reason::NotFound);
    assert_eq!(is(&gone, C::ResolvedRefs), (False, "NotFound"));
    assert_eq!(gone.phase, Some(DatasetPhase::Pending));
    let waits = of(false, Reason::Waiting);
    assert_eq!(is(&waits, C::Mounted), (Unknown, "Waiting"));
    assert_eq!(waits.phase, Some(DatasetPhase::Binding));
    // New credentials that the store refuses: the old ones go on, and it is told.
    let stale = of(true, Reason::CredentialsRejected);
    assert_eq!(is(&stale, C::Mounted), (True, "AsWanted"));
    assert_eq!(is(&stale, C::Degraded), (True, "CredentialsRejected"));
    assert_eq!(stale.phase, Some(DatasetPhase::Degraded));
    // A cluster that does not answer takes nothing away from who reads.
    let unseen = of(true, Reason::Unreachable);
    assert_eq!(is(&unseen, C::Degraded), (False, "AsWanted"));
    assert_eq!(unseen.phase, Some(DatasetPhase::Updating));
    assert_eq!(is(&unseen, C::Ready).0, False);
}

#[test]
fn one_of_two_mounts_is_degraded() {
    let mut other = mount(false, Some((Reason::MountFailed, "no such bucket")));
    other.name = "other".into();
    let told = bound(&dataset(), &facts(vec![mount(true, None), other]), at(1));
    assert_eq!(told.phase, Some(DatasetPhase::Degraded));
    assert_eq!(is(&told, C::Mounted).1, "MountFailed");
    let found = told.conditions.iter().find(|known| known.type_ == "Degraded").unwrap();
    assert_eq!(found.message, "mount other: no such bucket");
}

#[test]
fn a_source_is_waited_for() {
    let mut dataset = dataset();
    dataset.spec.mounts.clear();
    let with = |mounted, there| {
        let mut facts = facts(Vec::new());
        facts.place.source_mounted = Some(mounted);
        facts.source_there = there;
        bound(&dataset, &facts, at(1))
    };
    assert_eq!(is(&with(false, None), C::Mounted), (ConditionStatus::Unknown, "Waiting"));
    assert_eq!(is(&with(true, Some(false)), C::Mounted), (ConditionStatus::False, "NotFound"));
    assert_eq!(with(true, Some(true)).phase, Some(DatasetPhase::Ready));
}

#[test]
fn what_is_nowhere_keeps_what_it_had() {
    let mut dataset = dataset();
    let ready = bound(&dataset, &facts(vec![mount(true, None)]), at(1));
    dataset.status = Some(ready);
    let why = Unresolved {
        condition: C::Accepted,
        reason: Reason::NotAllowed,
        message: "the cluster does not take it".into(),
    };
    let told = refused(&dataset, &why, at(2));
    assert_eq!(is(&told, C::Mounted).0, ConditionStatus::True);
    assert_eq!(is(&told, C::Ready), (ConditionStatus::False, "NotAllowed"));
    assert_eq!(told.mounts.len(), 1);
}

#[test]
fn a_deletion_says_what_it_waits_for() {
    let mut dataset = dataset();
    dataset.metadata.deletion_timestamp = Some(Time(at(1)));
    let pods = ["train-0".to_owned()];
    let blocked = Some((Reason::InUse, "pods use the volume: train-0".to_owned()));
    let told = deleting(&dataset, blocked, Some(&pods), &[], at(2));
    assert_eq!(told.phase, Some(DatasetPhase::Deleting));
    assert_eq!(is(&told, C::DeletionBlocked), (ConditionStatus::True, "InUse"));
    assert_eq!(told.used_by.clone().unwrap().examples, pods);
    assert!(transitions(None, &told).iter().any(|event| event.1 == "DeletionBlocked"));
}

#[test]
fn only_all_of_it_is_all() {
    let cases = [(0, 0, "100%"), (1, 3, "33%"), (999, 1000, "99%"), (5, 5, "100%"), (9, 5, "100%")];
    for (part, whole, text) in cases {
        assert_eq!(percent(part, whole), text);
    }
    assert_eq!(percent(u64::MAX - 1, u64::MAX), "99%");
}
