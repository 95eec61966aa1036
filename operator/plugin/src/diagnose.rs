//! `kubectl alluxio diagnose`: everything that helps to find a fault, in one archive that can be handed on.
//!
//! Secrets are never asked for; of ConfigMaps only ours are, and every text goes through [`redact`].

mod archive;

use crate::near::Near;
use crate::{Where, redact, top};
use alluxio_operator_api::{AlluxioCluster, Dataset};
use anyhow::{Context, Result};
use archive::Archive;
use clap::Args;
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

/// Arguments of `diagnose`.
#[derive(Debug, Args)]
pub(crate) struct DiagnoseArguments {
    #[command(flatten)]
    place: Where,
    /// The archive; `alluxio-diagnose-TIME.tar.gz` here without it
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Last lines of each container's log
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    log_lines: u32,
    /// Run nothing in pods of masters; their reports are left out
    #[arg(long)]
    no_exec: bool,
}

/// Our objects carry it, the chart's and the operator's.
const OURS: &str = "app.kubernetes.io/part-of=alluxio";
/// Questions at one time.
const SIDE_BY_SIDE: usize = 16;
/// Bytes of one log: many lines may be long ones.
const LOG_BYTES_MAX: u32 = 16 << 20;
/// How long a report in a master's pod may take.
const REPORT_LIMIT: Duration = Duration::from_secs(30);

/// Kinds in namespaces: path of the API, plural, and by which labels they are chosen.
const KINDS: &[(&str, &str, &str)] = &[
    ("apis/alluxio.dev/v1alpha1", "alluxioclusters", ""),
    ("apis/alluxio.dev/v1alpha1", "datasets", ""),
    ("apis/alluxio.dev/v1alpha1", "dataloads", ""),
    ("apis/alluxio.dev/v1alpha1", "dataevicts", ""),
    ("apis/alluxio.dev/v1alpha1", "metadatabackups", ""),
    ("api/v1", "pods", OURS),
    ("api/v1", "services", OURS),
    ("api/v1", "configmaps", OURS),
    ("api/v1", "serviceaccounts", OURS),
    // Those of StatefulSets have the labels of its selector alone.
    ("api/v1", "persistentvolumeclaims", "app.kubernetes.io/name=alluxio"),
    ("api/v1", "events", ""),
    ("apis/apps/v1", "statefulsets", OURS),
    ("apis/apps/v1", "daemonsets", OURS),
    ("apis/apps/v1", "deployments", OURS),
    ("apis/policy/v1", "poddisruptionbudgets", OURS),
    ("apis/networking.k8s.io/v1", "networkpolicies", OURS),
    ("apis/discovery.k8s.io/v1", "endpointslices", OURS),
    ("apis/coordination.k8s.io/v1", "leases", ""),
];

/// Kinds of the whole cluster.
const GLOBAL_KINDS: &[(&str, &str, &str)] = &[
    ("api/v1", "nodes", ""),
    ("api/v1", "persistentvolumes", "app.kubernetes.io/managed-by=alluxio-operator"),
    ("apis/storage.k8s.io/v1", "storageclasses", ""),
    ("apis/storage.k8s.io/v1", "csidrivers", ""),
    ("apis/storage.k8s.io/v1", "csinodes", ""),
];

/// What the command line in a master's pod is asked, by the name of the file.
const REPORTS: &[(&str, &[&str])] = &[
    ("summary", &["fsadmin", "report"]),
    ("capacity", &["fsadmin", "report", "capacity"]),
    ("ufs", &["fsadmin", "report", "ufs"]),
    ("metrics", &["fsadmin", "report", "metrics"]),
    ("quorum", &["fsadmin", "journal", "quorum", "info"]),
    ("configuration", &["getConf", "--source"]),
];

/// A file of the archive, or why there is none.
type Found = (String, Result<String>);

/// Collects everything.
///
/// **Errors**: when the archive cannot be written, or the API server does not answer at all. What it refuses is noted in
/// the archive.
pub(crate) async fn run(arguments: DiagnoseArguments, out: &mut impl Write) -> Result<()> {
    let near = Near::connect(&arguments.place).await?;
    let version = near.text("/version").await?;
    let path = arguments.output.clone().unwrap_or_else(|| {
        let now = Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
        PathBuf::from(format!("alluxio-diagnose-{now}.tar.gz"))
    });
    let mut archive = Archive::create(&path)?;
    archive.add("version.json", &version)?;
    // Without our kinds there may still be pods, whose logs say why.
    let clusters = near.list::<AlluxioCluster>().await.unwrap_or_default();
    let datasets = near.list::<Dataset>().await.unwrap_or_default();
    let pods = pods(&near, &mut archive).await?;
    let namespaces = namespaces(&near, &clusters, &datasets, &pods);
    objects(&near, &namespaces, &mut archive).await?;
    let ours: Vec<&Pod> = pods
        .iter()
        .filter(|pod| pod.namespace().is_some_and(|ns| namespaces.contains(&ns)))
        .collect();
    logs(&near, &ours, arguments.log_lines, &mut archive).await?;
    metrics(&near, &ours, &mut archive).await?;
    for cluster in &clusters {
        let (namespace, name) = (cluster.namespace().unwrap_or_default(), cluster.name_any());
        let workers = top::once(&near, cluster).await;
        archive.found((format!("reports/{namespace}/{name}/workers.txt"), workers))?;
        if !arguments.no_exec {
            reports(&near, cluster, &ours, &mut archive).await?;
        }
    }
    let (files, errors) = archive.finish()?;
    writeln!(
        out,
        "{}: {files} files, of {} clusters and {} Datasets",
        path.display(),
        clusters.len(),
        datasets.len()
    )?;
    if errors > 0 {
        writeln!(out, "{errors} questions were not answered; errors.txt in it names them")?;
    }
    writeln!(
        out,
        "Values that look like secrets were taken out; look through it before you hand it on."
    )?;
    Ok(())
}

/// Our pods of all namespaces, as far as the user may see them.
async fn pods(near: &Near, archive: &mut Archive) -> Result<Vec<Pod>> {
    let params = ListParams::default().labels(OURS);
    let everywhere: Api<Pod> = Api::all(near.client.clone());
    match everywhere.list(&params).await {
        Ok(list) => Ok(list.items),
        Err(error) => {
            archive.error("pods of all namespaces", &error.into());
            let Some(namespace) = &near.namespace else { return Ok(Vec::new()) };
            let here: Api<Pod> = Api::namespaced(near.client.clone(), namespace);
            Ok(here.list(&params).await.context("list pods")?.items)
        }
    }
}

/// Where to look: at what is meant, and at the operator and the CSI driver.
fn namespaces(
    near: &Near,
    clusters: &[AlluxioCluster],
    datasets: &[Dataset],
    pods: &[Pod],
) -> BTreeSet<String> {
    let of_clusters = clusters.iter().filter_map(ResourceExt::namespace);
    let of_datasets = datasets.iter().filter_map(|dataset| {
        // Its cluster may be elsewhere.
        let status = dataset.status.as_ref();
        status.and_then(|status| status.cluster.as_ref()?.namespace.clone())
    });
    let own = datasets.iter().filter_map(ResourceExt::namespace);
    let installed = pods.iter().filter(|pod| {
        let label = |name: &str| pod.labels().get(name).map(String::as_str);
        near.namespace.is_none()
            || label("app.kubernetes.io/managed-by") != Some("alluxio-operator")
    });
    let installed = installed.filter_map(ResourceExt::namespace);
    of_clusters
        .chain(of_datasets)
        .chain(own)
        .chain(installed)
        .chain(near.namespace.clone())
        .collect()
}

/// The path of a list.
fn list_path(api: &str, namespace: Option<&str>, plural: &str, labels: &str) -> String {
    let place = namespace.map(|namespace| format!("namespaces/{namespace}/")).unwrap_or_default();
    let labels = labels.replace('/', "%2F").replace('=', "%3D");
    format!("/{api}/{place}{plural}?labelSelector={labels}")
}

async fn objects(near: &Near, namespaces: &BTreeSet<String>, archive: &mut Archive) -> Result<()> {
    let mut asked: Vec<(String, String)> = GLOBAL_KINDS
        .iter()
        .map(|(api, plural, labels)| {
            (format!("objects/{plural}.json"), list_path(api, None, plural, labels))
        })
        .collect();
    for namespace in namespaces {
        asked.extend(KINDS.iter().map(|(api, plural, labels)| {
            let file = format!("objects/{namespace}/{plural}.json");
            (file, list_path(api, Some(namespace), plural, labels))
        }));
    }
    let answers = stream::iter(asked).map(|(file, path)| async move {
        let list = near.json(&path).await;
        (file, list.map(readable))
    });
    keep(answers.buffered(SIDE_BY_SIDE), archive).await
}

/// A list without secrets, and without what nobody reads.
fn readable(mut list: Value) -> String {
    for item in list["items"].as_array_mut().into_iter().flatten() {
        if let Some(metadata) = item["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
        if let Some(status) = item["status"].as_object_mut() {
            // Of nodes: names of all images.
            status.remove("images");
        }
    }
    redact::object(&mut list);
    // A value always has a text.
    serde_json::to_string_pretty(&list["items"]).unwrap_or_default() + "\n"
}

async fn keep(answers: impl stream::Stream<Item = Found>, archive: &mut Archive) -> Result<()> {
    let mut answers = std::pin::pin!(answers);
    while let Some(found) = answers.next().await {
        archive.found(found)?;
    }
    Ok(())
}

async fn logs(near: &Near, pods: &[&Pod], lines: u32, archive: &mut Archive) -> Result<()> {
    let mut asked = Vec::new();
    for pod in pods {
        let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
        let status = pod.status.clone().unwrap_or_default();
        let containers = status.init_container_statuses.into_iter().flatten();
        for container in containers.chain(status.container_statuses.into_iter().flatten()) {
            let path = format!(
                "/api/v1/namespaces/{namespace}/pods/{name}/log?container={}&timestamps=true\
                 &tailLines={lines}&limitBytes={LOG_BYTES_MAX}",
                container.name
            );
            let file = format!("logs/{namespace}/{name}/{}", container.name);
            if container.restart_count > 0 {
                asked.push((format!("{file}.previous.log"), format!("{path}&previous=true")));
            }
            asked.push((format!("{file}.log"), path));
        }
    }
    let answers = stream::iter(asked).map(|(file, path)| async move {
        let text = near.text(&path).await;
        (file, text.map(|text| redact::text(&text)))
    });
    keep(answers.buffered(SIDE_BY_SIDE), archive).await
}

async fn metrics(near: &Near, pods: &[&Pod], archive: &mut Archive) -> Result<()> {
    let shown = pods.iter().filter(|pod| crate::near::web_port(pod).is_some());
    let answers = stream::iter(shown).map(|pod| async move {
        let file =
            format!("metrics/{}/{}.txt", pod.namespace().unwrap_or_default(), pod.name_any());
        (file, near.metrics(pod).await.map(|text| redact::text(&text)))
    });
    keep(answers.buffered(SIDE_BY_SIDE), archive).await
}

/// What the cluster says of itself, by the command line in the pod of its primary, or of another master.
async fn reports(
    near: &Near,
    cluster: &AlluxioCluster,
    pods: &[&Pod],
    archive: &mut Archive,
) -> Result<()> {
    let (namespace, name) = (cluster.namespace().unwrap_or_default(), cluster.name_any());
    let of_cluster = pods.iter().filter(|pod| {
        let label = |name: &str| pod.labels().get(name).map(String::as_str);
        label("alluxio.dev/cluster-uid") == cluster.metadata.uid.as_deref()
            && label("app.kubernetes.io/component") == Some("master")
    });
    let masters: Vec<String> = of_cluster.map(|pod| pod.name_any()).collect();
    let status = cluster.status.as_ref().and_then(|status| status.masters.as_ref());
    let leader = status.and_then(|masters| masters.leader.as_ref()).map(|leader| &leader.pod);
    let Some(pod) = leader.filter(|pod| masters.contains(pod)).or(masters.first()) else {
        return Ok(());
    };
    for (file, words) in REPORTS {
        let said = report(near, &namespace, pod, words).await;
        let said = said.map(|text| redact::text(&text));
        archive.found((format!("reports/{namespace}/{name}/{file}.txt"), said))?;
    }
    Ok(())
}

async fn report(near: &Near, namespace: &str, pod: &str, words: &[&str]) -> Result<String> {
    let mut kubectl = tokio::process::Command::new("kubectl");
    kubectl
        .args(&near.kubectl)
        .args(["--namespace", namespace, "exec", pod, "-c", "master", "--", "/usr/bin/alluxio"])
        .args(words)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let said = tokio::time::timeout(REPORT_LIMIT, kubectl.output());
    let said = said.await.context("it took too long")?.context("kubectl")?;
    // What it says of a failure is worth as much.
    let text = [said.stdout, said.stderr].concat();
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_are_chosen_by_label_and_place() {
        assert_eq!(
            list_path("api/v1", Some("cache"), "pods", OURS),
            "/api/v1/namespaces/cache/pods?labelSelector=app.kubernetes.io%2Fpart-of%3Dalluxio"
        );
        assert_eq!(list_path("api/v1", None, "nodes", ""), "/api/v1/nodes?labelSelector=");
    }

    #[test]
    fn secrets_are_not_asked_for() {
        assert!(KINDS.iter().chain(GLOBAL_KINDS).all(|(_, plural, _)| *plural != "secrets"));
        // Maps of others may hold anything.
        let maps = KINDS.iter().find(|(_, plural, _)| *plural == "configmaps").unwrap();
        assert_eq!(maps.2, OURS);
    }

    #[test]
    fn lists_lose_secrets_and_what_nobody_reads() {
        let list = json!({"items": [{
            "metadata": {"name": "a", "managedFields": [1]},
            "data": {"alluxio-site.properties": "my.secretKey=canary"},
        }]});
        let text = readable(list);
        assert!(!text.contains("canary") && !text.contains("managedFields"), "{text}");
    }
}
