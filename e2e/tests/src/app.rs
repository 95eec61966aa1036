//! Pods of the application: they do what users' programs do, and tell what they saw.
//!
//! ```ignore
//! // 16 files of 1 MiB with known bytes into the store, past Alluxio.
//! App::fill(&namespace, &s3, node, "files", 16, 1 << 20).await?;
//! // A pod that reads files of the claim `data` and prints their sums.
//! let sums = App::sums(&namespace, "reader", node, "data", &["/data/file-00000"]).await?;
//! // One that works on the claim until it is told to stop.
//! let app = App::load(&namespace, "app", node, "data", &[]).await?;
//! // … break something …
//! let seen = app.stop(&namespace).await?;     // or app.result(…) after --seconds
//! assert_eq!(seen.errors, 0, "{seen:?}");
//! ```

use crate::images::{APPLICATION, APPLICATION_PROGRAM};
use crate::s3::{BUCKET, S3, SECRET};
use alluxio_e2e_harness::{LIMIT, Namespace};
use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Pod;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Where the claim is in the pod.
pub const MOUNT: &str = "/data";
/// A load ends by itself after this time unless told otherwise: longer than any test.
const LOAD_SECONDS: &str = "1800";
/// A load ends when this is there.
const STOP: &str = "/tmp/stop";

/// What a load has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Operations by kind: `read`, `open` (a whole file, opened anew), `write`, `list`.
    pub operations: BTreeMap<String, u64>,
    /// Operations that failed, or gave wrong bytes.
    pub errors: u64,
    /// The longest operation of each kind, in milliseconds.
    pub longest_ms: BTreeMap<String, u64>,
    /// When each operation began that took a second or longer, in ms since 1970, and how long it took.
    pub stalls: Vec<(String, u64, u64)>,
    /// Some of what went wrong.
    pub first_errors: Vec<String>,
}

impl Seen {
    /// All operations.
    pub fn total(&self) -> u64 {
        self.operations.values().sum()
    }

    /// The longest operation that was under way at some time since `from_ms` (since 1970); what took less than a second
    /// is not told.
    pub fn longest_since(&self, from_ms: u64) -> Option<u64> {
        let after = self.stalls.iter().filter(|(_, began, long)| began + long >= from_ms);
        after.map(|(_, _, long)| *long).max()
    }
}

/// A pod of the application.
#[derive(Debug, Clone)]
pub struct App {
    /// Its name.
    pub name: String,
}

impl App {
    /// Starts a pod on a node, with a claim mounted at [`MOUNT`], as a user who is nobody. `arguments` are the
    /// program's: `alluxio-e2e-app --help`.
    ///
    /// **Errors**: what the API server says.
    pub fn start(
        namespace: &Namespace,
        name: &str,
        node: &str,
        claim: &str,
        arguments: &[&str],
    ) -> Result<App> {
        Parts::of_claim(claim, "[]").apply(namespace, name, node, arguments)
    }

    /// The same, after root has made `folder` (a full path on the claim) for everybody: a volume's own directory is
    /// root's, as on other network file systems.
    ///
    /// **Errors**: what the API server says.
    pub fn start_in(
        namespace: &Namespace,
        name: &str,
        node: &str,
        claim: &str,
        folder: &str,
        arguments: &[&str],
    ) -> Result<App> {
        let init = format!(
            "[{{name: folder, image: {APPLICATION}, args: [make-folder, {folder:?}, --mode, \"777\"], \
             securityContext: {{runAsUser: 0}}, volumeMounts: [{{name: data, mountPath: {MOUNT}}}]}}]"
        );
        Parts::of_claim(claim, &init).apply(namespace, name, node, arguments)
    }

    /// Puts `files` files of `bytes` bytes each into `folder` of the store, by the store's own protocol. They are
    /// called and filled as [`pattern`](crate::pattern) says.
    ///
    /// **Errors**: when the pod fails; with what it printed.
    pub async fn fill(
        namespace: &Namespace,
        s3: &S3,
        node: &str,
        folder: &str,
        files: u64,
        bytes: u64,
    ) -> Result<()> {
        let (files, bytes) = (files.to_string(), bytes.to_string());
        let name = format!("fill-{folder}");
        let arguments = ["fill", folder, "--files", &files, "--bytes", &bytes];
        Self::with_store(namespace, s3, &name, node, &arguments).await.map(drop)
    }

    /// Sums of objects of the store, asked by its own protocol.
    ///
    /// **Errors**: when the pod fails; with what it printed.
    pub async fn sums_of_store(
        namespace: &Namespace,
        s3: &S3,
        name: &str,
        node: &str,
        keys: &[&str],
    ) -> Result<BTreeMap<String, String>> {
        let arguments = [&["sum-objects"], keys].concat();
        let said = Self::with_store(namespace, s3, name, node, &arguments).await?;
        Ok(sums(&said))
    }

    async fn with_store(
        namespace: &Namespace,
        s3: &S3,
        name: &str,
        node: &str,
        arguments: &[&str],
    ) -> Result<String> {
        let endpoint = &s3.endpoint;
        let env = format!(
            "[{{name: S3_ENDPOINT, value: {endpoint:?}}}, {{name: S3_BUCKET, value: {BUCKET}}}, \
             {{name: S3_ACCESS_KEY, valueFrom: {{secretKeyRef: {{name: {SECRET}, key: s3a.accessKeyId}}}}}}, \
             {{name: S3_SECRET_KEY, valueFrom: {{secretKeyRef: {{name: {SECRET}, key: s3a.secretKey}}}}}}]"
        );
        let parts = Parts {
            env,
            mount: "{name: tmp, mountPath: /tmp}".to_owned(),
            volume: "{name: tmp, emptyDir: {}}".to_owned(),
            init: "[]".to_owned(),
        };
        parts.apply(namespace, name, node, arguments)?.end(namespace).await
    }

    /// Sums of files (by their full paths), read through a claim by a pod that ends then.
    ///
    /// **Errors**: when the pod fails; with what it printed.
    pub async fn sums(
        namespace: &Namespace,
        name: &str,
        node: &str,
        claim: &str,
        paths: &[&str],
    ) -> Result<BTreeMap<String, String>> {
        let app = Self::start(namespace, name, node, claim, &[&["sum"], paths].concat())?;
        Ok(sums(&app.end(namespace).await?))
    }

    /// A pod that works on the claim until it is [stopped](App::stop), and works already. `more` are arguments of
    /// `load`: `--seconds N`, …
    ///
    /// **Errors**: when it does not begin.
    pub async fn load(
        namespace: &Namespace,
        name: &str,
        node: &str,
        claim: &str,
        more: &[&str],
    ) -> Result<App> {
        let folder = format!("{MOUNT}/written-{name}");
        let given = ["load", MOUNT, "--seconds", LOAD_SECONDS, "--stop", STOP, "--write", &folder];
        let app = Self::start_in(namespace, name, node, claim, &folder, &[&given, more].concat())?;
        namespace.wait_until_ready(name).await?;
        Ok(app)
    }

    /// Ends a load, and tells what it saw.
    ///
    /// **Errors**: as of [`App::result`], but for failed operations: they are told in [`Seen`].
    pub async fn stop(&self, namespace: &Namespace) -> Result<Seen> {
        let stop = ["exec", &self.name, "--", APPLICATION_PROGRAM, "make-folder", STOP];
        // One that has ended already is asked all the same.
        let stopped = namespace.kubectl(&stop);
        self.result(namespace).await.with_context(|| format!("to stop it: {stopped:?}"))
    }

    /// Waits for the end of a load, and tells what it saw.
    ///
    /// **Errors**: when it does not end, or does not say what it saw.
    pub async fn result(&self, namespace: &Namespace) -> Result<Seen> {
        self.ended(namespace).await?;
        let said = self.log(namespace)?;
        let last = said.lines().last().unwrap_or_default();
        serde_json::from_str(last).with_context(|| format!("{}: {said}", self.name))
    }

    /// Waits for the end of the program, which must be a good one, gives what it printed, and removes the pod.
    ///
    /// **Errors**: when it fails; with what it printed.
    pub async fn end(&self, namespace: &Namespace) -> Result<String> {
        let code = self.ended(namespace).await?;
        let said = self.log(namespace)?;
        if code != 0 {
            bail!("{} ended with {code}: {said}", self.name);
        }
        self.remove(namespace).await?;
        Ok(said)
    }

    /// Waits for the end of the program and gives its exit code.
    async fn ended(&self, namespace: &Namespace) -> Result<i32> {
        let end = |pod: &Pod| code(pod).is_some();
        let limit = LIMIT + Duration::from_secs(90);
        let pod = namespace.wait(&self.name, "the program to end", limit, end).await;
        let pod = pod.with_context(|| format!("{}: {:?}", self.name, self.log(namespace)))?;
        code(&pod).context("the program has ended")
    }

    /// What it has printed so far.
    ///
    /// **Errors**: when it has not begun.
    pub fn log(&self, namespace: &Namespace) -> Result<String> {
        namespace.kubectl(&["logs", &self.name])
    }

    /// Removes the pod, and waits until it is gone, and its volume taken away.
    ///
    /// **Errors**: when it does not go.
    pub async fn remove(&self, namespace: &Namespace) -> Result<()> {
        namespace.kubectl(&["delete", "pod", &self.name, "--wait=false"])?;
        namespace.wait_until_gone::<Pod>(&self.name, LIMIT).await
    }
}

/// What differs from one pod of the application to another, in YAML.
struct Parts {
    env: String,
    mount: String,
    volume: String,
    init: String,
}

impl Parts {
    fn of_claim(claim: &str, init: &str) -> Parts {
        Parts {
            env: "[]".to_owned(),
            mount: format!("{{name: data, mountPath: {MOUNT}}}"),
            volume: format!("{{name: data, persistentVolumeClaim: {{claimName: {claim}}}}}"),
            init: init.to_owned(),
        }
    }

    fn apply(
        self,
        namespace: &Namespace,
        name: &str,
        node: &str,
        arguments: &[&str],
    ) -> Result<App> {
        let arguments = serde_json::to_string(arguments)?;
        let Parts { env, mount, volume, init } = self;
        namespace.apply(&format!(
            "
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  nodeName: {node}
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  # A lost node's pods stay: what they saw is asked when it is back.
  tolerations: [{{operator: Exists}}]
  initContainers: {init}
  containers:
  - name: app
    image: {APPLICATION}
    args: {arguments}
    env: {env}
    volumeMounts: [{mount}]
  volumes: [{volume}]
"
        ))?;
        Ok(App { name: name.to_owned() })
    }
}

fn code(pod: &Pod) -> Option<i32> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.first()?.state.as_ref()?.terminated.as_ref().map(|state| state.exit_code)
}

/// Paths and sums, from lines as `sha256sum` prints them.
fn sums(said: &str) -> BTreeMap<String, String> {
    let lines = said.lines().filter_map(|line| line.split_once("  "));
    lines.map(|(sum, path)| (path.to_owned(), sum.to_owned())).collect()
}
