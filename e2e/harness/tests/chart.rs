//! The Helm chart: what it renders is what a real API server takes, wrong values are refused with their
//! names, and nobody gets more rights than intended.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use alluxio_e2e_harness::{ControlPlane, monitoring_kinds};
use alluxio_e2e_kube::programs;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/alluxio")
}

/// What helm printed, or what it complained of.
fn helm(arguments: &[&str]) -> Result<String, String> {
    let program = programs::require(programs::helm()).unwrap();
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(text(&output.stderr) + &text(&output.stdout)),
    }
}

fn render(settings: &[&str]) -> Result<String, String> {
    let chart = chart().display().to_string();
    let mut arguments = vec!["template", "rel", &chart, "--namespace", "alluxio-system"];
    arguments.extend(["--kube-version", programs::KUBERNETES_VERSION]);
    for setting in settings {
        arguments.extend(["--set", setting]);
    }
    helm(&arguments)
}

/// Values of clusters as they are: each line is one.
const CLUSTERS: &[&[&str]] = &[
    &[],
    &["csi.enabled=false", "operator.replicas=1"],
    &["operator.watchNamespaces={team-a,team-b}"],
    &["crds.install=false", "rbac.aggregate=false", "serviceAccount.name=own"],
    &["webhook.enabled=true", "networkPolicy.enabled=true"],
    &[
        "csi.controller.enabled=true",
        "csi.controller.properties.alluxio\\.master\\.hostname=m",
        "storageClasses[0].name=fast",
        "storageClasses[0].default=true",
        "storageClasses[0].parameters.path=/pvc",
    ],
    &["csi.keeper.enabled=false", "csi.kubeletDir=/var/snap/kubelet", "csi.node.maxUnavailable=1"],
    &["imagePullSecrets={one}", "image.repository=registry.example:5000/a/alluxio", "image.tag=v1"],
    &["fullnameOverride=other", "commonLabels.team=data", "operator.podLabels.a=b"],
    &[
        "monitoring.serviceMonitor.enabled=true",
        "monitoring.serviceMonitor.labels.release=prometheus",
        "monitoring.prometheusRule.enabled=true",
        "monitoring.dashboards.enabled=true",
    ],
    &["csi.enabled=false", "monitoring.serviceMonitor.enabled=true"],
];

/// A control plane with what the renderings need.
async fn plane() -> ControlPlane {
    let plane = ControlPlane::start().await.unwrap();
    for namespace in ["alluxio-system", "team-a", "team-b"] {
        plane.kubectl(&["create", "namespace", namespace]).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let kinds = dir.path().join("kinds.yaml");
    std::fs::write(&kinds, monitoring_kinds()).unwrap();
    plane.kubectl(&["apply", "--server-side", "-f", &kinds.display().to_string()]).unwrap();
    let wait = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"];
    plane.kubectl(&wait).unwrap();
    plane
}

#[test]
fn helm_finds_nothing_to_complain_of() {
    let chart = chart().display().to_string();
    helm(&["lint", "--strict", &chart]).unwrap();
}

#[tokio::test]
async fn a_real_api_server_takes_every_rendering() {
    let plane = plane().await;
    let dir = tempfile::tempdir().unwrap();
    for settings in CLUSTERS {
        let text = render(settings).unwrap_or_else(|error| panic!("{settings:?}: {error}"));
        let file = dir.path().join("rendered.yaml");
        std::fs::write(&file, text).unwrap();
        let path = file.display().to_string();
        // Strict: a field that does not exist is an error, not ignored.
        let apply =
            ["apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", &path];
        let applied = plane.kubectl(&apply);
        assert!(applied.is_ok(), "{settings:?}: {:#}", applied.unwrap_err());
    }
}

#[test]
fn wrong_values_are_refused_by_name() {
    let wrong: &[(&str, &str)] = &[
        ("image.pullPolicy=Sometimes", "pullPolicy"),
        ("image.repository=alluxio:latest", "repository"),
        ("operator.replicas=-1", "replicas"),
        ("operator.replicsa=2", "replicsa"),
        ("operator.watchNamespaces={Team_A}", "watchNamespaces"),
        ("operator.resources.limits.memory=lots", "memory"),
        ("csi.kubeletDir=var/lib/kubelet", "kubeletDir"),
        ("csi.node.port=70000", "port"),
        ("csi.node.maxUnavailable=0", "maxUnavailable"),
        ("csi.properties.fuse\\.option=1", "fuse.option"),
        ("csi.controller.enabled=true", "properties"),
        ("storageClasses[0].parameters.path=/a", "name"),
        ("storageClasses[0].name=a,storageClasses[0].reclaimPolicy=Keep", "reclaimPolicy"),
        ("monitoring.serviceMonitor.interval=often", "interval"),
        ("monitoring.dashboards.labels.a=1", "labels"),
        ("monitoring.prometheusRules.enabled=true", "prometheusRules"),
        ("fullnameOverride=Not_A_Name", "fullnameOverride"),
        ("webhook.enabled=perhaps", "webhook"),
    ];
    for (setting, named) in wrong {
        let error = render(&[setting]).expect_err(setting);
        assert!(error.contains("values don't meet") && error.contains(named), "{setting}: {error}");
    }
}

/// The objects of a rendering, as the API server reads them.
async fn objects(plane: &ControlPlane, settings: &[&str]) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rendered.yaml");
    std::fs::write(&file, render(settings).unwrap()).unwrap();
    let path = file.display().to_string();
    let create = ["create", "--dry-run=server", "-o", "json", "-f", &path];
    let text = plane.kubectl(&create).unwrap();
    let read = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    let read: Vec<Value> = read.map(Result::unwrap).collect();
    read.into_iter()
        .flat_map(|value| match value["kind"].as_str() {
            Some("List") => value["items"].as_array().cloned().unwrap_or_default(),
            _ => vec![value],
        })
        .collect()
}

#[tokio::test]
async fn rights_are_as_few_as_intended_and_pods_as_weak() {
    let plane = plane().await;
    for settings in CLUSTERS {
        let objects = objects(&plane, settings).await;
        let kind = |kind: &'static str| objects.iter().filter(move |object| object["kind"] == kind);
        let rules = kind("ClusterRole").chain(kind("Role")).flat_map(|role| {
            role["rules"].as_array().into_iter().flatten().map(move |rule| (role, rule))
        });
        for (role, rule) in rules {
            check_rule(role, rule);
        }
        for role in kind("ClusterRole") {
            let watched = settings.iter().any(|setting| setting.contains("watchNamespaces"));
            let secrets = role["rules"].to_string().contains("secrets");
            assert!(!(watched && secrets), "secrets of all namespaces, though two are named");
        }
        for workload in kind("Deployment") {
            check_restricted(workload);
        }
    }
}

fn check_rule(role: &Value, rule: &Value) {
    let all = |key: &str| -> Vec<String> {
        let words = rule[key].as_array().into_iter().flatten();
        words.map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let (groups, resources, verbs) = (all("apiGroups"), all("resources"), all("verbs"));
    let role = role["metadata"]["name"].as_str().unwrap();
    for words in [&groups, &resources, &verbs] {
        assert!(!words.iter().any(|word| word.contains('*')), "{role}: {rule}");
    }
    for verb in ["escalate", "bind", "impersonate"] {
        assert!(!verbs.iter().any(|word| word == verb), "{role}: {rule}");
    }
    for resource in ["pods/exec", "pods/attach", "nodes/proxy", "pods/ephemeralcontainers"] {
        assert!(!resources.iter().any(|word| word == resource), "{role}: {rule}");
    }
    if resources.iter().any(|word| word == "secrets") {
        assert_eq!(verbs, ["get"], "{role}: {rule}");
    }
    if resources.iter().any(|word| word == "nodes") {
        let reads = ["get", "list", "watch"];
        assert!(verbs.iter().all(|verb| reads.contains(&verb.as_str())), "{role}: {rule}");
    }
}

/// What the level "restricted" of Pod Security asks for.
fn check_restricted(workload: &Value) {
    let spec = &workload["spec"]["template"]["spec"];
    let name = &workload["metadata"]["name"];
    assert_eq!(spec["securityContext"]["runAsNonRoot"], true, "{name}");
    assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
    for container in spec["containers"].as_array().unwrap() {
        let context = &container["securityContext"];
        assert_eq!(context["allowPrivilegeEscalation"], false, "{name}: {container}");
        assert_eq!(context["capabilities"]["drop"][0], "ALL", "{name}: {container}");
        assert_eq!(context["readOnlyRootFilesystem"], true, "{name}: {container}");
    }
    let volumes = spec["volumes"].as_array().into_iter().flatten();
    assert!(!volumes.clone().any(|volume| volume.get("hostPath").is_some()), "{name}");
}
