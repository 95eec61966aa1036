//! A Dataset in one word, made of its conditions alone. Nobody decides anything by it.

use super::status::DatasetCondition as C;
use crate::closed::words;
use crate::condition::{ConditionStatus, status_of};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

words! {
    /// A Dataset in one word.
    DatasetPhase {
        /// It waits: for its cluster, for leave to use it, for a Secret.
        Pending,
        /// It is being mounted.
        Binding,
        /// All is as wanted.
        Ready,
        /// It can be read, and is being changed.
        Updating,
        /// Some of it cannot be read.
        Degraded,
        /// None of it can be read, because of what the object or a Secret says.
        Failed,
        /// It is being deleted.
        Deleting,
    }
}

/// The first line that fits.
pub fn dataset_phase(deleting: bool, conditions: &[Condition]) -> DatasetPhase {
    let is = |condition: C| status_of(conditions, condition);
    let holds = |condition: C| is(condition) == ConditionStatus::True;
    let fails = |condition: C| is(condition) == ConditionStatus::False;
    if deleting {
        DatasetPhase::Deleting
    } else if holds(C::Ready) {
        DatasetPhase::Ready
    } else if holds(C::Degraded) {
        DatasetPhase::Degraded
    } else if holds(C::Mounted) {
        DatasetPhase::Updating
    } else if !holds(C::Accepted) || !holds(C::ResolvedRefs) {
        DatasetPhase::Pending
    } else if fails(C::CredentialsReady) || fails(C::Mounted) {
        DatasetPhase::Failed
    } else {
        DatasetPhase::Binding
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase_tests::{conditions, every};
    use std::collections::BTreeSet;

    #[test]
    fn the_first_line_that_fits_is_the_phase() {
        let cases: &[(bool, &str, DatasetPhase)] = &[
            (false, "", DatasetPhase::Pending),
            (false, "Accepted=False", DatasetPhase::Pending),
            (false, "Accepted=True ResolvedRefs=False", DatasetPhase::Pending),
            (false, "Accepted=True ResolvedRefs=True", DatasetPhase::Binding),
            (false, "Accepted=True ResolvedRefs=True Mounted=Unknown", DatasetPhase::Binding),
            (false, "Accepted=True ResolvedRefs=True Mounted=False", DatasetPhase::Failed),
            (false, "Accepted=True ResolvedRefs=True CredentialsReady=False", DatasetPhase::Failed),
            (false, "Accepted=True ResolvedRefs=True Mounted=True", DatasetPhase::Updating),
            (false, "Accepted=True Mounted=True ResolvedRefs=False", DatasetPhase::Updating),
            (false, "Mounted=False Degraded=True", DatasetPhase::Degraded),
            (false, "Mounted=True Ready=True", DatasetPhase::Ready),
            (true, "Mounted=True Ready=True", DatasetPhase::Deleting),
        ];
        for (deleting, given, phase) in cases {
            assert_eq!(dataset_phase(*deleting, &conditions(given)), *phase, "{given:?}");
        }
    }

    #[test]
    fn every_phase_can_be_reached_and_order_does_not_matter() {
        let mut seen = BTreeSet::new();
        every(
            &[C::Ready, C::Degraded, C::Mounted, C::Accepted, C::ResolvedRefs, C::CredentialsReady],
            |mut conditions| {
                for deleting in [false, true] {
                    let phase = dataset_phase(deleting, &conditions);
                    conditions.reverse();
                    assert_eq!(dataset_phase(deleting, &conditions), phase);
                    seen.insert(phase);
                }
            },
        );
        assert_eq!(seen.len(), DatasetPhase::ALL.len(), "{seen:?}");
    }
}
