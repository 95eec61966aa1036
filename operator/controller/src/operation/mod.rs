//! The controllers of `DataLoad`, `DataEvict` and `MetadataBackup`: one, for three kinds.
//!
//! [`reconcile`] is the walk: it looks at what the operation refers to and at its work ([`runner`]), decides
//! ([`decide`], pure), begins or ends work ([`work`]), and tells ([`status`], pure). An operation with a schedule only
//! makes others ([`scheduled`]).

pub mod decide;
pub mod kinds;
pub mod runner;
pub mod schedule;
pub mod scheduled;
pub mod status;
pub mod work;

use crate::dataset::admin::DatasetAdmin;
use crate::dataset::{DatasetContext, resolve};
use crate::error::{Error, Failures};
use crate::events::Events;
use crate::metrics::OperatorMetrics;
use alluxio_operator_api::condition::{ConditionStatus, Reason, status_of};
use alluxio_operator_api::dataset::DatasetCondition;
use alluxio_operator_api::operation::RunStatus;
use decide::{Situation, Step, decide};
use k8s_openapi::jiff::Timestamp;
use kinds::Operation;
use kube::ResourceExt;
use kube::api::{DeleteParams, Preconditions};
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use runner::{Busy, Look, Report, Runner};
use std::sync::Arc;
use std::time::{Duration, Instant};
use work::{Site, Work, carry_out};

/// How soon work that is on its way is looked at again, and its progress told.
const PROGRESS: Duration = Duration::from_secs(5);
/// How soon one that waits.
const WAITING: Duration = Duration::from_secs(10);

/// What the controllers work with.
pub struct OperationContext {
    /// What they have in common with the controller of Datasets: client, stores, masters.
    pub datasets: Arc<DatasetContext>,
    /// Tells users.
    pub events: Events,
    /// Counts.
    pub metrics: OperatorMetrics,
    /// Failures in a row, by UID.
    pub failures: Failures,
}

impl OperationContext {
    fn runner(&self) -> &Runner {
        &self.datasets.runner
    }

    fn admin(&self) -> Arc<dyn DatasetAdmin> {
        self.datasets.admin.clone()
    }
}

/// One walk.
///
/// **Errors**: those of the API server; the caller tries again later.
pub async fn reconcile<K: Operation>(
    operation: Arc<DeserializeGuard<K>>,
    context: Arc<OperationContext>,
) -> Result<Action, Error> {
    let started = Instant::now();
    let operation = match &operation.0 {
        Ok(operation) => operation.clone(),
        Err(error) => {
            tracing::warn!(%error, kind = %K::kind(&()), "an operation cannot be read");
            return Ok(Action::await_change());
        }
    };
    let outcome = Box::pin(walk(&operation, &context)).await;
    context.metrics.reconciled(K::CONTROLLER, outcome.is_ok(), started.elapsed());
    if outcome.is_ok() {
        context.failures.forget(operation.meta().uid.as_deref());
    }
    outcome
}

/// When a failed walk is tried again.
pub fn on_error<K: Operation>(
    operation: Arc<DeserializeGuard<K>>,
    error: &Error,
    context: Arc<OperationContext>,
) -> Action {
    let pause = context.failures.pause(&operation.uid().unwrap_or_default());
    tracing::warn!(%error, kind = %K::kind(&()), name = operation.name_any(), ?pause, "a reconcile failed");
    Action::requeue(pause)
}

async fn walk<K: Operation>(operation: &K, context: &OperationContext) -> Result<Action, Error> {
    let uid = operation.uid().ok_or(Error::NotStored("uid"))?;
    let key = format!("{}/{uid}", K::CONTROLLER);
    if operation.meta().deletion_timestamp.is_some() {
        context.runner().stop(&key);
        return Ok(Action::await_change());
    }
    if let Some(schedule) = &operation.settings().schedule {
        return scheduled::walk(operation, schedule, context).await;
    }
    context.datasets.stores.ready().await;
    let (now, work, before) = (Timestamp::now(), operation.work(), operation.run());
    let site = site(&work, &operation.namespace().unwrap_or_default(), context);
    let look = context.runner().look(&key);
    let step = decide(&Situation {
        settings: operation.settings(),
        run: &before,
        subject: site.as_ref().map(drop).map_err(Clone::clone),
        look: look.as_ref(),
        now,
        instant: Instant::now(),
    });
    let mut waits = None;
    match &step {
        Step::Finished | Step::Suspend => context.runner().stop(&key),
        Step::Begin(_) => {
            context.runner().stop(&key);
            if let Ok(site) = site {
                waits = begin(&key, work, site, context);
            }
        }
        _ => {}
    }
    let report = look.map(|look| match look {
        Look::Running(report) | Look::Ended { report, .. } => report,
    });
    let run = status::after_step(&before, operation.meta(), &step, waits, now);
    tell(operation, run, report.as_ref(), context).await?;
    match step {
        // Only now: what came of it is told.
        Step::Complete | Step::GiveUp(..) => {
            context.runner().stop(&key);
            recount(operation, context);
            Ok(Action::requeue(PROGRESS))
        }
        Step::Finished => expire(operation, &before, context, now).await,
        Step::Suspend => Ok(Action::await_change()),
        Step::Retry(wait, _) => Ok(Action::requeue(wait.min(WAITING))),
        Step::Wait(..) => Ok(Action::requeue(WAITING)),
        Step::Begin(_) | Step::Follow => Ok(Action::requeue(PROGRESS)),
    }
}

/// Begins work; why it waits.
fn begin(key: &str, work: Work, site: Site, context: &OperationContext) -> Option<String> {
    let (admin, lane) = (context.admin(), site.lane.clone());
    let started =
        context.runner().start(key, &lane, |sink| Box::pin(carry_out(work, site, admin, sink)));
    match started {
        Ok(()) => None,
        Err(Busy::Lane(_)) => Some("another operation on the same data is at work".to_owned()),
        Err(Busy::Full) => {
            Some("many operations are at work; it begins when one has ended".to_owned())
        }
    }
}

/// Where work is done, or what it waits for.
fn site(
    work: &Work,
    namespace: &str,
    context: &OperationContext,
) -> Result<Site, (Reason, String)> {
    let stores = &context.datasets.stores;
    let wait = |text: String| (Reason::Waiting, text);
    let serving = |here: &str, name: &str| {
        let cluster = stores.cluster(here, name).ok_or_else(|| {
            (Reason::NotFound, format!("there is no AlluxioCluster {here}/{name}"))
        })?;
        if !resolve::serves(&cluster) {
            return Err(wait(format!("no master of AlluxioCluster {here}/{name} serves")));
        }
        let target = context.datasets.target(&cluster).map_err(wait)?;
        Ok((cluster.uid().unwrap_or_default(), target))
    };
    let (Work::Load { dataset: name, .. } | Work::Evict { dataset: name, .. }) = work else {
        let Work::Backup { cluster, .. } = work else {
            return Err(wait("it is of a kind that nobody does".to_owned()));
        };
        let (uid, target) = serving(namespace, cluster)?;
        return Ok(Site { target, directory: String::new(), lane: format!("backup/{uid}") });
    };
    let Some(dataset) = stores.dataset(namespace, name) else {
        return Err((Reason::NotFound, format!("there is no Dataset {name} in this namespace")));
    };
    if dataset.metadata.deletion_timestamp.is_some() {
        return Err(wait(format!("Dataset {name} is being deleted")));
    }
    let status = dataset.status.unwrap_or_default();
    let mounted = status_of(&status.conditions, DatasetCondition::Mounted) == ConditionStatus::True;
    let (Some(cluster), Some(directory), true) = (status.cluster, status.path, mounted) else {
        return Err(wait(format!("Dataset {name} is not mounted yet")));
    };
    let (_, target) = serving(cluster.namespace_or(namespace), &cluster.name)?;
    // Datasets that show the same directory share its cache.
    let lane = format!("data/{}/{directory}", target.properties);
    Ok(Site { target, directory, lane })
}

/// What was loaded or evicted shows in the numbers of its Dataset soon.
fn recount<K: Operation>(operation: &K, context: &OperationContext) {
    if let Work::Load { dataset, .. } | Work::Evict { dataset, .. } = operation.work() {
        let namespace = operation.namespace().unwrap_or_default();
        let found = context.datasets.stores.dataset(&namespace, &dataset);
        if let Some(uid) = found.and_then(|found| found.uid()) {
            context.datasets.memory.count_again(&uid);
        }
    }
}

/// Deletes a finished operation when its time is over.
async fn expire<K: Operation>(
    operation: &K,
    run: &RunStatus,
    context: &OperationContext,
    now: Timestamp,
) -> Result<Action, Error> {
    let ttl = operation.settings().ttl_after_finished.as_ref().and_then(|ttl| ttl.duration().ok());
    let ended = run.completion_time.as_ref().map_or(now, |time| time.0);
    match decide::left(ended, ttl, now) {
        None => Ok(Action::await_change()),
        Some(left) if !left.is_zero() => Ok(Action::requeue(left)),
        Some(_) => {
            delete(operation, context).await?;
            Ok(Action::await_change())
        }
    }
}

/// Deletes exactly this object.
async fn delete<K: Operation>(operation: &K, context: &OperationContext) -> Result<(), Error> {
    let params = DeleteParams {
        preconditions: Some(Preconditions { uid: operation.uid(), resource_version: None }),
        ..DeleteParams::background()
    };
    let name = operation.name_any();
    match context.datasets.applier.beside(operation).delete(&name, &params).await {
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        Err(error) => Err(Error::kubernetes(format!("delete {} {name}", K::kind(&())))(error)),
        Ok(_) => {
            context.metrics.wrote(&K::kind(&()), "delete");
            Ok(())
        }
    }
}

/// Writes the status if it changed, and an event where something began or ended.
async fn tell<K: Operation>(
    operation: &K,
    run: RunStatus,
    report: Option<&Report>,
    context: &OperationContext,
) -> Result<(), Error> {
    let before = operation.run();
    let events = status::transitions(&before, &run);
    let status = operation.told(run, report);
    if operation.status() == Some(&status) {
        return Ok(());
    }
    let reference = operation.object_ref(&());
    for (warning, reason, note) in events {
        context.events.tell(&reference, warning, reason, &note).await;
    }
    context.datasets.applier.named(K::MANAGER).tell_status(operation, &status).await
}
