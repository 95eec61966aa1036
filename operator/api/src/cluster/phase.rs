//! A cluster in one word, made of its conditions alone. Nobody decides anything by it.

use super::status::ClusterCondition as C;
use crate::closed::words;
use crate::condition::{ConditionStatus, status_of};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

words! {
    /// A cluster in one word.
    ClusterPhase {
        /// Nobody has begun to make it.
        Pending,
        /// It is being made, or made anew: nothing serves.
        Provisioning,
        /// All is as wanted.
        Ready,
        /// It serves, and is being changed.
        Updating,
        /// It serves, and its version is being changed.
        Upgrading,
        /// It serves, with less than wanted.
        Degraded,
        /// It is left as it is.
        Paused,
        /// Its pods are away.
        Stopped,
        /// What the object says cannot be done.
        Failed,
        /// It is being deleted.
        Deleting,
    }
}

/// The first line that fits.
pub fn cluster_phase(deleting: bool, conditions: &[Condition]) -> ClusterPhase {
    let is = |condition: C| status_of(conditions, condition);
    let holds = |condition: C| is(condition) == ConditionStatus::True;
    if deleting {
        ClusterPhase::Deleting
    } else if holds(C::Paused) {
        ClusterPhase::Paused
    } else if holds(C::Stopped) {
        ClusterPhase::Stopped
    } else if is(C::SpecValid) == ConditionStatus::False {
        ClusterPhase::Failed
    } else if holds(C::Upgrading) {
        ClusterPhase::Upgrading
    } else if holds(C::Ready) {
        ClusterPhase::Ready
    } else if holds(C::Available) && holds(C::Degraded) {
        ClusterPhase::Degraded
    } else if holds(C::Available) {
        ClusterPhase::Updating
    } else if is(C::CoordinationReady) == ConditionStatus::Unknown {
        ClusterPhase::Pending
    } else {
        ClusterPhase::Provisioning
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase_tests::{conditions, every};
    use std::collections::BTreeSet;

    #[test]
    fn the_first_line_that_fits_is_the_phase() {
        let coordinated = "CoordinationReady=True";
        let cases: &[(bool, &str, ClusterPhase)] = &[
            (false, "", ClusterPhase::Pending),
            (false, "SpecValid=True", ClusterPhase::Pending),
            (false, coordinated, ClusterPhase::Provisioning),
            (false, "CoordinationReady=False", ClusterPhase::Provisioning),
            (false, "Available=True", ClusterPhase::Updating),
            (false, "Available=True Degraded=True", ClusterPhase::Degraded),
            (false, "CoordinationReady=True Degraded=True", ClusterPhase::Provisioning),
            (false, "Available=True Ready=True", ClusterPhase::Ready),
            (false, "Available=True Ready=True Degraded=True", ClusterPhase::Ready),
            (false, "Available=True Ready=True Upgrading=True", ClusterPhase::Upgrading),
            (false, "Available=True SpecValid=False Upgrading=True", ClusterPhase::Failed),
            (false, "SpecValid=False Stopped=True", ClusterPhase::Stopped),
            (false, "Stopped=True Paused=True", ClusterPhase::Paused),
            (true, "Paused=True Ready=True", ClusterPhase::Deleting),
        ];
        for (deleting, given, phase) in cases {
            assert_eq!(cluster_phase(*deleting, &conditions(given)), *phase, "{given:?}");
        }
    }

    #[test]
    fn every_phase_can_be_reached_and_order_does_not_matter() {
        let relevant = [
            C::Paused,
            C::Stopped,
            C::SpecValid,
            C::Upgrading,
            C::Ready,
            C::Available,
            C::Degraded,
            C::CoordinationReady,
        ];
        let mut seen = BTreeSet::new();
        every(&relevant, |mut conditions| {
            for deleting in [false, true] {
                let phase = cluster_phase(deleting, &conditions);
                conditions.reverse();
                assert_eq!(cluster_phase(deleting, &conditions), phase);
                seen.insert(phase);
            }
        });
        assert_eq!(seen.len(), ClusterPhase::ALL.len(), "{seen:?}");
    }
}
