//! A Prometheus of the test's own in the cluster's network, which scrapes what ServiceMonitors and PodMonitors name, as
//! Prometheus' operator would tell it to.
//!
//! **Source**: the labels that Prometheus' operator documents for targets of its monitors.

use alluxio_e2e_kube::Cluster;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
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
    /// Starts one that scrapes every second what `monitors` and further `jobs` name, and evaluates `rules` (each a
    /// PrometheusRule), which `promtool` has to accept first. Its files lie in `folder`.
    ///
    /// **Errors**: when the package prometheus is not installed, when it takes a rule or a job for wrong, or does not answer.
    pub fn start<'a>(
        cluster: &'a Cluster,
        folder: &Path,
        monitors: &[Value],
        jobs: Vec<Value>,
        rules: &[Value],
    ) -> Result<Prometheus<'a>> {
        let kubeconfig = cluster.state().join("admin.kubeconfig");
        let mut files = Vec::new();
        for (number, rule) in rules.iter().enumerate() {
            let file = folder.join(format!("rules-{number}.json"));
            fs::write(&file, rule["spec"].to_string())?;
            promtool(&["check", "rules", &file.display().to_string()])?;
            files.push(file);
        }
        let mut scrapes = jobs;
        for monitor in monitors {
            scrapes.extend(scrape_configs(monitor, &kubeconfig)?);
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

/// What Prometheus' operator makes of one monitor: a job for each of its endpoints.
fn scrape_configs(monitor: &Value, kubeconfig: &Path) -> Result<Vec<Value>> {
    let spec = &monitor["spec"];
    let name = monitor["metadata"]["name"].as_str().context("a monitor has a name")?;
    let namespace = monitor["metadata"]["namespace"].as_str().context("and a namespace")?;
    let (role, endpoints) = match monitor["kind"].as_str() {
        Some("ServiceMonitor") => ("endpoints", &spec["endpoints"]),
        Some("PodMonitor") => ("pod", &spec["podMetricsEndpoints"]),
        other => bail!("{other:?} is no monitor"),
    };
    let endpoints = endpoints.as_array().context("a monitor has endpoints")?;
    let jobs = endpoints.iter().enumerate().map(|(number, endpoint)| {
        json!({
            "job_name": format!("{role}/{namespace}/{name}/{number}"),
            "metrics_path": endpoint["path"].as_str().unwrap_or("/metrics"),
            "kubernetes_sd_configs": [{
                "role": role,
                "kubeconfig_file": kubeconfig,
                "namespaces": {"names": [namespace]},
            }],
            "relabel_configs": relabelings(role, &spec["selector"], endpoint, namespace, name),
        })
    });
    Ok(jobs.collect())
}

fn relabelings(
    role: &str,
    selector: &Value,
    endpoint: &Value,
    namespace: &str,
    monitor: &str,
) -> Vec<Value> {
    let object = if role == "pod" { "pod" } else { "service" };
    let port = endpoint["port"].as_str().unwrap_or_default();
    let keep = |source: String, regex: String| json!({"action": "keep", "source_labels": [source], "regex": regex});
    let label = |key: &str| {
        let safe = key.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        format!("__meta_kubernetes_{object}_label_{safe}")
    };
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
