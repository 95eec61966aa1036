//! What a user is told of an operation. Pure.

use super::decide::Step;
use super::runner::Report;
use alluxio_operator_api::condition::{ConditionStatus, Finding, Reason, record, status_of};
use alluxio_operator_api::operation::phase::operation_phase;
use alluxio_operator_api::operation::{OperationCondition as C, Progress, RunStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;

/// Numbers of a report, as the API has them.
pub fn progress(report: &Report) -> Progress {
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let left = report.bytes_total.saturating_sub(report.bytes_done);
    // Where no bytes move, as with metadata, files are what gets on.
    let percent = match report.bytes_total {
        0 => crate::dataset::status::percent(report.files_done, report.files_total),
        whole => crate::dataset::status::percent(report.bytes_done, whole),
    };
    Progress {
        files_done: number(report.files_done),
        files_total: number(report.files_total.max(report.files_done)),
        bytes_done: number(report.bytes_done),
        bytes_total: number(report.bytes_total.max(report.bytes_done)),
        percent: Some(percent),
        rate_bytes_per_second: report.rate.filter(|_| left > 0).map(number),
        eta_seconds: report
            .rate
            .filter(|rate| *rate > 0 && left > 0)
            .map(|rate| number(left / rate)),
    }
}

/// Writes findings into a run's status, and the phase that follows.
pub fn record_all(run: &mut RunStatus, meta: &ObjectMeta, findings: &[Finding<C>], now: Timestamp) {
    let generation = meta.generation.unwrap_or(0);
    run.observed_generation = meta.generation;
    for finding in findings {
        record(&mut run.conditions, finding, generation, now);
    }
    run.phase = Some(operation_phase(meta.deletion_timestamp.is_some(), &run.conditions));
}

/// What a step makes of the status. `waits` is why work that was to begin could not yet.
pub fn after_step(
    before: &RunStatus,
    meta: &ObjectMeta,
    step: &Step,
    waits: Option<String>,
    now: Timestamp,
) -> RunStatus {
    let mut run = before.clone();
    let yes = |condition, reason, text: &str| Finding::yes(condition, reason, text);
    let no = |condition, reason, text: &str| Finding::no(condition, reason, text);
    let accepted = yes(C::Accepted, Reason::AsWanted, "");
    let awake = no(C::Suspended, Reason::AsWanted, "");
    let findings = match (step, waits) {
        (Step::Finished, _) => return run,
        (Step::Suspend, _) => {
            let text = "spec.suspend is true";
            vec![
                no(C::Running, Reason::Suspended, text),
                yes(C::Suspended, Reason::Suspended, text),
            ]
        }
        (Step::Wait(reason, why), _) => {
            vec![no(C::Accepted, *reason, why), no(C::Running, Reason::Waiting, why), awake]
        }
        (Step::Begin(_), Some(why)) => {
            vec![accepted, no(C::Running, Reason::Waiting, &why), awake]
        }
        (Step::Begin(attempt), None) => {
            let suspended = status_of(&run.conditions, C::Suspended) == ConditionStatus::True;
            // A deadline does not run while nobody works.
            if run.start_time.is_none() || suspended {
                run.start_time = Some(Time(now));
            }
            run.attempts = Some(*attempt);
            vec![accepted, running(*attempt), awake]
        }
        (Step::Follow, _) => vec![accepted, running(run.attempts.unwrap_or(1)), awake],
        (Step::Retry(_, why), _) => {
            let text = format!("it is tried again; {why}");
            vec![accepted, yes(C::Running, Reason::Waiting, &text), awake]
        }
        (Step::Complete, _) => {
            run.completion_time = Some(Time(now));
            vec![
                accepted,
                no(C::Running, Reason::Completed, ""),
                awake,
                yes(C::Complete, Reason::Completed, ""),
            ]
        }
        (Step::GiveUp(reason, why), _) => {
            run.completion_time = Some(Time(now));
            vec![no(C::Running, *reason, ""), awake, yes(C::Failed, *reason, why)]
        }
    };
    record_all(&mut run, meta, &findings, now);
    run
}

fn running(attempt: i32) -> Finding<C> {
    let text = if attempt > 1 { format!("try number {attempt}") } else { String::new() };
    Finding::yes(C::Running, Reason::Running, text)
}

/// What began or ended: whether it is a warning, its reason, and what to say.
pub fn transitions(before: &RunStatus, after: &RunStatus) -> Vec<(bool, &'static str, String)> {
    let became = |condition: C, status: ConditionStatus| {
        status_of(&before.conditions, condition) != status
            && status_of(&after.conditions, condition) == status
    };
    let message = |condition: C| {
        let found = after.conditions.iter().find(|known| known.type_ == condition.name());
        found.map(|known| known.message.clone()).unwrap_or_default()
    };
    let mut all = Vec::new();
    if became(C::Accepted, ConditionStatus::False) {
        all.push((true, "NotAccepted", message(C::Accepted)));
    }
    if before.start_time.is_none() && after.start_time.is_some() {
        all.push((false, "Started", "it is at work".to_owned()));
    }
    let again = |run: &RunStatus| {
        let running = run.conditions.iter().find(|known| known.type_ == C::Running.name());
        running
            .is_some_and(|known| known.status == "True" && known.reason == Reason::Waiting.name())
    };
    if !again(before) && again(after) {
        all.push((true, "Retrying", message(C::Running)));
    }
    if became(C::Suspended, ConditionStatus::True) {
        all.push((false, "Suspended", message(C::Suspended)));
    }
    if became(C::Complete, ConditionStatus::True) {
        all.push((false, "Completed", "all of it was done".to_owned()));
    }
    if became(C::Failed, ConditionStatus::True) {
        all.push((true, "Failed", message(C::Failed)));
    }
    if before.active != after.active
        && let Some(active) = &after.active
    {
        all.push((false, "RunCreated", format!("run {} begins", active.name)));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use alluxio_operator_api::operation::OperationPhase;
    use std::time::Duration;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn step(run: &RunStatus, step: Step, now: i64) -> RunStatus {
        let meta = ObjectMeta { generation: Some(1), ..ObjectMeta::default() };
        after_step(run, &meta, &step, None, at(now))
    }

    fn reasons(before: &RunStatus, after: &RunStatus) -> Vec<&'static str> {
        transitions(before, after).into_iter().map(|(_, reason, _)| reason).collect()
    }

    #[test]
    fn a_life_is_told() {
        let none = RunStatus::default();
        let waiting = step(&none, Step::Wait(Reason::NotFound, "there is no Dataset".into()), 1);
        assert_eq!(waiting.phase, Some(OperationPhase::Pending));
        assert_eq!(reasons(&none, &waiting), ["NotAccepted"]);
        let begun = step(&waiting, Step::Begin(1), 2);
        assert_eq!((begun.phase, begun.attempts), (Some(OperationPhase::Running), Some(1)));
        assert_eq!(begun.start_time, Some(Time(at(2))));
        assert_eq!(reasons(&waiting, &begun), ["Started"]);
        assert_eq!(step(&begun, Step::Follow, 3), begun, "nothing new, nothing written");
        let failed = step(&begun, Step::Retry(Duration::from_secs(9), "no worker".into()), 4);
        assert_eq!(failed.phase, Some(OperationPhase::Running));
        assert_eq!(reasons(&begun, &failed), ["Retrying"]);
        let retried = step(&failed, Step::Begin(2), 5);
        assert_eq!((retried.attempts, retried.start_time.clone()), (Some(2), Some(Time(at(2)))));
        let suspended = step(&retried, Step::Suspend, 6);
        assert_eq!(suspended.phase, Some(OperationPhase::Suspended));
        let awake = step(&suspended, Step::Begin(2), 70);
        assert_eq!(awake.start_time, Some(Time(at(70))), "the deadline counts anew");
        let done = step(&awake, Step::Complete, 80);
        assert_eq!(done.phase, Some(OperationPhase::Succeeded));
        assert_eq!(done.completion_time, Some(Time(at(80))));
        assert_eq!(reasons(&awake, &done), ["Completed"]);
        assert_eq!(step(&done, Step::Finished, 90), done);
        let given_up = step(&awake, Step::GiveUp(Reason::DeadlineExceeded, "late".into()), 80);
        assert_eq!(given_up.phase, Some(OperationPhase::Failed));
        assert_eq!(reasons(&awake, &given_up), ["Failed"]);
    }

    #[test]
    fn numbers_are_for_people() {
        let report = Report {
            files_done: 1,
            files_total: 4,
            bytes_done: 999,
            bytes_total: 1000,
            rate: Some(10),
            ..Report::default()
        };
        let shown = progress(&report);
        assert_eq!(shown.percent.as_deref(), Some("99%"), "all is all");
        assert_eq!((shown.rate_bytes_per_second, shown.eta_seconds), (Some(10), Some(0)));
        let metadata = Report { files_done: 1, files_total: 4, ..Report::default() };
        assert_eq!(progress(&metadata).percent.as_deref(), Some("25%"));
    }
}
