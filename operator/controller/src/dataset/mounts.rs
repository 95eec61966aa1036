//! Brings the mount table of a cluster nearer to what a Dataset wants, step by step.

use super::DatasetContext;
use super::admin::{MountRow, Refused};
use super::names::{self, Names};
use super::options::{BadMount, Wanted};
use super::plan::{MountPlan, plan};
use super::resolve::Place;
use alluxio_operator_api::condition::Reason;
use alluxio_operator_api::dataset::status::MountPhase;
use alluxio_operator_api::{Dataset, DatasetSpec};
use alluxio_types::Code;
use std::collections::BTreeMap;

/// A mount, after what could be done was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountFact {
    /// Its name in the Dataset.
    pub name: String,
    /// Where it is, or shall be.
    pub path: String,
    /// Whether the master shows it.
    pub mounted: bool,
    /// Why it is not as wanted.
    pub problem: Option<(Reason, String)>,
    /// Version of the Secret whose credentials the master has.
    pub credential_version: Option<String>,
    /// Whether it was made or changed in this walk.
    pub changed: bool,
}

/// What came of a walk over the mounts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountFacts {
    /// One for each mount of the specification, in its order.
    pub mounts: Vec<MountFact>,
    /// Whether files may have appeared that nobody has read the names of.
    pub new_files: bool,
}

impl MountFacts {
    /// Whether the master shows all mounts.
    pub fn all_mounted(&self) -> bool {
        self.mounts.iter().all(|mount| mount.mounted)
    }

    /// Whether something is not as wanted.
    pub fn troubled(&self) -> bool {
        self.mounts.iter().any(|mount| mount.problem.is_some())
    }
}

/// When the masters cannot be asked: what was known last.
pub fn unseen(dataset: &Dataset, names: &Names, reason: Reason, why: &str) -> MountFacts {
    let known = dataset.status.as_ref().map(|status| status.mounts.as_slice()).unwrap_or_default();
    let mounts = dataset.spec.mounts.iter().map(|mount| {
        let before = known.iter().find(|before| before.name == mount.name);
        MountFact {
            name: mount.name.clone(),
            path: names::below(&names.directory(), mount.path()),
            mounted: before.is_some_and(|before| before.phase == MountPhase::Mounted),
            problem: Some((reason, why.to_owned())),
            credential_version: before.and_then(|before| before.credential_version.clone()),
            changed: false,
        }
    });
    MountFacts { mounts: mounts.collect(), new_files: false }
}

/// One walk over the mounts.
pub async fn reconcile(
    dataset: &Dataset,
    names: &Names,
    place: &Place,
    described: Vec<Result<Wanted, BadMount>>,
    context: &DatasetContext,
) -> MountFacts {
    if !place.serves {
        return unseen(dataset, names, Reason::Waiting, "no master of the cluster serves");
    }
    let table = match context.admin.mounts(&place.target, &names.directory()).await {
        Ok(table) => table,
        Err(error) => return unseen(dataset, names, reason(&error), &error.message),
    };
    let (wanted, bad) = split(described);
    // What cannot be described stays as it is.
    let spared = spared_paths(&dataset.spec, names, &bad);
    let rows: Vec<MountRow> =
        table.iter().filter(|row| !spared.contains(&row.path)).cloned().collect();
    let known = known_versions(dataset);
    let generation = dataset.status.as_ref().and_then(|status| status.observed_generation);
    let again = generation != dataset.metadata.generation;
    let plan = plan(&wanted, &rows, &names.uid, &known, again);
    let mut failed = carry_out(&plan, &wanted, names, place, context).await;
    for (index, text) in &plan.conflicts {
        failed.insert(*index, (Reason::Conflict, text.clone()));
    }
    let facts = dataset.spec.mounts.iter().map(|mount| {
        let path = names::below(&names.directory(), mount.path());
        let there = table.iter().any(|row| row.path == path);
        let index = wanted.iter().position(|one| one.name == mount.name);
        match index {
            Some(index) => fact_of(&wanted[index], index, there, &plan, &failed, &known),
            None => MountFact {
                mounted: there,
                problem: bad
                    .iter()
                    .find(|bad| bad.name == mount.name)
                    .map(|bad| (bad.reason, bad.message.clone())),
                credential_version: known.get(&mount.name).filter(|_| there).cloned(),
                changed: false,
                name: mount.name.clone(),
                path,
            },
        }
    });
    MountFacts { mounts: facts.collect(), new_files: !plan.mount.is_empty() }
}

fn split(described: Vec<Result<Wanted, BadMount>>) -> (Vec<Wanted>, Vec<BadMount>) {
    let (mut wanted, mut bad) = (Vec::new(), Vec::new());
    for one in described {
        match one {
            Ok(one) => wanted.push(one),
            Err(one) => bad.push(one),
        }
    }
    (wanted, bad)
}

fn spared_paths(spec: &DatasetSpec, names: &Names, bad: &[BadMount]) -> Vec<String> {
    let mounts = spec.mounts.iter().filter(|mount| bad.iter().any(|bad| bad.name == mount.name));
    mounts.map(|mount| names::below(&names.directory(), mount.path())).collect()
}

/// Versions of credentials that the master has, by names of mounts.
fn known_versions(dataset: &Dataset) -> BTreeMap<String, String> {
    let mounts = dataset.status.iter().flat_map(|status| &status.mounts);
    mounts
        .filter_map(|mount| Some((mount.name.clone(), mount.credential_version.clone()?)))
        .collect()
}

fn fact_of(
    one: &Wanted,
    index: usize,
    there: bool,
    plan: &MountPlan,
    failed: &BTreeMap<usize, (Reason, String)>,
    known: &BTreeMap<String, String>,
) -> MountFact {
    let problem = failed.get(&index).cloned();
    let conflict = plan.conflicts.contains_key(&index);
    let made = plan.mount.contains(&index);
    let changed = made || plan.update.contains(&index);
    let old = known.get(&one.name).cloned();
    MountFact {
        name: one.name.clone(),
        path: one.spec.path.clone(),
        mounted: !conflict && if made { problem.is_none() } else { there },
        credential_version: match (&problem, conflict) {
            (_, true) => None,
            (None, _) => one.credential_version.clone(),
            (Some(_), _) => old.filter(|_| !made),
        },
        changed: changed && problem.is_none(),
        problem,
    }
}

/// Carries the plan out; what failed, by index of what is wanted. One mount that fails does not hold up the others.
async fn carry_out(
    plan: &MountPlan,
    wanted: &[Wanted],
    names: &Names,
    place: &Place,
    context: &DatasetContext,
) -> BTreeMap<usize, (Reason, String)> {
    let (admin, target) = (&context.admin, &place.target);
    let mut failed = BTreeMap::new();
    for path in &plan.unmount {
        match admin.unmount(target, path).await {
            Ok(()) => {
                tracing::info!(dataset = %names.dataset, namespace = %names.namespace, path, "unmounted")
            }
            Err(error) => {
                let index = wanted.iter().position(|one| one.spec.path == *path);
                let text = format!("{path} cannot be unmounted: {error}");
                tracing::warn!(dataset = %names.dataset, namespace = %names.namespace, "{text}");
                failed.extend(index.map(|index| (index, (reason(&error), text))));
            }
        }
    }
    for index in plan.mount.iter().chain(&plan.update).copied() {
        let one = &wanted[index];
        if failed.contains_key(&index) {
            continue;
        }
        let done = match plan.mount.contains(&index) {
            true => admin.mount(target, &names.uid, &one.spec).await,
            false => admin.update(target, &names.uid, &one.spec).await,
        };
        let path = &one.spec.path;
        match done {
            Ok(()) => {
                tracing::info!(dataset = %names.dataset, namespace = %names.namespace, path, "mounted")
            }
            Err(error) => {
                let text = one.spec.options.scrub(&error.message);
                tracing::warn!(dataset = %names.dataset, namespace = %names.namespace, path, "not mounted: {text}");
                failed.insert(index, (reason(&error), text));
            }
        }
    }
    failed
}

/// A refusal of the master as a reason of ours.
pub fn reason(error: &Refused) -> Reason {
    match error.code {
        _ if error.unreachable() => Reason::Unreachable,
        Code::PermissionDenied | Code::Unauthenticated => Reason::CredentialsRejected,
        _ => Reason::MountFailed,
    }
}

/// Removes what was mounted, the deepest first, and the directory; for a Dataset that goes.
///
/// **Errors**: the first refusal; a second try goes on with what is left.
pub async fn remove_all(
    names: &Names,
    place: &Place,
    context: &DatasetContext,
) -> Result<(), Refused> {
    let directory = names.directory();
    let mut rows = context.admin.mounts(&place.target, &directory).await?;
    rows.retain(|row| row.owner.is_some());
    rows.sort_by_key(|row| std::cmp::Reverse(row.path.len()));
    for row in rows {
        context.admin.unmount(&place.target, &row.path).await?;
    }
    context.admin.remove_directory(&place.target, &directory).await
}
