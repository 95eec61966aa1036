//! An API server with the kinds and the roles, and operators that can die.

use alluxio_e2e_harness::{ControlPlane, Identity, Namespace};
use alluxio_operator_controller::cluster::admin::{AdminError, ClusterAdmin, ClusterView, Target};
use alluxio_operator_controller::cluster::membership::{Change, Member};
use alluxio_operator_controller::cluster::validate::Defaults;
use alluxio_operator_controller::dataset::played::Played;
use alluxio_operator_controller::fence::{Fence, FenceLayer};
use alluxio_operator_controller::metrics::OperatorMetrics;
use alluxio_operator_controller::run::{Admins, OperatorConfig, run};
use anyhow::{Context, Result};
use async_trait::async_trait;
use futures::future::BoxFuture;
use http::{Method, Request, Response};
use k8s_openapi::api::apps::v1::{DaemonSet, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, ListParams};
use kube::client::ClientBuilder;
use kube::{Resource, ResourceExt};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard, oneshot, watch};
use tokio::task::JoinHandle;
use tower::{BoxError, Layer, Service as TowerService};

/// The operator, as the audit log names it.
pub(crate) const OPERATOR: &str = "system:serviceaccount:alluxio-system:alluxio-operator";

/// The smallest cluster that needs no volumes.
pub(crate) fn small(name: &str) -> String {
    format!(
        "
apiVersion: alluxio.dev/v1alpha1
kind: AlluxioCluster
metadata: {{name: {name}}}
spec:
  coordination: {{etcd: {{managed: {{replicas: 1}}}}}}
  worker:
    tieredStore:
      levels:
        - {{alias: MEM, medium: MEM, memory: {{quota: 1Gi}}}}
        - {{alias: SSD, medium: SSD, hostPath: {{dirs: [{{path: /mnt/cache, quota: 10Gi}}]}}}}
"
    )
}

/// One API server at a time: several on a small machine make each other wait for longer than tests do.
static TURN: Mutex<()> = Mutex::const_new(());

pub(crate) struct Stand {
    pub(crate) plane: ControlPlane,
    _turn: MutexGuard<'static, ()>,
    admin: kube::Client,
}

impl Stand {
    pub(crate) async fn start() -> Result<Stand> {
        let turn = TURN.lock().await;
        Self::with(ControlPlane::start().await?, turn).await
    }

    pub(crate) async fn start_with_controllers() -> Result<Stand> {
        let turn = TURN.lock().await;
        Self::with(ControlPlane::start_with_controllers().await?, turn).await
    }

    async fn with(plane: ControlPlane, turn: MutexGuard<'static, ()>) -> Result<Stand> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let project = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        let path = |name: &str| project.join(name).display().to_string();
        plane.kubectl(&["apply", "--server-side", "-f", &path("crds")])?;
        plane.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"])?;
        plane.kubectl(&[
            "apply",
            "--server-side",
            "--force-conflicts",
            "-f",
            &path("manifests/install.yaml"),
        ])?;
        let admin = plane.client(&Identity::Admin).await?;
        Ok(Stand { plane, _turn: turn, admin })
    }

    /// Who may do everything.
    pub(crate) fn client(&self) -> kube::Client {
        self.admin.clone()
    }

    pub(crate) async fn namespace(&self, purpose: &str) -> Result<Namespace> {
        Namespace::create(&self.admin, &self.plane.kubeconfig(), purpose).await
    }

    /// An operator for all namespaces, with the installed roles.
    pub(crate) async fn operator(&self) -> Result<Operator> {
        self.start_operator(Vec::new(), None, nobody()).await
    }

    /// One for one namespace; `death` is the number of the write at which it ends, and whether that one
    /// is still sent.
    pub(crate) async fn operator_of(
        &self,
        namespace: &Namespace,
        death: Option<(u64, bool)>,
    ) -> Result<Operator> {
        self.start_operator(vec![namespace.name().to_owned()], death, nobody()).await
    }

    /// One for one namespace, with masters that are played.
    pub(crate) async fn operator_with(
        &self,
        namespace: &Namespace,
        admins: Admins,
    ) -> Result<Operator> {
        self.start_operator(vec![namespace.name().to_owned()], None, admins).await
    }

    async fn start_operator(
        &self,
        namespaces: Vec<String>,
        death: Option<(u64, bool)>,
        admins: Admins,
    ) -> Result<Operator> {
        let account = Identity::Account("alluxio-system".into(), "alluxio-operator".into());
        let config = self.plane.config(&account).await?;
        let metrics = OperatorMetrics::noop();
        let fence = Fence::new();
        let (dies, died) = watch::channel(false);
        let deadly = Deadly { writes: Arc::default(), death, dies: Arc::new(dies) };
        let client = ClientBuilder::try_from(config)?
            .with_layer(&deadly)
            .with_layer(&FenceLayer::new(fence.clone(), metrics.clone()))
            .build();
        let (stop, stopped) = oneshot::channel::<()>();
        let wishes = OperatorConfig {
            namespaces,
            election: None,
            defaults: Defaults {
                repository: "registry.example/alluxio".into(),
                version: "0.1.0".into(),
                pull_policy: "IfNotPresent".into(),
                etcd_image: "registry.example/etcd:v3.6.4".into(),
            },
            instance: None,
        };
        let counted = metrics.clone();
        let task = tokio::spawn(async move {
            let stop = async move {
                let _ = stopped.await;
            };
            run(client, fence, wishes, admins, counted, stop).await;
        });
        Ok(Operator { task, stop: Some(stop), died, writes: deadly.writes, metrics })
    }

    /// What the operator wrote, for messages.
    pub(crate) fn writes_of_operator(&self) -> String {
        let requests = self.plane.requests().unwrap_or_default();
        let writes =
            requests.iter().filter(|request| request.user == OPERATOR && request.is_write());
        writes.map(|request| format!("{request:?}\n")).collect()
    }

    /// The operator's objects in a namespace, without what differs from one run to the next.
    pub(crate) async fn objects(&self, namespace: &Namespace) -> Result<BTreeMap<String, Value>> {
        let mut all = BTreeMap::new();
        self.add::<StatefulSet>(namespace, &mut all).await?;
        self.add::<DaemonSet>(namespace, &mut all).await?;
        self.add::<Service>(namespace, &mut all).await?;
        self.add::<ConfigMap>(namespace, &mut all).await?;
        self.add::<ServiceAccount>(namespace, &mut all).await?;
        self.add::<PodDisruptionBudget>(namespace, &mut all).await?;
        Ok(all)
    }

    async fn add<K>(&self, namespace: &Namespace, all: &mut BTreeMap<String, Value>) -> Result<()>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned
            + serde::Serialize,
    {
        let api: Api<K> = namespace.api();
        let ours = ListParams::default().labels("app.kubernetes.io/managed-by=alluxio-operator");
        for object in api.list(&ours).await? {
            let owner = object.owner_references().first().context("it has no owner")?;
            let mut value = serde_json::to_value(&object)?;
            let spec = value.get_mut("spec").map(Value::take);
            let data = value.get_mut("data").map(Value::take);
            let text = format!("{spec:?} {data:?}")
                .replace(&owner.uid, "UID")
                .replace(owner.uid.get(..8).unwrap_or_default(), "UID8")
                .replace(namespace.name(), "NAMESPACE");
            // Names of ConfigMaps carry a hash of what is in them, which names the namespace.
            let text = shape(&text);
            all.insert(
                format!("{} {}", K::kind(&()), shape(&object.name_any())),
                Value::from(text),
            );
        }
        Ok(())
    }

    /// Ends a namespace without waiting: what made its objects is another one's business now.
    pub(crate) async fn remove(&self, namespace: Namespace) -> Result<()> {
        let name = namespace.name().to_owned();
        let clusters: Api<alluxio_operator_api::AlluxioCluster> = namespace.api();
        let free = serde_json::json!({"metadata": {"finalizers": null}});
        let patch = kube::api::Patch::Merge(free);
        clusters.patch("demo", &Default::default(), &patch).await.context(name)?;
        clusters.delete("demo", &Default::default()).await?;
        Ok(())
    }
}

/// Replaces hashes of eight letters, as names of ConfigMaps end with them.
fn shape(text: &str) -> String {
    let mut shaped = String::with_capacity(text.len());
    for word in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let (name, end) = match word.char_indices().last() {
            Some((at, last)) if !last.is_ascii_alphanumeric() => word.split_at(at),
            _ => (word, ""),
        };
        let hash = name.len() == 8
            && name.chars().all(|c| c.is_ascii_hexdigit() && !c.is_ascii_uppercase());
        shaped.push_str(if hash { "HASH" } else { name });
        shaped.push_str(end);
    }
    shaped
}

/// A running operator.
pub(crate) struct Operator {
    task: JoinHandle<()>,
    stop: Option<oneshot::Sender<()>>,
    died: watch::Receiver<bool>,
    writes: Arc<AtomicU64>,
    metrics: OperatorMetrics,
}

impl Operator {
    /// Writes so far, of all kinds but events, which are told and not wanted.
    pub(crate) fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    /// Waits until nothing was written for a while.
    pub(crate) async fn quiet(&self) {
        let mut last = self.writes();
        let mut since = tokio::time::Instant::now();
        while since.elapsed() < Duration::from_millis(2500) {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if self.writes() != last {
                last = self.writes();
                since = tokio::time::Instant::now();
            }
        }
    }

    /// Waits until another walk has ended.
    pub(crate) async fn walked_again(&self) {
        let before = self.metrics.reconciles();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        while self.metrics.reconciles() <= before {
            assert!(tokio::time::Instant::now() < deadline, "nothing is reconciled");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for its death.
    pub(crate) async fn died(&mut self) {
        let within =
            tokio::time::timeout(Duration::from_secs(60), self.died.wait_for(|died| *died));
        within.await.expect("it writes that often").expect("the layer lives as long");
        self.task.abort();
    }

    pub(crate) async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let _ = self.task.await;
    }
}

/// A layer below the operator's client, at whose write number so-and-so the operator dies.
#[derive(Clone)]
struct Deadly {
    writes: Arc<AtomicU64>,
    death: Option<(u64, bool)>,
    dies: Arc<watch::Sender<bool>>,
}

impl<S> Layer<S> for Deadly {
    type Service = DeadlyService<S>;

    fn layer(&self, inner: S) -> DeadlyService<S> {
        DeadlyService { inner, layer: self.clone() }
    }
}

#[derive(Clone)]
struct DeadlyService<S> {
    inner: S,
    layer: Deadly,
}

impl<S, B, R> TowerService<Request<B>> for DeadlyService<S>
where
    S: TowerService<Request<B>, Response = Response<R>, Error = BoxError>,
    S::Future: Send + 'static,
    R: Send + 'static,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<R>, BoxError>>;

    fn poll_ready(&mut self, context: &mut std::task::Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let layer = self.layer.clone();
        let is_event = request.uri().path().contains("/events");
        if *request.method() == Method::GET || is_event {
            let answer = self.inner.call(request);
            return Box::pin(answer);
        }
        let number = layer.writes.fetch_add(1, Ordering::SeqCst) + 1;
        match layer.death {
            Some((at, sent)) if number >= at => {
                let answer = (sent && number == at).then(|| self.inner.call(request));
                Box::pin(async move {
                    if let Some(answer) = answer {
                        let _ = answer.await;
                    }
                    layer.dies.send_replace(true);
                    // The dead hear nothing.
                    std::future::pending().await
                })
            }
            _ => Box::pin(self.inner.call(request)),
        }
    }
}

/// No master answers, as without nodes.
fn nobody() -> Admins {
    Admins { cluster: Arc::new(Nobody), dataset: Arc::new(Played::default()) }
}

struct Nobody;

#[async_trait]
impl ClusterAdmin for Nobody {
    async fn view(&self, _: &Target) -> ClusterView {
        ClusterView::default()
    }

    async fn transfer(&self, _: &Target, to: &str) -> Result<(), AdminError> {
        Err(AdminError(format!("there is no {to}")))
    }

    async fn etcd_members(&self, _: &[String]) -> Option<Vec<Member>> {
        None
    }

    async fn etcd_change(&self, _: &[String], _: &Change) -> Result<(), AdminError> {
        Err(AdminError("there is no etcd".into()))
    }
}
