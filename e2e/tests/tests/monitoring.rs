//! Metrics on a real Kubernetes: a real Prometheus scrapes every role through the monitors that the operator and the chart
//! make, takes their rules, and every panel of every dashboard has something to show.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of a test fail as the test does, and say what they found"
)]

use alluxio_e2e_harness::{Cluster, LIMIT, Namespace, monitoring_kinds};
use alluxio_e2e_tests::prometheus::{Prometheus, Sample};
use alluxio_e2e_tests::{Installed, SYSTEM, images, operator_log};
use alluxio_operator_api::AlluxioCluster;
use alluxio_operator_api::cluster::ClusterPhase;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

/// Everything that can be watched. `STORE` is a folder that masters and workers share, in place of an under store.
const CLUSTER: &str = "
apiVersion: alluxio.dev/v1alpha1
kind: AlluxioCluster
metadata: {name: demo}
spec:
  properties: {alluxio.user.block.size.bytes.default: 1MB}
  metrics:
    serviceMonitor: {enabled: true, labels: {release: prometheus}}
    prometheusRule: {enabled: true, labels: {release: prometheus}}
    dashboards: {enabled: true}
  coordination:
    etcd:
      managed:
        replicas: 1
        allowDataLoss: true
        storage: {emptyDir: {}}
        resources: {requests: {cpu: 10m, memory: 64Mi}}
  master:
    replicas: 1
    journal: {type: Etcd, allowDataLoss: true, storage: {emptyDir: {}}}
    resources: {requests: {cpu: 10m, memory: 64Mi}}
    podOverrides:
      spec:
        containers: [{name: master, volumeMounts: [{name: store, mountPath: /store}]}]
        volumes: [{name: store, hostPath: {path: STORE, type: Directory}}]
  worker:
    resources: {requests: {cpu: 10m, memory: 64Mi}}
    tieredStore:
      levels:
        - {alias: MEM, medium: MEM, memory: {quota: 64Mi}}
        - {alias: SSD, medium: SSD, hostPath: {dirs: [{path: /mnt/cache, quota: 256Mi}]}}
    podOverrides:
      spec:
        containers: [{name: worker, volumeMounts: [{name: store, mountPath: /store}]}]
        volumes: [{name: store, hostPath: {path: STORE, type: Directory}}]
  fuse:
    resources: {requests: {cpu: 10m, memory: 64Mi}}
";

/// A pod that reads through a volume.
const READER: &str = "
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  restartPolicy: Never
  nodeName: NODE
  containers:
    - name: reader
      image: IMAGE
      imagePullPolicy: IfNotPresent
      args: [fs, copyFromLocal, /data/store/cold, /from-pods/NAME]
      volumeMounts:
        - {name: data, mountPath: /data}
        - {name: conf, mountPath: /etc/alluxio, readOnly: true}
  volumes:
    - {name: data, csi: {driver: csi.alluxio.dev, readOnly: true}}
    - {name: conf, configMap: {name: demo-client}}
";

/// Pods that read on one node, one after the other: a speed needs two events.
const READERS: [&str; 2] = ["reader-0", "reader-1"];

/// Panels that may have nothing to show here, by dashboard and title, and why. All have.
const SILENT: &[(&str, &str, &str)] = &[];

/// Windows of rates, as Grafana would choose them.
const RATE_INTERVAL: &str = "1m";

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_sees_every_role_and_every_panel_has_data() {
    let Some(cluster) = Cluster::shared() else { return };
    let own = cluster.nodes().unwrap();
    let files = tempfile::tempdir().unwrap();
    let store = files.path().join("store");
    fs::create_dir(&store).unwrap();
    // The master is nobody in particular.
    fs::set_permissions(files.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&store, fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(store.join("cold"), vec![7; 3 << 20]).unwrap();
    fs::write(store.join("doomed"), vec![8; 1000]).unwrap();
    let kinds = files.path().join("kinds.yaml");
    fs::write(&kinds, monitoring_kinds()).unwrap();
    let applied = ["apply", "--server-side", "-f", &kinds.display().to_string()];
    cluster.kubectl(&applied).unwrap();
    let wait = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"];
    cluster.kubectl(&wait).unwrap();
    let values = [
        "operator.replicas=1",
        "monitoring.serviceMonitor.enabled=true",
        "monitoring.prometheusRule.enabled=true",
        "monitoring.dashboards.enabled=true",
    ];
    images::etcd(cluster).unwrap();
    let image = Installed::install(cluster, &values).unwrap().image;
    let namespace = cluster.namespace("monitoring").await.unwrap();
    let started = Instant::now();
    namespace.apply(&CLUSTER.replace("STORE", &store.display().to_string())).unwrap();
    ready(cluster, &namespace).await;
    println!("ready after {:.1} s", started.elapsed().as_secs_f64());

    let monitors = objects(cluster, "servicemonitors,podmonitors");
    let rules = objects(cluster, "prometheusrules");
    assert_eq!((monitors.len(), rules.len()), (4, 2), "{monitors:#?} {rules:#?}");
    let folder = files.path().join("prometheus");
    fs::create_dir(&folder).unwrap();
    let prometheus = Prometheus::start(own, &folder, &monitors, &rules).unwrap();
    every_role_is_scraped(&prometheus, namespace.name());

    let nodes = alluxio_e2e_tests::nodes(cluster).await.unwrap();
    traffic(&namespace, &store, &image, &nodes[0]).await;
    println!("traffic after {:.1} s", started.elapsed().as_secs_f64());
    let dashboards = dashboards(cluster, namespace.name());
    assert_eq!(dashboards.len(), 5);
    for (title, panels) in &dashboards {
        every_panel_has_data(&prometheus, title, panels);
        println!("seen after {:.1} s", started.elapsed().as_secs_f64());
    }
    every_series_of_the_rules_exists(&prometheus, &rules);
    nothing_is_wrong(&prometheus);
    println!("all seen after {:.1} s", started.elapsed().as_secs_f64());
    the_plugin_sees_it_too(cluster, namespace.name(), files.path());
    // All of it ends with the cluster, which is this test's own.
    println!("all after {:.1} s", started.elapsed().as_secs_f64());
}

async fn ready(cluster: &Cluster, namespace: &Namespace) {
    let is_ready = |cluster: &AlluxioCluster| {
        cluster.status.as_ref().is_some_and(|status| status.phase == Some(ClusterPhase::Ready))
    };
    if let Err(error) = namespace.wait("demo", "it is ready", LIMIT, is_ready).await {
        panic!("{error:#}\noperator: {}", operator_log(cluster));
    }
}

/// Objects of some kinds, of the whole cluster.
fn objects(cluster: &Cluster, kinds: &str) -> Vec<Value> {
    let text = cluster.kubectl(&["get", kinds, "-A", "-o", "json"]).unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    list["items"].as_array().unwrap().clone()
}

fn label<'a>(sample: &'a Sample, name: &str) -> &'a str {
    sample.labels[name].as_str().unwrap_or_default()
}

fn every_role_is_scraped(prometheus: &Prometheus<'_>, namespace: &str) {
    let roles = [
        (namespace, "demo", "etcd"),
        (namespace, "demo", "fuse-agent"),
        (namespace, "demo", "master"),
        (namespace, "demo", "worker"),
        (SYSTEM, "", "csi-node"),
        (SYSTEM, "", "operator"),
    ];
    let wanted: BTreeSet<_> = roles.into_iter().collect();
    let up = "up{job!=\"prometheus\"}";
    prometheus
        .wait_for("every role to be up", |prometheus| {
            let found = prometheus.query(&format!("{up} == 1"))?;
            let roles: BTreeSet<_> = found
                .iter()
                .map(|one| {
                    (
                        label(one, "namespace"),
                        label(one, "alluxio_cluster"),
                        label(one, "component"),
                    )
                })
                .collect();
            Ok((roles == wanted).then_some(()))
        })
        .unwrap_or_else(|error| panic!("{error:#}: {:#?}", prometheus.query(up)));
    for one in prometheus.query(up).unwrap() {
        assert!(!label(&one, "pod").is_empty() && !label(&one, "node").is_empty(), "{one:?}");
        assert_eq!(one.value, 1.0, "{one:?}");
    }
}

/// Does a little of everything: cold and warm reads, writes of several kinds, what is refused, what fails, and a volume.
async fn traffic(namespace: &Namespace, store: &Path, image: &str, node: &str) {
    let alluxio = |words: &[&str]| {
        let exec = ["exec", "demo-master-0", "-c", "master", "--", "/usr/bin/alluxio"];
        namespace.kubectl(&[&exec, words].concat())
    };
    let license = "/usr/share/doc/alluxio/LICENSE";
    alluxio(&["fs", "mount", "/store", "/store"]).unwrap();
    alluxio(&["fs", "ls", "/store"]).unwrap();
    for _ in 0..2 {
        alluxio(&["fs", "checksum", "/store/cold"]).unwrap();
    }
    alluxio(&["fs", "copyFromLocal", license, "/written"]).unwrap();
    let through = "-Dalluxio.user.file.writetype.default=CACHE_THROUGH";
    alluxio(&["fs", through, "copyFromLocal", license, "/store/written"]).unwrap();
    alluxio(&["fsadmin", "journal", "checkpoint"]).unwrap();
    assert!(alluxio(&["fs", "stat", "/missing"]).is_err());
    // What the master knows, and the store has no more.
    fs::remove_file(store.join("doomed")).unwrap();
    assert!(alluxio(&["fs", "cat", "/store/doomed"]).is_err());

    // The operator looks at a cluster that changes; at one that is well only once a minute.
    namespace.kubectl(&["annotate", "alluxiocluster", "demo", "somebody.example/note=1"]).unwrap();
    alluxio(&["fs", "mkdir", "/from-pods"]).unwrap();
    alluxio(&["fs", "chmod", "777", "/from-pods"]).unwrap();
    for name in READERS {
        let pod = READER.replace("IMAGE", image).replace("NAME", name).replace("NODE", node);
        namespace.apply(&pod).unwrap();
        let is_over = |pod: &Pod| {
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
            matches!(phase, Some("Succeeded" | "Failed"))
        };
        let read = namespace.wait(name, "it has read", LIMIT, is_over).await.unwrap();
        let said = namespace.kubectl(&["logs", name]);
        assert_eq!(read.status.unwrap().phase.as_deref(), Some("Succeeded"), "{said:?}");
    }
}

/// Panels by title, each with its expressions.
type Panels = Vec<(String, Vec<String>)>;

/// The cluster's own dashboards, and the chart's of the operator. The chart's others ask the same as the cluster's.
fn dashboards(cluster: &Cluster, namespace: &str) -> Vec<(String, Panels)> {
    let label = ["get", "configmaps", "-A", "-l", "grafana_dashboard=1", "-o", "json"];
    let maps: Value = serde_json::from_str(&cluster.kubectl(&label).unwrap()).unwrap();
    let maps = maps["items"].as_array().unwrap();
    assert_eq!(maps.len(), 4 + 5);
    let chosen = maps.iter().filter(|map| {
        let name = map["metadata"]["name"].as_str().unwrap();
        map["metadata"]["namespace"] == namespace || name.ends_with("dashboard-operator")
    });
    let texts = chosen.flat_map(|map| map["data"].as_object().unwrap().values());
    texts.map(|text| dashboard(text.as_str().unwrap())).collect()
}

fn dashboard(text: &str) -> (String, Panels) {
    let dashboard: Value = serde_json::from_str(text).unwrap();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let fill = |expression: &Value| {
        let text = expression.as_str().unwrap().replace("$__rate_interval", RATE_INTERVAL);
        let text = variables.iter().filter(|v| v["type"] == "constant").fold(text, |text, v| {
            let name = format!("${}", v["name"].as_str().unwrap());
            text.replace(&name, v["query"].as_str().unwrap())
        });
        // What the user of the operator's dashboard chooses.
        text.replace("$namespace", SYSTEM)
    };
    let panel = |panel: &Value| {
        let targets = panel["targets"].as_array().unwrap();
        let queries = targets.iter().map(|target| fill(&target["expr"])).collect();
        (panel["title"].as_str().unwrap().to_owned(), queries)
    };
    let panels = dashboard["panels"].as_array().unwrap().iter().map(panel).collect();
    (dashboard["title"].as_str().unwrap().to_owned(), panels)
}

fn every_panel_has_data(prometheus: &Prometheus<'_>, dashboard: &str, panels: &Panels) {
    let asked: Vec<(&str, &str)> = panels
        .iter()
        .filter(|(title, _)| {
            !SILENT.iter().any(|(of, panel, _)| dashboard.starts_with(of) && panel == title)
        })
        .flat_map(|(title, queries)| {
            queries.iter().map(move |query| (title.as_str(), query.as_str()))
        })
        .collect();
    assert!(!asked.is_empty(), "{dashboard}");
    // One question for all: which of them give numbers. What is no number is not equal to itself.
    let each = asked.iter().enumerate().map(|(number, (_, query))| {
        format!("label_replace(count(({query}) == ({query})), \"asked\", \"{number}\", \"\", \"\")")
    });
    let all = each.collect::<Vec<_>>().join(" or ");
    let mut silent = Vec::new();
    let found = prometheus.wait_for("every panel to have data", |prometheus| {
        let found = prometheus.query(&all)?;
        let answered: BTreeSet<&str> = found.iter().map(|one| label(one, "asked")).collect();
        silent = (0..asked.len()).filter(|n| !answered.contains(n.to_string().as_str())).collect();
        Ok(silent.is_empty().then_some(()))
    });
    let silent: Vec<_> = silent.iter().map(|number| asked[*number]).collect();
    assert!(found.is_ok(), "{dashboard}: no data for {silent:#?}\n{:#}", found.unwrap_err());
    println!("{dashboard}: {} panels, {} queries", panels.len(), asked.len());
}

/// Names of series in an expression.
fn series(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let prefixes = ["alluxio_", "process_", "etcd_"];
    words.filter(move |word| {
        *word != "alluxio_cluster" && prefixes.iter().any(|prefix| word.starts_with(prefix))
    })
}

fn every_series_of_the_rules_exists(prometheus: &Prometheus<'_>, rules: &[Value]) {
    let known =
        prometheus.query("count by (__name__) ({__name__=~\"alluxio_.+|process_.+|etcd_.+\"})");
    let known = known.unwrap();
    let known: BTreeSet<&str> = known.iter().map(|one| label(one, "__name__")).collect();
    let mut count = 0;
    for rule in
        rules.iter().flat_map(|rules| rules["spec"]["groups"][0]["rules"].as_array().unwrap())
    {
        let expression = rule["expr"].as_str().unwrap();
        for name in series(expression) {
            assert!(known.contains(name), "nobody has {name}: {}", rule["alert"]);
        }
        count += 1;
    }
    assert!(count > 30, "{count}");
}

fn the_plugin_sees_it_too(cluster: &Cluster, namespace: &str, dir: &Path) {
    let kubectl_alluxio = |words: &[&str]| {
        let mut kubectl = alluxio_e2e_tests::plugin(cluster).unwrap();
        let output = kubectl.args(words).args(["--namespace", namespace]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success(),
            "{words:?}: {said}{}",
            String::from_utf8_lossy(&output.stdout)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let status = kubectl_alluxio(&["status"]);
    assert!(status.contains("demo-master-0") && status.contains("All is as wanted"), "{status}");
    let top = kubectl_alluxio(&["top", "demo", "--once", "--interval=1", "--json"]);
    let top: Value = serde_json::from_str(&top).unwrap();
    let workers = top["workers"].as_array().unwrap();
    assert_eq!(workers.len(), cluster.nodes().unwrap().nodes(), "{top}");
    let each = f64::from((64 << 20) + (256 << 20));
    assert!(workers.iter().all(|worker| worker["capacityBytes"] == each), "{top}");
    assert!(top["total"]["usedBytes"].as_f64() > Some(f64::from(3 << 20)), "{top}");
    let archive = dir.join("found.tar.gz");
    kubectl_alluxio(&["diagnose", "-o", &archive.display().to_string()]);
    let tar = std::process::Command::new("tar").arg("-tzf").arg(&archive).output().unwrap();
    let files = String::from_utf8(tar.stdout).unwrap();
    for file in [
        format!("found/objects/{namespace}/pods.json"),
        format!("found/objects/{SYSTEM}/deployments.json"),
        format!("found/logs/{namespace}/demo-master-0/master.log"),
        format!("found/metrics/{namespace}/demo-master-0.txt"),
        format!("found/reports/{namespace}/demo/summary.txt"),
        format!("found/reports/{namespace}/demo/quorum.txt"),
    ] {
        assert!(files.lines().any(|line| line == file), "{file} is not in\n{files}");
    }
}

/// No alert fires in a cluster that is well, and each can be evaluated.
fn nothing_is_wrong(prometheus: &Prometheus<'_>) {
    let failures = prometheus.query("sum(prometheus_rule_evaluation_failures_total)").unwrap();
    assert_eq!(failures.first().map(|one| one.value), Some(0.0), "{failures:?}");
    let firing = prometheus.query("ALERTS{alertstate=\"firing\"}").unwrap();
    assert_eq!(firing, []);
}
