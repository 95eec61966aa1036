//! What happens to an operation next. Pure: what is on its way, and the time, are arguments.

use super::runner::Look;
use alluxio_operator_api::condition::{ConditionStatus, Reason, status_of};
use alluxio_operator_api::operation::{OperationCondition as C, OperationSettings, RunStatus};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::time::{Duration, Instant};

/// Shortest and longest pause before another try.
const RETRY: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(360));

/// What is known of an operation.
pub struct Situation<'a> {
    /// What can be said of every operation.
    pub settings: &'a OperationSettings,
    /// What was told last.
    pub run: &'a RunStatus,
    /// Whether what it refers to is ready, and otherwise why not.
    pub subject: Result<(), (Reason, String)>,
    /// The work, if this operator has begun it.
    pub look: Option<&'a Look>,
    /// When.
    pub now: Timestamp,
    /// The same, by the clock of the work.
    pub instant: Instant,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It was finished before.
    Finished,
    /// It pauses: its work ends.
    Suspend,
    /// It waits for what it refers to.
    Wait(Reason, String),
    /// Work begins; which try it is, from 1.
    Begin(i32),
    /// Work goes on.
    Follow,
    /// The next try begins after a pause; what ended the last one.
    Retry(Duration, String),
    /// All of it was done.
    Complete,
    /// It is given up.
    GiveUp(Reason, String),
}

/// Whether an operation ended, well or not.
pub fn is_finished(run: &RunStatus) -> bool {
    succeeded(run) || status_of(&run.conditions, C::Failed) == ConditionStatus::True
}

/// Whether it ended well.
pub fn succeeded(run: &RunStatus) -> bool {
    status_of(&run.conditions, C::Complete) == ConditionStatus::True
}

/// Decides.
pub fn decide(situation: &Situation<'_>) -> Step {
    let Situation { settings, run, now, .. } = situation;
    if is_finished(run) {
        return Step::Finished;
    }
    if settings.suspend {
        return Step::Suspend;
    }
    // What was done before the deadline was looked at is done.
    if let Some(Look::Ended { report, outcome: Ok(()), .. }) = situation.look
        && report.failure_count == 0
    {
        return Step::Complete;
    }
    let was_suspended = status_of(&run.conditions, C::Suspended) == ConditionStatus::True;
    if let Some(deadline) = &settings.active_deadline
        && let Some(started) = &run.start_time
        && !was_suspended
        && late(started.0, deadline.duration().ok(), *now)
    {
        return Step::GiveUp(Reason::DeadlineExceeded, format!("it took longer than {deadline}"));
    }
    let tried = run.attempts.unwrap_or(0);
    match situation.look {
        Some(Look::Running(_)) => Step::Follow,
        Some(Look::Ended { at, report, outcome }) => {
            let (counts, why) = match outcome {
                // A cluster that cannot be reached is waited for, however long.
                Err(error) => (!error.unreachable(), error.message.clone()),
                Ok(()) => (true, partly(report.failure_count, &report.failures)),
            };
            after_failure(situation, *at, tried, counts, why)
        }
        None => match &situation.subject {
            Err((reason, why)) => Step::Wait(*reason, why.clone()),
            // The work of an operator that is gone: that it goes on is no new try.
            Ok(()) if status_of(&run.conditions, C::Running) == ConditionStatus::True => {
                Step::Begin(tried.max(1))
            }
            Ok(()) if was_suspended => Step::Begin(tried.max(1)),
            Ok(()) => Step::Begin(tried.saturating_add(1)),
        },
    }
}

fn partly(count: u64, failures: &[(String, String)]) -> String {
    match failures.first() {
        Some((path, why)) => format!("{count} files failed; the first is {path}: {why}"),
        None => format!("{count} files failed"),
    }
}

fn after_failure(
    situation: &Situation<'_>,
    ended: Instant,
    tried: i32,
    counts: bool,
    why: String,
) -> Step {
    if counts && tried > situation.settings.backoff_limit {
        return Step::GiveUp(Reason::BackoffLimitExceeded, format!("after {tried} tries: {why}"));
    }
    let pause = retry_pause(tried);
    let waited = situation.instant.saturating_duration_since(ended);
    if waited < pause {
        return Step::Retry(pause - waited, why);
    }
    match &situation.subject {
        Err((reason, why)) => Step::Wait(*reason, why.clone()),
        Ok(()) => Step::Begin(if counts { tried.saturating_add(1) } else { tried.max(1) }),
    }
}

/// The pause after try number `tried`, from 1.
fn retry_pause(tried: i32) -> Duration {
    let doublings = u32::try_from(tried.saturating_sub(1)).unwrap_or(0).min(10);
    RETRY.0.saturating_mul(1 << doublings).min(RETRY.1)
}

fn late(since: Timestamp, span: Option<Duration>, now: Timestamp) -> bool {
    left(since, span, now).is_some_and(|left| left.is_zero())
}

/// How much of a span is left; `None` where there is none.
pub fn left(since: Timestamp, span: Option<Duration>, now: Timestamp) -> Option<Duration> {
    let span = SignedDuration::try_from(span?).ok()?;
    let left = span - now.duration_since(since);
    Some(Duration::try_from(left).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::admin::Refused;
    use crate::operation::runner::Report;
    use alluxio_operator_api::Period;
    use alluxio_operator_api::condition::{Finding, record};
    use alluxio_types::Code;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn with(conditions: &[C], attempts: i32) -> RunStatus {
        let mut run = RunStatus { attempts: Some(attempts), ..RunStatus::default() };
        for condition in conditions {
            record(&mut run.conditions, &Finding::yes(*condition, Reason::AsWanted, ""), 1, at(0));
        }
        run
    }

    fn ended(at: Instant, outcome: Result<(), Refused>, failures: u64) -> Look {
        Look::Ended { at, report: Report { failure_count: failures, ..Report::default() }, outcome }
    }

    fn refused(code: Code) -> Result<(), Refused> {
        Err(Refused { code, message: "no".into() })
    }

    struct Case {
        settings: OperationSettings,
        run: RunStatus,
        subject: Result<(), (Reason, String)>,
        look: Option<Look>,
        waited: u64,
        ended: Instant,
    }

    impl Case {
        fn new(run: RunStatus, look: Option<fn(Instant) -> Look>) -> Case {
            let ended = Instant::now();
            let settings = OperationSettings { backoff_limit: 2, ..OperationSettings::default() };
            Case {
                settings,
                run,
                subject: Ok(()),
                look: look.map(|look| look(ended)),
                waited: 0,
                ended,
            }
        }

        fn step(&self) -> Step {
            decide(&Situation {
                settings: &self.settings,
                run: &self.run,
                subject: self.subject.clone(),
                look: self.look.as_ref(),
                now: at(1000),
                instant: self.ended + Duration::from_secs(self.waited),
            })
        }
    }

    const NONE: Option<fn(Instant) -> Look> = None;

    #[test]
    fn a_new_one_begins_or_waits() {
        let mut case = Case::new(RunStatus::default(), NONE);
        assert_eq!(case.step(), Step::Begin(1));
        case.subject = Err((Reason::NotFound, "there is no Dataset".into()));
        assert_eq!(case.step(), Step::Wait(Reason::NotFound, "there is no Dataset".into()));
        case.settings.suspend = true;
        assert_eq!(case.step(), Step::Suspend);
    }

    #[test]
    fn after_a_restart_of_the_operator_the_same_try_goes_on() {
        assert_eq!(Case::new(with(&[C::Running], 2), NONE).step(), Step::Begin(2));
        assert_eq!(Case::new(with(&[C::Suspended], 2), NONE).step(), Step::Begin(2));
    }

    #[test]
    fn failures_are_tried_again_up_to_the_limit() {
        let failed: fn(Instant) -> Look = |at| ended(at, refused(Code::NotFound), 0);
        let mut case = Case::new(with(&[C::Running], 1), Some(failed));
        assert_eq!(case.step(), Step::Retry(Duration::from_secs(10), "no".into()));
        case.waited = 10;
        assert_eq!(case.step(), Step::Begin(2));
        case.run.attempts = Some(3);
        let Step::GiveUp(reason, why) = case.step() else { panic!("{:?}", case.step()) };
        assert_eq!((reason, why.as_str()), (Reason::BackoffLimitExceeded, "after 3 tries: no"));
    }

    #[test]
    fn a_cluster_that_is_away_costs_no_try() {
        let away: fn(Instant) -> Look = |at| ended(at, refused(Code::Unavailable), 0);
        let mut case = Case::new(with(&[C::Running], 3), Some(away));
        case.waited = 1000;
        assert_eq!(case.step(), Step::Begin(3));
    }

    #[test]
    fn files_that_failed_are_a_failure() {
        let partly: fn(Instant) -> Look = |at| ended(at, Ok(()), 5);
        let case = Case::new(with(&[C::Running], 1), Some(partly));
        assert!(matches!(case.step(), Step::Retry(_, why) if why.contains("5 files failed")));
        let good: fn(Instant) -> Look = |at| ended(at, Ok(()), 0);
        assert_eq!(Case::new(with(&[C::Running], 1), Some(good)).step(), Step::Complete);
    }

    #[test]
    fn a_deadline_ends_it_unless_it_was_done() {
        let running: fn(Instant) -> Look = |_| Look::Running(Report::default());
        let mut case = Case::new(with(&[C::Running], 1), Some(running));
        case.settings.active_deadline = Some(Period::new("10m"));
        case.run.start_time = Some(Time(at(401)));
        assert_eq!(case.step(), Step::Follow);
        case.run.start_time = Some(Time(at(400)));
        assert!(matches!(case.step(), Step::GiveUp(Reason::DeadlineExceeded, _)));
        case.look = Some(ended(case.ended, Ok(()), 0));
        assert_eq!(case.step(), Step::Complete);
    }

    proptest! {
        /// What is finished stays finished, and nobody works on what is suspended.
        #[test]
        fn ends_are_ends(complete in any::<bool>(), attempts in 0..200i32, suspend in any::<bool>(), seen in 0..3u8) {
            let end = if complete { C::Complete } else { C::Failed };
            let look = match seen {
                0 => None,
                1 => Some(Look::Running(Report::default())),
                _ => Some(ended(Instant::now(), refused(Code::Internal), 0)),
            };
            let mut case = Case::new(with(&[end, C::Running], attempts), NONE);
            case.settings.suspend = suspend;
            case.look = look.clone();
            prop_assert_eq!(case.step(), Step::Finished);
            let mut open = Case::new(with(&[C::Running], attempts), NONE);
            open.look = look;
            open.settings.suspend = true;
            prop_assert_eq!(open.step(), Step::Suspend);
        }

        #[test]
        fn pauses_grow_to_a_bound(tried in any::<i32>()) {
            prop_assert!(retry_pause(tried) >= RETRY.0 && retry_pause(tried) <= RETRY.1);
            prop_assert!(retry_pause(tried) <= retry_pause(tried.saturating_add(1)));
        }
    }
}
