//! Conditions: what is true of an object, and why. A list by type, as in Kubernetes' own objects, so that
//! `kubectl wait --for=condition=Ready` works on every kind.
//!
//! Types and reasons are closed sets. Messages are for people, and never hold what stands in a Secret.

use crate::closed::words;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// The name of a type of condition of one kind.
pub trait ConditionType: Copy {
    /// As it stands in the object.
    fn type_name(self) -> &'static str;
}

words! {
    /// Whether a condition holds.
    ConditionStatus {
        /// It holds.
        True,
        /// It does not.
        False,
        /// Nobody can tell now, or nobody has looked yet.
        Unknown,
    }
}

words! {
    /// Why a condition is as it is.
    Reason {
        /// All is as wanted.
        AsWanted,
        /// Nobody has looked yet.
        NotChecked,
        /// What is said of the object is contradictory, or refused by the program that should obey it.
        Invalid,
        /// A property that the operator sets itself, or that no role knows.
        PropertyRefused,
        /// Kubernetes refuses the pods with what `podOverrides` makes of them.
        PodOverrideRejected,
        /// Two objects want the same name, directory, port or socket.
        Conflict,
        /// Kubernetes refuses an object of ours.
        ApplyRejected,
        /// Objects are being made for the first time.
        Creating,
        /// Objects are being changed.
        Updating,
        /// Pods of one version are being replaced by those of another.
        Upgrading,
        /// An upgrade is not one that is known to work.
        VersionRefused,
        /// Pods that were replaced did not become ready in time.
        RolloutStuck,
        /// An image cannot be fetched.
        ImagePull,
        /// A container ends again and again.
        CrashLoop,
        /// No node takes a pod.
        Unschedulable,
        /// A claim is not bound to a volume.
        VolumePending,
        /// Pods are not ready.
        PodsNotReady,
        /// No nodes match.
        NoNodes,
        /// Less than half of etcd's members answer, or none.
        NoQuorum,
        /// No master serves.
        NoPrimary,
        /// Something did not answer.
        Unreachable,
        /// It is switched off.
        Disabled,
        /// Reconciling was paused by the user.
        Paused,
        /// The pods were stopped by the user.
        Stopped,
        /// What is referred to does not exist.
        NotFound,
        /// What is referred to does not let this namespace use it.
        NotAllowed,
        /// A Secret lacks a key, or has one that is no option.
        SecretInvalid,
        /// The store says no to the credentials.
        CredentialsRejected,
        /// The master could not mount a store.
        MountFailed,
        /// Something before this is not ready.
        Waiting,
        /// Pods use the volume.
        InUse,
        /// Datasets are bound to the cluster.
        DatasetsExist,
        /// Other Datasets show this one.
        ReferencesExist,
        /// Files are in no under store yet.
        NotPersisted,
        /// Cleaning up took too long and was given up.
        TimedOut,
        /// It is at work.
        Running,
        /// It was done.
        Completed,
        /// Some of it was done, some failed.
        PartlyFailed,
        /// It was tried as often as allowed.
        BackoffLimitExceeded,
        /// It took longer than allowed.
        DeadlineExceeded,
        /// The next run is in the future.
        Scheduled,
        /// It was suspended by the user.
        Suspended,
    }
}

/// What is found out about one condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding<T> {
    /// Which condition.
    pub condition: T,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why.
    pub reason: Reason,
    /// For people; may be empty.
    pub message: String,
}

impl<T: ConditionType> Finding<T> {
    /// It holds.
    pub fn yes(condition: T, reason: Reason, message: impl Into<String>) -> Self {
        Finding { condition, status: ConditionStatus::True, reason, message: message.into() }
    }

    /// It does not hold.
    pub fn no(condition: T, reason: Reason, message: impl Into<String>) -> Self {
        Finding { condition, status: ConditionStatus::False, reason, message: message.into() }
    }

    /// Nobody can tell.
    pub fn unknown(condition: T, reason: Reason, message: impl Into<String>) -> Self {
        Finding { condition, status: ConditionStatus::Unknown, reason, message: message.into() }
    }
}

/// Longest message, in bytes: Kubernetes' own limit.
const MESSAGE_BYTES_MAX: usize = 32 * 1024;

/// Writes a finding into the list. The time of transition moves only when the status changes, and the list
/// stays in the order of first appearance, so a repeated finding changes nothing.
///
/// Returns whether the status changed, which is when an event is due.
pub fn record<T: ConditionType>(
    conditions: &mut Vec<Condition>,
    finding: &Finding<T>,
    generation: i64,
    now: Timestamp,
) -> bool {
    let type_ = finding.condition.type_name();
    let fresh = Condition {
        type_: type_.to_owned(),
        status: finding.status.name().to_owned(),
        reason: finding.reason.name().to_owned(),
        message: shortened(&finding.message),
        observed_generation: Some(generation),
        last_transition_time: Time(now),
    };
    match conditions.iter_mut().find(|condition| condition.type_ == type_) {
        Some(known) if known.status == fresh.status => {
            let last_transition_time = known.last_transition_time.clone();
            *known = Condition { last_transition_time, ..fresh };
            false
        }
        Some(known) => {
            *known = fresh;
            true
        }
        None => {
            conditions.push(fresh);
            true
        }
    }
}

/// How a condition stands; one that is not in the list is unknown.
pub fn status_of<T: ConditionType>(conditions: &[Condition], condition: T) -> ConditionStatus {
    conditions
        .iter()
        .find(|known| known.type_ == condition.type_name())
        .and_then(|known| ConditionStatus::from_name(&known.status))
        .unwrap_or(ConditionStatus::Unknown)
}

fn shortened(message: &str) -> String {
    let mut end = message.len().min(MESSAGE_BYTES_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ClusterCondition;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn the_time_of_transition_moves_with_the_status_only() {
        let mut conditions = Vec::new();
        let waiting = Finding::no(ClusterCondition::Ready, Reason::Creating, "0 of 3 masters");
        assert!(record(&mut conditions, &waiting, 1, at(10)));
        let closer = Finding::no(ClusterCondition::Ready, Reason::PodsNotReady, "2 of 3 masters");
        assert!(!record(&mut conditions, &closer, 2, at(20)));
        assert_eq!(conditions[0].last_transition_time, Time(at(10)));
        assert_eq!(conditions[0].reason, "PodsNotReady");
        assert_eq!(conditions[0].observed_generation, Some(2));
        let before = conditions.clone();
        assert!(!record(&mut conditions, &closer, 2, at(30)));
        assert_eq!(conditions, before, "a finding that is repeated changes nothing");
        let ready = Finding::yes(ClusterCondition::Ready, Reason::AsWanted, "");
        assert!(record(&mut conditions, &ready, 2, at(40)));
        assert_eq!(conditions[0].last_transition_time, Time(at(40)));
        assert_eq!(conditions.len(), 1);
    }

    #[test]
    fn what_nobody_recorded_is_unknown() {
        assert_eq!(status_of(&[], ClusterCondition::Ready), ConditionStatus::Unknown);
    }

    #[test]
    fn a_message_is_cut_between_letters() {
        let mut conditions = Vec::new();
        let long = "ä".repeat(MESSAGE_BYTES_MAX);
        let finding = Finding::no(ClusterCondition::Ready, Reason::Invalid, format!("x{long}"));
        record(&mut conditions, &finding, 1, at(0));
        assert!(conditions[0].message.len() <= MESSAGE_BYTES_MAX);
        assert!(conditions[0].message.ends_with('ä'));
    }

    #[test]
    fn reasons_have_the_shape_that_kubernetes_wants() {
        for reason in Reason::ALL {
            let name = reason.name();
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric()), "{name}");
            assert!(name.starts_with(|c: char| c.is_ascii_uppercase()), "{name}");
            assert_eq!(Reason::from_name(name), Some(*reason));
        }
    }
}
