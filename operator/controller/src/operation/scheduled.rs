//! An operation with a schedule: it makes runs, each an object of its own, and removes old ones. Decisions are pure.

use super::decide::{is_finished, succeeded};
use super::kinds::Operation;
use super::schedule::{Times, run_name};
use super::status::record_all;
use super::{OperationContext, delete, tell};
use crate::error::Error;
use alluxio_operator_api::condition::{Finding, Reason};
use alluxio_operator_api::operation::{OperationCondition as C, RunStatus, Schedule};
use alluxio_operator_api::reference::LocalRef;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{ListParams, PostParams};
use kube::runtime::controller::Action;
use serde_json::{Value, json};
use std::time::Duration;

/// Label of a run: the UID of the operation that made it.
pub const SCHEDULE_UID: &str = "alluxio.dev/schedule-uid";
/// Longest pause until a schedule is looked at again.
const LATER: Duration = Duration::from_secs(60);

/// A run, as far as its schedule needs it.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// How it goes.
    pub status: RunStatus,
}

/// What a schedule does next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The time of a run that begins.
    pub begin: Option<Timestamp>,
    /// The run that is not finished.
    pub active: Option<String>,
    /// Runs that go.
    pub remove: Vec<String>,
    /// The time after `now` at which the next one begins.
    pub next: Option<Timestamp>,
}

/// Decides. `runs` may be in any order.
pub fn plan(
    schedule: &Schedule,
    times: &Times,
    since: Timestamp,
    last: Option<Timestamp>,
    runs: &[Run],
    suspended: bool,
    now: Timestamp,
) -> Plan {
    let active = runs.iter().find(|run| !is_finished(&run.status)).map(|run| run.name.clone());
    // Times while a run was on its way are left out. One that was missed otherwise is made up for.
    let ended = runs.iter().filter_map(|run| Some(run.status.completion_time.as_ref()?.0)).max();
    let after = [Some(since), last, ended].into_iter().flatten().max().unwrap_or(since);
    let begin = (active.is_none() && !suspended).then(|| times.due(after, now)).flatten();
    let keep = |limit: i32| usize::try_from(limit).unwrap_or(0);
    let mut remove = Vec::new();
    let limits = [
        (true, keep(schedule.successful_history_limit)),
        (false, keep(schedule.failed_history_limit)),
    ];
    for (well, limit) in limits {
        let mut ended: Vec<&Run> = runs
            .iter()
            .filter(|run| is_finished(&run.status) && succeeded(&run.status) == well)
            .collect();
        ended.sort_by_key(|run| std::cmp::Reverse((run.created, run.name.clone())));
        remove.extend(ended.into_iter().skip(limit).map(|run| run.name.clone()));
    }
    Plan { begin, active, remove, next: times.next(now) }
}

/// One walk of an operation with a schedule.
pub(super) async fn walk<K: Operation>(
    operation: &K,
    schedule: &Schedule,
    context: &OperationContext,
) -> Result<Action, Error> {
    let now = Timestamp::now();
    let mut run = operation.run();
    let meta = operation.meta();
    let times = match Times::parse(schedule) {
        Ok(times) => times,
        Err(why) => {
            let findings = [
                Finding::no(C::Accepted, Reason::Invalid, why.clone()),
                Finding::no(C::Scheduled, Reason::Invalid, why),
            ];
            record_all(&mut run, meta, &findings, now);
            tell(operation, run, None, context).await?;
            return Ok(Action::await_change());
        }
    };
    let uid = operation.uid().ok_or(Error::NotStored("uid"))?;
    let objects = runs::<K>(operation, &uid, context).await?;
    let seen: Vec<Run> = objects
        .iter()
        .map(|object| Run {
            name: object.name_any(),
            created: object.meta().creation_timestamp.as_ref().map(|time| time.0),
            status: object.run(),
        })
        .collect();
    let suspended = operation.settings().suspend;
    let created = meta.creation_timestamp.as_ref().map_or(now, |time| time.0);
    let last = run.last_schedule_time.as_ref().map(|time| time.0);
    let plan = plan(schedule, &times, created, last, &seen, suspended, now);
    for object in objects.iter().filter(|object| plan.remove.contains(&object.name_any())) {
        delete(object, context).await?;
    }
    let mut active = plan.active.clone();
    if let Some(at) = plan.begin {
        let name = run_name(&operation.name_any(), at);
        begin(operation, &name, &uid, context).await?;
        run.last_schedule_time = Some(Time(at));
        active = Some(name);
    }
    told(&mut run, meta, &plan, active, &seen, suspended, now);
    tell(operation, run, None, context).await?;
    let wait = plan.next.map(|next| next.duration_since(now).unsigned_abs());
    let wait = wait.unwrap_or(LATER).clamp(Duration::from_millis(200), LATER);
    Ok(Action::requeue(wait))
}

async fn runs<K: Operation>(
    operation: &K,
    uid: &str,
    context: &OperationContext,
) -> Result<Vec<K>, Error> {
    let params = ListParams::default().labels(&format!("{SCHEDULE_UID}={uid}"));
    let listed = context.datasets.applier.beside(operation).list(&params).await;
    Ok(listed.map_err(Error::kubernetes("list runs of a schedule"))?.items)
}

/// Makes a run. Whoever made it before made the same.
async fn begin<K: Operation>(
    operation: &K,
    name: &str,
    uid: &str,
    context: &OperationContext,
) -> Result<(), Error> {
    let what = || format!("create {} {name}", K::kind(&()));
    let unwritable = |source| Error::Unwritable { what: what(), source };
    let child: K = serde_json::from_value(child(operation, name, uid).map_err(unwritable)?)
        .map_err(unwritable)?;
    match context.datasets.applier.beside(operation).create(&PostParams::default(), &child).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(Error::kubernetes(what())(error)),
        Ok(_) => {
            context.metrics.wrote(&K::kind(&()), "create");
            Ok(())
        }
    }
}

/// The same operation, once.
fn child<K: Operation>(operation: &K, name: &str, uid: &str) -> Result<Value, serde_json::Error> {
    let mut spec = serde_json::to_value(operation)?["spec"].take();
    if let Some(fields) = spec.as_object_mut() {
        fields.remove("schedule");
        fields.remove("suspend");
    }
    let meta = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: operation.namespace(),
        labels: Some([(SCHEDULE_UID.to_owned(), uid.to_owned())].into()),
        owner_references: operation.controller_owner_ref(&()).map(|owner| vec![owner]),
        ..ObjectMeta::default()
    };
    Ok(json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": meta,
        "spec": spec,
    }))
}

fn told(
    run: &mut RunStatus,
    meta: &ObjectMeta,
    plan: &Plan,
    active: Option<String>,
    seen: &[Run],
    suspended: bool,
    now: Timestamp,
) {
    run.next_schedule_time = plan.next.filter(|_| !suspended).map(Time);
    let good = seen.iter().filter(|run| succeeded(&run.status));
    let last = good.filter_map(|run| run.status.completion_time.clone()).max_by_key(|time| time.0);
    if last.is_some() {
        run.last_successful_time = last;
    }
    let works = match &active {
        Some(name) => Finding::yes(C::Running, Reason::Running, format!("run {name}")),
        None => Finding::no(C::Running, Reason::Scheduled, ""),
    };
    run.active = active.map(|name| LocalRef { name });
    let scheduled = match (suspended, plan.next) {
        (true, _) => Finding::no(C::Scheduled, Reason::Suspended, "spec.suspend is true"),
        (false, Some(_)) => Finding::yes(C::Scheduled, Reason::Scheduled, ""),
        (false, None) => {
            Finding::no(C::Scheduled, Reason::Invalid, "spec.schedule.cron has no time that comes")
        }
    };
    let pauses = match suspended {
        true => Finding::yes(C::Suspended, Reason::Suspended, "spec.suspend is true"),
        false => Finding::no(C::Suspended, Reason::AsWanted, ""),
    };
    let accepted = Finding::yes(C::Accepted, Reason::AsWanted, "");
    record_all(run, meta, &[accepted, scheduled, works, pauses], now);
}

#[cfg(test)]
mod tests {
    use super::*;
    use alluxio_operator_api::DataLoad;
    use alluxio_operator_api::condition::record;
    use proptest::prelude::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(minutes * 60).unwrap()
    }

    fn hourly() -> (Schedule, Times) {
        let schedule = Schedule {
            cron: "@hourly".into(),
            successful_history_limit: 2,
            failed_history_limit: 1,
        };
        let times = Times::parse(&schedule).unwrap();
        (schedule, times)
    }

    fn run(minute: i64, end: Option<(C, i64)>) -> Run {
        let mut status = RunStatus::default();
        if let Some((condition, ended)) = end {
            let finding = Finding::yes(condition, Reason::Completed, "");
            record(&mut status.conditions, &finding, 1, at(ended));
            status.completion_time = Some(Time(at(ended)));
        }
        Run { name: format!("r-{minute}"), created: Some(at(minute)), status }
    }

    fn of(last: Option<i64>, runs: &[Run], suspended: bool, now: i64) -> Plan {
        let (schedule, times) = hourly();
        plan(&schedule, &times, at(5), last.map(at), runs, suspended, at(now))
    }

    #[test]
    fn runs_begin_when_it_is_time() {
        assert_eq!(
            of(None, &[], false, 59).begin,
            None,
            "not before the first time after it was made"
        );
        let first = of(None, &[], false, 60);
        assert_eq!((first.begin, first.next), (Some(at(60)), Some(at(120))));
        assert_eq!(of(Some(60), &[], false, 61).begin, None);
        assert_eq!(of(Some(60), &[], true, 121).begin, None);
        assert_eq!(
            of(Some(60), &[], false, 500).begin,
            Some(at(480)),
            "one for all that were missed"
        );
    }

    #[test]
    fn a_time_during_a_run_is_left_out() {
        let busy = of(Some(60), &[run(60, None)], false, 125);
        assert_eq!((busy.begin, busy.active.as_deref()), (None, Some("r-60")));
        let done = of(Some(60), &[run(60, Some((C::Complete, 130)))], false, 131);
        assert_eq!(done.begin, None, "it is not made up for");
        let next = of(Some(60), &[run(60, Some((C::Complete, 130)))], false, 180);
        assert_eq!(next.begin, Some(at(180)));
    }

    #[test]
    fn old_runs_go_by_how_they_ended() {
        let runs = [
            run(60, Some((C::Complete, 61))),
            run(120, Some((C::Failed, 121))),
            run(180, Some((C::Complete, 181))),
            run(240, Some((C::Failed, 241))),
            run(300, Some((C::Complete, 301))),
            run(360, None),
        ];
        assert_eq!(of(Some(360), &runs, false, 361).remove, ["r-60", "r-120"]);
    }

    #[test]
    fn a_run_is_the_operation_without_its_schedule() {
        let load: DataLoad = serde_json::from_value(json!({
            "apiVersion": "alluxio.dev/v1alpha1", "kind": "DataLoad",
            "metadata": {"name": "nightly", "namespace": "team", "uid": "u1"},
            "spec": {
                "datasetRef": {"name": "images"}, "paths": ["/train"], "backoffLimit": 7,
                "schedule": {"cron": "@daily"}, "suspend": false,
            },
        }))
        .unwrap();
        let child: DataLoad =
            serde_json::from_value(child(&load, "nightly-1", "u1").unwrap()).unwrap();
        assert_eq!(child.spec.settings.schedule, None);
        assert_eq!(
            (child.spec.paths.as_slice(), child.spec.settings.backoff_limit),
            (&["/train".to_owned()][..], 7)
        );
        assert_eq!(child.metadata.owner_references.unwrap()[0].uid, "u1");
        assert_eq!(child.metadata.labels.unwrap()[SCHEDULE_UID], "u1");
    }

    proptest! {
        /// An operator that looks at any times begins a run for no time twice, and never two at once.
        #[test]
        fn no_time_is_used_twice(looks in prop::collection::vec((1i64..200, 1i64..90), 1..60)) {
            let (mut now, mut last, mut runs) = (5, None, Vec::<Run>::new());
            let mut begun = std::collections::BTreeSet::new();
            for (pause, takes) in looks {
                now += pause;
                for run in &mut runs {
                    let due = run.created.unwrap().as_second() / 60 + takes;
                    if !is_finished(&run.status) && due <= now {
                        *run = self::run(run.created.unwrap().as_second() / 60, Some((C::Complete, due)));
                    }
                }
                let plan = of(last, &runs, false, now);
                if let Some(begin) = plan.begin {
                    prop_assert!(runs.iter().all(|run| is_finished(&run.status)));
                    prop_assert!(begun.insert(begin));
                    last = Some(begin.as_second() / 60);
                    runs.push(run(now, None));
                }
            }
        }
    }
}
