//! An operation in one word, made of its conditions alone. Nobody decides anything by it.

use super::OperationCondition as C;
use crate::closed::words;
use crate::condition::{ConditionStatus, status_of};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

words! {
    /// An operation in one word.
    OperationPhase {
        /// It waits for what it refers to.
        Pending,
        /// It waits for the next time of its schedule.
        Scheduled,
        /// It is at work.
        Running,
        /// It was suspended.
        Suspended,
        /// All of it was done.
        Succeeded,
        /// It was given up.
        Failed,
        /// It is being deleted.
        Deleting,
    }
}

/// The first line that fits.
pub fn operation_phase(deleting: bool, conditions: &[Condition]) -> OperationPhase {
    let holds = |condition: C| status_of(conditions, condition) == ConditionStatus::True;
    if deleting {
        OperationPhase::Deleting
    } else if holds(C::Failed) {
        OperationPhase::Failed
    } else if holds(C::Complete) {
        OperationPhase::Succeeded
    } else if holds(C::Suspended) {
        OperationPhase::Suspended
    } else if holds(C::Running) {
        OperationPhase::Running
    } else if holds(C::Scheduled) {
        OperationPhase::Scheduled
    } else {
        OperationPhase::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase_tests::{conditions, every};
    use std::collections::BTreeSet;

    #[test]
    fn the_first_line_that_fits_is_the_phase() {
        let cases: &[(bool, &str, OperationPhase)] = &[
            (false, "", OperationPhase::Pending),
            (false, "Accepted=True", OperationPhase::Pending),
            (false, "Accepted=True Running=True", OperationPhase::Running),
            (false, "Scheduled=True", OperationPhase::Scheduled),
            (false, "Scheduled=True Suspended=True", OperationPhase::Suspended),
            (false, "Running=True Suspended=True", OperationPhase::Suspended),
            (false, "Running=False Complete=True Suspended=True", OperationPhase::Succeeded),
            (false, "Complete=False Failed=True", OperationPhase::Failed),
            (true, "Complete=True", OperationPhase::Deleting),
        ];
        for (deleting, given, phase) in cases {
            assert_eq!(operation_phase(*deleting, &conditions(given)), *phase, "{given:?}");
        }
    }

    #[test]
    fn every_phase_can_be_reached_and_order_does_not_matter() {
        let mut seen = BTreeSet::new();
        every(C::ALL, |mut conditions| {
            for deleting in [false, true] {
                let phase = operation_phase(deleting, &conditions);
                conditions.reverse();
                assert_eq!(operation_phase(deleting, &conditions), phase);
                seen.insert(phase);
            }
        });
        assert_eq!(seen.len(), OperationPhase::ALL.len(), "{seen:?}");
    }
}
