//! A Prometheus of the test's own in the cluster's network, which scrapes what ServiceMonitors and PodMonitors name, as
//! Prometheus' operator would tell it to.
//!
//! **Source**: the labels that Prometheus' operator documents for targets of its monitors.

use alluxio_e2e_kube::Cluster;
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Nobody else is in the cluster's network.
const ADDRESS: &str = "127.0.0.1:9090";

/// A running Prometheus. It ends with the cluster, in whose namespaces it lives.
pub struct Prometheus<'a> {
    cluster: &'a Cluster,
    folder: PathBuf,
}

/// A time series at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its labels.
    pub labels: Value,
    /// Its value.
    pub value: f64,
}

impl Prometheus<'_> {
    /// Starts one that scrapes every second itself and what `monitors` name, and evaluates `rules` (each a
    /// PrometheusRule), which `promtool` has to accept first. Its files lie in `folder`.
    ///
    /// **Errors**: when the package prometheus is not installed, when it takes a rule for wrong, or does not answer.
    pub fn start<'a>(
        cluster: &'a Cluster,
        folder: &Path,
        monitors: &[Value],
        rules: &[Value],
    ) -> Result<Prometheus<'a>> {
        let mut files = Vec::new();
        for (number, rule) in rules.iter().enumerate() {
            let file = folder.join(format!("rules-{number}.json"));
            fs::write(&file, rule["spec"].to_string())?;
            promtool(&["check", "rules", &file.display().to_string()])?;
            files.push(file);
        }
        let itself = json!({"job_name": "prometheus", "static_configs": [{"targets": [ADDRESS]}]});
        let mut scrapes = vec![itself];
        for monitor in monitors {
            scrapes.extend(scrape_configs(monitor, cluster)?);
        }
        let config = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": files,
            "scrape_configs": scrapes,
        });
        // JSON is YAML.
        let path = folder.join("prometheus.json");
        fs::write(&path, serde_json::to_string_pretty(&config)?)?;
        promtool(&["check", "config", &path.display().to_string()])?;
        let log = File::create(folder.join("log"))?;
        let mut server = cluster.command(Path::new("prometheus"));
        server
            .arg(format!("--config.file={}", path.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={ADDRESS}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        server.spawn().context(MISSING)?;
        let prometheus = Prometheus { cluster, folder: folder.to_owned() };
        prometheus.wait_for("it to answer", |prometheus| {
            Ok(prometheus.query("vector(1)").is_ok().then_some(()))
        })?;
        Ok(prometheus)
    }

    /// The series that an expression gives now.
    ///
    /// **Errors**: with what Prometheus says of the expression.
    pub fn query(&self, expression: &str) -> Result<Vec<Sample>> {
        let mut promtool = self.cluster.command(Path::new("promtool"));
        let server = format!("http://{ADDRESS}");
        promtool.args(["query", "instant", "--format=json", &server, expression]);
        let output = promtool.output().context(MISSING)?;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            bail!("{expression}: {}", String::from_utf8_lossy(&said).trim());
        }
        let found: Vec<Value> = serde_json::from_slice(&output.stdout)?;
        let sample = |one: Value| {
            let value = one["value"][1].as_str()?.parse().ok()?;
            Some(Sample { labels: one["metric"].clone(), value })
        };
        Ok(found.into_iter().filter_map(sample).collect())
    }

    /// Asks again until there is an answer.
    ///
    /// **Errors**: after a minute, with Prometheus' log; and those of `ask`.
    pub fn wait_for<T>(
        &self,
        what: &str,
        mut ask: impl FnMut(&Self) -> Result<Option<T>>,
    ) -> Result<T> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(answer) = ask(self)? {
                return Ok(answer);
            }
            if Instant::now() > deadline {
                let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(20).collect();
                bail!("waited a minute for {what}; Prometheus' last lines: {tail:#?}");
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }
}

const MISSING: &str =
    "Prometheus is missing: `apt-get install prometheus`, or `cargo xtask test --install-only`";

fn promtool(arguments: &[&str]) -> Result<()> {
    let output = Command::new("promtool").args(arguments).output().context(MISSING)?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("promtool {arguments:?}: {}", String::from_utf8_lossy(&said).trim());
    }
    Ok(())
}

/// What Prometheus' operator makes of one monitor: a job for each of its endpoints. Debian's Prometheus does not speak to
/// Kubernetes, so the targets are those of now, with the labels that it would have found them with.
fn scrape_configs(monitor: &Value, cluster: &Cluster) -> Result<Vec<Value>> {
    let spec = &monitor["spec"];
    let name = monitor["metadata"]["name"].as_str().context("a monitor has a name")?;
    let namespace = monitor["metadata"]["namespace"].as_str().context("and a namespace")?;
    let (role, endpoints, targets) = match monitor["kind"].as_str() {
        Some("ServiceMonitor") => ("service", &spec["endpoints"], of_services(cluster, namespace)?),
        Some("PodMonitor") => ("pod", &spec["podMetricsEndpoints"], of_pods(cluster, namespace)?),
        other => bail!("{other:?} is no monitor"),
    };
    let endpoints = endpoints.as_array().context("a monitor has endpoints")?;
    let jobs = endpoints.iter().enumerate().map(|(number, endpoint)| {
        json!({
            "job_name": format!("{role}/{namespace}/{name}/{number}"),
            "metrics_path": endpoint["path"].as_str().unwrap_or("/metrics"),
            "static_configs": targets,
            "relabel_configs": relabelings(role, &spec["selector"], endpoint, namespace, name),
        })
    });
    Ok(jobs.collect())
}

fn items(cluster: &Cluster, namespace: &str, kind: &str) -> Result<Vec<Value>> {
    let text = cluster.kubectl(&["get", kind, "--namespace", namespace, "-o", "json"])?;
    let list: Value = serde_json::from_str(&text)?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

/// A label's name as Prometheus writes it.
fn safe(name: &str) -> String {
    name.replace(|c: char| !c.is_ascii_alphanumeric(), "_")
}

/// A target with what is known of it.
fn target(
    address: &str,
    port: &Value,
    facts: &[(&str, &Value)],
    of: &str,
    object: &Value,
) -> Value {
    let mut labels = Map::new();
    for (key, value) in object["metadata"]["labels"].as_object().into_iter().flatten() {
        labels.insert(format!("__meta_kubernetes_{of}_label_{}", safe(key)), value.clone());
    }
    for (key, value) in facts.iter().filter(|(_, value)| value.is_string()) {
        labels.insert(format!("__meta_kubernetes_{key}"), (*value).clone());
    }
    json!({"targets": [format!("{address}:{port}")], "labels": labels})
}

/// Every port of every pod that a Service leads to.
fn of_services(cluster: &Cluster, namespace: &str) -> Result<Vec<Value>> {
    let slices = items(cluster, namespace, "endpointslices")?;
    let mut all = Vec::new();
    for service in items(cluster, namespace, "services")? {
        let name = &service["metadata"]["name"];
        let of_service = slices
            .iter()
            .filter(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] == *name);
        for slice in of_service {
            let ports = slice["ports"].as_array().into_iter().flatten();
            for (port, endpoint) in ports.flat_map(|port| {
                let endpoints = slice["endpoints"].as_array().into_iter().flatten();
                endpoints.map(move |endpoint| (port, endpoint))
            }) {
                let facts = [
                    ("namespace", &service["metadata"]["namespace"]),
                    ("service_name", name),
                    ("endpoint_port_name", &port["name"]),
                    ("pod_name", &endpoint["targetRef"]["name"]),
                    ("pod_node_name", &endpoint["nodeName"]),
                ];
                let address = endpoint["addresses"][0].as_str().context("an address")?;
                all.push(target(address, &port["port"], &facts, "service", &service));
            }
        }
    }
    Ok(all)
}

/// Every port of every pod that runs.
fn of_pods(cluster: &Cluster, namespace: &str) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for pod in items(cluster, namespace, "pods")? {
        let Some(address) = pod["status"]["podIP"].as_str() else { continue };
        for container in pod["spec"]["containers"].as_array().into_iter().flatten() {
            for port in container["ports"].as_array().into_iter().flatten() {
                let facts = [
                    ("namespace", &pod["metadata"]["namespace"]),
                    ("pod_name", &pod["metadata"]["name"]),
                    ("pod_container_name", &container["name"]),
                    ("pod_container_port_name", &port["name"]),
                    ("pod_node_name", &pod["spec"]["nodeName"]),
                ];
                all.push(target(address, &port["containerPort"], &facts, "pod", &pod));
            }
        }
    }
    Ok(all)
}

fn relabelings(
    role: &str,
    selector: &Value,
    endpoint: &Value,
    namespace: &str,
    monitor: &str,
) -> Vec<Value> {
    let port = endpoint["port"].as_str().unwrap_or_default();
    let keep = |source: String, regex: String| json!({"action": "keep", "source_labels": [source], "regex": regex});
    let label = |key: &str| format!("__meta_kubernetes_{role}_label_{}", safe(key));
    let mut all = Vec::new();
    for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
        all.push(keep(label(key), value.as_str().unwrap_or_default().to_owned()));
    }
    for rule in selector["matchExpressions"].as_array().into_iter().flatten() {
        let values = rule["values"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let values = values.collect::<Vec<_>>().join("|");
        all.push(keep(label(rule["key"].as_str().unwrap_or_default()), values));
    }
    let (port_name, job) = match role {
        "pod" => ("__meta_kubernetes_pod_container_port_name", format!("{namespace}/{monitor}")),
        _ => ("__meta_kubernetes_endpoint_port_name", String::new()),
    };
    all.push(keep(port_name.to_owned(), port.to_owned()));
    let copy =
        |source: &str, target: &str| json!({"source_labels": [source], "target_label": target});
    all.push(copy("__meta_kubernetes_namespace", "namespace"));
    all.push(copy("__meta_kubernetes_pod_name", "pod"));
    all.push(copy("__meta_kubernetes_pod_container_name", "container"));
    if role == "pod" {
        all.push(json!({"target_label": "job", "replacement": job}));
    } else {
        all.push(copy("__meta_kubernetes_service_name", "service"));
        all.push(copy("__meta_kubernetes_service_name", "job"));
    }
    all.push(json!({"target_label": "endpoint", "replacement": port}));
    for own in endpoint["relabelings"].as_array().into_iter().flatten() {
        let fields = own.as_object().into_iter().flatten();
        all.push(fields.map(|(key, value)| (snake_case(key), value.clone())).collect());
    }
    all
}

/// `sourceLabels` as `source_labels`.
fn snake_case(name: &str) -> String {
    name.chars().fold(String::new(), |mut all, c| {
        if c.is_ascii_uppercase() {
            all.push('_');
        }
        all.push(c.to_ascii_lowercase());
        all
    })
}
