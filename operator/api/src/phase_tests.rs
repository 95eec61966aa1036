//! What tests of phases have in common.

use crate::condition::{ConditionStatus, ConditionType, Finding, Reason, record};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// `Ready=True Degraded=False`, as conditions.
pub(crate) fn conditions(words: &str) -> Vec<Condition> {
    let one = |word: &str| {
        let (type_, status) = word.split_once('=').unwrap();
        assert!(ConditionStatus::from_name(status).is_some(), "{word}");
        Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: Reason::AsWanted.name().to_owned(),
            message: String::new(),
            observed_generation: Some(1),
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        }
    };
    words.split_whitespace().map(one).collect()
}

/// Calls with every combination of status of these conditions.
pub(crate) fn every<T: ConditionType>(types: &[T], mut check: impl FnMut(Vec<Condition>)) {
    let statuses = ConditionStatus::ALL;
    for mut number in 0..statuses.len().pow(types.len() as u32) {
        let mut conditions = Vec::new();
        for condition in types {
            let status = statuses[number % statuses.len()];
            number /= statuses.len();
            let finding = Finding {
                condition: *condition,
                status,
                reason: Reason::AsWanted,
                message: String::new(),
            };
            record(&mut conditions, &finding, 1, Timestamp::UNIX_EPOCH);
        }
        check(conditions);
    }
}
