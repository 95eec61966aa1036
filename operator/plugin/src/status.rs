//! `kubectl alluxio status`.

use crate::near::Near;
use crate::{Where, table};
use alluxio_operator_api::cluster::ClusterPhase;
use alluxio_operator_api::dataset::DatasetPhase;
use alluxio_operator_api::{AlluxioCluster, Dataset};
use alluxio_types::ByteSize;
use anyhow::Result;
use clap::Args;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use serde_json::{Value, json};
use std::io::Write;

/// Arguments of `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    #[command(flatten)]
    place: Where,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Conditions that are bad when they hold. All others are bad when they do not.
const BAD: &[&str] = &["Degraded", "UpgradeBlocked", "DeletionBlocked"];
/// Conditions that only say what goes on.
const NEUTRAL: &[&str] = &["Progressing", "Upgrading", "Paused", "Stopped", "InUse"];

/// What is not as wanted, with the object in front.
#[derive(Debug, Clone, PartialEq)]
struct Complaint {
    object: String,
    text: String,
}

/// Shows them; `false` when something is not as wanted.
///
/// **Errors**: what the API server says.
pub(crate) async fn run(arguments: StatusArguments, out: &mut impl Write) -> Result<bool> {
    let near = Near::connect(&arguments.place).await?;
    let clusters = near.list::<AlluxioCluster>().await?;
    let datasets = near.list::<Dataset>().await?;
    let complaints = complaints(&clusters, &datasets);
    if arguments.json {
        writeln!(out, "{}", as_json(&clusters, &datasets, &complaints))?;
    } else {
        show(&near, &clusters, &datasets, &complaints, out)?;
    }
    Ok(complaints.is_empty())
}

fn show(
    near: &Near,
    clusters: &[AlluxioCluster],
    datasets: &[Dataset],
    complaints: &[Complaint],
    out: &mut impl Write,
) -> Result<()> {
    if clusters.is_empty() && datasets.is_empty() {
        match &near.namespace {
            Some(namespace) => {
                writeln!(
                    out,
                    "No clusters or Datasets in the namespace {namespace}; -A looks in all of them"
                )?;
            }
            None => writeln!(out, "No clusters or Datasets")?,
        }
        return Ok(());
    }
    if !clusters.is_empty() {
        let headings = [
            "CLUSTER", "PHASE", "PRIMARY", "MASTERS", "WORKERS", "AGENTS", "CACHED", "ROOM",
            "DATASETS",
        ];
        let rows: Vec<Vec<String>> = clusters.iter().map(cluster_row).collect();
        table::write(out, &headings, &rows)?;
        writeln!(out)?;
    }
    if !datasets.is_empty() {
        let headings = ["DATASET", "CLUSTER", "PHASE", "SIZE", "CACHED", "PODS"];
        let rows: Vec<Vec<String>> = datasets.iter().map(dataset_row).collect();
        table::write(out, &headings, &rows)?;
        writeln!(out)?;
    }
    if complaints.is_empty() {
        writeln!(out, "All is as wanted.")?;
        return Ok(());
    }
    writeln!(out, "Not as wanted:")?;
    for complaint in complaints {
        writeln!(out, "  {}: {}", complaint.object, complaint.text)?;
    }
    Ok(())
}

fn full_name(object: &impl ResourceExt) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

fn bytes(bytes: Option<i64>) -> String {
    let known = bytes.and_then(|bytes| u64::try_from(bytes).ok());
    known.map_or_else(|| "-".to_owned(), |bytes| ByteSize(bytes).to_string())
}

fn number(number: Option<impl ToString>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

fn cluster_row(cluster: &AlluxioCluster) -> Vec<String> {
    let status = cluster.status.clone().unwrap_or_default();
    let masters = status.masters.as_ref();
    let counts = |ready: i32, desired: i32| format!("{ready}/{desired}");
    let pods = |counted: Option<&alluxio_operator_api::cluster::status::PodCounts>| {
        number(counted.map(|counted| counts(counted.ready, counted.desired)))
    };
    vec![
        full_name(cluster),
        number(status.phase),
        number(masters.and_then(|masters| masters.leader.as_ref()).map(|leader| &leader.pod)),
        number(masters.map(|masters| counts(masters.ready, masters.desired))),
        pods(status.workers.as_ref()),
        pods(status.fuse.as_ref()),
        bytes(status.capacity.as_ref().map(|capacity| capacity.used_bytes)),
        bytes(status.capacity.as_ref().map(|capacity| capacity.total_bytes)),
        number(status.dataset_count),
    ]
}

fn dataset_row(dataset: &Dataset) -> Vec<String> {
    // As the API shows it: numbers that nobody knows yet are not there.
    let status = serde_json::to_value(&dataset.status).unwrap_or_default();
    let cluster = dataset.status.as_ref().and_then(|status| status.cluster.as_ref());
    vec![
        full_name(dataset),
        number(cluster.map(|cluster| &cluster.name)),
        number(dataset.status.as_ref().and_then(|status| status.phase)),
        bytes(status["ufs"]["totalBytes"].as_i64()),
        bytes(status["cache"]["cachedBytes"].as_i64()),
        number(status["usedBy"]["pods"].as_i64()),
    ]
}

fn complaints(clusters: &[AlluxioCluster], datasets: &[Dataset]) -> Vec<Complaint> {
    let mut all = Vec::new();
    for cluster in clusters {
        let status = cluster.status.clone().unwrap_or_default();
        let well = matches!(
            status.phase,
            Some(ClusterPhase::Ready | ClusterPhase::Paused | ClusterPhase::Stopped)
        );
        let object = format!("cluster {}", full_name(cluster));
        let phase = status.phase.map(ClusterPhase::name);
        all.extend(of_object(&object, well, phase, &status.conditions));
    }
    for dataset in datasets {
        let status = dataset.status.clone().unwrap_or_default();
        let well = status.phase == Some(DatasetPhase::Ready);
        let object = format!("Dataset {}", full_name(dataset));
        let phase = status.phase.map(DatasetPhase::name);
        all.extend(of_object(&object, well, phase, &status.conditions));
        for mount in &status.mounts {
            if let Some(message) = &mount.message {
                let text = format!("mount {}: {message}", mount.name);
                all.push(Complaint { object: object.clone(), text });
            }
        }
    }
    all
}

/// What the conditions of one object complain of.
fn of_object(
    object: &str,
    well: bool,
    phase: Option<&'static str>,
    conditions: &[Condition],
) -> Vec<Complaint> {
    let complain = |text: String| Complaint { object: object.to_owned(), text };
    let bad = conditions.iter().filter(|condition| {
        let holds = condition.status == "True";
        let type_ = condition.type_.as_str();
        let is_bad = if BAD.contains(&type_) { holds } else { !holds };
        is_bad && !NEUTRAL.contains(&type_) && condition.reason != "Disabled"
    });
    let mut all: Vec<Complaint> = bad
        // One that repeats another says nothing new.
        .filter(|condition| well || !matches!(condition.type_.as_str(), "Ready" | "Available"))
        .map(|condition| {
            let Condition { type_, status, reason, message, .. } = condition;
            let message = if message.is_empty() { reason } else { message };
            complain(format!("{type_}={status} ({reason}): {message}"))
        })
        .collect();
    if all.is_empty() && !well {
        let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
        let why = ready.map(|ready| ready.message.clone()).filter(|why| !why.is_empty());
        let why = why.unwrap_or_else(|| "the operator has not said why: does it run?".to_owned());
        all.push(complain(format!("{}: {why}", phase.unwrap_or("no status yet"))));
    }
    all
}

fn as_json(clusters: &[AlluxioCluster], datasets: &[Dataset], complaints: &[Complaint]) -> Value {
    let complaints = complaints.iter().map(|one| json!({"object": one.object, "text": one.text}));
    let clusters = clusters.iter().map(|cluster| {
        json!({"namespace": cluster.namespace(), "name": cluster.name_any(), "status": cluster.status})
    });
    let datasets = datasets.iter().map(|dataset| {
        json!({"namespace": dataset.namespace(), "name": dataset.name_any(), "status": dataset.status})
    });
    json!({
        "clusters": clusters.collect::<Vec<_>>(),
        "datasets": datasets.collect::<Vec<_>>(),
        "complaints": complaints.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(phase: &str, conditions: Value) -> AlluxioCluster {
        serde_json::from_value(json!({
            "apiVersion": "alluxio.dev/v1alpha1",
            "kind": "AlluxioCluster",
            "metadata": {"name": "demo", "namespace": "cache"},
            "spec": {"worker": {"tieredStore": {"levels": [
                {"alias": "MEM", "medium": "MEM", "memory": {"quota": "1Gi"}}]}}},
            "status": {"phase": phase, "conditions": conditions},
        }))
        .unwrap()
    }

    fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
        json!({
            "type": type_, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    }

    fn told(cluster: AlluxioCluster) -> Vec<String> {
        complaints(&[cluster], &[]).into_iter().map(|complaint| complaint.text).collect()
    }

    #[test]
    fn a_cluster_that_is_well_is_not_complained_of() {
        let well = json!([
            condition("Ready", "True", "AsWanted", ""),
            condition("FuseReady", "False", "Disabled", "spec.fuse.enabled is false"),
            condition("Progressing", "False", "AsWanted", ""),
            condition("Degraded", "False", "AsWanted", ""),
        ]);
        assert_eq!(told(cluster("Ready", well)), Vec::<String>::new());
    }

    #[test]
    fn what_is_wrong_is_told_once_with_its_reason() {
        let broken = json!([
            condition("Ready", "False", "CrashLoop", "pod demo-worker-x: it ended with 1"),
            condition("WorkersReady", "False", "CrashLoop", "pod demo-worker-x: it ended with 1"),
            condition("MastersReady", "True", "AsWanted", ""),
        ]);
        assert_eq!(
            told(cluster("Provisioning", broken)),
            ["WorkersReady=False (CrashLoop): pod demo-worker-x: it ended with 1"]
        );
        assert_eq!(
            told(cluster("Pending", json!([]))),
            ["Pending: the operator has not said why: does it run?"]
        );
    }

    #[test]
    fn a_ready_cluster_may_still_lack_something() {
        let lacks = json!([
            condition("Ready", "True", "AsWanted", ""),
            condition("Monitored", "False", "NotFound", "no ServiceMonitor"),
        ]);
        assert_eq!(
            told(cluster("Ready", lacks)),
            ["Monitored=False (NotFound): no ServiceMonitor"]
        );
    }
}
