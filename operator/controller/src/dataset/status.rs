//! What a user is told of a Dataset: conditions, numbers, one word. Pure.

use super::admin::Usage;
use super::mounts::MountFacts;
use super::resolve::{Place, Unresolved};
use super::volume::VolumeFact;
use alluxio_operator_api::condition::{ConditionStatus, Finding, Reason, record, status_of};
use alluxio_operator_api::dataset::DatasetCondition as C;
use alluxio_operator_api::dataset::phase::dataset_phase;
use alluxio_operator_api::dataset::status::{
    CacheStatus, MountPhase, MountStatus, UfsStatus, UsedBy,
};
use alluxio_operator_api::reference::NamespacedRef;
use alluxio_operator_api::{Dataset, DatasetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

/// References and pods that are listed.
const REFERENCES_MAX: usize = 20;
const EXAMPLES_MAX: usize = 5;
/// Longest message of a mount, in bytes: a rule of the API.
const MESSAGE_MAX: usize = 1024;

/// Whether names, sizes and times are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Metadata {
    /// Nobody asked for it.
    NotWanted,
    /// All of it is.
    Complete,
    /// It is being read.
    Reading,
    /// It waits for something.
    Waiting,
    /// It could not be read, and is tried again.
    Failed(String),
}

/// What a status is made of.
pub struct Facts {
    /// Where the Dataset is.
    pub place: Place,
    /// Its mounts.
    pub mounts: MountFacts,
    /// Of a Dataset with a source: whether its directory is there; `None`: that is not known now.
    pub source_there: Option<bool>,
    /// Its metadata.
    pub metadata: Metadata,
    /// Its volume.
    pub volume: VolumeFact,
    /// Bytes and files, if they were counted.
    pub usage: Option<Usage>,
    /// Pods that use the claim.
    pub pods: Vec<String>,
    /// Datasets that have it as their source.
    pub references: Vec<NamespacedRef>,
    /// What keeps the cache from being as the policy says.
    pub pin_problem: Option<String>,
}

fn start(dataset: &Dataset) -> DatasetStatus {
    let mut status = dataset.status.clone().unwrap_or_default();
    status.observed_generation = dataset.metadata.generation;
    status
}

fn finish(
    mut status: DatasetStatus,
    dataset: &Dataset,
    findings: &[Finding<C>],
    now: Timestamp,
) -> DatasetStatus {
    let generation = dataset.metadata.generation.unwrap_or(0);
    for finding in findings {
        record(&mut status.conditions, finding, generation, now);
    }
    let deleting = dataset.metadata.deletion_timestamp.is_some();
    status.phase = Some(dataset_phase(deleting, &status.conditions));
    status
}

/// Of a Dataset whose references lead nowhere. What was mounted stays: pods may use it.
pub fn refused(dataset: &Dataset, why: &Unresolved, now: Timestamp) -> DatasetStatus {
    let refusal = Finding::no(why.condition, why.reason, why.message.clone());
    let mut findings = vec![refusal];
    match why.condition {
        C::Accepted => {
            findings.push(Finding::unknown(C::ResolvedRefs, Reason::Waiting, "see Accepted"));
        }
        _ => findings.push(Finding::yes(C::Accepted, Reason::AsWanted, "")),
    }
    findings.push(Finding::no(C::Ready, why.reason, why.message.clone()));
    finish(start(dataset), dataset, &findings, now)
}

/// Of a Dataset that is being deleted, and what that waits for.
pub fn deleting(
    dataset: &Dataset,
    blocked: Option<(Reason, String)>,
    pods: Option<&[String]>,
    references: &[NamespacedRef],
    now: Timestamp,
) -> DatasetStatus {
    let mut status = start(dataset);
    let mut findings = vec![match blocked {
        Some((reason, message)) => Finding::yes(C::DeletionBlocked, reason, message),
        None => Finding::no(C::DeletionBlocked, Reason::AsWanted, ""),
    }];
    if let Some(pods) = pods {
        findings.push(in_use(pods));
        status.used_by = used_by(pods);
    }
    status.references = references.iter().take(REFERENCES_MAX).cloned().collect();
    finish(status, dataset, &findings, now)
}

fn in_use(pods: &[String]) -> Finding<C> {
    match pods.len() {
        0 => Finding::no(C::InUse, Reason::AsWanted, ""),
        1 => Finding::yes(C::InUse, Reason::InUse, "1 pod uses the volume"),
        many => Finding::yes(C::InUse, Reason::InUse, format!("{many} pods use the volume")),
    }
}

fn used_by(pods: &[String]) -> Option<UsedBy> {
    Some(UsedBy {
        pods: i32::try_from(pods.len()).unwrap_or(i32::MAX),
        examples: pods.iter().take(EXAMPLES_MAX).cloned().collect(),
    })
}

/// Of a Dataset that was worked on.
pub fn bound(dataset: &Dataset, facts: &Facts, now: Timestamp) -> DatasetStatus {
    let mut status = start(dataset);
    status.cluster = Some(facts.place.cluster.clone());
    if facts.place.cluster_id.is_some() {
        status.cluster_id = facts.place.cluster_id.clone();
    }
    status.path = Some(facts.place.directory.clone());
    status.mounts = mounts(dataset, facts, now);
    status.volume = dataset.spec.volume.create.then(|| facts.volume.status.clone());
    status.used_by = used_by(&facts.pods);
    status.references = facts.references.iter().take(REFERENCES_MAX).cloned().collect();
    numbers(&mut status, facts, now);
    let secret = facts.mounts.mounts.iter().find_map(|mount| {
        let (reason, message) = mount.problem.as_ref()?;
        matches!(reason, Reason::NotFound | Reason::SecretInvalid).then_some((*reason, message))
    });
    let mut findings = vec![
        Finding::yes(C::Accepted, Reason::AsWanted, ""),
        match secret {
            Some((Reason::NotFound, message)) => {
                Finding::no(C::ResolvedRefs, Reason::NotFound, message.clone())
            }
            _ => Finding::yes(C::ResolvedRefs, Reason::AsWanted, ""),
        },
    ];
    findings.push(credentials(dataset, facts, secret));
    let mounted = mounted(facts);
    findings.push(degraded(dataset, facts, &mounted));
    findings.push(mounted);
    findings.push(metadata(&facts.metadata));
    findings.push(volume(dataset, &facts.volume));
    let ready = ready(&findings, facts);
    findings.push(in_use(&facts.pods));
    findings.push(ready);
    finish(status, dataset, &findings, now)
}

fn mounts(dataset: &Dataset, facts: &Facts, now: Timestamp) -> Vec<MountStatus> {
    let known = dataset.status.as_ref().map(|status| status.mounts.as_slice()).unwrap_or_default();
    let one = |mount: &super::mounts::MountFact| {
        let before = known.iter().find(|before| before.name == mount.name);
        let same_version = before
            .filter(|before| before.credential_version == mount.credential_version)
            .and_then(|before| before.credential_time.clone());
        // A time that is known stays, so that a walk in which nothing happened writes nothing.
        let credential_time =
            mount.credential_version.as_ref().map(|_| same_version.unwrap_or(Time(now)));
        MountStatus {
            name: mount.name.clone(),
            phase: match (mount.mounted, &mount.problem) {
                (true, _) => MountPhase::Mounted,
                (false, Some((Reason::Waiting | Reason::Unreachable, _)) | None) => {
                    MountPhase::Pending
                }
                (false, Some(_)) => MountPhase::Failed,
            },
            reason: mount.problem.as_ref().map(|(reason, _)| *reason),
            message: mount.problem.as_ref().map(|(_, message)| shortened(message)),
            path: Some(mount.path.clone()),
            credential_version: mount.credential_version.clone(),
            credential_time,
        }
    };
    facts.mounts.mounts.iter().map(one).collect()
}

fn shortened(message: &str) -> String {
    let mut end = message.len().min(MESSAGE_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message[..end].to_owned()
}

/// Numbers that were counted anew. The time moves only with them.
fn numbers(status: &mut DatasetStatus, facts: &Facts, now: Timestamp) {
    let complete = facts.metadata == Metadata::Complete;
    // It is remembered here that all was read, though there be too many files to count them.
    if complete || status.ufs.is_some() {
        status.ufs.get_or_insert_default().complete = complete;
    }
    let Some(usage) = facts.usage else { return };
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let before = status.ufs.clone().unwrap_or_default();
    let mut ufs = UfsStatus {
        total_bytes: number(usage.bytes),
        file_count: number(usage.files),
        complete,
        scanned_at: before.scanned_at.clone(),
    };
    if ufs != before || ufs.scanned_at.is_none() {
        ufs.scanned_at = Some(Time(now));
    }
    status.ufs = Some(ufs);
    status.cache = Some(CacheStatus {
        cached_bytes: number(usage.cached_bytes),
        percent: Some(percent(usage.cached_bytes, usage.bytes)),
    });
}

/// A share, as tables show it. Only all of it is 100%.
pub fn percent(part: u64, whole: u64) -> String {
    match whole {
        0 => "100%".to_owned(),
        _ => format!("{}%", (u128::from(part.min(whole)) * 100) / u128::from(whole)),
    }
}

fn credentials(dataset: &Dataset, facts: &Facts, secret: Option<(Reason, &String)>) -> Finding<C> {
    let condition = C::CredentialsReady;
    if super::options::secret_names(&dataset.spec).is_empty() {
        return Finding::yes(condition, Reason::AsWanted, "none are needed");
    }
    if let Some((reason, message)) = secret {
        return Finding::no(condition, reason, message.clone());
    }
    let mut problems = facts.mounts.mounts.iter().filter_map(|mount| {
        mount.problem.as_ref().map(|(reason, message)| (&mount.name, *reason, message))
    });
    let rejected = problems.clone().find(|(_, reason, _)| *reason == Reason::CredentialsRejected);
    if let Some((name, reason, message)) = rejected {
        return Finding::no(condition, reason, format!("mount {name}: {message}"));
    }
    match problems.next() {
        None => Finding::yes(condition, Reason::AsWanted, ""),
        Some((name, reason, message)) => {
            Finding::unknown(condition, reason, format!("mount {name}: {message}"))
        }
    }
}

fn mounted(facts: &Facts) -> Finding<C> {
    let condition = C::Mounted;
    if let Some(source) = facts.place.source_mounted {
        return match (source, facts.source_there) {
            (false, _) => Finding::unknown(condition, Reason::Waiting, "the source is not mounted"),
            (true, Some(true)) => Finding::yes(condition, Reason::AsWanted, ""),
            (true, Some(false)) => Finding::no(
                condition,
                Reason::NotFound,
                format!("{} does not exist in the cluster", facts.place.directory),
            ),
            (true, None) => Finding::unknown(condition, Reason::Unreachable, "no master answers"),
        };
    }
    let lacking = facts.mounts.mounts.iter().find(|mount| !mount.mounted);
    let Some(lacking) = lacking else { return Finding::yes(condition, Reason::AsWanted, "") };
    match &lacking.problem {
        Some((reason @ (Reason::Waiting | Reason::Unreachable), message)) => {
            Finding::unknown(condition, *reason, format!("mount {}: {message}", lacking.name))
        }
        Some((reason, message)) => {
            Finding::no(condition, *reason, format!("mount {}: {message}", lacking.name))
        }
        None => Finding::unknown(condition, Reason::Waiting, format!("mount {}", lacking.name)),
    }
}

/// Some mounts can be read, or could, and some cannot.
fn degraded(dataset: &Dataset, facts: &Facts, mounted: &Finding<C>) -> Finding<C> {
    let condition = C::Degraded;
    let was = dataset
        .status
        .as_ref()
        .is_some_and(|status| status_of(&status.conditions, C::Mounted) == ConditionStatus::True);
    let any = facts.mounts.mounts.iter().any(|mount| mount.mounted);
    let failing = facts.mounts.mounts.iter().find(|mount| mount.problem.is_some());
    match (mounted.status, failing) {
        (ConditionStatus::False, _) if any => {
            Finding::yes(condition, mounted.reason, mounted.message.clone())
        }
        (ConditionStatus::True, Some(mount)) if was || any => match &mount.problem {
            // It is shown, and what is wanted of it was refused.
            Some((reason, message)) if !matches!(reason, Reason::Waiting | Reason::Unreachable) => {
                Finding::yes(condition, *reason, format!("mount {}: {message}", mount.name))
            }
            _ => Finding::no(condition, Reason::AsWanted, ""),
        },
        _ => Finding::no(condition, Reason::AsWanted, ""),
    }
}

fn metadata(metadata: &Metadata) -> Finding<C> {
    let condition = C::MetadataReady;
    match metadata {
        Metadata::NotWanted => Finding::yes(
            condition,
            Reason::Disabled,
            "a directory is read when somebody looks into it",
        ),
        Metadata::Complete => Finding::yes(condition, Reason::AsWanted, ""),
        Metadata::Reading => {
            Finding::no(condition, Reason::Running, "names, sizes and times are being read")
        }
        Metadata::Waiting => {
            Finding::unknown(condition, Reason::Waiting, "it begins when all is mounted")
        }
        Metadata::Failed(why) => Finding::no(condition, Reason::MountFailed, why.clone()),
    }
}

fn volume(dataset: &Dataset, fact: &VolumeFact) -> Finding<C> {
    let condition = C::VolumeReady;
    if !dataset.spec.volume.create {
        return Finding::yes(condition, Reason::Disabled, "spec.volume.create is false");
    }
    match (&fact.problem, fact.status.phase.as_deref()) {
        (Some((reason, message)), _) => Finding::no(condition, *reason, message.clone()),
        (None, Some("Bound")) => Finding::yes(condition, Reason::AsWanted, ""),
        (None, Some(phase)) => {
            Finding::no(condition, Reason::VolumePending, format!("the claim is {phase}"))
        }
        (None, None) => {
            Finding::no(condition, Reason::VolumePending, "the claim is made when all is mounted")
        }
    }
}

fn ready(findings: &[Finding<C>], facts: &Facts) -> Finding<C> {
    let good = |finding: &&Finding<C>| match finding.condition {
        C::Degraded => finding.status != ConditionStatus::True,
        _ => finding.status == ConditionStatus::True,
    };
    if let Some(lacking) = findings.iter().find(|finding| !good(finding)) {
        return Finding::no(C::Ready, lacking.reason, lacking.message.clone());
    }
    if let Some(why) = &facts.pin_problem {
        return Finding::no(C::Ready, Reason::Updating, format!("cachePolicy.pin: {why}"));
    }
    // A mount of which nobody can tell whether it is as wanted.
    let unsure = facts.mounts.mounts.iter().find_map(|mount| mount.problem.as_ref());
    match unsure {
        Some((reason, message)) => Finding::no(C::Ready, *reason, message.clone()),
        None => Finding::yes(C::Ready, Reason::AsWanted, ""),
    }
}

/// What began or ended between two statuses: whether it is a warning, its reason, and what to say.
pub fn transitions(
    before: Option<&DatasetStatus>,
    after: &DatasetStatus,
) -> Vec<(bool, &'static str, String)> {
    let none = DatasetStatus::default();
    let before = before.unwrap_or(&none);
    let mut all = Vec::new();
    let is = |status: &DatasetStatus, condition: C| status_of(&status.conditions, condition);
    let message = |condition: C| {
        let found = after.conditions.iter().find(|known| known.type_ == condition.name());
        found.map(|known| known.message.clone()).unwrap_or_default()
    };
    let became = |condition: C, status: ConditionStatus| {
        is(before, condition) != status && is(after, condition) == status
    };
    let warnings = [
        (C::Accepted, ConditionStatus::False, "NotAccepted"),
        (C::ResolvedRefs, ConditionStatus::False, "RefsNotResolved"),
        (C::CredentialsReady, ConditionStatus::False, "CredentialsNotReady"),
        (C::Mounted, ConditionStatus::False, "MountFailed"),
        (C::Degraded, ConditionStatus::True, "Degraded"),
        (C::DeletionBlocked, ConditionStatus::True, "DeletionBlocked"),
    ];
    for (condition, status, reason) in warnings {
        if became(condition, status) {
            all.push((true, reason, message(condition)));
        }
    }
    for mount in &after.mounts {
        let old = before.mounts.iter().find(|old| old.name == mount.name);
        let version = |mount: &MountStatus| mount.credential_version.clone();
        if let Some(old) = old
            && version(old).is_some()
            && version(old) != version(mount)
            && version(mount).is_some()
        {
            let text = format!("the master has the new credentials of mount {}", mount.name);
            all.push((false, "CredentialsRotated", text));
        }
    }
    if became(C::Mounted, ConditionStatus::True) {
        all.push((false, "Mounted", format!("at {}", after.path.clone().unwrap_or_default())));
    }
    if became(C::Ready, ConditionStatus::True) {
        all.push((false, "Ready", "all is as wanted".to_owned()));
    }
    all
}

#[cfg(test)]
mod tests;
