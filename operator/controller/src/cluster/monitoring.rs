//! Whether Prometheus' operator is told of a cluster: its kinds are those of somebody else, and may be missing.

use super::build::monitoring::{is_wanted, kinds};
use crate::apply::Observed;
use alluxio_operator_api::AlluxioClusterStatus;
use alluxio_operator_api::cluster::{AlluxioClusterSpec, ClusterCondition as C};
use alluxio_operator_api::condition::{Finding, Reason};

/// Whether the API server has to be asked for objects of these kinds: somebody wants them, or did before, and they have
/// to go.
pub fn concern(spec: &AlluxioClusterSpec, status: Option<&AlluxioClusterStatus>) -> bool {
    is_wanted(spec) || status.and_then(known).is_some_and(|reason| reason != OFF.name())
}

/// The reason while nobody asks for it, and nothing is left.
const OFF: Reason = Reason::Disabled;

/// Why the condition stood as it did; `None` when nobody ever asked for it.
fn known(status: &AlluxioClusterStatus) -> Option<&str> {
    let mut conditions = status.conditions.iter();
    let found = conditions.find(|condition| condition.type_ == C::Monitored.name())?;
    Some(&found.reason)
}

/// The condition, where it concerns anybody.
pub fn finding(
    spec: &AlluxioClusterSpec,
    before: &AlluxioClusterStatus,
    observed: &Observed,
) -> Option<Finding<C>> {
    let kinds = kinds();
    if !is_wanted(spec) {
        known(before)?;
        let mut left = kinds.iter().flat_map(|kind| observed.of_kind(&kind.kind));
        return Some(match left.next() {
            // Asked for again until all are gone.
            Some(_) => Finding::yes(C::Monitored, Reason::Updating, "objects are being removed"),
            None => Finding::no(C::Monitored, OFF, "spec.metrics asks for nothing"),
        });
    }
    let (forbidden, missing): (Vec<&str>, Vec<&str>) = kinds
        .iter()
        .map(|kind| kind.kind.as_str())
        .filter(|kind| !observed.knows(kind))
        .partition(|kind| observed.is_forbidden(kind));
    Some(match (forbidden.is_empty(), missing.is_empty()) {
        (true, true) => Finding::yes(C::Monitored, Reason::AsWanted, ""),
        (false, _) => Finding::no(
            C::Monitored,
            Reason::NotAllowed,
            format!(
                "the operator may not see any {}: its roles are older than it; bring the chart up to date, or switch \
                 spec.metrics.serviceMonitor and prometheusRule off",
                forbidden.join(", ")
            ),
        ),
        (true, false) => Finding::no(
            C::Monitored,
            Reason::NotFound,
            format!(
                "this Kubernetes has no {}: install Prometheus' operator (monitoring.coreos.com/v1), and they are \
                 made within a minute; or switch spec.metrics.serviceMonitor and prometheusRule off",
                missing.join(", ")
            ),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::tests::sample;
    use alluxio_operator_api::condition::record;
    use k8s_openapi::jiff::Timestamp;

    fn tell(status: &mut AlluxioClusterStatus, found: Option<Finding<C>>) {
        if let Some(found) = found {
            record(&mut status.conditions, &found, 1, Timestamp::UNIX_EPOCH);
        }
    }

    #[test]
    fn the_api_server_is_asked_only_while_it_concerns_somebody() {
        let mut spec = sample().spec;
        let mut status = AlluxioClusterStatus::default();
        let observed = Observed::default();
        assert!(!concern(&spec, Some(&status)));
        assert_eq!(finding(&spec, &status, &observed), None);
        spec.metrics.prometheus_rule.enabled = true;
        assert!(concern(&spec, None));
        let found = finding(&spec, &status, &observed);
        assert_eq!(found.as_ref().map(|found| found.status.name()), Some("True"));
        tell(&mut status, found);
        // Switched off: looked for until nothing is left.
        spec.metrics.prometheus_rule.enabled = false;
        assert!(concern(&spec, Some(&status)));
        let found = finding(&spec, &status, &observed);
        tell(&mut status, found);
        assert!(!concern(&spec, Some(&status)));
        assert_eq!(status.conditions[0].reason, "Disabled");
    }
}
